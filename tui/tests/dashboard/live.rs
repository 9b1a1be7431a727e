//! The client and the program against a controller that is played: TLS, tokens, the stream, exit codes.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use manifests::api::{self, StopView};
use manifests::digest::Digest;
use manifests::stop::{Scope, StopRef};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tui::client::{OperatorClient, cause, link_word};
use tui::commands::stop;
use tui::effect::Effect;
use tui::event::{Event, Fetched};
use tui::runner::Runner;

use crate::fixture;

const DEADLINE: Duration = Duration::from_secs(20);

/// A controller with canned answers, one request a connection.
struct Fake {
    address: String,
    directory: TempDir,
    /// Heads and bodies of the requests so far.
    requests: Arc<Mutex<Vec<String>>>,
    events: broadcast::Sender<String>,
    /// Paths that are answered 503.
    closed: Arc<Mutex<Vec<&'static str>>>,
}

/// What the played controller's clock says in answers that have not changed: 14:30 in Japan, half an hour after the
/// fleet was looked at, and after the evidence of every site has run out.
const DATE: &str = "Tue, 09 May 2023 05:30:00 GMT";

/// An operator's token is open to nobody else.
fn write_token(directory: &Path, word: &str) {
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(directory.join("token"));
    std::io::Write::write_all(&mut file.unwrap(), word.as_bytes()).unwrap();
}

impl Fake {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(directory.path().join("ca.pem"), made.cert.pem()).unwrap();
        write_token(directory.path(), "viewer-token\n");
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let (events, _) = broadcast::channel(16);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(Mutex::new(Vec::new()));
        let (log, sender, shut) = (requests.clone(), events.clone(), closed.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, log, events, shut) = (acceptor.clone(), log.clone(), sender.subscribe(), shut.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        // A client that goes away is the client's business.
                        let _ = answer(stream, &log, events, &shut).await;
                    }
                });
            }
        });
        Self { address, directory, requests, events, closed }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_token(&self, word: &str) {
        write_token(self.directory.path(), word);
    }

    fn client(&self) -> OperatorClient {
        OperatorClient::new(&self.address, &self.path("ca.pem"), &self.path("token")).unwrap()
    }

    fn last_request(&self) -> String {
        self.requests.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

async fn answer(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    log: &Mutex<Vec<String>>,
    mut events: broadcast::Receiver<String>,
    closed: &Mutex<Vec<&'static str>>,
) -> std::io::Result<()> {
    let mut request = String::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await?;
        request.push_str(&String::from_utf8_lossy(&chunk[..count]));
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if count == 0 || body.len() >= length.map_or(0, |text| text.trim().parse().unwrap()) {
            break;
        }
    }
    let allowed = request.contains("Bearer viewer-token\r\n");
    let path = request.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
    let made = request.starts_with("POST");
    let one = format!("{}/{}", api::STOPS, fixture::stop().stop.digest);
    let looks = log.lock().unwrap().iter().filter(|earlier| earlier.starts_with(&format!("GET {one} "))).count();
    let asked = request.clone();
    log.lock().unwrap().push(request);
    let json = |value: serde_json::Value| ("200 OK", value.to_string());
    let is_closed = closed.lock().unwrap().contains(&path.as_str());
    let (status, body) = match path.as_str() {
        _ if is_closed => ("503 Service Unavailable", r#"{"code":"unavailable","message":"a drill"}"#.to_owned()),
        _ if !allowed => ("401 Unauthorized", r#"{"code":"token","message":"unknown token"}"#.to_owned()),
        api::SITES => json(serde_json::to_value(fixture::fleet()).unwrap()),
        "/v1/sites/402206" => json(serde_json::to_value(fixture::site()).unwrap()),
        api::HOSTS => json(serde_json::to_value(fixture::hosts()).unwrap()),
        api::ITEMS => json(serde_json::to_value(fixture::items()).unwrap()),
        api::STOPS if made => ("201 Created", serde_json::to_string(&fixture::stop()).unwrap()),
        api::STOPS => {
            let older = StopView { stop: StopRef { number: 2, digest: Digest::of(b"older") }, ..fixture::stop() };
            json(serde_json::to_value([fixture::stop(), older]).unwrap())
        }
        // The second look finds it acknowledged by all.
        _ if path == one => {
            let mut stop = fixture::stop();
            if looks > 0 {
                stop.acknowledged.extend(stop.outstanding.drain(..).map(|(host, _)| host));
            }
            json(serde_json::to_value(stop).unwrap())
        }
        "/v1/sites/131016" => ("302 Found\r\nlocation: /v1/sites/402206", String::new()),
        api::EVENTS => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: hello\n\n";
            stream.write_all(head.as_bytes()).await?;
            stream.flush().await?;
            while let Ok(event) = events.recv().await {
                if event == "end" {
                    return stream.shutdown().await;
                }
                stream.write_all(event.as_bytes()).await?;
                stream.flush().await?;
            }
            return Ok(());
        }
        _ => ("404 Not Found", r#"{"code":"not-found","message":"no such site"}"#.to_owned()),
    };
    // Every answer has a tag here, and whoever names it is told that nothing has changed.
    let tag = format!("\"{}\"", Digest::of(body.as_bytes()).hex());
    let (status, body) = match asked.contains(&format!("\r\nif-none-match: {tag}\r\n")) {
        true => ("304 Not Modified", String::new()),
        false => (status, body),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\netag: {tag}\r\ndate: {DATE}\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn answers_come_through_tls_with_the_token() {
    let fake = Fake::start().await;
    let client = fake.client();
    assert_eq!(client.fleet().await.unwrap(), fixture::fleet());
    assert_eq!(client.site(&"402206".parse().unwrap()).await.unwrap(), fixture::site());
    assert_eq!(client.items().await.unwrap(), fixture::items());
    assert_eq!(client.hosts().await.unwrap(), fixture::hosts());
    let request = api::StopRequest { scope: Scope::All, reason: "誤交付".to_owned() };
    assert_eq!(client.stop(&request, "a-name").await.unwrap(), fixture::stop());
    let sent = fake.last_request();
    assert!(sent.starts_with("POST /v1/stops ") && sent.contains("\r\nidempotency-key: a-name\r\n"), "{sent}");
    assert_eq!(serde_json::from_str::<api::StopRequest>(sent.split("\r\n\r\n").nth(1).unwrap()).unwrap(), request);
}

/// One fetch of the dashboard, and of each request after `before` its path and whether it named an answer.
async fn fetch(fake: &Fake, runner: &mut Runner, events: &mut Receiver<Event>, site: Option<&str>) -> (Fetched, Asked) {
    let before = fake.requests.lock().unwrap().len();
    runner.run(Effect::Fetch { site: site.map(|code| code.parse().unwrap()) });
    let fetched = match timeout(DEADLINE, events.recv()).await.unwrap() {
        Some(Event::Fetched(fetched)) => Some(fetched),
        _ => None,
    };
    let asked = fake.requests.lock().unwrap()[before..].to_vec();
    let asked = asked.iter().map(|request| {
        let path = request.split([' ', '?']).nth(1).unwrap().to_owned();
        (path, request.contains("\r\nif-none-match: "))
    });
    (*fetched.unwrap(), asked.collect())
}

type Asked = Vec<(String, bool)>;

#[tokio::test]
async fn what_is_on_the_screen_is_not_sent_again_and_counts_as_heard() {
    let fake = Fake::start().await;
    let (sender, mut events) = mpsc::channel(16);
    let mut runner = Runner::new(fake.client(), sender);
    let asked =
        |tagged: &[(&str, bool)]| tagged.iter().map(|(path, tag)| ((*path).to_owned(), *tag)).collect::<Asked>();
    let site = "/v1/sites/402206";
    let (first, questions) = fetch(&fake, &mut runner, &mut events, Some("402206")).await;
    assert_eq!(questions, asked(&[(api::SITES, false), (site, false), (api::ITEMS, false)]));
    let (mut again, questions) = fetch(&fake, &mut runner, &mut events, Some("402206")).await;
    assert_eq!(questions, asked(&[(api::SITES, true), (site, true), (api::ITEMS, true)]));
    let (one, other) = (first.site.unwrap(), again.site.unwrap());
    assert_eq!((one.view, one.items), (other.view, other.items));
    // Sites whose evidence has run out meanwhile must not be shown as if it had not.
    assert!(again.fleet.time >= fixture::at("2023-05-09T14:30:00+09:00"), "{}", again.fleet.time);
    again.fleet.time = first.fleet.time;
    assert_eq!(again.fleet, first.fleet);
    // A site that was left is asked for as if it had never been there.
    fetch(&fake, &mut runner, &mut events, None).await;
    let (_, questions) = fetch(&fake, &mut runner, &mut events, Some("402206")).await;
    assert_eq!(questions, asked(&[(api::SITES, true), (site, false), (api::ITEMS, false)]));
}

#[tokio::test]
async fn a_stop_is_printed_though_nobody_can_be_asked_how_far_it_has_come() {
    let fake = Fake::start().await;
    fake.write_token("other");
    let refused = fake.client();
    assert_eq!(stop::settled(&refused, fixture::stop()).await, fixture::stop());
    let mut unknown = fixture::stop();
    unknown.stop = StopRef { number: 9, digest: Digest::of(b"unknown") };
    fake.write_token("viewer-token");
    assert_eq!(stop::settled(&fake.client(), unknown.clone()).await, unknown);
}

#[tokio::test]
async fn refusals_redirects_and_strangers_are_told_apart() {
    let fake = Fake::start().await;
    let client = fake.client();
    assert_eq!(link_word(&client.site(&"011002".parse().unwrap()).await.unwrap_err()), "status");
    let redirected = client.site(&"131016".parse().unwrap()).await.unwrap_err();
    assert!(redirected.to_string().contains("302"), "a redirect is not followed: {redirected}");
    fake.write_token("other");
    assert_eq!(link_word(&fake.client().fleet().await.unwrap_err()), "refused");
    let stranger = Fake::start().await;
    let client = OperatorClient::new(&stranger.address, &fake.path("ca.pem"), &fake.path("token")).unwrap();
    let error = client.fleet().await.unwrap_err();
    assert_eq!(link_word(&error), "connect");
    assert!(cause(&error).starts_with("invalid peer certificate: "), "{}", cause(&error));
    assert_eq!(stranger.last_request(), "", "no token is shown to a stranger");
}

#[tokio::test]
async fn the_stream_reports_changes_resumes_and_says_when_it_ends() {
    let fake = Fake::start().await;
    let (sender, mut events) = mpsc::channel(16);
    let client = fake.client();
    let follow = tokio::spawn(async move { client.follow(Some(41), &sender).await });
    let mut next = async || timeout(DEADLINE, events.recv()).await.unwrap().unwrap();
    assert!(matches!(next().await, Event::StreamOpened));
    assert!(fake.last_request().to_lowercase().contains("last-event-id: 41\r\n"));
    fake.events
        .send("id: 42\nevent: change\ndata: {}\n\n: alive\n\nid: 43\nevent: change\ndata: {}\n\n".to_owned())
        .unwrap();
    assert!(matches!(next().await, Event::Changed { id: Some(42) }));
    assert!(matches!(next().await, Event::Changed { id: Some(43) }));
    fake.events.send("end".to_owned()).unwrap();
    assert_eq!(link_word(&timeout(DEADLINE, follow).await.unwrap().unwrap()), "ended");
}

#[tokio::test]
async fn an_event_without_end_does_not_fill_the_memory() {
    let fake = Fake::start().await;
    let (sender, mut events) = mpsc::channel(16);
    let client = fake.client();
    let follow = tokio::spawn(async move { client.follow(None, &sender).await });
    assert!(matches!(timeout(DEADLINE, events.recv()).await.unwrap(), Some(Event::StreamOpened)));
    for _ in 0..5 {
        fake.events.send(format!(": {}\n", "x".repeat(64 << 10))).unwrap();
    }
    assert_eq!(link_word(&timeout(DEADLINE, follow).await.unwrap().unwrap()), "ended");
}

/// Runs the program as a script would: no terminal.
async fn sekisho(fake: &Fake, arguments: &[&str]) -> Output {
    let mut command = command(fake, arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn command(fake: &Fake, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.args(["--controller", &fake.address, "--lang", "ja"]).args(arguments).stdin(Stdio::null());
    command.arg("--ca").arg(fake.path("ca.pem")).arg("--token-file").arg(fake.path("token"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_changes_nothing() {
    let fake = Fake::start().await;
    for (arguments, code) in [(&["hosts"][..], 2), (&["stop", "--all", "--reason", "x"], 0)] {
        let mut command = command(&fake, arguments);
        let output = tokio::task::spawn_blocking(move || {
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(code), &b""[..]), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_before_a_stop_and_what_cannot_be_told_is_said() {
    let fake = Fake::start().await;
    fake.closed.lock().unwrap().extend([api::SET_BACK, api::UNLISTED_STOPS]);
    let output = sekisho(&fake, &["stop", "--all", "--reason", "x"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "it is in force: {output:?}");
    assert!(said.contains("503: unavailable: a drill"), "{said}");
    let first = fake.requests.lock().unwrap().first().cloned().unwrap_or_default();
    assert!(first.starts_with(&format!("POST {} ", api::STOPS)), "{first}");
    let output = sekisho(&fake, &["stops"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("503: unavailable: a drill").count(), 2, "{said}");
    // A controller of before has neither.
    fake.closed.lock().unwrap().clear();
    assert_eq!(sekisho(&fake, &["stops"]).await.stderr, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_ends_as_scripts_expect() {
    let fake = Fake::start().await;
    let sites = sekisho(&fake, &["sites", "--output", "json"]).await;
    assert_eq!(sites.status.code(), Some(2), "{sites:?}");
    assert_eq!(serde_json::from_slice::<api::FleetView>(&sites.stdout).unwrap(), fixture::fleet());
    let stop = sekisho(&fake, &["stop", "--all", "--reason", "誤交付"]).await;
    assert_eq!(stop.status.code(), Some(0), "{stop:?}");
    assert!(!stop.stdout.contains(&0x1b));
    assert!(String::from_utf8_lossy(&stop.stdout).contains("受領済み (2):"), "waited for: {stop:?}");
    let stops = sekisho(&fake, &["stops", "--output", "json"]).await;
    assert_eq!(stops.status.code(), Some(2), "{stops:?}");
    assert_eq!(serde_json::from_slice::<Vec<StopView>>(&stops.stdout).unwrap().len(), 2);
    let dashboard = sekisho(&fake, &[]).await;
    assert_eq!(dashboard.status.code(), Some(64), "no terminal, no dashboard: {dashboard:?}");
    assert!(String::from_utf8_lossy(&dashboard.stderr).contains("subcommand"));
    assert_eq!(sekisho(&fake, &["stop"]).await.status.code(), Some(64));
    assert_eq!(sekisho(&fake, &["--help"]).await.status.code(), Some(0));
    fake.write_token("wrong");
    let refused = sekisho(&fake, &["hosts"]).await;
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(3), 0), "{refused:?}");
}
