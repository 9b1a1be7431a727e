//! What has to be watched so that no change to what evidence is made from goes unseen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::collect::tree::Scope;
use crate::collect::wildcard;

/// Symbolic links followed on one path, as the kernel bounds them.
const LINKS_MAX: usize = 40;

/// Everything whose change must start a new look.
#[derive(Clone, Debug, Default)]
pub struct WatchSet {
    /// Directories watched with all below them, and what of it does not count.
    pub trees: BTreeMap<PathBuf, Scope>,
    /// Directories watched for some of their entries: names, or patterns with `*` and `?`.
    pub entries: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// Directories and symbolic links on the way to them, watched for being moved, removed or
    /// replaced: not for what happens in them.
    pub components: BTreeSet<PathBuf>,
}

impl PartialEq for WatchSet {
    fn eq(&self, other: &Self) -> bool {
        let trees = |set: &Self| -> Vec<(PathBuf, Vec<String>)> {
            set.trees.iter().map(|(root, scope)| (root.clone(), scope.sources().to_vec())).collect()
        };
        self.entries == other.entries && self.components == other.components && trees(self) == trees(other)
    }
}

impl Eq for WatchSet {}

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

    /// Adds a program's tree.
    pub(crate) fn tree(&mut self, root: &Path, scope: &Scope) {
        if let Some(directory) = self.way_to(root) {
            self.add_tree(directory, scope.clone());
        }
    }

    fn add_tree(&mut self, root: PathBuf, scope: Scope) {
        let sources = scope.sources().to_vec();
        let before = self.trees.insert(root.clone(), scope);
        // One root with different exclusions: all of it is watched, which no exclusion can miss.
        if before.is_some_and(|before| before.sources() != sources) {
            self.trees.insert(root, Scope::everything());
        }
    }

    /// Adds a file, or the files that a pattern in its last component names.
    pub(crate) fn file(&mut self, path: &Path) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Some(directory) = self.way_to(parent) else { return };
        self.entries.entry(directory.clone()).or_default().insert(name.to_owned());
        // A link in the file's place leads to another file, whose way is watched as well.
        if !wildcard::is_pattern(name.as_bytes()) {
            self.behind_link(&directory.join(name));
        } else if let Ok(listing) = std::fs::read_dir(&directory) {
            for entry in listing.flatten() {
                if wildcard::matches_name(name.as_bytes(), entry.file_name().as_bytes()) {
                    self.behind_link(&entry.path());
                }
            }
        }
    }

    fn behind_link(&mut self, path: &Path) {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Ok(target) = std::fs::read_link(&path) else { return };
            let target = path.parent().unwrap_or(Path::new("/")).join(target);
            let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else { return };
            let Some(directory) = self.way_to(parent) else { return };
            self.entries.entry(directory.clone()).or_default().insert(name.to_owned());
            path = directory.join(name);
        }
    }

    /// Adds every component on the way to a directory, links followed, and answers where it leads.
    /// Where the way ends early, the nearest directory is watched for the missing name.
    fn way_to(&mut self, path: &Path) -> Option<PathBuf> {
        let mut resolved = PathBuf::from("/");
        let mut rest: VecDeque<OsString> = names(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name.as_bytes() == b".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&name);
            let Ok(metadata) = std::fs::symlink_metadata(&next) else {
                self.entries.entry(resolved).or_default().insert(name);
                return None;
            };
            self.components.insert(next.clone());
            if metadata.is_symlink() {
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
            } else {
                resolved = next;
            }
        }
        Some(resolved)
    }
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
