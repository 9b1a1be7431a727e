//! What one watched inode is watched for: one directory may be a tree's, hold configuration files,
//! and lie on the way to others, all at once.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::collect::{WatchSet, wildcard};

#[derive(Debug)]
pub(super) struct Roles {
    /// The path by which it was first added.
    pub(super) path: PathBuf,
    /// It lies on the way to something.
    pub(super) component: bool,
    /// It is a file whose content counts.
    pub(super) content: bool,
    /// Names or patterns of entries that matter.
    pub(super) names: BTreeSet<OsString>,
    /// Trees that it belongs to, and where in them.
    pub(super) trees: BTreeSet<(PathBuf, PathBuf)>,
}

impl Roles {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), component: false, content: false, names: BTreeSet::new(), trees: BTreeSet::new() }
    }

    /// Whether it matters what becomes of the directory itself. Of a tree's inner directories its
    /// parent tells.
    pub(super) fn matters_itself(&self) -> bool {
        self.component
            || self.content
            || !self.names.is_empty()
            || self.trees.iter().any(|(_, below)| below.as_os_str().is_empty())
    }

    /// Whether an entry is one of those that matter by name.
    pub(super) fn names(&self, name: &OsStr) -> bool {
        self.names.iter().any(|wanted| wildcard::matches_name(wanted.as_bytes(), name.as_bytes()))
    }

    /// Where an entry lies in each tree of which it counts.
    pub(super) fn in_trees(&self, name: &OsStr, is_directory: bool, set: &WatchSet) -> Vec<(PathBuf, PathBuf)> {
        let entries = self.trees.iter().map(|(root, below)| (root.clone(), below.join(name)));
        let counts = |(root, below): &(PathBuf, PathBuf)| {
            set.trees.get(root).is_some_and(|scope| !scope.excludes(below, is_directory))
        };
        entries.filter(counts).collect()
    }
}
