//! Copies of what was signed, by digest: `signed/<hex>`. Each is believed only where signed metadata lists it.

use manifests::digest::Digest;
use manifests::tuf::repository::{REGISTRY, read_unverified};
use manifests::tuf::{TARGETS, TargetFile, Targets};

use crate::directory::{Directory, DirectoryError};
use crate::people::People;

/// Where a copy of these bytes lies.
pub(crate) fn name_of(bytes: &[u8]) -> String {
    name(&Digest::of(bytes))
}

fn name(digest: &Digest) -> String {
    format!("signed/{}", digest.hex())
}

/// The file that signed metadata lists so; `None` if there is no copy, or another content in its place.
pub(crate) fn read(directory: &Directory, listed: &TargetFile) -> Result<Option<Vec<u8>>, DirectoryError> {
    let Some(digest) = listed.hashes.sha256() else { return Ok(None) };
    let bytes = directory.read_if_there(&name(&digest))?;
    Ok(bytes.filter(|bytes| listed.verify(bytes).is_ok()))
}

/// Keeps a copy.
pub(crate) fn keep(directory: &Directory, bytes: &[u8]) -> Result<(), DirectoryError> {
    let name = name_of(bytes);
    if directory.read_if_there(&name)?.as_deref() == Some(bytes) { Ok(()) } else { directory.write(&name, bytes) }
}

/// Product and people of the registry that the newest targets list, as far as there is a copy. **Whose
/// signatures are under them is not asked**: who signs and when decides the root alone.
pub(crate) fn registry(directory: &Directory) -> Option<People> {
    let versions = directory.versions(TARGETS).ok()?;
    versions.into_iter().rev().find_map(|version| {
        let bytes = directory.read(&format!("metadata/{version}.targets.json")).ok()?;
        let targets: Targets = read_unverified(&bytes).ok()?;
        let copy = read(directory, targets.targets.get(REGISTRY)?).ok()??;
        People::parse(&String::from_utf8(copy).ok()?).ok()
    })
}
