//! The client of `manifests::tuf` behind the command line that the TUF conformance suite drives
//! (its `CLIENT-CLI.md`): `init`, `refresh` and `download`. Run by `tests/conformance`.
//!
//! Not for use: it takes its first root from where it was told once and asks any address over HTTP.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use manifests::durable;
use manifests::time::Time;
use manifests::tuf::{Fetch, FetchError, FileStore, ROOT_BYTES_MAX, TARGET_FILE_BYTES_MAX, TufClient};
use reqwest::StatusCode;

/// The first root. Its name does not end in `.json`: the suite takes such files for roles.
const FIRST_ROOT: &str = "first_root";

#[derive(Parser)]
struct Args {
    #[arg(long)]
    metadata_dir: PathBuf,
    #[arg(long)]
    metadata_url: Option<String>,
    #[arg(long)]
    target_name: Vec<String>,
    #[arg(long)]
    target_base_url: Option<String>,
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init { trusted_root: PathBuf },
    Refresh,
    Download,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.command {
        Command::Init { trusted_root } => init(&args.metadata_dir, trusted_root),
        Command::Refresh => refreshed(&args).map(|_| ()),
        Command::Download => download(&args),
    }
}

fn init(metadata_dir: &Path, trusted_root: &Path) -> anyhow::Result<()> {
    let root = durable::read_limited(trusted_root, ROOT_BYTES_MAX)?;
    // The suite counts root.json as trusted from here on; the client would save it at its first refresh.
    durable::replace(&metadata_dir.join("root.json"), &root, durable::PRIVATE)?;
    durable::replace(&metadata_dir.join(FIRST_ROOT), &root, durable::PRIVATE)?;
    Ok(())
}

fn refreshed(args: &Args) -> anyhow::Result<TufClient<FileStore, Http>> {
    let first_root = durable::read_limited(&args.metadata_dir.join(FIRST_ROOT), ROOT_BYTES_MAX)?;
    let http = Http::new(args)?;
    let mut client = TufClient::new(&first_root, FileStore::new(&args.metadata_dir), http)?;
    client.refresh(now()?)?;
    Ok(client)
}

fn download(args: &Args) -> anyhow::Result<()> {
    let directory = args.target_dir.as_deref().context("download needs --target-dir")?;
    let mut client = refreshed(args)?;
    for name in &args.target_name {
        let info = client.target(name)?;
        // One name per target path, and none outside the directory.
        let path = directory.join(name.replace('%', "%25").replace('/', "%2F"));
        let kept = durable::read_limited(&path, TARGET_FILE_BYTES_MAX);
        if kept.is_ok_and(|bytes| info.verify(&bytes).is_ok()) {
            continue;
        }
        durable::replace(&path, &client.download(name)?, durable::PRIVATE)?;
    }
    Ok(())
}

fn now() -> anyhow::Result<Time> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(Time::from_unix_ms(i64::try_from(since_1970.as_millis())?))
}

/// A repository behind HTTP, asked one file at a time.
struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    metadata_url: String,
    target_url: Option<String>,
}

impl Http {
    fn new(args: &Args) -> anyhow::Result<Self> {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            bail!("another cryptographic provider is installed");
        }
        let metadata_url = args.metadata_url.clone().context("this command needs --metadata-url")?;
        Ok(Self {
            runtime: tokio::runtime::Runtime::new()?,
            client: reqwest::Client::builder().no_proxy().build()?,
            metadata_url,
            target_url: args.target_base_url.clone(),
        })
    }

    fn read(&self, base: &str, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let unreachable = |error: reqwest::Error| FetchError::Unreachable(error.to_string());
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        self.runtime.block_on(async {
            let mut response = self.client.get(url).send().await.map_err(unreachable)?;
            if response.status() == StatusCode::NOT_FOUND {
                return Err(FetchError::NotFound);
            }
            response.error_for_status_ref().map_err(unreachable)?;
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
                bytes.extend_from_slice(&chunk);
                if u64::try_from(bytes.len()).is_ok_and(|length| length > max_bytes) {
                    return Err(FetchError::TooLarge);
                }
            }
            Ok(bytes)
        })
    }
}

impl Fetch for Http {
    fn fetch(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.read(&self.metadata_url, path, max_bytes)
    }

    fn fetch_target(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let base = self.target_url.as_deref().ok_or_else(|| FetchError::Unreachable("no --target-base-url".into()))?;
        self.read(base, path, max_bytes)
    }
}
