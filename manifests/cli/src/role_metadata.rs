//! Targets and lifts: metadata that release managers sign one after the other, on different machines.
//!
//! The first signer makes the next version from the directory and signs it. Every other signer makes
//! it once more from the own copy and signs only if it comes out the same: nobody's signature stands
//! under content that was not in front of them.

use std::collections::BTreeMap;

use manifests::key::{KeyId, SigningKey};
use manifests::succession::{self, SuccessionError};
use manifests::time::{Span, Time};
use manifests::tuf::repository::{self, LIFTS, TARGETS_LIFE};
use manifests::tuf::{Delegations, TARGETS, TargetFile, Targets, TufError};

use crate::directory::{Directory, DirectoryError};
use crate::exit::{Exit, Fatal};
use crate::people::{People, SignatureState};
use crate::roots::{Roots, Signers};

/// A complete document that ends within this time is renewed, content changed or not.
const RENEW_WITHIN: Span = Span::from_s(30 * 86_400);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedRole {
    /// Baseline, registry and file lists.
    Targets,
    /// Lifts.
    Lifts,
}

impl SignedRole {
    /// The role's name.
    pub(crate) const fn role(self) -> &'static str {
        match self {
            SignedRole::Targets => TARGETS,
            SignedRole::Lifts => LIFTS,
        }
    }

    /// The name of a version in the directory.
    pub(crate) fn name(self, version: u64) -> String {
        format!("metadata/{version}.{}.json", self.role())
    }
}

/// A version as found in the directory.
#[derive(Clone, Debug)]
pub(crate) struct RoleMetadata {
    /// Its name in the directory.
    pub(crate) name: String,
    /// As found.
    pub(crate) bytes: Vec<u8>,
    /// What it says.
    pub(crate) targets: Targets,
    /// Who has signed it.
    pub(crate) standing: SignatureState,
}

/// The newest versions of a document.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoleVersions {
    /// The newest complete one.
    pub(crate) complete: Option<RoleMetadata>,
    /// In its place the newest of before the ceremony that the directory began with: **nobody's signature
    /// says that it ever counted**. Versions and lifts go on from it, and it is no ground for more.
    pub(crate) of_before: Option<RoleMetadata>,
    /// One newer than both, not complete yet.
    pub(crate) draft: Option<RoleMetadata>,
}

/// Why a document is not signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleMetadataError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A file is no metadata.
    #[error("{name} is no metadata of its role; restore it from git")]
    Tuf { name: String, source: TufError },
    /// A file is not what its name says.
    #[error("{name} says that it is version {found}; restore it from git")]
    Version { name: String, found: u64 },
    /// A draft that follows nothing.
    #[error(
        "{name} is a draft, but {before}, which it follows, is missing or not completely signed; \
             restore that, or remove the draft"
    )]
    Follows { name: String, before: String },
    /// Somebody else signed other content.
    #[error(
        "{name}, signed by {signers}, does not fit this directory: {difference}. Restore what they signed \
             (git), or remove {name} to begin again with what is here"
    )]
    Differs { name: String, signers: String, difference: String },
    /// Somebody else gave it another life than documents have, or it waited too long for its second signature.
    #[error("{name} is not signed; remove it to begin again")]
    Life { name: String, source: SuccessionError },
}

impl Fatal for RoleMetadataError {
    fn exit(&self) -> Exit {
        match self {
            Self::Directory(error) => error.exit(),
            _ => Exit::Refused,
        }
    }
}

impl RoleVersions {
    /// Reads the newest version, and the one before it if the newest is not complete.
    pub(crate) fn read(
        kind: SignedRole,
        directory: &Directory,
        (signers, roots): (Signers<'_>, &Roots),
        people: &People,
    ) -> Result<Self, RoleMetadataError> {
        // Of whoever signed it and has left since, the signature counted then: the next version goes on from it.
        let place = |found: RoleMetadata| {
            let version = found.targets.version;
            if found.standing.is_complete() || roots.counted(kind, (version, &found.bytes), people) {
                Self { complete: Some(found), ..Self::default() }
            } else if roots.is_of_before(kind, version) {
                Self { of_before: Some(found), ..Self::default() }
            } else {
                Self { draft: Some(found), ..Self::default() }
            }
        };
        let Some(version) = directory.versions(kind.role())?.pop() else { return Ok(Self::default()) };
        let mut found = place(RoleMetadata::read(kind, version, directory, signers, people)?);
        let Some(newest) = found.draft.take() else { return Ok(found) };
        let Some(before) = version.checked_sub(1).filter(|before| *before > 0) else {
            return Ok(Self { draft: Some(newest), ..Self::default() });
        };
        let follows = || RoleMetadataError::Follows { name: newest.name.clone(), before: kind.name(before) };
        let found = match RoleMetadata::read(kind, before, directory, signers, people) {
            Err(RoleMetadataError::Directory(DirectoryError::File(error))) if error.is_not_found() => {
                return Err(follows());
            }
            answer => answer?,
        };
        // Without it a first signer could jump to any version, and nobody could go on from there.
        let found = place(found);
        if found.draft.is_some() {
            return Err(follows());
        }
        Ok(Self { draft: Some(newest), ..found })
    }

    /// What the next version goes on from.
    pub(crate) fn last(&self) -> Option<&RoleMetadata> {
        self.complete.as_ref().or(self.of_before.as_ref())
    }
}

impl RoleMetadata {
    fn read(
        kind: SignedRole,
        version: u64,
        directory: &Directory,
        signers: Signers<'_>,
        people: &People,
    ) -> Result<Self, RoleMetadataError> {
        let name = kind.name(version);
        let bytes = directory.read(&name)?;
        let tuf = |source| RoleMetadataError::Tuf { name: name.clone(), source };
        let targets: Targets = repository::read_unverified(&bytes).map_err(tuf)?;
        let standing = signers.standing(&bytes, people).map_err(tuf)?;
        if targets.version == version {
            Ok(Self { name, bytes, targets, standing })
        } else {
            Err(RoleMetadataError::Version { name, found: targets.version })
        }
    }
}

/// What a document is to say.
#[derive(Clone, Debug)]
pub(crate) struct RoleContent {
    /// Target files by path.
    pub(crate) targets: BTreeMap<String, TargetFile>,
    /// Targets delegate to lifts, lifts to nobody.
    pub(crate) delegations: Option<Delegations>,
}

impl RoleContent {
    /// The first difference, in words; this is what is here, `other` what a document says.
    pub(crate) fn difference(&self, other: &Targets) -> Option<String> {
        let paths = self.targets.keys().chain(other.targets.keys());
        let differs = paths.filter(|path| self.targets.get(*path) != other.targets.get(*path)).min();
        match differs {
            Some(path) => {
                let (here, listed) = (self.targets.contains_key(path), other.targets.contains_key(path));
                // Somebody else may have chosen it: it must not write on the terminal.
                let path = path.escape_debug();
                Some(match (here, listed) {
                    (true, true) => format!("{path} is another one here"),
                    (true, false) => format!("{path} is here and not listed in it"),
                    _ => format!("{path} is listed in it and not here"),
                })
            }
            None if self.delegations != other.delegations => Some(
                "it delegates to other keys, or with another threshold, than the root names for targets".to_owned(),
            ),
            None => None,
        }
    }

    fn at(&self, version: u64, expires: Time) -> Targets {
        Targets { version, expires, targets: self.targets.clone(), delegations: self.delegations.clone() }
    }
}

/// What signing did.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// Version now signed or complete.
    pub(crate) version: u64,
    /// In what way.
    pub(crate) step: Step,
    /// How it stands now.
    pub(crate) standing: SignatureState,
}

/// Ways to sign a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Complete, and the directory holds what it says.
    NothingToSign,
    /// This key has signed the draft before.
    AlreadySigned,
    /// Another signer's draft was signed.
    Joined,
    /// A new version was made.
    Made,
    /// A new version was made because the last one ends soon.
    Renewed,
    /// A new version was made because those who signed the last one are not enough any more.
    SignersChanged,
    /// A draft that nobody else had signed was made anew.
    MadeAnew,
}

/// Whether a complete document is made anew although nothing in it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// If it ends soon.
    WhenNear,
    /// Whatever time is left.
    Now,
}

/// What is to be signed.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// Nothing; how things stand.
    Nothing(Done),
    /// These bytes, which become this version.
    Sign {
        /// The version.
        version: u64,
        /// As other signers left it, or made now.
        bytes: Vec<u8>,
        /// Why.
        step: Step,
    },
}

/// What this key is to sign so that the newest version says `content`.
pub(crate) fn plan(
    kind: SignedRole,
    documents: &RoleVersions,
    content: &RoleContent,
    renewal: Renewal,
    (keyid, now): (&KeyId, Time),
) -> Result<Plan, RoleMetadataError> {
    let sign = |version, step| Ok(Plan::Sign { version, bytes: make(kind, content, version, now)?, step });
    match (&documents.draft, documents.last()) {
        (Some(draft), _) => {
            let version = draft.targets.version;
            let others = draft.standing.others(keyid);
            match difference(draft, content)? {
                Some(_) if others.is_empty() => sign(version, Step::MadeAnew),
                Some(difference) => {
                    let (name, signers) = (draft.name.clone(), others.join("; "));
                    Err(RoleMetadataError::Differs { name, signers, difference })
                }
                None if draft.standing.has(keyid) => {
                    Ok(Plan::Nothing(Done { version, step: Step::AlreadySigned, standing: draft.standing.clone() }))
                }
                None => {
                    succession::require_life(draft.targets.expires, TARGETS_LIFE, now)
                        .map_err(|source| RoleMetadataError::Life { name: draft.name.clone(), source })?;
                    Ok(Plan::Sign { version, bytes: draft.bytes.clone(), step: Step::Joined })
                }
            }
        }
        (None, Some(complete)) => {
            let next = complete.targets.version.saturating_add(1);
            let is_near = complete.targets.expires <= now.after(RENEW_WITHIN);
            match difference(complete, content)? {
                Some(_) => sign(next, Step::Made),
                None if !complete.standing.is_complete() => sign(next, Step::SignersChanged),
                None if is_near || renewal == Renewal::Now => sign(next, Step::Renewed),
                None => {
                    let (version, standing) = (complete.targets.version, complete.standing.clone());
                    Ok(Plan::Nothing(Done { version, step: Step::NothingToSign, standing }))
                }
            }
        }
        (None, None) => sign(1, Step::Made),
    }
}

/// Signs what was planned, and writes it.
pub(crate) fn put(
    kind: SignedRole,
    directory: &Directory,
    (version, bytes, step): (u64, &[u8], Step),
    (signers, people): (Signers<'_>, &People),
    key: &SigningKey,
) -> Result<Done, RoleMetadataError> {
    let name = kind.name(version);
    let tuf = |source| RoleMetadataError::Tuf { name: name.clone(), source };
    let signed = repository::sign(bytes, key).map_err(tuf)?;
    let standing = signers.standing(&signed, people).map_err(tuf)?;
    directory.write(&name, &signed)?;
    Ok(Done { version, step, standing })
}

fn make(kind: SignedRole, content: &RoleContent, version: u64, now: Time) -> Result<Vec<u8>, RoleMetadataError> {
    repository::unsigned(&content.at(version, now.after(TARGETS_LIFE)))
        .map_err(|source| RoleMetadataError::Tuf { name: kind.name(version), source })
}

// Compares what would be signed, byte by byte, so that nothing goes unnoticed that this program does
// not write: a member it does not know may mean something to a reader.
fn difference(document: &RoleMetadata, content: &RoleContent) -> Result<Option<String>, RoleMetadataError> {
    let tuf = |source| RoleMetadataError::Tuf { name: document.name.clone(), source };
    if let Some(difference) = content.difference(&document.targets) {
        return Ok(Some(difference));
    }
    let own = repository::unsigned(&content.at(document.targets.version, document.targets.expires)).map_err(tuf)?;
    let same =
        repository::signable_bytes(&own).map_err(tuf)? == repository::signable_bytes(&document.bytes).map_err(tuf)?;
    Ok((!same).then(|| "it has members that this program does not write".to_owned()))
}
