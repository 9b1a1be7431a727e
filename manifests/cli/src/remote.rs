//! Asking a controller: HTTPS under its own CA, bounded in time and size.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use manifests::api::ErrorBody;
use manifests::durable::{self, DurableError};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use crate::exit::{Exit, Fatal};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole question may take: a publish with file lists is many megabytes.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Most bytes read of an answer.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Most bytes read of a refusal.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// Most bytes read of the CA's certificates.
const CA_BYTES_MAX: u64 = 1 << 20;
/// Most bytes read of a token.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

/// Which controller, whom to trust, and who asks.
#[derive(Debug, clap::Args)]
#[group(skip)] // A group would bear the name of the subcommand's own.
pub(crate) struct Args {
    /// Address of a controller, as `https://controller.example.org:8443`.
    #[arg(long, value_name = "URL", env = "SEKISHO_CONTROLLER")]
    controller: Url,
    /// PEM file with the CA that the controller's certificate is checked against; no other counts.
    #[arg(long, value_name = "FILE", env = "SEKISHO_CA")]
    ca: PathBuf,
    /// File with your operator's token.
    #[arg(long, value_name = "FILE", env = "SEKISHO_TOKEN_FILE")]
    token_file: PathBuf,
}

/// A controller to ask.
#[derive(Debug)]
pub(crate) struct Remote {
    base: Url,
    client: Client,
    token: Zeroizing<String>,
    runtime: Runtime,
}

/// Why there is no answer, or none to go on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// CA or token cannot be read.
    #[error(transparent)]
    File(#[from] DurableError),
    /// The runtime did not start.
    #[error("cannot prepare a connection")]
    Runtime(#[source] io::Error),
    /// No certificate in the file.
    #[error("{} holds no certificate in PEM", path.display())]
    Ca { path: PathBuf },
    /// Nothing that could be sent in a header.
    #[error("{} holds no token: one line of printable ASCII", path.display())]
    Token { path: PathBuf },
    /// Not https.
    #[error("{url} is no https address of a controller")]
    Address { url: String },
    /// The client refused its configuration.
    #[error("cannot prepare a connection to {url}")]
    Client { url: String, source: reqwest::Error },
    /// No answer.
    #[error("{url} cannot be reached")]
    Unreachable { url: String, source: reqwest::Error },
    /// Sent, at least in part; the controller may have taken it.
    #[error("{url}: cut before the answer; whether it is in force is not known: publish again")]
    Cut { url: String, source: reqwest::Error },
    /// A refusal.
    #[error("the controller answers {status} to {url}: {code}: {message}")]
    Refused { url: String, status: u16, code: String, message: String },
    /// A success that cannot be read.
    #[error("the controller's answer to {url} cannot be read: {why}")]
    Answer { url: String, why: String },
}

impl Fatal for RemoteError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(_) | Self::Runtime(_) => Exit::Io,
            Self::Address { .. } => Exit::Usage,
            Self::Unreachable { .. } | Self::Cut { .. } | Self::Client { .. } => Exit::Unreachable,
            Self::Ca { .. } | Self::Token { .. } | Self::Refused { .. } | Self::Answer { .. } => Exit::Refused,
        }
    }
}

impl RemoteError {
    fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

impl Remote {
    /// Prepares to ask; sends nothing yet.
    pub(crate) fn new(args: &Args) -> Result<Self, RemoteError> {
        let base = args.controller.clone();
        if base.scheme() != "https" || base.cannot_be_a_base() {
            return Err(RemoteError::Address { url: base.to_string() });
        }
        let pem = durable::read_limited(&args.ca, CA_BYTES_MAX)?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(RemoteError::Ca { path: args.ca.clone() });
        }
        let token = token(&args.token_file)?;
        let client = Client::builder()
            .tls_certs_only(certificates)
            .https_only(true)
            // A proxy of the environment would see the token; a redirect would take it elsewhere.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|source| RemoteError::Client { url: base.to_string(), source })?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(RemoteError::Runtime)?;
        Ok(Self { base, client, token, runtime })
    }

    /// The controller's address.
    pub(crate) fn address(&self) -> &Url {
        &self.base
    }

    /// Reads `path`.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.ask(Method::GET, path, |request| request)
    }

    /// Sends `body` to `path`.
    pub(crate) fn send<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RemoteError> {
        self.ask(Method::POST, path, |request| request.json(body))
    }

    /// What the controller serves at `path`; `None` if there is nothing.
    pub(crate) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        match self.runtime.block_on(self.fetch(Method::GET, path, |request| request)) {
            Ok((_, bytes)) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The whole address of `path`.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, RemoteError> {
        let (url, bytes) = self.runtime.block_on(self.fetch(method, path, fill))?;
        serde_json::from_slice(&bytes).map_err(|error| RemoteError::Answer { url: url.into(), why: error.to_string() })
    }

    async fn fetch(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<(Url, Vec<u8>), RemoteError> {
        let url = self.url(path);
        // What asks for a change may have made it once there was a connection.
        let changes = method != Method::GET;
        let unreachable = |source: reqwest::Error| {
            let is_sent = changes && !source.is_connect();
            let (url, source) = (url.to_string(), source.without_url());
            if is_sent { RemoteError::Cut { url, source } } else { RemoteError::Unreachable { url, source } }
        };
        let request = self.client.request(method, url.clone()).bearer_auth(self.token.as_str());
        let mut response = fill(request).send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return match body(&mut response, ANSWER_BYTES_MAX).await.map_err(unreachable)? {
                Some(bytes) => Ok((url, bytes)),
                None => Err(RemoteError::Answer {
                    url: url.into(),
                    why: format!("it is larger than {ANSWER_BYTES_MAX} bytes"),
                }),
            };
        }
        let bytes = body(&mut response, REFUSAL_BYTES_MAX).await.map_err(unreachable)?.unwrap_or_default();
        let (code, message) = match serde_json::from_slice(&bytes) {
            Ok(ErrorBody { code, message, .. }) => (printable(&code), printable(&message)),
            Err(_) => ("no-code".to_owned(), "it gives no reason; is this a sekisho-controller?".to_owned()),
        };
        Err(RemoteError::Refused { url: url.into(), status: status.as_u16(), code, message })
    }
}

// `None` if it is longer than `max`.
async fn body(response: &mut Response, max: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len().saturating_add(chunk.len()) > max {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

fn token(path: &Path) -> Result<Zeroizing<String>, RemoteError> {
    let bytes = Zeroizing::new(durable::read_limited(path, TOKEN_BYTES_MAX)?);
    let token = bytes.trim_ascii();
    match std::str::from_utf8(token) {
        Ok(text) if !text.is_empty() && token.iter().all(u8::is_ascii_graphic) => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(RemoteError::Token { path: path.to_owned() }),
    }
}

// A controller's words go to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
