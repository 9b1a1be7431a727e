//! What targets are to say: baseline, registry, file lists, and who speaks for lifts.

use manifests::digest::Digest;
use manifests::succession;
use manifests::tuf::repository::{REGISTRY, baseline_path, file_path};
use manifests::tuf::{TargetFile, Targets};
use serde_json::json;

use crate::check;
use crate::exit::CommandError;
use crate::role_metadata::{RoleContent, RoleMetadata};
use crate::roots::Signers;
use crate::sign::{SignError, Signing};

/// Member of the baseline's `custom` with its version, so that the next one can be seen to have grown
/// without the old file at hand.
const VERSION: &str = "version";

/// The content, if the directory is without mistakes and the baseline's version has grown with it.
pub(super) fn content(
    signing: &Signing<'_>,
    signers: Signers<'_>,
    complete: Option<&RoleMetadata>,
) -> Result<RoleContent, CommandError> {
    let checked =
        check::directory(signing.directory, signing.now)?.map_err(|mistakes| SignError::Mistakes { mistakes })?;
    let path = baseline_path(signing.people.product.as_str());
    let version = &checked.baseline.version;
    let (mut baseline, digest) = (TargetFile::of(&checked.baseline_bytes), Digest::of(&checked.baseline_bytes));
    baseline.custom = Some(json!({ VERSION: version.to_string() }));
    if let Some(complete) = complete {
        require_growth(complete, &path, &baseline, (digest, version))?;
    }
    // Version and expiry are the document's.
    let mut targets = Targets::new(1, signing.now);
    targets.targets.insert(path, baseline);
    targets.add(REGISTRY, &checked.registry_bytes);
    for (digest, bytes) in &checked.files {
        targets.add(&file_path(digest), bytes);
    }
    targets.delegate_lifts(&signers.public(), signers.who.threshold);
    Ok(RoleContent { targets: targets.targets, delegations: targets.delegations })
}

fn require_growth(
    complete: &RoleMetadata,
    path: &str,
    baseline: &TargetFile,
    (digest, version): (Digest, &semver::Version),
) -> Result<(), SignError> {
    let Some(last) = complete.targets.targets.get(path) else { return Ok(()) };
    if last.hashes == baseline.hashes {
        return Ok(());
    }
    let before = last.custom.as_ref().and_then(|custom| {
        let version: semver::Version = custom.get(VERSION)?.as_str()?.parse().ok()?;
        Some((last.hashes.sha256()?, version))
    });
    let before = before.ok_or_else(|| SignError::NoVersion { name: complete.name.clone() })?;
    succession::require_growth((before.0, &before.1), (digest, version))
        .map_err(|source| SignError::DoesNotFollow { name: complete.name.clone(), source })
}
