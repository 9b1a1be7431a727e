//! A publish, verified wholly before anything changes: by the code every agent verifies with, against
//! the set in force, and by the product's own rules.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use manifests::api::{Publish, Versions};
use manifests::set::{self, VerifiedSet};
use manifests::succession::{self, SuccessionError};
use manifests::time::Time;
use manifests::tuf::repository::{self as writer, LIFTS};
use manifests::tuf::{
    Fetch, FetchError, MemoryStore, MetaFile, ROOT, SNAPSHOT, TARGETS, TARGETS_BYTES_MAX, TIMESTAMP, TargetFile,
    Trusted, TufClient, TufError, metadata_path, target_path,
};

use super::{ControllerIdentity, Repository, RepositoryError, versions};

/// Most metadata files of one publish: a directory's whole history may be sent.
const METADATA_MAX: usize = 10_000;
/// Most target files of one publish.
const TARGETS_MAX: usize = 30_000;

/// A set that verified, and the files to be written for it, in order.
#[derive(Debug)]
pub struct Candidate {
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) trusted: Trusted,
    pub(super) set: VerifiedSet,
}

impl Candidate {
    /// What it would put in force.
    pub fn set(&self) -> &VerifiedSet {
        &self.set
    }

    /// Versions of its metadata.
    pub fn versions(&self) -> Versions {
        versions(&self.trusted)
    }
}

/// A repository with nothing in it.
#[derive(Debug)]
pub(super) struct Nothing;

impl Fetch for Nothing {
    fn fetch(&mut self, _: &str, _: u64) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::NotFound)
    }

    fn fetch_target(&mut self, _: &str, _: u64) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::NotFound)
    }
}

/// New files over those that are there.
struct Overlay<'a> {
    repository: &'a Repository,
    metadata: &'a BTreeMap<String, Vec<u8>>,
    targets: &'a BTreeMap<String, Vec<u8>>,
}

impl Overlay<'_> {
    fn file(&self, new: &BTreeMap<String, Vec<u8>>, name: &str, old: &str, max: u64) -> Result<Vec<u8>, FetchError> {
        if let Some(bytes) = new.get(name) {
            let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= max);
            return if fits { Ok(bytes.clone()) } else { Err(FetchError::TooLarge) };
        }
        match self.repository.read(old, max) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(FetchError::NotFound),
            Err(error) => Err(FetchError::Unreachable(error.to_string())),
        }
    }
}

impl Fetch for Overlay<'_> {
    fn fetch(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.file(self.metadata, path, path, max_bytes)
    }

    fn fetch_target(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.file(self.targets, path, &format!("targets/{path}"), max_bytes)
    }
}

/// What was sent, decoded, by the names it is served under.
struct Upload {
    metadata: BTreeMap<String, Vec<u8>>,
    /// Of `metadata`, what was published already with the same content.
    published: BTreeSet<String>,
    targets: BTreeMap<String, Vec<u8>>,
}

impl Upload {
    /// Highest version sent of a role and not yet in force, with its bytes. What is stored may have been
    /// in force before: a directory's whole history may be sent, and is no step back.
    fn newest(&self, role: &str, in_force: u64) -> Option<(u64, &[u8])> {
        let versions = self.metadata.iter().filter_map(|(name, bytes)| {
            let version = version_of(name, role)?;
            let is_history = version <= in_force && self.published.contains(name);
            (!is_history).then_some((version, bytes.as_slice()))
        });
        versions.max_by_key(|(version, _)| *version)
    }

    /// Every file here has been looked at by the TUF client: whatever else was sent would be served, and stand in
    /// the way of the real file of its name.
    fn check_led_to(&self, root_before: u64, set: &Trusted) -> Result<(), RepositoryError> {
        let walked = root_before.saturating_add(1)..=set.root().version;
        let listed: Vec<String> = [(TARGETS, Some(set.targets())), (LIFTS, set.delegated(LIFTS))]
            .into_iter()
            .filter_map(|(role, metadata)| Some(metadata_path(role, metadata?.version)))
            .collect();
        let new = self.metadata.keys().filter(|name| !self.published.contains(*name));
        let is_led_to = |name: &str| {
            listed.iter().any(|listed| listed == name)
                || version_of(name, ROOT).is_some_and(|version| walked.contains(&version))
        };
        let problems: Vec<String> = new
            .filter(|name| !is_led_to(name))
            .map(|name| format!("{name}: nothing in the new set leads to this version; leave it out"))
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(RepositoryError::Refused { problems }) }
    }

    fn decode(publish: Publish) -> Result<Self, RepositoryError> {
        let error = |name: &str, why| RepositoryError::Upload { name: name.chars().take(200).collect(), why };
        if publish.metadata.len() > METADATA_MAX || publish.targets.len() > TARGETS_MAX {
            return Err(error("publish", "too many files"));
        }
        let decode =
            |name: &str, text: &str| BASE64.decode(text.as_bytes()).map_err(|_| error(name, "it is not base64"));
        let mut upload = Self { metadata: BTreeMap::new(), published: BTreeSet::new(), targets: BTreeMap::new() };
        for (name, text) in publish.metadata {
            if ![ROOT, TARGETS, LIFTS].into_iter().any(|role| version_of(&name, role).is_some()) {
                return Err(error(&name, "metadata is called as 2.root.json, 5.targets.json or 3.lifts.json"));
            }
            let bytes = decode(&name, &text)?;
            upload.metadata.insert(name, bytes);
        }
        for (path, text) in publish.targets {
            if !is_target_path(&path) {
                return Err(error(&path, "a target path has segments of a-z A-Z 0-9 . _ -"));
            }
            let bytes = decode(&path, &text)?;
            if let Some(name) = target_path(&path, &TargetFile::of(&bytes)) {
                upload.targets.insert(name, bytes);
            }
        }
        Ok(upload)
    }
}

/// The version in a metadata file's name, as `2.root.json`; `None` for another role's, or if it is
/// spelled otherwise, as `02.root.json`.
pub(super) fn version_of(name: &str, role: &str) -> Option<u64> {
    let version = name.strip_suffix(".json")?.strip_suffix(role)?.strip_suffix('.')?.parse().ok()?;
    (version > 0 && metadata_path(role, version) == name).then_some(version)
}

/// Whether a path can be a file below a directory: no empty segment, none that begins with a dot.
pub(crate) fn is_target_path(path: &str) -> bool {
    path.len() <= 1000
        && path.split('/').all(|segment| {
            !segment.is_empty()
                && !segment.starts_with('.')
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        })
}

impl Repository {
    /// Verifies a publish. Nothing is written.
    ///
    /// A lift is not compared with the stops and sites that are known here: it may be of another controller's
    /// stop, of one made before this database was restored, or for a site that has left the registry since.
    ///
    /// # Errors
    /// [`RepositoryError`]: what is wrong with it.
    pub fn candidate(&self, publish: Publish, now: Time) -> Result<Candidate, RepositoryError> {
        let mut upload = Upload::decode(publish)?;
        self.keep_published(&mut upload)?;
        let mut metadata = upload.metadata.clone();
        let (snapshot, timestamp) = self.sign_online(&upload, now)?;
        metadata.insert(snapshot.0.clone(), snapshot.1.clone());
        metadata.insert(timestamp.0.clone(), timestamp.1.clone());

        // What is in force is the memory that a rollback is judged by.
        let mut memory = MemoryStore::default();
        if let Some(set) = self.trusted() {
            set.save(&mut memory)?;
        }
        let registry = self.current.as_ref().map(|current| &current.registry);
        let overlay = Overlay { repository: self, metadata: &metadata, targets: &upload.targets };
        let mut client = TufClient::new(&self.first_root, memory, overlay)?.by_units(registry);
        client.refresh(now)?;
        let lifts_listed =
            client.trusted().is_some_and(|set| set.snapshot().meta.contains_key(&format!("{LIFTS}.json")));
        if lifts_listed {
            client.delegated(LIFTS)?;
        }
        let trusted = client.trusted().cloned().ok_or(TufError::NothingTrusted)?;
        let root_before = self.trusted().map_or_else(|| self.first_version(), |set| Ok(set.root().version))?;
        upload.check_led_to(root_before, &trusted)?;
        let lifts = trusted.delegated(LIFTS);
        let paths: Vec<String> = trusted
            .targets()
            .targets
            .keys()
            .chain(lifts.into_iter().flat_map(|lifts| lifts.targets.keys()))
            .cloned()
            .collect();
        let mut contents = BTreeMap::new();
        for path in paths {
            if !is_target_path(&path) {
                return Err(RepositoryError::refused(format!("{path}: no name for a file here")));
            }
            contents.insert(path.clone(), client.download(&path)?);
        }
        let read = |path: &str, _: &TargetFile| {
            let missing = || TufError::NoSuchTarget { path: path.to_owned() };
            contents.get(path).cloned().ok_or_else(missing)
        };
        let set = set::read(&trusted, &self.identity.product, registry, read)?;
        self.check_floor(versions(&trusted))?;
        self.check(&set, &trusted)?;

        // Targets first, the timestamp last: it alone makes all others seen. What no metadata lists is
        // nobody's.
        let listed: BTreeSet<String> =
            contents.iter().filter_map(|(path, bytes)| target_path(path, &TargetFile::of(bytes))).collect();
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let targets = upload.targets.into_iter().filter(|(name, _)| listed.contains(name));
        files.extend(targets.map(|(name, bytes)| (format!("targets/{name}"), bytes)));
        // What is in force and is not there any more, or is damaged, is mended on the way.
        for (name, bytes) in self.of_release_managers(Some(&trusted))? {
            if self.read(&name, TARGETS_BYTES_MAX)?.as_ref() != Some(&bytes) {
                files.push((name, bytes));
            }
        }
        files.push(snapshot);
        files.push(timestamp);
        Ok(Candidate { files, trusted, set })
    }

    // A version has one content for ever, though TUF's client would take another one: who keeps the
    // first by its name would never see the second. The same content, signed once more, is no news.
    fn keep_published(&self, upload: &mut Upload) -> Result<(), RepositoryError> {
        let in_force = self.of_release_managers(self.trusted())?;
        for (name, bytes) in &mut upload.metadata {
            // Memory first: the file may be lost.
            let stored = match in_force.get(name) {
                Some(known) => Some(known.clone()),
                None => self.read(name, TARGETS_BYTES_MAX)?,
            };
            let Some(stored) = stored else { continue };
            if writer::signable_bytes(&stored)? != writer::signable_bytes(bytes)? {
                return Err(RepositoryError::refused(format!(
                    "{name}: this version was published with another content; sign the next version"
                )));
            }
            *bytes = stored;
            upload.published.insert(name.clone());
        }
        Ok(())
    }

    /// Snapshot and timestamp over what was sent, or is in force where nothing newer was sent.
    #[expect(clippy::type_complexity, reason = "two files, each a name and bytes")]
    fn sign_online(
        &self,
        upload: &Upload,
        now: Time,
    ) -> Result<((String, Vec<u8>), (String, Vec<u8>)), RepositoryError> {
        let current = self.trusted();
        let mut metas = current.map(|set| set.snapshot().meta.clone()).unwrap_or_default();
        for role in [TARGETS, LIFTS] {
            let name = format!("{role}.json");
            let in_force = metas.get(&name).map_or(0, |listed| listed.version);
            if let Some((version, bytes)) = upload.newest(role, in_force) {
                metas.insert(name, MetaFile::of(version, bytes));
            }
        }
        if !metas.contains_key("targets.json") {
            return Err(RepositoryError::refused("the first publish needs targets metadata, as 1.targets.json"));
        }
        // Of a directory that was lost the versions go on.
        let before = |version: fn(&Trusted) -> u64, floor: u64| current.map(version).or((floor > 0).then_some(floor));
        let snapshot = writer::snapshot(now, before(|set| set.snapshot().version, self.floor.snapshot), metas);
        let bytes = writer::sign(&writer::unsigned(&snapshot)?, &self.identity.snapshot_key)?;
        let timestamp = writer::timestamp(
            now,
            before(|set| set.timestamp().version, self.floor.timestamp),
            snapshot.version,
            &bytes,
        );
        let signed = writer::sign(&writer::unsigned(&timestamp)?, &self.identity.timestamp_key)?;
        Ok(((metadata_path(SNAPSHOT, snapshot.version), bytes), (metadata_path(TIMESTAMP, 0), signed)))
    }

    /// Nothing older than what was in force before the directory was lost.
    fn check_floor(&self, new: Versions) -> Result<(), RepositoryError> {
        let floor = self.floor;
        let older = [
            ("root", new.root, floor.root),
            ("targets", new.targets, floor.targets),
            ("lifts", new.lifts, floor.lifts),
        ]
        .into_iter()
        .find(|(_, new, floor)| new < floor);
        match older {
            None => Ok(()),
            Some((role, new, floor)) => Err(RepositoryError::refused(format!(
                "{role} {new} is older than {role} {floor}, which was in force before the repository was lost; publish \
                 from a directory that has it"
            ))),
        }
    }

    /// The product's own rules, all problems at once.
    fn check(&self, new: &VerifiedSet, trusted: &Trusted) -> Result<(), RepositoryError> {
        let ControllerIdentity { id, permit_key, .. } = &self.identity;
        let mut problems: Vec<SuccessionError> = Vec::new();
        problems.extend(succession::require_controller(&new.registry, id, permit_key).err());
        if let Some(old) = &self.current {
            let baseline = (new.reference.digest(), &new.reference.baseline().version);
            problems.extend(succession::require_growth((old.digest, &old.baseline.version), baseline).err());
        }
        let none = BTreeMap::new();
        if let Some(old) = self.trusted().and_then(|set| set.delegated(LIFTS)) {
            let new = trusted.delegated(LIFTS).map_or(&none, |lifts| &lifts.targets);
            problems.extend(succession::removed_lifts(&old.targets, new));
        }
        if problems.is_empty() {
            return Ok(());
        }
        let line = |problem: &SuccessionError| format!("{}: {problem}", problem.code());
        Err(RepositoryError::Refused { problems: problems.iter().map(line).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_path_stays_below_its_directory() {
        for path in ["registry.toml", "convenience-issuance/baseline.toml", "files/0a", "lifts/ab/1.json"] {
            assert!(is_target_path(path), "{path}");
        }
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.b", "a/", "a b", "a\0", "a%2f", "a\\b", "é"] {
            assert!(!is_target_path(path), "{path}");
        }
    }
}
