//! Asking a controller, one question after the other.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ::client::{Address, AskLimits, Client, ClientError, Request, Token};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use crate::exit::{Exit, Fatal};

/// AskLimits of a question and its answer: a publish with file lists is many megabytes.
const LIMITS: AskLimits = AskLimits {
    connect: Duration::from_secs(10),
    answer: Duration::from_secs(300),
    silence: None,
    ping: None,
    answer_bytes: 32 << 20,
};

/// Which controller, whom to trust, and who asks.
#[derive(Debug, clap::Args)]
#[group(skip)] // A group would bear the name of the subcommand's own.
pub(crate) struct Args {
    /// Address of a controller, as `https://controller.example.org:8443`.
    #[arg(long, value_name = "URL", env = "SEKISHO_CONTROLLER")]
    controller: String,
    /// PEM file with the CA that the controller's certificate is checked against; no other counts.
    #[arg(long, value_name = "FILE", env = "SEKISHO_CA")]
    ca: PathBuf,
    /// File with your operator's token.
    #[arg(long, value_name = "FILE", env = "SEKISHO_TOKEN_FILE")]
    token_file: PathBuf,
}

/// As [`Args`], where no controller need be named.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct OptionalArgs {
    /// Address of a controller to ask, as `https://controller.example.org:8443`.
    #[arg(long, value_name = "URL", env = "SEKISHO_CONTROLLER")]
    controller: Option<String>,
    /// PEM file with the CA that the controller's certificate is checked against; no other counts.
    #[arg(long, value_name = "FILE", env = "SEKISHO_CA")]
    ca: Option<PathBuf>,
    /// File with your operator's token.
    #[arg(long, value_name = "FILE", env = "SEKISHO_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl OptionalArgs {
    /// The controller, if one was named, with its CA and a token.
    ///
    /// # Errors
    ///
    /// If one was named without them: whoever names a controller is not to believe that it was asked.
    pub(crate) fn remote(&self) -> Result<Option<Remote>, RemoteError> {
        let Some(controller) = self.controller.clone() else { return Ok(None) };
        let missing = |option| RemoteError::Missing { controller: controller.clone(), option };
        let ca = self.ca.clone().ok_or_else(|| missing("--ca (SEKISHO_CA)"))?;
        let token_file = self.token_file.clone().ok_or_else(|| missing("--token-file (SEKISHO_TOKEN_FILE)"))?;
        Remote::new(&Args { controller, ca, token_file }).map(Some)
    }
}

/// Which controllers, one or several.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct SeveralArgs {
    /// Address of a controller, as `https://controller.example.org:8443`; repeat for each.
    #[arg(long = "controller", value_name = "URL", env = "SEKISHO_CONTROLLER", required = true)]
    controllers: Vec<String>,
    /// PEM file with the CA that the certificate is checked against: one for all, or one for each in their order.
    #[arg(long = "ca", value_name = "FILE", env = "SEKISHO_CA", required = true)]
    cas: Vec<PathBuf>,
    /// File with your operator's token: one for all, or one for each in their order.
    #[arg(long = "token-file", value_name = "FILE", env = "SEKISHO_TOKEN_FILE", required = true)]
    token_files: Vec<PathBuf>,
}

impl SeveralArgs {
    /// Each of them.
    pub(crate) fn each(&self) -> Result<Vec<Args>, RemoteError> {
        let count = self.controllers.len();
        let of = |files: &[PathBuf], index: usize| match files {
            [one] => Some(one.clone()),
            each if each.len() == count => each.get(index).cloned(),
            _ => None,
        };
        let args = self.controllers.iter().enumerate().map(|(index, controller)| {
            let (ca, token_file) = (of(&self.cas, index)?, of(&self.token_files, index)?);
            Some(Args { controller: controller.clone(), ca, token_file })
        });
        args.collect::<Option<_>>().ok_or(RemoteError::Count { controllers: count })
    }
}

impl Args {
    /// The address as it was given.
    pub(crate) fn controller(&self) -> &str {
        &self.controller
    }
}

/// A controller to ask.
#[derive(Debug)]
pub(crate) struct Remote {
    address: Address,
    client: Client,
    token: Token,
    runtime: Runtime,
}

/// Why there is no answer, or none to go on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// The runtime did not start.
    #[error("cannot prepare a connection")]
    Runtime(#[source] io::Error),
    /// It cannot be asked.
    #[error("the controller {controller} is named, and {option} is not: name it, too, or no controller")]
    Missing {
        /// As it was given.
        controller: String,
        /// What is missing.
        option: &'static str,
    },
    /// Nobody can tell which file is whose.
    #[error("name one --ca and one --token-file for all {controllers} controllers, or one for each in their order")]
    Count {
        /// How many controllers are named.
        controllers: usize,
    },
    /// The client has no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Fatal for RemoteError {
    fn exit(&self) -> Exit {
        match self {
            Self::Runtime(_) | Self::Client(ClientError::File { .. }) => Exit::Io,
            Self::Count { .. } | Self::Missing { .. } | Self::Client(ClientError::Address { .. }) => Exit::Usage,
            Self::Client(ClientError::Prepare { .. }) => Exit::Unreachable,
            Self::Client(error) if error.is_unanswered() => Exit::Unreachable,
            Self::Client(_) => Exit::Refused,
        }
    }
}

impl RemoteError {
    /// Whether a change was asked for and the answer did not come.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Self::Client(ClientError::Cut { .. }))
    }
}

impl Remote {
    /// Prepares to ask; sends nothing yet.
    pub(crate) fn new(args: &Args) -> Result<Self, RemoteError> {
        let address = Address::parse(&args.controller)?;
        let client = Client::new(&args.ca, LIMITS)?;
        let token = Token::of_operator(&args.token_file)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(RemoteError::Runtime)?;
        Ok(Self { address, client, token, runtime })
    }

    /// The controller's address.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Reads `path`.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.ask(self.client.get(self.address.url(path)))
    }

    /// Sends `body` to `path`.
    pub(crate) fn send<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RemoteError> {
        self.ask(self.client.post(self.address.url(path)).json(body))
    }

    /// What the controller serves at `path`; `None` if there is nothing.
    pub(crate) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        let request = self.client.get(self.address.url(path)).token(&self.token);
        match self.runtime.block_on(self.client.bytes(request, LIMITS.answer_bytes)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the controller serves at `path` is not what it should be.
    pub(crate) fn misread(&self, path: &str, why: String) -> RemoteError {
        ClientError::Answer { url: self.address.url(path), why }.into()
    }

    fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, RemoteError> {
        Ok(self.runtime.block_on(self.client.ask(request.token(&self.token)))?)
    }
}
