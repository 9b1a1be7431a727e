//! One look at a host: every collector, under one baseline and one deadline.
//!
//! Synchronous, and reads only: it is run on a thread that may block. Equal hosts give equal
//! [`State`]s, byte for byte, whatever order a directory or `/proc` answers in.

mod config_file;
mod history;
mod in_force;
mod package;
mod prefix;
mod process;
mod read;
mod setting;
mod tree;
mod watch_set;
pub(crate) mod wildcard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use manifests::baseline::{Baseline, Concerns, Config, FactSource, Program, Reload, Requirement, Requires, Setting};
use manifests::digest::Digest;
use manifests::evidence::{
    COVERAGE_MAX, ConfigPrint, FINDINGS_MAX, FileSeen, FindingKind, Gap, InForceSeen, Loaded, ProgramSeen, SettingSeen,
    State, TreeSeen, Why,
};
use manifests::exclude::Globs;
use manifests::id::ItemId;
use manifests::registry::Host;
use manifests::tree::FileList;
use manifests::version::Version;

use config_file::{Cache, ConfigRead};
use history::History;
use in_force::{Asked, NoAnswer};
use prefix::Prefix;
pub use process::Processes;
use process::{Running, Spec, Table, Target};
use read::{Bounds, Index};
use setting::Sealer;
pub use tree::Scope;
pub use watch_set::WatchSet;

/// What one pass may take. Beyond it things are `unknown`, never left out.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries of one program's tree.
    pub tree_entries_max: usize,
    /// Bytes of one file of a tree.
    pub file_bytes_max: u64,
    /// How long the whole pass may take.
    pub pass_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tree_entries_max: manifests::tree::ENTRIES_MAX,
            file_bytes_max: 4 << 30, // 4 GiB
            pass_time: Duration::from_secs(120),
        }
    }
}

/// Looks at the host, and keeps between passes what makes an unchanged pass cheap.
pub struct Collector {
    sealer: Sealer,
    prefix: Prefix,
    index: Index,
    history: History,
    /// Filled by passes, which look at every process whatever the table knows.
    table: Table,
}

/// What one complete pass saw.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What appraisal reads.
    pub state: State,
    /// Fingerprints of every configuration that concerns the host, for the cover.
    pub configs: BTreeMap<ItemId, ConfigPrint>,
    /// File list of every program tree read, by its digest.
    pub lists: BTreeMap<Digest, Vec<u8>>,
    /// What was to be watched when the pass began.
    pub watch: WatchSet,
    /// The processes that were looked into.
    pub processes: Processes,
}

impl Collector {
    /// Nothing looked at yet. Sensitive values leave as digests keyed with `sensitive_key`. `prefix`
    /// is put before every absolute path of a baseline, and taken off again in evidence.
    pub fn new(sensitive_key: [u8; 32], prefix: Option<PathBuf>) -> Self {
        Self {
            sealer: Sealer::new(&sensitive_key),
            prefix: Prefix::new(prefix),
            index: Index::default(),
            history: History::default(),
            table: Table::default(),
        }
    }

    /// What has to be watched for `baseline` on `host`. Set the watch to it before the pass: then
    /// no change can fall between the two.
    pub fn watch_set(&self, baseline: &Baseline, host: Option<&Host>) -> WatchSet {
        let mut set = WatchSet::default();
        for program in &baseline.programs {
            set.tree(&self.prefix.on_host(&program.root), &Scope::new(&program.exclude));
            // An interpreter, say: when it is replaced the process runs an older one.
            if let Some(exe) = program.process.as_ref().filter(|process| Path::new(&process.exe).is_absolute()) {
                set.file(&self.prefix.on_host(&exe.exe));
            }
        }
        for config in baseline.configs.iter().filter(|config| concerns(&config.concerns, host)) {
            for file in &config.files {
                set.file(&self.prefix.on_host(file));
            }
        }
        let wanted = Wanted::of(baseline, host);
        for path in &wanted.files {
            set.file(&self.prefix.on_host(path));
        }
        if wanted.packages.values().any(|version| matches!(version, Version::Dpkg(_))) {
            set.file(&self.prefix.on_host(package::DPKG_STATUS));
        }
        set
    }

    /// One complete pass under `baseline`. `host` narrows by roles and sites what is collected;
    /// without it everything is. Facts, settings and configurations that do not concern the host are
    /// left out; programs are all looked at, since the presence of one elsewhere is a finding.
    pub fn pass(&mut self, baseline: &Baseline, host: Option<&Host>, limits: &Limits) -> Pass {
        let watch = self.watch_set(baseline, host);
        let deadline = read::deadline(limits.pass_time);
        let wanted = Wanted::of(baseline, host);
        let mut gaps = BTreeSet::new();

        let configs = Configs::read(baseline, host, &self.prefix, deadline);
        for config in configs.0.values() {
            for layer in &config.layers {
                self.history.saw(layer);
            }
            gaps.extend(config.gaps().map(|(what, why)| Gap { what, why }));
        }

        // Trees before processes: what a process is compared with must not be older than the look at it.
        let mut lists = BTreeMap::new();
        let mut trees = BTreeMap::new();
        for program in &baseline.programs {
            let seen = self.tree(program, limits, deadline);
            if let Some(why) = seen.gap() {
                gaps.insert(Gap { what: program.root.clone(), why });
            }
            for (path, why) in seen.tree.iter().flat_map(|tree| &tree.gaps) {
                gaps.insert(Gap { what: shown(&program.root, path), why: *why });
            }
            if let (TreeSeen::Digest(digest), Some(tree)) = (&seen.seen, &seen.tree) {
                lists.entry(*digest).or_insert_with(|| tree.list.to_bytes());
            }
            trees.insert(&program.id, seen);
        }

        let specs: Vec<Spec> = self.specs(baseline);
        let running = self.table.all(&specs);
        if running.is_err() {
            gaps.insert(Gap { what: "/proc".to_owned(), why: Why::ProcessUnreadable });
        }
        let mut programs = BTreeMap::new();
        for program in &baseline.programs {
            let Some(seen) = trees.remove(&program.id) else { continue };
            let configs = configs.read_by(baseline, program);
            let look = ProgramLook { program, seen, limits, deadline, configs, prefix: &self.prefix };
            let spec = specs.iter().find(|spec| spec.program == program.id);
            let running = running.as_deref().map_err(|_| Why::ProcessUnreadable);
            programs.insert(program.id.clone(), look.finish(spec, running, &mut self.index, &mut self.history));
        }

        let mut state = State { programs, ..State::default() };
        state.settings = self.settings(baseline, host, &configs, &state.programs, deadline);
        for fact in &baseline.facts {
            if let FactSource::Config { config, key } = &fact.source
                && let Some(read) = configs.0.get(config)
            {
                state.facts.insert(fact.id.clone(), setting::fact(fact, key, read));
            }
        }
        let mut prints = BTreeMap::new();
        for config in &baseline.configs {
            let Some(read) = configs.0.get(&config.id) else { continue };
            let sensitive = baseline.settings.iter().filter(|s| s.sensitive && s.config == config.id);
            let sealed = sensitive.map(|setting| setting.key.as_str()).collect();
            prints.insert(config.id.clone(), setting::print(config, read, &sealed, &self.sealer));
            if !config.pinned.is_empty() {
                state.configs.insert(config.id.clone(), setting::content(read, &self.prefix));
            }
        }
        for path in wanted.files {
            let seen = self.file(path, limits, deadline);
            if let FileSeen::Unknown(why) = seen {
                gaps.insert(Gap { what: path.to_owned(), why });
            }
            state.files.insert(path.to_owned(), seen);
        }
        state.packages = package::look(&wanted.packages, &self.prefix.on_host(package::DPKG_STATUS));
        state.coverage = gaps.into_iter().take(COVERAGE_MAX).collect();

        self.index.end_pass();
        self.history.end_pass();
        let processes = Processes::of(&running.unwrap_or_default());
        Pass { state, configs: prints, lists, watch, processes }
    }

    /// Which processes of the baseline's programs run now; cheap enough to ask twice a second. A
    /// difference to [`Pass::processes`] asks for a new pass. None where `/proc` cannot be read.
    ///
    /// A process that was there for ten calls before it became one of a program by `exec` is seen
    /// when its turn comes (32 processes a call), and by the next pass at the latest.
    pub fn processes(&mut self, baseline: &Baseline) -> Processes {
        let specs: Vec<Spec> = self.specs(baseline);
        self.table.poll(&specs).unwrap_or_default()
    }

    fn specs(&self, baseline: &Baseline) -> Vec<Spec> {
        baseline.programs.iter().filter_map(|program| Spec::new(program, &self.prefix)).collect()
    }

    fn tree(&mut self, program: &Program, limits: &Limits, deadline: Instant) -> TreeRead {
        let scope = Scope::new(&program.exclude);
        let written = self.prefix.on_host(&program.root);
        let resolved = std::fs::canonicalize(&written).unwrap_or_else(|_| written.clone());
        match tree::open_root(&resolved) {
            Ok(root) => {
                let tree = tree::look(&root, &scope, &mut self.index, limits, deadline);
                let seen = tree.digest().map_or_else(TreeSeen::Unknown, TreeSeen::Digest);
                TreeRead { written, resolved, scope, seen, root: Some(root), tree: Some(tree) }
            }
            Err(errno) => {
                // A file where the tree should be is not nothing.
                let why = if std::fs::metadata(&written).is_ok_and(|m| !m.is_dir()) {
                    Why::NotAFile
                } else {
                    read::why(errno)
                };
                let seen = if why == Why::FileAbsent { TreeSeen::Absent } else { TreeSeen::Unknown(why) };
                TreeRead { written, resolved, scope, seen, root: None, tree: None }
            }
        }
    }

    fn file(&mut self, path: &str, limits: &Limits, deadline: Instant) -> FileSeen {
        let bounds = Bounds { bytes_max: limits.file_bytes_max, deadline };
        let path = self.prefix.on_host(path);
        if let Some(digest) = rustix::fs::stat(&path).ok().and_then(|stat| self.index.digest(&(&stat).into())) {
            return FileSeen::Digest(digest);
        }
        match read::twice(|| read::digest(read::open_file(&path)?, bounds)) {
            Ok(digested) => {
                self.index.keep(&digested);
                FileSeen::Digest(digested.digest)
            }
            Err(Why::FileAbsent) => FileSeen::Absent,
            Err(why) => FileSeen::Unknown(why),
        }
    }

    fn settings(
        &self,
        baseline: &Baseline,
        host: Option<&Host>,
        configs: &Configs,
        programs: &BTreeMap<ItemId, ProgramSeen>,
        deadline: Instant,
    ) -> BTreeMap<ItemId, SettingSeen> {
        let mut asked = Asked::default();
        let mut settings = BTreeMap::new();
        for setting in baseline.settings.iter().filter(|setting| concerns(&setting.concerns, host)) {
            let (Some(config), Some(read)) = (baseline.config(&setting.config), configs.0.get(&setting.config)) else {
                continue;
            };
            let value = setting::value(setting, config, read, &self.sealer);
            let in_force = in_force(setting, config, programs, &mut asked, deadline);
            settings.insert(setting.id.clone(), SettingSeen { value, in_force });
        }
        settings
    }
}

/// Whether an item concerns the host by role and site. Its `when` is the appraiser's to judge.
fn concerns(concerns: &Concerns, host: Option<&Host>) -> bool {
    host.is_none_or(|host| {
        (concerns.roles.is_empty() || concerns.roles.iter().any(|role| host.roles.contains(role)))
            && (concerns.sites.is_empty() || concerns.sites.contains(host.id.site()))
    })
}

/// `root/path`, bytes that are not UTF-8 replaced.
fn shown(root: &str, path: &[u8]) -> String {
    if path.is_empty() { root.to_owned() } else { format!("{root}/{}", String::from_utf8_lossy(path)) }
}

/// The value in force, where the baseline says how to ask.
fn in_force(
    setting: &Setting,
    config: &Config,
    programs: &BTreeMap<ItemId, ProgramSeen>,
    asked: &mut Asked,
    deadline: Instant,
) -> Option<InForceSeen> {
    let at = setting.in_force.as_ref()?;
    if setting.sensitive || config.sensitive {
        // Evidence has no sealed form of a value in force, and it must not leave in clear.
        return Some(InForceSeen::Unknown(Why::Unsupported));
    }
    let runs = |program: &ProgramSeen| program.loaded != Loaded::NotRunning;
    if config.program.as_ref().and_then(|program| programs.get(program)).is_some_and(|program| !runs(program)) {
        return Some(InForceSeen::NotRunning);
    }
    Some(match asked.value(at, deadline) {
        Ok(value) => InForceSeen::Value(value),
        Err(NoAnswer::Refused) if !programs.values().any(runs) => InForceSeen::NotRunning,
        Err(NoAnswer::Refused) => InForceSeen::Unknown(Why::NotAnswering),
        Err(NoAnswer::Because(why)) => InForceSeen::Unknown(why),
    })
}

/// What requirements of fixes name, of those that concern the host.
struct Wanted<'a> {
    files: BTreeSet<&'a str>,
    packages: BTreeMap<&'a str, &'a Version>,
}

impl<'a> Wanted<'a> {
    fn of(baseline: &'a Baseline, host: Option<&Host>) -> Self {
        let mut wanted = Self { files: BTreeSet::new(), packages: BTreeMap::new() };
        for fix in baseline.fixes.iter().filter(|fix| concerns(&fix.concerns, host)) {
            let Requires::All(requirements) = &fix.requires else { continue };
            for requirement in requirements {
                match requirement {
                    Requirement::File { path, .. } => _ = wanted.files.insert(path),
                    Requirement::Package { package, at_least } => _ = wanted.packages.insert(package, at_least),
                    Requirement::Program { .. } | Requirement::Setting(_) => {}
                }
            }
        }
        wanted
    }
}

/// Configurations that concern the host, each read once.
struct Configs(BTreeMap<ItemId, ConfigRead>);

impl Configs {
    fn read(baseline: &Baseline, host: Option<&Host>, prefix: &Prefix, deadline: Instant) -> Self {
        let mut cache = Cache::default();
        let concerned = baseline.configs.iter().filter(|config| concerns(&config.concerns, host));
        Self(
            concerned
                .map(|config| (config.id.clone(), ConfigRead::new(config, prefix, &mut cache, deadline)))
                .collect(),
        )
    }

    /// Configurations that `program` reads: its own, and those that name no program.
    fn read_by<'a>(&'a self, baseline: &'a Baseline, program: &Program) -> Vec<(&'a Config, &'a ConfigRead)> {
        let is_read = |config: &&Config| config.program.as_ref().is_none_or(|reader| *reader == program.id);
        let configs = baseline.configs.iter().filter(is_read);
        configs.filter_map(|config| Some((config, self.0.get(&config.id)?))).collect()
    }
}

/// A program's tree as it was read.
struct TreeRead {
    written: PathBuf,
    resolved: PathBuf,
    scope: Scope,
    seen: TreeSeen,
    root: Option<std::os::fd::OwnedFd>,
    tree: Option<tree::Tree>,
}

impl TreeRead {
    /// The root, if it is there and could not be opened.
    fn gap(&self) -> Option<Why> {
        match (&self.root, &self.seen) {
            (None, TreeSeen::Unknown(why)) => Some(*why),
            _ => None,
        }
    }
}

/// A program's tree and what its processes are compared with.
struct ProgramLook<'a> {
    program: &'a Program,
    seen: TreeRead,
    limits: &'a Limits,
    deadline: Instant,
    configs: Vec<(&'a Config, &'a ConfigRead)>,
    prefix: &'a Prefix,
}

impl ProgramLook<'_> {
    fn finish(
        self,
        spec: Option<&Spec>,
        running: Result<&[Running], Why>,
        index: &mut Index,
        history: &mut History,
    ) -> ProgramSeen {
        let findings = self.seen.tree.as_ref().map(|tree| tree.findings.clone()).unwrap_or_default();
        let loaded = match (spec, running) {
            (None, _) => Loaded::NotRunning,
            (Some(_), Err(why)) => Loaded::Unknown(why),
            (Some(spec), Ok(running)) => {
                let running: Vec<_> = running.iter().filter(|r| r.program == self.program.id).collect();
                self.loaded(spec, &running, index, history)
            }
        };
        let findings = findings.into_iter().take(FINDINGS_MAX).collect();
        ProgramSeen { tree: self.seen.seen, loaded, findings }
    }

    fn loaded(&self, spec: &Spec, running: &[&Running], index: &mut Index, history: &mut History) -> Loaded {
        let list = self.seen.tree.as_ref().map(|tree| Arc::new(tree.list.clone()));
        let layers = self.configs.iter().flat_map(|(_, read)| &read.layers);
        let files: Vec<_> = layers.filter_map(|layer| Some((layer.path.as_path(), layer.bytes.ok()?.0))).collect();
        let mut older = BTreeSet::new();
        let mut elsewhere = BTreeSet::new();
        let mut unknown = BTreeSet::new();
        let mut alive = false;
        for running in running {
            let process = (running.pid, running.start);
            if let (Some(root), Some(tree), Some(list)) = (&self.seen.root, &self.seen.tree, &list) {
                let target = Target {
                    roots: [&self.seen.written, &self.seen.resolved],
                    exe: spec.written(),
                    root,
                    tree,
                    scope: &self.seen.scope,
                    files: &files,
                    limits: self.limits,
                    deadline: self.deadline,
                };
                let Some(look) = process::look(running, &target, index) else { continue };
                unknown.extend(look.unknown);
                elsewhere.extend(look.other.iter().map(|path| String::from_utf8_lossy(path).into_owned()));
                elsewhere.extend(look.other_files.iter().map(|path| self.prefix.shown(path)));
                // A list with gaps would make what it lacks look changed.
                if tree.gaps.is_empty() {
                    let changed = history.changed_files(process, &self.seen.written, &self.seen.scope, list);
                    let read_before = changed.difference(&look.current);
                    older.extend(read_before.map(|path| String::from_utf8_lossy(path).into_owned()));
                }
                older.extend(look.older.iter().map(|path| String::from_utf8_lossy(path).into_owned()));
            } else {
                // It runs and its tree is not there any more, or cannot be read.
                match self.seen.seen {
                    TreeSeen::Unknown(why) => _ = unknown.insert(why),
                    _ => _ = older.insert(self.prefix.shown(spec.written())),
                }
            }
            alive = true;
            for (config, read) in self.configs.iter().filter(|(config, _)| config.reload == Reload::Restart) {
                unknown.extend(read.layers.iter().filter_map(|layer| layer.bytes.err()));
                let layer = history.older_layer(process, &config.files, &read.layers);
                older.extend(layer.map(|path| self.prefix.shown(&path)));
            }
        }
        // What is known to be wrong before what is not known.
        if let Some(file) = elsewhere.pop_first() {
            Loaded::Elsewhere { file }
        } else if let Some(file) = older.pop_first() {
            Loaded::Older { file }
        } else if let Some(why) = unknown.pop_first() {
            Loaded::Unknown(why)
        } else if alive {
            Loaded::Current
        } else {
            Loaded::NotRunning
        }
    }
}

/// Why a tree cannot be captured as a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// An entry, or the root itself, could not be read.
    #[error("{} could not be read: {}", path.display(), code(why))]
    Unread {
        /// The entry.
        path: PathBuf,
        /// Why.
        why: Why,
    },
    /// An entry is a FIFO, socket or device, which no release has.
    #[error("{} is a FIFO, socket or device: remove or exclude it", path.display())]
    Special {
        /// The entry.
        path: PathBuf,
    },
}

/// A reason's code, as evidence writes it.
fn code(why: &Why) -> String {
    serde_json::to_value(why).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The file list of the tree at `path`, for a release manager: all of it or an error. Takes as long
/// as it takes.
///
/// # Errors
/// [`CaptureError`] names the first entry in byte order that is special or could not be read.
pub fn capture(path: &Path, exclude: &Globs) -> Result<FileList, CaptureError> {
    const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let unread = |why| CaptureError::Unread { path: path.to_owned(), why };
    let root = tree::open_root(path).map_err(|errno| unread(read::why(errno)))?;
    let limits = Limits { file_bytes_max: u64::MAX, pass_time: A_DAY, ..Limits::default() };
    let deadline = read::deadline(limits.pass_time);
    let seen = tree::look(&root, &Scope::new(exclude), &mut Index::default(), &limits, deadline);
    if let Some((entry, why)) = seen.gaps.first_key_value() {
        let entry: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(entry);
        return Err(CaptureError::Unread { path: path.join(entry), why: *why });
    }
    if let Some(finding) = seen.findings.iter().find(|finding| finding.kind == FindingKind::SpecialFile) {
        return Err(CaptureError::Special { path: path.join(&finding.path) });
    }
    Ok(seen.list)
}
