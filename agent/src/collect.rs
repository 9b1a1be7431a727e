//! One look at a host: every collector, under one baseline and one deadline.
//!
//! Synchronous, and reads only: it is run on a thread that may block. Equal hosts give equal
//! [`State`]s, byte for byte, whatever order a directory or `/proc` answers in.

mod capture;
mod config_file;
mod followed;
mod history;
mod in_force;
mod index;
mod journal;
mod loaded;
mod package;
mod prefix;
mod process;
mod program;
mod read;
mod remembered;
mod setting;
mod stamp;
mod tree;
mod unclear;
mod wanted;
mod watch_set;
mod way;
pub(crate) mod wildcard;
mod witness;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use manifests::baseline::{Baseline, Config, FactSource, Program, Setting};
use manifests::digest::Digest;
use manifests::evidence::{
    COVERAGE_MAX, ConfigPrint, FINDINGS_MAX, FileSeen, Finding, Gap, InForceSeen, ProcessesSeen, ProgramSeen,
    RequiredFile, SettingSeen, State, TreeSeen, Why,
};
use manifests::id::ItemId;
use manifests::registry::{Host, ProcessView};
use manifests::tree::FileList;
use manifests::version::Version;

pub use capture::{CaptureError, Captured, capture, links_out};
use config_file::{Cache, ConfigRead};
pub use config_file::{Heard, Said};
use followed::Followed;
use history::History;
use in_force::{Asked, NoAnswer};
use index::Index;
pub use journal::{Happened, Journal};
use loaded::{Disk, Kept, Loads};
use prefix::Prefix;
use process::{Owner, Probe, Recalled, Spec, Table};
pub use process::{Processes, Unseen};
use program::{KnownNames, TreeRead};
use read::Bounds;
use remembered::{KnownImage, Name, OwnerRecord, Remembered, VERSION};
use setting::Sealer;
pub use tree::Scope;
pub use unclear::{Cause, Unclear, unclear};
use wanted::{Wanted, concerns};
pub use watch_set::WatchSet;
use way::{Mount, Mounts};

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

/// What another baseline asked for is remembered over so many passes.
const PASSES_IN_TURN: u32 = 4;

/// Looks at the host, and keeps between passes what makes an unchanged pass cheap.
pub struct Collector {
    sealer: Sealer,
    prefix: Prefix,
    index: Index,
    history: History,
    /// What configuration files said in the last pass.
    configs: Cache,
    followed: Followed,
    table: Table,
    /// What tells programs' images from others, as the newest passes saw them: two baselines may be looked
    /// at in turn. With the pass that saw them last.
    specs: Vec<Spec>,
    specified: Vec<u32>,
    pass: u32,
    /// Files that several programs have.
    shared: BTreeSet<process::Identity>,
    names: KnownNames,
    probe: Probe,
}

/// What one complete pass saw.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What appraisal reads.
    pub state: State,
    /// Fingerprints of every configuration that concerns the host, for the cover.
    pub configs: BTreeMap<ItemId, ConfigPrint>,
    /// File list of every program tree read, by its digest.
    pub lists: BTreeMap<Digest, Arc<Vec<u8>>>,
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
            followed: Followed::default(),
            table: Table::default(),
            specs: Vec::new(),
            specified: Vec::new(),
            pass: 0,
            shared: BTreeSet::new(),
            names: KnownNames::default(),
            probe: Probe::default(),
        }
    }

    /// What the watch tells is noted here.
    pub fn journal(&self) -> Journal {
        self.history.journal().clone()
    }

    /// Why not every process of the host can be seen.
    pub fn unseen(&self) -> Option<Unseen> {
        self.table.unseen()
    }

    /// What is known of running processes in the boot `boot_id`, as JSON, with the file lists that it
    /// names: to be kept, and given to [`Collector::recall`] at the next start.
    pub fn remembered(&self, boot_id: &str) -> (Vec<u8>, BTreeMap<Digest, Arc<FileList>>) {
        let mut lists = BTreeMap::new();
        let mut loaded = self.history.remembered(&mut lists);
        let images = self.table.images().filter(|image| image.owners().next().is_some()).map(|image| {
            let owner = |(owner, is_copy): (&Owner, bool)| OwnerRecord {
                program: owner.program.clone(),
                root: Name::of(&owner.root),
                interpreter: owner.interpreter.as_ref().map(|(exe, args)| (Name::of(exe), args.clone())),
                is_copy,
            };
            KnownImage {
                key: image.key.into(),
                since_ns: i64::try_from(image.since_ns).unwrap_or(0),
                owners: image.owners().map(owner).collect(),
                loaded: loaded.remove(&image.key).unwrap_or_default(),
            }
        });
        let images = images.collect();
        let (mounts, offsets) = self.history.surroundings();
        let whole = |ns: i128| i64::try_from(ns).unwrap_or(i64::MAX);
        let (gone, gone_lost) = mounts.gone();
        let mounts = mounts.known().map(|(mount, since_ns)| {
            let (id, device, root, point) = mount.parts();
            (id, device, Name(root.to_vec()), Name::of(point), whole(since_ns))
        });
        let remembered = Remembered {
            version: VERSION,
            boot_id: boot_id.to_owned(),
            images,
            mounts: mounts.collect(),
            gone: gone.map(|(point, gone_ns)| (Name::of(point), whole(gone_ns))).collect(),
            gone_lost: whole(gone_lost),
            offsets: offsets.into_iter().map(|(at, offset)| (whole(at), whole(offset))).collect(),
        };
        let named = remembered.lists();
        lists.retain(|digest, _| named.contains(digest));
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
        let remembered = Remembered::read(kept, process::running_image)?;
        if remembered.boot_id != boot_id {
            return Ok(());
        }
        let mut lists = BTreeMap::new();
        for digest in remembered.lists() {
            let bytes = list(&digest).map_err(|error| error.to_string())?;
            let parsed = FileList::parse(&bytes).ok().filter(|_| Digest::of(&bytes) == digest);
            lists.insert(digest, Arc::new(parsed.ok_or_else(|| format!("file list {digest} is damaged"))?));
        }
        let mut images = BTreeMap::new();
        for image in remembered.images {
            let owner = |record: OwnerRecord| {
                let interpreter = record.interpreter.map(|(exe, args)| (exe.path(), args));
                (Owner { program: record.program, root: record.root.path(), interpreter }, record.is_copy)
            };
            let owners = image.owners.into_iter().map(owner).collect();
            images.insert(image.key.into(), Recalled { since_ns: i128::from(image.since_ns), owners });
            self.history.recall(image.key.into(), image.loaded, &lists);
        }
        self.table.recall(images);
        let mounts = remembered.mounts.into_iter().map(|(id, device, root, point, since_ns)| {
            (Mount::from_parts(id, device, root.0, point.path()), i128::from(since_ns))
        });
        let offsets = remembered.offsets.into_iter().map(|(at, offset)| (i128::from(at), i128::from(offset)));
        let gone = remembered.gone.into_iter().map(|(point, gone_ns)| (point.path(), i128::from(gone_ns)));
        let mounts = Mounts::recalled(mounts, gone, i128::from(remembered.gone_lost));
        self.history.recall_surroundings(mounts, offsets.collect());
        Ok(())
    }

    /// What has to be watched for `baseline` on `host`. Set the watch to it before the pass: then
    /// no change can fall between the two. Which links lead out of a tree only a pass can tell: ask again
    /// behind it, and make another one where the answer is another.
    pub fn watch_set(&self, baseline: &Baseline, host: Option<&Host>) -> WatchSet {
        let mut set = WatchSet::default();
        for program in &baseline.programs {
            let (root, scope) = (self.prefix.on_host(&program.root), scope(program));
            self.followed.watch(&root, &scope, &mut set);
            // An interpreter, say: when it is replaced the process runs an older one. One of the tree may be a
            // link to somewhere else.
            if let Some(process) = &program.process {
                let exe = Path::new(&process.exe);
                set.file(&if exe.is_absolute() { self.prefix.on_host(exe) } else { root.join(exe) });
            }
        }
        for path in baseline.programs.iter().flat_map(|program| &program.loads) {
            set.file(&self.prefix.on_host(path));
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
            let status = self.prefix.on_host(package::DPKG_STATUS);
            set.file(&status);
            for pattern in package::DPKG_UPDATES {
                set.file(&package::updates_of(&status).join(pattern));
            }
        }
        set
    }

    /// One complete pass under `baseline`. `host` narrows by roles and sites what is collected;
    /// without it everything is. Facts, settings and configurations that do not concern the host are
    /// left out; programs are all looked at, since the presence of one elsewhere is a finding.
    ///
    /// `settle` is called once everything was read and before it is compared with processes: what the watch
    /// has told until then must be in the [`Collector::journal`] when it returns.
    pub fn pass(&mut self, baseline: &Baseline, host: Option<&Host>, limits: &Limits, settle: &dyn Fn()) -> Pass {
        let deadline = read::deadline(limits.pass_time);
        let wanted = Wanted::of(baseline, host);
        let mut gaps = BTreeSet::new();
        // Processes that are there already cannot have read anything older than what is read below.
        let _ = self.refresh(true, limits, deadline);
        self.history.begin_pass();
        self.index.begin_pass();
        // Of a file that a process can write to through its memory no time tells.
        self.index.distrust(self.table.writable());

        let configs = Configs::read(baseline, host, &self.prefix, &mut self.configs, deadline);
        for config in configs.0.values() {
            for layer in &config.layers {
                self.history.saw(&layer.path, layer.bytes.ok());
            }
            gaps.extend(config.gaps().map(|(what, why)| Gap { what, why }));
        }
        let loads: BTreeMap<ItemId, Loads> = baseline
            .programs
            .iter()
            .map(|program| (program.id.clone(), self.loads(program, limits, deadline, &mut gaps)))
            .collect();

        // Trees before processes: what a process is compared with must not be older than the look at it.
        let mut lists = BTreeMap::new();
        let mut trees = BTreeMap::new();
        for program in &baseline.programs {
            let mut seen = TreeRead::new(program, &self.prefix, &mut self.index, limits, deadline);
            let followed = seen.tree.as_ref().map(|tree| tree.followed.clone()).unwrap_or_default();
            self.followed.note(&self.prefix.on_host(&program.root), &scope(program), followed);
            if let Some(why) = seen.gap() {
                gaps.insert(Gap { what: program.root.clone(), why });
            }
            for (path, why) in seen.tree.iter().flat_map(|tree| &tree.gaps) {
                gaps.insert(Gap { what: shown(&program.root, path), why: *why });
            }
            if let (TreeSeen::Digest(digest), Some(bytes)) = (&seen.seen, seen.bytes.take()) {
                lists.entry(*digest).or_insert_with(|| Arc::new(bytes));
            }
            trees.insert(program.id.clone(), seen);
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
            files.insert(path.to_owned(), seen);
        }

        self.specify(baseline, &mut trees);
        settle();
        let listed = self.refresh(true, limits, deadline).map_err(|_| Why::ProcessUnreadable);
        let is_container = host.is_some_and(|host| host.processes == ProcessView::Container);
        let unseen = self.table.unseen().filter(|_| !is_container).map(|_| Why::ProcessUnreadable);
        let unseen = listed.err().or(unseen);
        if unseen.is_some() {
            gaps.insert(Gap { what: "/proc".to_owned(), why: Why::ProcessUnreadable });
        }
        let disk = Disk {
            baseline,
            prefix: &self.prefix,
            limits,
            deadline,
            configs: &configs.0,
            required: &required,
            loads: &loads,
            trees: &trees,
            specs: &self.specs,
        };
        let mut kept = Kept {
            history: &mut self.history,
            index: &mut self.index,
            table: &self.table,
            names: &mut self.names,
            probe: &mut self.probe,
        };
        let mut loaded = disk.compare(&mut kept, unseen);

        let mut state = State::default();
        for program in &baseline.programs {
            let (Some(read), Some(seen)) = (trees.get(&program.id), loaded.programs.remove(&program.id)) else {
                continue;
            };
            let findings = read.tree.iter().flat_map(|tree| tree.findings.iter().cloned());
            let findings: BTreeSet<Finding> = findings.chain(seen.findings).collect();
            let seen = ProgramSeen {
                tree: read.seen.clone(),
                processes: seen.processes,
                loaded: seen.loaded.held(),
                trees: seen.trees,
                findings: findings.into_iter().take(FINDINGS_MAX).collect(),
            };
            state.programs.insert(program.id.clone(), seen);
        }
        state.readers = loaded.readers.into_iter().map(|(id, gathered)| (id, gathered.held())).collect();
        for (path, content) in files {
            let loaded = loaded.files.remove(&path).unwrap_or_default().held();
            state.files.insert(path, RequiredFile { content, loaded });
        }
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
        let running: BTreeSet<process::Key> = self.table.images().map(|image| image.key).collect();
        self.history.end_pass(|key| running.contains(key));
        self.history.journal().tied(self.table.tied());
        Pass { state, configs: prints, lists, processes: self.table.answer(&self.specs) }
    }

    /// Which images of the baseline's programs run now; cheap enough to ask once a second. A difference to
    /// [`Pass::processes`] of the newest pass asks for a new one. Nothing where `/proc` cannot be read.
    pub fn processes(&mut self) -> Processes {
        let limits = Limits::default();
        let deadline = read::deadline(limits.pass_time);
        match self.refresh(false, &limits, deadline) {
            Ok(()) => self.table.answer(&self.specs),
            Err(_) => Processes::default(),
        }
    }

    fn refresh(&mut self, maps: bool, limits: &Limits, deadline: Instant) -> Result<(), rustix::io::Errno> {
        let bounds = Bounds { bytes_max: limits.file_bytes_max, deadline };
        let journal = self.history.journal().clone();
        let index = RefCell::new(&mut self.index);
        let digest = |pid: i32, file: &process::Executed, exe: bool| loaded::content(pid, file, exe, &index, bounds);
        self.table.refresh(&self.specs, &self.shared, maps, &journal, &digest)
    }

    /// Says anew what tells each program's images from others.
    fn specify(&mut self, baseline: &Baseline, trees: &mut BTreeMap<ItemId, TreeRead>) {
        self.pass = self.pass.wrapping_add(1);
        let mut before: Vec<(u32, Spec)> = self.specified.drain(..).zip(self.specs.drain(..)).collect();
        for program in &baseline.programs {
            let Some(tree) = trees.get_mut(&program.id) else { continue };
            let known = before.iter().find(|(_, spec)| spec.program == program.id && spec.root == tree.written);
            let spec = program::spec(program, tree, &self.prefix, &self.history, known.map(|(_, spec)| spec));
            before.retain(|(_, known)| !known.asks_the_same(&spec));
            self.specs.push(spec);
            self.specified.push(self.pass);
        }
        self.shared = loaded::shared(&self.specs);
        // Behind those of this baseline the ones of another that is looked at in turn.
        before.retain(|(pass, _)| self.pass.wrapping_sub(*pass) < PASSES_IN_TURN);
        for (pass, spec) in before {
            self.specified.push(pass);
            self.specs.push(spec);
        }
        self.table.listen(self.specs.iter().flat_map(|spec| spec.addresses.iter().copied()).collect());
    }

    /// Files outside of its tree that a program loads.
    fn loads(&mut self, program: &Program, limits: &Limits, deadline: Instant, gaps: &mut BTreeSet<Gap>) -> Loads {
        let mut loads = Loads::default();
        for pattern in &program.loads {
            let pattern = self.prefix.on_host(pattern);
            match config_file::expand(&pattern) {
                Ok(paths) => {
                    for path in paths {
                        let bounds = Bounds { bytes_max: limits.file_bytes_max, deadline };
                        let read = match rustix::fs::stat(&path) {
                            Ok(stat) => {
                                let stamp = (&stat).into();
                                process::digest(&path, &stamp, bounds, &mut self.index).map(|digest| (digest, stamp))
                            }
                            Err(errno) => Err(read::why(errno)),
                        };
                        if read == Err(Why::FileAbsent) {
                            continue;
                        }
                        self.history.saw(&path, read.ok());
                        if let Err(why) = read {
                            gaps.insert(Gap { what: self.prefix.shown(&path), why });
                        }
                        loads.files.insert(path, read);
                    }
                }
                Err(why) => _ = gaps.insert(Gap { what: self.prefix.shown(&pattern), why }),
            }
            loads.patterns.push(pattern);
        }
        loads
    }

    fn file(&mut self, path: &str, limits: &Limits, deadline: Instant) -> FileSeen {
        let bounds = Bounds { bytes_max: limits.file_bytes_max, deadline };
        let path = self.prefix.on_host(path);
        if let Some(digest) = rustix::fs::stat(&path).ok().and_then(|stat| self.index.digest(&(&stat).into())) {
            return FileSeen::Digest(digest);
        }
        let read = || {
            let file = read::open_file(&path)?;
            self.index.meet(&file);
            read::digest(file, bounds)
        };
        match read::twice(read) {
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

/// What of a program's tree counts.
fn scope(program: &Program) -> Scope {
    Scope::new(&program.exclude).following(&program.follow)
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
}
