//! A program's tree: every entry below its root, digested into one file list.
//!
//! A tree is what the program sees: mount points are entered, links count by their text and are
//! not followed. The root itself may be reached through links, as releases are often switched by one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use manifests::digest::Digest;
use manifests::evidence::{Finding, FindingKind, Why};
use manifests::exclude::Globs;
use manifests::tree::{FileList, PATH_BYTES_MAX};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::collect::Limits;
use crate::collect::index::Index;
use crate::collect::read::{self, Bounds, Digested};
use crate::collect::stamp::Stamp;

/// Threads that hash, at most.
const THREADS_MAX: usize = 8;
/// Below this many files to read, threads cost more than they save.
const FILES_PER_THREAD_MIN: usize = 16;
/// The most gaps and findings remembered of one tree; evidence has room for fewer.
const REMARKS_MAX: usize = 10_000;

/// What of a tree counts.
#[derive(Clone, Debug)]
pub struct Scope {
    exclude: Option<Globs>,
    /// Directories of which nothing counts, so that they need not be read or watched at all.
    whole: Option<Globs>,
}

impl Scope {
    /// Everything that `exclude` does not name.
    pub fn new(exclude: &Globs) -> Self {
        let sources = exclude.sources();
        // `logs/**` leaves out all that is in `logs`; with a `!` somewhere that cannot be told from
        // the directory alone. Anchored, as a glob with a slash in it is.
        let whole = if sources.iter().any(|source| source.starts_with('!')) {
            None
        } else {
            let directories = sources.iter().filter_map(|source| source.strip_suffix("/**"));
            let anchored = directories.filter(|source| !source.is_empty()).map(|source| {
                if source.starts_with('/') || source.starts_with("**/") {
                    source.to_owned()
                } else {
                    format!("/{source}")
                }
            });
            Globs::new(anchored.collect()).ok()
        };
        Self { exclude: Some(exclude.clone()), whole }
    }

    /// Everything counts.
    pub(crate) fn everything() -> Self {
        Self { exclude: None, whole: None }
    }

    /// The globs it was made from.
    pub(crate) fn sources(&self) -> &[String] {
        self.exclude.as_ref().map_or(&[], Globs::sources)
    }

    /// Whether an entry whose directory counts does not.
    pub fn excludes(&self, path: &Path, is_directory: bool) -> bool {
        self.exclude.as_ref().is_some_and(|globs| globs.excludes(path, is_directory))
            || is_directory && self.whole.as_ref().is_some_and(|globs| globs.excludes(path, true))
    }

    /// Whether a path below the root does not count, or lies in a directory that does not.
    pub fn excludes_below(&self, path: &Path, is_directory: bool) -> bool {
        let mut above = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        above.any(|parent| self.excludes(parent, true)) || self.excludes(path, is_directory)
    }
}

/// What one look at a tree saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Everything that could be read.
    pub(crate) list: FileList,
    /// Odd things, in byte order of paths.
    pub(crate) findings: BTreeSet<Finding>,
    /// What could not be read: path relative to the root, empty for the root itself.
    pub(crate) gaps: BTreeMap<Vec<u8>, Why>,
    /// When each file and link last changed (its ctime), in nanoseconds of the wall clock.
    pub(crate) changed_ns: BTreeMap<Vec<u8>, i128>,
}

impl Tree {
    /// The tree's digest, or the first reason in byte order of paths why there is none.
    pub(crate) fn digest(&self) -> Result<Digest, Why> {
        self.gaps.first_key_value().map_or_else(|| Ok(self.list.digest()), |(_, why)| Err(*why))
    }

    fn gap(&mut self, path: &[u8], why: Why) {
        if self.gaps.len() < REMARKS_MAX {
            self.gaps.insert(path.to_vec(), why);
        }
    }

    fn finding(&mut self, path: &[u8], kind: FindingKind) {
        if self.findings.len() < REMARKS_MAX {
            self.findings.insert(Finding { path: String::from_utf8_lossy(path).into_owned(), kind });
        }
    }
}

/// Paths that only one of two lists has, or with different digests; of links without their mark.
pub(crate) fn differing(one: &FileList, other: &FileList) -> BTreeSet<Vec<u8>> {
    let lacks = |from: &FileList, path: &[u8], digest: &Digest| from.digest_of(path) != Some(digest);
    let here = one.entries().filter(|(path, digest)| lacks(other, path, digest));
    let there = other.entries().filter(|(path, digest)| lacks(one, path, digest));
    here.chain(there).map(|(path, _)| path.strip_suffix(b"//").unwrap_or(path).to_vec()).collect()
}

/// Opens a tree's root, links on the way followed.
pub(crate) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Looks at all of the tree at `root`.
pub(crate) fn look(root: &OwnedFd, scope: &Scope, index: &mut Index, limits: &Limits, deadline: Instant) -> Tree {
    let bounds = Bounds { bytes_max: limits.file_bytes_max, deadline };
    let mut walk = Walk { root, scope, index, limits, bounds, tree: Tree::default(), unread: vec![], vanished: false };
    walk.all();
    if walk.vanished {
        // Something went between listing and reading. What was read is in the index or will be read
        // again: a second look costs little, and decides.
        walk.tree = Tree::default();
        walk.vanished = false;
        walk.all();
        if walk.vanished {
            walk.tree.gap(b"", Why::Changing);
        }
    }
    walk.tree
}

struct Walk<'a> {
    root: &'a OwnedFd,
    scope: &'a Scope,
    index: &'a mut Index,
    limits: &'a Limits,
    bounds: Bounds,
    tree: Tree,
    /// Files whose content is not known from an earlier pass.
    unread: Vec<PathBuf>,
    vanished: bool,
}

impl Walk<'_> {
    fn all(&mut self) {
        self.unread.clear();
        let mut entries = 0;
        let mut directories: Vec<PathBuf> = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            let result = self.directory(&directory, &mut directories, &mut entries);
            match result {
                Ok(()) => {}
                // The whole tree is not known then, whatever else could be read.
                Err(why @ (Why::TimedOut | Why::TooLarge)) => {
                    self.tree.gap(b"", why);
                    return;
                }
                Err(Why::FileAbsent) => self.vanished = true,
                Err(why) => self.tree.gap(directory.as_os_str().as_bytes(), why),
            }
        }
        self.read_unread();
    }

    fn directory(&mut self, path: &Path, found: &mut Vec<PathBuf>, entries: &mut usize) -> Result<(), Why> {
        let at = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fd = read::open_beneath(self.root, at, OFlags::RDONLY | OFlags::DIRECTORY).map_err(read::why)?;
        self.index.meet(&fd);
        let mut listing = Dir::read_from(&fd).map_err(read::why)?;
        while let Some(entry) = listing.read() {
            let entry = entry.map_err(read::why)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            *entries += 1;
            if *entries > self.limits.tree_entries_max {
                return Err(Why::TooLarge);
            }
            if Instant::now() > self.bounds.deadline {
                return Err(Why::TimedOut);
            }
            let path = path.join(OsStr::from_bytes(name));
            if path.as_os_str().len() > PATH_BYTES_MAX {
                self.tree.gap(path.as_os_str().as_bytes(), Why::TooLarge);
                continue;
            }
            self.entry(&fd, name, path, found);
        }
        Ok(())
    }

    fn entry(&mut self, directory: &OwnedFd, name: &[u8], path: PathBuf, found: &mut Vec<PathBuf>) {
        let bytes = path.as_os_str().as_bytes();
        let stat = match rustix::fs::statat(directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => {
                self.vanished = true;
                return;
            }
            Err(errno) => return self.tree.gap(bytes, read::why(errno)),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.scope.excludes(&path, kind == FileType::Directory) {
            return;
        }
        match kind {
            FileType::Directory => found.push(path),
            FileType::RegularFile => {
                self.tree.changed_ns.insert(bytes.to_vec(), Stamp::from(&stat).ctime_ns());
                if stat.st_mode & 0o002 != 0 {
                    self.tree.finding(bytes, FindingKind::WorldWritable);
                }
                match self.index.digest(&Stamp::from(&stat)) {
                    Some(digest) => self.tree.list.insert_file(bytes, digest),
                    None => self.unread.push(path),
                }
            }
            FileType::Symlink => {
                self.tree.changed_ns.insert(bytes.to_vec(), Stamp::from(&stat).ctime_ns());
                match rustix::fs::readlinkat(directory, OsStr::from_bytes(name), Vec::new()) {
                    Ok(target) => self.tree.list.insert_link(bytes, target.as_bytes()),
                    // Gone, or no link any more.
                    Err(Errno::NOENT | Errno::INVAL) => self.vanished = true,
                    Err(errno) => self.tree.gap(bytes, read::why(errno)),
                }
            }
            _ => self.tree.finding(bytes, FindingKind::SpecialFile),
        }
    }

    fn read_unread(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(path) = unread.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((path, self.file(path)));
            }
            done
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(THREADS_MAX).min(unread.len() / FILES_PER_THREAD_MIN);
        let done: Vec<(&PathBuf, Result<Digested, Why>)> = if threads < 2 {
            work()
        } else {
            std::thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
                let mut done = work();
                for other in others {
                    // A thread that broke leaves its files out of `done`, which is noticed below.
                    done.extend(other.join().unwrap_or_default());
                }
                done
            })
        };
        if done.len() != unread.len() {
            self.tree.gap(b"", Why::IoError);
        }
        for (path, result) in done {
            let bytes = path.as_os_str().as_bytes();
            match result {
                Ok(digested) => {
                    self.index.keep(&digested);
                    // Perhaps another file than the one listed above.
                    self.tree.changed_ns.insert(bytes.to_vec(), digested.stamp.ctime_ns());
                    self.tree.list.insert_file(bytes, digested.digest);
                }
                Err(Why::FileAbsent) => self.vanished = true,
                Err(why) => self.tree.gap(bytes, why),
            }
        }
    }

    fn file(&self, path: &Path) -> Result<Digested, Why> {
        read::twice(|| {
            let fd = read::open_beneath(self.root, path, OFlags::RDONLY).map_err(read::why)?;
            self.index.meet(&fd);
            read::digest(fd, self.bounds)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(globs: &[&str]) -> Scope {
        Scope::new(&Globs::new(globs.iter().map(|glob| (*glob).to_owned()).collect()).unwrap())
    }

    #[test]
    fn a_directory_of_which_nothing_counts_is_not_entered() {
        let plain = scope(&["logs/**", "**/cache/**", "/var/tmp/**"]);
        for path in ["logs", "cache", "lib/cache", "var/tmp"] {
            assert!(plain.excludes(Path::new(path), true), "{path}");
        }
        for path in ["lib/logs", "var", "tmp", "lib"] {
            assert!(!plain.excludes(Path::new(path), true), "{path}");
        }
        assert!(plain.excludes_below(Path::new("logs/deep/a.log"), false));
        assert!(!scope(&["logs/**", "!logs/keep"]).excludes(Path::new("logs"), true));
        assert!(!scope(&["logs/**", "!logs/keep"]).excludes(Path::new("logs/keep"), false));
        // The directory's own name says nothing of a file or link that takes its place.
        assert!(!plain.excludes(Path::new("logs"), false));
    }
}
