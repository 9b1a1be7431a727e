//! Symbolic links that lead out of a tree: shown, or followed so that what lies behind them counts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod baseline;
#[path = "support/programs.rs"]
mod programs;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use agent::collect::{CaptureError, Captured, Collector, Limits, Scope, capture, links_out};
use agent::watch::{Change, Watch};
use manifests::baseline::Baseline;
use manifests::digest::Digest;
use manifests::evidence::{FindingKind, TreeSeen, Why};
use manifests::exclude::Globs;
use manifests::tree::FileList;
use programs::{Loaded, Talking, Watched, look, next_tick, replace};

fn globs(sources: &[&str]) -> Globs {
    Globs::new(sources.iter().map(|source| (*source).to_owned()).collect()).unwrap()
}

/// A tree with links of every kind, and what they lead to beside it.
struct Host {
    _directory: tempfile::TempDir,
    base: PathBuf,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        for directory in ["root/lib/deep", "shared/modules/deep/logs", "shared/other", "shared/empty"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        for file in ["root/lib/own", "shared/print.mod", "shared/modules/a", "shared/modules/deep/b"] {
            fs::write(base.join(file), file).unwrap();
        }
        fs::write(base.join("shared/modules/deep/logs/x.log"), "x").unwrap();
        fs::write(base.join("shared/other/c"), "c").unwrap();
        let host = Self { _directory: directory, base };
        host.link("root/lib/print.mod", "../../shared/print.mod");
        host.link("root/modules", host.at("shared/modules").to_str().unwrap());
        host.link("root/lib/inside", "../lib/own");
        // Behind a followed directory: within it, out of it, and back into the tree.
        host.link("shared/modules/within", "deep/b");
        host.link("shared/modules/other", "../other");
        host.link("shared/modules/back", host.at("root/lib").to_str().unwrap());
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    fn link(&self, link: &str, target: &str) {
        symlink(target, self.at(link)).unwrap();
    }

    fn capture(&self, exclude: &[&str], follow: &[&str]) -> Captured {
        capture(&self.at("root"), &Scope::new(&globs(exclude)).following(&globs(follow))).unwrap()
    }

    /// Paths of the list, and the links that lead out.
    fn paths(&self, exclude: &[&str], follow: &[&str]) -> (Vec<String>, Vec<String>) {
        let Captured { list, out } = self.capture(exclude, follow);
        assert_eq!(FileList::parse(&list.to_bytes()), Ok(list.clone()), "a list reads back as written");
        let paths = list.entries().map(|(path, _)| String::from_utf8(path.to_vec()).unwrap()).collect();
        (paths, out.keys().map(|path| path.display().to_string()).collect())
    }

    fn digest(&self, follow: &[&str]) -> Digest {
        self.capture(&[], follow).list.digest()
    }
}

const OWN: [&str; 4] = ["lib/inside//", "lib/own", "lib/print.mod//", "modules//"];

#[test]
fn a_link_that_leads_out_is_told_and_what_lies_behind_it_does_not_count() {
    let host = Host::new();
    let (paths, out) = host.paths(&[], &[]);
    assert_eq!(paths, OWN);
    assert_eq!(out, ["lib/print.mod", "modules"]);
    let before = host.digest(&[]);
    fs::write(host.at("shared/print.mod"), "changed").unwrap();
    assert_eq!(host.digest(&[]), before);
    // Where it leads is told as well, and nothing is read for it.
    let scope = Scope::new(&globs(&["modules"]));
    let told = links_out(&host.at("root"), &scope).unwrap();
    let target = host.at("root/lib").join("../../shared/print.mod");
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [(PathBuf::from("lib/print.mod"), target)]);
    // What is left out is not told of.
    assert_eq!(host.paths(&["modules", "lib/print.*"], &[]).1, [""; 0]);
}

#[test]
fn a_followed_link_counts_with_what_lies_behind_it() {
    let host = Host::new();
    let (paths, out) = host.paths(&[], &["/lib/print.mod"]);
    assert_eq!(paths, ["lib/inside//", "lib/own", "lib/print.mod//", "lib/print.mod///", "modules//"]);
    assert_eq!(out, ["modules"]);
    let list = host.capture(&[], &["/lib/print.mod"]).list;
    assert_eq!(list.digest_of(b"lib/print.mod///"), Some(&Digest::of(b"shared/print.mod")));
    assert_eq!(list.digest_of(b"lib/print.mod//"), Some(&Digest::of(b"../../shared/print.mod")));

    let (paths, out) = host.paths(&["modules/deep/logs/**"], &["modules", "lib/**"]);
    let behind = ["a", "back//", "deep/b", "other//", "within//"].map(|path| format!("modules///{path}"));
    let expected: Vec<_> =
        ["lib/inside//", "lib/own", "lib/print.mod//", "lib/print.mod///", "modules//"].map(str::to_owned).into();
    assert_eq!(paths, [expected.as_slice(), &behind].concat());
    // What lies behind `back` counts as the tree's own.
    assert_eq!(out, ["modules/other"]);
    let (paths, out) = host.paths(&[], &["modules", "modules/other"]);
    assert!(paths.contains(&"modules///other///c".to_owned()), "{paths:?}");
    assert_eq!(out, ["lib/print.mod"]);
}

#[test]
fn every_change_behind_a_followed_link_changes_the_digest() {
    let host = Host::new();
    let follow = ["**"];
    let mut seen = vec![host.digest(&follow)];
    let mut step = |what: &str, change: &dyn Fn()| {
        change();
        let now = host.digest(&follow);
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    step("a file", &|| fs::write(host.at("shared/print.mod"), "changed").unwrap());
    step("a file deep below", &|| fs::write(host.at("shared/modules/deep/b"), "changed").unwrap());
    step("a file two links away", &|| fs::write(host.at("shared/other/c"), "changed").unwrap());
    step("a new file", &|| fs::write(host.at("shared/modules/new"), "").unwrap());
    step("a link there", &|| host.link("shared/modules/deep/link", "b"));
    step("a file that goes", &|| fs::remove_file(host.at("shared/print.mod")).unwrap());
    step("an empty file in its place", &|| fs::write(host.at("shared/print.mod"), "").unwrap());
    step("a directory in its place", &|| {
        fs::remove_file(host.at("shared/print.mod")).unwrap();
        fs::create_dir(host.at("shared/print.mod")).unwrap();
        fs::write(host.at("shared/print.mod/x"), "").unwrap();
    });
    step("a link there that is turned", &|| {
        fs::remove_file(host.at("shared/modules/other")).unwrap();
        host.link("shared/modules/other", "../empty");
    });
    // An empty directory counts as nothing, there as everywhere.
    let before = host.digest(&follow);
    fs::remove_dir(host.at("shared/empty")).unwrap();
    assert_eq!(host.digest(&follow), before);
}

#[test]
fn links_that_go_round_in_circles_or_too_deep_come_to_an_end() {
    let host = Host::new();
    host.link("root/top", "/");
    host.link("shared/other/round", "../modules");
    host.link("shared/other/up", "../..");
    host.link("root/self", "../root/self");
    let (paths, _) = host.paths(&["top"], &["**"]);
    assert!(paths.contains(&"modules///other///round//".to_owned()), "{paths:?}");
    assert!(!paths.iter().any(|path| path.contains("round///")), "{paths:?}");
    // The tree is met again below what `up` leads to, and its links with it: each of them was entered.
    assert!(paths.contains(&"modules///other///up///root/lib/own".to_owned()), "{paths:?}");

    // A chain of directories, each reached by a link of the one before.
    for at in 0..12 {
        fs::create_dir(host.at(&format!("chain{at}"))).unwrap();
        host.link(&format!("chain{at}/next"), &format!("../chain{}", at + 1));
    }
    host.link("root/chain", "../chain0");
    let scope = Scope::new(&globs(&["top"])).following(&globs(&["chain/**", "chain"]));
    match capture(&host.at("root"), &scope) {
        Err(CaptureError::Unread { path, why: Why::TooLarge }) => {
            assert!(path.starts_with(host.at("root/chain/next/next/next/next")), "{path:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_special_or_unreadable_behind_a_followed_link_is_no_release() {
    let host = Host::new();
    assert!(Command::new("mkfifo").arg(host.at("shared/pipe")).status().unwrap().success());
    host.link("root/pipe", "../shared/pipe");
    let take = |follow: &[&str]| capture(&host.at("root"), &Scope::new(&globs(&[])).following(&globs(follow)));
    assert!(take(&[]).is_ok());
    let error = take(&["pipe"]).unwrap_err();
    assert!(matches!(&error, CaptureError::Special { path } if path.ends_with("root/pipe")), "{error}");
    fs::remove_file(host.at("root/pipe")).unwrap();
    host.link("root/round", "../shared/round");
    host.link("shared/round", "round");
    let error = take(&["round"]).unwrap_err();
    assert!(matches!(&error, CaptureError::Unread { path, .. } if path.ends_with("root/round")), "{error}");
    // What is not there is nothing, until it comes.
    fs::remove_file(host.at("shared/round")).unwrap();
    let before = host.digest(&["round"]);
    fs::write(host.at("shared/round"), "").unwrap();
    assert_ne!(host.digest(&["round"]), before);
}

#[test]
fn the_commands_of_the_documentation_follow_the_same_links() {
    let host = Host::new();
    host.link("root/odd\nname \\ here", "../shared/modules/deep");
    host.link("root/gone", "../shared/gone");
    host.link("root/lib/empty", "../../shared/empty");
    host.link("shared/other/round", "../modules");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tree-digest.sh");
    let run = |arguments: &[&str]| {
        let mut command = Command::new("bash");
        let output =
            command.arg(&script).args(arguments).arg(host.at("root")).arg("./modules/deep/logs/*").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (follow, patterns) in [
        (&["lib/print.mod"][..], &["./lib/print.mod"][..]),
        (&["modules"], &["./modules"]),
        (&["modules", "modules/other"], &["./modules", "./modules/other"]),
        (&["modules/**", "modules"], &["./modules", "./modules/other", "./modules/other/round"]),
        (&["gone", "odd*", "lib/[ep]*"], &["./gone", "./odd*", "./lib/[ep]*"]),
    ] {
        let arguments: Vec<&str> = patterns.iter().flat_map(|pattern| ["--follow", pattern]).collect();
        let ours =
            String::from_utf8_lossy(&host.capture(&["modules/deep/logs/**"], follow).list.to_bytes()).into_owned();
        assert_eq!(run(&arguments), ours, "{follow:?}");
    }
}

/// An agent's eyes on the tree.
struct Agent {
    collector: Collector,
    watch: Watch,
    baseline: Baseline,
    base: PathBuf,
}

impl Agent {
    fn new(host: &Host, follow: &str) -> Self {
        let program = format!(
            "[[program]]\nid = \"server\"\nroot = {:?}\nexclude = [\"modules/deep/logs/**\"]\n{follow}\nenforce = \"hold\"\n\
             owner = \"o\"\nremediation = {{ en = \"r\" }}\n\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n",
            host.at("root")
        );
        let baseline = baseline::baseline_of(2, &program);
        let collector = Collector::new([7; 32], None);
        Self { collector, watch: Watch::new().unwrap(), baseline, base: host.base.clone() }
    }

    /// Looks until the watch is what a look finds necessary, as the agent does; the tree, and links that lead out.
    fn look(&mut self) -> (TreeSeen, Vec<String>) {
        loop {
            let set = self.collector.watch_set(&self.baseline, None);
            self.watch.set(&set).unwrap();
            drop(self.watch.drain());
            let pass = self.collector.pass(&self.baseline, None, &Limits::default(), &|| {});
            if self.collector.watch_set(&self.baseline, None) == set {
                let program = &pass.state.programs[&"server".parse().unwrap()];
                let out = program.findings.iter().filter(|finding| finding.kind == FindingKind::LeadsOut);
                return (program.tree.clone(), out.map(|finding| finding.path.clone()).collect());
            }
        }
    }

    /// A change must be told the moment it is made, and change the tree.
    #[track_caller]
    fn check(&mut self, before: &mut TreeSeen, told: &str, change: impl FnOnce(&Path)) {
        change(&self.base);
        let changes = self.watch.drain();
        let is_told = |change: &Change| matches!(change, Change::Path { path, .. } if *path == self.base.join(told));
        assert!(changes.iter().any(is_told), "{told} is not in {:?}", &*changes);
        drop(changes);
        let (now, _) = self.look();
        assert_ne!(now, *before, "{told}");
        *before = now;
    }
}

#[test]
fn what_lies_behind_a_followed_link_is_looked_at_and_watched_like_a_root() {
    let host = Host::new();
    let mut agent = Agent::new(&host, "follow = [\"/lib/print.mod\", \"modules\", \"modules/other\"]");
    let (mut tree, out) = agent.look();
    assert_eq!(out, [""; 0]);
    let captured = host.capture(&["modules/deep/logs/**"], &["/lib/print.mod", "modules", "modules/other"]);
    assert_eq!(tree, TreeSeen::Digest(captured.list.digest()));
    let write = |path: &'static str| move |base: &Path| fs::write(base.join(path), "changed").unwrap();
    agent.check(&mut tree, "shared/print.mod", write("shared/print.mod"));
    agent.check(&mut tree, "shared/modules/deep/b", write("shared/modules/deep/b"));
    agent.check(&mut tree, "shared/other/c", write("shared/other/c"));
    agent.check(&mut tree, "shared/modules/new", write("shared/modules/new"));
    // A link that is turned, what it leads to then, and what is not there yet.
    agent.check(&mut tree, "shared/modules/other", |base| {
        fs::remove_file(base.join("shared/modules/other")).unwrap();
        symlink("../later", base.join("shared/modules/other")).unwrap();
    });
    agent.check(&mut tree, "shared/later", |base| {
        fs::create_dir(base.join("shared/later")).unwrap();
        fs::write(base.join("shared/later/d"), "d").unwrap();
    });
    agent.check(&mut tree, "shared/later/d", write("shared/later/d"));
    agent.check(&mut tree, "shared", |base| fs::rename(base.join("shared"), base.join("moved")).unwrap());
    agent.check(&mut tree, "shared", |base| fs::rename(base.join("moved"), base.join("shared")).unwrap());
    // What does not count there closes no gate.
    fs::write(host.at("shared/modules/deep/logs/y.log"), "y").unwrap();
    assert!(agent.watch.drain().is_empty());
}

#[test]
fn a_link_that_leads_out_and_is_not_followed_is_a_finding_that_decides_nothing() {
    let host = Host::new();
    let mut agent = Agent::new(&host, "follow = [\"modules\"]");
    let (tree, out) = agent.look();
    assert_eq!(out, ["lib/print.mod", "modules/other"]);
    fs::write(host.at("shared/print.mod"), "changed").unwrap();
    assert!(agent.watch.drain().is_empty());
    assert_eq!(agent.look().0, tree);
}

/// A program that runs from a tree with followed links: to a file, to a directory by a link that is switched.
struct Site {
    host: Host,
    baseline: Baseline,
}

impl Site {
    fn new() -> Self {
        let host = Host::new();
        fs::rename(host.at("shared/modules"), host.at("shared/v1")).unwrap();
        assert!(
            Command::new("cp").arg("-a").args([host.at("shared/v1"), host.at("shared/v2")]).status().unwrap().success()
        );
        fs::write(host.at("shared/v2/a"), "another").unwrap();
        host.link("shared/modules", "v1");
        let script =
            format!("#!/bin/sh\n# {}\necho ready\nwhile read word; do echo \"$word\"; done\n", host.base.display());
        fs::write(host.at("root/start"), script).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(host.at("root/start"), fs::Permissions::from_mode(0o755)).unwrap();
        let program = "process = { exe = \"start\" }\nfollow = [\"**\"]";
        let baseline = Agent::new(&host, program).baseline;
        Self { host, baseline }
    }

    fn start(&self) -> Talking {
        Talking::start(&mut Command::new(self.host.at("root/start")))
    }
}

type Step = fn(&Host);

/// What changes what a process that is started anew finds behind the links.
const CHANGES: [(&str, Step); 6] = [
    ("a file written in place", |host| fs::write(host.at("shared/print.mod"), "changed").unwrap()),
    ("a file replaced", |host| replace(&host.at("shared/v1/deep/b"), b"changed")),
    ("a file that came", |host| fs::write(host.at("shared/v1/new"), "new").unwrap()),
    ("a file removed", |host| fs::remove_file(host.at("shared/v1/deep/b")).unwrap()),
    ("a link outside switched to a directory with old times", |host| {
        host.link("next", "v2");
        fs::rename(host.at("next"), host.at("shared/modules")).unwrap();
    }),
    ("a directory outside exchanged for one with old times", |host| {
        fs::rename(host.at("shared/v1"), host.at("shared/old")).unwrap();
        fs::rename(host.at("shared/v2"), host.at("shared/v1")).unwrap();
    }),
];

#[test]
fn what_a_process_had_read_behind_a_followed_link_is_not_loaded_until_a_restart() {
    for (what, change) in CHANGES {
        let site = Site::new();
        let mut watched = Watched::new();
        assert_eq!(watched.look(&site.baseline).loaded, Loaded::NotRunning, "{what}");
        let running = site.start();
        change(&site.host);
        let newcomer = look(&mut Collector::new([7; 32], None), &site.baseline).loaded;
        for (who, loaded) in [("a newcomer", newcomer), ("who watched", watched.look(&site.baseline).loaded)] {
            assert!(matches!(loaded, Loaded::Older(_)), "{what}: {who} says {loaded:?}");
        }
        running.end();
        let _running = site.start();
        assert_eq!(watched.look(&site.baseline).loaded, Loaded::Current, "{what}: started again");
        assert_eq!(look(&mut Collector::new([7; 32], None), &site.baseline).loaded, Loaded::Current, "{what}");
    }
}

#[test]
fn what_changed_behind_a_followed_link_while_a_process_is_watched_is_not_loaded() {
    for (what, change) in CHANGES {
        let site = Site::new();
        let mut watched = Watched::new();
        watched.look(&site.baseline);
        let _running = site.start();
        for _ in 0..2 {
            assert_eq!(watched.look(&site.baseline).loaded, Loaded::Current, "{what}");
        }
        next_tick();
        change(&site.host);
        let loaded = watched.look(&site.baseline).loaded;
        assert!(matches!(loaded, Loaded::Older(_)), "{what}: {loaded:?}");
    }
}

#[test]
fn what_lies_outside_ties_no_stranger_to_the_program() {
    let host = Host::new();
    fs::copy("/bin/sleep", host.at("shared/modules/sleep")).unwrap();
    let baseline = Agent::new(&host, "process = { exe = \"lib/own\" }\nfollow = [\"**\"]").baseline;
    let mut stranger = programs::Running(Command::new(host.at("shared/modules/sleep")).arg("1000").spawn().unwrap());
    next_tick();
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, Loaded::NotRunning);
    stranger.0.kill().unwrap();
}
