//! What lifts are to say: every lift ever written.

use std::collections::BTreeMap;

use manifests::id::ProductId;
use manifests::succession;
use manifests::tuf::TargetFile;
use manifests::tuf::repository::lift_path;

use crate::directory::Directory;
use crate::exit::CommandError;
use crate::lift;
use crate::role_metadata::RoleMetadata;
use crate::sign::SignError;

/// All lifts of the directory, if each is one and none that was listed is gone.
pub(super) fn content(
    directory: &Directory,
    product: &ProductId,
    complete: Option<&RoleMetadata>,
) -> Result<BTreeMap<String, TargetFile>, CommandError> {
    let mut targets = BTreeMap::new();
    for (stop, number) in directory.lifts()? {
        let path = lift_path(&stop, number);
        let bytes = directory.read(&path)?;
        lift::read(&bytes, product, &stop).map_err(|why| SignError::Lift { name: path.clone(), why })?;
        targets.insert(path, TargetFile::of(&bytes));
    }
    if let Some(complete) = complete
        && let Some(source) = succession::removed_lifts(&complete.targets.targets, &targets).next()
    {
        return Err(SignError::DoesNotFollow { name: complete.name.clone(), source }.into());
    }
    Ok(targets)
}
