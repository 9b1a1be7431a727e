//! A ceremony after which nothing is signed by those of before: `metadata/before.json` says how far their
//! versions went, and everything here goes on above them. Hosts and controllers know the old versions, and
//! TUF takes nothing that is older.

use serde::Deserialize;

use crate::directory::{Directory, DirectoryError, FIRST_ROOT};
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
    /// Nothing can have come before a first root.
    #[error(
        "{BEFORE} speaks of a ceremony before this one, and {why}; `init --after` writes no such file: restore \
             metadata/ from git"
    )]
    NothingBefore { why: &'static str },
}

impl Fatal for BeforeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Directory(error) => error.exit(),
            Self::Format(_) | Self::NothingBefore { .. } => Exit::Refused,
        }
    }
}

impl Before {
    /// What the directory says; nothing came before if it says nothing.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or nothing can have come before: it names no root, or the first one is here.
    pub(crate) fn read(directory: &Directory) -> Result<Self, BeforeError> {
        let Some(bytes) = directory.read_if_there(BEFORE)? else { return Ok(Self::default()) };
        let before: Self = serde_json::from_slice(&bytes).map_err(BeforeError::Format)?;
        // Whoever may put a file here could otherwise make a beginning of any directory.
        if before.root == 0 {
            return Err(BeforeError::NothingBefore { why: "names no root" });
        }
        if directory.read_if_there(FIRST_ROOT)?.is_some() {
            return Err(BeforeError::NothingBefore { why: "the first root, metadata/1.root.json, is here" });
        }
        Ok(before)
    }

    /// The newest version of that role.
    pub(crate) fn of(&self, kind: SignedRole) -> u64 {
        match kind {
            SignedRole::Targets => self.targets,
            SignedRole::Lifts => self.lifts,
        }
    }
}
