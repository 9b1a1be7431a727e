//! What the image of a process has loaded: of files that programs read and close it can only be told
//! from when it began.
//!
//! At the first look at an image, what a file holds now is what the image has read of it, if the file and
//! every directory and link on its way were as they are before the image began: by their own change times,
//! by what the watch told, or by what an earlier pass saw. And what is not there must not have gone since.
//! Otherwise it counts as older, with the reason, until the program is started again. After the first look
//! content decides alone: `touch` and `chmod` change nothing, and putting the old content back makes it
//! current again.
//!
//! Of an image that the layout does not tell from the next one of its process, all of this is asked in
//! each pass, since the pass before: a content that was there for a while may have been read then, though it
//! was put back.
//!
//! What an image maps or has open is what it has loaded, unless the content changed under it in that very
//! file.
//!
//! History belongs to images and files, not to the lists of a baseline: a new exclusion, path or
//! configuration forgets nothing.

mod first_look;
mod kept;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kept::{HeldContent, Loaded, LoadedTree};
use manifests::digest::Digest;
use manifests::evidence::OlderWhy;
use manifests::tree::FileList;

use crate::collect::index::Stamp;
use crate::collect::journal::{Journal, Moment};
use crate::collect::process::{HeldFile, Image, Key, Member, TICK_NS};
use crate::collect::read;
use crate::collect::remembered::{ImageRecord, Lists};
use crate::collect::tree::{self, Scope};
use crate::collect::way::{Mounts, Offsets, Ways};
use crate::collect::wildcard::names;

/// An image not seen in this many passes is forgotten; several, because two baselines may be looked at
/// in turn.
const PASSES_KEPT: u32 = 8;
/// The most images and files remembered; beyond it the next one is as if never seen.
const REMEMBERED_MAX: usize = 10_000;
/// The most ways to exclude that are remembered of one tree.
const SCOPES_MAX: usize = 8;
/// File times come from the timer's last tick, starts are cut to hundredths of a second: within
/// this nobody can tell which was first.
const MARGIN_NS: i128 = TICK_NS;

/// What was seen of files, and what images have loaded.
#[derive(Default)]
pub(crate) struct History {
    files: HashMap<PathBuf, SeenFile>,
    trees: HashMap<PathBuf, SeenTree>,
    images: BTreeMap<Key, Loaded>,
    journal: Journal,
    mounts: Mounts,
    offsets: Offsets,
    ways: Ways,
    pass: u32,
    /// Boot clock when the pass began, in nanoseconds.
    began_ns: i128,
}

/// A file as the newest pass read it.
struct SeenFile {
    digest: Digest,
    /// By when this content had been read, and no other since.
    content_by: Moment,
    changed_ns: i128,
    /// The same of this content with this change time.
    read_by: Moment,
    seen_pass: u32,
}

/// A tree as the newest complete pass read it.
struct SeenTree {
    list: Arc<FileList>,
    /// Change times that lie shortly before the reading: of all others the times themselves tell.
    recent: BTreeMap<Vec<u8>, i128>,
    /// By when it had been read.
    read_by: Moment,
    seen_pass: u32,
}

/// The dates of an image, by which times of files are judged.
pub(crate) struct Dates<'a> {
    pub(crate) key: Key,
    since_ns: i128,
    first: Option<&'a Member>,
    /// Whether it was seen before the pass began: what the pass read cannot be older than it then.
    is_known: bool,
    /// File systems that it has something from.
    devices: Vec<u64>,
    /// The earliest wall clock time of a change since it began.
    wall_ns: i128,
}

impl Dates<'_> {
    /// Whether the process may have executed its program anew without anybody seeing that: it may have read
    /// every content since it was started.
    fn may_begin_anew(&self) -> bool {
        matches!(self.key, Key::Process(..))
    }

    /// Whether the image began after this moment.
    fn begin_after(&self, moment: &Moment) -> bool {
        moment.is_before(self.since_ns, self.first)
    }
}

/// A file of a configuration, or that a program loads, as this pass read it.
pub(crate) struct FileNow<'a> {
    /// Its path on this host.
    pub(crate) path: &'a Path,
    pub(crate) digest: Digest,
    pub(crate) stamp: Stamp,
}

/// A tree as this pass read it.
pub(crate) struct TreeNow<'a> {
    pub(crate) root: &'a Path,
    pub(crate) scope: &'a Scope,
    pub(crate) list: &'a Arc<FileList>,
    pub(crate) tree: &'a tree::Tree,
}

impl History {
    /// The journal that the watch writes.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Begins a pass. To be called before anything is read.
    pub(crate) fn begin_pass(&mut self) {
        self.began_ns = read::boot_ns();
        self.mounts.look(self.began_ns);
        self.offsets.look();
        self.ways = Ways::default();
    }

    /// The dates of an image.
    pub(crate) fn dates<'a>(&self, image: &'a Image) -> Dates<'a> {
        let pid = image.members.first().map(|member| member.thread);
        let device = |name: &str| Some(rustix::fs::stat(format!("/proc/{}/{name}", pid?)).ok()?.st_dev);
        Dates {
            key: image.key,
            since_ns: image.since_ns,
            first: image.members.first(),
            is_known: image.seen_ns < self.began_ns,
            devices: ["exe", "cwd"].into_iter().filter_map(device).collect(),
            wall_ns: self.offsets.wall(image.since_ns),
        }
    }

    /// Notes what was just read of a file. To be called for each before [`History::older_files`].
    pub(crate) fn saw(&mut self, path: &Path, read: Option<(Digest, Stamp)>) {
        let Some((digest, stamp)) = read else {
            // Whatever comes back after this is not known to have stayed.
            self.files.remove(path);
            return;
        };
        let changed_ns = stamp.ctime_ns();
        let room = self.files.len() < REMEMBERED_MAX;
        let known = self.files.get_mut(path);
        if let Some(known) = known
            && known.digest == digest
            && known.changed_ns == changed_ns
        {
            known.seen_pass = self.pass;
            return;
        }
        let now = Moment::now();
        let seen = SeenFile { digest, content_by: now, changed_ns, read_by: now, seen_pass: self.pass };
        match self.files.get_mut(path) {
            Some(known) if known.digest == digest => *known = SeenFile { content_by: known.content_by, ..seen },
            Some(known) => *known = seen,
            None if room => _ = self.files.insert(path.to_owned(), seen),
            None => {}
        }
    }

    /// Files that an image has read with another content than they have now: of those that `patterns` name,
    /// which hold `now`.
    pub(crate) fn older_files(
        &mut self,
        dates: &Dates<'_>,
        patterns: &[PathBuf],
        now: &[FileNow<'_>],
    ) -> BTreeMap<PathBuf, OlderWhy> {
        let (mut loaded, is_kept) = self.loaded(dates);
        let mut older = BTreeMap::new();
        for pattern in patterns {
            let is_new = !loaded.patterns.contains_key(pattern);
            let named = |path: &Path| names(pattern, path);
            let dates = &self.later(dates, loaded.looked.get(pattern).copied());
            if is_new || dates.may_begin_anew() {
                let gone = self.may_have_gone(dates, pattern, now.iter().any(|file| file.path == pattern));
                let gone = gone.or(loaded.patterns.get(pattern).copied().flatten());
                loaded.patterns.insert(pattern.clone(), gone);
            }
            if dates.may_begin_anew() {
                loaded.looked.insert(pattern.clone(), self.began_ns);
            }
            for file in now.iter().filter(|file| named(file.path)) {
                let first_look = || self.certainly_read(dates, file);
                let read = match loaded.files.get(file.path).copied() {
                    Some(Ok(read)) if dates.may_begin_anew() => {
                        let read = first_look().map(|_| read);
                        loaded.files.insert(file.path.to_owned(), read);
                        read
                    }
                    Some(read) => read,
                    None if is_new => *loaded.files.entry(file.path.to_owned()).or_insert_with(first_look),
                    // It came after the first look.
                    None => Err(OlderWhy::Changed),
                };
                match read {
                    Ok(read) if read == file.digest => {}
                    Ok(_) => _ = older.insert(file.path.to_owned(), OlderWhy::Changed),
                    Err(why) => _ = older.insert(file.path.to_owned(), why),
                }
            }
            // It had what is not there any more.
            let gone =
                loaded.files.keys().filter(|path| named(path) && !now.iter().any(|file| file.path == path.as_path()));
            older.extend(gone.map(|path| (path.clone(), OlderWhy::Changed)));
            let may_have_gone = loaded.patterns.get(pattern).copied().flatten();
            older.extend(may_have_gone.map(|why| (pattern.clone(), why)));
        }
        self.keep(dates, loaded, is_kept);
        older
    }

    /// Files of the tree that an image has loaded with another content than they have now.
    /// `held` are those that its processes map or have open as they are on disk, with device and inode;
    /// absolute paths are of files outside of the tree, whose content `outside` tells.
    pub(crate) fn older_tree(
        &mut self,
        dates: &Dates<'_>,
        now: &TreeNow<'_>,
        held: &BTreeMap<Vec<u8>, HeldFile>,
        outside: &BTreeMap<PathBuf, Digest>,
    ) -> BTreeMap<Vec<u8>, OlderWhy> {
        let TreeNow { root, scope, list, .. } = now;
        let (mut all, is_kept) = self.loaded(dates);
        let mut loaded = match all.trees.remove(*root) {
            Some(mut loaded) => {
                self.widen(dates, now, &mut loaded);
                loaded
            }
            None => LoadedTree {
                list: Arc::clone(list),
                scopes: vec![(*scope).clone()],
                looked: Vec::new(),
                uncertain: self.uncertain(dates, now, |_| true),
                held: BTreeMap::new(),
            },
        };
        if dates.may_begin_anew() {
            // What another scope left out was not looked at under it.
            let looked = loaded.looked.iter().position(|(looked, _)| looked == *scope);
            let looked = looked.map(|at| loaded.looked.remove(at).1);
            let changed = self.uncertain(&self.later(dates, looked), now, |_| true);
            loaded.uncertain.extend(changed);
            loaded.looked.push(((*scope).clone(), self.began_ns));
            if loaded.looked.len() > SCOPES_MAX {
                loaded.looked.remove(0);
            }
        }
        let mut older = BTreeMap::new();
        for (path, HeldFile { file, is_settled }) in held {
            let is_outside = path.starts_with(b"/");
            let content_now =
                if is_outside { outside.get(Path::new(OsStr::from_bytes(path))) } else { list.digest_of(path) };
            match loaded.held.get(path) {
                // Overwritten in place: it has the content of then, or a part of it.
                Some(then) if then.file == *file => {
                    if then.content != content_now.copied() {
                        older.insert(path.clone(), OlderWhy::Changed);
                    } else if let Some(why) = loaded.uncertain.get(path)
                        && dates.may_begin_anew()
                        && !is_settled
                    {
                        older.insert(path.clone(), *why);
                    }
                }
                // Opened since, or the first look.
                known => match loaded.uncertain.get(path).filter(|_| known.is_none() && !is_settled) {
                    Some(why) => _ = older.insert(path.clone(), *why),
                    None => {
                        let content = HeldContent { file: *file, content: content_now.copied() };
                        loaded.held.insert(path.clone(), content);
                    }
                },
            }
        }
        let counts = |path: &[u8]| !scope.excludes_below(Path::new(OsStr::from_bytes(path)), false);
        let uncertain = loaded.uncertain.iter().map(|(path, why)| (path.clone(), *why));
        let mut read_before: BTreeMap<Vec<u8>, OlderWhy> = uncertain.collect();
        if !Arc::ptr_eq(&loaded.list, list) {
            for path in tree::differing(&loaded.list, list) {
                read_before.entry(path).or_insert(OlderWhy::Changed);
            }
        }
        older.extend(read_before.into_iter().filter(|(path, _)| !held.contains_key(path) && counts(path)));
        all.trees.insert((*root).to_owned(), loaded);
        self.keep(dates, all, is_kept);
        older
    }

    /// The digest of the tree that an image has loaded, as it would be told under `scope`; nothing where it
    /// is not known for certain.
    pub(crate) fn loaded_tree(&self, dates: &Dates<'_>, root: &Path, scope: &Scope) -> Option<Digest> {
        let loaded = self.images.get(&dates.key)?.trees.get(root)?;
        if !loaded.uncertain.is_empty() {
            return None;
        }
        let is_same = loaded.scopes.len() == 1 && loaded.scopes.iter().all(|known| known.sources() == scope.sources());
        if is_same {
            return Some(loaded.list.digest());
        }
        let counts = |path: &[u8]| {
            let plain = path.strip_suffix(b"//").unwrap_or(path);
            !scope.excludes_below(Path::new(OsStr::from_bytes(plain)), false)
        };
        Some(loaded.list.retaining(counts).digest())
    }

    /// Contents of one file of a tree that images are known to have loaded.
    pub(crate) fn loaded_contents(&self, root: &Path, path: &[u8]) -> impl Iterator<Item = Digest> {
        let trees = self.images.values().filter_map(move |loaded| loaded.trees.get(root));
        trees.filter_map(move |tree| tree.list.digest_of(path)).copied()
    }

    /// Notes a tree as this pass read it. To be called behind the looks at its processes.
    pub(crate) fn saw_tree(&mut self, now: &TreeNow<'_>) {
        let oldest = self.offsets.wall(self.began_ns) - 100 * MARGIN_NS;
        let recent = now.tree.entries.iter().filter(|(_, entry)| entry.changed_ns >= oldest);
        let recent: BTreeMap<_, _> = recent.map(|(path, entry)| (path.clone(), entry.changed_ns)).collect();
        let same = self.trees.get_mut(now.root).filter(|seen| seen.recent == recent && seen.list == *now.list);
        if let Some(seen) = same {
            seen.seen_pass = self.pass;
            return;
        }
        let list = Arc::clone(now.list);
        let seen = SeenTree { list, recent, read_by: Moment::now(), seen_pass: self.pass };
        self.trees.insert(now.root.to_owned(), seen);
    }

    /// Looks for the first time at what of a tree was excluded under every scope before.
    fn widen(&mut self, dates: &Dates<'_>, now: &TreeNow<'_>, loaded: &mut LoadedTree) {
        let TreeNow { scope, list, .. } = now;
        if loaded.scopes.iter().any(|known| known.sources() == scope.sources()) {
            return;
        }
        let was_seen = |path: &[u8]| {
            let path = Path::new(OsStr::from_bytes(path));
            loaded.scopes.iter().any(|scope| !scope.excludes_below(path, false))
        };
        let uncertain = self.uncertain(dates, now, |path| !was_seen(path));
        let mut all = FileList::clone(&loaded.list);
        for (path, digest) in list.entries() {
            let plain = path.strip_suffix(b"//").unwrap_or(path);
            if !was_seen(plain) {
                all.insert_entry(path, *digest);
            }
        }
        loaded.list = Arc::new(all);
        loaded.uncertain.extend(uncertain);
        loaded.scopes.push((*scope).clone());
        if loaded.scopes.len() > SCOPES_MAX {
            loaded.scopes.remove(0);
        }
    }

    /// The dates by which a pattern or a tree is looked at again: of an image that may have begun anew unseen,
    /// as if it had begun at the look before. What is found is kept.
    fn later<'a>(&self, dates: &Dates<'a>, looked: Option<i128>) -> Dates<'a> {
        let looked = looked.filter(|_| dates.may_begin_anew());
        let since_ns = looked.unwrap_or(dates.since_ns).max(dates.since_ns);
        let wall_ns = if since_ns == dates.since_ns { dates.wall_ns } else { self.offsets.wall(since_ns) };
        Dates { since_ns, wall_ns, devices: dates.devices.clone(), ..*dates }
    }

    /// What is known of an image, and whether it was known before.
    fn loaded(&mut self, dates: &Dates<'_>) -> (Loaded, bool) {
        let known = self.images.remove(&dates.key);
        let is_kept = known.is_some();
        (known.unwrap_or_default(), is_kept)
    }

    /// Keeps what an image has loaded, once it is certain that the pass read nothing older than it.
    fn keep(&mut self, dates: &Dates<'_>, mut loaded: Loaded, is_kept: bool) {
        if is_kept || dates.is_known && self.images.len() < REMEMBERED_MAX {
            loaded.seen_pass = self.pass;
            self.images.insert(dates.key, loaded);
        }
    }

    /// What images have loaded, to be kept; the lists that it names go into `lists`.
    pub(crate) fn remembered(&self, lists: &mut Lists) -> BTreeMap<Key, ImageRecord> {
        self.images.iter().map(|(key, loaded)| (*key, loaded.record(lists))).collect()
    }

    /// What is known of mounts and clocks, to be kept.
    pub(crate) fn surroundings(&self) -> (&Mounts, Vec<(i128, i128)>) {
        (&self.mounts, self.offsets.known())
    }

    /// Takes up what was kept of one image. A tree whose list is not among `lists` was not kept.
    pub(crate) fn recall(&mut self, key: Key, record: ImageRecord, lists: &Lists) {
        if self.images.len() < REMEMBERED_MAX {
            let mut loaded = Loaded::from_record(record, lists);
            loaded.seen_pass = self.pass;
            self.images.insert(key, loaded);
        }
    }

    /// Takes up what was kept of mounts and clocks.
    pub(crate) fn recall_surroundings(&mut self, mounts: Mounts, offsets: Vec<(i128, i128)>) {
        self.mounts = mounts;
        self.offsets.recall(offsets);
    }

    /// Ends a pass: what was not met lately goes, but for images that run.
    pub(crate) fn end_pass(&mut self, runs: impl Fn(&Key) -> bool) {
        let pass = self.pass;
        self.images.retain(|key, loaded| runs(key) || pass.wrapping_sub(loaded.seen_pass) < PASSES_KEPT);
        self.files.retain(|_, seen| pass.wrapping_sub(seen.seen_pass) < PASSES_KEPT);
        self.trees.retain(|_, seen| pass.wrapping_sub(seen.seen_pass) < PASSES_KEPT);
        self.pass = pass.wrapping_add(1);
    }
}

fn is_same(one: &FileList, other: &FileList, path: &[u8]) -> bool {
    let link = [path, b"//"].concat();
    one.digest_of(path) == other.digest_of(path) && one.digest_of(&link) == other.digest_of(&link)
}
