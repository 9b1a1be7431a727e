//! What the watch has told, kept for the question what a process may have read before the first look at it.
//!
//! Times of files tell when something that is there was last changed. They do not tell what has gone, nor
//! which of two things came first within the same hundredth of a second. The events of the watch do: when
//! one is taken, the file's time is noted together with the newest process there is, so that a process with
//! a higher number began after the change.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::collect::index::Stamp;
use crate::collect::process::{Key, Member, Sightings, TICK_NS, read_proc, stat};
use crate::collect::read;
use crate::collect::watch_set::WatchSet;

/// The most paths remembered; beyond it nothing is known of the time before.
const PATHS_MAX: usize = 20_000;

/// A moment, by the boot clock and by the newest process there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    boot_ns: i128,
    newest: Option<i32>,
}

impl Moment {
    pub(crate) fn now() -> Self {
        // `0.00 0.01 0.05 1/81 4711`: the last is the newest process (proc_loadavg(5)).
        let text = read_proc("/proc/loadavg", 128).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Self { boot_ns: read::boot_ns(), newest: text.split_ascii_whitespace().last().and_then(|pid| pid.parse().ok()) }
    }

    /// Whether an image whose code cannot have run before `since_ns` began after this moment. `first` is
    /// its oldest process.
    pub(crate) fn is_before(&self, since_ns: i128, first: Option<&Member>) -> bool {
        if since_ns >= self.boot_ns {
            return true;
        }
        // Within the same tick numbers tell, which grow until they begin anew.
        let Some((first, newest)) = first.zip(self.newest) else { return false };
        let started = i128::from(first.start) * TICK_NS;
        started == since_ns && started + TICK_NS > self.boot_ns && first.pid > newest && first.pid - newest < 16_384
    }
}

/// What happened to a path, as the watch told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Happened {
    /// It was written, made, moved here or away, or removed: not only touched.
    pub content: bool,
    /// It was moved away or removed.
    pub removal: bool,
}

/// The newest of what was told of one path.
#[derive(Clone, Copy, Debug)]
struct Note {
    /// When it was taken.
    told: Moment,
    /// Change time of what was there then.
    changed_ns: Option<i128>,
    /// When its content was last told to have changed.
    content: Option<Moment>,
}

/// The newest removal from one directory.
#[derive(Clone, Copy, Debug)]
struct Removal {
    told: Moment,
    /// Modification time of the directory then.
    modified_ns: Option<i128>,
}

#[derive(Debug, Default)]
struct Kept {
    notes: HashMap<PathBuf, Note>,
    removals: HashMap<PathBuf, Removal>,
    /// Directories watched for entries, and trees watched with all below them, since when.
    watched: BTreeMap<PathBuf, i128>,
    trees: BTreeMap<PathBuf, i128>,
    /// Directories and links on the way to them, since when.
    components: BTreeMap<PathBuf, i128>,
    /// Of the time before nothing is known.
    lost_ns: i128,
    /// Processes of programs, by number: their image, and when they were last seen to run it.
    tied: HashMap<i32, (Member, Key, i128)>,
}

/// Shared by who takes events and who looks.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Kept>>);

impl Journal {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was taken from the watch.
    pub fn note<'a>(&self, changes: impl IntoIterator<Item = (&'a Path, Happened)>) {
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return;
        }
        let mut kept = self.kept();
        // Times of files first, the newest process behind them: it began before whatever changes next.
        let changed = |path: &Path| rustix::fs::lstat(path).ok().map(|stat| Stamp::from(&stat));
        let noted: Vec<_> = changes
            .map(|(path, happened)| {
                let around = path.parent().filter(|_| happened.removal);
                (path, happened, changed(path), around.map(|around| (around, changed(around))))
            })
            .collect();
        let told = Moment::now();
        for (path, happened, stamp, around) in noted {
            let before = kept.notes.get(path).and_then(|note| note.content);
            let content = if happened.content { Some(told) } else { before };
            kept.notes.insert(path.to_owned(), Note { told, changed_ns: stamp.map(|stamp| stamp.ctime_ns()), content });
            if let Some((around, stamp)) = around {
                let modified_ns = stamp.map(|stamp| stamp.mtime_ns());
                kept.removals.insert(around.to_owned(), Removal { told, modified_ns });
            }
        }
        for (member, key, seen_ns) in kept.tied.values_mut() {
            let still = stat::stat(member.pid).is_ok_and(|stat| {
                stat.start == member.start && matches!(key, Key::Layout(layout) if stat.layout == Some(*layout))
            });
            if still {
                *seen_ns = read::boot_ns();
            }
        }
        if kept.notes.len() > PATHS_MAX || kept.removals.len() > PATHS_MAX {
            kept.lose();
        }
    }

    /// Events were lost, or the watch was: of the time before nothing is known.
    pub fn lost(&self) {
        self.kept().lose();
    }

    /// `set` is watched from here on, or nothing.
    pub fn watching(&self, set: Option<&WatchSet>) {
        let mut kept = self.kept();
        let now = read::boot_ns();
        let (mut watched, mut trees, mut components) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        if let Some(set) = set {
            let since = |before: &BTreeMap<PathBuf, i128>, path: &PathBuf| before.get(path).copied().unwrap_or(now);
            watched.extend(set.entries.keys().map(|path| (path.clone(), since(&kept.watched, path))));
            trees.extend(set.trees.keys().map(|path| (path.clone(), since(&kept.trees, path))));
            components.extend(set.components.iter().map(|path| (path.clone(), since(&kept.components, path))));
        }
        (kept.watched, kept.trees, kept.components) = (watched, trees, components);
    }

    /// Processes of programs: looked at with every change, so that an exec can be dated.
    pub(crate) fn tied(&self, processes: Vec<(Member, Key)>) {
        let mut kept = self.kept();
        let now = read::boot_ns();
        kept.tied = processes.into_iter().map(|(member, key)| (member.pid, (member, key, now))).collect();
    }

    /// Whether what is at `path`, with this change time, was so before the image began.
    pub(crate) fn is_settled(&self, path: &Path, changed_ns: i128, since_ns: i128, first: Option<&Member>) -> bool {
        let kept = self.kept();
        let note = kept.notes.get(path).filter(|note| note.told.boot_ns >= kept.lost_ns);
        note.is_some_and(|note| note.changed_ns == Some(changed_ns) && note.told.is_before(since_ns, first))
    }

    /// Whether nothing but times and names of what is at `path` has changed since the image began: it was
    /// watched all the time, and told to be touched alone.
    pub(crate) fn was_only_touched(
        &self,
        path: &Path,
        changed_ns: i128,
        since_ns: i128,
        first: Option<&Member>,
    ) -> bool {
        let kept = self.kept();
        let is_watched = path.parent().is_some_and(|around| kept.watched_since(around) <= since_ns);
        let note = kept.notes.get(path).filter(|note| is_watched && note.changed_ns == Some(changed_ns));
        note.is_some_and(|note| note.content.is_none_or(|content| content.is_before(since_ns, first)))
    }

    /// Whether a directory was watched all the time since the image began, and not told to be moved,
    /// exchanged or changed in itself.
    pub(crate) fn was_watched(&self, place: &Path, since_ns: i128) -> bool {
        let kept = self.kept();
        let around = place.parent().map_or(i128::MAX, |around| kept.watched_since(around));
        let itself = kept.components.get(place).copied().unwrap_or(i128::MAX).max(kept.lost_ns);
        around.min(itself) <= since_ns && kept.notes.get(place).is_none_or(|note| note.told.boot_ns < since_ns)
    }

    /// Whether nothing has gone from a directory, as its modification time says now, since the image began.
    pub(crate) fn is_whole(&self, directory: &Path, modified_ns: i128, since_ns: i128, first: Option<&Member>) -> bool {
        let kept = self.kept();
        let removal = kept.removals.get(directory).filter(|removal| removal.told.boot_ns >= kept.lost_ns);
        if removal
            .is_some_and(|removal| removal.modified_ns == Some(modified_ns) && removal.told.is_before(since_ns, first))
        {
            return true;
        }
        let is_watched = kept.watched_since(directory) <= since_ns;
        is_watched && removal.is_none_or(|removal| removal.told.is_before(since_ns, first))
    }
}

impl Sightings for Journal {
    fn last_seen(&self, member: &Member, key: &Key) -> Option<i128> {
        let kept = self.kept();
        let seen = kept.tied.get(&member.pid).filter(|(known, image, _)| known.start == member.start && image == key);
        seen.map(|(_, _, seen_ns)| *seen_ns)
    }
}

impl Kept {
    fn lose(&mut self) {
        self.notes.clear();
        self.removals.clear();
        self.lost_ns = read::boot_ns();
        let now = self.lost_ns;
        let all = self.watched.values_mut().chain(self.trees.values_mut()).chain(self.components.values_mut());
        all.for_each(|since| *since = now);
    }

    /// Boot clock since when the entries of a directory are watched without a gap.
    fn watched_since(&self, directory: &Path) -> i128 {
        let tree = directory.ancestors().find_map(|above| self.trees.get(above));
        let since = self.watched.get(directory).into_iter().chain(tree).min();
        since.copied().unwrap_or(i128::MAX).max(self.lost_ns)
    }
}
