//! The state directory: everything an agent keeps. Each file is replaced atomically and synced; a
//! file that is there and cannot be used is an error that names it, never "nothing stored".

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use manifests::digest::Digest;
use manifests::durable::{self, DurableError};
use manifests::enrolment::Enrolled;
use manifests::envelope::{Document, Sealed, Verified};
use manifests::gate::{Clocks, HeldPermit};
use manifests::key::{KeyError, PublicKey, SigningKey};
use manifests::permit::SealedPermit;
use manifests::stop::Stop;
use manifests::time::Time;
use manifests::tree::FileList;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest file of the state directory, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What is known of running processes.
const PROCESSES: &str = "processes.json";
/// A controller's word for the host's key.
const ENROLMENT: &str = "enrolment.json";
/// The largest such file, and the largest file list, in bytes.
const PROCESSES_BYTES_MAX: u64 = 256 << 20;
/// The most stops kept.
const STOPS_MAX: usize = 100_000;

/// An opened and locked state directory.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// File lists in `loaded` that this process has written: of others nobody knows that they are whole.
    written: Mutex<BTreeSet<Digest>>,
    _lock: Option<OwnedFd>,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// It cannot be made or locked.
    #[error("cannot open the state directory {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another agent holds it.
    #[error("the state directory {} is in use by another agent", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot keep the agent's state")]
    Io(#[source] DurableError),
    /// A file is there and cannot be used.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The disk takes very long. What was to be kept may be kept later.
    #[error("the disk has not taken it within {after:?}")]
    Slow {
        /// How long was waited.
        after: std::time::Duration,
    },
    /// No random numbers, or no key from them.
    #[error("cannot make a key")]
    Key(#[source] KeyError),
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A permit as stored, with the clocks of its receipt.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredPermit {
    received: Time,
    boot_ms: u64,
    boot_id: String,
    permit: SealedPermit,
}

impl StoredPermit {
    /// The clocks of its receipt, and whether its boot clock is the one of `boot_id`.
    pub fn received(&self, boot_id: &str) -> (Clocks, bool) {
        (Clocks { wall: self.received, boot_ms: self.boot_ms }, self.boot_id == boot_id)
    }

    /// The permit, to be verified again.
    pub fn into_permit(self) -> SealedPermit {
        self.permit
    }
}

/// A stop as stored, with the key that signed it: a stop outlives its key's place in the registry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredStop {
    key: PublicKey,
    stop: Sealed<Stop>,
    acknowledged: bool,
}

/// A stop that was on disk.
#[derive(Clone, Debug)]
pub struct KeptStop {
    /// The stop.
    pub stop: Verified<Stop>,
    /// The key that signed it, in the registry when it came.
    pub key: PublicKey,
    /// Whether a controller has the host's acknowledgement.
    pub acknowledged: bool,
}

/// What the directory of stops holds.
#[derive(Debug, Default)]
pub struct KeptStops {
    /// Stops whose signature holds, by number.
    pub stops: Vec<KeptStop>,
    /// Files that cannot be used.
    pub damaged: Vec<StateError>,
}

/// What the last document said: neither number is ever named lower again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Its sequence.
    pub sequence: u64,
    /// Number of the last permit received.
    pub permit: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WallClock {
    last: Time,
}

impl StateDirectory {
    /// Opens the directory, makes it (0700) if it is not there, keeps a second agent out, and removes
    /// what a killed one left half-written.
    ///
    /// # Errors
    /// [`StateError::Open`], [`StateError::InUse`], [`StateError::Io`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let open = |source| StateError::Open { path: path.to_owned(), source };
        durable::create_directory(path).map_err(StateError::Io)?;
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        let lock = rustix::fs::open(path.join("lock"), flags, Mode::RUSR | Mode::WUSR).map_err(|e| open(e.into()))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                durable::remove_temporaries(path).map_err(StateError::Io)?;
                Ok(Self { path: path.to_owned(), written: Mutex::default(), _lock: Some(lock) })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse { path: path.to_owned() }),
            Err(error) => Err(open(error.into())),
        }
    }

    /// For reading beside a running agent.
    pub fn read_only(path: &Path) -> Self {
        Self { path: path.to_owned(), written: Mutex::default(), _lock: None }
    }

    /// Where trusted metadata and target files are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        match durable::read_limited(&self.path.join(name), FILE_BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(StateError::Io(error)),
        }
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let damaged = |error: serde_json::Error| self.damaged(name, &error.to_string());
        self.read(name)?.map(|bytes| serde_json::from_slice(&bytes).map_err(damaged)).transpose()
    }

    fn damaged(&self, name: &str, why: &str) -> StateError {
        StateError::Damaged { path: self.path.join(name), why: why.to_owned() }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        durable::replace(&self.path.join(name), bytes, durable::PRIVATE).map_err(StateError::Io)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), StateError> {
        let bytes = serde_json::to_vec(value).map_err(|error| self.damaged(name, &error.to_string()))?;
        self.write(name, &bytes)
    }

    /// The host's key; none before enrolment.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn host_key(&self) -> Result<Option<SigningKey>, StateError> {
        self.key("host.key")
    }

    fn key(&self, name: &str) -> Result<Option<SigningKey>, StateError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| self.damaged(name, "not a PEM file"))?;
        SigningKey::from_pkcs8_pem(text).map(Some).map_err(|error| self.damaged(name, &error.to_string()))
    }

    /// The key of an enrolment that was begun and not answered.
    ///
    /// # Errors
    /// As [`StateDirectory::host_key`].
    pub fn enrolling_key(&self) -> Result<Option<SigningKey>, StateError> {
        self.key("enrolling.key")
    }

    /// Makes the key of a new enrolment and stores it beside the host's key.
    ///
    /// # Errors
    /// [`StateError::Key`], [`StateError::Io`].
    pub fn make_enrolling_key(&self) -> Result<SigningKey, StateError> {
        let key = SigningKey::generate().map_err(StateError::Key)?;
        self.write("enrolling.key", key.to_pkcs8_v1_pem().as_bytes())?;
        Ok(key)
    }

    /// The enrolment was accepted: its key is the host's from now on.
    ///
    /// What was permitted and acknowledged with the key before does not count for it: the permit goes, and every
    /// stop on disk is acknowledged again. First of all that, so that a crash in between leaves no such thing
    /// behind.
    ///
    /// # Errors
    /// [`StateError::Open`], [`StateError::Io`].
    pub fn adopt_enrolling_key(&self) -> Result<(), StateError> {
        durable::remove(&self.path.join("permit.json")).map_err(StateError::Io)?;
        durable::remove(&self.path.join(ENROLMENT)).map_err(StateError::Io)?;
        for kept in self.stops()?.stops.iter().filter(|kept| kept.acknowledged) {
            self.store_stop(&kept.stop, &kept.key, false)?;
        }
        let open = |source| StateError::Open { path: self.path.clone(), source };
        std::fs::rename(self.path.join("enrolling.key"), self.path.join("host.key")).map_err(open)?;
        durable::sync_directory(&self.path).map_err(open)
    }

    /// The key under which sensitive values leave the host as digests; none before its first use.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn sealing_key(&self) -> Result<Option<[u8; 32]>, StateError> {
        let name = "sealing.key";
        let damaged = |_| self.damaged(name, "it does not have 32 bytes");
        self.read(name)?.map(|bytes| bytes.try_into().map_err(damaged)).transpose()
    }

    /// Makes that key, in place of one that is not there or damaged, and stores it.
    ///
    /// # Errors
    /// [`StateError::Random`], [`StateError::Io`].
    pub fn make_sealing_key(&self) -> Result<[u8; 32], StateError> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| StateError::Random)?;
        self.write("sealing.key", &key)?;
        Ok(key)
    }

    /// What the last document that may have been sent said; zeros before the first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn sent(&self) -> Result<Sent, StateError> {
        Ok(self.read_json("sequence.json")?.unwrap_or_default())
    }

    /// Stores what a document will say, before it is sent.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn store_sent(&self, sent: Sent) -> Result<(), StateError> {
        self.write_json("sequence.json", &sent)
    }

    /// The document by which this host resumes and to which there was no answer yet: the same bytes
    /// are sent until there is one, as a second resumption looks like a second machine.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn resuming(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.read("resuming.json")
    }

    /// Stores that document, before it is sent.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn store_resuming(&self, document: &[u8]) -> Result<(), StateError> {
        self.write("resuming.json", document)
    }

    /// What was known of running processes; none if nothing was kept. See [`crate::collect::Collector::recall`].
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn processes(&self) -> Result<Option<Vec<u8>>, StateError> {
        match durable::read_limited(&self.path.join(PROCESSES), PROCESSES_BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(StateError::Io(error)),
        }
    }

    /// A file list that [`StateDirectory::processes`] names.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn loaded_list(&self, digest: &Digest) -> Result<Vec<u8>, StateError> {
        durable::read_limited(&self.loaded_path(digest), PROCESSES_BYTES_MAX).map_err(StateError::Io)
    }

    fn loaded_path(&self, digest: &Digest) -> PathBuf {
        self.path.join("loaded").join(digest.hex())
    }

    /// Keeps what is known of running processes, and the file lists that it names; others go. A list that
    /// was there when this agent started is written anew, for it may be damaged.
    ///
    /// # Errors
    /// [`StateError::Io`]; what was kept before still is.
    pub fn store_processes(&self, json: &[u8], lists: &BTreeMap<Digest, Arc<FileList>>) -> Result<(), StateError> {
        durable::create_directory(&self.path.join("loaded")).map_err(StateError::Io)?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, list) in lists {
            let path = self.loaded_path(digest);
            if !written.contains(digest) || !path.exists() {
                durable::replace(&path, &list.to_bytes(), durable::PRIVATE).map_err(StateError::Io)?;
                written.insert(*digest);
            }
        }
        written.retain(|digest| lists.contains_key(digest));
        self.write(PROCESSES, json)?;
        // Room is all that is lost if this fails, and the next change tries again.
        for entry in std::fs::read_dir(self.path.join("loaded")).into_iter().flatten().flatten() {
            let is_used = |name: &str| lists.keys().any(|digest| digest.hex() == name);
            if !entry.file_name().to_str().is_some_and(is_used) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// It was answered.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn remove_resuming(&self) -> Result<(), StateError> {
        durable::remove(&self.path.join("resuming.json")).map_err(StateError::Io)
    }

    /// The latest wall clock time stored; the beginning of time before the first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn floor(&self) -> Result<Time, StateError> {
        Ok(self.read_json::<WallClock>("clock.json")?.map_or(Time::MIN, |clock| clock.last))
    }

    /// Stores a wall clock time that has passed.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn store_floor(&self, floor: Time) -> Result<(), StateError> {
        self.write_json("clock.json", &WallClock { last: floor })
    }

    /// A controller's word for the host's key; none before the first receipt that brought one.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn enrolment(&self) -> Result<Option<Sealed<Enrolled>>, StateError> {
        self.read_json(ENROLMENT)
    }

    /// Stores that word.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn store_enrolment(&self, word: &Sealed<Enrolled>) -> Result<(), StateError> {
        self.write_json(ENROLMENT, word)
    }

    /// The newest permit.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn permit(&self) -> Result<Option<StoredPermit>, StateError> {
        self.read_json("permit.json")
    }

    /// Stores the newest permit.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn store_permit(&self, held: &HeldPermit, boot_id: &str) -> Result<(), StateError> {
        let stored = StoredPermit {
            received: held.received.wall,
            boot_ms: held.received.boot_ms,
            boot_id: boot_id.to_owned(),
            permit: held.permit.sealed().clone(),
        };
        self.write_json("permit.json", &stored)
    }

    /// All stops on disk, by number.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn stops(&self) -> Result<KeptStops, StateError> {
        let directory = self.path.join("stops");
        let mut kept = KeptStops::default();
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(kept),
            Err(source) => return Err(StateError::Open { path: directory, source }),
        };
        for entry in entries {
            let entry = entry.map_err(|source| StateError::Open { path: directory.clone(), source })?;
            let file = entry.file_name();
            let Some(file) = file.to_str().filter(|name| name.ends_with(".json")) else { continue };
            let name = format!("stops/{file}");
            if kept.stops.len() >= STOPS_MAX {
                // A stop that is not read would not stop.
                kept.damaged.push(self.damaged(&name, "there are more stops than an agent keeps"));
                break;
            }
            let read = self.read_json::<StoredStop>(&name).and_then(|stored| {
                let stored = stored.ok_or_else(|| self.damaged(&name, "it is gone"))?;
                let verified = stored.stop.verify([&stored.key]).map_err(|e| self.damaged(&name, &e.to_string()))?;
                Ok(KeptStop { stop: verified, key: stored.key, acknowledged: stored.acknowledged })
            });
            match read {
                Ok(stop) => kept.stops.push(stop),
                Err(error @ StateError::Damaged { .. }) => kept.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        kept.stops.sort_by_key(|kept| kept.stop.number);
        Ok(kept)
    }

    /// Stores a stop.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn store_stop(&self, stop: &Verified<Stop>, key: &PublicKey, acknowledged: bool) -> Result<(), StateError> {
        durable::create_directory(&self.path.join("stops")).map_err(StateError::Io)?;
        let stored = StoredStop { key: key.clone(), stop: stop.sealed().clone(), acknowledged };
        // The digest keeps apart two stops that claim one number.
        let name = format!("stops/{:010}-{}.json", stop.number, &stop.digest().hex()[..16]);
        self.write_json(&name, &stored)
    }
}

/// JSON of a document's envelope, as it is sent.
pub fn envelope_json<T: Document>(sealed: &Sealed<T>) -> Vec<u8> {
    serde_json::to_vec(sealed).unwrap_or_default() // Strings only: cannot fail.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_file_is_damage_not_absence() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path()).unwrap();
        assert_eq!(state.sent().unwrap(), Sent::default());
        let sent = Sent { sequence: 7, permit: 3 };
        state.store_sent(sent).unwrap();
        assert_eq!(state.sent().unwrap(), sent);
        for name in ["sequence.json", "clock.json", "permit.json", "host.key", "sealing.key"] {
            std::fs::write(directory.path().join(name), b"").unwrap();
        }
        assert!(matches!(state.sent(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.floor(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.permit(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.host_key(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.sealing_key(), Err(StateError::Damaged { .. })));
    }

    #[test]
    fn a_kept_file_list_that_is_damaged_is_written_anew_under_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut list = FileList::new();
        list.insert_file(b"lib/module", Digest::of(b"one"));
        let (digest, list) = (list.digest(), Arc::new(list));
        let lists = BTreeMap::from([(digest, Arc::clone(&list))]);
        let path = directory.path().join("loaded").join(digest.hex());
        for damage in [None, Some("damaged"), Some("")] {
            let state = StateDirectory::open(directory.path()).unwrap();
            if let Some(damage) = damage {
                std::fs::write(&path, damage).unwrap();
            }
            state.store_processes(b"{}", &lists).unwrap();
            assert_eq!(state.loaded_list(&digest).unwrap(), list.to_bytes());
            // Not again and again: a list may be large, and processes come and go.
            let before = std::fs::metadata(&path).unwrap();
            state.store_processes(b"{ }", &lists).unwrap();
            use std::os::unix::fs::MetadataExt;
            assert_eq!(std::fs::metadata(&path).unwrap().ino(), before.ino());
            std::fs::remove_file(&path).unwrap();
            state.store_processes(b"{}", &lists).unwrap();
            assert_eq!(state.loaded_list(&digest).unwrap(), list.to_bytes());
        }
        // What is no longer named goes, and comes back whole.
        let state = StateDirectory::open(directory.path()).unwrap();
        state.store_processes(b"{}", &BTreeMap::new()).unwrap();
        assert!(!path.exists());
        state.store_processes(b"{}", &lists).unwrap();
        assert_eq!(state.loaded_list(&digest).unwrap(), list.to_bytes());
    }

    #[test]
    fn a_new_key_has_no_permit_and_has_acknowledged_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path()).unwrap();
        let controller = SigningKey::generate().unwrap();
        let stop = Stop {
            product: "p".parse().unwrap(),
            number: 1,
            previous: None,
            scope: manifests::stop::Scope::All,
            reason: "drill".to_owned(),
            operator: "duty".to_owned(),
            time: Time::MIN,
        };
        let stop = Sealed::seal(&stop, &controller).unwrap().verify([controller.public()]).unwrap();
        state.store_stop(&stop, controller.public(), true).unwrap();
        state.write("permit.json", b"{}").unwrap();
        state.store_sent(Sent { sequence: 7, permit: 3 }).unwrap();
        let key = state.make_enrolling_key().unwrap();
        state.adopt_enrolling_key().unwrap();
        assert_eq!(state.host_key().unwrap().unwrap().public(), key.public());
        assert!(state.permit().unwrap().is_none());
        let kept = state.stops().unwrap().stops;
        assert_eq!(kept.iter().map(|kept| kept.acknowledged).collect::<Vec<_>>(), [false], "it still stops");
        assert_eq!(state.sent().unwrap().permit, 3, "no number is named lower again");
    }

    #[test]
    fn two_agents_cannot_share_a_state_directory_and_the_first_one_tidies_it() {
        let directory = tempfile::tempdir().unwrap();
        let half_written = directory.path().join(".sequence.json.7-0.tmp");
        std::fs::write(&half_written, b"").unwrap();
        let _first = StateDirectory::open(directory.path()).unwrap();
        assert!(!half_written.exists());
        std::fs::write(&half_written, b"").unwrap();
        assert!(matches!(StateDirectory::open(directory.path()), Err(StateError::InUse { .. })));
        assert!(half_written.exists(), "the first one's, and it may still be writing it");
    }
}
