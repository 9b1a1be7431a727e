//! The TUF repository on disk, and what is in force by it.
//!
//! Files are added, never changed, but for `timestamp.json`, which is written last: whatever crash
//! comes, the repository is the old one or the new one.

mod candidate;
mod unverified;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use manifests::api::Versions;
use manifests::baseline::Baseline;
use manifests::digest::Digest;
use manifests::durable::{self, DurableError};
use manifests::id::{ControllerId, ProductId};
use manifests::key::{PublicKey, SigningKey};
use manifests::reference::Reference;
use manifests::registry::Registry;
use manifests::set::{self, SetError, VerifiedSet};
use manifests::source;
use manifests::time::{Span, Time};
use manifests::tree::FileList;
use manifests::tuf::repository::{self as writer, LIFTS, SNAPSHOT_LIFE, TIMESTAMP_LIFE, file_path};
use manifests::tuf::{
    MemoryStore, ROOT, ROOT_BYTES_MAX, Root, SNAPSHOT, SNAPSHOT_BYTES_MAX, Snapshot, TARGET_FILE_BYTES_MAX, TARGETS,
    TARGETS_BYTES_MAX, TIMESTAMP, TIMESTAMP_BYTES_MAX, TargetFile, Timestamp, Trusted, TufClient, TufError,
    metadata_path, target_path,
};

pub use candidate::Candidate;
pub(crate) use candidate::is_target_path;
pub(crate) use unverified::Unverified;

/// How old timestamp and snapshot may become before both are signed anew.
const RENEW_AFTER: Span = Span::from_s(600);
/// How long a snapshot is kept that another one has replaced.
const SNAPSHOTS_KEPT: Span = Span::from_s(3600);

/// Why nothing was published, or the repository cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The metadata does not verify, or would not be a step forward.
    #[error("the metadata is refused")]
    Tuf(#[from] TufError),
    /// Baseline, registry, file lists or lifts are refused.
    #[error("the signed set is refused")]
    Set(#[from] SetError),
    /// The disk failed.
    #[error(transparent)]
    File(#[from] DurableError),
    /// What is signed breaks a rule of the product; every problem found.
    #[error("{}", problems.join("\n"))]
    Refused {
        /// A line each.
        problems: Vec<String>,
    },
    /// Files of the set in force are gone while it is served.
    #[error(
        "{}: files of the TUF repository are lost; have the release managers publish what is in force, or something \
         newer, again: nothing has to be signed for it", directory.display()
    )]
    Lost {
        /// The repository.
        directory: PathBuf,
    },
    /// A name that is none of a metadata or target file, or not base64.
    #[error("{name}: {why}")]
    Upload {
        /// As sent.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl RepositoryError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            RepositoryError::Tuf(error) => error.code(),
            RepositoryError::Set(error) => error.code(),
            RepositoryError::File(_) => "unavailable",
            RepositoryError::Refused { .. } => "refused",
            RepositoryError::Lost { .. } => "store-damaged",
            RepositoryError::Upload { .. } => "malformed",
        }
    }

    fn refused(problem: impl Into<String>) -> Self {
        RepositoryError::Refused { problems: vec![problem.into()] }
    }
}

/// Who this controller is to the repository.
#[derive(Debug)]
pub struct ControllerIdentity {
    /// Its id in the registry.
    pub id: ControllerId,
    /// The product.
    pub product: ProductId,
    /// Its permit key, which the registry must list.
    pub permit_key: PublicKey,
    /// Signs snapshots.
    pub snapshot_key: SigningKey,
    /// Signs timestamps.
    pub timestamp_key: SigningKey,
}

/// What is in force, as far as it decides what may follow. In memory: a publish is judged by it, and can mend the
/// files, when they are lost.
#[derive(Debug)]
struct InForce {
    trusted: Trusted,
    registry: Registry,
    digest: Digest,
    baseline: Baseline,
}

impl InForce {
    fn new(trusted: Trusted, set: &VerifiedSet) -> Self {
        let (digest, baseline) = (set.reference.digest(), set.reference.baseline().clone());
        Self { trusted, registry: set.registry.clone(), digest, baseline }
    }
}

/// The repository of one controller.
#[derive(Debug)]
pub struct Repository {
    directory: PathBuf,
    first_root: Vec<u8>,
    identity: ControllerIdentity,
    current: Option<InForce>,
    /// What was in force once, where nothing is any more: a lost directory must not bring back an
    /// older set, nor versions that hosts have seen already.
    floor: Versions,
}

impl Repository {
    /// Opens the repository and verifies the set in it, from the first root on: what is in force, none before the
    /// first publish.
    ///
    /// # Errors
    /// [`RepositoryError`] if it is damaged, or `first_root` is no root.
    pub fn open(
        directory: PathBuf,
        first_root: Vec<u8>,
        identity: ControllerIdentity,
    ) -> Result<(Self, Option<VerifiedSet>), RepositoryError> {
        durable::create_directory(&directory)?;
        let mut repository = Self { directory, first_root, identity, current: None, floor: Versions::default() };
        // The first root is served too: others start from it.
        let first: Root = writer::read_unverified(&repository.first_root)?;
        TufClient::new(&repository.first_root, MemoryStore::default(), candidate::Nothing)?;
        let first_name = metadata_path(ROOT, first.version);
        if repository.read(&first_name, ROOT_BYTES_MAX)?.is_none() {
            repository.write(&first_name, &repository.first_root)?;
        }
        let Some(trusted) = repository.load(first.version)? else { return Ok((repository, None)) };
        let read = |path: &str, file: &TargetFile| repository.target(path, file);
        let set = set::read(&trusted, &repository.identity.product, None, read)?;
        repository.current = Some(InForce::new(trusted, &set));
        Ok((repository, Some(set)))
    }

    fn trusted(&self) -> Option<&Trusted> {
        self.current.as_ref().map(|current| &current.trusted)
    }

    /// The controller's id in the registry.
    pub fn id(&self) -> &ControllerId {
        &self.identity.id
    }

    /// Holds the directory against what the database knows of the last publish.
    ///
    /// A directory without a set is accepted: the release managers publish what was in force, or
    /// something newer, again. Timestamps since then are not in the database; there was one a minute at most.
    ///
    /// # Errors
    /// [`RepositoryError::Refused`] if the directory has an older set than was published.
    pub fn expect(&mut self, last: Versions, at: Time, now: Time) -> Result<(), RepositoryError> {
        if self.current.is_none() {
            let since = (now.since(at).as_ms() / 60_000).saturating_add(1);
            let online = |version: u64| version.saturating_add(since);
            self.floor = Versions { snapshot: online(last.snapshot), timestamp: online(last.timestamp), ..last };
            return Ok(());
        }
        let found = self.versions();
        let pairs = [
            ("root", found.root, last.root),
            ("targets", found.targets, last.targets),
            ("lifts", found.lifts, last.lifts),
            ("snapshot", found.snapshot, last.snapshot),
            ("timestamp", found.timestamp, last.timestamp),
        ];
        let older = pairs.iter().filter(|(_, found, last)| found < last);
        let problems: Vec<String> = older
            .map(|(role, found, last)| {
                format!("{}: {role} {found} is older than {role} {last}, which was published", self.directory.display())
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(RepositoryError::Refused { problems }) }
    }

    /// Versions of the set in force.
    pub fn versions(&self) -> Versions {
        self.trusted().map_or_else(Versions::default, versions)
    }

    /// Until when timestamp and snapshot are good; [`Time::MIN`] before the first publish.
    pub fn online_until(&self) -> Time {
        self.trusted().map_or(Time::MIN, |set| set.timestamp().expires.min(set.snapshot().expires))
    }

    /// Until when the release managers' signatures on root and targets are good; none before the first publish.
    pub fn signed_until(&self) -> Option<Time> {
        self.trusted().map(|set| set.root().expires.min(set.targets().expires))
    }

    /// Until when each signature of the release managers is good: `root`, `targets`, and `lifts` once there are any.
    pub fn ends(&self) -> Vec<(&'static str, Time)> {
        let Some(set) = self.trusted() else { return Vec::new() };
        let lifts = set.delegated(LIFTS).map(|lifts| (LIFTS, lifts.expires));
        [("root", set.root().expires), ("targets", set.targets().expires)].into_iter().chain(lifts).collect()
    }

    /// A baseline that was in force once, by its digest: hosts may still report under it.
    ///
    /// # Errors
    /// [`RepositoryError`] if its files are not there or damaged.
    pub fn earlier_baseline(&self, digest: &Digest) -> Result<Reference, RepositoryError> {
        let path = format!("{}/baseline.toml", self.identity.product);
        let text = self.named_by(&path, digest)?;
        let refused = |problems| SetError::Refused { path: path.clone(), problems, min_agent: None, is_newer: false };
        let baseline = source::baseline_from_bytes(&text).map_err(refused)?;
        let mut lists = BTreeMap::new();
        for list in Reference::lists_needed(&baseline) {
            let bytes = self.named_by(&file_path(&list), &list)?;
            lists.insert(list, FileList::parse(&bytes).map_err(|source| SetError::List { list, source })?);
        }
        Ok(Reference::new(baseline, *digest, &lists).map_err(SetError::Reference)?)
    }

    // A target file of any set there ever was: its name bears its digest.
    fn named_by(&self, path: &str, digest: &Digest) -> Result<Vec<u8>, RepositoryError> {
        let (directory, name) = path.rsplit_once('/').unwrap_or_default();
        let missing = || TufError::NoSuchTarget { path: path.to_owned() };
        let file = format!("targets/{directory}/{}.{name}", digest.hex());
        let bytes = self.read(&file, TARGET_FILE_BYTES_MAX)?.filter(|bytes| Digest::of(bytes) == *digest);
        Ok(bytes.ok_or_else(missing)?)
    }

    /// Signs timestamp and snapshot anew, both together, once they are `RENEW_AFTER` old or half of their life is
    /// over. Says whether it did.
    ///
    /// Their versions are moments. A client that comes from another controller has seen that one's newest: this one
    /// counts for it once its own are newer, and so after `RENEW_AFTER` at most.
    ///
    /// Does not ask whether root and targets have expired: they have a grace, in which hosts must
    /// still be told that nothing newer was published.
    ///
    /// # Errors
    /// [`RepositoryError`]; what was in force still is.
    pub fn renew(&mut self, now: Time) -> Result<bool, RepositoryError> {
        let Some(set) = self.trusted() else { return Ok(false) };
        let due = |expires: Time, life: Span| now >= expires.before(life / 2);
        let is_old = |version: u64| {
            let signed = Time::from_unix_ms(i64::try_from(version.saturating_mul(1000)).unwrap_or(i64::MAX));
            now >= signed.after(RENEW_AFTER)
        };
        let is_due = due(set.snapshot().expires, SNAPSHOT_LIFE) || due(set.timestamp().expires, TIMESTAMP_LIFE);
        if !is_due && !is_old(set.timestamp().version) && !is_old(set.snapshot().version) {
            return Ok(false);
        }
        // Over what is lost a timestamp would lead nowhere, and nobody would be told to publish again.
        if self.of_release_managers(Some(set))?.keys().any(|name| !self.directory.join(name).exists()) {
            return Err(RepositoryError::Lost { directory: self.directory.clone() });
        }
        let listed = set.timestamp().snapshot().map_or(0, |listed| listed.version);
        let snapshot = writer::snapshot(now, Some(listed), set.snapshot().meta.clone());
        let bytes = writer::sign(&writer::unsigned(&snapshot)?, &self.identity.snapshot_key)?;
        let mut files = vec![(metadata_path(SNAPSHOT, snapshot.version), bytes.clone())];
        let timestamp = writer::timestamp(now, Some(set.timestamp().version), snapshot.version, &bytes);
        let timestamp = writer::sign(&writer::unsigned(&timestamp)?, &self.identity.timestamp_key)?;
        for (bytes, role) in [(&bytes, SNAPSHOT), (&timestamp, TIMESTAMP)] {
            let keys = set.root().roles.get(role);
            let good = keys.is_some_and(|role| {
                writer::count_valid(bytes, &set.root().keys, role).is_ok_and(|tally| tally.is_met())
            });
            if !good {
                return Err(RepositoryError::refused(format!(
                    "the root does not name this controller's {role} key: have release managers sign a root that does"
                )));
            }
        }
        files.push((metadata_path(TIMESTAMP, 0), timestamp));
        for (name, bytes) in &files {
            self.write(name, bytes)?;
        }
        let renewed = self.load(self.first_version()?)?;
        if let (Some(current), Some(renewed)) = (&mut self.current, renewed) {
            current.trusted = renewed;
        }
        self.remove_snapshots(now);
        Ok(true)
    }

    // Room is all that is lost if this fails, and the next renewal tries again. Who is just reading with an older
    // timestamp has an hour.
    fn remove_snapshots(&self, now: Time) {
        let Some(newest) = self.trusted().map(|set| set.snapshot().version) else { return };
        let kept_from = u64::try_from(now.before(SNAPSHOTS_KEPT).unix_ms() / 1000).unwrap_or(0).min(newest);
        for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_suffix(".snapshot.json")?.parse::<u64>().ok());
            if version.is_some_and(|version| version < kept_from) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    // The first root, and roots, targets and lifts of a set, by the names under which they are served.
    fn of_release_managers(&self, set: Option<&Trusted>) -> Result<BTreeMap<String, Vec<u8>>, RepositoryError> {
        let mut served = BTreeMap::from([(metadata_path(ROOT, self.first_version()?), self.first_root.clone())]);
        let Some(set) = set else { return Ok(served) };
        for (name, bytes) in set.files() {
            let name = match (name.strip_prefix("root_history/"), name.strip_suffix(".json")) {
                (Some(root), _) => root.to_owned(),
                (None, Some(TARGETS)) => metadata_path(TARGETS, set.targets().version),
                (None, Some(LIFTS)) => metadata_path(LIFTS, set.delegated(LIFTS).map_or(0, |lifts| lifts.version)),
                (None, _) => continue,
            };
            served.insert(name, bytes.to_vec());
        }
        Ok(served)
    }

    // It was verified when the repository was opened.
    fn first_version(&self) -> Result<u64, RepositoryError> {
        let first: Root = writer::read_unverified(&self.first_root)?;
        Ok(first.version)
    }

    /// Puts a verified candidate in place.
    ///
    /// # Errors
    /// [`RepositoryError::File`]; the timestamp is written last, so what was in force still is.
    pub fn put_in_force(&mut self, candidate: Candidate) -> Result<VerifiedSet, RepositoryError> {
        for (name, bytes) in candidate.files {
            self.write(&name, &bytes)?;
        }
        self.current = Some(InForce::new(candidate.trusted, &candidate.set));
        Ok(candidate.set)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RepositoryError> {
        let path = self.directory.join(name);
        if let Some(parent) = path.parent() {
            durable::create_directory(parent)?;
        }
        Ok(durable::replace(&path, bytes, durable::PRIVATE)?)
    }

    fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, RepositoryError> {
        match durable::read_limited(&self.directory.join(name), max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn target(&self, path: &str, file: &TargetFile) -> Result<Vec<u8>, RepositoryError> {
        let missing = || TufError::NoSuchTarget { path: path.to_owned() };
        let name = target_path(path, file).ok_or_else(missing)?;
        let bytes = self.read(&format!("targets/{name}"), TARGET_FILE_BYTES_MAX)?.ok_or_else(missing)?;
        file.verify(&bytes).map_err(|listing| TufError::Mismatch { file: path.to_owned(), listing })?;
        Ok(bytes)
    }

    // The set as a client would have stored it, so that the same code verifies it.
    fn load(&self, first_version: u64) -> Result<Option<Trusted>, RepositoryError> {
        let Some(timestamp) = self.read("timestamp.json", TIMESTAMP_BYTES_MAX)? else { return Ok(None) };
        let mut files = BTreeMap::new();
        let mut roots = vec![self.first_root.clone()];
        for version in first_version.saturating_add(1).. {
            let name = metadata_path(ROOT, version);
            let Some(bytes) = self.read(&name, ROOT_BYTES_MAX)? else { break };
            files.insert(format!("root_history/{name}"), bytes.clone());
            roots.push(bytes);
        }
        let needed = |name: String, max| -> Result<Vec<u8>, RepositoryError> {
            Ok(self.read(&name, max)?.ok_or(TufError::NotFound { file: name })?)
        };
        let listed: Timestamp = writer::read_unverified(&timestamp)?;
        let version = listed.snapshot().map_or(0, |listed| listed.version);
        let snapshot = needed(metadata_path(SNAPSHOT, version), SNAPSHOT_BYTES_MAX)?;
        let listed: Snapshot = writer::read_unverified(&snapshot)?;
        for role in [TARGETS, LIFTS] {
            let name = format!("{role}.json");
            if let Some(file) = listed.meta.get(&name) {
                files.insert(name, needed(metadata_path(role, file.version), TARGETS_BYTES_MAX)?);
            }
        }
        files.insert("timestamp.json".to_owned(), timestamp);
        files.insert("snapshot.json".to_owned(), snapshot);
        files.insert("progress".to_owned(), b"complete\n".to_vec());
        loop {
            let Some(newest) = roots.pop() else { return Err(TufError::NothingTrusted.into()) };
            files.insert("root.json".to_owned(), newest);
            match Trusted::load(&MemoryStore { files: files.clone() }, &self.first_root) {
                // A crash after a publish's new root was written and before its timestamp was: the set
                // before it is in force, and publishing again goes on from there.
                Err(TufError::Incomplete { .. }) if !roots.is_empty() => {
                    let last = roots.len().try_into().map_or(first_version, |gone: u64| first_version + gone);
                    files.remove(&format!("root_history/{}", metadata_path(ROOT, last)));
                }
                result => return Ok(Some(result?)),
            }
        }
    }

    /// Where its files lie, for those who serve them.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

pub(crate) fn versions(set: &Trusted) -> Versions {
    Versions {
        root: set.root().version,
        targets: set.targets().version,
        lifts: set.delegated(LIFTS).map_or(0, |lifts| lifts.version),
        snapshot: set.snapshot().version,
        timestamp: set.timestamp().version,
    }
}
