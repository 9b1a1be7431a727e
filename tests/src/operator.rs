//! A controller, and what an operator asks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use manifests::api::{self, FleetView, HostRow, SiteView, StopView};
use manifests::id::{HostId, SiteCode};
use manifests::key::SigningKey;
use serde::de::DeserializeOwned;

use crate::world::{Output, Process, World};

/// How long a controller may take to start.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long one answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// A controller's data directory, and its process while it runs.
pub struct Controller {
    world: Arc<World>,
    data: PathBuf,
    process: Option<Process>,
    root: PathBuf,
    address: String,
    client: reqwest::Client,
    token: String,
    token_file: PathBuf,
    more: Vec<String>,
}

impl Controller {
    /// `sekisho-controller init`: only the data directory, with its public half in `controller.json`.
    ///
    /// # Errors
    /// If the program refuses.
    pub async fn init(world: &World, id: &str, product: &str) -> Result<PathBuf> {
        let data = world.path().join(id);
        let place = data.to_str().context("a path that is not UTF-8")?;
        world.run("sekisho-controller", &["init", "--data", place, "--id", id, "--product", product]).await?;
        Ok(data)
    }

    /// Starts it on a port that the kernel chooses. `root` is the release managers' first root.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(world: &Arc<World>, data: PathBuf, root: PathBuf) -> Result<Self> {
        Self::start_with(world, data, root, Vec::new()).await
    }

    /// The same with more arguments of `serve`.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_with(world: &Arc<World>, data: PathBuf, root: PathBuf, more: Vec<String>) -> Result<Self> {
        let ca = fs::read(data.join("ca.pem"))?;
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca)?])
            .https_only(true)
            .no_proxy()
            .timeout(ANSWER_DEADLINE)
            .build()?;
        let token_file = data.join("admin.token");
        let token = fs::read_to_string(&token_file)?.trim().to_owned();
        let world = Arc::clone(world);
        let address = "127.0.0.1:0".to_owned();
        let mut controller = Self { world, data, process: None, root, address, client, token, token_file, more };
        controller.resume().await?;
        Ok(controller)
    }

    /// Starts it again, at the address it had.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn resume(&mut self) -> Result<()> {
        self.resume_under(&[]).await
    }

    /// The same as the last arguments of `env`, if there are others: `NAME=VALUE`, or a program that starts it.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn resume_under(&mut self, outer: &[String]) -> Result<()> {
        let (data, root) = (text(&self.data)?, text(&self.root)?);
        let controller = self.world.program("sekisho-controller");
        let mut args: Vec<&str> = outer.iter().map(String::as_str).collect();
        if !args.is_empty() {
            args.push(text(&controller)?);
        }
        args.extend(["serve", "--data", data, "--root", root, "--listen", &self.address]);
        args.extend(self.more.iter().map(String::as_str));
        let name = self.data.file_name().and_then(|name| name.to_str()).unwrap_or("main");
        let name = if name == "main" { "controller".to_owned() } else { format!("controller-{name}") };
        let program = if outer.is_empty() { controller.as_path() } else { Path::new("/usr/bin/env") };
        let mut process = self.world.start(&name, program, &args)?;
        let address = process.line("listening on https://", START_DEADLINE).await?;
        self.address = address.trim_end_matches('/').to_owned();
        self.process = Some(process);
        Ok(())
    }

    /// Starts it again on a copy of its data that lies on a disk of `mib` MiB, in a mount namespace of its
    /// own; the disk as others reach it. Needs root.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn resume_on_small_disk(&mut self, mib: u32) -> Result<PathBuf> {
        let (data, root) = (text(&self.data)?, text(&self.root)?);
        let program = self.world.program("sekisho-controller");
        let script = "mount -t tmpfs -o size=\"$1\"m disk /mnt && cp -a \"$2/.\" /mnt && exec \"$3\" serve \
                      --data /mnt --root \"$4\" --listen \"$5\"";
        let size = mib.to_string();
        let args = ["--mount", "--", "sh", "-c", script, "sh", &size, data, text(&program)?, root, &self.address];
        let mut process = self.world.start("controller-small", Path::new("/usr/bin/unshare"), &args)?;
        process.line("listening on https://", START_DEADLINE).await?;
        let disk = PathBuf::from(format!("/proc/{}/root/mnt", process.id()));
        self.process = Some(process);
        Ok(disk)
    }

    /// Its address, as agents are told it.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its CA.
    pub fn ca(&self) -> PathBuf {
        self.data.join("ca.pem")
    }

    /// The file with the first administrator's token.
    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// The process, while it runs.
    ///
    /// # Errors
    /// If it was killed.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the controller is not running")
    }

    /// Its process id, if it was not killed here.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Kills it with -9.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process()?.kill()?;
        self.process = None;
        Ok(())
    }

    /// One-time tokens of hosts, as `(host, token)`.
    ///
    /// # Errors
    /// If the program refuses.
    pub async fn host_tokens(&self, hosts: &[&str]) -> Result<Vec<(String, String)>> {
        let mut args = vec!["token", "host"];
        args.extend(hosts);
        args.extend(["--data", text(&self.data)?]);
        let printed = self.world.run("sekisho-controller", &args).await?;
        let tokens: Vec<(String, String)> = printed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(h, t)| (h.to_owned(), t.trim().to_owned()))
            .collect();
        if tokens.len() != hosts.len() {
            bail!("asked for {} tokens, got:\n{printed}", hosts.len());
        }
        Ok(tokens)
    }

    /// Runs the `sekisho` command as the operator.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn sekisho(&self, args: &[&str]) -> Result<Output> {
        self.sekisho_at(&self.url(), &self.ca(), args).await
    }

    /// The same through somebody between.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn sekisho_at(&self, url: &str, ca: &Path, args: &[&str]) -> Result<Output> {
        let mut all = vec!["--controller", url, "--ca", text(ca)?, "--token-file", text(&self.token_file)?];
        all.extend(args);
        self.world.output("sekisho", &all).await
    }

    /// All sites.
    ///
    /// # Errors
    /// If the controller does not answer, or not with 200.
    pub async fn fleet(&self) -> Result<FleetView> {
        self.get(api::SITES).await
    }

    /// One site.
    ///
    /// # Errors
    /// If the controller does not answer, or not with 200.
    pub async fn site(&self, code: &SiteCode) -> Result<SiteView> {
        self.get(&format!("{}/{code}", api::SITES)).await
    }

    /// All hosts.
    ///
    /// # Errors
    /// If the controller does not answer, or not with 200.
    pub async fn hosts(&self) -> Result<Vec<HostRow>> {
        self.get(api::HOSTS).await
    }

    /// One host.
    ///
    /// # Errors
    /// If the controller does not answer, or does not show it.
    pub async fn host_row(&self, id: &HostId) -> Result<HostRow> {
        self.hosts().await?.into_iter().find(|row| row.host == *id).with_context(|| format!("{id} is not shown"))
    }

    /// All stops, newest first, each with all its hosts: the list itself names a few of each.
    ///
    /// # Errors
    /// If the controller does not answer, or not with 200.
    pub async fn stops(&self) -> Result<Vec<StopView>> {
        let listed: Vec<StopView> = self.get(api::STOPS).await?;
        let mut stops = Vec::new();
        for stop in listed {
            stops.push(self.get(&format!("{}/{}", api::STOPS, stop.stop.digest)).await?);
        }
        Ok(stops)
    }

    /// Whether the controller can write its store.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn is_healthy(&self) -> Result<bool> {
        let url = format!("{}{}", self.url(), api::HEALTH);
        Ok(self.client.get(url).send().await?.status() == reqwest::StatusCode::OK)
    }

    /// The key it signs permits with: for what a controller taken over would do.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn permit_key(&self) -> Result<SigningKey> {
        self.online_key("permit")
    }

    /// One of its online keys: `permit`, `log`, `snapshot` or `timestamp`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn online_key(&self, name: &str) -> Result<SigningKey> {
        let pem = fs::read_to_string(self.data.join("keys").join(format!("{name}.pem")))?;
        SigningKey::from_pkcs8_pem(&pem).with_context(|| format!("the controller's {name} key"))
    }

    /// A file of its TUF repository, as `timestamp.json`.
    ///
    /// # Errors
    /// If it does not answer with 200.
    pub async fn metadata(&self, name: &str) -> Result<Vec<u8>> {
        let answer = self.client.get(format!("{}{}/{name}", self.url(), api::TUF)).send().await?.error_for_status()?;
        Ok(answer.bytes().await?.to_vec())
    }

    /// The client that trusts the controller's CA and nobody else.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let url = format!("{}{path}", self.url());
        let answer = self.client.get(&url).bearer_auth(&self.token).send().await?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        if !status.is_success() {
            bail!("GET {path}: {status} {}", String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).with_context(|| format!("GET {path}"))
    }
}

/// A path as an argument.
///
/// # Errors
/// If it is not UTF-8.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
