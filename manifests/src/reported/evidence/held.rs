//! What running processes have of files, where it is not what the disk has.

use serde::{Deserialize, Serialize};

use super::Gap;

/// What running processes have of some files, where it is not what the disk has. Empty: as on disk.
///
/// Lists are in byte order and hold at most [`HELD_MAX`] each; `more` counts what they have no room for.
/// Every member is written, also an empty one: one that was left out is refused, not taken for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Files that a process has, or may have, with another content than the disk.
    pub older: Vec<Older>,
    /// Files that a process sees with another content at the same path: absolute, or relative to the
    /// program's root.
    pub elsewhere: Vec<String>,
    /// What could not be told, and why.
    pub unknown: Vec<Gap>,
    /// Files of any of these lists beyond their bounds.
    pub more: u32,
}

/// The most files that each list of [`Held`] has.
pub const HELD_MAX: usize = 100;

impl Held {
    /// Whether everything is shown to be as on disk.
    pub fn is_current(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the lists keep their bounds, and none of them has room for what `more` counts.
    pub(super) fn is_bounded(&self) -> bool {
        let longest = self.older.len().max(self.elsewhere.len()).max(self.unknown.len());
        longest <= HELD_MAX && (self.more == 0 || longest == HELD_MAX)
    }
}

/// A file that a process has, or may have, with another content than the disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Older {
    /// Relative to the program's root, or absolute outside of it; bytes that are not UTF-8 replaced.
    pub file: String,
    /// How that is known.
    pub why: OlderWhy,
}

/// How it is known that a process does not, or may not, have what the disk has. The text is the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OlderWhy {
    /// It maps or has open, or executes, another file than the one on disk.
    Held,
    /// It had read the file before the content changed.
    Changed,
    /// The file, or a directory or link on its way, was changed after the process started and before the
    /// agent first looked at it: what it has read cannot be told.
    BeforeFirstLook,
    /// Something in this directory may have been removed after the process started, unseen.
    MayHaveGone,
    /// Something was mounted on the way to it, perhaps after the process started.
    Mounted,
    /// It runs from a copy at this path.
    Copy,
    /// It has taken this file, from outside of the tree, under a name of the tree.
    Shadowed,
}
