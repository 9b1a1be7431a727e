//! What running processes have of programs, configurations and required files, each by its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use manifests::baseline::{Baseline, Config, Program, Reload};
use manifests::digest::Digest;
use manifests::evidence::{Finding, Gap, OlderWhy, ProcessesSeen, TREES_MAX, TreeSeen, Why};
use manifests::id::ItemId;

use crate::collect::Limits;
use crate::collect::config_file::ConfigRead;
use crate::collect::history::{Dates, FileNow, History, TreeNow};
use crate::collect::index::{Index, Stamp};
use crate::collect::prefix::Prefix;
use crate::collect::process::{
    self, Executed, Identity, Member, Outside, Probe, Shadows, Spec, Table, Target, Tie, Views,
};
use crate::collect::program::{self, Gathered, KnownNames, TreeRead};
use crate::collect::read::Bounds;
use crate::collect::way::Ways;
use crate::collect::wildcard::names;

/// What was read of the disk, with which processes are compared.
pub(super) struct Disk<'a> {
    pub(super) baseline: &'a Baseline,
    pub(super) prefix: &'a Prefix,
    pub(super) limits: &'a Limits,
    pub(super) deadline: Instant,
    pub(super) configs: &'a BTreeMap<ItemId, ConfigRead>,
    /// Files that fixes require and that are there, by their path on this host.
    pub(super) required: &'a BTreeMap<PathBuf, Digest>,
    /// Files that programs load from outside of their trees.
    pub(super) loads: &'a BTreeMap<ItemId, Loads>,
    pub(super) trees: &'a BTreeMap<ItemId, TreeRead>,
    /// In the order of the baseline's programs.
    pub(super) specs: &'a [Spec],
}

/// Files that a program loads from outside of its tree: patterns on this host, and what they hold.
#[derive(Debug, Default)]
pub(super) struct Loads {
    pub(super) patterns: Vec<PathBuf>,
    pub(super) files: BTreeMap<PathBuf, Result<(Digest, Stamp), Why>>,
}

/// What the pass keeps between passes.
pub(super) struct Kept<'a> {
    pub(super) history: &'a mut History,
    pub(super) index: &'a mut Index,
    pub(super) table: &'a Table,
    pub(super) names: &'a mut KnownNames,
    pub(super) probe: &'a mut Probe,
}

/// What processes have.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) programs: BTreeMap<ItemId, ProgramLoaded>,
    /// Of configurations that concern the host.
    pub(super) readers: BTreeMap<ItemId, Gathered>,
    /// Of required files, by their path in the baseline.
    pub(super) files: BTreeMap<String, Gathered>,
}

/// What processes of one program have.
pub(super) struct ProgramLoaded {
    pub(super) processes: ProcessesSeen,
    pub(super) loaded: Gathered,
    pub(super) trees: Vec<Digest>,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Disk<'a> {
    /// Compares what runs with the disk. `unseen` says why not every process can be seen.
    pub(super) fn compare(&self, kept: &mut Kept<'_>, unseen: Option<Why>) -> Loaded {
        let mut all = Loaded::default();
        for config in self.concerning() {
            all.readers.insert(config.id.clone(), Gathered::default());
        }
        let outside = self.outside();
        for (program, spec) in self.baseline.programs.iter().zip(self.specs) {
            let Some(tree) = self.trees.get(&program.id) else { continue };
            let mut looking = Looking {
                disk: self,
                program,
                spec,
                tree,
                outside: &outside,
                all: &mut all,
                loaded: Gathered::default(),
            };
            let seen = looking.look(kept, unseen);
            all.programs.insert(program.id.clone(), seen);
        }
        for tree in self.trees.values() {
            if let Some(now) = tree_now(tree) {
                kept.history.saw_tree(&now);
            }
        }
        all
    }

    /// Configurations that concern the host.
    fn concerning(&self) -> impl Iterator<Item = &'a Config> {
        let configs = self.configs;
        self.baseline.configs.iter().filter(move |config| configs.contains_key(&config.id))
    }

    /// Files outside of trees that count.
    fn outside(&self) -> Outside {
        let mut outside = Outside::default();
        let mut ways = Ways::default();
        for config in &self.baseline.configs {
            let Some(read) = self.configs.get(&config.id) else { continue };
            for layer in &read.layers {
                if let Ok((digest, _)) = layer.bytes {
                    outside.files.insert(layer.path.clone(), digest);
                }
                if config.reload == Reload::Live {
                    outside.live.insert(layer.path.clone());
                }
            }
            outside.patterns.extend(config.files.iter().map(|pattern| self.prefix.on_host(pattern)));
        }
        for loads in self.loads.values() {
            outside.patterns.extend(loads.patterns.iter().cloned());
            let read = loads.files.iter().filter_map(|(path, read)| Some((path.clone(), read.as_ref().ok()?.0)));
            outside.files.extend(read);
        }
        outside.files.extend(self.required.iter().map(|(path, digest)| (path.clone(), *digest)));
        outside.required = self.required.keys().cloned().collect();
        for path in outside.files.keys() {
            let way = ways.to(path);
            outside.ways.extend(way.steps.iter().map(|step| step.place.clone()));
            if let Some(end) = way.end() {
                outside.leads.insert(end.place.clone(), path.clone());
            }
        }
        outside
    }
}

fn tree_now(read: &TreeRead) -> Option<TreeNow<'_>> {
    // A list with gaps would make what it lacks look changed.
    let tree = read.tree.as_ref().filter(|tree| tree.gaps.is_empty())?;
    Some(TreeNow { root: &read.written, scope: &read.scope, list: read.list.as_ref()?, tree })
}

/// One program, and what was found of its processes so far.
struct Looking<'a, 'b> {
    disk: &'b Disk<'a>,
    program: &'a Program,
    spec: &'a Spec,
    tree: &'a TreeRead,
    outside: &'b Outside,
    all: &'b mut Loaded,
    loaded: Gathered,
}

impl Looking<'_, '_> {
    fn look(&mut self, kept: &mut Kept<'_>, unseen: Option<Why>) -> ProgramLoaded {
        let owner = self.spec.owner();
        let mut findings = Vec::new();
        let mut trees = BTreeSet::new();
        let mut unknown = unseen;
        let mut runs = false;
        let table = kept.table;
        let mut views = Views::default();
        let names = table.images().any(|image| image.tie(&owner).is_some()).then(|| kept.names.of(self.tree));
        let names = names.unwrap_or_default();
        let mut shadows = self.tree.list.as_deref().map(|list| Shadows {
            roots: [&self.tree.written, &self.tree.resolved],
            list,
            names: &names,
            deadline: self.disk.deadline,
            known: BTreeMap::new(),
        });
        for image in table.images() {
            match image.tie(&owner) {
                Some(Tie::Code) => {}
                Some(Tie::Copy(path)) => {
                    let path = image.exe().filter(|_| path.is_empty()).map_or(path, |exe| &exe.path);
                    let path = process::without_deleted(path).0;
                    self.loaded.older(program::shown(path, self.disk.prefix), OlderWhy::Copy);
                }
                Some(Tie::Unknown(why)) => {
                    unknown.get_or_insert(*why);
                    continue;
                }
                Some(Tie::Stranger(path)) => {
                    findings.push(program::stranger(path, self.disk.prefix));
                    continue;
                }
                None => continue,
            }
            let dates = kept.history.dates(image);
            let mut is_alive = false;
            for member in &image.members {
                is_alive |= self.member(member, &dates, &names, &mut views, kept);
            }
            if !is_alive {
                continue;
            }
            runs = true;
            if let Some(exe) =
                image.exe().filter(|_| image.inspected().is_some_and(|seen| self.spec.runs_another(seen)))
            {
                let path = process::without_deleted(&exe.path).0;
                self.loaded.older(program::shown(path, self.disk.prefix), OlderWhy::Held);
            }
            self.configurations(&dates, kept.history);
            self.loads(&dates, kept.history);
            if let Some(shadows) = &mut shadows {
                for path in
                    image.inspected().map(|seen| process::shadowed(seen, shadows, kept.index)).unwrap_or_default()
                {
                    self.loaded.older(self.disk.prefix.shown(&path), OlderWhy::Shadowed);
                }
                if let (Some(seen), Some(mapped)) = (image.inspected(), image.maps()) {
                    for path in process::called(&seen.libraries, mapped, shadows, kept.index) {
                        self.loaded.older(self.disk.prefix.shown(&path), OlderWhy::Shadowed);
                    }
                }
            }
            if let Some(why) = image.inspected().and_then(process::Inspected::libraries_unread) {
                self.not_seen(why);
            }
            trees.extend(kept.history.loaded_tree(&dates, &self.tree.written, &self.tree.scope));
        }
        if let Some(why) = unknown {
            self.not_seen(why);
        }
        let on_disk = if let TreeSeen::Digest(digest) = self.tree.seen { Some(digest) } else { None };
        let processes = match (runs, unknown) {
            (true, _) => ProcessesSeen::Running,
            (false, Some(why)) => ProcessesSeen::Unknown(why),
            (false, None) => ProcessesSeen::NotRunning,
        };
        let trees = trees.into_iter().filter(|tree| Some(*tree) != on_disk).take(TREES_MAX).collect();
        ProgramLoaded { processes, loaded: std::mem::take(&mut self.loaded), trees, findings }
    }

    /// Looks into one process. False if it has ended.
    fn member(
        &mut self,
        member: &Member,
        dates: &Dates<'_>,
        names: &process::Names,
        views: &mut Views,
        kept: &mut Kept<'_>,
    ) -> bool {
        let target = Target {
            spec: self.spec,
            tree: self.tree.opened(),
            names,
            outside: self.outside,
            limits: self.disk.limits,
            deadline: self.disk.deadline,
        };
        let Some(holding) = process::holding(member, &target, views, kept.index, kept.probe) else { return false };
        for why in &holding.unknown {
            self.not_seen(*why);
        }
        for path in &holding.other.tree {
            self.loaded.elsewhere.insert(String::from_utf8_lossy(path).into_owned());
        }
        for path in &holding.other.files {
            self.at(path, |gathered, shown| _ = gathered.elsewhere.insert(shown));
        }
        match tree_now(self.tree) {
            Some(now) => {
                let outside = &self.outside.files;
                let older = kept.history.older_tree(dates, &now, &holding.current, outside);
                self.older(older);
            }
            None if self.tree.tree.is_none() && !matches!(self.tree.seen, TreeSeen::Unknown(_)) => {
                // It runs and its tree is not there any more.
                let exe = self.spec.exe.as_ref().map_or(&self.spec.root, |exe| &exe.written);
                self.loaded.older(self.disk.prefix.shown(exe), OlderWhy::Held);
            }
            None => {
                let why = if let TreeSeen::Unknown(why) = self.tree.seen { why } else { Why::IoError };
                self.not_seen(why);
            }
        }
        self.older(holding.older);
        true
    }

    fn older(&mut self, older: BTreeMap<Vec<u8>, OlderWhy>) {
        for (path, why) in older {
            let at = Path::new(OsStr::from_bytes(&path));
            if path.is_empty() {
                self.loaded.older(self.disk.prefix.shown(&self.tree.written), why);
            } else if at.is_absolute() {
                self.at(at, |gathered, shown| gathered.older(shown, why));
            } else {
                self.loaded.older(program::shown(&path, self.disk.prefix), why);
            }
        }
    }

    /// Notes something of a file outside of the tree: with every configuration that has it and that the
    /// program reads, and with the requirement that names it; what is neither is the program's own.
    fn at(&mut self, path: &Path, mut note: impl FnMut(&mut Gathered, String)) {
        let mut is_others = false;
        for config in self.disk.concerning().filter(|config| reads(self.program, config)) {
            let has_layer = |read: &ConfigRead| read.layers.iter().any(|layer| layer.path == path);
            let is_named = config.files.iter().any(|pattern| names(&self.disk.prefix.on_host(pattern), path));
            if (is_named || self.disk.configs.get(&config.id).is_some_and(has_layer))
                && let Some(gathered) = self.all.readers.get_mut(&config.id)
            {
                note(gathered, self.disk.prefix.shown(path));
                is_others = true;
            }
        }
        if self.disk.required.contains_key(path) {
            let shown = self.disk.prefix.shown(path);
            note(self.all.files.entry(shown.clone()).or_default(), shown);
            is_others = true;
        }
        // A configuration that this program does not read is no concern of its.
        if !is_others && !self.is_another_s(path) {
            note(&mut self.loaded, self.disk.prefix.shown(path));
        }
    }

    fn is_another_s(&self, path: &Path) -> bool {
        let others = self.disk.baseline.configs.iter().filter(|config| !reads(self.program, config));
        let patterns = others.flat_map(|config| &config.files);
        patterns.map(|pattern| self.disk.prefix.on_host(pattern)).any(|pattern| names(&pattern, path))
    }

    /// Of a process nothing can be said, or not everything: that counts against all it may have read.
    fn not_seen(&mut self, why: Why) {
        let gap = Gap { what: self.program.id.to_string(), why };
        self.loaded.unknown.insert(gap.clone());
        for config in self.disk.concerning().filter(|config| reads(self.program, config)) {
            if let Some(gathered) = self.all.readers.get_mut(&config.id) {
                gathered.unknown.insert(gap.clone());
            }
        }
        if self.spec.exe.is_some() {
            for path in self.disk.required.keys() {
                let shown = self.disk.prefix.shown(path);
                self.all.files.entry(shown).or_default().unknown.insert(gap.clone());
            }
        }
    }

    fn configurations(&mut self, dates: &Dates<'_>, history: &mut History) {
        let read_at_start = |config: &&Config| config.reload == Reload::Restart && reads(self.program, config);
        for config in self.disk.concerning().filter(read_at_start) {
            let Some(read) = self.disk.configs.get(&config.id) else { continue };
            let patterns: Vec<PathBuf> = config.files.iter().map(|path| self.disk.prefix.on_host(path)).collect();
            let layers = read.layers.iter().filter_map(|layer| {
                let (digest, stamp) = layer.bytes.ok()?;
                Some(FileNow { path: &layer.path, digest, stamp })
            });
            let layers: Vec<FileNow<'_>> = layers.collect();
            let older = history.older_files(dates, &patterns, &layers);
            let Some(gathered) = self.all.readers.get_mut(&config.id) else { continue };
            for layer in &read.layers {
                if let Err(why) = layer.bytes {
                    gathered.unknown.insert(Gap { what: layer.file.clone(), why });
                }
            }
            for (path, why) in older {
                gathered.older(self.disk.prefix.shown(&path), why);
            }
        }
    }

    fn loads(&mut self, dates: &Dates<'_>, history: &mut History) {
        let Some(loads) = self.disk.loads.get(&self.program.id) else { return };
        let now = loads.files.iter().filter_map(|(path, read)| {
            let (digest, stamp) = (*read).ok()?;
            Some(FileNow { path, digest, stamp })
        });
        let now: Vec<FileNow<'_>> = now.collect();
        for (path, read) in &loads.files {
            if let Err(why) = read {
                self.loaded.unknown.insert(Gap { what: self.disk.prefix.shown(path), why: *why });
            }
        }
        for (path, why) in history.older_files(dates, &loads.patterns, &now) {
            self.loaded.older(self.disk.prefix.shown(&path), why);
        }
    }
}

/// Whether a program reads a configuration.
fn reads(program: &Program, config: &Config) -> bool {
    config.program.as_ref().is_none_or(|reader| *reader == program.id)
}

/// The digest of a file that a process executes, read through the process where it is its executable.
pub(super) fn content(
    pid: i32,
    file: &Executed,
    exe: bool,
    index: &RefCell<&mut Index>,
    bounds: Bounds,
) -> Option<Digest> {
    let path =
        if exe { PathBuf::from(format!("/proc/{pid}/exe")) } else { PathBuf::from(OsStr::from_bytes(&file.path)) };
    let stamp = Stamp::from(&rustix::fs::stat(&path).ok()?);
    process::digest(&path, &stamp, bounds, &mut index.borrow_mut()).ok()
}

/// Files that several programs have, by device and inode.
pub(super) fn shared(specs: &[Spec]) -> BTreeSet<Identity> {
    let mut shared = BTreeSet::new();
    for (at, one) in specs.iter().enumerate() {
        for other in specs.iter().skip(at + 1) {
            let (small, large) = if one.files.len() < other.files.len() { (one, other) } else { (other, one) };
            shared.extend(small.files.keys().filter(|file| large.files.contains_key(*file)).copied());
        }
    }
    shared
}
