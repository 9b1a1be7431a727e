//! Sees changes of the files that evidence was made from, through inotify.
//!
//! The gate asks [`Pending`] before every answer whether a change is queued that nobody has looked
//! at: that is why the kernel's queue is asked directly and no thread stands in between
//! (`docs/decisions/0006-inotify-asked-at-each-question.md`). The mount table is watched beside it,
//! for a mount hides files without an event on any of them. Where the kernel does not hear of every
//! change, [`Watch::blind`] says so.

mod blind;
mod mounts;
mod roles;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::collect::{Happened, WatchSet};
use mounts::{MOUNT_TABLE, MountTable};
use roles::Roles;

pub use blind::{Blind, Blindness};

/// Bytes of events read at a time.
const BUFFER_BYTES: usize = 64 << 10;
/// Buffers read in one go; what is queued behind them stays pending.
const BUFFERS_PER_DRAIN: usize = 64;
/// The most changes told apart; beyond it anything may have changed.
const CHANGES_MAX: usize = 10_000;

/// What happens in a directory and to its entries.
const ENTRIES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// What happens to a component of a path itself. Not its attributes where it is a directory: that
/// would tell those of its entries, too, and a temporary directory has many.
const COMPONENT: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF).union(WatchFlags::DONT_FOLLOW);
/// A link that is replaced loses a name, which is a change of its attributes and told at once.
const LINK: WatchFlags = COMPONENT.union(WatchFlags::ATTRIB);

/// What happens to a file that another one is mounted on.
const MOUNTED_FILE: WatchFlags =
    COMPONENT.union(WatchFlags::MODIFY).union(WatchFlags::CLOSE_WRITE).union(WatchFlags::ATTRIB);

/// Why something cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The user's inotify instances, or the process's descriptors, are used up.
    #[error(
        "no inotify instance is left for this user (fs.inotify.max_user_instances = {limit}): \
         raise it with `sysctl -w fs.inotify.max_user_instances=1024`"
    )]
    Instances {
        /// The limit now, as the kernel writes it.
        limit: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The user's inotify watches are used up.
    #[error(
        "no inotify watch is left for {} (fs.inotify.max_user_watches = {limit}): \
         raise it with `sysctl -w fs.inotify.max_user_watches=1048576`", path.display()
    )]
    Watches {
        /// What was to be watched.
        path: PathBuf,
        /// The limit now, as the kernel writes it.
        limit: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The kernel refused otherwise.
    #[error("cannot watch {}", path.display())]
    Io {
        /// What was to be watched.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

impl WatchError {
    fn new(path: &Path, errno: Errno) -> Self {
        let path = path.to_owned();
        let limit = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}"));
            text.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
        };
        let source = errno.into();
        match errno {
            Errno::MFILE => Self::Instances { limit: limit("max_user_instances"), source },
            Errno::NOSPC => Self::Watches { path, limit: limit("max_user_watches"), source },
            _ => Self::Io { path, source },
        }
    }
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// At this path.
    Path {
        /// Links before it followed.
        path: PathBuf,
        /// What was told of it.
        happened: Happened,
    },
    /// Anywhere: the kernel's queue was full, a file system went, or something was mounted or unmounted at,
    /// above or below what is watched.
    Overflow,
}

/// Watches a [`WatchSet`].
pub struct Watch {
    pending: Pending,
    set: WatchSet,
    /// What was watched is no longer what is there: the next set is made anew.
    stale: bool,
    watched: HashMap<i32, Roles>,
    /// The mounts when the set was made, and the lines of those that matter for it.
    table: MountTable,
    mounted: Vec<Vec<u8>>,
    blind: Blind,
}

/// Says without waiting whether a change is queued. Cheap to copy and to ask, from any thread.
///
/// Its descriptor is readable when something is: to be waited for, never read.
#[derive(Clone)]
pub struct Pending {
    inotify: Arc<OwnedFd>,
    mounts: Arc<Mounts>,
    /// Batches taken from the queue and not yet noted.
    undelivered: Arc<AtomicUsize>,
    wake: Arc<OwnedFd>,
}

/// The mount table. The kernel tells of a change once per open file, so that the one that is asked
/// remembers, and another one wakes whoever waits.
struct Mounts {
    asked: OwnedFd,
    changed: Mutex<bool>,
    _waking: OwnedFd,
}

impl Mounts {
    fn has_changed(&self, forget: bool) -> bool {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = [PollFd::new(&self.asked, PollFlags::PRI)];
        // Always ready for reading, hence PRI and ERR alone; an error of asking is no news of mounts.
        if poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok() {
            *changed |= wanted.iter().any(|fd| fd.revents().intersects(PollFlags::PRI | PollFlags::ERR));
        }
        let answer = *changed;
        if forget {
            *changed = false;
        }
        answer
    }
}

/// Changes taken from the queue, in byte order of paths, each once. Until it is dropped
/// [`Pending::has_pending`] stays true: note the changes where the gate looks, then drop it.
pub struct Drained {
    changes: Vec<Change>,
    undelivered: Arc<AtomicUsize>,
}

impl Deref for Drained {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        &self.changes
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        self.undelivered.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Watch {
    /// A watch on nothing but the mount table.
    ///
    /// # Errors
    /// [`WatchError::Instances`] where the user has no instance left.
    pub fn new() -> Result<Self, WatchError> {
        let name = Path::new("inotify");
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let inotify = inotify::init(flags).map_err(|errno| WatchError::new(name, errno))?;
        let table = Path::new(MOUNT_TABLE);
        let open = || {
            rustix::fs::open(table, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| WatchError::Io { path: table.to_owned(), source: errno.into() })
        };
        let (asked, waking) = (open()?, open()?);
        let wake =
            wake(&inotify, &waking).map_err(|errno| WatchError::Io { path: name.into(), source: errno.into() })?;
        let pending = Pending {
            inotify: Arc::new(inotify),
            mounts: Arc::new(Mounts { asked, changed: Mutex::new(false), _waking: waking }),
            undelivered: Arc::default(),
            wake: Arc::new(wake),
        };
        Ok(Self {
            pending,
            set: WatchSet::default(),
            stale: false,
            watched: HashMap::new(),
            table: MountTable::default(),
            mounted: Vec::new(),
            blind: Blind::default(),
        })
    }

    /// Watches `set` and nothing else. Costs a listing of every directory, unless `set` is what is
    /// watched already.
    ///
    /// # Errors
    /// [`WatchError`] names the first that could not be watched; others may be.
    pub fn set(&mut self, set: &WatchSet) -> Result<(), WatchError> {
        if !self.stale && *set == self.set {
            return Ok(());
        }
        // First: what is mounted from here on is an event.
        let read = MountTable::read().map_err(|source| WatchError::Io { path: MOUNT_TABLE.into(), source });
        self.table = read?;
        self.mounted = self.table.lines_for(set);
        self.blind = Blind::default();
        let before = std::mem::take(&mut self.watched);
        self.set = set.clone();
        // Only whole success makes the next call a cheap one.
        self.stale = true;
        let result = self.add_all(set);
        for wd in before.keys().filter(|wd| !self.watched.contains_key(wd)) {
            // Gone already, if the kernel does not know it.
            let _ = inotify::remove_watch(&*self.pending.inotify, *wd);
        }
        self.stale = result.is_err();
        result
    }

    /// Where things may change without an event, although everything is watched: of what was set last, and of
    /// directories that came since.
    pub fn blind(&self) -> &Blind {
        &self.blind
    }

    /// The handle that the gate asks.
    pub fn pending(&self) -> Pending {
        self.pending.clone()
    }

    /// Takes what is queued. New directories of trees are watched before they are told of, so that
    /// a look that follows misses nothing in them.
    pub fn drain(&mut self) -> Drained {
        // First: from here on until the caller has noted the changes, something is pending.
        self.pending.undelivered.fetch_add(1, Ordering::SeqCst);
        let mut changes = BTreeSet::new();
        // Most mounts are made elsewhere, by containers and automounters.
        if self.pending.mounts.has_changed(true)
            && !MountTable::read().is_ok_and(|table| table.lines_for(&self.set) == self.mounted)
        {
            changes.insert(Change::Overflow);
            self.stale = true;
        }
        for event in read_events(&self.pending.inotify) {
            self.take(&event, &mut changes);
        }
        if changes.len() > CHANGES_MAX {
            changes = BTreeSet::from([Change::Overflow]);
        }
        Drained { changes: once(changes), undelivered: Arc::clone(&self.pending.undelivered) }
    }

    fn add_all(&mut self, set: &WatchSet) -> Result<(), WatchError> {
        let mut first = Ok(());
        let mut note = |result: Result<bool, WatchError>, path: &Path| {
            let result = result.and_then(|is_there| match is_there {
                true => Ok(()),
                // It was there when the set was made, and what is above it is not watched for its name.
                false => Err(WatchError::Io { path: path.to_owned(), source: Errno::NOENT.into() }),
            });
            if first.is_ok() {
                first = result;
            }
        };
        for path in &set.components {
            let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
            note(self.add(path, if is_link { LINK } else { COMPONENT }, |roles| roles.component = true), path);
        }
        for (path, names) in &set.entries {
            note(self.add(path, ENTRIES, |roles| roles.names.extend(names.iter().cloned())), path);
        }
        for path in self.table.files_for(set) {
            note(self.add(&path, MOUNTED_FILE, |roles| roles.content = true), &path);
        }
        for root in set.trees.keys() {
            note(self.add_tree(root, Path::new("")), root);
        }
        first
    }

    /// Watches a directory of a tree and all below it. False if it is not there.
    fn add_tree(&mut self, root: &Path, below: &Path) -> Result<bool, WatchError> {
        let Some(scope) = self.set.trees.get(root).cloned() else { return Ok(true) };
        let mut directories = vec![below.to_owned()];
        let mut is_there = true;
        while let Some(directory) = directories.pop() {
            let path = if directory.as_os_str().is_empty() { root.to_owned() } else { root.join(&directory) };
            // The watch first, then the listing: what appears between them is told of.
            let added = self.add(&path, ENTRIES | WatchFlags::DONT_FOLLOW, |roles| {
                roles.trees.insert((root.to_owned(), directory.clone()));
            })?;
            if directory == below {
                is_there = added;
            }
            // What cannot be listed cannot be read either, which the pass will say.
            for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                let child = directory.join(entry.file_name());
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !scope.excludes(&child, true) {
                    directories.push(child);
                }
            }
        }
        Ok(is_there)
    }

    /// Adds a role to what is watched at `path`. False if nothing is there. A directory that may neither be
    /// listed nor entered is left unwatched: the pass cannot read it either, and says so.
    fn add(&mut self, path: &Path, flags: WatchFlags, role: impl FnOnce(&mut Roles)) -> Result<bool, WatchError> {
        // Added to what the same directory is watched for already, under whatever name.
        match inotify::add_watch(&*self.pending.inotify, path, flags | WatchFlags::MASK_ADD) {
            Ok(wd) => {
                role(self.watched.entry(wd).or_insert_with(|| Roles::new(path)));
                if let Some(file_system) = self.table.silent_at(path) {
                    self.blind.add(path, Blindness::Silent(file_system.to_owned()));
                }
                Ok(true)
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(Errno::ACCESS | Errno::PERM) => {
                // With a slash behind it, only a directory that may be entered is there; listing takes less.
                if path.join(".").symlink_metadata().is_ok() || std::fs::read_dir(path).is_ok() {
                    self.blind.add(path, Blindness::Refused);
                }
                Ok(true)
            }
            Err(errno) => Err(WatchError::new(path, errno)),
        }
    }

    fn take(&mut self, event: &Event, changes: &mut BTreeSet<Change>) {
        if event.flags.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT) {
            self.stale = true;
            changes.insert(Change::Overflow);
            return;
        }
        let Some(roles) = self.watched.get(&event.wd) else { return };
        if event.flags.contains(ReadFlags::IGNORED) {
            self.watched.remove(&event.wd);
            self.stale = true;
            return;
        }
        let Some(name) = &event.name else {
            // The watched itself: moved or removed, it is watched no longer where it should be.
            if event.flags.intersects(ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF) || roles.component {
                self.stale = true;
            }
            if roles.matters_itself() {
                let removal = event.flags.intersects(ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF);
                let happened = Happened { content: removal, removal };
                changes.insert(Change::Path { path: roles.path.clone(), happened });
            }
            return;
        };
        let name = OsStr::from_bytes(name.as_bytes());
        let is_directory = event.flags.contains(ReadFlags::ISDIR);
        let in_trees = roles.in_trees(name, is_directory, &self.set);
        if in_trees.is_empty() && !roles.names(name) {
            return;
        }
        changes.insert(Change::Path { path: roles.path.join(name), happened: happened(event.flags) });
        // A directory that could not be watched may be watched from now on.
        if is_directory && event.flags.contains(ReadFlags::ATTRIB) && self.blind.has_refused() {
            self.stale = true;
        }
        if is_directory && event.flags.contains(ReadFlags::MOVED_FROM) {
            self.stale = true;
        }
        if is_directory && event.flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            for (root, below) in in_trees {
                if self.add_tree(&root, &below).is_err() {
                    // It cannot be watched: the next set says so.
                    self.stale = true;
                    changes.insert(Change::Overflow);
                }
            }
        }
    }
}

impl Pending {
    /// Whether a change is queued, or taken and not yet noted; true where the kernel cannot say.
    pub fn has_pending(&self) -> bool {
        self.undelivered.load(Ordering::SeqCst) > 0
            || rustix::io::ioctl_fionread(&*self.inotify).map_or(true, |bytes| bytes > 0)
            || self.mounts.has_changed(false)
            // A batch may have been taken between the first two questions.
            || self.undelivered.load(Ordering::SeqCst) > 0
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// One descriptor that is readable when either has something to tell.
fn wake(inotify: &OwnedFd, mounts: &OwnedFd) -> Result<OwnedFd, Errno> {
    let wake = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&wake, inotify, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    epoll::add(&wake, mounts, epoll::EventData::new_u64(1), epoll::EventFlags::PRI)?;
    Ok(wake)
}

/// Each path once, with everything that was told of it.
fn once(changes: BTreeSet<Change>) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::with_capacity(changes.len());
    for change in changes {
        match (all.last_mut(), &change) {
            (Some(Change::Path { path: last, happened }), Change::Path { path, happened: more }) if last == path => {
                happened.content |= more.content;
                happened.removal |= more.removal;
            }
            _ => all.push(change),
        }
    }
    all
}

/// What the kernel tells of an entry of a directory.
fn happened(flags: ReadFlags) -> Happened {
    let removal = ReadFlags::DELETE | ReadFlags::MOVED_FROM;
    let content = removal | ReadFlags::MODIFY | ReadFlags::CREATE | ReadFlags::MOVED_TO;
    Happened { content: flags.intersects(content), removal: flags.intersects(removal) }
}

/// An event, out of the kernel's buffer.
struct Event {
    wd: i32,
    flags: ReadFlags,
    name: Option<CString>,
}

fn read_events(inotify: &OwnedFd) -> Vec<Event> {
    let mut events = Vec::new();
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    let mut buffers = 0;
    loop {
        if reader.is_buffer_empty() {
            buffers += 1;
            if buffers > BUFFERS_PER_DRAIN {
                return events;
            }
        }
        match reader.next() {
            Ok(event) => events.push(Event {
                wd: event.wd(),
                flags: event.events(),
                name: event.file_name().map(ToOwned::to_owned),
            }),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return events,
            Err(_) => {
                // Nothing can be told any more: as if everything had changed.
                events.push(Event { wd: -1, flags: ReadFlags::QUEUE_OVERFLOW, name: None });
                return events;
            }
        }
    }
}
