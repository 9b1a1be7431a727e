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

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use manifests::digest::Digest;
use manifests::evidence::OlderWhy;
use manifests::exclude::Globs;
use manifests::tree::FileList;
use rustix::fs::FileType;

use crate::collect::index::Stamp;
use crate::collect::journal::{Journal, Moment};
use crate::collect::process::{HeldFile, Image, Key, Member, TICK_NS};
use crate::collect::read;
use crate::collect::remembered::{FileRecord, HeldRecord, ImageRecord, Lists, Name, TreeRecord};
use crate::collect::tree::{self, Scope};
use crate::collect::way::{Mounts, Offsets, Way, Ways};

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

/// What one image has loaded.
#[derive(Clone, Default)]
struct Loaded {
    files: BTreeMap<PathBuf, Read>,
    /// Paths and patterns that were looked at: whether something may have gone unseen there.
    patterns: BTreeMap<PathBuf, Option<OlderWhy>>,
    trees: BTreeMap<PathBuf, LoadedTree>,
    /// Boot clock of the newest look at each pattern and root, of an image that may begin anew unseen.
    looked: BTreeMap<PathBuf, i128>,
    seen_pass: u32,
}

/// What was read of one file.
type Read = Result<Digest, OlderWhy>;

/// What an image has loaded of a tree.
#[derive(Clone)]
struct LoadedTree {
    /// The tree at the first look, and what a wider scope brought since.
    list: Arc<FileList>,
    /// Ways to exclude under which it was looked at.
    scopes: Vec<Scope>,
    /// Boot clock of the newest look under each, of an image that may have begun anew unseen.
    looked: Vec<(Scope, i128)>,
    /// Files and directories of which it is not known what was read.
    uncertain: BTreeMap<Vec<u8>, OlderWhy>,
    /// Files that it holds.
    held: BTreeMap<Vec<u8>, HeldContent>,
}

/// A file, by device and inode, and its content when the image was first seen to hold it.
#[derive(Clone)]
struct HeldContent {
    file: (u64, u64),
    content: Option<Digest>,
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

    /// What of a tree may have been otherwise when the image began, of paths for which `wanted` says so.
    fn uncertain(
        &mut self,
        dates: &Dates<'_>,
        now: &TreeNow<'_>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> BTreeMap<Vec<u8>, OlderWhy> {
        let mut uncertain = BTreeMap::new();
        let resolved = match self.way_is_old(dates, now.root) {
            Ok(resolved) => resolved,
            Err(why) => {
                uncertain.insert(Vec::new(), why);
                now.root.to_owned()
            }
        };
        // The ways out of the tree, where its links are followed: what they led to then may be something else.
        for (link, target) in &now.tree.followed {
            let path = link.as_os_str().as_bytes();
            if wanted(path)
                && let Err(why) = self.way_out_is_old(dates, target)
            {
                uncertain.insert(path.to_vec(), why);
            }
        }
        let before = self.trees.get(now.root).filter(|seen| dates.begin_after(&seen.read_by));
        for (path, tree::Entry { changed_ns, .. }) in &now.tree.entries {
            if changed_ns + MARGIN_NS <= dates.wall_ns || !wanted(path) {
                continue;
            }
            let place = now.tree.place(&resolved, path);
            let stayed = before.is_some_and(|seen| is_same(&seen.list, now.list, path));
            let is_known = before.is_some_and(|seen| {
                let recent = seen.recent.get(path);
                stayed && recent == Some(changed_ns)
            });
            let is_old = is_known
                || self.journal.is_settled(&place, *changed_ns, dates.since_ns, dates.first)
                || stayed && self.journal.was_only_touched(&place, *changed_ns, dates.since_ns, dates.first);
            if !is_old {
                uncertain.insert(path.clone(), OlderWhy::BeforeFirstLook);
            }
        }
        for (path, stamp) in &now.tree.directories {
            let place = now.tree.place(&resolved, path);
            if wanted(path) && !path.is_empty() && !self.directory_is_old(dates, &place, stamp) {
                uncertain.insert(path.clone(), OlderWhy::BeforeFirstLook);
            } else if wanted(path) && self.may_have_lost(dates, &place, stamp.mtime_ns()) {
                uncertain.insert(path.clone(), OlderWhy::MayHaveGone);
            }
        }
        uncertain
    }

    /// What the image has read of a file, if that is certain.
    fn certainly_read(&self, dates: &Dates<'_>, file: &FileNow<'_>) -> Read {
        let changed_ns = file.stamp.ctime_ns();
        let way = Way::to(file.path);
        let place = way.end().map_or(file.path, |end| end.place.as_path());
        let seen = self.files.get(file.path).filter(|seen| dates.begin_after(&seen.content_by));
        let stayed = seen.is_some_and(|seen| seen.digest == file.digest);
        let is_same = |seen: &SeenFile| seen.changed_ns == changed_ns && dates.begin_after(&seen.read_by);
        let is_old = changed_ns + MARGIN_NS <= dates.wall_ns
            || self.journal.is_settled(place, changed_ns, dates.since_ns, dates.first)
            || stayed && seen.is_some_and(is_same)
            || stayed && self.journal.was_only_touched(place, changed_ns, dates.since_ns, dates.first);
        if !is_old {
            return Err(OlderWhy::BeforeFirstLook);
        }
        self.steps_are_old(dates, &way).map(|()| file.digest)
    }

    /// Where a way leads, if everything on it was so before the image began.
    fn way_is_old(&mut self, dates: &Dates<'_>, path: &Path) -> Result<PathBuf, OlderWhy> {
        let way = self.ways.to(path).clone();
        self.steps_are_old(dates, &way)?;
        let end = way.end().ok_or(OlderWhy::BeforeFirstLook)?;
        if end.kind == FileType::Directory && !self.directory_is_old(dates, &end.place, &end.stamp) {
            return Err(OlderWhy::BeforeFirstLook);
        }
        Ok(end.place.clone())
    }

    /// Whether everything on the way to what a followed link leads to was so before the image began. What is
    /// there has times of its own; what is not may have gone.
    fn way_out_is_old(&mut self, dates: &Dates<'_>, target: &Path) -> Result<(), OlderWhy> {
        let way = self.ways.to(target).clone();
        self.steps_are_old(dates, &way)?;
        let Some(directory) = &way.ends_in else { return Ok(()) };
        let step = way.steps.iter().rfind(|step| step.place == *directory);
        match step.is_some_and(|step| self.may_have_lost(dates, directory, step.stamp.mtime_ns())) {
            true => Err(OlderWhy::MayHaveGone),
            false => Ok(()),
        }
    }

    /// Whether every directory and link on a way, but what it ends in, was there before the image began.
    fn steps_are_old(&self, dates: &Dates<'_>, way: &Way) -> Result<(), OlderWhy> {
        let end = way.end().map(|end| end.place.as_path());
        for step in way.steps.iter().filter(|step| Some(step.place.as_path()) != end) {
            let changed_ns = step.stamp.ctime_ns();
            let is_old = match step.kind {
                FileType::Directory => self.directory_is_old(dates, &step.place, &step.stamp),
                // A link is never changed, only replaced.
                _ => {
                    changed_ns + MARGIN_NS <= dates.wall_ns
                        || self.journal.is_settled(&step.place, changed_ns, dates.since_ns, dates.first)
                }
            };
            if !is_old {
                return Err(OlderWhy::BeforeFirstLook);
            }
        }
        if !self.mounts.were_there(way, dates.since_ns, &dates.devices) {
            return Err(OlderWhy::Mounted);
        }
        Ok(())
    }

    /// Whether a directory was at its place before the image began. A change of its entries moves both of
    /// its times; moving the directory itself, or another in its place, its change time alone.
    fn directory_is_old(&self, dates: &Dates<'_>, place: &Path, stamp: &Stamp) -> bool {
        let changed_ns = stamp.ctime_ns();
        changed_ns + MARGIN_NS <= dates.wall_ns
            || changed_ns == stamp.mtime_ns()
            || self.journal.is_settled(place, changed_ns, dates.since_ns, dates.first)
            || self.journal.was_watched(place, dates.since_ns)
    }

    /// Whether an entry of a directory may have gone since the image began.
    fn may_have_lost(&self, dates: &Dates<'_>, directory: &Path, modified_ns: i128) -> bool {
        modified_ns + MARGIN_NS > dates.wall_ns
            && !self.journal.is_whole(directory, modified_ns, dates.since_ns, dates.first)
    }

    /// Whether a file that a path or pattern names may have gone since the image began. A path that is there
    /// has not.
    fn may_have_gone(&mut self, dates: &Dates<'_>, pattern: &Path, is_there: bool) -> Option<OlderWhy> {
        let is_pattern = pattern.file_name().is_some_and(|name| crate::collect::wildcard::is_pattern(name.as_bytes()));
        if is_there && !is_pattern {
            return None;
        }
        let around = if is_pattern { pattern.parent()? } else { pattern };
        let way = self.ways.to(around).clone();
        if let Err(why) = self.steps_are_old(dates, &way) {
            return Some(why);
        }
        // The directory itself, or the nearest one where the way to it ends.
        let nearest = way.ends_in.clone().or_else(|| way.end().map(|end| end.place.clone()))?;
        let stat = rustix::fs::stat(&nearest).ok()?;
        let stamp = Stamp::from(&stat);
        if !self.directory_is_old(dates, &nearest, &stamp) {
            return Some(OlderWhy::BeforeFirstLook);
        }
        self.may_have_lost(dates, &nearest, stamp.mtime_ns()).then_some(OlderWhy::MayHaveGone)
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

/// Whether a path or pattern of a baseline names this file.
fn names(pattern: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    path == pattern
        || pattern.parent() == path.parent()
            && crate::collect::wildcard::is_pattern(&name(pattern))
            && crate::collect::wildcard::matches_name(&name(pattern), &name(path))
}

fn is_same(one: &FileList, other: &FileList, path: &[u8]) -> bool {
    let link = [path, b"//"].concat();
    one.digest_of(path) == other.digest_of(path) && one.digest_of(&link) == other.digest_of(&link)
}

impl Loaded {
    fn record(&self, lists: &mut Lists) -> ImageRecord {
        let file = |(path, read): (&PathBuf, &Read)| match read {
            Ok(digest) => FileRecord { path: Name::of(path), content: Some(*digest), why: None },
            Err(why) => FileRecord { path: Name::of(path), content: None, why: Some(*why) },
        };
        let tree = |(root, tree): (&PathBuf, &LoadedTree)| {
            let digest = tree.list.digest();
            lists.insert(digest, Arc::clone(&tree.list));
            let held = |(path, held): (&Vec<u8>, &HeldContent)| {
                (Name(path.clone()), HeldRecord { file: held.file, content: held.content })
            };
            TreeRecord {
                root: Name::of(root),
                scopes: tree.scopes.iter().map(|scope| scope.sources().to_vec()).collect(),
                list: digest,
                uncertain: tree.uncertain.iter().map(|(path, why)| (Name(path.clone()), *why)).collect(),
                held: tree.held.iter().map(held).collect(),
            }
        };
        ImageRecord {
            files: self.files.iter().map(file).collect(),
            patterns: self.patterns.iter().map(|(path, why)| (Name::of(path), *why)).collect(),
            trees: self.trees.iter().map(tree).collect(),
        }
    }

    fn from_record(record: ImageRecord, lists: &Lists) -> Self {
        let file = |file: FileRecord| {
            let read = match (file.content, file.why) {
                (Some(digest), None) => Ok(digest),
                (_, why) => Err(why.unwrap_or(OlderWhy::BeforeFirstLook)),
            };
            (file.path.path(), read)
        };
        let tree = |tree: TreeRecord| {
            let list = Arc::clone(lists.get(&tree.list)?);
            let scope = |sources: Vec<String>| Some(Scope::new(&Globs::new(sources).ok()?));
            let held =
                |(name, held): (Name, HeldRecord)| (name.0, HeldContent { file: held.file, content: held.content });
            let loaded = LoadedTree {
                list,
                scopes: tree.scopes.into_iter().filter_map(scope).collect(),
                looked: Vec::new(),
                uncertain: tree.uncertain.into_iter().map(|(name, why)| (name.0, why)).collect(),
                held: tree.held.into_iter().map(held).collect(),
            };
            Some((tree.root.path(), loaded))
        };
        Self {
            files: record.files.into_iter().map(file).collect(),
            patterns: record.patterns.into_iter().map(|(name, why)| (name.path(), why)).collect(),
            trees: record.trees.into_iter().filter_map(tree).collect(),
            looked: BTreeMap::new(),
            seen_pass: 0,
        }
    }
}
