//! What a controller serves, for the release managers to compare with what they have.
//!
//! Read without checking a signature: nothing here decides anything but whether to send, and what a
//! client may rely on it verifies itself.

use std::fmt;

use manifests::api::{BaselineRef, Published, TUF, Versions};
use manifests::chain::chain;
use manifests::digest::Digest;
use manifests::tuf::repository::{baseline_path, read_unverified, signable_bytes};
use manifests::tuf::{ROOT, SNAPSHOT, Snapshot, TARGETS, Targets, Timestamp, TufError, metadata_path};

use crate::remote::{Remote, RemoteError};

/// Name of the lifts in a snapshot.
const LIFTS_FILE: &str = "lifts.json";
/// Most roots that the controller may be ahead by: each is one question.
const ROOTS_AHEAD_MAX: u64 = 1024;

/// One metadata file of the directory, against the controller's of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServedFile {
    /// The controller has none of that name.
    Nothing,
    /// The same content, by whomever it is signed.
    Same,
    /// Another content; the digest is that of the controller's file.
    Other(Digest),
}

/// Asks for the controller's file of that name.
pub(crate) fn compare(remote: &Remote, served: &str, own: &[u8]) -> Result<ServedFile, RemoteError> {
    let Some(theirs) = remote.bytes(&format!("{TUF}/{served}"))? else { return Ok(ServedFile::Nothing) };
    // What is signed counts, not the file: a third signer's signature makes no other content of it.
    let same = match (signable_bytes(own), signable_bytes(&theirs)) {
        (Ok(own), Ok(theirs)) => own == theirs,
        _ => own == theirs,
    };
    Ok(if same { ServedFile::Same } else { ServedFile::Other(Digest::of(&theirs)) })
}

/// What is in force at a controller, by its own metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedSet(Published);

impl ServedSet {
    /// Asks the controller; `root` is the newest root known here.
    pub(crate) fn read(remote: &Remote, product: &str, root: u64) -> Result<Self, RemoteError> {
        let mut versions = Versions { root: newest_root(remote, root)?, ..Versions::default() };
        // Without it nothing was ever published.
        let Some(timestamp) = read::<Timestamp>(remote, "timestamp.json")? else {
            return Ok(Self(Published { baseline: None, versions }));
        };
        versions.timestamp = timestamp.version;
        versions.snapshot = timestamp.snapshot().map_or(0, |file| file.version);
        let name = metadata_path(SNAPSHOT, versions.snapshot);
        let snapshot: Snapshot = read(remote, &name)?.ok_or_else(|| missing(remote, &name))?;
        let version = |file: &str| snapshot.meta.get(file).map_or(0, |file| file.version);
        (versions.targets, versions.lifts) = (version("targets.json"), version(LIFTS_FILE));
        let name = metadata_path(TARGETS, versions.targets);
        let targets: Targets = read(remote, &name)?.ok_or_else(|| missing(remote, &name))?;
        let baseline = targets.targets.get(&baseline_path(product)).and_then(|file| {
            let version = file.custom.as_ref().and_then(|custom| custom.get("version")?.as_str()?.parse().ok());
            let version =
                version.map_or("of unknown version".to_owned(), |version: semver::Version| version.to_string());
            Some(BaselineRef { version, digest: file.hashes.sha256()? })
        });
        Ok(Self(Published { baseline, versions }))
    }

    /// Versions of all roles; 0 for none.
    pub(crate) fn versions(&self) -> &Versions {
        &self.0.versions
    }
}

impl From<Published> for ServedSet {
    fn from(published: Published) -> Self {
        Self(published)
    }
}

impl fmt::Display for ServedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.baseline {
            Some(baseline) => writeln!(f, "in force: baseline {} ({})", baseline.version, baseline.digest)?,
            None => writeln!(f, "in force: no baseline yet")?,
        }
        let Versions { root, targets, lifts, snapshot, timestamp } = self.0.versions;
        write!(f, "root {root}, targets {targets}, lifts {lifts}, snapshot {snapshot}, timestamp {timestamp}")
    }
}

// Roots have no list of their own: the newest is the last that is there (TUF 1.0.34, 5.3.2).
fn newest_root(remote: &Remote, own: u64) -> Result<u64, RemoteError> {
    let is_there = |version| -> Result<bool, RemoteError> {
        Ok(remote.bytes(&format!("{TUF}/{}", metadata_path(ROOT, version)))?.is_some())
    };
    let mut newest = own;
    while newest > 0 && !is_there(newest)? {
        newest -= 1;
    }
    if newest == own {
        while newest < own.saturating_add(ROOTS_AHEAD_MAX) && is_there(newest.saturating_add(1))? {
            newest += 1;
        }
    }
    Ok(newest)
}

fn read<T: manifests::tuf::Signed>(remote: &Remote, name: &str) -> Result<Option<T>, RemoteError> {
    let path = format!("{TUF}/{name}");
    let Some(bytes) = remote.bytes(&path)? else { return Ok(None) };
    let refused = |error: TufError| remote.misread(&path, chain(&error));
    read_unverified(&bytes).map(Some).map_err(refused)
}

fn missing(remote: &Remote, name: &str) -> RemoteError {
    remote.misread(&format!("{TUF}/{name}"), "it lists the file and does not serve it".to_owned())
}
