//! One look at a host: every collector, under one baseline and one deadline.
//!
//! Synchronous, and reads only: it is run on a thread that may block. Equal hosts give equal
//! [`State`]s, byte for byte, whatever order a directory or `/proc` answers in.

mod capture;
mod config_file;
mod history;
mod in_force;
mod index;
mod package;
mod prefix;
mod process;
mod program;
mod read;
mod remembered;
mod setting;
mod tree;
mod unclear;
mod wanted;
mod watch_set;
pub(crate) mod wildcard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use manifests::baseline::{Baseline, Config, FactSource, Program, Setting};
use manifests::digest::Digest;
use manifests::evidence::{
    COVERAGE_MAX, ConfigPrint, FileSeen, Gap, Held, InForceSeen, ProcessesSeen, ProgramSeen, SettingSeen, State,
    TreeSeen, Why,
};
use manifests::id::ItemId;
use manifests::registry::Host;
use manifests::tree::FileList;
use manifests::version::Version;

pub use capture::{CaptureError, capture};
use config_file::{Cache, ConfigRead};
pub use config_file::{Heard, Said};
use history::History;
use in_force::{Asked, NoAnswer};
use index::Index;
use prefix::Prefix;
pub use process::Processes;
use process::{Spec, Table};
use program::{ProgramLook, TreeRead};
use read::Bounds;
use remembered::Remembered;
use setting::Sealer;
pub use tree::Scope;
pub use unclear::{Cause, Unclear, unclear};
use wanted::{Wanted, concerns};
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
    /// What configuration files said in the last pass.
    configs: Cache,
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
            configs: Cache::default(),
            table: Table::default(),
        }
    }

    /// What is known of running processes in the boot `boot_id`, as JSON, with the file lists that it
    /// names: to be kept, and given to [`Collector::recall`] at the next start.
    pub fn remembered(&self, boot_id: &str) -> (Vec<u8>, BTreeMap<Digest, Arc<FileList>>) {
        let mut lists = BTreeMap::new();
        let processes = self.history.remembered(&mut lists);
        let remembered = Remembered { boot_id: boot_id.to_owned(), running: self.table.remembered(), processes };
        // Names of files are the only keys, and they are texts.
        (serde_json::to_vec(&remembered).unwrap_or_default(), lists)
    }

    /// Takes up what was kept, if it is of the boot `boot_id`. `list` brings a file list's bytes.
    ///
    /// # Errors
    /// If the JSON is damaged, or a list that it names is not there or another: nothing is taken up then.
    pub fn recall<E: std::fmt::Display>(
        &mut self,
        kept: &[u8],
        boot_id: &str,
        mut list: impl FnMut(&Digest) -> Result<Vec<u8>, E>,
    ) -> Result<(), String> {
        let remembered: Remembered = serde_json::from_slice(kept).map_err(|error| error.to_string())?;
        if remembered.boot_id != boot_id {
            return Ok(());
        }
        let mut lists = BTreeMap::new();
        for digest in remembered.processes.iter().flat_map(|process| &process.trees).map(|tree| tree.list) {
            if let std::collections::btree_map::Entry::Vacant(entry) = lists.entry(digest) {
                let bytes = list(&digest).map_err(|error| error.to_string())?;
                let parsed = FileList::parse(&bytes).ok().filter(|_| Digest::of(&bytes) == digest);
                entry.insert(Arc::new(parsed.ok_or_else(|| format!("file list {digest} is damaged"))?));
            }
        }
        self.table.recall(remembered.running);
        self.history.recall(remembered.processes, &lists);
        Ok(())
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
        let deadline = read::deadline(limits.pass_time);
        let wanted = Wanted::of(baseline, host);
        let mut gaps = BTreeSet::new();
        self.history.begin_pass();

        let configs = Configs::read(baseline, host, &self.prefix, &mut self.configs, deadline);
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
            let seen = TreeRead::new(program, &self.prefix, &mut self.index, limits, deadline);
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

        let mut files = BTreeMap::new();
        let mut required = BTreeMap::new();
        for path in wanted.files {
            let seen = self.file(path, limits, deadline);
            match seen {
                FileSeen::Unknown(why) => _ = gaps.insert(Gap { what: path.to_owned(), why }),
                FileSeen::Digest(digest) => _ = required.insert(self.prefix.on_host(path), digest),
                FileSeen::Absent => {}
            }
            files.insert(path.to_owned(), seen.into());
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
            let look =
                ProgramLook { program, seen, limits, deadline, configs, required: &required, prefix: &self.prefix };
            let spec = specs.iter().find(|spec| spec.program == program.id);
            let running = running.as_deref().map_err(|_| Why::ProcessUnreadable);
            programs.insert(program.id.clone(), look.finish(spec, running, &mut self.index, &mut self.history));
        }

        let mut readers = BTreeMap::new();
        for config in baseline.configs.iter().filter(|config| config.reload == manifests::baseline::Reload::Restart) {
            if configs.0.contains_key(&config.id) {
                let read_by = |(id, _): &(&ItemId, &ProgramSeen)| config.program.as_ref().is_none_or(|p| p == *id);
                let mut held = Held::default();
                for (_, seen) in programs.iter().filter(read_by) {
                    held.older.extend(seen.loaded.older.clone());
                    held.elsewhere.extend(seen.loaded.elsewhere.clone());
                    held.unknown.extend(seen.loaded.unknown.clone());
                }
                readers.insert(config.id.clone(), held);
            }
        }
        let mut state = State { programs, files, readers, ..State::default() };
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
        state.packages = package::look(&wanted.packages, &self.prefix.on_host(package::DPKG_STATUS));
        state.coverage = gaps.into_iter().take(COVERAGE_MAX).collect();

        self.index.end_pass();
        self.history.end_pass();
        let processes = Processes::of(&running.unwrap_or_default());
        Pass { state, configs: prints, lists, processes }
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
            let in_force = in_force(baseline, setting, config, programs, &mut asked, deadline);
            settings.insert(setting.id.clone(), SettingSeen { value, in_force });
        }
        settings
    }
}

/// `root/path`, bytes that are not UTF-8 replaced.
fn shown(root: &str, path: &[u8]) -> String {
    if path.is_empty() { root.to_owned() } else { format!("{root}/{}", String::from_utf8_lossy(path)) }
}

/// The value in force, where the baseline says how to ask.
fn in_force(
    baseline: &Baseline,
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
    // Of a program that names no process nobody can say that it does not run.
    let named = |program: &&Program| config.program.as_ref().is_none_or(|id| *id == program.id);
    let with_process = baseline.programs.iter().filter(named).filter(|program| program.process.is_some());
    let processes: Vec<_> = with_process.filter_map(|program| Some(programs.get(&program.id)?.processes)).collect();
    let is_stopped = !processes.is_empty() && processes.iter().all(|seen| *seen == ProcessesSeen::NotRunning);
    if config.program.is_some() && is_stopped {
        return Some(InForceSeen::NotRunning);
    }
    Some(match asked.value(at, deadline) {
        Ok(value) => InForceSeen::Value(value),
        Err(NoAnswer::Refused) if is_stopped => InForceSeen::NotRunning,
        Err(NoAnswer::Refused) => InForceSeen::Unknown(Why::NotAnswering),
        Err(NoAnswer::Because(why)) => InForceSeen::Unknown(why),
    })
}

/// Configurations that concern the host, each read once.
struct Configs(BTreeMap<ItemId, ConfigRead>);

impl Configs {
    fn read(baseline: &Baseline, host: Option<&Host>, prefix: &Prefix, cache: &mut Cache, deadline: Instant) -> Self {
        cache.begin_pass();
        let concerned = baseline.configs.iter().filter(|config| concerns(&config.concerns, host));
        let read =
            concerned.map(|config| (config.id.clone(), ConfigRead::new(config, prefix, cache, deadline))).collect();
        cache.end_pass();
        Self(read)
    }

    /// Configurations that `program` reads: its own, and those that name no program.
    fn read_by<'a>(&'a self, baseline: &'a Baseline, program: &Program) -> Vec<(&'a Config, &'a ConfigRead)> {
        let is_read = |config: &&Config| config.program.as_ref().is_none_or(|reader| *reader == program.id);
        let configs = baseline.configs.iter().filter(is_read);
        configs.filter_map(|config| Some((config, self.0.get(&config.id)?))).collect()
    }
}
