//! Talks to controllers: several addresses, the host's stream of events, and what the trust core fetches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use ::client::ClientError;
use ::client::{AskLimits, Request, Token, TransferLimits};
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use manifests::api::{self, DocumentVersions, HostEvent};
use manifests::chain::chain;
use manifests::key::KeyId;
use manifests::tuf::{Fetch, FetchError};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

/// AskLimits of a question and its answer, but for target files, which have limits of their own.
const LIMITS: AskLimits = AskLimits {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(20),
    // Controllers send a comment at least every 15 s; three missed mean that nobody is there.
    silence: Some(Duration::from_secs(50)),
    ping: None,
    answer_bytes: 8 << 20,
};
/// Longest time in which a controller takes nothing of a file list.
const TRANSFER_STILL: Duration = Duration::from_secs(50);
/// Transfers may take a second more for each of these, as controllers let them.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// The longest data of one event, in bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// The controllers of this host: one is asked until it fails, then the next.
///
/// The repository is followed at an address of its own choice: a set that one controller serves and that is refused
/// moves no heartbeat to another one.
#[derive(Debug)]
pub struct Controllers {
    client: ::client::Client,
    addresses: Vec<String>,
    preferred: AtomicUsize,
    /// How many addresses further the repository is followed.
    followed: AtomicUsize,
    versions: EvidenceVersions,
    /// Named before each document: a controller reads what an enrolled key is named for although a crowd
    /// of others sends something.
    key: Option<KeyId>,
}

/// What opens a controller's stream, and says who hands something in. Shown to that controller alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The controller that gave it.
    pub address: String,
    /// The bearer.
    pub bearer: String,
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

impl Controllers {
    /// Controllers at these addresses, whose certificates are under `ca`.
    ///
    /// # Errors
    /// [`ClientError`] where the CA is of no use. Nothing is connected yet.
    pub fn new(addresses: Vec<String>, ca: &Path) -> Result<Self, ClientError> {
        let client = ::client::Client::new(ca, LIMITS)?;
        Ok(Self {
            client,
            addresses,
            preferred: AtomicUsize::new(0),
            followed: AtomicUsize::new(0),
            versions: EvidenceVersions::default(),
            key: None,
        })
    }

    /// The same, which name the key that this host signs with.
    #[must_use]
    pub fn naming(self, key: Option<KeyId>) -> Self {
        Self { key, ..self }
    }

    /// The address asked next.
    pub fn address(&self) -> &str {
        self.nth(self.preferred.load(Ordering::Relaxed))
    }

    fn nth(&self, index: usize) -> &str {
        self.addresses.get(index % self.addresses.len().max(1)).map_or("", String::as_str)
    }

    fn followed(&self) -> &str {
        let further = self.followed.load(Ordering::Relaxed);
        self.nth(self.preferred.load(Ordering::Relaxed).wrapping_add(further))
    }

    /// The next question goes to the next address.
    pub fn prefer_next(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
        self.followed.store(0, Ordering::Relaxed);
    }

    /// Whether another address than the first of the configuration is asked.
    pub fn is_away(&self) -> bool {
        !self.preferred.load(Ordering::Relaxed).is_multiple_of(self.addresses.len().max(1))
    }

    /// The next question goes to the first address; gives what leads back.
    pub fn prefer_first(&self) -> usize {
        self.preferred.swap(0, Ordering::Relaxed)
    }

    /// The next question goes where it went before [`Controllers::prefer_first`].
    pub fn prefer(&self, before: usize) {
        self.preferred.store(before, Ordering::Relaxed);
    }

    /// The repository is followed at the next address.
    pub fn follow_next(&self) {
        self.followed.fetch_add(1, Ordering::Relaxed);
    }

    /// The repository is followed at the address that is asked.
    pub fn follow_preferred(&self) {
        self.followed.store(0, Ordering::Relaxed);
    }

    /// Sends JSON to the controller asked next, and reads a JSON answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<R: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<R, ClientError> {
        self.client.ask(self.posting(self.address(), path, body)).await
    }

    /// The same with a one-time token of an operator's.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_with<R: DeserializeOwned>(
        &self,
        token: &Token,
        path: &str,
        body: Vec<u8>,
    ) -> Result<R, ClientError> {
        self.client.ask(self.posting(self.address(), path, body).token(token)).await
    }

    /// Sends JSON to the controller that gave `session`, whichever is asked next.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_in(&self, session: &Session, path: &str, body: Vec<u8>) -> Result<(), ClientError> {
        self.client.ask(self.posting(&session.address, path, body).bearer(&session.bearer)).await
    }

    fn posting(&self, address: &str, path: &str, body: Vec<u8>) -> Request {
        let request = self.client.post(format!("{address}{path}")).json_bytes(body);
        match &self.key {
            Some(key) => request.header(api::KEY_HEADER, key),
            None => request,
        }
    }

    /// The newest version of evidence that the controller asked next takes. Asked once for each address,
    /// and noted with each receipt from then on.
    ///
    /// # Errors
    /// [`ClientError`] if it does not answer.
    pub async fn evidence_version(&self) -> Result<u64, ClientError> {
        let address = self.address();
        if let Some(version) = self.versions.of(address) {
            return Ok(version);
        }
        let asked = self.client.ask(self.client.get(format!("{address}{}", api::VERSIONS))).await;
        let version = match asked {
            Ok(DocumentVersions { evidence }) => evidence,
            // A controller of before version 2 does not have the question.
            Err(ClientError::Refused { status: 404, .. }) => 1,
            // In trouble: the version that every controller takes, and the question again next time.
            Err(ClientError::Refused { .. }) => return Ok(1),
            Err(error) => return Err(error),
        };
        self.versions.note(address, version);
        Ok(version)
    }

    /// Notes what a receipt of the controller asked last says of versions; none: a controller of before
    /// version 2.
    pub fn note_evidence_version(&self, version: Option<u64>) {
        self.versions.note(self.address(), version.unwrap_or(1));
    }

    /// Forgets what the controller asked last takes: it refuses what it was sent.
    pub fn forget_evidence_version(&self) {
        self.versions.lock().remove(self.address());
    }

    /// Hands in a file list to the controller that gave `session`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_list(&self, session: &Session, digest: &str, bytes: Arc<Vec<u8>>) -> Result<(), ClientError> {
        let url = format!("{}{}/{digest}", session.address, api::FILES);
        let whole = transfer_time(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let limits = TransferLimits { still: TRANSFER_STILL, whole };
        self.client.upload(self.client.uploading(url).bearer(&session.bearer), bytes, limits).await
    }

    /// Listens to the host's stream until it ends, handing each event on.
    ///
    /// # Errors
    /// [`ClientError`] when it could not be opened or broke off.
    pub async fn listen(
        &self,
        session: &Session,
        mut on_open: impl FnMut(),
        mut on_event: impl FnMut(HostEvent),
    ) -> Result<(), ClientError> {
        let url = format!("{}{}", session.address, api::STREAM);
        let request = self.client.get(url.clone()).bearer(&session.bearer).header("accept", "text/event-stream");
        let answer = self.client.open(request).await?;
        on_open();
        let mut events = std::pin::pin!(answer.chunks().eventsource());
        while let Some(event) = events.next().await {
            let refused = |why: String| ClientError::Answer { url: url.clone(), why };
            let event = event.map_err(|error| refused(format!("a broken stream: {error}")))?;
            if event.data.len() > EVENT_BYTES_MAX {
                return Err(refused(format!("an event of more than {EVENT_BYTES_MAX} bytes")));
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
        let request = self.client.get(format!("{}{path}", self.followed()));
        let fetched = self.client.bytes_within(request, max_bytes, transfer_time(max_bytes)).await;
        fetched.map_err(|error| match error {
            ClientError::Refused { status: 404, .. } => FetchError::NotFound,
            ClientError::TooLarge { .. } => FetchError::TooLarge,
            error => FetchError::Unreachable(chain(&error)),
        })
    }
}

/// How long a transfer of so many bytes may take in all.
fn transfer_time(bytes: u64) -> Duration {
    LIMITS.answer + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
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

/// Lets the trust core, which waits for its answers, ask through a client which does not. For a thread that may
/// block.
pub struct Blocking<'a> {
    /// Whom to ask.
    pub controllers: &'a Controllers,
    /// The runtime that asks.
    pub runtime: Handle,
}

impl Fetch for Blocking<'_> {
    fn fetch(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.runtime.block_on(self.controllers.fetch(&format!("{}/{path}", api::TUF), max_bytes))
    }

    fn fetch_target(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.runtime.block_on(self.controllers.fetch(&format!("{}/{path}", api::TUF_TARGETS), max_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_set_moves_no_document_to_another_controller() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&ca, certified.cert.pem()).unwrap();
        let controllers = Controllers::new(["one", "two"].map(str::to_owned).to_vec(), &ca).unwrap();
        controllers.follow_next();
        assert_eq!((controllers.address(), controllers.followed()), ("one", "two"));
        controllers.prefer_next();
        assert_eq!((controllers.address(), controllers.followed()), ("two", "two"));
    }

    #[test]
    fn an_event_is_its_name_and_its_data() {
        assert!(matches!(parse_event("refresh", "7"), Ok(HostEvent::Refresh(7))));
        assert!(parse_event("permit", "{}").is_err());
        assert!(parse_event("open-all", "").is_err());
    }
}
