//! From verified metadata to what is appraised and permitted by: baseline, registry and lifts that
//! were signed together. Agent, controller and audit read a set the same way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::baseline;
use crate::chain::chain;
use crate::digest::Digest;
use crate::id::ProductId;
use crate::key::{KeyId, PublicKey};
use crate::reference::{Reference, ReferenceError};
use crate::registry::{self, Registry};
use crate::source::{self, Problem};
use crate::stop::Lift;
use crate::time::Time;
use crate::tree::{FileList, FileListError};
use crate::units::{Units, UnitsError};

use crate::tuf::repository::{LIFTS, REGISTRY, baseline_path, count_valid, file_path};
use crate::tuf::{ROOT, RoleKeys, TARGETS, TargetFile, Trusted, TufError};

/// The most lifts read.
pub const LIFTS_MAX: usize = 10_000;

/// A baseline, a registry and lifts under one verified set of metadata.
#[derive(Clone, Debug)]
pub struct VerifiedSet {
    /// What is appraised by.
    pub reference: Reference,
    /// Who there is.
    pub registry: Registry,
    /// SHA-256 of the registry's bytes.
    pub registry_digest: Digest,
    /// All lifts.
    pub lifts: Vec<Lift>,
    /// Expiry of root or targets, whichever is earlier.
    pub expires: Time,
    /// Version of `timestamp.json`.
    pub timestamp: u64,
}

/// Why verified metadata does not make a set to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The metadata does not list a target that every set has, or its bytes are others.
    #[error("the signed set is not complete")]
    Trust(#[source] TufError),
    /// A target's bytes could not be had.
    #[error("cannot read target {path}")]
    Target {
        /// Target path.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Baseline or registry is refused; every problem of it.
    #[error("{path} is refused: {}", list(problems))]
    Refused {
        /// Target path.
        path: String,
        /// What is wrong with it.
        problems: Vec<Problem>,
        /// Of a baseline, the agent version that it asks for: one that is older may be at fault itself.
        min_agent: Option<semver::Version>,
        /// It is of a schema above the newest that this program reads: a newer one may read it.
        is_newer: bool,
    },
    /// Another product's.
    #[error("the set is for product {found}, not {expected}")]
    Product {
        /// Expected product.
        expected: ProductId,
        /// The one found.
        found: ProductId,
    },
    /// Patches and releases do not fit.
    #[error("the baseline cannot be appraised with")]
    Reference(#[source] ReferenceError),
    /// A file list that a release names does not parse.
    #[error("file list {list} is damaged")]
    List {
        /// Its digest.
        list: Digest,
        /// Where.
        source: FileListError,
    },
    /// A lift that does not parse, names another product or type, or lacks a site or a reason.
    #[error("lift {path} is refused: {why}")]
    Lift {
        /// Target path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than [`LIFTS_MAX`].
    #[error("{count} lifts, at most {LIFTS_MAX} are read")]
    TooManyLifts {
        /// How many.
        count: usize,
    },
    /// The threshold was not met by people of two units.
    #[error("{role} is refused")]
    Units {
        /// The role.
        role: &'static str,
        /// Why its signatures do not count.
        source: UnitsError,
    },
}

impl SetError {
    /// Stable code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            SetError::Trust(error) => error.code(),
            SetError::Target { .. } => "not-found",
            SetError::Refused { .. } | SetError::Reference(_) | SetError::List { .. } => "baseline-refused",
            SetError::Product { .. } => "wrong-product",
            SetError::Lift { .. } | SetError::TooManyLifts { .. } => "lift-refused",
            SetError::Units { source, .. } => source.code(),
        }
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().take(20).map(ToString::to_string).collect();
    lines.join("; ")
}

/// Reads the set that `trusted` lists. `bytes_of` brings a target's bytes from wherever they are;
/// they are verified here. Delegated role `lifts` must have been read before, if there is one.
///
/// `before` is the registry of the set that this one follows, where there is one. It counts as long as the
/// root does not name units ([`crate::units`]).
///
/// # Errors
/// [`SetError`]; nothing of a set with an error may be used.
pub fn read<E>(
    trusted: &Trusted,
    product: &ProductId,
    before: Option<&Registry>,
    mut bytes_of: impl FnMut(&str, &TargetFile) -> Result<Vec<u8>, E>,
) -> Result<VerifiedSet, SetError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut verified = |path: &str, file: &TargetFile| -> Result<Vec<u8>, SetError> {
        let bytes =
            bytes_of(path, file).map_err(|source| SetError::Target { path: path.to_owned(), source: source.into() })?;
        let mismatch = |listing| SetError::Trust(TufError::Mismatch { file: path.to_owned(), listing });
        file.verify(&bytes).map_err(mismatch)?;
        Ok(bytes)
    };
    // The top-level role alone: nobody to whom it may delegate speaks for what hosts are judged by.
    let mut target = |path: &str| {
        let file = trusted.targets().targets.get(path);
        verified(path, file.ok_or_else(|| SetError::Trust(TufError::NoSuchTarget { path: path.to_owned() }))?)
    };
    let registry_bytes = target(REGISTRY)?;
    let registry = read_registry(&registry_bytes, product)?;
    let baseline_bytes = target(&baseline_path(product.as_str()))?;
    // Before the baseline is read: what one that is refused asks for counts, too.
    check_units(trusted, &registry, before)?;
    let reference = read_reference(&baseline_bytes, product, |path| target(path).map(Cow::Owned))?;
    let lifts = read_lifts(trusted, product, &mut verified)?;
    Ok(VerifiedSet {
        reference,
        registry,
        registry_digest: Digest::of(&registry_bytes),
        lifts,
        expires: trusted.root().expires.min(trusted.targets().expires),
        timestamp: trusted.timestamp().version,
    })
}

/// A baseline and a registry that nobody need have signed: to be looked at, never to be put in force.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What would be appraised by.
    pub reference: Reference,
    /// Who there would be.
    pub registry: Registry,
    /// SHA-256 of the registry's bytes.
    pub registry_digest: Digest,
}

/// Reads a draft from its target files by path, as [`read`] does from signed ones.
///
/// # Errors
/// [`SetError`]: a file is missing or refused.
pub fn read_draft(product: &ProductId, targets: &BTreeMap<String, Vec<u8>>) -> Result<Draft, SetError> {
    let target = |path: &str| {
        let missing = || SetError::Trust(TufError::NoSuchTarget { path: path.to_owned() });
        targets.get(path).map(Vec::as_slice).ok_or_else(missing)
    };
    let registry_bytes = target(REGISTRY)?;
    let registry = read_registry(registry_bytes, product)?;
    let baseline_bytes = target(&baseline_path(product.as_str()))?;
    let reference = read_reference(baseline_bytes, product, |path| target(path).map(Cow::Borrowed))?;
    Ok(Draft { reference, registry, registry_digest: Digest::of(registry_bytes) })
}

fn read_registry(bytes: &[u8], product: &ProductId) -> Result<Registry, SetError> {
    let registry = source::registry_from_bytes(bytes).map_err(|problems| SetError::Refused {
        path: REGISTRY.to_owned(),
        problems,
        min_agent: None,
        is_newer: is_newer(bytes, registry::SCHEMA),
    })?;
    is_of(product, &registry.product)?;
    Ok(registry)
}

fn read_reference<'a>(
    bytes: &[u8],
    product: &ProductId,
    mut target: impl FnMut(&str) -> Result<Cow<'a, [u8]>, SetError>,
) -> Result<Reference, SetError> {
    let baseline = source::baseline_from_bytes(bytes).map_err(|problems| SetError::Refused {
        path: baseline_path(product.as_str()),
        problems,
        min_agent: source::min_agent(bytes),
        is_newer: is_newer(bytes, baseline::SCHEMA),
    })?;
    is_of(product, &baseline.product)?;
    let mut lists = BTreeMap::new();
    for list in Reference::lists_needed(&baseline) {
        let parsed = FileList::parse(&target(&file_path(&list))?);
        lists.insert(list, parsed.map_err(|source| SetError::List { list, source })?);
    }
    Reference::new(baseline, Digest::of(bytes), &lists).map_err(SetError::Reference)
}

fn is_of(product: &ProductId, found: &ProductId) -> Result<(), SetError> {
    let other = || SetError::Product { expected: product.clone(), found: found.clone() };
    if found == product { Ok(()) } else { Err(other()) }
}

fn is_newer(bytes: &[u8], newest: u32) -> bool {
    source::schema(bytes).is_some_and(|schema| schema > i64::from(newest))
}

fn read_lifts(
    trusted: &Trusted,
    product: &ProductId,
    verified: &mut impl FnMut(&str, &TargetFile) -> Result<Vec<u8>, SetError>,
) -> Result<Vec<Lift>, SetError> {
    let Some(role) = trusted.delegated(LIFTS) else { return Ok(Vec::new()) };
    if role.targets.len() > LIFTS_MAX {
        return Err(SetError::TooManyLifts { count: role.targets.len() });
    }
    let mut lifts = Vec::new();
    for (path, file) in &role.targets {
        let refused = |why: String| SetError::Lift { path: path.clone(), why };
        // Also finds out whether the role may speak for this path.
        if trusted.target(path).map_err(SetError::Trust)? != file {
            return Err(refused("another role lists other bytes for it".to_owned()));
        }
        let bytes = verified(path, file)?;
        let lift = Lift::read(&bytes, product).map_err(|error| refused(chain(&error)))?;
        // The path is what people review; it must not say another stop than the lift does.
        if !path.starts_with(&format!("lifts/{}/", lift.stop.hex())) {
            return Err(refused(format!("it ends stop {}, which its path does not name", lift.stop)));
        }
        lifts.push(lift);
    }
    Ok(lifts)
}

/// A threshold met within one unit is refused, by the root; where that names no units, by the registry,
/// and by the one before: it could otherwise move one of two who share a desk to another unit.
fn check_units(trusted: &Trusted, registry: &Registry, before: Option<&Registry>) -> Result<(), SetError> {
    let files = trusted.files();
    let bytes_of = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, bytes)| *bytes);
    let root = trusted.root();
    let deciding: Vec<(&'static str, Units)> = match Units::of_root(root) {
        Some(units) => vec![("the root", units)],
        None => {
            let own = ("the registry", Units::of_registry(registry));
            let before = before.map(|before| ("the registry before it", Units::of_registry(before)));
            [own].into_iter().chain(before).collect()
        }
    };
    let mut roles: Vec<(&'static str, &RoleKeys, &BTreeMap<KeyId, PublicKey>)> = Vec::new();
    for role in [ROOT, TARGETS] {
        roles.extend(root.roles.get(role).map(|keys| (role, keys, &root.keys)));
    }
    let delegations = trusted.targets().delegations.as_ref();
    let lifts = delegations.and_then(|d| d.roles.iter().find(|role| role.name == LIFTS).map(|role| (d, role)));
    roles.extend(lifts.map(|(delegations, role)| (LIFTS, &role.keys, &delegations.keys)));
    for (role, keys, all) in roles {
        let Some(bytes) = bytes_of(&format!("{role}.json")) else { continue }; // Lifts not read: none count.
        let tally = count_valid(bytes, all, keys).map_err(SetError::Trust)?;
        for (by, units) in &deciding {
            let signers = tally.valid.iter().filter_map(|id| all.get(id));
            units.require_two(by, tally.threshold, signers).map_err(|source| SetError::Units { role, source })?;
        }
    }
    Ok(())
}
