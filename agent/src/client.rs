//! Talks to controllers: one HTTPS client, several addresses, answers of bounded size.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use manifests::api::{self, DocumentVersions, ErrorBody, HostEvent};
use manifests::chain::chain;
use manifests::durable::{self, DurableError};
use manifests::tuf::{Fetch, FetchError};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

/// The largest answer read, in bytes, but for target files.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// The largest CA file read, in bytes.
const CA_BYTES_MAX: u64 = 1 << 20;
/// The longest data of one event, in bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Controllers send a comment at least every 15 s; three missed mean that nobody is there.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(50);

/// Asks controllers: one address until it fails, then the next.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    controllers: Vec<String>,
    preferred: AtomicUsize,
    versions: EvidenceVersions,
}

/// The newest version of evidence that each controller takes, by its address.
#[derive(Debug, Default)]
struct EvidenceVersions(Mutex<BTreeMap<String, u64>>);

impl EvidenceVersions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, controller: &str) -> Option<u64> {
        self.lock().get(controller).copied()
    }

    fn note(&self, controller: &str, version: u64) {
        self.lock().insert(controller.to_owned(), version);
    }
}

/// Why a controller did not answer as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The CA file cannot be read.
    #[error("cannot read the controllers' CA")]
    Ca(#[source] DurableError),
    /// The client cannot be made from it.
    #[error("cannot use the controllers' CA")]
    Build(#[source] reqwest::Error),
    /// No connection, or it broke off.
    #[error("cannot reach {controller}")]
    Unreachable {
        /// The address.
        controller: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The controller refuses, with its stable code.
    #[error("{controller} refuses: {}: {}", body.code, body.message)]
    Refused {
        /// The address.
        controller: String,
        /// The status.
        status: u16,
        /// Code and words.
        body: ErrorBody,
    },
    /// Larger than asked for, or not of the form expected.
    #[error("{controller} answers with {what}")]
    Answer {
        /// The address.
        controller: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ClientError {
    /// The controller's stable code, where it refused.
    pub fn refusal(&self) -> Option<&ErrorBody> {
        match self {
            ClientError::Refused { body, .. } => Some(body),
            _ => None,
        }
    }
}

impl Client {
    /// A client that trusts `ca` alone and speaks nothing but HTTPS.
    ///
    /// # Errors
    /// [`ClientError::Ca`], [`ClientError::Build`].
    pub fn new(controllers: Vec<String>, ca: &Path) -> Result<Self, ClientError> {
        let pem = durable::read_limited(ca, CA_BYTES_MAX).map_err(ClientError::Ca)?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(ClientError::Build)?;
        let http = reqwest::Client::builder()
            .tls_certs_only(certificates)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STREAM_SILENCE_MAX)
            .build()
            .map_err(ClientError::Build)?;
        Ok(Self { http, controllers, preferred: AtomicUsize::new(0), versions: EvidenceVersions::default() })
    }

    fn controller(&self) -> &str {
        let index = self.preferred.load(Ordering::Relaxed) % self.controllers.len().max(1);
        self.controllers.get(index).map_or("", String::as_str)
    }

    /// The next question goes to the next address.
    pub fn prefer_next(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let unreachable = |source| ClientError::Unreachable { controller: self.controller().to_owned(), source };
        let response = request.send().await.map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = self.body(response, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| ErrorBody {
            code: "no-code".to_owned(),
            message: format!("status {status} without a readable body"),
            sequence: None,
        });
        Err(ClientError::Refused { controller: self.controller().to_owned(), status: status.as_u16(), body })
    }

    async fn body(&self, mut response: Response, max: u64) -> Result<Vec<u8>, ClientError> {
        let controller = || self.controller().to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|source| ClientError::Unreachable { controller: controller(), source })?
        {
            bytes.extend_from_slice(&chunk);
            if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
                let what = format!("more than {max} bytes");
                return Err(ClientError::Answer { controller: controller(), what });
            }
        }
        Ok(bytes)
    }

    /// Sends JSON and reads a JSON answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<R: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
        bearer: Option<&str>,
    ) -> Result<R, ClientError> {
        let mut request = self.http.post(format!("{}{path}", self.controller())).timeout(REQUEST_TIMEOUT);
        request = request.header("content-type", "application/json").body(body);
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let response = self.send(request).await?;
        let bytes = self.body(response, ANSWER_BYTES_MAX).await?;
        // An answer without content is the JSON of nothing.
        let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(json).map_err(|error| ClientError::Answer {
            controller: self.controller().to_owned(),
            what: format!("something else than agreed: {error}"),
        })
    }

    /// The newest version of evidence that the controller asked next takes. Asked once for each address,
    /// and noted with each receipt from then on.
    ///
    /// # Errors
    /// [`ClientError`] if it does not answer.
    pub async fn evidence_version(&self) -> Result<u64, ClientError> {
        let controller = self.controller();
        if let Some(version) = self.versions.of(controller) {
            return Ok(version);
        }
        let asked = self.send(self.http.get(format!("{controller}{}", api::VERSIONS)).timeout(REQUEST_TIMEOUT)).await;
        let version = match asked {
            Ok(response) => {
                let bytes = self.body(response, ANSWER_BYTES_MAX).await?;
                let versions: DocumentVersions =
                    serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer {
                        controller: controller.to_owned(),
                        what: format!("something else than agreed: {error}"),
                    })?;
                versions.evidence
            }
            // A controller of before version 2 does not have the question.
            Err(ClientError::Refused { status: 404, .. }) => 1,
            // In trouble: the version that every controller takes, and the question again next time.
            Err(ClientError::Refused { .. }) => return Ok(1),
            Err(error) => return Err(error),
        };
        self.versions.note(controller, version);
        Ok(version)
    }

    /// Notes what a receipt of the controller asked last says of versions; none: a controller of before
    /// version 2.
    pub fn note_evidence_version(&self, version: Option<u64>) {
        self.versions.note(self.controller(), version.unwrap_or(1));
    }

    /// Forgets what the controller asked last takes: it refuses what it was sent.
    pub fn forget_evidence_version(&self) {
        self.versions.lock().remove(self.controller());
    }

    /// Hands in a file list.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_list(&self, digest: &str, bytes: Vec<u8>, session: &str) -> Result<(), ClientError> {
        let address = format!("{}{}/{digest}", self.controller(), api::FILES);
        self.send(self.http.put(address).timeout(REQUEST_TIMEOUT).bearer_auth(session).body(bytes)).await?;
        Ok(())
    }

    /// Listens to the host's stream until it ends, handing each event on.
    ///
    /// # Errors
    /// [`ClientError`] when it could not be opened or broke off.
    pub async fn listen(
        &self,
        session: &str,
        mut on_open: impl FnMut(),
        mut on_event: impl FnMut(HostEvent),
    ) -> Result<(), ClientError> {
        let address = format!("{}{}", self.controller(), api::STREAM);
        let request = self.http.get(address).bearer_auth(session).header("accept", "text/event-stream");
        let response = self.send(request).await?;
        on_open();
        let mut events = response.bytes_stream().eventsource();
        while let Some(event) = events.next().await {
            let answer = |what: String| ClientError::Answer { controller: self.controller().to_owned(), what };
            let event = event.map_err(|error| answer(format!("a broken stream: {error}")))?;
            if event.data.len() > EVENT_BYTES_MAX {
                return Err(answer(format!("an event of more than {EVENT_BYTES_MAX} bytes")));
            }
            match parse_event(&event.event, &event.data) {
                Ok(event) => on_event(event),
                // A newer controller may say more than this agent knows.
                Err(what) => tracing::warn!("skipped: {what}"),
            }
        }
        Ok(())
    }

    async fn fetch(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let address = format!("{}{path}", self.controller());
        let unreachable = |error: &(dyn std::error::Error + 'static)| FetchError::Unreachable(chain(error));
        let request = self.http.get(address).timeout(REQUEST_TIMEOUT);
        let mut response = request.send().await.map_err(|error| unreachable(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(FetchError::NotFound),
            status => return Err(FetchError::Unreachable(format!("{} answers {status}", self.controller()))),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
            bytes.extend_from_slice(&chunk);
            if u64::try_from(bytes.len()).is_ok_and(|length| length > max_bytes) {
                return Err(FetchError::TooLarge);
            }
        }
        Ok(bytes)
    }
}

/// An event of the stream: its name is the kind, its data the content.
fn parse_event(name: &str, data: &str) -> Result<HostEvent, String> {
    let data: serde_json::Value =
        serde_json::from_str(if data.is_empty() { "null" } else { data }).map_err(|error| error.to_string())?;
    let event = match data {
        serde_json::Value::Null => serde_json::json!({ "event": name }),
        data => serde_json::json!({ "event": name, "data": data }),
    };
    serde_json::from_value(event).map_err(|error| format!("an event {name:?} that cannot be read: {error}"))
}

/// Lets the trust core, which waits, use the client, which does not. For a thread that may block.
pub struct Blocking<'a> {
    /// The client.
    pub client: &'a Client,
    /// The runtime it belongs to.
    pub runtime: Handle,
}

impl Fetch for Blocking<'_> {
    fn fetch(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.runtime.block_on(self.client.fetch(&format!("{}/{path}", api::TUF), max_bytes))
    }

    fn fetch_target(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.runtime.block_on(self.client.fetch(&format!("{}/{path}", api::TUF_TARGETS), max_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_name_and_its_data() {
        assert!(matches!(parse_event("refresh", "7"), Ok(HostEvent::Refresh(7))));
        assert!(parse_event("permit", "{}").is_err());
        assert!(parse_event("open-all", "").is_err());
    }
}
