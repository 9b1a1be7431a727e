//! Why a refresh, a load or a search for a target did not succeed.

use std::fmt;

use crate::key::KeyId;
use crate::time::Time;
use crate::tuf::store::MetadataStoreError;
use crate::units::UnitsError;

/// Everything that can go wrong between a repository, the store, and the caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TufError {
    /// Something older than what is trusted is passed off as current (TUF 1.0.34, 1.5.2).
    #[error("rollback: {file} version {offered} is offered, version {trusted} is already trusted")]
    Rollback {
        /// Metadata file whose version went back.
        file: String,
        /// Version trusted so far.
        trusted: u64,
        /// Version offered.
        offered: u64,
    },
    /// A snapshot lists a role no more that it listed before (5.5.5).
    #[error("rollback: the new snapshot does not list {file}, the trusted one does")]
    Removed {
        /// The metadata file no longer listed.
        file: String,
    },
    /// The timestamp or the snapshot has expired: whoever serves them may be withholding newer ones.
    #[error("freeze: {role} expired at {expires}, now is {now}")]
    Freeze {
        /// `timestamp` or `snapshot`.
        role: String,
        /// End of its life.
        expires: Time,
        /// Start of the refresh.
        now: Time,
    },
    /// Root or targets metadata has expired.
    #[error("{role} expired at {expires}, now is {now}")]
    Expired {
        /// `root`, `targets`, or a delegated role.
        role: String,
        /// End of its life.
        expires: Time,
        /// Start of the refresh.
        now: Time,
    },
    /// A file is not the one that signed metadata lists: versions are being mixed.
    #[error("{file} is not what is listed: {listing}")]
    Mismatch {
        /// Metadata or target file.
        file: String,
        /// What differs.
        listing: Listing,
    },
    /// Fewer distinct keys of the role signed than it demands.
    #[error("{file}: signed by {valid} of {needed} keys that {role} needs{}", list(ignored))]
    Threshold {
        /// File whose signatures were counted.
        file: String,
        /// Role whose keys count.
        role: String,
        /// Distinct keys demanded.
        needed: u64,
        /// Distinct keys that signed validly.
        valid: u64,
        /// Signatures that did not count, and why.
        ignored: Vec<Ignored>,
    },
    /// A root that was signed by keys enough, and not by two units of the organisation.
    #[error("{file} is refused")]
    Units {
        /// The root.
        file: String,
        /// Why its signatures do not count.
        source: UnitsError,
    },
    /// A role that demands no signature at all, or less.
    #[error("{file}: a threshold of {threshold} is none")]
    NoThreshold {
        /// File that sets it.
        file: String,
        /// The number given.
        threshold: i64,
    },
    /// Two signatures under one key id (4.1).
    #[error("{file}: key {keyid} signs twice")]
    DuplicateSignature {
        /// File with the signatures.
        file: String,
        /// The id given twice.
        keyid: String,
    },
    /// Not metadata of the kind expected.
    #[error("{file}: {reason}")]
    Format {
        /// File that was to be read.
        file: String,
        /// What is wrong in it.
        reason: String,
    },
    /// More bytes than allowed or listed; none were kept.
    #[error("{file} is larger than {max} bytes")]
    TooLarge {
        /// File that was to be fetched.
        file: String,
        /// Most bytes allowed.
        max: u64,
    },
    /// No answer from the repository.
    #[error("{file} cannot be fetched: {reason}")]
    Unreachable {
        /// File that was to be fetched.
        file: String,
        /// What the transport said.
        reason: String,
    },
    /// The repository does not have a file that it must have.
    #[error("the repository has no {file}")]
    NotFound {
        /// File that was to be fetched.
        file: String,
    },
    /// No role that may speak for this path lists it.
    #[error("no target {path}")]
    NoSuchTarget {
        /// Target path asked for.
        path: String,
    },
    /// No delegation to a role of this name.
    #[error("no role {role}")]
    NoSuchRole {
        /// Role asked for.
        role: String,
    },
    /// A stored file was changed, truncated or lost. Nothing newer is accepted until somebody has
    /// looked: restore it, or remove the whole store and so decide to trust the next answer.
    #[error("the store is damaged: {file}: {reason}")]
    StoreDamaged {
        /// Stored file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store holds the first part of a refresh that did not finish; another refresh mends it.
    #[error("the stored set is incomplete: {file}: {reason}")]
    Incomplete {
        /// Stored file that is behind.
        file: String,
        /// In what respect.
        reason: String,
    },
    /// No refresh has succeeded yet.
    #[error("no trusted metadata yet")]
    NothingTrusted,
    /// The store could not be read or written.
    #[error("the metadata store failed")]
    Store {
        /// Which file, and why.
        #[from]
        source: MetadataStoreError,
    },
}

impl TufError {
    /// A stable ASCII word for logs, answers and alarms.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rollback { .. } | Self::Removed { .. } => "rollback",
            Self::Freeze { .. } => "freeze",
            Self::Expired { .. } => "expired",
            Self::Mismatch { .. } => "mismatch",
            // A signature of the right key over other bytes tells of tampering; a missing one does not.
            Self::Threshold { ignored, .. } if ignored.iter().any(Ignored::is_invalid) => "signature",
            Self::Threshold { .. } | Self::NoThreshold { .. } => "threshold",
            Self::Units { source, .. } => source.code(),
            Self::DuplicateSignature { .. } => "signature",
            Self::Format { .. } => "format",
            Self::TooLarge { .. } => "too-large",
            Self::Unreachable { .. } => "unreachable",
            Self::NotFound { .. } | Self::NoSuchTarget { .. } | Self::NoSuchRole { .. } => "not-found",
            Self::StoreDamaged { .. } => "store-damaged",
            Self::Incomplete { .. } => "incomplete",
            Self::NothingTrusted => "nothing-trusted",
            Self::Store { .. } => "store",
        }
    }
}

/// In what a file differs from what signed metadata says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listing {
    /// Another version number.
    Version {
        /// Version listed.
        listed: u64,
        /// Version in the file.
        found: u64,
    },
    /// More or fewer bytes.
    Length {
        /// Bytes listed.
        listed: u64,
        /// Bytes found.
        found: u64,
    },
    /// Other bytes.
    Digest,
    /// Only digests of algorithms that are not known here.
    NoKnownDigest,
    /// A delegated role that the snapshot does not list.
    NotInSnapshot,
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { listed, found } => write!(f, "version {listed} is listed, it is version {found}"),
            Self::Length { listed, found } => write!(f, "{listed} bytes are listed, it has {found}"),
            Self::Digest => write!(f, "its digest differs"),
            Self::NoKnownDigest => write!(f, "no digest of a known algorithm is listed"),
            Self::NotInSnapshot => write!(f, "the snapshot does not list it"),
        }
    }
}

/// A signature that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The key it names.
    pub keyid: KeyId,
    /// Why it does not count.
    pub why: IgnoredWhy,
}

impl Ignored {
    pub(crate) fn is_invalid(&self) -> bool {
        self.why == IgnoredWhy::Invalid
    }
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IgnoredWhy {
    /// The key does not speak for the role.
    NotOfThisRole,
    /// A key type or scheme that cannot be verified here.
    UnknownKeyType,
    /// Made over other bytes, by another key, or no signature at all.
    Invalid,
    /// The key counted already, under this other id.
    SameKeyAs(KeyId),
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyid = &self.keyid;
        match &self.why {
            IgnoredWhy::NotOfThisRole => write!(f, "key {keyid} does not speak for this role"),
            IgnoredWhy::UnknownKeyType => write!(f, "key {keyid} is of an unknown type"),
            IgnoredWhy::Invalid => write!(f, "the signature of key {keyid} does not verify"),
            IgnoredWhy::SameKeyAs(other) => write!(f, "key {keyid} is key {other} under another id"),
        }
    }
}

fn list(ignored: &[Ignored]) -> String {
    ignored.iter().map(|one| format!("; {one}")).collect()
}
