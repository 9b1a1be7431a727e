//! Why a controller was not asked, or gave no answer to go on with.

use std::path::PathBuf;

use manifests::api::ErrorBody;
use manifests::durable::DurableError;

/// Why there is no answer, or none to go on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none, or not https.
    #[error("{text:?} is no https address of a controller, such as https://controller.example:8443")]
    Address {
        /// As given.
        text: String,
    },
    /// A file cannot be read, or is too long.
    #[error("cannot read {what}")]
    File {
        /// What it is for.
        what: &'static str,
        /// Why, with the file.
        source: DurableError,
    },
    /// The CA file holds no certificate.
    #[error("{} holds no certificate in PEM", path.display())]
    Ca {
        /// Which file.
        path: PathBuf,
    },
    /// The CA file holds certificates, and none of them can have signed a controller's.
    #[error(
        "{} names no CA: {subject} is a certificate that another CA signed, and signs none itself; put the certificate \
         of the CA there, which init writes as ca.pem",
        path.display()
    )]
    NoCa {
        /// Which file.
        path: PathBuf,
        /// Whose certificate is there, the first one.
        subject: String,
    },
    /// The token file holds nothing that could be sent in a header.
    #[error("{} holds no token: one line of printable ASCII", path.display())]
    Token {
        /// Which file.
        path: PathBuf,
    },
    /// Others than its owner can read the token, or put another in its place.
    #[error(
        "{} is open to others (mode {mode:o}); run `chmod 600` on it, and if others could read it, have the token \
         replaced",
        path.display()
    )]
    TokenMode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The client cannot be made.
    #[error("cannot prepare a connection")]
    Prepare {
        /// Why.
        source: reqwest::Error,
    },
    /// No connection, a TLS failure among others; or it broke, and nothing can have changed.
    #[error("{url} cannot be reached")]
    Connect {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No answer in time, and nothing can have changed.
    #[error("no answer in time from {url}")]
    Timeout {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// A change was asked for, at least in part, and the answer did not come: it may have been made.
    #[error("the connection to {url} ended before the answer")]
    Cut {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Nothing moved for so long; what was handed in may have been taken.
    #[error("nothing moved to {url} for {} s", after.as_secs())]
    Stalled {
        /// What was asked.
        url: String,
        /// How long was waited.
        after: std::time::Duration,
    },
    /// An answer outside 2xx.
    #[error("{url} answers {status}: {}: {}", body.code, body.message)]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The controller's stable code and words, without control characters. Whatever answers may be
        /// no controller: then the code is `no-code`.
        body: ErrorBody,
        /// `Retry-After`: whoever answers asks to be left alone so long. Up to whoever asks.
        retry_after: Option<std::time::Duration>,
    },
    /// Longer than it may be.
    #[error("the answer from {url} is longer than {max} bytes")]
    TooLarge {
        /// What was asked.
        url: String,
        /// Most bytes allowed.
        max: u64,
    },
    /// A success that is not of the form expected.
    #[error("the answer from {url} is not understood: {why}")]
    Answer {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A stream of events ended or broke.
    #[error("the stream of events from {url} ended")]
    Ended {
        /// What was asked.
        url: String,
    },
}

impl ClientError {
    /// The stable code of what went wrong on this side; what a controller refuses has a code of its own,
    /// in [`ClientError::refusal`].
    pub const fn code(&self) -> &'static str {
        match self {
            ClientError::Address { .. } => "address",
            ClientError::File { .. } => "file",
            ClientError::Ca { .. } => "ca",
            ClientError::NoCa { .. } => "no-ca",
            ClientError::Token { .. } => "token-file",
            ClientError::TokenMode { .. } => "token-mode",
            ClientError::Prepare { .. } => "prepare",
            ClientError::Connect { .. } => "connect",
            ClientError::Timeout { .. } => "timeout",
            ClientError::Cut { .. } => "cut",
            ClientError::Stalled { .. } => "stalled",
            ClientError::Refused { .. } => "status",
            ClientError::TooLarge { .. } => "too-large",
            ClientError::Answer { .. } => "answer",
            ClientError::Ended { .. } => "ended",
        }
    }

    /// The controller's stable code and words, where it refused.
    pub const fn refusal(&self) -> Option<&ErrorBody> {
        match self {
            ClientError::Refused { body, .. } => Some(body),
            _ => None,
        }
    }

    /// How long whoever answered asks to be left alone.
    pub const fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            ClientError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status outside 2xx, where there was an answer.
    pub const fn status(&self) -> Option<u16> {
        match self {
            ClientError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether nobody answered: another controller may.
    pub const fn is_unanswered(&self) -> bool {
        matches!(
            self,
            ClientError::Connect { .. }
                | ClientError::Timeout { .. }
                | ClientError::Cut { .. }
                | ClientError::Stalled { .. }
        )
    }
}
