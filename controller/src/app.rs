//! What every request sees.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use manifests::api::{Expiring, FleetEvent, HostEvent};
use manifests::digest::Digest;
use manifests::enrolment::Enrolled;
use manifests::envelope::{Document, EnvelopeError, Sealed};
use manifests::fleet::{Fleet, Policy};
use manifests::id::{ControllerId, HostId};
use manifests::key::{KeyId, PublicKey, SigningKey};
use manifests::permit::{Permit, SealedPermit};
use manifests::stop::Stop;
use tokio::sync::{OwnedMutexGuard, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use crate::body::Budgets;
use crate::health::Health;
use crate::origins::Origins;
use crate::queue::{WriteError, Writer};
use crate::repository::Repository;
use crate::session::Sessions;
use crate::store::{PublishRow, Store};
use crate::streams::{StreamEvent, Streams};
use crate::tokens::Tokens;
use crate::unlisted::Unlisted;

/// Hosts by the key they speak with.
pub type Keys = HashMap<KeyId, (HostId, PublicKey)>;

/// A stop, ready to be served.
#[derive(Clone, Debug)]
pub struct ServedStop {
    /// As it was signed.
    pub sealed: Sealed<Stop>,
    /// As it goes over streams.
    pub event: StreamEvent,
}

impl From<Sealed<Stop>> for ServedStop {
    fn from(sealed: Sealed<Stop>) -> Self {
        let event = StreamEvent::new(&HostEvent::Stop(sealed.clone()));
        Self { sealed, event }
    }
}

/// Stops by digest.
pub type Stops = HashMap<Digest, ServedStop>;

/// One running controller.
#[derive(Debug)]
pub struct App {
    /// What outlives the process.
    pub store: Store,
    /// Changes what does.
    pub writer: Writer,
    /// The fleet as the newest batch left it that is on disk.
    fleet: RwLock<Arc<Fleet>>,
    /// Keys of enrolled hosts: what no known key signed is refused without asking the store.
    keys: RwLock<Keys>,
    /// Every stop as it was signed, and as it goes over streams: made once for all hosts.
    stops: RwLock<Stops>,
    /// Stops under keys that the registry does not list.
    pub unlisted: Unlisted,
    /// Where hosts' documents come from.
    pub origins: Origins,
    /// Tokens of operators and hosts.
    pub tokens: Tokens,
    /// Its id in the registry.
    pub id: ControllerId,
    /// Signs permits and stops, and its word for hosts' keys.
    pub permit_key: SigningKey,
    /// The TUF repository. Held for a whole publish.
    repository: Arc<tokio::sync::Mutex<Repository>>,
    /// Where its files lie, for those who only read them.
    pub tuf_directory: PathBuf,
    /// Version of the timestamp that hosts were told of.
    timestamp: AtomicU64,
    /// What ends soon, as it was a minute ago.
    expiring: RwLock<Vec<Expiring>>,
    /// Connected hosts.
    pub streams: Streams,
    /// Connected dashboards.
    pub events: broadcast::Sender<Arc<FleetEvent>>,
    /// Sessions of hosts.
    pub sessions: Sessions,
    /// Whether the store can be written.
    pub health: Health,
    /// What bodies may take of memory.
    pub bodies: Budgets,
    /// The one place to judge a draft in: a fleet's appraisal takes a processor for a while.
    pub(crate) previews: Arc<Semaphore>,
    /// Cancelled when the controller stops: streams end then.
    pub shutdown: CancellationToken,
}

impl App {
    #[expect(clippy::too_many_arguments, reason = "one field each, each of another type")]
    pub(crate) fn new(
        store: Store,
        writer: Writer,
        fleet: Fleet,
        keys: Keys,
        stops: Stops,
        tokens: Tokens,
        permit_key: SigningKey,
        repository: Repository,
        events: broadcast::Sender<Arc<FleetEvent>>,
        sessions: Sessions,
        shutdown: CancellationToken,
    ) -> Self {
        let timestamp = AtomicU64::new(repository.versions().timestamp);
        Self {
            store,
            writer,
            fleet: RwLock::new(Arc::new(fleet)),
            keys: RwLock::new(keys),
            stops: RwLock::new(stops),
            unlisted: Unlisted::default(),
            origins: Origins::default(),
            tokens,
            permit_key,
            id: repository.id().clone(),
            tuf_directory: repository.directory().to_owned(),
            repository: Arc::new(tokio::sync::Mutex::new(repository)),
            timestamp,
            expiring: RwLock::default(),
            streams: Streams::default(),
            events,
            sessions,
            health: Health::default(),
            bodies: Budgets::default(),
            previews: Arc::new(Semaphore::new(1)),
            shutdown,
        }
    }

    /// The fleet as it is on disk, to look at. It stays as it is however long somebody looks.
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this is the fleet. It must be on disk.
    pub(crate) fn publish(&self, fleet: Fleet) {
        let published = Arc::new(fleet);
        // What nobody looks at any more is given back when others may look again.
        let before = std::mem::replace(&mut *self.fleet.write().unwrap_or_else(PoisonError::into_inner), published);
        drop(before);
    }

    /// What ends soon or has ended, the next one first.
    pub fn expiring(&self) -> Vec<Expiring> {
        self.expiring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_expiring(&self, ends: Vec<Expiring>) {
        *self.expiring.write().unwrap_or_else(PoisonError::into_inner) = ends;
    }

    pub(crate) fn keys_mut(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stops(&self) -> RwLockReadGuard<'_, Stops> {
        self.stops.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stops_mut(&self) -> RwLockWriteGuard<'_, Stops> {
        self.stops.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit, signed in the version that its host takes.
    ///
    /// # Errors
    /// As [`Permit::seal`].
    pub(crate) fn seal(&self, permit: &Permit) -> Result<SealedPermit, EnvelopeError> {
        let version = self.fleet().host(&permit.host).map_or(1, |host| host.version);
        permit.seal(version, &self.permit_key)
    }

    /// The host whose key a document claims to be signed with; none for an unknown key.
    pub fn sender<T: Document>(&self, sealed: &Sealed<T>) -> Option<(HostId, PublicKey)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        sealed.claimed_keys().find_map(|id| keys.get(id)).cloned()
    }

    /// This controller's word for the host's key; none for a host without one.
    pub(crate) fn enrolled(&self, host: &HostId) -> Option<Enrolled> {
        let (product, key, generation) = {
            let fleet = self.fleet();
            let known = fleet.host(host)?;
            (fleet.product().clone(), known.key.clone()?, known.generation())
        };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (_, key) = keys.get(&key)?;
        Some(Enrolled { product, host: host.clone(), key: key.clone(), generation, controller: self.id.clone() })
    }

    /// The host that is enrolled with the key of this id.
    pub fn host_of(&self, key: &KeyId) -> Option<HostId> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(key).map(|(host, _)| host.clone())
    }

    /// Whether another host has this key, under whatever id: keys stored before ids were held to one
    /// form may have another.
    pub(crate) fn is_of_another(&self, key: &PublicKey, host: &HostId) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().any(|(owner, known)| owner != host && known.is_same_key(key))
    }

    /// The repository, locked for as long as the guard lives.
    pub(crate) async fn repository_owned(&self) -> OwnedMutexGuard<Repository> {
        Arc::clone(&self.repository).lock_owned().await
    }

    /// Version of the timestamp that hosts are told of; 0 before the first publish.
    pub fn timestamp(&self) -> u64 {
        self.timestamp.load(Ordering::Acquire)
    }

    /// Timestamp and snapshot of the repository are signed anew: the fleet learns until when they are
    /// good, what was published with them is put in force, and only then hosts are told to refresh.
    ///
    /// # Errors
    /// If it was not written. Hosts have not been told then, and [`App::timestamp`] is the one before.
    pub(crate) async fn refresh(
        &self,
        repository: &Repository,
        published: Option<(Policy, PublishRow)>,
    ) -> Result<(), WriteError> {
        let version = repository.versions().timestamp;
        self.writer.put_in_force(repository.online_until(), published).await?;
        self.timestamp.store(version, Ordering::Release);
        self.streams.push_all(&StreamEvent::new(&HostEvent::Refresh(version)));
        Ok(())
    }
}
