//! One host of a fleet: its files, its agent, its issuing program.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hyper::{Method, StatusCode};
use manifests::id::HostId;

use crate::baseline_text::FORMS;
use crate::http::{self, Address};
use crate::operator::text;
use crate::trees::{CHANGING_FILES, Masters, Release, link_tree, replace};
use crate::world::{Process, World};

/// How long an agent may take until its gate answers.
const AGENT_DEADLINE: Duration = Duration::from_secs(60);
/// How long `issuingd` may take to start.
const ISSUER_DEADLINE: Duration = Duration::from_secs(20);
/// How long a question for a certificate may take: that of the gate, and a little.
const ANSWER_DEADLINE: Duration = Duration::from_secs(8);

/// How a host's print lock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// As it must be.
    Exclusive,
    /// Wrong.
    Shared,
    /// Its key is missing.
    Missing,
}

/// How a host is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The release on its disk.
    pub release: Release,
    /// Its lock.
    pub lock: Lock,
    /// How it is linked to the register: `batch`, `on-demand-1`, `on-demand-2`.
    pub linkage: &'static str,
}

/// Where agents find their controller.
#[derive(Clone, Debug)]
pub struct Controllers {
    /// The product.
    pub product: String,
    /// Addresses.
    pub urls: Vec<String>,
    /// Their CA.
    pub ca: PathBuf,
    /// The first root.
    pub root: PathBuf,
}

/// An entry of `issuingd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The convenience stores'.
    Store,
    /// The city hall's.
    Counter,
}

impl Entry {
    /// Both.
    pub const ALL: [Entry; 2] = [Entry::Store, Entry::Counter];

    /// As gates are told it.
    pub fn name(self) -> &'static str {
        match self {
            Entry::Store => "store",
            Entry::Counter => "counter",
        }
    }
}

/// What came of asking for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issued {
    /// One came.
    Certificate,
    /// None came; the codes of the reasons.
    Refused(Vec<String>),
}

impl Issued {
    /// Whether none came for that reason.
    pub fn is_refused_for(&self, code: &str) -> bool {
        matches!(self, Issued::Refused(codes) if codes.iter().any(|found| found == code))
    }
}

impl std::fmt::Display for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Issued::Certificate => f.write_str("a certificate"),
            Issued::Refused(codes) => write!(f, "refused: {}", codes.join(", ")),
        }
    }
}

/// `issuingd` of one host.
struct Issuer {
    // Dropped with it: killed and waited for.
    process: Process,
    store: Address,
    counter: Address,
}

/// One host.
pub struct Host {
    world: Arc<World>,
    id: HostId,
    database: bool,
    files: PathBuf,
    own: PathBuf,
    socket: PathBuf,
    agent: Option<Process>,
    gate: Option<Address>,
    issuer: Option<Issuer>,
}

impl Host {
    /// Lays out the files of one host: the program's tree and its configuration below a directory
    /// that stands for the host's `/`, and the agent's own files elsewhere.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub fn prepare(world: &Arc<World>, masters: &Masters, id: HostId, setup: Setup) -> Result<Self> {
        let database = setup.release == Release::Register;
        let files = world.path().join("hosts").join(id.as_str());
        let own = world.path().join("agents").join(id.as_str());
        fs::create_dir_all(&own)?;
        let socket = world.sockets().join(format!("{id}.sock"));
        let host =
            Self { world: Arc::clone(world), id, database, files, own, socket, agent: None, gate: None, issuer: None };
        link_tree(&masters.root(setup.release), &host.program_root())?;
        if database {
            host.write("etc/register/register.ini", "[transaction]\nlock = exclusive\ntimeout = 20\n")?;
        } else {
            let linkage = setup.linkage;
            host.write("etc/issuing/print.ini", &print_ini(setup.lock))?;
            host.write(
                "etc/issuing/linkage.xml",
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<linkage>\n  <mode>batch</mode>\n  <timeout>60</timeout>\n</linkage>\n",
            )?;
            host.write(
                "etc/issuing/linkage.d/50-site.xml",
                &format!(
                    "<linkage>\n  <!-- set when the site was installed -->\n  <mode>{linkage}</mode>\n</linkage>\n"
                ),
            )?;
            host.write(
                "etc/issuing/jobs.properties",
                "# one at a time\nprint.jobs.per-session = 1\nprint.retries = 2\n",
            )?;
            host.write("etc/issuing/issuing.toml", "[sessions]\nmax = 8\nidle_s = 60\n")?;
            replace(&host.files.join("etc/issuing/forms.lst"), FORMS, 0o644)?;
        }
        Ok(host)
    }

    /// Its id.
    pub fn id(&self) -> &HostId {
        &self.id
    }

    /// Where its files are: what stands for its `/`.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// Where its agent's own files are.
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// Whether it issues certificates.
    pub fn issues(&self) -> bool {
        !self.database
    }

    fn program_root(&self) -> PathBuf {
        self.files.join(if self.database { "opt/register" } else { "opt/issuing" })
    }

    fn write(&self, path: &str, content: &str) -> Result<()> {
        let path = self.files.join(path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        replace(&path, content.as_bytes(), 0o644)
    }

    /// Writes the agent's configuration and enrols it.
    ///
    /// # Errors
    /// If the agent is refused.
    pub async fn enrol(&self, controllers: &Controllers, token: &str) -> Result<()> {
        let quote = |path: &Path| text(path).map(|text| format!("{text:?}"));
        let urls: Vec<String> = controllers.urls.iter().map(|url| format!("{url:?}")).collect();
        let config = format!(
            "product = {:?}\nhost = {:?}\ncontrollers = [{}]\nca = {}\nroot = {}\nstate = {}\nprefix = {}\n\n[gate]\nsocket = {}\nlisten = \"127.0.0.1:0\"\n",
            controllers.product,
            self.id.as_str(),
            urls.join(", "),
            quote(&controllers.ca)?,
            quote(&controllers.root)?,
            quote(&self.own.join("state"))?,
            quote(&self.files)?,
            quote(&self.socket)?,
        );
        fs::write(self.config(), config)?;
        let token_file = self.own.join("token");
        replace(&token_file, token.as_bytes(), 0o600)?;
        let config = self.config();
        self.world
            .run("sekisho-agent", &["enroll", "--config", text(&config)?, "--token-file", text(&token_file)?])
            .await
            .with_context(|| format!("cannot enrol {}", self.id))?;
        Ok(())
    }

    /// The agent's configuration file.
    pub fn config(&self) -> PathBuf {
        self.own.join("agent.toml")
    }

    /// Starts the agent and waits until its gate answers, open or not.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_agent(&mut self) -> Result<()> {
        self.spawn_agent(&[])?;
        self.agent_answers().await
    }

    /// Starts the agent as the last arguments of another program, and waits for nothing.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn_agent(&mut self, under: &[&str]) -> Result<()> {
        let config = self.config();
        let program = self.world.program("sekisho-agent");
        let args = ["run", "--config", text(&config)?];
        let name = format!("agent-{}", self.id);
        let agent = match under.split_first() {
            None => self.world.start(&name, &program, &args)?,
            Some((outer, first)) => {
                let args: Vec<&str> = first.iter().copied().chain([text(&program)?]).chain(args).collect();
                self.world.start(&name, Path::new(outer), &args)?
            }
        };
        self.agent = Some(agent);
        Ok(())
    }

    /// Waits until the gate of an agent that was started answers, open or not.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn agent_answers(&mut self) -> Result<()> {
        let agent = self.agent.as_mut().with_context(|| format!("the agent of {} is not running", self.id))?;
        self.gate = Some(
            agent.line("gate on http://", AGENT_DEADLINE).await.and_then(|rest| format!("http://{rest}").parse())?,
        );
        Ok(())
    }

    /// The agent's process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn agent(&mut self) -> Result<&mut Process> {
        self.agent.as_mut().with_context(|| format!("the agent of {} is not running", self.id))
    }

    /// Kills the agent with -9.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill_agent(&mut self) -> Result<()> {
        self.agent()?.kill()?;
        self.agent = None;
        Ok(())
    }

    /// Kills what runs here without waiting for its end; dropping the host does.
    pub fn end(&mut self) {
        let processes = self.agent.iter_mut().chain(self.issuer.iter_mut().map(|issuer| &mut issuer.process));
        processes.for_each(Process::end);
    }

    /// Asks the gate itself, over loopback HTTP.
    ///
    /// # Errors
    /// If it does not answer with 200 or 403.
    pub async fn ask_gate(&self) -> Result<Issued> {
        let gate = self.gate.as_ref().with_context(|| format!("the agent of {} was never started", self.id))?;
        outcome(&http::ask(gate, &Method::GET, "/v1/gate", &[], ANSWER_DEADLINE).await?)
    }

    /// Where the gate listens on loopback.
    pub fn gate(&self) -> Option<&Address> {
        self.gate.as_ref()
    }

    /// Starts `issuingd` from the host's own tree; an earlier one is ended first.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_issuer(&mut self) -> Result<()> {
        if let Some(mut issuer) = self.issuer.take() {
            issuer.process.terminate(ISSUER_DEADLINE).await?;
        }
        let (program, print_ini) = (self.program_root().join("bin/issuingd"), self.print_ini());
        let gate = format!("unix:{}", text(&self.socket)?);
        let args = ["--gate", &gate, "--print-ini", text(&print_ini)?];
        let mut process = self.world.start(&format!("issuingd-{}", self.id), &program, &args)?;
        let counter = process.line("counter on ", ISSUER_DEADLINE).await?.parse()?;
        let store = process.line("store on ", ISSUER_DEADLINE).await?.parse()?;
        self.issuer = Some(Issuer { process, store, counter });
        Ok(())
    }

    /// Where one entry of `issuingd` listens.
    ///
    /// # Errors
    /// If it does not run.
    pub fn entry(&self, entry: Entry) -> Result<&Address> {
        let issuer = self.issuer.as_ref().with_context(|| format!("no issuingd runs at {}", self.id))?;
        Ok(match entry {
            Entry::Store => &issuer.store,
            Entry::Counter => &issuer.counter,
        })
    }

    /// Asks for a certificate.
    ///
    /// # Errors
    /// If `issuingd` does not answer with 200 or 403.
    pub async fn ask(&self, entry: Entry) -> Result<Issued> {
        let answer = http::ask(self.entry(entry)?, &Method::POST, "/certificates", &[], ANSWER_DEADLINE).await;
        outcome(&answer.with_context(|| format!("issuingd of {}", self.id))?)
    }

    /// Where the print lock is set.
    pub fn print_ini(&self) -> PathBuf {
        self.files.join("etc/issuing/print.ini")
    }

    /// Sets the print lock with an editor that writes in place. Returns the moment when it was written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn set_print_lock(&self, lock: Lock) -> Result<Instant> {
        fs::write(self.print_ini(), print_ini(lock))?;
        Ok(Instant::now())
    }

    /// Sets the database's lock. Returns the moment when it was written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn set_register_lock(&self, value: &str) -> Result<Instant> {
        fs::write(
            self.files.join("etc/register/register.ini"),
            format!("[transaction]\nlock = {value}\ntimeout = 20\n"),
        )?;
        Ok(Instant::now())
    }

    /// Installs another release as a package manager does: the files that differ, each by rename.
    /// They are copies, so that no other host's files change in any way.
    ///
    /// # Errors
    /// If a file cannot be replaced.
    pub fn install(&self, masters: &Masters, release: Release) -> Result<()> {
        for file in CHANGING_FILES {
            let from = masters.root(release).join(file);
            let mode = if file.starts_with("bin/") { 0o755 } else { 0o644 };
            replace(&self.program_root().join(file), &fs::read(from)?, mode)?;
        }
        Ok(())
    }

    /// Alters one module.
    ///
    /// # Errors
    /// If it cannot be replaced.
    pub fn alter_module(&self) -> Result<()> {
        let path = self.program_root().join("lib/part-000.bin");
        let mut bytes = fs::read(&path)?;
        if let Some(byte) = bytes.get_mut(1000) {
            *byte ^= 1;
        }
        replace(&path, &bytes, 0o644)
    }
}

fn print_ini(lock: Lock) -> String {
    let line = match lock {
        Lock::Exclusive => "lock = exclusive\n",
        Lock::Shared => "lock = shared\n",
        Lock::Missing => "; lock = exclusive\n",
    };
    format!("; printing\n[printer]\ntray = 2\n\n[queue]\nsize = 16\n{line}")
}

fn outcome(answer: &http::Answer) -> Result<Issued> {
    match answer.status {
        StatusCode::OK => Ok(Issued::Certificate),
        StatusCode::FORBIDDEN => Ok(Issued::Refused(codes(&answer.body))),
        status => bail!("answered {status}: {}", answer.text()),
    }
}

/// The codes in a gate's answer; an answer without any is told as it is.
pub fn codes(body: &[u8]) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let reasons = json.get("reasons").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let mut codes: Vec<String> =
        reasons.iter().filter_map(|reason| reason.get("code")?.as_str()).map(str::to_owned).collect();
    codes.dedup();
    if codes.is_empty() { vec![String::from_utf8_lossy(body).chars().take(200).collect()] } else { codes }
}
