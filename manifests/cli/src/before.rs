//! A ceremony after which nothing is signed by those of before: `metadata/before.json` says how far their
//! versions went, and everything here goes on above them. Hosts and controllers know the old versions, and
//! TUF takes nothing that is older.

use serde::Deserialize;

use crate::directory::{Directory, DirectoryError};
use crate::exit::{Exit, Fatal};
use crate::role_metadata::SignedRole;

/// Name of the file.
pub(crate) const BEFORE: &str = "metadata/before.json";

/// The newest versions of before; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    /// Of the root.
    pub(crate) root: u64,
    /// Of targets.
    pub(crate) targets: u64,
    /// Of lifts.
    pub(crate) lifts: u64,
}

/// The file is damaged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeforeError {
    /// It cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It says something else.
    #[error("{BEFORE} does not say which versions there were; restore it from git")]
    Format(#[source] serde_json::Error),
}

impl Fatal for BeforeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Directory(error) => error.exit(),
            Self::Format(_) => Exit::Refused,
        }
    }
}

impl Before {
    /// What the directory says; nothing came before if it says nothing.
    pub(crate) fn read(directory: &Directory) -> Result<Self, BeforeError> {
        match directory.read_if_there(BEFORE)? {
            None => Ok(Self::default()),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(BeforeError::Format),
        }
    }

    /// The newest version of that role.
    pub(crate) fn of(&self, kind: SignedRole) -> u64 {
        match kind {
            SignedRole::Targets => self.targets,
            SignedRole::Lifts => self.lifts,
        }
    }
}
