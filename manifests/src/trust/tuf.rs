//! TUF 1.0.34: which signed documents are in force, decided without trusting who delivers them.
//!
//! - [`TufClient`] follows section 5 of the specification step by step: it fetches, verifies, and only
//!   then stores. It knows no network and no clock; both are handed in ([`Fetch`], `now`).
//! - [`Trusted`] is a complete set that was verified: it can be loaded again without a network, its
//!   signatures checked anew, and it *reports* expiry instead of refusing it.
//! - [`repository`] makes and signs metadata.
//!
//! Invariants:
//! - Nothing is stored or acted on before a threshold of distinct keys signed it.
//! - The chain of roots is kept whole (`root_history/`), so every load walks it from the first root,
//!   which lies outside the store. What changes the store cannot change whom it trusts.
//! - Stored metadata that is damaged, or missing although it was stored, is an error that names the
//!   file. It is the memory that rollback is judged by, and is never quietly replaced.

mod client;
mod delegation;
mod envelope;
mod error;
mod fetch;
mod metadata;
pub mod repository;
mod roots;
mod store;
mod trusted;

pub use client::{TargetInfo, TufClient};
pub use envelope::Tally;
pub use error::{Ignored, IgnoredWhy, Listing, TufError};
pub use fetch::{Fetch, FetchError, metadata_path, target_path};
pub use metadata::{
    Delegation, Delegations, Hashes, MetaFile, RoleKeys, Root, Signed, Snapshot, TargetFile, Targets, Timestamp,
};
pub use store::{FileStore, MemoryStore, MetadataStore, MetadataStoreError};
pub use trusted::Trusted;

/// Role that signs the keys of all others.
pub const ROOT: &str = "root";
/// Role that says which snapshot is current.
pub const TIMESTAMP: &str = "timestamp";
/// Role that says which versions of all targets metadata belong together.
pub const SNAPSHOT: &str = "snapshot";
/// Role that lists target files and delegates.
pub const TARGETS: &str = "targets";

/// Most bytes read of one root metadata file (TUF 1.0.34, 5.3.3).
pub const ROOT_BYTES_MAX: u64 = 512 << 10;
/// Most bytes read of a timestamp (5.4.1).
pub const TIMESTAMP_BYTES_MAX: u64 = 16 << 10;
/// Most bytes read of a snapshot, whatever length is listed (5.5.1).
pub const SNAPSHOT_BYTES_MAX: u64 = 2 << 20;
/// Most bytes read of one targets metadata file, whatever length is listed (5.6.1).
pub const TARGETS_BYTES_MAX: u64 = 8 << 20;
/// Most bytes read of one target file, whatever length is listed: a file list of a large /usr is
/// some 15 MiB, and a signed slip of the pen must not exhaust a host.
pub const TARGET_FILE_BYTES_MAX: u64 = 64 << 20;
/// Most root versions followed in one refresh (5.3.3); the next refresh goes on from there.
pub const ROOT_ROTATIONS_MAX: usize = 256;
/// Most roles visited in the search for one target (5.6.7.1).
pub const ROLES_VISITED_MAX: usize = 32;
/// Longest name of a delegated role, in bytes: percent-encoded it must still be a file name.
pub const ROLE_NAME_BYTES_MAX: usize = 80;
