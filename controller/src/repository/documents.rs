//! What a verified set says: baseline, registry, file lists, lifts.

use std::collections::BTreeMap;
use std::sync::Arc;

use manifests::api::{BaselineRef, Versions};
use manifests::baseline::Baseline;
use manifests::digest::Digest;
use manifests::envelope::LIFT_TYPE;
use manifests::fleet::{Policy, Previous};
use manifests::id::ProductId;
use manifests::reference::Reference;
use manifests::registry::Registry;
use manifests::source;
use manifests::stop::Lift;
use manifests::time::Time;
use manifests::tree::FileList;
use manifests::tuf::repository::{LIFTS, REGISTRY, baseline_path, file_path, lift_path};
use manifests::tuf::{TARGET_FILE_BYTES_MAX, TargetFile, Trusted, TufError};

use super::{Repository, RepositoryError};

/// What is in force by one verified set.
#[derive(Debug)]
pub struct Documents {
    /// The baseline, ready to appraise with.
    pub reference: Arc<Reference>,
    /// Who exists.
    pub registry: Registry,
    /// Every lift.
    pub lifts: Vec<Lift>,
    /// When root or targets expire, whichever is earlier.
    pub expires: Time,
    /// Versions of the metadata.
    pub versions: Versions,
}

impl Documents {
    /// Version and digest of the baseline.
    pub fn baseline(&self) -> BaselineRef {
        BaselineRef {
            version: self.reference.baseline().version.to_string(),
            digest: self.reference.digest(),
        }
    }

    /// As the fleet is judged by it.
    pub fn into_policy(self, previous: Option<Previous>) -> Policy {
        let Self { reference, registry, lifts, expires, .. } = self;
        Policy { current: reference, previous, registry, expires, lifts }
    }
}

/// Reads what a set lists; `read` gives a target file's verified bytes.
///
/// # Errors
/// [`RepositoryError::Refused`] with every problem of baseline, registry and lifts.
pub fn documents(
    set: &Trusted,
    product: &ProductId,
    read: impl Fn(&str, &TargetFile) -> Result<Vec<u8>, RepositoryError>,
) -> Result<Documents, RepositoryError> {
    let mut problems = Vec::new();
    let baseline_file = baseline_path(product.as_str());
    let bytes = |path: &str| read(path, set.target(path)?);
    let text = bytes(&baseline_file)?;
    let baseline = gathered(&baseline_file, source::baseline_from_bytes(&text), &mut problems);
    let registry = gathered(REGISTRY, source::registry_from_bytes(&bytes(REGISTRY)?), &mut problems);
    for (file, found) in [
        (baseline_file.as_str(), baseline.as_ref().map(|baseline| &baseline.product)),
        (REGISTRY, registry.as_ref().map(|registry| &registry.product)),
    ] {
        if let Some(found) = found.filter(|found| *found != product) {
            problems.push(format!("{file}: it is for product {found}, this controller serves {product}"));
        }
    }
    let lifts = lifts(set, product, &read, &mut problems)?;
    let reference = baseline.and_then(|baseline| {
        let listed = |path: &str| set.target(path).ok().map(|file| read(path, file));
        match reference(baseline, Digest::of(&text), listed) {
            Ok(reference) => Some(reference),
            Err(problem) => {
                problems.push(format!("{baseline_file}: {problem}"));
                None
            }
        }
    });
    let (Some(reference), Some(registry), true) = (reference, registry, problems.is_empty()) else {
        return Err(RepositoryError::Refused { problems });
    };
    let expires = set.root().expires.min(set.targets().expires);
    Ok(Documents { reference: Arc::new(reference), registry, lifts, expires, versions: super::versions(set) })
}

fn gathered<T>(file: &str, result: Result<T, Vec<source::Problem>>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|found| problems.extend(found.iter().map(|problem| format!("{file}:{problem}")))).ok()
}

// Only releases that patches go over need their file list to be appraised with; all that are
// published are read.
fn reference(
    baseline: Baseline,
    digest: Digest,
    listed: impl Fn(&str) -> Option<Result<Vec<u8>, RepositoryError>>,
) -> Result<Reference, String> {
    let mut lists = BTreeMap::new();
    for release in baseline.programs.iter().flat_map(|program| &program.releases) {
        let Some(bytes) = listed(&file_path(&release.tree)) else { continue };
        let bytes = bytes.map_err(|error| error.to_string())?;
        let list = FileList::parse(&bytes).map_err(|error| format!("files/{}: {error}", release.tree.hex()))?;
        if Digest::of(&bytes) != release.tree {
            return Err(format!("files/{} has another digest than its name", release.tree.hex()));
        }
        lists.insert(release.tree, list);
    }
    Reference::new(baseline, digest, &lists).map_err(|error| error.to_string())
}

fn lifts(
    set: &Trusted,
    product: &ProductId,
    read: &impl Fn(&str, &TargetFile) -> Result<Vec<u8>, RepositoryError>,
    problems: &mut Vec<String>,
) -> Result<Vec<Lift>, RepositoryError> {
    let mut lifts = Vec::new();
    for (path, file) in set.delegated(LIFTS).into_iter().flat_map(|role| &role.targets) {
        let bytes = read(path, file)?;
        let lift: Lift = match serde_json::from_slice(&bytes) {
            Ok(lift) => lift,
            Err(error) => {
                problems.push(format!("{path}: {error}"));
                continue;
            }
        };
        let number = path.rsplit('/').next().and_then(|name| name.strip_suffix(".json")?.parse().ok());
        if number.is_none_or(|number| *path != lift_path(&lift.stop, number)) {
            problems.push(format!("{path}: it is a lift of {}, which its path does not say", lift.stop));
        }
        if lift.kind != LIFT_TYPE || lift.product != *product || lift.sites.is_empty() {
            problems.push(format!("{path}: it is no lift of product {product} that names its sites"));
        }
        lifts.push(lift);
    }
    Ok(lifts)
}

/// A baseline of the past, from the repository's own files.
pub(super) fn earlier(repository: &Repository, digest: &Digest) -> Result<Arc<Reference>, RepositoryError> {
    let product = &repository.identity.product;
    let name = format!("targets/{product}/{}.baseline.toml", digest.hex());
    let missing = || TufError::NoSuchTarget { path: name.clone() };
    let text = repository.read(&name, TARGET_FILE_BYTES_MAX)?.ok_or_else(missing)?;
    if Digest::of(&text) != *digest {
        return Err(missing().into());
    }
    let mut problems = Vec::new();
    let Some(baseline) = gathered(&name, source::baseline_from_bytes(&text), &mut problems) else {
        return Err(RepositoryError::Refused { problems });
    };
    let listed = |path: &str| {
        let hex = path.rsplit('/').next().unwrap_or_default();
        repository.read(&format!("targets/files/{hex}.{hex}"), TARGET_FILE_BYTES_MAX).transpose()
    };
    let reference = reference(baseline, *digest, listed).map_err(RepositoryError::refused)?;
    Ok(Arc::new(reference))
}
