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
//! Of a program's tree what is there at the first look at a process is what it has loaded. A link to
//! a file changes its ctime, so that times would say too much here. What changes later and is
//! neither mapped nor open (a script) was read before, or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use manifests::digest::Digest;
use manifests::tree::FileList;

use crate::collect::config_file::Layer;
use crate::collect::process::TICKS_PER_SECOND;
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

#[derive(Default)]
pub(crate) struct History {
    files: HashMap<PathBuf, Content>,
    processes: HashMap<Process, Loaded>,
    pass: u32,
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
    /// By root and what counts of it: the tree at the first look.
    trees: BTreeMap<(PathBuf, Vec<String>), Arc<FileList>>,
    seen_pass: u32,
}

impl History {
    /// Notes what was just read. To be called for every layer before [`History::older_layer`].
    pub(crate) fn saw(&mut self, layer: &Layer) {
        let Ok((digest, _)) = layer.bytes else {
            // Whatever comes back after this is not known to have stayed.
            self.files.remove(&layer.path);
            return;
        };
        // Rounded up: a process that began within the same tick may have begun before the reading.
        let now = u64::try_from(read::boot_ns() / TICK_NS + 1).unwrap_or(u64::MAX);
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

    /// Paths of the tree at `root` that changed since the first look at `process`.
    pub(crate) fn changed_files(
        &mut self,
        process: Process,
        root: &Path,
        scope: &tree::Scope,
        list: &Arc<FileList>,
    ) -> BTreeSet<Vec<u8>> {
        if self.processes.len() >= REMEMBERED_MAX && !self.processes.contains_key(&process) {
            return BTreeSet::new();
        }
        let remembered = self.processes.entry(process).or_default();
        remembered.seen_pass = self.pass;
        let first =
            remembered.trees.entry((root.to_owned(), scope.sources().to_vec())).or_insert_with(|| Arc::clone(list));
        if Arc::ptr_eq(first, list) { BTreeSet::new() } else { tree::differing(first, list) }
    }

    /// Ends a pass: what was not met lately goes.
    pub(crate) fn end_pass(&mut self) {
        let pass = self.pass;
        self.processes.retain(|_, loaded| pass.wrapping_sub(loaded.seen_pass) < PASSES_KEPT);
        self.files.retain(|_, content| pass.wrapping_sub(content.seen_pass) < PASSES_KEPT);
        self.pass = pass.wrapping_add(1);
    }
}

/// The wall clock at a process's start, as it counts now.
fn started_wall_ns(start: u64) -> i128 {
    read::wall_ns() - read::boot_ns() + i128::from(start) * TICK_NS
}
