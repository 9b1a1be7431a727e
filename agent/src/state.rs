//! The state directory: everything an agent keeps. Each file is replaced atomically and synced; a
//! file that is there and cannot be used is an error that names it, never "nothing stored". What must not be
//! forgotten also finds its place on a full disk, and in memory where the disk takes nothing at all.

mod fallback;
mod keys;
mod processes;
mod room;
mod stops;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use manifests::digest::Digest;
use manifests::durable::{self, DurableError};
use manifests::enrolment::Enrolled;
use manifests::envelope::{Document, Sealed, Verified};
use manifests::gate::{Clocks, HeldPermit};
use manifests::key::{KeyError, PublicKey};
use manifests::permit::SealedPermit;
use manifests::stop::Stop;
use manifests::time::Time;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use fallback::Fallback;
pub use keys::random_key;

/// The largest file of the state directory, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A controller's word for the host's key.
const ENROLMENT: &str = "enrolment.json";
/// The largest document by which a host resumes, in bytes: evidence in its envelope.
const RESUMING_BYTES_MAX: u64 = 8 << 20;

/// An opened and locked state directory.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// File lists in `loaded` that this process has written: of others nobody knows that they are whole.
    written: Mutex<BTreeSet<Digest>>,
    fallback: Mutex<Fallback>,
    /// The document by which this host resumes, where the disk does not take it.
    resuming: PathBuf,
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
    /// Others than its owner can read or change a key.
    #[error(
        "key-mode: {} is open to others (mode {mode:o}); run `chmod 600` on it, and if others could read it, {instead}",
        path.display()
    )]
    KeyMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What takes the place of a key that is no secret any more.
        instead: &'static str,
    },
    /// Others than its owner can put another file in a key's place.
    #[error(
        "directory-mode: others can write to the state directory {} (mode {mode:o}); see that every file in it is the \
         agent's own, and run `chmod go-w` on it",
        path.display()
    )]
    DirectoryMode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The disk takes very long. What was to be kept may be kept later.
    #[error("the disk has not taken it within {after:?}")]
    Slow {
        /// How long was waited.
        after: std::time::Duration,
    },
    /// It is not on disk. What matters of it is in the runtime directory, if that takes it.
    #[error("the disk does not take it: {why}")]
    NotOnDisk {
        /// What the disk said, in words.
        why: String,
    },
    /// No random numbers, or no key from them.
    #[error("cannot make a key")]
    Key(#[source] KeyError),
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A permit as stored, with the clocks of its receipt.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

    /// The number that it claims, to choose among several which one to verify.
    pub fn claimed_number(&self) -> u64 {
        self.permit.claimed().map_or(0, |permit| permit.number)
    }

    /// The permit, to be verified again.
    pub fn into_permit(self) -> SealedPermit {
        self.permit
    }
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
    /// It is on disk: what is in the runtime directory alone is neither that nor acknowledged.
    pub on_disk: bool,
}

/// What the directory of stops holds.
#[derive(Debug, Default)]
pub struct KeptStops {
    /// Stops whose signature holds, by number.
    pub stops: Vec<KeptStop>,
    /// Files that cannot be used.
    pub damaged: Vec<StateError>,
}

/// What documents may have said: neither number is ever named lower again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The highest sequence that is taken: documents may have had every one up to it.
    pub sequence: u64,
    /// The highest number of a permit that may have been named.
    pub permit: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WallClock {
    last: Time,
}

impl StateDirectory {
    /// Opens the directory, makes it (0700) if it is not there, keeps a second agent out, and removes
    /// what a killed one left half-written. `runtime` is where what the disk does not take is kept until the
    /// machine ends.
    ///
    /// # Errors
    /// [`StateError::Open`], [`StateError::InUse`], [`StateError::Io`].
    pub fn open(path: &Path, runtime: &Path) -> Result<Self, StateError> {
        durable::create_directory(path).map_err(StateError::Io)?;
        let lock = lock(path)?;
        // On a disk that takes nothing they stay, and harm nobody.
        if let Err(error) = durable::remove_temporaries(path) {
            warn!("{}", manifests::chain::chain(&error));
        }
        Ok(Self::with(path, runtime, Some(lock)))
    }

    /// For reading beside a running agent.
    pub fn read_only(path: &Path, runtime: &Path) -> Self {
        Self::with(path, runtime, None)
    }

    fn with(path: &Path, runtime: &Path, lock: Option<OwnedFd>) -> Self {
        Self {
            path: path.to_owned(),
            written: Mutex::default(),
            fallback: Mutex::new(Fallback::read(path.join("room"), runtime.with_added_extension("room"))),
            resuming: runtime.with_added_extension("resuming.json"),
            _lock: lock,
        }
    }

    fn fallback(&self) -> MutexGuard<'_, Fallback> {
        self.fallback.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known to be missing, in words: a room that is damaged, or something that could not be written.
    pub fn missing(&self) -> Vec<String> {
        self.fallback().missing()
    }

    /// Whether it is not known any more what documents said last: this host had better say that it resumes.
    pub fn are_notes_lost(&self) -> bool {
        self.fallback().notes_lost
    }

    /// Takes room on the disk for what must not be forgotten, and writes to it what was kept, with `taken`. To be done before anything else is written.
    ///
    /// # Errors
    /// [`StateError::NotOnDisk`]: this directory cannot be written at present.
    pub fn take_room(&self, taken: Sent) -> Result<(), StateError> {
        let mut fallback = self.fallback();
        fallback.notes.sequence = fallback.notes.sequence.max(taken.sequence);
        fallback.notes.permit = fallback.notes.permit.max(taken.permit);
        let sent = Sent { sequence: fallback.notes.sequence, permit: fallback.notes.permit };
        // Twice, so that a room that is lost costs no sequence; one of them is enough.
        let _ = self.write_json("sequence.json", &sent);
        fallback.take_room()
    }

    /// The highest number of a permit that may be named: it is on disk, and known after whatever may happen.
    pub fn named_permit(&self) -> u64 {
        let before = self.read_json::<Sent>("sequence.json").ok().flatten().unwrap_or_default();
        self.fallback().permit_on_disk.max(before.permit)
    }

    /// Tries again what could not be written where it belongs. To be done now and then.
    ///
    /// # Errors
    /// [`StateError::NotOnDisk`] if the disk still does not take it.
    pub fn mend(&self) -> Result<(), StateError> {
        let mut fallback = self.fallback();
        fallback.mend_room()?;
        while let Some(stop) = fallback.stops.first().cloned() {
            self.write_stop(&stop)?;
            fallback.stops.remove(0);
        }
        fallback.save_stops()
    }

    /// Where trusted metadata and target files are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        read_if_there(&self.path.join(name), FILE_BYTES_MAX)
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

    /// What documents may have said; zeros before the first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn sent(&self) -> Result<Sent, StateError> {
        let (sent, noted) = (self.read_json::<Sent>("sequence.json")?.unwrap_or_default(), self.sent_in_room());
        Ok(Sent { sequence: sent.sequence.max(noted.sequence), permit: sent.permit.max(noted.permit) })
    }

    /// The same from the room alone, where the file is damaged.
    pub fn sent_in_room(&self) -> Sent {
        let fallback = self.fallback();
        Sent { sequence: fallback.notes.sequence, permit: fallback.notes.permit }
    }

    /// Stores that documents may have sequences up to `sequence`, which are used only then.
    ///
    /// # Errors
    /// [`StateError::NotOnDisk`].
    pub fn store_sequence(&self, sequence: u64) -> Result<(), StateError> {
        let mut fallback = self.fallback();
        let sent = Sent { sequence: sequence.max(fallback.notes.sequence), permit: fallback.notes.permit };
        fallback.notes.sequence = sent.sequence;
        let file = self.write_json("sequence.json", &sent);
        fallback.save_notes().or(file)
    }

    /// Gives back the sequences above `sequence` that no document had. Nothing may be sent after it.
    ///
    /// # Errors
    /// [`StateError::NotOnDisk`].
    pub fn give_back(&self, sequence: u64) -> Result<(), StateError> {
        let mut fallback = self.fallback();
        let sent = Sent { sequence, permit: fallback.notes.permit };
        fallback.notes.sequence = sequence;
        // Both or none: the higher of the two counts.
        self.write_json("sequence.json", &sent)?;
        fallback.save_notes()
    }

    /// The document by which this host resumes and to which there was no answer yet: the same bytes
    /// are sent until there is one, as a second resumption looks like a second machine.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn resuming(&self) -> Result<Option<Vec<u8>>, StateError> {
        match read_if_there(&self.path.join("resuming.json"), RESUMING_BYTES_MAX)? {
            None => read_if_there(&self.resuming, RESUMING_BYTES_MAX),
            on_disk => Ok(on_disk),
        }
    }

    /// Stores that document, before it is sent.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn store_resuming(&self, document: &[u8]) -> Result<(), StateError> {
        self.write("resuming.json", document).inspect_err(|_| {
            // Best effort: the error is told in any case.
            let _ = room::replace_in_memory(&self.resuming, document);
        })
    }

    /// It was answered.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn remove_resuming(&self) -> Result<(), StateError> {
        let _ = std::fs::remove_file(&self.resuming); // Mostly not there.
        durable::remove(&self.path.join("resuming.json")).map_err(StateError::Io)
    }

    /// The latest wall clock time stored; the beginning of time before the first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn floor(&self) -> Result<Time, StateError> {
        let floor = self.read_json::<WallClock>("clock.json")?.map_or(Time::MIN, |clock| clock.last);
        Ok(floor.max(self.floor_in_room()))
    }

    /// The same from the room alone, where the file is damaged.
    pub fn floor_in_room(&self) -> Time {
        self.fallback().notes.floor
    }

    /// Stores the wall clock time that is known to have passed. It may lie before the one stored: a permit has vouched
    /// for a clock that was ahead and was set right, and a restart must not hold for it.
    ///
    /// # Errors
    /// [`StateError::NotOnDisk`].
    pub fn store_floor(&self, floor: Time) -> Result<(), StateError> {
        let mut fallback = self.fallback();
        fallback.notes.floor = floor;
        self.write_json("clock.json", &WallClock { last: floor }).or_else(|_| fallback.save_notes())
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

    /// The permits stored, of which the one with the highest number is the newest.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn permits(&self) -> Result<Vec<StoredPermit>, StateError> {
        let mut permits = self.fallback().permits()?;
        permits.extend(self.read_json("permit.json")?);
        Ok(permits)
    }

    /// Stores the newest permit, and that its number may be named. `is_sound` says that nothing is known to be
    /// damaged or missing any more.
    ///
    /// # Errors
    /// [`StateError::NotOnDisk`].
    pub fn store_permit(&self, held: &HeldPermit, boot_id: &str, is_sound: bool) -> Result<(), StateError> {
        let stored = StoredPermit {
            received: held.received.wall,
            boot_ms: held.received.boot_ms,
            boot_id: boot_id.to_owned(),
            permit: held.permit.sealed().clone(),
        };
        let mut fallback = self.fallback();
        let kept = self.write_json("permit.json", &stored).or_else(|_| fallback.save_permit(&stored));
        // Even where the permit is not kept: from then on one before it does not count after a restart.
        fallback.notes.permit = fallback.notes.permit.max(held.permit.number);
        if is_sound && kept.is_ok() {
            fallback.nothing_is_missing();
        }
        kept.and(fallback.save_notes())
    }
}

fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StateError> {
    match durable::read_limited(path, max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(StateError::Io(error)),
    }
}

// Where the lock's file cannot be made, on a full disk say, the directory itself is locked: the next agent
// meets the same disk, or makes the file first.
fn lock(path: &Path) -> Result<OwnedFd, StateError> {
    let open = |source| StateError::Open { path: path.to_owned(), source };
    let file = path.join("lock");
    // For reading: a disk with a file that is open for writing cannot be remounted.
    let read = OFlags::RDONLY | OFlags::CLOEXEC;
    let lock = rustix::fs::open(&file, OFlags::CREATE | read, Mode::RUSR | Mode::WUSR)
        .or_else(|_| rustix::fs::open(&file, read, Mode::empty()))
        .or_else(|_| rustix::fs::open(path, read, Mode::empty()))
        .map_err(|error| open(error.into()))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(StateError::InUse { path: path.to_owned() }),
        Err(error) => Err(open(error.into())),
    }
}

/// JSON of a document's envelope, as it is sent.
pub fn envelope_json<T: Document>(sealed: &Sealed<T>) -> Vec<u8> {
    serde_json::to_vec(sealed).unwrap_or_default() // Strings only: cannot fail.
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<StateDirectory, StateError> {
        StateDirectory::open(path, &path.join("gate.sock"))
    }

    #[test]
    fn a_truncated_file_is_damage_not_absence() {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path()).unwrap();
        assert_eq!(state.sent().unwrap(), Sent::default());
        state.store_sequence(7).unwrap();
        assert_eq!(state.sent().unwrap(), Sent { sequence: 7, permit: 0 });
        for name in ["sequence.json", "clock.json", "permit.json", "host.key", "sealing.key"] {
            std::fs::write(directory.path().join(name), b"").unwrap();
        }
        assert!(matches!(state.sent(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.floor(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.permits(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.host_key(), Err(StateError::Damaged { .. })));
        assert!(matches!(state.sealing_key(), Err(StateError::Damaged { .. })));
    }

    #[test]
    fn the_last_time_is_known_where_its_file_is_damaged_and_goes_back_when_a_permit_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path()).unwrap();
        state.take_room(Sent::default()).unwrap();
        let (early, late) = (Time::from_unix_ms(1000), Time::from_unix_ms(2000));
        state.store_floor(late).unwrap();
        state.store_sequence(1).unwrap(); // The room is written with it.
        drop(state);
        let state = open(directory.path()).unwrap();
        std::fs::write(directory.path().join("clock.json"), b"").unwrap();
        assert!(state.floor().is_err());
        assert_eq!(state.floor_in_room(), late);
        state.store_floor(early).unwrap();
        state.store_sequence(2).unwrap();
        drop(state);
        assert_eq!(open(directory.path()).unwrap().floor().unwrap(), early);
    }

    #[test]
    fn a_key_that_others_can_read_is_no_secret() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path()).unwrap();
        state.make_enrolling_key().unwrap();
        state.adopt_enrolling_key().unwrap();
        state.make_sealing_key().unwrap();
        state.check_key_modes().unwrap();
        for name in ["host.key", "sealing.key"] {
            let set = |mode| {
                let permissions = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(directory.path().join(name), permissions).unwrap();
            };
            for mode in [0o640, 0o604, 0o620] {
                set(mode);
                let error = state.check_key_modes().unwrap_err();
                assert!(matches!(&error, StateError::KeyMode { .. }), "{error:?}");
                let text = error.to_string();
                assert!(text.starts_with("key-mode: ") && text.contains(name) && text.contains("chmod 600"), "{text}");
            }
            set(0o400);
            state.check_key_modes().unwrap();
        }
    }

    #[test]
    fn two_agents_cannot_share_a_state_directory_and_the_first_one_tidies_it() {
        let directory = tempfile::tempdir().unwrap();
        let half_written = directory.path().join(".sequence.json.7-0.tmp");
        std::fs::write(&half_written, b"").unwrap();
        let _first = open(directory.path()).unwrap();
        assert!(!half_written.exists());
        std::fs::write(&half_written, b"").unwrap();
        assert!(matches!(open(directory.path()), Err(StateError::InUse { .. })));
        assert!(half_written.exists(), "the first one's, and it may still be writing it");
    }
}
