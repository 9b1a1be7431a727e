//! A program of real processes, and looks at it.

#![allow(dead_code, reason = "each file of tests uses some of it")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use agent::collect::{Collector, Journal, Limits};
use agent::watch::{Change, Watch};
use manifests::baseline::Baseline;
use manifests::evidence::{ProcessesSeen, State, TreeSeen};

use crate::baseline::baseline;

/// A child that is killed, by its own process id, when the test ends however it ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of one copied executable and a module.
pub(crate) struct Host {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Host {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Links on the way to the temporary directory are none of the test's business.
        let root = directory.path().canonicalize().unwrap().join("issuing");
        let host = Self { directory, root };
        host.install(&host.root.clone(), b"");
        host
    }

    pub(crate) fn install(&self, root: &Path, more: &[u8]) {
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("lib")).unwrap();
        // The bytes behind an executable's end do not matter to it, and make it another file.
        let mut bytes = fs::read("/bin/sleep").unwrap();
        bytes.extend_from_slice(more);
        // Tests run side by side, and what runs in one must not be a copy of what another one has.
        bytes.extend_from_slice(self.directory.path().as_os_str().as_encoded_bytes());
        replace(&root.join("bin/issuingd"), &bytes);
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(root.join("bin/issuingd"), fs::Permissions::from_mode(0o755)).unwrap();
        replace(&root.join("lib/module"), b"one");
        replace(&root.join("script"), b"one");
    }

    pub(crate) fn start(&self, exe: &Path) -> Running {
        next_tick();
        let child = Command::new(exe).arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let wanted = exe.canonicalize().unwrap();
        // The child is another program until it has executed its own.
        wait(|| fs::read_link(format!("/proc/{}/exe", child.id())).is_ok_and(|exe| exe == wanted));
        next_tick();
        Running(child)
    }

    pub(crate) fn exe(&self) -> PathBuf {
        self.root.join("bin/issuingd")
    }

    pub(crate) fn baseline(&self, root: &Path, process: &str, more: &str) -> Baseline {
        baseline(&format!(
            "[[program]]\nid = \"server\"\nroot = {root:?}\nprocess = {process}\nenforce = \"hold\"\nowner = \"o\"\n\
             exclude = [\"logs/**\"]\nremediation = {{ en = \"r\" }}\n\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n{more}\n"
        ))
    }

    pub(crate) fn plain(&self) -> Baseline {
        self.baseline(&self.root, "{ exe = \"bin/issuingd\" }", "")
    }
}

/// Replaces a file at once, as package managers do: another inode under the same name.
pub(crate) fn replace(path: &Path, content: &[u8]) {
    let next = path.with_extension("next");
    fs::write(&next, content).unwrap();
    fs::rename(&next, path).unwrap();
}

pub(crate) fn wait(mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < deadline, "it did not happen within a minute");
        std::thread::yield_now();
    }
}

/// The kernel tells when a process began in hundredths of a second: what happens within the same one
/// can be before or after it.
pub(crate) fn next_tick() {
    let seen = Instant::now();
    wait(|| seen.elapsed() > Duration::from_millis(30));
}

/// The kernel tells the executable a moment before the arguments.
pub(crate) fn wait_for_shell(running: &Running, shell: &Path) {
    let about = |name: &str| format!("/proc/{}/{name}", running.0.id());
    wait(|| fs::read_link(about("exe")).is_ok_and(|exe| exe == shell));
    wait(|| fs::read(about("cmdline")).is_ok_and(|arguments| !arguments.is_empty()));
    next_tick();
}

/// What was seen of the program, its configurations and the files that fixes require, in one word.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    Current,
    NotRunning,
    /// All files that are not as on disk.
    Older(BTreeSet<String>),
    /// All files that are others for a process.
    Elsewhere(BTreeSet<String>),
    Unknown,
}

impl PartialEq for Loaded {
    /// Files of the one that the other has too will do: what else was moved with them is no matter.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Older(all), Self::Older(some)) | (Self::Elsewhere(all), Self::Elsewhere(some)) => {
                all.is_superset(some)
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

pub(crate) struct Looked {
    pub(crate) tree: TreeSeen,
    pub(crate) loaded: Loaded,
    pub(crate) state: State,
}

pub(crate) fn look(collector: &mut Collector, baseline: &Baseline) -> Looked {
    told(collector.pass(baseline, None, &Limits::default(), &|| {}).state)
}

pub(crate) fn told(state: State) -> Looked {
    let seen = &state.programs[&"server".parse().unwrap()];
    let files = state.files.values().map(|file| &file.loaded);
    let all: Vec<_> = std::iter::once(&seen.loaded).chain(state.readers.values()).chain(files).collect();
    let elsewhere: BTreeSet<String> = all.iter().flat_map(|held| held.elsewhere.iter().cloned()).collect();
    let older: BTreeSet<String> = all.iter().flat_map(|held| &held.older).map(|older| older.file.clone()).collect();
    let loaded = if !elsewhere.is_empty() {
        Loaded::Elsewhere(elsewhere)
    } else if !older.is_empty() {
        Loaded::Older(older)
    } else if all.iter().any(|held| !held.is_current()) {
        Loaded::Unknown
    } else {
        match seen.processes {
            ProcessesSeen::Running => Loaded::Current,
            ProcessesSeen::NotRunning => Loaded::NotRunning,
            ProcessesSeen::Unknown(_) => Loaded::Unknown,
        }
    };
    Looked { tree: seen.tree.clone(), loaded, state }
}

/// A collector with a watch, as the agent has them.
pub(crate) struct Watched {
    pub(crate) collector: Collector,
    pub(crate) watch: std::sync::Mutex<Watch>,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self { collector: Collector::new([7; 32], None), watch: std::sync::Mutex::new(Watch::new().unwrap()) }
    }

    pub(crate) fn look(&mut self, baseline: &Baseline) -> Looked {
        let set = self.collector.watch_set(baseline, None);
        self.watch.lock().unwrap().set(&set).unwrap();
        let journal = self.collector.journal();
        journal.watching(Some(&set));
        let settle = || settle(&self.watch, &journal);
        told(self.collector.pass(baseline, None, &Limits::default(), &settle).state)
    }
}

/// Takes what the watch has to tell.
pub(crate) fn settle(watch: &std::sync::Mutex<Watch>, journal: &Journal) {
    let drained = watch.lock().unwrap().drain();
    if drained.contains(&Change::Overflow) {
        journal.lost();
    }
    journal.note(drained.iter().filter_map(|change| match change {
        Change::Path { path, happened } => Some((path.as_path(), *happened)),
        Change::Overflow => None,
    }));
}

pub(crate) fn older(file: &str) -> Loaded {
    Loaded::Older(BTreeSet::from([file.to_owned()]))
}

/// A program that says `ready` when it is there, and ends when its input does.
pub(crate) struct Talking {
    pub(crate) child: Child,
    output: BufReader<ChildStdout>,
}

impl Talking {
    pub(crate) fn start(command: &mut Command) -> Self {
        next_tick();
        let talking = Self::start_now(command);
        next_tick();
        talking
    }

    /// The same without a pause before and behind it, so that other things happen in the same moment.
    pub(crate) fn start_now(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut talking = Self { child, output };
        talking.hear("ready");
        talking
    }

    /// Waits until it says `word`.
    pub(crate) fn hear(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), word);
    }

    /// Ends it and all that it has started.
    pub(crate) fn end(self) {
        drop(self);
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // All that it has started holds its output.
        let _ = self.output.read_to_end(&mut Vec::new());
        let _ = self.child.wait();
    }
}
