//! Floods: what somebody sends who wants to be in the way of a stop. Each runs in a process of its own that takes
//! half a core at most, so that two floods of one kind are alike whatever the machine.

use std::cell::Cell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use manifests::api;
use manifests::digest::Digest;
use manifests::enrolment::Enrolment;
use manifests::envelope::Sealed;
use manifests::id::HostId;
use manifests::key::SigningKey;
use rustix::time::ClockId;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::baseline_text::PRODUCT;
use crate::operator::{Controller, text};
use crate::simulated::{SimulatedHost, now};
use crate::world::{Process, World};

/// What of one core it takes.
const SHARE: f64 = 0.5;
/// How long a flood may take until all of it is there.
const FULL_DEADLINE: Duration = Duration::from_secs(120);
/// What it prints then.
const FULL: &str = "flooding";
/// A file of the repository that the bench plants, large enough to be worth asking for.
const LARGE: &str = "large";
const LARGE_BYTES: usize = 15 << 20;
/// Streams that one slow reader opens.
const STREAMS: u32 = 64;
const PING_EVERY: Duration = Duration::from_secs(2);
const DRIP_EVERY: Duration = Duration::from_secs(1);
/// Senders of whole requests.
const SENDERS: usize = 64;
/// Requests after which such a flood is in full.
const REQUESTS_FULL: usize = 200;
/// Documents after which one is: there is one sender of them, and each is signed and judged.
const DOCUMENTS_FULL: usize = 50;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// TLS connections that ask nothing.
    Silent,
    /// TCP connections that do not even begin TLS.
    Mute,
    /// Heads, and bodies behind whole heads, of one byte a second.
    Drip,
    /// HTTP/2 connections that ask for much and take nothing: windows of 0 and 1, kept alive with pings.
    SlowReaders,
    /// HTTP/2 streams that are reset as soon as they are asked.
    Resets,
    /// Enrolments with tokens that nobody made.
    Enrolments,
    /// Bodies that say they have a gigabyte.
    Bodies,
    /// Documents of one enrolled host, as fast as it can.
    Documents,
    /// Lists, asked for by somebody with a token to look.
    Lists,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Silent,
        Self::Mute,
        Self::Drip,
        Self::SlowReaders,
        Self::Resets,
        Self::Enrolments,
        Self::Bodies,
        Self::Documents,
        Self::Lists,
    ];
}

/// Where it goes, and with what in hand.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The controller.
    #[arg(long)]
    pub address: SocketAddr,
    /// Its CA.
    #[arg(long)]
    pub ca: PathBuf,
    /// How many connections a crowd has.
    #[arg(long)]
    pub connections: usize,
    /// A token to look, for lists.
    #[arg(long)]
    pub token_file: PathBuf,
    /// The enrolled host and the file with its key, for documents.
    #[arg(long)]
    pub host: HostId,
    /// Its key.
    #[arg(long)]
    pub key: PathBuf,
    /// The baseline in force.
    #[arg(long)]
    pub baseline: Digest,
}

/// A controller's enemies, with what they have in hand.
pub struct Enemy {
    program: PathBuf,
    target: Target,
}

/// A flood that runs. Ends when dropped.
pub struct Flood {
    process: Process,
    began: Instant,
}

impl Enemy {
    /// Enrols `host`, whom no agent speaks for, and takes a token to look. `program` is the bench.
    ///
    /// # Errors
    /// If the controller refuses.
    pub async fn new(world: &World, controller: &Controller, program: &Path, host: &HostId) -> Result<Self> {
        let baseline = controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
        let token = controller.host_tokens(&[host.as_str()]).await?.pop().context("no token")?.1;
        let simulated = SimulatedHost::new(host.as_str(), PRODUCT, baseline)?;
        simulated.enrol(controller, &token).await?;
        let key = world.path().join("busy.pem");
        fs::write(&key, simulated.key.to_pkcs8_v1_pem().as_bytes())?;
        let token_file = world.path().join("looking.token");
        let data = text(controller.data())?;
        let token = ["token", "operator", "looking", "--role", "viewer", "--data", data];
        fs::write(&token_file, world.run("sekisho-controller", &token).await?)?;
        let targets = controller.data().join("tuf/targets");
        fs::create_dir_all(&targets)?;
        fs::write(targets.join(LARGE), vec![b'x'; LARGE_BYTES])?;
        let address = controller.url().trim_start_matches("https://").parse()?;
        let (ca, host) = (controller.ca(), host.clone());
        let target = Target { address, ca, connections: 0, token_file, host, key, baseline };
        Ok(Self { program: program.to_owned(), target })
    }

    /// Starts a flood, and waits until all of it is there.
    ///
    /// # Errors
    /// If it ends, or does not come up.
    pub async fn flood(&self, world: &World, kind: Kind, connections: usize) -> Result<Flood> {
        let Target { address, ca, token_file, host, key, baseline, .. } = &self.target;
        let value = kind.to_possible_value().context("a kind without a name")?;
        let name = value.get_name();
        let (address, connections, baseline) = (address.to_string(), connections.to_string(), baseline.to_string());
        let args = ["flood", name, "--address", &address, "--ca", text(ca)?, "--connections", &connections];
        let more = ["--token-file", text(token_file)?, "--host", host.as_str(), "--key", text(key)?];
        let args = [&args[..], &more, &["--baseline", &baseline]].concat();
        let mut process = world.start(&format!("flood-{name}"), &self.program, &args)?;
        let began = Instant::now();
        process.line(FULL, FULL_DEADLINE).await?;
        Ok(Flood { process, began })
    }
}

/// A document whose end is not sent.
pub struct Begun(TlsStream<TcpStream>);

impl Enemy {
    /// Sends the head of a document and `bytes` of its body, which does not say how long it is. As somebody of whom
    /// nothing is known, or (`named`) as whoever says that it comes from the busy host.
    ///
    /// # Errors
    /// If the controller takes no connection, or ends it before all of it was sent.
    pub async fn begin(&self, named: bool, bytes: usize) -> Result<Begun> {
        let mut stream = secure(&self.target, &connector(&self.target, b"http/1.1")?, 0).await?;
        let key = SigningKey::from_pkcs8_pem(&fs::read_to_string(&self.target.key)?)?;
        let key =
            if named { format!("{}: {}\r\n", api::KEY_HEADER, key.public().id().as_str()) } else { String::new() };
        let head = format!("POST {} HTTP/1.1\r\nhost: x\r\n{key}transfer-encoding: chunked\r\n\r\n", api::EVIDENCE);
        stream.write_all(head.as_bytes()).await?;
        let piece = vec![b' '; 0x4000];
        for at in (0..bytes).step_by(piece.len()) {
            let piece = &piece[..piece.len().min(bytes - at)];
            stream.write_all(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await?;
        }
        stream.flush().await?;
        Ok(Begun(stream))
    }
}

impl Begun {
    /// Ends the body.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn end(&mut self) -> Result<()> {
        self.0.write_all(b"0\r\n\r\n").await?;
        Ok(self.0.flush().await?)
    }

    /// The status of the answer, once there is one.
    ///
    /// # Errors
    /// If there is none.
    pub async fn status(&mut self) -> Result<u16> {
        let mut head = [0; 12];
        self.0.read_exact(&mut head).await.context("the connection ended without an answer")?;
        Ok(std::str::from_utf8(&head[9..])?.parse()?)
    }
}

impl Flood {
    /// What of one core it has taken so far.
    ///
    /// # Errors
    /// If it has ended.
    pub fn share(&mut self) -> Result<f64> {
        ensure!(self.process.runs(), "the flood has ended:\n{}", self.process.log());
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields = stat.rsplit_once(')').context("no stat")?.1.split(' ').skip(12).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap_or_default()).sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(ticks as f64 / per_second as f64 / self.began.elapsed().as_secs_f64())
    }
}

/// Time of the processor, of which a share of one core may be used.
struct Budget {
    began: Instant,
    done: Cell<usize>,
    /// One looks at the clock at a time: a crowd that looks together uses up what it waits for.
    turn: tokio::sync::Mutex<()>,
}

impl Budget {
    /// Waits until there is some.
    async fn take(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let used = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
            let used = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
            let ahead = used - self.began.elapsed().as_secs_f64() * SHARE;
            if ahead <= 0.0 {
                return;
            }
            tokio::time::sleep(Duration::from_secs_f64((ahead / SHARE).max(0.001))).await;
        }
    }

    /// Counts one thing done; says once that all is there.
    fn count(&self, full: usize) {
        self.done.set(self.done.get() + 1);
        if self.done.get() == full {
            println!("{FULL}");
        }
    }
}

/// Floods until it is killed.
///
/// # Errors
/// If it cannot begin.
pub async fn run(kind: Kind, target: Target) -> Result<()> {
    crate::limits::raise_open_files();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_h2 = matches!(kind, Kind::SlowReaders | Kind::Resets);
    let tls = connector(&target, if is_h2 { b"h2" } else { b"http/1.1" })?;
    let budget = Budget { began: Instant::now(), done: Cell::new(0), turn: tokio::sync::Mutex::new(()) };
    let (budget, target, tls) = (&budget, &target, &tls);
    let crowd = match kind {
        Kind::Silent | Kind::Mute | Kind::SlowReaders | Kind::Drip => target.connections,
        Kind::Resets => SENDERS,
        Kind::Documents => 1,
        Kind::Enrolments | Kind::Bodies | Kind::Lists => SENDERS,
    };
    let client = &client(target)?;
    let token = fs::read_to_string(&target.token_file)?;
    let key = SigningKey::from_pkcs8_pem(&fs::read_to_string(&target.key)?)?;
    let host =
        SimulatedHost { key, sequence: 0, ..SimulatedHost::new(target.host.as_str(), PRODUCT, target.baseline)? };
    let host = tokio::sync::Mutex::new(host);
    let (token, host) = (token.trim(), &host);
    let members = (0..crowd).map(|number| async move {
        loop {
            budget.take().await;
            // A connection that was refused or cut is one that was had: the next one is opened.
            let _ = match kind {
                Kind::Mute => mute(target, number, budget).await,
                Kind::Silent => silent(target, tls, number, budget).await,
                Kind::Drip => drip(target, tls, number, budget).await,
                Kind::SlowReaders => slow_reader(target, tls, number, budget).await,
                Kind::Resets => resets(target, tls, number, budget).await,
                Kind::Bodies => body(target, tls, number, budget).await,
                Kind::Enrolments => enrolment(target, client, budget).await,
                Kind::Documents => document(target, client, &mut *host.lock().await, budget).await,
                Kind::Lists => list(target, client, token, number, budget).await,
            };
        }
    });
    futures_util::future::join_all(members).await.into_iter().for_each(|()| {});
    Ok(())
}

/// Of clients that speak `protocol` and resume no session.
fn connector(target: &Target, protocol: &[u8]) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&target.ca)? {
        roots.add(certificate?)?;
    }
    let mut tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.resumption = rustls::client::Resumption::disabled();
    tls.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(tls)))
}

/// From half a thousand addresses of the loopback network, and every other one from the agents' own.
async fn connect(target: &Target, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if number % 2 == 1 {
        let number = u8::try_from(number / 2 % 250)?;
        socket.bind(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 1, number % 2, number + 1), 0)))?;
    }
    Ok(socket.connect(target.address).await?)
}

async fn secure(target: &Target, tls: &TlsConnector, number: usize) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::IpAddress(target.address.ip().into());
    Ok(tls.connect(name, connect(target, number).await?).await?)
}

/// Waits until the other side ends it.
async fn ended(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn mute(target: &Target, number: usize, budget: &Budget) -> Result<()> {
    let mut stream = connect(target, number).await?;
    budget.count(target.connections);
    ended(&mut stream).await
}

async fn silent(target: &Target, tls: &TlsConnector, number: usize, budget: &Budget) -> Result<()> {
    let mut stream = secure(target, tls, number).await?;
    budget.count(target.connections);
    ended(&mut stream).await
}

async fn drip(target: &Target, tls: &TlsConnector, number: usize, budget: &Budget) -> Result<()> {
    let mut stream = secure(target, tls, number).await?;
    budget.count(target.connections);
    let head =
        format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ", api::EVIDENCE);
    let whole = format!("{head}100000\r\n\r\n");
    let (at_once, rest) = if number.is_multiple_of(2) { ("", head.as_str()) } else { (whole.as_str(), "") };
    stream.write_all(at_once.as_bytes()).await?;
    for byte in rest.bytes().chain(std::iter::repeat(b'1')) {
        stream.write_all(&[byte]).await?;
        stream.flush().await?;
        tokio::time::sleep(DRIP_EVERY).await;
        budget.take().await;
    }
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The start of a connection whose streams may be sent `window` bytes.
fn preface(window: u32) -> Vec<u8> {
    let settings = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &settings), frame(4, 1, 0, b"")].concat()
}

/// The head of a request for the large file; literals without compression (RFC 7541, 6.2.2).
fn asks(stream: u32) -> Vec<u8> {
    let path = format!("{}/{LARGE}", api::TUF_TARGETS);
    let mut head = vec![0x82, 0x87];
    for (name, value) in [(":path", path.as_str()), (":authority", "x")] {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap_or_default());
            head.extend(text.bytes());
        }
    }
    frame(1, 5, stream, &head)
}

async fn slow_reader(target: &Target, tls: &TlsConnector, number: usize, budget: &Budget) -> Result<()> {
    let mut stream = secure(target, tls, number).await?;
    let asked = (0..STREAMS).flat_map(|stream| asks(2 * stream + 1));
    let window = u32::from(number % 4 < 2);
    stream.write_all(&preface(window).into_iter().chain(asked).collect::<Vec<_>>()).await?;
    stream.flush().await?;
    budget.count(target.connections);
    loop {
        tokio::time::sleep(PING_EVERY).await;
        budget.take().await;
        stream.write_all(&frame(6, 0, 0, b"8 bytes.")).await?;
        stream.flush().await?;
    }
}

async fn resets(target: &Target, tls: &TlsConnector, number: usize, budget: &Budget) -> Result<()> {
    let stream = secure(target, tls, number).await?;
    let (mut reads, mut writes) = tokio::io::split(stream);
    writes.write_all(&preface(65_535)).await?;
    let writing = async {
        for stream in (1..u32::MAX >> 1).step_by(2) {
            budget.take().await;
            let both = [asks(stream), frame(3, 0, stream, &8_u32.to_be_bytes())].concat();
            writes.write_all(&both).await?;
            writes.flush().await?;
            budget.count(REQUESTS_FULL);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        wrote = writing => wrote,
        ended = ended(&mut reads) => ended,
    }
}

async fn body(target: &Target, tls: &TlsConnector, number: usize, budget: &Budget) -> Result<()> {
    let mut stream = secure(target, tls, number).await?;
    let path = if number.is_multiple_of(2) { api::EVIDENCE } else { api::ENROLMENTS };
    let length = if number % 4 < 2 { "content-length: 1073741824" } else { "transfer-encoding: chunked" };
    stream.write_all(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n").as_bytes()).await?;
    let chunk = [b"4000\r\n".to_vec(), vec![b' '; 0x4000], b"\r\n".to_vec()].concat();
    budget.count(SENDERS);
    loop {
        budget.take().await;
        stream.write_all(if number % 4 < 2 { &chunk[6..] } else { &chunk }).await?;
    }
}

fn client(target: &Target) -> Result<reqwest::Client> {
    let ca = reqwest::Certificate::from_pem(&fs::read(&target.ca)?)?;
    let client = reqwest::Client::builder().tls_certs_only([ca]).https_only(true).no_proxy().http1_only();
    Ok(client.timeout(Duration::from_secs(10)).build()?)
}

async fn enrolment(target: &Target, client: &reqwest::Client, budget: &Budget) -> Result<()> {
    let key = SigningKey::generate()?;
    let token = Digest::of(key.public().id().as_str().as_bytes());
    let (host, product, public) = (target.host.clone(), PRODUCT.parse()?, key.public().clone());
    let enrolment = Enrolment { product, host, key: public, token, time: now() };
    let url = format!("https://{}{}", target.address, api::ENROLMENTS);
    let request = client.post(url).bearer_auth(token.hex()).json(&Sealed::seal(&enrolment, &key)?);
    let answer = request.send().await?;
    budget.count(REQUESTS_FULL);
    answer.bytes().await?;
    Ok(())
}

async fn document(target: &Target, client: &reqwest::Client, host: &mut SimulatedHost, budget: &Budget) -> Result<()> {
    let state = SimulatedHost::state(&host.sequence.to_string());
    let evidence = host.evidence(state)?;
    let url = format!("https://{}{}", target.address, api::EVIDENCE);
    let request = client.post(url).header(api::KEY_HEADER, host.key.public().id().as_str()).json(&evidence);
    let answer = request.send().await?;
    budget.count(DOCUMENTS_FULL);
    answer.bytes().await?;
    Ok(())
}

async fn list(target: &Target, client: &reqwest::Client, token: &str, number: usize, budget: &Budget) -> Result<()> {
    let path = [api::SITES, api::HOSTS, api::ITEMS, api::STOPS][number % 4];
    let request = client.get(format!("https://{}{path}", target.address)).bearer_auth(token);
    let answer = request.send().await?;
    budget.count(REQUESTS_FULL);
    answer.bytes().await?;
    Ok(())
}
