//! Random sequences of what happens to a program, its files and the agent, with real processes.
//!
//! Each process writes down what it has read. The rule: whenever a look says that what runs is current, what
//! every live process has read is what the disk has. Its twin: once everything is right and the program is
//! started again, a look says so, always.
//!
//! Every run tries the same sequences, so that a change is judged by itself alone. `COLLECT_PROPERTY_SECONDS` says
//! for how long (default: 15), `COLLECT_PROPERTY_FROM=$RANDOM` begins with others, and `COLLECT_PROPERTY_SEED`
//! names one sequence to be tried alone.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod baseline;
#[path = "support/programs.rs"]
mod programs;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use manifests::baseline::Baseline;
use programs::{Loaded, Looked, Talking, Watched, next_tick, replace, settle};

const BOOT: &str = "a boot";
const STEPS_MIN: u64 = 8;
const STEPS_MAX: u64 = 15;
const LIVE_MAX: usize = 3;
/// Looks until it must be current once everything is right.
const FEW_LOOKS: usize = 4;

/// Numbers that follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// What was read: a line of each file that was there.
type Record = BTreeMap<String, String>;

/// A live process, the pipe that ends it, and the file in which it notes what it has read.
struct Live {
    talking: Talking,
    input: ChildStdin,
    record: PathBuf,
    /// Its first process has ended, or is about to.
    has_forked: bool,
}

impl Live {
    fn say(&mut self, word: &str, answer: &str) {
        writeln!(self.input, "{word}").unwrap();
        self.talking.hear(answer);
    }

    fn record(&self) -> Record {
        let text = fs::read_to_string(&self.record).unwrap();
        text.lines().map(|line| line.split_once('=').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    fn end(self) {
        drop(self.input);
        self.talking.end();
    }
}

/// A host with one program: what it has, who runs, and the agent.
struct World {
    _directory: tempfile::TempDir,
    base: PathBuf,
    live: Vec<Live>,
    started: u32,
    is_mounted: bool,
    /// Something was mounted, now or before.
    has_mounted: bool,
    agent: Watched,
    published: usize,
    told: Vec<String>,
    current: u32,
}

const RELEASES: [&str; 2] = ["one", "two"];
const FILES: [&str; 5] =
    ["etc/base.ini", "etc/conf.d/10.ini", "etc/conf.d/20.ini", "etc/local.ini", "current/lib/module"];

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("etc/conf.d")).unwrap();
        fs::create_dir_all(base.join("other")).unwrap();
        fs::create_dir_all(base.join("seen")).unwrap();
        fs::write(base.join("other/10.ini"), "2\n").unwrap();
        for release in RELEASES {
            let root = base.join(release);
            fs::create_dir_all(root.join("lib")).unwrap();
            fs::write(root.join("lib/module"), "1\n").unwrap();
            // Only what the shell itself can do: each process that it started would be one more to look at.
            let text = format!(
                "#!/bin/sh\n\
                 for file in '{base}'/etc/base.ini '{base}'/etc/conf.d/*.ini '{base}'/etc/local.ini \
                 '{base}'/current/lib/module; do\n\
                 if [ -f \"$file\" ]; then read -r line < \"$file\"; echo \"${{file#'{base}'/}}=$line\"; fi\n\
                 done > \"$1\"\n\
                 echo \"current/start={release}\" >> \"$1\"\n\
                 echo ready\n\
                 while read -r word; do case $word in\n\
                 exec) exec \"$0\" \"$1\";;\n\
                 fork) exec 3<&0; while read -r word; do case $word in exec) exec \"$0\" \"$1\" <&3;; esac; echo \"$word\"; \
                 done <&3 & echo forked; exit;;\n\
                 esac; done\n",
                base = base.display()
            );
            let script = root.join("start");
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink("one", base.join("current")).unwrap();
        fs::write(base.join("etc/base.ini"), "1\n").unwrap();
        fs::write(base.join("etc/conf.d/10.ini"), "1\n").unwrap();
        Self {
            _directory: directory,
            base,
            live: Vec::new(),
            started: 0,
            is_mounted: false,
            has_mounted: false,
            agent: Watched::new(),
            published: 0,
            told: Vec::new(),
            current: 0,
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Baselines that are published in turn: with another exclusion, or with more of the configuration.
    fn baseline(&self) -> (Baseline, bool) {
        let (exclude, is_whole) = [("logs/**", true), ("tmp/**", true), ("logs/**", false)][self.published];
        let mut files = vec![self.at("etc/base.ini")];
        if is_whole {
            files.extend([self.at("etc/conf.d/*.ini"), self.at("etc/local.ini")]);
        }
        let text = format!(
            "[[program]]\nid = \"server\"\nroot = {:?}\nprocess = {{ exe = \"start\" }}\nenforce = \"hold\"\n\
             owner = \"o\"\nexclude = [{exclude:?}]\nremediation = {{ en = \"r\" }}\n\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n\
             [[config]]\nid = \"c\"\nprogram = \"server\"\nfiles = {files:?}\nformat = \"properties\"\nreload = \"restart\"\n",
            self.at("current")
        );
        (baseline::baseline(&text), is_whole)
    }

    /// What a process would read that was started now.
    fn disk(&self) -> Record {
        let mut record = Record::new();
        let layers = fs::read_dir(self.at("etc/conf.d")).unwrap().map(|entry| entry.unwrap().file_name());
        let layers = layers.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".ini"));
        let files = layers.map(|name| format!("etc/conf.d/{name}"));
        for file in files.chain(["etc/base.ini", "etc/local.ini", "current/lib/module"].map(str::to_owned)) {
            if let Ok(text) = fs::read_to_string(self.at(&file)) {
                record.insert(file, text.trim_end().to_owned());
            }
        }
        let release = fs::read_link(self.at("current")).unwrap();
        record.insert("current/start".to_owned(), release.to_str().unwrap().to_owned());
        record
    }

    fn start(&mut self) {
        self.started += 1;
        let record = self.at(&format!("seen/{}", self.started));
        let mut talking = Talking::start_now(Command::new(self.at("current/start")).arg(&record));
        let input = talking.child.stdin.take().unwrap();
        self.live.push(Live { talking, input, record, has_forked: false });
    }

    fn any_live(&mut self, random: &mut Random) -> Option<usize> {
        let count = self.live.len() as u64;
        (count > 0).then(|| usize::try_from(random.below(count)).unwrap())
    }

    /// Does one thing, and says what.
    fn step(&mut self, random: &mut Random) -> String {
        let value = random.one_of(&["1", "2"]);
        match random.below(16) {
            0..=2 if self.live.len() < LIVE_MAX => {
                self.start();
                "start".to_owned()
            }
            3 => match self.any_live(random) {
                Some(at) => {
                    self.live[at].say("exec", "ready");
                    format!("exec {at}")
                }
                None => "nothing".to_owned(),
            },
            4 => match self.any_live(random) {
                Some(at) => {
                    // A second fork of the same line is told as any word.
                    if !std::mem::replace(&mut self.live[at].has_forked, true) {
                        self.live[at].say("fork", "forked");
                    }
                    format!("fork {at}")
                }
                None => "nothing".to_owned(),
            },
            5 => match self.any_live(random) {
                Some(at) => {
                    self.live.remove(at).end();
                    format!("end {at}")
                }
                None => "nothing".to_owned(),
            },
            6 | 7 => {
                let file = random.one_of(&FILES);
                fs::write(self.at(file), format!("{value}\n")).unwrap();
                format!("write {value} in place to {file}")
            }
            8 | 9 => {
                let file = random.one_of(&FILES);
                replace(&self.at(file), format!("{value}\n").as_bytes());
                format!("write {value} by its name to {file}")
            }
            10 => {
                let release = random.one_of(&RELEASES);
                self.switch(release);
                format!("switch to {release}")
            }
            11 if !self.is_mounted => {
                let (directory, file) =
                    random.one_of(&[("etc/conf.d", "10.ini"), ("etc", "base.ini"), ("one/lib", "module")]);
                let next = self.at("next.directory");
                let _ = fs::remove_dir_all(self.at("old.directory"));
                assert!(Command::new("cp").arg("-a").arg(self.at(directory)).arg(&next).status().unwrap().success());
                fs::write(next.join(file), format!("{value}\n")).unwrap();
                fs::rename(self.at(directory), self.at("old.directory")).unwrap();
                fs::rename(next, self.at(directory)).unwrap();
                format!("exchange {directory}, {value} in {file}")
            }
            12 => {
                let file = random.one_of(&["etc/conf.d/20.ini", "etc/local.ini", "etc/conf.d/10.ini"]);
                if fs::remove_file(self.at(file)).is_err() {
                    fs::write(self.at(file), format!("{value}\n")).unwrap();
                }
                format!("remove or add {value} {file}")
            }
            13 if rustix::process::geteuid().is_root() => {
                self.mount(!self.is_mounted);
                // The agent is told of a mount at once, and looks.
                self.look();
                format!("mounted: {}", self.is_mounted)
            }
            14 => {
                self.restart_agent();
                "the agent is started again".to_owned()
            }
            15 => {
                self.published = usize::try_from(random.below(3)).unwrap();
                format!("publish {}", self.published)
            }
            _ => "nothing".to_owned(),
        }
    }

    fn switch(&self, release: &str) {
        symlink(release, self.at("next.link")).unwrap();
        fs::rename(self.at("next.link"), self.at("current")).unwrap();
    }

    fn mount(&mut self, wanted: bool) {
        self.has_mounted |= wanted;
        if self.is_mounted == wanted {
            return;
        }
        let directory = self.at("etc/conf.d");
        let done = match wanted {
            true => Command::new("mount").arg("--bind").arg(self.at("other")).arg(&directory).status(),
            false => Command::new("umount").arg(&directory).status(),
        };
        assert!(done.unwrap().success());
        self.is_mounted = wanted;
    }

    fn restart_agent(&mut self) {
        let (kept, lists) = self.agent.collector.remembered(BOOT);
        self.agent = Watched::new();
        let list = |digest: &_| lists.get(digest).map(|list| list.to_bytes()).ok_or("not there");
        self.agent.collector.recall(&kept, BOOT, list).unwrap();
    }

    fn look(&mut self) -> Loaded {
        let (baseline, _) = self.baseline();
        let Looked { loaded, .. } = self.agent.look(&baseline);
        loaded
    }

    /// Looks, and says what is wrong with the answer.
    fn judge(&mut self) -> Result<(), String> {
        let loaded = self.look();
        self.told.push(format!("  looked: {loaded:?}"));
        if self.live.is_empty() || !matches!(loaded, Loaded::Current | Loaded::NotRunning) {
            return Ok(());
        }
        if loaded == Loaded::NotRunning {
            return Err(format!("{} processes live, and nobody is seen", self.live.len()));
        }
        self.current += 1;
        let (_, is_whole) = self.baseline();
        let counts = |file: &String| is_whole || !file.starts_with("etc/") || file == "etc/base.ini";
        let disk: Record = self.disk().into_iter().filter(|(file, _)| counts(file)).collect();
        for live in &self.live {
            let record: Record = live.record().into_iter().filter(|(file, _)| counts(file)).collect();
            if record != disk {
                return Err(format!("{} has read {record:?}, the disk has {disk:?}", live.record.display()));
            }
        }
        Ok(())
    }

    /// Sets everything right, and starts the program again.
    fn repair(&mut self) -> Result<(), String> {
        self.mount(false);
        for file in ["etc/base.ini", "etc/conf.d/10.ini"] {
            fs::write(self.at(file), "1\n").unwrap();
        }
        self.switch("one");
        replace(&self.at("one/lib/module"), b"1\n");
        let _ = fs::remove_file(self.at("etc/local.ini"));
        self.live.drain(..).for_each(Live::end);
        // The agent is told of a mount at once, and what may have been mounted when a program began is not known.
        if self.has_mounted {
            self.look();
        }
        next_tick();
        self.start();
        next_tick();
        let looked: Vec<Loaded> = (0..FEW_LOOKS).map(|_| self.look()).collect();
        if looked.last() == Some(&Loaded::Current) { Ok(()) } else { Err(format!("started again: {looked:?}")) }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg(self.at("etc/conf.d")).status();
        }
        self.live.drain(..).for_each(Live::end);
    }
}

/// One sequence. How often a look said that live processes are current.
fn try_one(seed: u64) -> u32 {
    let mut random = Random(seed);
    let mut world = World::new();
    world.look();
    let steps = STEPS_MIN + random.below(STEPS_MAX - STEPS_MIN + 1);
    let mut verdict = Ok(());
    for at in 0..steps {
        // Something runs from the first step on.
        let told = match at {
            0 => {
                world.start();
                "start".to_owned()
            }
            _ => world.step(&mut random),
        };
        world.told.push(told);
        match random.below(8) {
            0 => _ = world.agent.collector.processes(),
            1 => settle(&world.agent.watch, &world.agent.collector.journal()),
            2 => next_tick(),
            3 | 4 => {}
            _ => verdict = world.judge(),
        }
        if verdict.is_err() {
            break;
        }
    }
    let verdict = verdict.and_then(|()| world.judge()).and_then(|()| world.repair());
    if let Err(why) = verdict {
        panic!("COLLECT_PROPERTY_SEED={seed}: {why}\nin {}\n{}", world.base.display(), world.told.join("\n"));
    }
    world.current
}

#[test]
fn what_is_said_to_be_current_is_what_every_process_has_read() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("COLLECT_PROPERTY_SEED") {
        try_one(seed);
        return;
    }
    let until = Instant::now() + Duration::from_secs(number("COLLECT_PROPERTY_SECONDS").unwrap_or(15));
    let first = number("COLLECT_PROPERTY_FROM").unwrap_or(1);
    let (mut sequences, mut current) = (0, 0);
    for seed in first.. {
        current += try_one(seed);
        sequences += 1;
        if Instant::now() >= until {
            break;
        }
    }
    println!("{sequences} sequences from seed {first} on, {current} looks that said current");
    assert!(current > 0, "nothing was ever current, from seed {first} on");
}
