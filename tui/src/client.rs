//! Asks the controller: HTTPS under its own CA alone, no proxy, no redirects, bounded in time and size.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use manifests::api::{self, ErrorBody, FleetView, HostRow, ItemRow, SiteView, StopRequest, StopView};
use manifests::durable::{self, DurableError};
use manifests::id::SiteCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

mod stream;

/// The longest answer: 10,000 sites with a few reasons each take 8 MiB.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest CA file.
const CA_BYTES_MAX: u64 = 1 << 20;
/// The longest token file.
const TOKEN_BYTES_MAX: u64 = 4 << 10;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// A stream through a dead network path is noticed after at most two of these.
const STREAM_PING: Duration = Duration::from_secs(10);

/// Why the controller could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none, or not https.
    #[error("{text:?} is not an https address of a controller, such as https://controller.example:8443")]
    Address {
        /// As given.
        text: String,
    },
    /// A file cannot be read, or is too long.
    #[error("cannot read {what}")]
    Read {
        /// What it is for.
        what: &'static str,
        /// Why, with the file.
        source: DurableError,
    },
    /// The CA file holds no certificate, or the client cannot be made with it.
    #[error("{} holds no usable CA certificate in PEM form", path.display())]
    Ca {
        /// Which file.
        path: PathBuf,
        /// Why, where the library said it.
        source: Option<reqwest::Error>,
    },
    /// The token file does not hold one printable word.
    #[error("{} does not hold a token: one line of printable characters", path.display())]
    Token {
        /// Which file.
        path: PathBuf,
    },
    /// No connection, a TLS failure among others.
    #[error("cannot connect to {url}")]
    Connect {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("no answer in time from {url}")]
    Timeout {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer outside 2xx.
    #[error("{url} answered {status}: {code}: {message}")]
    Answered {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The controller's stable code, cleaned for terminals.
        code: String,
        /// In words, cleaned for terminals.
        message: String,
    },
    /// Longer than [`ANSWER_BYTES_MAX`].
    #[error("the answer from {url} is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLarge {
        /// What was asked.
        url: String,
    },
    /// Not the JSON that was expected.
    #[error("the answer from {url} is not understood")]
    Answer {
        /// What was asked.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The stream of events ended or broke.
    #[error("the stream of events from {url} ended")]
    Ended {
        /// What was asked.
        url: String,
    },
}

impl ClientError {
    /// A stable word; `link-CODE` is its text for people.
    pub const fn code(&self) -> &'static str {
        match self {
            ClientError::Address { .. }
            | ClientError::Read { .. }
            | ClientError::Ca { .. }
            | ClientError::Token { .. }
            | ClientError::Connect { .. } => "connect",
            ClientError::Timeout { .. } => "timeout",
            ClientError::Answered { status: 401 | 403, .. } => "refused",
            ClientError::Answered { .. } => "status",
            ClientError::TooLarge { .. } => "too-large",
            ClientError::Answer { .. } => "answer",
            ClientError::Ended { .. } => "ended",
        }
    }

    /// What is behind [`ClientError::code`], in one line cleaned for terminals, as `invalid peer
    /// certificate: UnknownIssuer`. Empty where the code says it all.
    pub fn cause(&self) -> String {
        let said = match self {
            ClientError::Answered { status, code, .. } => format!("{status} {code}"),
            ClientError::Timeout { .. } | ClientError::TooLarge { .. } | ClientError::Ended { .. } => String::new(),
            ClientError::Address { .. }
            | ClientError::Read { .. }
            | ClientError::Ca { .. }
            | ClientError::Token { .. }
            | ClientError::Connect { .. }
            | ClientError::Answer { .. } => {
                // The innermost cause is the one that somebody can mend.
                let first = std::error::Error::source(self);
                let last = std::iter::successors(first, |error| error.source()).last();
                last.map(ToString::to_string).unwrap_or_default()
            }
        };
        crate::cells::cut(&said, 120)
    }
}

/// A controller and the right to ask it.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    authorization: HeaderValue,
}

impl Client {
    /// A client of the controller at `address`, which must show a certificate under the CA in `ca`.
    /// A rustls crypto provider must be installed.
    ///
    /// # Errors
    /// [`ClientError`] where the address, the CA or the token is of no use. Nothing is connected yet.
    pub fn new(address: &str, ca: &Path, token: &Path) -> Result<Self, ClientError> {
        let bad_address = || ClientError::Address { text: address.to_owned() };
        let url: Url = address.parse().map_err(|_| bad_address())?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if url.scheme() != "https" || !plain {
            return Err(bad_address());
        }
        let pem =
            durable::read_limited(ca, CA_BYTES_MAX).map_err(|source| ClientError::Read { what: "the CA", source })?;
        let no_ca = |source| ClientError::Ca { path: ca.to_owned(), source };
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| no_ca(Some(e)))?;
        if certificates.is_empty() {
            return Err(no_ca(None));
        }
        let http = reqwest::Client::builder()
            .tls_certs_only(certificates)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .http2_keep_alive_interval(STREAM_PING)
            .http2_keep_alive_timeout(STREAM_PING)
            .http2_keep_alive_while_idle(true)
            .build()
            .map_err(|e| no_ca(Some(e)))?;
        let authorization = authorization(token)?;
        Ok(Self { http, base: url.as_str().trim_end_matches('/').to_owned(), authorization })
    }

    /// The controller's address, without a slash at its end.
    pub fn address(&self) -> &str {
        &self.base
    }

    /// Counts and rows of all sites.
    ///
    /// # Errors
    /// [`ClientError`], as all questions below.
    pub async fn fleet(&self) -> Result<FleetView, ClientError> {
        self.get(api::SITES).await
    }

    /// One site with its hosts and their items.
    ///
    /// # Errors
    /// [`ClientError::Answered`] with status 404 if the registry does not have it.
    pub async fn site(&self, code: &SiteCode) -> Result<SiteView, ClientError> {
        self.get(&format!("{}/{code}", api::SITES)).await
    }

    /// Every listed host.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn hosts(&self) -> Result<Vec<HostRow>, ClientError> {
        self.get(api::HOSTS).await
    }

    /// Every item of the baseline over the fleet.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn items(&self) -> Result<Vec<ItemRow>, ClientError> {
        self.get(api::ITEMS).await
    }

    /// Every stop, newest first.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn stops(&self) -> Result<Vec<StopView>, ClientError> {
        self.get(api::STOPS).await
    }

    /// Stops sites, at once.
    ///
    /// # Errors
    /// [`ClientError::Answered`] with 403 if the token's role may not.
    pub async fn stop(&self, request: &StopRequest) -> Result<StopView, ClientError> {
        self.ask(self.http.post(self.url(api::STOPS)).json(request), api::STOPS).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(self.http.get(self.url(path)), path).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder, path: &str) -> Result<T, ClientError> {
        let url = self.url(path);
        let request = request.timeout(ANSWER_TIME_MAX).header(AUTHORIZATION, self.authorization.clone());
        let response = request.send().await.map_err(|source| unanswered(&url, source))?;
        let status = response.status().as_u16();
        let body = body(response, &url).await?;
        understand(&url, status, &body)
    }
}

fn unanswered(url: &str, source: reqwest::Error) -> ClientError {
    let url = url.to_owned();
    if source.is_timeout() && !source.is_connect() {
        ClientError::Timeout { url, source }
    } else {
        ClientError::Connect { url, source }
    }
}

async fn body(response: Response, url: &str) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|source| unanswered(url, source))?;
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::TooLarge { url: url.to_owned() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a status and a body say.
///
/// # Errors
/// [`ClientError::Answered`] outside 2xx, [`ClientError::Answer`] for a body of another shape.
pub fn understand<T: DeserializeOwned>(url: &str, status: u16, body: &[u8]) -> Result<T, ClientError> {
    if (200..300).contains(&status) {
        return serde_json::from_slice(body).map_err(|source| ClientError::Answer { url: url.to_owned(), source });
    }
    // Whatever answers outside 2xx may be no controller at all: its words are cut and cleaned.
    let said = serde_json::from_slice::<ErrorBody>(body).ok();
    let word = |text: &str| crate::cells::cut(text, 300);
    Err(ClientError::Answered {
        url: url.to_owned(),
        status,
        code: said.as_ref().map_or_else(|| "no-code".to_owned(), |said| word(&said.code)),
        message: said.as_ref().map_or_else(|| "no message".to_owned(), |said| word(&said.message)),
    })
}

fn authorization(path: &Path) -> Result<HeaderValue, ClientError> {
    let bytes = durable::read_limited(path, TOKEN_BYTES_MAX)
        .map_err(|source| ClientError::Read { what: "the token", source })?;
    let no_token = || ClientError::Token { path: path.to_owned() };
    let token = std::str::from_utf8(&bytes).map_err(|_| no_token())?.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(no_token());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| no_token())?;
    value.set_sensitive(true); // Never in a log.
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_shape_or_an_error() {
        let hosts: Result<Vec<HostRow>, _> = understand("u", 200, b"[]");
        assert_eq!(hosts.unwrap(), []);
        let error = understand::<Vec<HostRow>>("u", 200, b"{}").unwrap_err();
        assert_eq!(error.code(), "answer");
        let error =
            understand::<Vec<HostRow>>("u", 403, br#"{"code":"role","message":"a \u001b[31mviewer"}"#).unwrap_err();
        assert_eq!(error.code(), "refused");
        assert_eq!(error.to_string(), "u answered 403: role: a \\u{1b}[31mviewer");
        let error = understand::<Vec<HostRow>>("u", 502, b"<html>").unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), ("status", "u answered 502: no-code: no message"));
    }

    #[test]
    fn only_https_and_whole_files_are_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let (ca, token) = (directory.path().join("ca.pem"), directory.path().join("token"));
        let error = |address: &str| Client::new(address, &ca, &token).map(|_| ()).unwrap_err();
        for address in ["http://127.0.0.1:1", "127.0.0.1:1", "https://a/b", "https://u:p@a", "https://a?b", ""] {
            assert!(matches!(error(address), ClientError::Address { .. }), "{address}");
        }
        assert!(matches!(error("https://127.0.0.1:1"), ClientError::Read { what: "the CA", .. }));
        std::fs::write(&ca, "no certificate").unwrap();
        assert!(matches!(error("https://127.0.0.1:1"), ClientError::Ca { .. }));
        for text in ["", "\n", "two words", "t\u{1b}"] {
            std::fs::write(&token, text).unwrap();
            assert!(matches!(authorization(&token), Err(ClientError::Token { .. })), "{text:?}");
        }
        std::fs::write(&token, "x".repeat(5000)).unwrap();
        assert!(matches!(authorization(&token), Err(ClientError::Read { .. })));
        std::fs::write(&token, "word\n").unwrap();
        assert_eq!(authorization(&token).unwrap().to_str().unwrap(), "Bearer word");
    }
}
