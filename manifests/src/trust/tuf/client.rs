//! The client workflow of TUF 1.0.34, section 5; numbers in comments are its steps.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::digest::Digest;
use crate::key::{KeyId, PublicKey};
use crate::registry::Registry;
use crate::time::Time;
use crate::tuf::envelope::{Envelope, limit, open_listed};
use crate::tuf::error::TufError;
use crate::tuf::fetch::{Fetch, FetchError, file_name, metadata_path, root_path, target_path};
use crate::tuf::metadata::{MetaFile, RoleKeys, Root, SNAPSHOT_FILE, Signed, Snapshot, TargetFile, Targets, Timestamp};
use crate::tuf::roots::{ROOT_FILE, RootChain, SignedUnder, history_file};
use crate::tuf::store::MetadataStore;
use crate::tuf::trusted::{Chain, Progress, Search, Stored, Trusted, damaged, name_of, open_stored};
use crate::tuf::{
    ROOT, ROOT_BYTES_MAX, ROOT_ROTATIONS_MAX, SNAPSHOT, SNAPSHOT_BYTES_MAX, TARGET_FILE_BYTES_MAX, TARGETS,
    TARGETS_BYTES_MAX, TIMESTAMP, TIMESTAMP_BYTES_MAX,
};
use crate::units::{Units, UnitsBefore};

/// Follows one repository.
#[derive(Debug)]
pub struct TufClient<S, F> {
    first_root: Vec<u8>,
    store: S,
    fetch: F,
    without_units: UnitsBefore,
    current: Option<Current>,
}

/// What the last complete refresh found, and when it began.
#[derive(Debug)]
struct Current {
    trusted: Trusted,
    now: Time,
}

/// A target file as its signers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// Target path.
    pub path: String,
    /// Bytes it has.
    pub length: u64,
    /// Its SHA-256; `None` if its signers give only digests of other algorithms.
    pub digest: Option<Digest>,
    /// Anything more that they said of it.
    pub custom: Option<Value>,
    file: TargetFile,
}

impl TargetInfo {
    /// Checks that `bytes` are this target (5.7.3), as for a copy kept from an earlier download.
    ///
    /// # Errors
    /// [`TufError::Mismatch`].
    pub fn verify(&self, bytes: &[u8]) -> Result<(), TufError> {
        let mismatch = |listing| TufError::Mismatch { file: self.path.clone(), listing };
        self.file.verify(bytes).map_err(mismatch)
    }
}

impl<S: MetadataStore, F: Fetch> TufClient<S, F> {
    /// A client whose trust begins with `first_root`, which must not come from `store` or `fetch`.
    /// Asks nothing of either yet.
    ///
    /// # Errors
    /// [`TufError`] if `first_root` is no root signed by itself. Its expiry does not matter (5.2).
    pub fn new(first_root: &[u8], store: S, fetch: F) -> Result<Self, TufError> {
        RootChain::anchor(first_root)?;
        let without_units = UnitsBefore::NotAsked;
        Ok(Self { first_root: first_root.to_vec(), store, fetch, without_units, current: None })
    }

    /// A client of this product, which follows a root that names no units by the word of `registry`, the
    /// one of the set before: without one it follows none.
    #[must_use]
    pub fn by_units(self, registry: Option<&Registry>) -> Self {
        let known = |registry| UnitsBefore::Known(Units::of_registry(registry));
        Self { without_units: registry.map_or(UnitsBefore::Unknown, known), ..self }
    }

    /// Brings root, timestamp, snapshot and targets up to date, as of `now` throughout (5.1).
    ///
    /// Each file is stored as soon as it is verified; whatever the error, those behind it are as they
    /// were. Delegated roles are read when a target or [`TufClient::delegated`] asks for them.
    ///
    /// # Errors
    /// [`TufError`]. The set of an earlier refresh stays available from [`TufClient::trusted`], and what is
    /// read for it is judged as of that refresh.
    pub fn refresh(&mut self, now: Time) -> Result<(), TufError> {
        let mut roots = RootChain::load(&self.store, &self.first_root)?;
        self.update_root(&mut roots)?;
        // 5.3.10, after storing: only the last root of the chain must be alive.
        require_alive(ROOT, roots.current(), now)?;
        let floor = self.floor(&roots)?;
        let timestamp = self.update_timestamp(&roots, floor.timestamp, now)?;
        let snapshot = self.update_snapshot(&roots, &timestamp.value, floor.snapshot, now)?;
        let targets = self.update_targets(&roots, &snapshot.value, floor.targets, now)?;
        if Progress::load(&self.store)? != Progress::Complete {
            Progress::Complete.save(&mut self.store)?;
        }
        let trusted = Trusted { roots, timestamp, snapshot, targets, delegated: Default::default() };
        self.current = Some(Current { trusted, now });
        Ok(())
    }

    /// What the last refresh that succeeded found, with the delegated roles read since.
    pub fn trusted(&self) -> Option<&Trusted> {
        self.current.as_ref().map(|current| &current.trusted)
    }

    /// A role that the top-level targets delegate to, brought up to date.
    ///
    /// # Errors
    /// [`TufError::NothingTrusted`] before the first refresh, [`TufError::NoSuchRole`], or why it
    /// cannot be fetched or verified.
    pub fn delegated(&mut self, name: &str) -> Result<&Targets, TufError> {
        self.read_role(&vec![name.to_owned()])?;
        let targets = self.trusted().and_then(|trusted| trusted.delegated(name));
        targets.ok_or_else(|| TufError::NoSuchRole { role: name.to_owned() })
    }

    /// Searches the roles that may speak for `path` (5.6.7), reading those delegated roles that lie in
    /// the way.
    ///
    /// # Errors
    /// [`TufError::NothingTrusted`] before the first refresh, [`TufError::NoSuchTarget`], or why a role
    /// in the way cannot be read: the search ends there, as a role behind it would be less trusted.
    pub fn target(&mut self, path: &str) -> Result<TargetInfo, TufError> {
        loop {
            let chain = match self.trusted().ok_or(TufError::NothingTrusted)?.search(path) {
                Search::Found(file) => return Ok(info(path, file)),
                Search::Nowhere => return Err(TufError::NoSuchTarget { path: path.to_owned() }),
                Search::Needs(chain) => chain,
            };
            self.read_role(&chain)?; // An error or one role more, of at most 32.
        }
    }

    /// Finds, fetches and verifies a target file (5.7).
    ///
    /// # Errors
    /// As [`TufClient::target`]; [`TufError::Mismatch`] or [`TufError::TooLarge`] if other bytes come.
    pub fn download(&mut self, path: &str) -> Result<Vec<u8>, TufError> {
        let info = self.target(path)?;
        let consistent = self.trusted().is_some_and(|trusted| trusted.root().consistent_snapshot);
        // Without a known digest nothing that comes could be verified.
        let served = target_path(path, &info.file)
            .ok_or_else(|| TufError::Mismatch { file: path.to_owned(), listing: crate::tuf::Listing::NoKnownDigest })?;
        let served = if consistent { served } else { path.to_owned() };
        let max = limit(Some(info.length), TARGET_FILE_BYTES_MAX);
        let bytes = self.fetch.fetch_target(&served, max).map_err(|error| error.of(&served, max))?;
        info.verify(&bytes)?;
        Ok(bytes)
    }

    // 5.3: one version after the other, each signed by the one before it and by itself.
    fn update_root(&mut self, roots: &mut RootChain) -> Result<(), TufError> {
        if self.store.load(ROOT_FILE)?.is_none() {
            self.store.save(ROOT_FILE, roots.current_bytes())?;
        }
        for _ in 0..ROOT_ROTATIONS_MAX {
            let version = roots.next_version();
            let path = root_path(version);
            let bytes = match self.fetch.fetch(&path, ROOT_BYTES_MAX) {
                Err(FetchError::NotFound) => break, // The current one is the newest (5.3.3).
                answer => answer.map_err(|error| error.of(&path, ROOT_BYTES_MAX))?,
            };
            within(&path, &bytes, ROOT_BYTES_MAX)?;
            roots.extend(&path, &bytes, &self.without_units)?;
            // 5.3.8. The history first: root.json must never be newer than the chain that explains it.
            self.store.save(&history_file(version), &bytes)?;
            self.store.save(ROOT_FILE, &bytes)?;
        }
        // A crash between the two, or a newer first root.
        if self.store.load(ROOT_FILE)?.as_deref() != Some(roots.current_bytes()) {
            self.store.save(ROOT_FILE, roots.current_bytes())?;
        }
        Ok(())
    }

    // The stored timestamp and snapshot, by which rollback is judged, and the stored targets: never
    // `None` for a file that was stored, unless its keys were rotated. All are looked at before anything
    // is fetched that would replace one of them.
    fn floor(&mut self, roots: &RootChain) -> Result<Floor, TufError> {
        let progress = Progress::load(&self.store)?;
        let targets = self.stored::<Targets>(roots, TARGETS)?;
        let targets_present = targets.is_some();
        // Signed by keys that speak no more, targets are of no use; the snapshot says which are.
        let targets = targets.filter(|(_, root)| *root == SignedUnder::Current).map(held);
        if progress == Progress::Reset {
            return self.reset(targets); // A crash interrupted it.
        }
        let timestamp = self.stored::<Timestamp>(roots, TIMESTAMP)?;
        let snapshot = self.stored::<Snapshot>(roots, SNAPSHOT)?;
        if timestamp.as_ref().is_some_and(is_rotated) || snapshot.as_ref().is_some_and(is_rotated) {
            // 5.3.11: the way out of a fast-forward attack, which used the keys now rotated out. A key
            // added beside the one that signed is no rotation, and drops nothing.
            return self.reset(targets);
        }
        let complete = progress == Progress::Complete;
        let present = [timestamp.is_some(), snapshot.is_some(), targets_present];
        for (role, present) in [TIMESTAMP, SNAPSHOT, TARGETS].into_iter().zip(present) {
            // Also before the first refresh was complete, no snapshot is stored without a timestamp.
            if !present && (complete || (role == TIMESTAMP && snapshot.is_some())) {
                return Err(damaged(&file_name(role), "it is missing"));
            }
        }
        let floor = Floor { timestamp: timestamp.map(held), snapshot: snapshot.map(held), targets };
        match &floor {
            Floor { timestamp: Some(timestamp), snapshot: Some(snapshot), .. }
                if timestamp.value.snapshot().is_none_or(|listed| listed.version < snapshot.value.version) =>
            {
                Err(damaged("timestamp.json", "it lists an older snapshot than the one stored"))
            }
            _ => Ok(floor),
        }
    }

    // In this order, so that a crash in between is told from a loss.
    fn reset(&mut self, targets: Option<Stored<Targets>>) -> Result<Floor, TufError> {
        Progress::Reset.save(&mut self.store)?;
        self.store.remove(&file_name(TIMESTAMP))?;
        self.store.remove(&file_name(SNAPSHOT))?;
        Progress::None.save(&mut self.store)?;
        Ok(Floor { timestamp: None, snapshot: None, targets })
    }

    fn stored<T: Signed>(&self, roots: &RootChain, role: &str) -> Result<Option<(Stored<T>, SignedUnder)>, TufError> {
        self.store.load(&file_name(role))?.map(|bytes| open_stored(roots, role, bytes)).transpose()
    }

    fn update_timestamp(
        &mut self,
        roots: &RootChain,
        stored: Option<Stored<Timestamp>>,
        now: Time,
    ) -> Result<Stored<Timestamp>, TufError> {
        let file = file_name(TIMESTAMP);
        let bytes = self.fetch_metadata(&file, TIMESTAMP_BYTES_MAX)?; // 5.4.1
        let envelope = Envelope::parse(&file, &bytes)?;
        let root = roots.current();
        envelope.verify(TIMESTAMP, &root.keys, root.roles.get(TIMESTAMP))?; // 5.4.2
        let value: Timestamp = envelope.decode()?;
        if let Some(stored) = stored {
            not_older(&file, stored.value.version, value.version)?; // 5.4.3.1
            if value.version == stored.value.version {
                // Also 5.4.3.1: nothing new, whatever the bytes say. The refresh goes on with what is
                // stored, since the one before may have stopped here.
                require_fresh(TIMESTAMP, &stored.value, now)?;
                return Ok(stored);
            }
            if let (Some(trusted), Some(offered)) = (stored.value.snapshot(), value.snapshot()) {
                not_older(SNAPSHOT_FILE, trusted.version, offered.version)?; // 5.4.3.2
            }
        }
        require_fresh(TIMESTAMP, &value, now)?; // 5.4.4
        self.store.save(&file, &bytes)?; // 5.4.5
        Ok(Stored { value, bytes })
    }

    fn update_snapshot(
        &mut self,
        roots: &RootChain,
        timestamp: &Timestamp,
        stored: Option<Stored<Snapshot>>,
        now: Time,
    ) -> Result<Stored<Snapshot>, TufError> {
        let missing = || TufError::Format { file: file_name(TIMESTAMP), reason: "no snapshot is listed".to_owned() };
        let listed = timestamp.snapshot().ok_or_else(missing)?;
        let root = roots.current();
        let stored = match stored {
            Some(stored) if is_listed(&stored, listed) => {
                require_fresh(SNAPSHOT, &stored.value, now)?;
                return Ok(stored);
            }
            other => other,
        };
        let path = versioned(root, SNAPSHOT, listed.version);
        let bytes = self.fetch_metadata(&path, limit(listed.length, SNAPSHOT_BYTES_MAX))?; // 5.5.1
        let keys = (SNAPSHOT, &root.keys, root.roles.get(SNAPSHOT));
        let value: Snapshot = open_listed(&path, &bytes, listed, keys)?; // 5.5.2 to 5.5.4
        for (name, trusted) in stored.iter().flat_map(|stored| &stored.value.meta) {
            // 5.5.5
            match value.meta.get(name) {
                Some(offered) => not_older(name, trusted.version, offered.version)?,
                None => return Err(TufError::Removed { file: name.clone() }),
            }
        }
        require_fresh(SNAPSHOT, &value, now)?; // 5.5.6
        self.store.save(&file_name(SNAPSHOT), &bytes)?; // 5.5.7
        Ok(Stored { value, bytes })
    }

    fn update_targets(
        &mut self,
        roots: &RootChain,
        snapshot: &Snapshot,
        stored: Option<Stored<Targets>>,
        now: Time,
    ) -> Result<Stored<Targets>, TufError> {
        let file = file_name(TARGETS);
        let missing = || TufError::Format { file: SNAPSHOT_FILE.to_owned(), reason: format!("{file} is not listed") };
        let listed = snapshot.meta.get(&file).ok_or_else(missing)?;
        let root = roots.current();
        if let Some(stored) = stored.filter(|stored| is_listed(stored, listed)) {
            require_alive(TARGETS, &stored.value, now)?;
            return Ok(stored);
        }
        let path = versioned(root, TARGETS, listed.version);
        let bytes = self.fetch_metadata(&path, limit(listed.length, TARGETS_BYTES_MAX))?; // 5.6.1
        let keys = (TARGETS, &root.keys, root.roles.get(TARGETS));
        let value: Targets = open_listed(&path, &bytes, listed, keys)?; // 5.6.2 to 5.6.4
        require_alive(TARGETS, &value, now)?; // 5.6.5
        if let Some(who) = keys.2 {
            require_units(&self.without_units, &path, &bytes, root, (keys.1, who))?;
        }
        self.store.save(&file, &bytes)?; // 5.6.6
        Ok(Stored { value, bytes })
    }

    // A delegated role on its delegator's terms, as 5.6.1 to 5.6.6 for the top-level targets.
    fn read_role(&mut self, chain: &Chain) -> Result<(), TufError> {
        let Current { trusted, now } = self.current.as_mut().ok_or(TufError::NothingTrusted)?;
        if trusted.delegated.contains_key(chain) {
            return Ok(());
        }
        let name = name_of(chain);
        let terms = trusted.terms(chain)?;
        let held = match terms.load(&self.store, name)? {
            Some(stored) => {
                require_alive(name, &stored.value, *now)?;
                stored
            }
            None => {
                let path = versioned(trusted.root(), name, terms.listed.version);
                let max = limit(terms.listed.length, TARGETS_BYTES_MAX);
                let bytes = self.fetch.fetch(&path, max).map_err(|error| error.of(&path, max))?;
                within(&path, &bytes, max)?;
                let fetched = terms.open(&path, name, bytes)?;
                require_alive(name, &fetched.value, *now)?;
                require_units(&self.without_units, &path, &fetched.bytes, trusted.root(), (terms.keys, terms.who))?;
                self.store.save(&file_name(name), &fetched.bytes)?;
                fetched
            }
        };
        trusted.delegated.insert(chain.clone(), held);
        Ok(())
    }

    fn fetch_metadata(&mut self, path: &str, max: u64) -> Result<Vec<u8>, TufError> {
        let bytes = self.fetch.fetch(path, max).map_err(|error| error.of(path, max))?;
        within(path, &bytes, max)?;
        Ok(bytes)
    }
}

/// What is stored, as the lower bound of what may come.
struct Floor {
    timestamp: Option<Stored<Timestamp>>,
    snapshot: Option<Stored<Snapshot>>,
    /// Judges nothing; saves fetching what is there.
    targets: Option<Stored<Targets>>,
}

type Who<'a> = (&'a BTreeMap<KeyId, PublicKey>, &'a RoleKeys);

// Before it is stored: what one unit signed must not come to lie where the next refresh goes on from.
fn require_units(
    without: &UnitsBefore,
    file: &str,
    bytes: &[u8],
    root: &Root,
    (keys, who): Who<'_>,
) -> Result<(), TufError> {
    let (by, units) = match (Units::of_root(root), without) {
        (Some(units), _) => ("the root", units),
        (None, UnitsBefore::Known(units)) => ("the registry before it", units.clone()),
        (None, UnitsBefore::Unknown | UnitsBefore::NotAsked) => return Ok(()),
    };
    let tally = Envelope::parse(file, bytes)?.tally(keys, who);
    let signers = tally.valid.iter().filter_map(|id| keys.get(id));
    let refused = |source| TufError::Units { file: file.to_owned(), source };
    units.require_two(by, tally.threshold, signers).map_err(refused)
}

fn held<T>((held, _): (Stored<T>, SignedUnder)) -> Stored<T> {
    held
}

fn is_rotated<T>((_, root): &(Stored<T>, SignedUnder)) -> bool {
    *root == SignedUnder::Earlier
}

fn info(path: &str, file: &TargetFile) -> TargetInfo {
    let (length, digest, custom) = (file.length, file.hashes.sha256(), file.custom.clone());
    TargetInfo { path: path.to_owned(), length, digest, custom, file: file.clone() }
}

fn versioned(root: &Root, role: &str, version: u64) -> String {
    if root.consistent_snapshot { metadata_path(role, version) } else { file_name(role) }
}

fn is_listed<T: Signed>(stored: &Stored<T>, listed: &MetaFile) -> bool {
    stored.value.version() == listed.version && listed.verify(&stored.bytes).is_ok()
}

fn not_older(file: &str, trusted: u64, offered: u64) -> Result<(), TufError> {
    if offered >= trusted { Ok(()) } else { Err(TufError::Rollback { file: file.to_owned(), trusted, offered }) }
}

// A transport that ignores its limit is not taken at its word.
fn within(file: &str, bytes: &[u8], max: u64) -> Result<(), TufError> {
    if crate::tuf::metadata::length(bytes) <= max {
        Ok(())
    } else {
        Err(TufError::TooLarge { file: file.to_owned(), max })
    }
}

// "MUST be higher than the fixed update start time": at the very moment it is expired.
fn require_alive(role: &str, metadata: &impl Signed, now: Time) -> Result<(), TufError> {
    let expires = metadata.expires();
    if expires > now { Ok(()) } else { Err(TufError::Expired { role: role.to_owned(), expires, now }) }
}

fn require_fresh(role: &str, metadata: &impl Signed, now: Time) -> Result<(), TufError> {
    let expires = metadata.expires();
    if expires > now { Ok(()) } else { Err(TufError::Freeze { role: role.to_owned(), expires, now }) }
}
