//! Questions, and the one mapping from what comes back to an answer or an error.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use manifests::api::ErrorBody;
use manifests::durable;
use manifests::time::Time;
use reqwest::header::{DATE, ETAG, HeaderMap, RETRY_AFTER};
use reqwest::{Body, Certificate, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use x509_parser::pem::Pem;

use crate::error::ClientError;
use crate::token::Token;

/// Most bytes read of the CA's certificates.
const CA_BYTES_MAX: u64 = 1 << 20;
/// Most bytes read of a refusal. A refused publish names every problem, up to 64 KiB before JSON escapes them.
const REFUSAL_BYTES_MAX: u64 = 512 << 10;

/// How long a question may take, and how much may come back.
#[derive(Clone, Copy, Debug)]
pub struct AskLimits {
    /// Until there is a connection.
    pub connect: Duration,
    /// From the question to the end of the answer. A stream has no such limit.
    pub answer: Duration,
    /// Longest time in which nothing comes, of streams above all; none if [`AskLimits::ping`] finds that out.
    pub silence: Option<Duration>,
    /// How often HTTP/2 asks whether the other side is there; none to ask never.
    pub ping: Option<Duration>,
    /// Most bytes of an answer.
    pub answer_bytes: u64,
}

/// How long a transfer of many bytes may take over a slow line.
#[derive(Clone, Copy, Debug)]
pub struct TransferLimits {
    /// Longest time in which nothing is taken.
    pub still: Duration,
    /// From the question to the end of the answer.
    pub whole: Duration,
}

/// Most bytes of a transfer that are handed to the connection at once.
const PIECE_BYTES: usize = 16 << 10;

/// Asks controllers whose certificates are signed by one CA.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    /// The same without [`AskLimits::silence`], which would count from the first byte sent to the first that comes.
    uploads: reqwest::Client,
    limits: AskLimits,
}

/// A question that was not asked yet.
#[derive(Debug)]
#[must_use = "a request does nothing until it is asked"]
pub struct Request {
    inner: RequestBuilder,
    url: String,
    /// Whether it asks for a change, which may have been made although no answer came.
    changes: bool,
}

impl Request {
    fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { inner: change(self.inner), ..self }
    }

    /// Says who asks, by a token that was read from a file.
    pub fn token(self, token: &Token) -> Self {
        self.bearer(token.as_str())
    }

    /// Says who asks, by a token or session.
    pub fn bearer(self, word: &str) -> Self {
        self.with(|inner| inner.bearer_auth(word))
    }

    /// Adds a header.
    pub fn header(self, name: &'static str, value: impl ToString) -> Self {
        self.with(|inner| inner.header(name, value.to_string()))
    }

    /// Sends `body` as JSON.
    pub fn json(self, body: &impl Serialize) -> Self {
        self.with(|inner| inner.json(body))
    }

    /// Sends `bytes`, which are JSON already.
    pub fn json_bytes(self, bytes: Vec<u8>) -> Self {
        self.header("content-type", "application/json").bytes(bytes)
    }

    /// Sends `bytes`.
    pub fn bytes(self, bytes: Vec<u8>) -> Self {
        self.with(|inner| inner.body(bytes))
    }
}

/// An answer whose body was not read yet.
#[derive(Debug)]
pub struct OpenAnswer {
    response: Response,
    url: String,
    changes: bool,
}

impl OpenAnswer {
    /// The body as it comes, without a limit.
    pub fn chunks(self) -> impl Stream<Item = Result<impl AsRef<[u8]>, ClientError>> {
        let Self { response, url, changes } = self;
        response.bytes_stream().map_err(move |source| unanswered(&url, changes, source))
    }

    /// This answer, if it is one 2xx.
    async fn accepted(self) -> Result<Self, ClientError> {
        let status = self.response.status();
        if status.is_success() {
            return Ok(self);
        }
        let (url, retry_after) = (self.url.clone(), retry_after(self.response.headers()));
        // Whatever is said, it is a refusal; how it ends is no better reason.
        let body = self.read(REFUSAL_BYTES_MAX).await.unwrap_or_default();
        Err(refused(url, status.as_u16(), &body, retry_after))
    }

    /// The whole body of at most `max` bytes.
    ///
    /// # Errors
    /// [`ClientError::TooLarge`]; [`ClientError::is_unanswered`] if it broke off.
    pub async fn read(mut self, max: u64) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        loop {
            let chunk = self.response.chunk().await;
            match chunk.map_err(|source| unanswered(&self.url, self.changes, source))? {
                None => return Ok(body),
                Some(chunk) => body.extend_from_slice(&chunk),
            }
            if !u64::try_from(body.len()).is_ok_and(|length| length <= max) {
                return Err(ClientError::TooLarge { url: self.url, max });
            }
        }
    }
}

/// What comes for a question whose answer was there already.
#[derive(Debug)]
pub enum Again<T> {
    /// It is that answer still.
    Same {
        /// When it was, by the other side's clock, which says it to the second; none if it does not say so.
        time: Option<Time>,
    },
    /// It is another one.
    Other {
        /// The answer.
        answer: T,
        /// What it can be asked for again by.
        tag: Option<String>,
    },
}

impl Client {
    /// A client that trusts the certificates in the PEM file `ca` alone and speaks nothing but HTTPS.
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// [`ClientError::File`], [`ClientError::Ca`], [`ClientError::NoCa`], [`ClientError::Prepare`].
    pub fn new(ca: &Path, limits: AskLimits) -> Result<Self, ClientError> {
        // Fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pem =
            durable::read_limited(ca, CA_BYTES_MAX).map_err(|source| ClientError::File { what: "the CA", source })?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(ClientError::Ca { path: ca.to_owned() });
        }
        if let Some(subject) = signs_nothing(&pem) {
            return Err(ClientError::NoCa { path: ca.to_owned(), subject });
        }
        let builder = || {
            let builder = reqwest::Client::builder()
                .tls_certs_only(certificates.clone())
                .https_only(true)
                // A proxy of the environment would see the token, and a redirect would take it elsewhere.
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(limits.connect);
            match limits.ping {
                Some(ping) => builder
                    .http2_keep_alive_interval(ping)
                    .http2_keep_alive_timeout(ping)
                    .http2_keep_alive_while_idle(true),
                None => builder,
            }
        };
        let prepare = |source| ClientError::Prepare { source };
        let uploads = builder().build().map_err(prepare)?;
        let http = match limits.silence {
            Some(silence) => builder().read_timeout(silence).build().map_err(prepare)?,
            None => uploads.clone(),
        };
        Ok(Self { http, uploads, limits })
    }

    /// A question that changes nothing.
    pub fn get(&self, url: String) -> Request {
        self.request(Method::GET, url)
    }

    /// A question that asks for something to be made.
    pub fn post(&self, url: String) -> Request {
        self.request(Method::POST, url)
    }

    /// A question that asks for something to be kept.
    pub fn put(&self, url: String) -> Request {
        self.request(Method::PUT, url)
    }

    /// A question that asks for many bytes to be kept: for [`Client::upload`].
    pub fn uploading(&self, url: String) -> Request {
        Request { changes: true, inner: self.uploads.request(Method::PUT, &url), url }
    }

    /// Hands in `bytes`, which may take long as long as they are taken.
    ///
    /// # Errors
    /// As [`Client::bytes`]; [`ClientError::Stalled`].
    pub async fn upload(
        &self,
        request: Request,
        bytes: Arc<Vec<u8>>,
        limits: TransferLimits,
    ) -> Result<(), ClientError> {
        let (taken, url) = (Arc::new(Notify::new()), request.url.clone());
        let told = Arc::clone(&taken);
        // One piece at a time: a list may have 128 MiB.
        let pieces = (0..bytes.len()).step_by(PIECE_BYTES).map(move |from| {
            let rest = bytes.get(from..).unwrap_or_default();
            Ok::<_, io::Error>(rest.get(..PIECE_BYTES).unwrap_or(rest).to_vec())
        });
        let body = Body::wrap_stream(stream::iter(pieces).inspect(move |_| told.notify_one()));
        let answered = async {
            let request = request.with(|inner| inner.body(body).timeout(limits.whole));
            self.open(request).await?.read(self.limits.answer_bytes).await.map(drop)
        };
        tokio::pin!(answered);
        loop {
            tokio::select! {
                answered = answered.as_mut() => return answered,
                moved = tokio::time::timeout(limits.still, taken.notified()) => {
                    if moved.is_err() {
                        return Err(ClientError::Stalled { url, after: limits.still });
                    }
                }
            }
        }
    }

    fn request(&self, method: Method, url: String) -> Request {
        Request { changes: method != Method::GET, inner: self.http.request(method, &url), url }
    }

    /// Asks, and returns what comes as soon as it is known to be an answer 2xx. The time it takes is
    /// bounded by the connection and by [`AskLimits::silence`] alone.
    ///
    /// # Errors
    /// [`ClientError::Refused`]; [`ClientError::is_unanswered`].
    pub async fn open(&self, request: Request) -> Result<OpenAnswer, ClientError> {
        self.send(request).await?.accepted().await
    }

    /// Asks, and returns what comes, whatever it is.
    async fn send(&self, request: Request) -> Result<OpenAnswer, ClientError> {
        let Request { inner, url, changes } = request;
        let response = inner.send().await.map_err(|source| unanswered(&url, changes, source))?;
        Ok(OpenAnswer { response, url, changes })
    }

    /// Asks, and reads an answer of at most `max` bytes.
    ///
    /// # Errors
    /// As [`Client::open`]; [`ClientError::TooLarge`].
    pub async fn bytes(&self, request: Request, max: u64) -> Result<Vec<u8>, ClientError> {
        self.bytes_within(request, max, self.limits.answer).await
    }

    /// The same, which may take longer than [`AskLimits::answer`] as long as something comes within
    /// [`AskLimits::silence`].
    ///
    /// # Errors
    /// As [`Client::bytes`].
    pub async fn bytes_within(&self, request: Request, max: u64, whole: Duration) -> Result<Vec<u8>, ClientError> {
        self.open(request.with(|inner| inner.timeout(whole))).await?.read(max).await
    }

    /// Asks, and reads an answer in JSON.
    ///
    /// # Errors
    /// As [`Client::bytes`]; [`ClientError::Answer`].
    pub async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, ClientError> {
        let url = request.url.clone();
        let body = self.bytes(request, self.limits.answer_bytes).await?;
        understand(&url, &body)
    }

    /// Asks for something of which the answer named by `tag` is there already.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn ask_again<T: DeserializeOwned>(
        &self,
        request: Request,
        tag: Option<&str>,
    ) -> Result<Again<T>, ClientError> {
        let url = request.url.clone();
        Ok(match self.bytes_again(request, tag).await? {
            Again::Same { time } => Again::Same { time },
            Again::Other { answer, tag } => Again::Other { answer: understand(&url, &answer)?, tag },
        })
    }

    /// The same, with the answer as it came.
    ///
    /// # Errors
    /// As [`Client::bytes`].
    pub async fn bytes_again(&self, request: Request, tag: Option<&str>) -> Result<Again<Vec<u8>>, ClientError> {
        let request = request.with(|inner| inner.timeout(self.limits.answer));
        let request = tag.into_iter().fold(request, |request, tag| request.header("if-none-match", tag));
        let answer = self.send(request).await?;
        let header = |name| answer.response.headers().get(name).and_then(|value| value.to_str().ok());
        if tag.is_some() && answer.response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Again::Same { time: header(DATE).and_then(|date| Time::from_http_date(date).ok()) });
        }
        let tag = header(ETAG).map(str::to_owned);
        Ok(Again::Other { answer: answer.accepted().await?.read(self.limits.answer_bytes).await?, tag })
    }
}

/// The subject of the first certificate, if every one of them was signed by another and is no CA: then no connection
/// can come about. One that signed itself is believed as it is, CA or not; what cannot be read is for TLS to judge.
fn signs_nothing(pem: &[u8]) -> Option<String> {
    let mut first = None;
    for block in Pem::iter_from_buffer(pem).flatten() {
        let Ok(certificate) = block.parse_x509() else { return None };
        if certificate.is_ca() || certificate.subject() == certificate.issuer() {
            return None;
        }
        first.get_or_insert_with(|| printable(&certificate.subject().to_string()));
    }
    first
}

/// What an answer 2xx says. One without content is the JSON of nothing.
///
/// # Errors
/// [`ClientError::Answer`].
pub fn understand<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, ClientError> {
    let json = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(json).map_err(|error| ClientError::Answer { url: url.to_owned(), why: error.to_string() })
}

fn unanswered(url: &str, changes: bool, source: reqwest::Error) -> ClientError {
    let (url, source) = (url.to_owned(), source.without_url());
    // Until there is a connection nothing was sent.
    match (source.is_connect(), source.is_timeout()) {
        (false, _) if changes => ClientError::Cut { url, source },
        (false, true) => ClientError::Timeout { url, source },
        _ => ClientError::Connect { url, source },
    }
}

// Seconds; the other form, a date, asks for a clock that is right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

fn refused(url: String, status: u16, body: &[u8], retry_after: Option<Duration>) -> ClientError {
    let body = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { code, message, sequence }) => {
            ErrorBody { code: printable(&code), message: printable(&message), sequence }
        }
        Err(_) => ErrorBody {
            code: "no-code".to_owned(),
            message: "it gives no reason; is this a sekisho-controller?".to_owned(),
            sequence: None,
        },
    };
    ClientError::Refused { url, status, body, retry_after }
}

// These words go to terminals and logs.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::api::HostRow;

    #[test]
    fn an_answer_is_its_shape_or_an_error() {
        assert_eq!(understand::<Vec<HostRow>>("u", b"[]").unwrap(), []);
        assert_eq!(understand::<Vec<HostRow>>("u", b"{}").unwrap_err().code(), "answer");
        understand::<()>("u", b"").unwrap();
    }

    #[test]
    fn a_refusal_has_the_controllers_code_and_words_and_steers_no_terminal() {
        let error = refused("u".to_owned(), 403, br#"{"code":"role","message":"a \u001b[31mviewer"}"#, None);
        assert_eq!(error.to_string(), "u answers 403: role: a  [31mviewer");
        assert_eq!((error.code(), error.status()), ("status", Some(403)));
        let error = refused("u".to_owned(), 409, br#"{"code":"sequence","message":"m","sequence":7}"#, None);
        assert_eq!(error.refusal().and_then(|body| body.sequence), Some(7));
        let error = refused("u".to_owned(), 502, b"<html>", None);
        assert_eq!(error.refusal().map(|body| body.code.as_str()), Some("no-code"));
    }

    #[test]
    fn a_ca_is_a_file_with_certificates() {
        let limits = AskLimits {
            connect: Duration::from_secs(1),
            answer: Duration::from_secs(1),
            silence: None,
            ping: None,
            answer_bytes: 1,
        };
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        assert!(matches!(Client::new(&ca, limits), Err(ClientError::File { what: "the CA", .. })));
        std::fs::write(&ca, "no certificate").unwrap();
        assert!(matches!(Client::new(&ca, limits), Err(ClientError::Ca { .. })));

        let named = |name: &str| rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let mut params = named("ca");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "the CA");
        let issuer = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = named("controller");
        params.distinguished_name.push(rcgen::DnType::CommonName, "the controller");
        let server = params.signed_by(&key, &issuer).unwrap().pem();
        std::fs::write(&ca, &server).unwrap();
        let error = Client::new(&ca, limits).unwrap_err();
        assert!(matches!(&error, ClientError::NoCa { .. }), "{error:?}");
        assert!(error.to_string().contains("the controller") && error.code() == "no-ca", "{error}");
        let alone = named("controller").self_signed(&key).unwrap().pem();
        for good in [issuer.pem(), alone, server + &issuer.pem()] {
            std::fs::write(&ca, good).unwrap();
            Client::new(&ca, limits).unwrap();
        }
    }

    #[test]
    fn how_long_to_wait_is_a_number_of_seconds_or_nothing() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!([of("0"), of("7"), of("18446744073709551615")], [Some(0), Some(7), Some(u64::MAX)]);
        // A date asks for a clock that is right.
        for odd in ["", "-1", "1.5", "1e9", "18446744073709551616", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "5, 6"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }
}
