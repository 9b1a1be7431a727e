//! What has to be watched so that no change to what evidence is made from goes unseen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::collect::tree::Scope;
use crate::collect::wildcard;

/// Symbolic links followed on one path, as the kernel bounds them.
const LINKS_MAX: usize = 40;

/// Everything whose change must start a new look. Paths have no link in them, but for the last component
/// of a link itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchSet {
    /// Directories watched with all below them, and what of it does not count.
    pub trees: BTreeMap<PathBuf, Scope>,
    /// Directories watched for some of their entries: names, or patterns with `*` and `?`.
    pub entries: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// Directories and symbolic links on the way to them, watched for being moved, removed or
    /// replaced: not for what happens in them.
    pub components: BTreeSet<PathBuf>,
}

impl WatchSet {
    /// Adds all that `other` watches.
    pub fn extend(&mut self, other: WatchSet) {
        for (root, scope) in other.trees {
            self.add_tree(root, scope);
        }
        for (directory, names) in other.entries {
            self.entries.entry(directory).or_default().extend(names);
        }
        self.components.extend(other.components);
    }

    /// Adds a directory with all below it that `scope` leaves: a program's tree, or what a link of it leads
    /// to. Where there is no directory, what is there instead is watched like a file, or what may come.
    pub(crate) fn tree(&mut self, root: &Path, scope: &Scope) {
        if let Some((directory, Kind::Directory)) = self.way_to(root) {
            self.add_tree(directory, scope.clone());
        }
    }

    fn add_tree(&mut self, root: PathBuf, scope: Scope) {
        let before = self.trees.insert(root.clone(), scope.clone());
        // One root with different exclusions: all of it is watched, which no exclusion can miss.
        if before.is_some_and(|before| before != scope) {
            self.trees.insert(root, Scope::everything());
        }
    }

    /// Adds a file, or the files that a pattern in its last component names, with every link on the way
    /// and behind it.
    pub(crate) fn file(&mut self, path: &Path) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        if !wildcard::is_pattern(name.as_bytes()) {
            self.way_to(path);
            return;
        }
        let Some((directory, Kind::Directory)) = self.way_to(parent) else { return };
        self.entries.entry(directory.clone()).or_default().insert(name.to_owned());
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_link && wildcard::matches_name(name.as_bytes(), entry.file_name().as_bytes()) {
                self.way_to(&entry.path());
            }
        }
    }

    /// Adds every component on the way, links followed to their end, and answers where it leads. A file at
    /// the end is watched by its name in its directory; where the way ends early, the nearest directory is
    /// watched for the missing name.
    fn way_to(&mut self, path: &Path) -> Option<(PathBuf, Kind)> {
        let mut resolved = PathBuf::from("/");
        let mut rest: VecDeque<OsString> = names(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name.as_bytes() == b".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&name);
            let kind = std::fs::symlink_metadata(&next).map(|metadata| metadata.file_type());
            match kind {
                Ok(kind) if kind.is_dir() => {
                    self.components.insert(next.clone());
                    resolved = next;
                }
                Ok(kind) if kind.is_symlink() => {
                    self.components.insert(next.clone());
                    links += 1;
                    if links > LINKS_MAX {
                        return None;
                    }
                    let target = std::fs::read_link(&next).ok()?;
                    if target.is_absolute() {
                        resolved = PathBuf::from("/");
                    }
                    for name in names(&target).into_iter().rev() {
                        rest.push_front(name);
                    }
                }
                // A file, or nothing: it counts where the way ends, and may become a directory elsewhere.
                found => {
                    self.entries.entry(resolved).or_default().insert(name);
                    return (found.is_ok() && rest.is_empty()).then_some((next, Kind::File));
                }
            }
        }
        Some((resolved, Kind::Directory))
    }
}

/// What is at the end of a way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
}

/// The path's names without `.` and root; `..` is kept, for it depends on where links lead.
fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}
