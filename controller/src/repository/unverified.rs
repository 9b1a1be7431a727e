//! What the files of a repository say, for words to whoever works beside a serving controller. Digests are compared,
//! signatures are not: what decides anything is verified when the controller starts.

use std::path::Path;

use anyhow::Context;
use manifests::api::Expiring;
use manifests::durable;
use manifests::registry::Registry;
use manifests::source;
use manifests::time::Time;
use manifests::tuf::repository::{self as writer, LIFTS, REGISTRY};
use manifests::tuf::{
    MetaFile, ROOT, ROOT_BYTES_MAX, Root, SNAPSHOT, SNAPSHOT_BYTES_MAX, Snapshot, TARGET_FILE_BYTES_MAX, TARGETS,
    TARGETS_BYTES_MAX, TIMESTAMP, TIMESTAMP_BYTES_MAX, TargetFile, Targets, Timestamp, metadata_path, target_path,
};

/// What is in force by the files of a directory, **unverified**.
#[derive(Debug)]
pub(crate) struct Unverified {
    /// The registry.
    pub(crate) registry: Registry,
    /// Until when the release managers' signatures are good.
    pub(crate) ends: Vec<Expiring>,
}

impl Unverified {
    /// Reads what `timestamp.json` leads to; nothing before the first publish. The cost is that of reading every
    /// target file in force.
    ///
    /// # Errors
    /// If a file is missing, is none, or is not the one that is listed: its name and what is wrong.
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Option<Self>> {
        let timestamp = match durable::read_limited(&directory.join(metadata_path(TIMESTAMP, 0)), TIMESTAMP_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let timestamp: Timestamp = writer::read_unverified(&timestamp).context(metadata_path(TIMESTAMP, 0))?;
        let listed = timestamp.snapshot().context("timestamp.json lists no snapshot")?;
        let name = metadata_path(SNAPSHOT, listed.version);
        let snapshot: Snapshot = writer::read_unverified(&metadata(directory, &name, listed, SNAPSHOT_BYTES_MAX)?)
            .with_context(|| name.clone())?;
        let role = |role: &str| -> anyhow::Result<Option<Targets>> {
            let Some(listed) = snapshot.meta.get(&format!("{role}.json")) else { return Ok(None) };
            let name = metadata_path(role, listed.version);
            let bytes = metadata(directory, &name, listed, TARGETS_BYTES_MAX)?;
            Ok(Some(writer::read_unverified(&bytes).with_context(|| name.clone())?))
        };
        let targets = role(TARGETS)?.with_context(|| format!("{name} lists no targets"))?;
        let lifts = role(LIFTS)?;
        let mut registry = None;
        for (path, file) in targets.targets.iter().chain(lifts.iter().flat_map(|lifts| &lifts.targets)) {
            let bytes = target(directory, path, file)?;
            if path == REGISTRY {
                registry = source::registry_from_bytes(&bytes).ok();
            }
        }
        let registry = registry.context("there is no registry that can be read")?;
        let root = newest_root(directory)?;
        let end = |(what, until): (&str, Time)| Expiring { what: what.to_owned(), name: None, until };
        let ends = [
            root.map(|root| (ROOT, root.expires)),
            Some((TARGETS, targets.expires)),
            lifts.map(|lifts| (LIFTS, lifts.expires)),
        ];
        Ok(Some(Self { registry, ends: ends.into_iter().flatten().map(end).collect() }))
    }
}

fn metadata(directory: &Path, name: &str, listed: &MetaFile, max: u64) -> anyhow::Result<Vec<u8>> {
    let bytes = durable::read_limited(&directory.join(name), max)?;
    let another = |why| anyhow::anyhow!("{name} is not the file that is listed: {why}");
    listed.verify(&bytes).map_err(another)?;
    Ok(bytes)
}

fn target(directory: &Path, path: &str, file: &TargetFile) -> anyhow::Result<Vec<u8>> {
    let name = target_path(path, file).with_context(|| format!("{path} is listed without a digest"))?;
    let bytes = durable::read_limited(&directory.join("targets").join(&name), TARGET_FILE_BYTES_MAX)?;
    let another = |why| anyhow::anyhow!("targets/{name} is not the file that is listed: {why}");
    file.verify(&bytes).map_err(another)?;
    Ok(bytes)
}

// Every root is kept: the newest is the last without a gap. The first one may lie outside.
fn newest_root(directory: &Path) -> anyhow::Result<Option<Root>> {
    let mut newest = None;
    for version in 1.. {
        let name = metadata_path(ROOT, version);
        match durable::read_limited(&directory.join(&name), ROOT_BYTES_MAX) {
            Ok(bytes) => newest = Some(writer::read_unverified(&bytes).context(name)?),
            Err(error) if error.is_not_found() && version == 1 => {}
            Err(error) if error.is_not_found() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(newest)
}
