//! Which processes are of which program.
//!
//! A process is of a program if its executable's path is the program's, removed or not; or if it
//! was started by that path (releases switched by a link: the kernel knows the old release's path,
//! the command line the link); or if the program's `exe` is a script that it was given; and if its
//! command line matches `args`. A process that once was of a program stays so while it runs the
//! same executable, wherever that is moved and whatever becomes of the command line. Equal inodes alone say nothing: trees may share files through hard links. They
//! count where a process sees another file system tree, in which paths say nothing.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use manifests::baseline::Program;
use manifests::id::ItemId;
use rustix::io::Errno;

use super::view::sees_the_same;
use super::{COMMAND_BYTES_MAX, link, read_proc, stat, without_deleted};
use crate::collect::prefix::Prefix;
use crate::collect::remembered::RunningRecord;
use crate::collect::wildcard;

/// Polls in which a process new to the table is looked at again: it may be about to run something else.
const YOUNG_POLLS: u64 = 10;
/// Older processes looked at again per poll, in turn, for the same reason.
const OLD_PER_POLL: usize = 32;

/// The running processes of a baseline's programs: program, process id, start in clock ticks since boot.
///
/// Not evidence: it differs between equal hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes(pub BTreeSet<(ItemId, i32, u64)>);

impl Processes {
    pub(crate) fn of(running: &[Running]) -> Self {
        Self(running.iter().map(|r| (r.program.clone(), r.pid, r.start)).collect())
    }
}

/// What tells a program's processes from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) program: ItemId,
    /// The executable's path, links not followed.
    written: PathBuf,
    /// The same with links followed; as written where it is not there.
    resolved: PathBuf,
    args: Option<String>,
    is_script: bool,
    identity: Option<(u64, u64)>,
}

impl Spec {
    /// Nothing if the program names no process.
    pub(crate) fn new(program: &Program, prefix: &Prefix) -> Option<Self> {
        let process = program.process.as_ref()?;
        // Joining an absolute path gives that path.
        let written = prefix.on_host(Path::new(&program.root).join(&process.exe));
        let resolved = std::fs::canonicalize(&written).unwrap_or_else(|_| written.clone());
        let stat = rustix::fs::stat(&written).ok();
        let is_script = crate::collect::read::open_file(&written).is_ok_and(|fd| {
            let mut start = [0; 2];
            matches!(rustix::io::read(&fd, &mut start), Ok(2)) && start == *b"#!"
        });
        let identity = stat.map(|stat| (stat.st_dev, stat.st_ino));
        Some(Self { program: program.id.clone(), written, resolved, args: process.args.clone(), is_script, identity })
    }

    /// The executable's path as the baseline has it.
    pub(crate) fn written(&self) -> &Path {
        &self.written
    }

    /// The executable's path as the baseline has it, and with links followed.
    pub(crate) fn exe(&self) -> [&Path; 2] {
        [&self.written, &self.resolved]
    }

    /// Whether it asks for the same processes; not which file the executable is now.
    fn asks_the_same(&self, other: &Spec) -> bool {
        (&self.program, &self.written, &self.args) == (&other.program, &other.written, &other.args)
    }
}

/// What is known of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its executable could be read.
    Readable {
        /// The executable's path, as the kernel tells it.
        exe: Vec<u8>,
        /// The executable's device and inode, where they can be told: moved, it is still the same file.
        file: Option<(u64, u64)>,
    },
    /// It may be of the program, by its name, and may not be looked into.
    Unreadable,
}

impl Kind {
    /// Whether it runs that executable: by the file where both are known, for its path changes when
    /// it, or a directory above it, is renamed.
    fn is_of_file(&self, path: &[u8], identity: Option<(u64, u64)>) -> bool {
        match self {
            Kind::Readable { exe, file } => match (file, identity) {
                (Some(file), Some(identity)) => *file == identity,
                _ => exe == path,
            },
            Kind::Unreadable => false,
        }
    }
}

/// A process of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) program: ItemId,
    pub(crate) pid: i32,
    /// Ticks since boot.
    pub(crate) start: u64,
    pub(crate) kind: Kind,
}

struct Known {
    running: Vec<Running>,
    first_poll: u64,
    seen_poll: u64,
}

/// Every process of the host, as far as it was looked at.
#[derive(Default)]
pub(crate) struct Table {
    specs: Vec<Spec>,
    known: HashMap<i32, Known>,
    poll: u64,
    turn: i32,
}

impl Table {
    /// Whose processes are, to be kept.
    pub(crate) fn remembered(&self) -> Vec<RunningRecord> {
        let running = self.known.values().flat_map(|known| &known.running);
        let record = |running: &Running| match running.kind {
            Kind::Readable { file: Some(file), .. } => {
                Some(RunningRecord { program: running.program.clone(), pid: running.pid, start: running.start, file })
            }
            _ => None,
        };
        let mut records: Vec<_> = running.filter_map(record).collect();
        records.sort();
        records
    }

    /// Takes up what was kept: whose a process is that was moved away since cannot be seen any more.
    pub(crate) fn recall(&mut self, records: Vec<RunningRecord>) {
        for RunningRecord { program, pid, start, file } in records {
            let kind = Kind::Readable { exe: Vec::new(), file: Some(file) };
            let known = Known { running: vec![], first_poll: self.poll, seen_poll: self.poll };
            self.known.entry(pid).or_insert(known).running.push(Running { program, pid, start, kind });
        }
    }

    /// Looks at every process.
    pub(crate) fn all(&mut self, specs: &[Spec]) -> Result<Vec<Running>, Errno> {
        self.look(specs, usize::MAX)
    }

    /// Looks at new processes and some of the others; costs one listing of `/proc` and little more.
    pub(crate) fn poll(&mut self, specs: &[Spec]) -> Result<Processes, Errno> {
        Ok(Processes::of(&self.look(specs, OLD_PER_POLL)?))
    }

    fn look(&mut self, specs: &[Spec], old_max: usize) -> Result<Vec<Running>, Errno> {
        if specs.is_empty() {
            return Ok(vec![]);
        }
        self.poll += 1;
        let all = self.specs != specs || old_max == usize::MAX;
        // A process stays with a program for as long as the baseline says the same of the program.
        let asked_before = |r: &Running| {
            let of = |specs: &[Spec]| specs.iter().find(|spec| spec.program == r.program).cloned();
            // Before the first look what was recalled has nothing else to go by.
            self.specs.is_empty()
                || of(specs).zip(of(&self.specs)).is_some_and(|(now, before)| now.asks_the_same(&before))
        };
        for known in self.known.values_mut() {
            known.running.retain(asked_before);
        }
        self.specs = specs.to_vec();
        let pids = pids()?;
        let turn = self.turn_of(&pids, old_max);
        for pid in &pids {
            let (first_poll, look) = match self.known.get(pid) {
                None => (self.poll, true),
                Some(known) => {
                    let young = self.poll - known.first_poll <= YOUNG_POLLS;
                    (known.first_poll, all || young || !known.running.is_empty() || turn.contains(pid))
                }
            };
            if look {
                let before = self.known.remove(pid).map(|known| known.running).unwrap_or_default();
                let running = inspect(*pid, &self.specs, &before);
                self.known.insert(*pid, Known { running, first_poll, seen_poll: self.poll });
            } else if let Some(known) = self.known.get_mut(pid) {
                known.seen_poll = self.poll;
            }
        }
        let poll = self.poll;
        self.known.retain(|_, known| known.seen_poll == poll);
        let mut running: Vec<_> = self.known.values().flat_map(|known| known.running.iter().cloned()).collect();
        running.sort_by(|a, b| (&a.program, a.pid).cmp(&(&b.program, b.pid)));
        Ok(running)
    }

    /// The next processes in turn, by process id.
    fn turn_of(&mut self, pids: &BTreeSet<i32>, count: usize) -> BTreeSet<i32> {
        let behind = pids.range(self.turn.saturating_add(1)..);
        let turn: BTreeSet<i32> = behind.chain(pids.iter()).take(count.min(pids.len())).copied().collect();
        let last = pids.range(self.turn.saturating_add(1)..).chain(pids.iter()).take(count.min(pids.len())).last();
        self.turn = last.copied().unwrap_or(0);
        turn
    }
}

fn pids() -> Result<BTreeSet<i32>, Errno> {
    let error = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut pids = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(pids)
}

fn inspect(pid: i32, specs: &[Spec], before: &[Running]) -> Vec<Running> {
    let exe = link(&format!("/proc/{pid}/exe"));
    let file = identity_of_exe(pid);
    if matches!(exe, Err(Errno::NOENT | Errno::SRCH)) {
        // A kernel thread, or one that has ended and whose parent has not asked.
        return vec![];
    }
    let command = read_proc(&format!("/proc/{pid}/cmdline"), COMMAND_BYTES_MAX).unwrap_or_default();
    let command = Command(command);
    let matching = specs.iter().filter(|spec| {
        let matches_args =
            || spec.args.as_ref().is_none_or(|args| wildcard::matches(args.as_bytes(), &command.joined()));
        match &exe {
            Ok(exe) => {
                let same = |r: &&Running| r.program == spec.program && r.kind.is_of_file(exe, file);
                let goes_on = |r: &Running| stat(pid).is_ok_and(|(_, start)| start == r.start);
                // Once of the program, whatever it makes of its command line.
                is_of(spec, exe, file, &command, pid) && matches_args() || before.iter().any(|r| same(&r) && goes_on(r))
            }
            Err(_) => looks_like(spec, &command, pid) && matches_args(),
        }
    });
    let matching: Vec<_> = matching.collect();
    if matching.is_empty() {
        return vec![];
    }
    let Ok((state, start)) = stat(pid) else { return vec![] };
    if matches!(state, b'Z' | b'X') {
        return vec![];
    }
    let kind = exe.map_or(Kind::Unreadable, |exe| Kind::Readable { exe, file });
    let of = |spec: &&Spec| Running { program: spec.program.clone(), pid, start, kind: kind.clone() };
    matching.iter().map(of).collect()
}

struct Command(Vec<u8>);

impl Command {
    fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.0.strip_suffix(b"\0").unwrap_or(&self.0).split(|byte| *byte == 0)
    }

    fn joined(&self) -> Vec<u8> {
        self.arguments().collect::<Vec<_>>().join(&b' ')
    }

    fn names(&self, at: usize, paths: [&Path; 2]) -> bool {
        let argument = self.arguments().nth(at).map(OsStr::from_bytes);
        argument.is_some_and(|argument| paths.iter().any(|path| path.as_os_str() == argument))
    }
}

fn is_of(spec: &Spec, exe: &[u8], file: Option<(u64, u64)>, command: &Command, pid: i32) -> bool {
    let paths = [spec.written.as_path(), spec.resolved.as_path()];
    let is_path = |text: &[u8]| paths.iter().any(|path| path.as_os_str().as_bytes() == text);
    is_path(exe)
        || is_path(without_deleted(exe).0)
        || command.names(0, paths)
        || spec.is_script && (1..=2).any(|at| command.names(at, paths))
        || spec.identity.is_some() && spec.identity == file && !sees_the_same(pid, &paths)
}

fn identity_of_exe(pid: i32) -> Option<(u64, u64)> {
    rustix::fs::stat(format!("/proc/{pid}/exe")).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// Whether a process that may not be looked into could be the program's: by what everybody may see
/// of it, its name and command line.
fn looks_like(spec: &Spec, command: &Command, pid: i32) -> bool {
    let Some(name) = spec.written.file_name().map(OsStr::as_bytes) else { return false };
    let first = command.arguments().next().unwrap_or_default();
    let comm = read_proc(&format!("/proc/{pid}/comm"), 64).unwrap_or_default();
    // The kernel keeps 15 bytes of a name.
    let kept = name.get(..15).unwrap_or(name);
    first.rsplit(|byte| *byte == b'/').next() == Some(name) || comm.strip_suffix(b"\n").unwrap_or(&comm) == kept
}
