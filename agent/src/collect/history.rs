//! Files that programs read and close: what a process loaded can only be told from when it began.
//!
//! Of a configuration file the content that a process has loaded is known
//! - if this collector saw the content before the process began, and has seen no other since; or
//! - if the file has not been touched since the process began (its ctime lies before).
//!
//! Otherwise, at the first look at a process, the file may have been changed under it: it counts as
//! older until the process is started again. After that first look content decides alone: `touch`
//! and `chmod` change nothing, and putting the old content back makes it current again.
//!
//! The files of a program's tree follow the same rules, and one more: what the process maps or has
//! open is what it has loaded, unless the content changed under it in that very file. Two things
//! count for them as they do not for configurations: a file whose ctime lies within a clock tick of
//! the start was there before (installing and starting again is one command), and a file that was
//! removed before the first look is not missed.
//!
//! The first look at a process takes a pass that began after the process did: an earlier one may have
//! read files that were replaced before the process began.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use manifests::digest::Digest;
use manifests::tree::FileList;

use crate::collect::config_file::Layer;
use crate::collect::process::{HeldFile, TICKS_PER_SECOND};
use crate::collect::remembered::{ConfigRecord, HeldRecord, Lists, Name, ProcessRecord, TreeRecord};
use crate::collect::{read, tree};

/// A process not seen in this many passes is forgotten; several, because two baselines may be
/// looked at in turn.
const PASSES_KEPT: u32 = 8;
/// The most processes and files remembered; beyond it the next one is as if never seen.
const REMEMBERED_MAX: usize = 10_000;
/// File times come from the timer's last tick, starts are cut to hundredths of a second: within
/// this nobody can tell which was first.
const MARGIN_NS: i128 = 10_000_000;
const TICK_NS: i128 = 1_000_000_000 / TICKS_PER_SECOND as i128;

/// A process, by number and start in ticks since boot.
type Process = (i32, u64);

/// A tree's root, and the globs of what does not count of it.
type TreeKey = (PathBuf, Vec<String>);

#[derive(Default)]
pub(crate) struct History {
    files: HashMap<PathBuf, Content>,
    trees: HashMap<TreeKey, TreeContent>,
    processes: HashMap<Process, Loaded>,
    pass: u32,
    /// Boot clock, in ticks, when the pass began.
    began: u64,
}

/// The content of a tree at the end of the last pass that read it.
struct TreeContent {
    list: Arc<FileList>,
    /// Boot clock, in ticks, by which it had been read.
    read_by: u64,
    seen_pass: u32,
}

struct Content {
    digest: Digest,
    /// Boot clock, in ticks, when it was first seen; no other was seen since.
    since: u64,
    seen_pass: u32,
}

#[derive(Default)]
struct Loaded {
    /// By the list of files in the baseline: what each layer held; nothing where it is not known.
    configs: BTreeMap<Vec<String>, BTreeMap<PathBuf, Option<Digest>>>,
    trees: BTreeMap<TreeKey, LoadedTree>,
    seen_pass: u32,
}

/// What a process has loaded of a tree.
struct LoadedTree {
    /// The tree at the first look.
    list: Arc<FileList>,
    /// Its digest.
    digest: Digest,
    /// Files that may have been changed between the process's start and the first look.
    uncertain: BTreeSet<Vec<u8>>,
    /// Files that it holds.
    held: BTreeMap<Vec<u8>, HeldContent>,
}

/// A file, by device and inode, and its content when the process was first seen to hold it.
struct HeldContent {
    file: (u64, u64),
    content: Option<Digest>,
}

impl Loaded {
    fn record(&self, (pid, start): Process, lists: &mut Lists) -> ProcessRecord {
        let config = |(files, layers): (&Vec<String>, &BTreeMap<PathBuf, Option<Digest>>)| {
            let layers = layers.iter().map(|(path, digest)| (Name::of(path), *digest)).collect();
            ConfigRecord { files: files.clone(), layers }
        };
        let tree = |((root, exclude), tree): (&TreeKey, &LoadedTree)| {
            lists.insert(tree.digest, Arc::clone(&tree.list));
            let held = |(path, held): (&Vec<u8>, &HeldContent)| {
                (Name(path.clone()), HeldRecord { file: held.file, content: held.content })
            };
            TreeRecord {
                root: Name::of(root),
                exclude: exclude.clone(),
                list: tree.digest,
                uncertain: tree.uncertain.iter().cloned().map(Name).collect(),
                held: tree.held.iter().map(held).collect(),
            }
        };
        let (configs, trees) = (self.configs.iter().map(config).collect(), self.trees.iter().map(tree).collect());
        ProcessRecord { pid, start, configs, trees }
    }

    fn from_record(record: ProcessRecord, lists: &Lists, seen_pass: u32) -> Self {
        let config = |config: ConfigRecord| {
            (config.files, config.layers.into_iter().map(|(name, digest)| (name.path(), digest)).collect())
        };
        let tree = |tree: TreeRecord| {
            let list = Arc::clone(lists.get(&tree.list)?);
            let held =
                |(name, held): (Name, HeldRecord)| (name.0, HeldContent { file: held.file, content: held.content });
            let loaded = LoadedTree {
                list,
                digest: tree.list,
                uncertain: tree.uncertain.into_iter().map(|name| name.0).collect(),
                held: tree.held.into_iter().map(held).collect(),
            };
            Some(((tree.root.path(), tree.exclude), loaded))
        };
        let (configs, trees) = (record.configs, record.trees);
        Self {
            configs: configs.into_iter().map(config).collect(),
            trees: trees.into_iter().filter_map(tree).collect(),
            seen_pass,
        }
    }
}

/// A tree as this pass read it.
pub(crate) struct TreeNow<'a> {
    pub(crate) root: &'a Path,
    pub(crate) scope: &'a tree::Scope,
    pub(crate) list: &'a Arc<FileList>,
    pub(crate) tree: &'a tree::Tree,
}

impl History {
    /// Begins a pass. To be called before anything is read.
    pub(crate) fn begin_pass(&mut self) {
        self.began = ticks(read::boot_ns());
    }

    /// Whether everything read in this pass was read after the process began. Starts are cut to whole
    /// ticks: within the same one nobody can tell.
    fn has_begun(&self, process: Process) -> bool {
        process.1 < self.began
    }

    /// Notes what was just read. To be called for every layer before [`History::older_layer`].
    pub(crate) fn saw(&mut self, layer: &Layer) {
        let Ok((digest, _)) = layer.bytes else {
            // Whatever comes back after this is not known to have stayed.
            self.files.remove(&layer.path);
            return;
        };
        // Rounded up: a process that began within the same tick may have begun before the reading.
        let now = ticks(read::boot_ns()).saturating_add(1);
        let content = Content { digest, since: now, seen_pass: self.pass };
        let room = self.files.len() < REMEMBERED_MAX;
        match self.files.get_mut(&layer.path) {
            Some(known) if known.digest == digest => known.seen_pass = self.pass,
            Some(known) => *known = content,
            None if room => _ = self.files.insert(layer.path.clone(), content),
            None => {}
        }
    }

    /// The first file, in byte order of paths, whose content is not the one that `process` has loaded.
    pub(crate) fn older_layer(&mut self, process: Process, files: &[String], layers: &[Layer]) -> Option<PathBuf> {
        let now: BTreeMap<&Path, (Digest, i128)> = layers
            .iter()
            .filter_map(|layer| {
                layer.bytes.ok().map(|(digest, stamp)| (layer.path.as_path(), (digest, stamp.ctime_ns())))
            })
            .collect();
        let first_look = |seen: &HashMap<PathBuf, Content>| -> BTreeMap<PathBuf, Option<Digest>> {
            let loaded = |(path, (digest, ctime)): (&&Path, &(Digest, i128))| {
                let stayed = seen.get(*path).is_some_and(|content| content.since <= process.1);
                let untouched = ctime + MARGIN_NS <= started_wall_ns(process.1);
                (path.to_path_buf(), (stayed || untouched).then_some(*digest))
            };
            now.iter().map(loaded).collect()
        };
        let is_known = self.processes.get(&process).is_some_and(|loaded| loaded.configs.contains_key(files));
        if !is_known && !self.has_begun(process) {
            return None;
        }
        let room = self.processes.len() < REMEMBERED_MAX || self.processes.contains_key(&process);
        let loaded = if room {
            let remembered = self.processes.entry(process).or_default();
            remembered.seen_pass = self.pass;
            let seen = &self.files;
            remembered.configs.entry(files.to_vec()).or_insert_with(|| first_look(seen)).clone()
        } else {
            first_look(&self.files)
        };
        let paths: BTreeSet<&Path> = now.keys().copied().chain(loaded.keys().map(PathBuf::as_path)).collect();
        let differs = |path: &&Path| match (loaded.get(*path), now.get(path)) {
            (Some(Some(loaded)), Some((now, _))) => loaded != now,
            _ => true,
        };
        paths.into_iter().find(differs).map(Path::to_path_buf)
    }

    /// Files of the tree that `process` has loaded with another content than they have now.
    /// `held` are those that it maps or has open as they are on disk, with device and inode; absolute
    /// paths are of files outside of the tree, whose content `outside` tells.
    pub(crate) fn older_files(
        &mut self,
        process: Process,
        now: &TreeNow<'_>,
        held: &BTreeMap<Vec<u8>, HeldFile>,
        outside: &BTreeMap<&Path, Digest>,
    ) -> BTreeSet<Vec<u8>> {
        let TreeNow { root, scope, list, tree } = now;
        let key = ((*root).to_owned(), scope.sources().to_vec());
        let known = self.processes.get_mut(&process).and_then(|loaded| loaded.trees.remove(&key));
        let mut loaded = match known {
            Some(loaded) => loaded,
            None if !self.has_begun(process) => return BTreeSet::new(),
            None => {
                let before = self.trees.get(&key).filter(|content| content.read_by <= process.1);
                let stayed = |path: &[u8]| before.is_some_and(|content| is_same(&content.list, list, path));
                let start_ns = started_wall_ns(process.1) + TICK_NS;
                let touched = tree.changed_ns.iter().filter(|(path, changed)| **changed >= start_ns && !stayed(path));
                let uncertain = touched.map(|(path, _)| path.clone()).collect();
                LoadedTree { list: Arc::clone(list), digest: list.digest(), uncertain, held: BTreeMap::new() }
            }
        };
        let mut older = BTreeSet::new();
        loaded.held.retain(|path, _| held.contains_key(path));
        for (path, HeldFile { file, is_settled }) in held {
            let is_outside = path.starts_with(b"/");
            let content_now =
                if is_outside { outside.get(Path::new(OsStr::from_bytes(path))) } else { list.digest_of(path) };
            match loaded.held.get(path) {
                // Overwritten in place: it has the content of then, or a part of it.
                Some(then) if then.file == *file => {
                    if then.content != content_now.copied() {
                        older.insert(path.clone());
                    }
                }
                // Opened since, or the first look.
                known => {
                    if known.is_none() && !is_settled && loaded.uncertain.contains(path) {
                        older.insert(path.clone());
                    } else {
                        let content = HeldContent { file: *file, content: content_now.copied() };
                        loaded.held.insert(path.clone(), content);
                    }
                }
            }
        }
        let mut read_before = loaded.uncertain.clone();
        if !Arc::ptr_eq(&loaded.list, list) {
            read_before.extend(tree::differing(&loaded.list, list));
        }
        older.extend(read_before.into_iter().filter(|path| !held.contains_key(path)));
        if self.processes.len() < REMEMBERED_MAX || self.processes.contains_key(&process) {
            let remembered = self.processes.entry(process).or_default();
            remembered.seen_pass = self.pass;
            remembered.trees.insert(key, loaded);
        }
        older
    }

    /// Notes a tree as this pass read it. To be called behind the looks at its processes.
    pub(crate) fn saw_tree(&mut self, root: &Path, scope: &tree::Scope, list: &Arc<FileList>) {
        let content = TreeContent {
            list: Arc::clone(list),
            read_by: ticks(read::boot_ns()).saturating_add(1),
            seen_pass: self.pass,
        };
        self.trees.insert((root.to_owned(), scope.sources().to_vec()), content);
    }

    /// What processes have loaded, to be kept; the lists that it names go into `lists`.
    pub(crate) fn remembered(&self, lists: &mut Lists) -> Vec<ProcessRecord> {
        let mut records: Vec<_> =
            self.processes.iter().map(|(process, loaded)| loaded.record(*process, lists)).collect();
        records.sort();
        records
    }

    /// Takes up what was kept. A tree whose list is not among `lists` was not kept.
    pub(crate) fn recall(&mut self, records: Vec<ProcessRecord>, lists: &Lists) {
        for record in records.into_iter().take(REMEMBERED_MAX) {
            self.processes.insert((record.pid, record.start), Loaded::from_record(record, lists, self.pass));
        }
    }

    /// Ends a pass: what was not met lately goes.
    pub(crate) fn end_pass(&mut self) {
        let pass = self.pass;
        self.processes.retain(|_, loaded| pass.wrapping_sub(loaded.seen_pass) < PASSES_KEPT);
        self.files.retain(|_, content| pass.wrapping_sub(content.seen_pass) < PASSES_KEPT);
        self.trees.retain(|_, content| pass.wrapping_sub(content.seen_pass) < PASSES_KEPT);
        self.pass = pass.wrapping_add(1);
    }
}

fn is_same(one: &FileList, other: &FileList, path: &[u8]) -> bool {
    let link = [path, b"//"].concat();
    one.digest_of(path) == other.digest_of(path) && one.digest_of(&link) == other.digest_of(&link)
}

/// The boot clock in whole ticks.
fn ticks(boot_ns: i128) -> u64 {
    u64::try_from(boot_ns / TICK_NS).unwrap_or(u64::MAX)
}

/// The wall clock at a process's start, as it counts now.
fn started_wall_ns(start: u64) -> i128 {
    read::wall_ns() - read::boot_ns() + i128::from(start) * TICK_NS
}
