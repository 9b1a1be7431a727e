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
    /// Target files in force, by path.
    listed: Vec<(String, TargetFile)>,
}

impl Unverified {
    /// Reads what `timestamp.json` leads to; nothing before the first publish. Of the target
    /// files it reads the registry alone.
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
        let file = targets.targets.get(REGISTRY).context("targets list no registry")?;
        let registry = source::registry_from_bytes(&target(directory, REGISTRY, file)?)
            .map_err(|problems| anyhow::anyhow!("{REGISTRY} cannot be read: {problems:?}"))?;
        let root = newest_root(directory)?;
        let end = |(what, until): (&str, Time)| Expiring { what: what.to_owned(), name: None, until };
        let ends = [
            Some((ROOT, root.expires)),
            Some((TARGETS, targets.expires)),
            lifts.as_ref().map(|lifts| (LIFTS, lifts.expires)),
        ];
        let ends = ends.into_iter().flatten().map(end).collect();
        let listed = [Some(targets), lifts].into_iter().flatten().flat_map(|role| role.targets).collect();
        Ok(Some(Self { registry, ends, listed }))
    }

    /// Holds every target file in force against the digest that is listed.
    ///
    /// # Errors
    /// The first that is missing or another one.
    pub(crate) fn check_targets(&self, directory: &Path) -> anyhow::Result<()> {
        self.listed.iter().try_for_each(|(path, file)| target(directory, path, file).map(drop))
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

// Every root since the first is kept, and no version between two of them is left out.
fn newest_root(directory: &Path) -> anyhow::Result<Root> {
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let name = entry.with_context(|| directory.display().to_string())?.file_name();
        versions.extend(name.to_str().and_then(|name| super::candidate::version_of(name, ROOT)));
    }
    versions.sort_unstable();
    if let Some(gap) = versions.windows(2).find(|two| two[0] + 1 != two[1]) {
        anyhow::bail!("{} is missing", metadata_path(ROOT, gap[0] + 1));
    }
    let name = metadata_path(ROOT, *versions.last().context("there is no root")?);
    writer::read_unverified(&durable::read_limited(&directory.join(&name), ROOT_BYTES_MAX)?).context(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_between_two_others_is_missed_and_the_first_may_have_any_version() {
        let directory = tempfile::tempdir().unwrap();
        let told = || newest_root(directory.path()).unwrap_err().to_string();
        assert_eq!(told(), "there is no root");
        for version in [3, 5] {
            std::fs::write(directory.path().join(metadata_path(ROOT, version)), "no root").unwrap();
        }
        assert_eq!(told(), "4.root.json is missing");
        std::fs::write(directory.path().join(metadata_path(ROOT, 4)), "no root").unwrap();
        assert_eq!(told(), "5.root.json", "it is read, and is none");
    }
}
