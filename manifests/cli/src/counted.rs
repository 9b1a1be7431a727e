//! How far targets and lifts had come when another root came into force: `metadata/counted.json` says it.
//!
//! Signatures alone do not tell a version that was complete under the root before from a draft under this one:
//! where two signed before and three do now, both have two. The first is in force at controllers and keeps its
//! bytes; the second lacks a signature.

use serde::{Deserialize, Serialize};

use crate::directory::{Directory, DirectoryError};
use crate::exit::{Exit, Fatal};
use crate::role_metadata::SignedRole;

/// Name of the file.
const COUNTED: &str = "metadata/counted.json";

/// What is known of both roles; written by whoever is the first to sign under a root that is not the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    targets: Option<UpTo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifts: Option<UpTo>,
}

/// Every later version was made under this root or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpTo {
    /// Version of the root.
    root: u64,
    /// Newest version of the role that counted before it; 0 for none.
    version: u64,
}

/// The file is damaged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountedError {
    /// It cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It says something else.
    #[error("{COUNTED} does not say which versions counted before the root in force; restore it from git")]
    Format(#[source] serde_json::Error),
}

impl Fatal for CountedError {
    fn exit(&self) -> Exit {
        match self {
            Self::Directory(error) => error.exit(),
            Self::Format(_) => Exit::Refused,
        }
    }
}

impl Counted {
    /// What the directory says; nothing is known if it says nothing.
    pub(crate) fn read(directory: &Directory) -> Result<Self, CountedError> {
        let Some(bytes) = directory.read_if_there(COUNTED)? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(CountedError::Format)
    }

    /// Whether signatures that a version has may have been counted by this root.
    pub(crate) fn allows(&self, kind: SignedRole, version: u64, root: u64) -> bool {
        let up_to = match kind {
            SignedRole::Targets => self.targets,
            SignedRole::Lifts => self.lifts,
        };
        up_to.is_none_or(|up_to| version <= up_to.version || root >= up_to.root)
    }

    /// Says that `version` was the newest that counted before `root`, unless it has been said of that root.
    pub(crate) fn note(
        mut self,
        directory: &Directory,
        kind: SignedRole,
        (root, version): (u64, u64),
    ) -> Result<(), CountedError> {
        let place = match kind {
            SignedRole::Targets => &mut self.targets,
            SignedRole::Lifts => &mut self.lifts,
        };
        if place.is_some_and(|up_to| up_to.root == root) {
            return Ok(());
        }
        *place = Some(UpTo { root, version });
        let mut text = serde_json::to_vec_pretty(&self).map_err(CountedError::Format)?;
        text.push(b'\n');
        Ok(directory.write(COUNTED, &text)?)
    }
}
