//! A program's tree: every entry below its root, digested into one file list.
//!
//! A tree is what the program sees: mount points are entered, links count by their text. What lies behind
//! a link that leads out of the tree counts where the program follows it. The root itself may be reached
//! through links, as releases are often switched by one.

mod place;
mod scope;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use manifests::digest::Digest;
use manifests::evidence::{Finding, FindingKind, Why};
use manifests::tree::{FOLLOWED, FileList, PATH_BYTES_MAX};
use rustix::fs::{AtFlags, Dir, FileType, OFlags};
use rustix::io::Errno;

use crate::collect::Limits;
use crate::collect::index::Index;
use crate::collect::read::{self, Bounds, Digested};
use crate::collect::stamp::Stamp;
use place::{Lead, Place};

pub(crate) use place::{Root, open_root, open_root_in};
pub use scope::Scope;

/// Threads that hash, at most.
const THREADS_MAX: usize = 8;
/// Below this many files to read, threads cost more than they save.
const FILES_PER_THREAD_MIN: usize = 16;
/// The most gaps and findings remembered of one tree; evidence has room for fewer.
const REMARKS_MAX: usize = 10_000;
/// Links followed out of the tree, and out of what they lead to, one behind the other.
const FOLLOWED_DEPTH_MAX: usize = 8;

/// What the kernel says of a file or link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// When it last changed (its ctime), in nanoseconds of the wall clock.
    pub(crate) changed_ns: i128,
    /// Device and inode of a file of the tree itself. What lies outside may be everybody's, and ties no process
    /// to the program.
    pub(crate) identity: Option<(u64, u64)>,
}

/// What one look at a tree saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Everything that could be read.
    pub(crate) list: Arc<FileList>,
    /// Odd things, in byte order of paths.
    pub(crate) findings: BTreeSet<Finding>,
    /// What could not be read: path relative to the root, empty for the root itself.
    pub(crate) gaps: BTreeMap<Vec<u8>, Why>,
    /// Each file and link that counts; links without their mark.
    pub(crate) entries: BTreeMap<Vec<u8>, Entry>,
    /// Each directory that was listed, the root by an empty path, as it was before it was listed.
    pub(crate) directories: BTreeMap<Vec<u8>, Stamp>,
    /// Links that lead out and are followed, and where they lead: a path below the root directory of whoever
    /// looks, links in it not followed. What they lead to may not be there.
    pub(crate) followed: BTreeMap<PathBuf, PathBuf>,
    /// Where what lies behind followed links really lies, by how the list names it: a file, or the directory
    /// before the rest of a path.
    places: BTreeMap<Vec<u8>, PathBuf>,
    /// Links that lead out and are not followed, and where they lead.
    pub(crate) out: BTreeMap<PathBuf, PathBuf>,
}

impl Tree {
    /// Whether everything could be read, or the first reason in byte order of paths why not. Then its list is
    /// that of the tree.
    pub(crate) fn whole(&self) -> Result<(), Why> {
        self.gaps.first_key_value().map_or(Ok(()), |(_, why)| Err(*why))
    }

    /// Files of the tree itself that count, by device and inode.
    pub(crate) fn identities(&self) -> impl Iterator<Item = ((u64, u64), &[u8])> {
        self.entries.iter().filter_map(|(path, entry)| Some((entry.identity?, path.as_slice())))
    }

    /// Where a path of the list, or a directory of the tree, really lies. `root` is where the tree does.
    pub(crate) fn place(&self, root: &Path, listed: &[u8]) -> PathBuf {
        let at = listed.windows(FOLLOWED.len()).rposition(|bytes| bytes == FOLLOWED);
        let (prefix, rest) = listed.split_at(at.map_or(0, |at| at + FOLLOWED.len()));
        let before = if prefix.is_empty() { Some(root) } else { self.places.get(prefix).map(PathBuf::as_path) };
        match before {
            // Joining nothing would add a slash.
            Some(before) if rest.is_empty() => before.to_owned(),
            Some(before) => before.join(OsStr::from_bytes(rest)),
            None => root.join(OsStr::from_bytes(listed)),
        }
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

/// Paths that only one of two lists has, or with different digests; of links without their marks.
pub(crate) fn differing(one: &FileList, other: &FileList) -> BTreeSet<Vec<u8>> {
    let lacks = |from: &FileList, path: &[u8], digest: &Digest| from.digest_of(path) != Some(digest);
    let here = one.entries().filter(|(path, digest)| lacks(other, path, digest));
    let there = other.entries().filter(|(path, digest)| lacks(one, path, digest));
    here.chain(there).map(|(path, _)| manifests::tree::without_mark(path).to_vec()).collect()
}

/// Looks at all of the tree at `root`.
pub(crate) fn look(root: &Root, scope: &Scope, index: &mut Index, limits: &Limits, deadline: Instant) -> Tree {
    walk(root, scope, index, limits, deadline, Reads::Everything)
}

/// Looks at the names of the tree at `root`: its list lacks the files, and no file is read.
pub(crate) fn look_at_names(root: &Root, scope: &Scope, limits: &Limits, deadline: Instant) -> Tree {
    walk(root, scope, &mut Index::default(), limits, deadline, Reads::Nothing)
}

/// Whether files are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Everything,
    Nothing,
}

fn walk(root: &Root, scope: &Scope, index: &mut Index, limits: &Limits, deadline: Instant, reads: Reads) -> Tree {
    let bounds = Bounds { bytes_max: limits.file_bytes_max, deadline };
    let mut walk = Walk {
        base: &root.base,
        scope,
        index,
        limits,
        bounds,
        reads,
        tree: Tree::default(),
        entries: 0,
        unread: vec![],
        leads: VecDeque::new(),
        vanished: false,
    };
    let place = match Place::of_tree(root) {
        Ok(place) => Arc::new(place),
        Err(errno) => {
            walk.tree.gap(b"", read::why(errno));
            return walk.tree;
        }
    };
    walk.all(&place);
    if walk.vanished {
        // Something went between listing and reading. What was read is in the index or will be read
        // again: a second look costs little, and decides.
        walk.tree = Tree::default();
        walk.vanished = false;
        walk.all(&place);
        if walk.vanished {
            walk.tree.gap(b"", Why::Changing);
        }
    }
    walk.tree
}

struct Walk<'a> {
    base: &'a OwnedFd,
    scope: &'a Scope,
    index: &'a mut Index,
    limits: &'a Limits,
    bounds: Bounds,
    reads: Reads,
    tree: Tree,
    /// Met so far.
    entries: usize,
    /// Files whose content is not known from an earlier pass.
    unread: Vec<Unread>,
    /// Links whose targets are still to be looked at.
    leads: VecDeque<Lead>,
    vanished: bool,
}

/// A directory to be listed, and the device it lies on.
struct Listed {
    place: Arc<Place>,
    path: PathBuf,
    device: u64,
}

/// A file to be read.
struct Unread {
    file: Below,
    device: u64,
}

enum Below {
    /// A path of a place.
    Place(Arc<Place>, PathBuf),
    /// What a link leads to.
    Link(Lead),
}

impl Below {
    /// How the file list names it.
    fn listed(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Place(place, path) => place.listed(path.as_os_str().as_bytes()),
            Self::Link(lead) => lead.listed().into(),
        }
    }

    fn open(&self, base: &OwnedFd) -> Result<OwnedFd, Errno> {
        match self {
            Self::Place(place, path) => read::open_beneath(&place.fd, path, OFlags::RDONLY),
            Self::Link(lead) => read::open_in_root(base, &lead.target, OFlags::RDONLY),
        }
    }
}

impl Walk<'_> {
    fn all(&mut self, place: &Arc<Place>) {
        self.unread.clear();
        self.leads.clear();
        self.entries = 0;
        let mut found = vec![Listed { place: Arc::clone(place), path: PathBuf::new(), device: place.device }];
        loop {
            while let Some(directory) = found.pop() {
                match self.directory(&directory, &mut found) {
                    Ok(()) => {}
                    // The whole tree is not known then, whatever else could be read.
                    Err(why @ (Why::TimedOut | Why::TooLarge)) => {
                        self.tree.gap(b"", why);
                        return;
                    }
                    Err(Why::FileAbsent) => self.vanished = true,
                    Err(why) => self.gap(&directory.place, &directory.path, why),
                }
            }
            match self.leads.pop_front() {
                Some(lead) => found.extend(self.follow(lead)),
                None => break,
            }
        }
        if self.reads == Reads::Everything {
            self.read_unread();
        }
    }

    fn gap(&mut self, place: &Place, path: &Path, why: Why) {
        self.tree.gap(place.shown(path).as_os_str().as_bytes(), why);
    }

    fn finding(&mut self, place: &Place, path: &Path, kind: FindingKind) {
        self.tree.finding(place.shown(path).as_os_str().as_bytes(), kind);
    }

    fn directory(&mut self, directory: &Listed, found: &mut Vec<Listed>) -> Result<(), Why> {
        let Listed { place, path, device } = directory;
        let at = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fd = read::open_beneath(&place.fd, at, OFlags::RDONLY | OFlags::DIRECTORY).map_err(read::why)?;
        let stat = rustix::fs::fstat(&fd).map_err(read::why)?;
        let listed = place.listed(path.as_os_str().as_bytes()).into_owned();
        self.tree.directories.insert(listed, Stamp::from(&stat));
        self.index.meet_device(*device, &fd);
        let mut listing = Dir::read_from(&fd).map_err(read::why)?;
        while let Some(entry) = listing.read() {
            let entry = entry.map_err(read::why)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            self.entries += 1;
            if self.entries > self.limits.tree_entries_max {
                return Err(Why::TooLarge);
            }
            if Instant::now() > self.bounds.deadline {
                return Err(Why::TimedOut);
            }
            let path = path.join(OsStr::from_bytes(name));
            if place.listed(path.as_os_str().as_bytes()).len() > PATH_BYTES_MAX {
                self.gap(place, &path, Why::TooLarge);
                continue;
            }
            self.entry(&fd, name, place, path, found);
        }
        Ok(())
    }

    fn entry(&mut self, directory: &OwnedFd, name: &[u8], place: &Arc<Place>, path: PathBuf, found: &mut Vec<Listed>) {
        let stat = match rustix::fs::statat(directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => {
                self.vanished = true;
                return;
            }
            Err(errno) => return self.gap(place, &path, read::why(errno)),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.scope.excludes(&place.shown(&path), kind == FileType::Directory) {
            return;
        }
        match kind {
            FileType::Directory => found.push(Listed { place: Arc::clone(place), path, device: stat.st_dev }),
            FileType::RegularFile => {
                if stat.st_mode & 0o002 != 0 {
                    self.finding(place, &path, FindingKind::WorldWritable);
                }
                let listed = place.listed(path.as_os_str().as_bytes());
                if !self.known(&listed, &Stamp::from(&stat), place.is_tree()) {
                    drop(listed);
                    self.unread.push(Unread { file: Below::Place(Arc::clone(place), path), device: stat.st_dev });
                }
            }
            FileType::Symlink => {
                let listed = place.listed(path.as_os_str().as_bytes()).into_owned();
                let changed_ns = Stamp::from(&stat).ctime_ns();
                self.tree.entries.insert(listed.clone(), Entry { changed_ns, identity: None });
                match rustix::fs::readlinkat(directory, OsStr::from_bytes(name), Vec::new()) {
                    Ok(target) => {
                        Arc::make_mut(&mut self.tree.list).insert_link(&listed, target.as_bytes());
                        self.link(place, path, OsStr::from_bytes(target.as_bytes()));
                    }
                    // Gone, or no link any more.
                    Err(Errno::NOENT | Errno::INVAL) => self.vanished = true,
                    Err(errno) => self.gap(place, &path, read::why(errno)),
                }
            }
            _ => self.finding(place, &path, FindingKind::SpecialFile),
        }
    }

    /// Whether the file's content is known from an earlier pass; then it is in the list.
    fn known(&mut self, listed: &[u8], stamp: &Stamp, is_of_tree: bool) -> bool {
        self.note(listed, stamp, is_of_tree);
        let digest = self.index.digest(stamp);
        if let Some(digest) = digest {
            Arc::make_mut(&mut self.tree.list).insert_file(listed, digest);
        }
        digest.is_some()
    }

    fn note(&mut self, listed: &[u8], stamp: &Stamp, is_of_tree: bool) {
        let identity = is_of_tree.then(|| stamp.identity());
        self.tree.entries.insert(listed.to_vec(), Entry { changed_ns: stamp.ctime_ns(), identity });
    }

    fn link(&mut self, place: &Arc<Place>, link: PathBuf, target: &OsStr) {
        let Some(target) = place.leads_out(&link, target) else { return };
        let shown = place.shown(&link).into_owned();
        if self.scope.follows(&shown) {
            self.leads.push_back(Lead { place: Arc::clone(place), link, target });
        } else {
            self.finding(place, &link, FindingKind::LeadsOut);
            if self.tree.out.len() < REMARKS_MAX {
                self.tree.out.insert(shown, target);
            }
        }
    }

    /// Looks at what a link leads to: a file, or a directory that is walked next. What is not there counts
    /// as nothing, until it appears.
    fn follow(&mut self, lead: Lead) -> Option<Listed> {
        let shown = lead.seen();
        let gap = |walk: &mut Self, why| walk.gap(&lead.place, &lead.link, why);
        if self.tree.followed.len() < REMARKS_MAX {
            self.tree.followed.insert(shown.clone(), lead.target.clone());
        }
        if lead.place.depth() >= FOLLOWED_DEPTH_MAX || lead.listed().len() > PATH_BYTES_MAX {
            gap(self, Why::TooLarge);
            return None;
        }
        let stat = match read::open_in_root(self.base, &lead.target, OFlags::PATH).and_then(rustix::fs::fstat) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return None,
            Err(errno) => {
                gap(self, read::why(errno));
                return None;
            }
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                if stat.st_mode & 0o002 != 0 {
                    self.finding(&lead.place, &lead.link, FindingKind::WorldWritable);
                }
                if let Ok(real) = read::real_path_in_root(self.base, &lead.target) {
                    self.tree.places.insert(lead.listed(), real);
                }
                if !self.known(&lead.listed(), &Stamp::from(&stat), false) {
                    self.unread.push(Unread { file: Below::Link(lead), device: stat.st_dev });
                }
                None
            }
            // Its content counts already, or it goes round in circles.
            FileType::Directory if lead.place.is_entered(stat.st_dev, stat.st_ino) => None,
            FileType::Directory if self.scope.excludes(&shown, true) => None,
            FileType::Directory => match Place::behind(&lead, self.base) {
                Ok(place) => {
                    let device = place.device;
                    self.tree.places.insert(lead.listed(), place.path().to_owned());
                    Some(Listed { place: Arc::new(place), path: PathBuf::new(), device })
                }
                Err(errno) => {
                    gap(self, read::why(errno));
                    None
                }
            },
            _ => {
                self.finding(&lead.place, &lead.link, FindingKind::SpecialFile);
                None
            }
        }
    }

    fn read_unread(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(unread) = unread.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((unread, self.read(unread)));
            }
            done
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(THREADS_MAX).min(unread.len() / FILES_PER_THREAD_MIN);
        let done: Vec<(&Unread, Result<Digested, Why>)> = if threads < 2 {
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
        for (unread, result) in done {
            let listed = unread.file.listed();
            match result {
                Ok(digested) => {
                    self.index.keep(&digested);
                    // Perhaps another file than the one listed above.
                    let is_of_tree = matches!(&unread.file, Below::Place(place, _) if place.is_tree());
                    self.note(&listed, &digested.stamp, is_of_tree);
                    Arc::make_mut(&mut self.tree.list).insert_file(&listed, digested.digest);
                }
                Err(Why::FileAbsent) => self.vanished = true,
                Err(why) => match &unread.file {
                    Below::Place(place, path) => self.gap(place, path, why),
                    Below::Link(lead) => self.gap(&lead.place, &lead.link, why),
                },
            }
        }
    }

    fn read(&self, unread: &Unread) -> Result<Digested, Why> {
        read::twice(|| {
            let fd = unread.file.open(self.base).map_err(read::why)?;
            self.index.meet_device(unread.device, &fd);
            read::digest(fd, self.bounds)
        })
    }
}
