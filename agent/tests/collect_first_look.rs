//! The first look at a process: what is there counts as read where it is older than the process, and
//! nothing that is not there may have gone since.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod baseline;
#[path = "support/programs.rs"]
mod programs;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use agent::collect::Collector;
use data_encoding::BASE64;
use manifests::baseline::Baseline;
use programs::{Host, Loaded, Talking, Watched, look, next_tick, older, replace};

const BOOT: &str = "a boot";

/// A program in a release that a link leads to, and its configuration in layers.
struct Site {
    host: Host,
    base: PathBuf,
}

impl Site {
    fn new() -> Self {
        let host = Host::new();
        let base = host.root.parent().unwrap().to_owned();
        let site = Self { host, base };
        for release in ["one", "two"] {
            let root = site.base.join(release);
            fs::create_dir_all(root.join("lib/deep")).unwrap();
            site.start_script(&root.join("start"), release);
            fs::write(root.join("lib/module"), release).unwrap();
            fs::write(root.join("lib/deep/module"), "the same").unwrap();
            fs::write(root.join("app.ini"), format!("release = {release}\n")).unwrap();
        }
        symlink("one", site.base.join("current")).unwrap();
        let etc = site.etc();
        fs::create_dir_all(etc.join("conf.d")).unwrap();
        fs::write(etc.join("base.ini"), "a = 1\n").unwrap();
        fs::write(etc.join("v1.ini"), "b = 1\n").unwrap();
        fs::write(etc.join("v2.ini"), "b = 2\n").unwrap();
        symlink("v1.ini", etc.join("linked.ini")).unwrap();
        fs::write(etc.join("conf.d/10.ini"), "c = 1\n").unwrap();
        fs::write(etc.join("conf.d/20.ini"), "d = 1\n").unwrap();
        site
    }

    /// It waits, executes itself again where it is told `exec`, and goes on in a fork where it is told so.
    fn start_script(&self, path: &Path, release: &str) {
        let text = format!(
            "#!/bin/sh\n# {} {release}\necho ready\nwhile read word; do case $word in\n\
             exec) exec \"$0\";;\nfork) exec 3<&0; while read word; do echo \"$word\"; done <&3 & echo forked; exit;;\n\
             *) echo \"$word\";;\nesac; done\n",
            self.base.display()
        );
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn etc(&self) -> PathBuf {
        self.base.join("etc")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    fn baseline(&self, files: &[&str], more: &str) -> Baseline {
        let files: Vec<PathBuf> = files.iter().map(|file| self.at(file)).collect();
        let config = format!(
            "[[config]]\nid = \"c\"\nprogram = \"server\"\nfiles = {files:?}\nformat = \"properties\"\nreload = \"restart\"\n{more}"
        );
        self.host.baseline(&self.at("current"), "{ exe = \"start\" }", &config)
    }

    /// Every layer, one of which is not there.
    fn layered(&self) -> Baseline {
        self.baseline(&["etc/base.ini", "etc/linked.ini", "etc/conf.d/*.ini", "etc/local.ini", "current/app.ini"], "")
    }

    /// Layers that are there, and no pattern.
    fn named(&self) -> Baseline {
        self.baseline(&["etc/base.ini", "etc/linked.ini", "current/app.ini"], "")
    }

    fn start(&self) -> Talking {
        Talking::start(&mut Command::new(self.at("current/start")))
    }

    /// Switches a link at once.
    fn switch(&self, link: &str, to: &str) {
        symlink(to, self.at("next.link")).unwrap();
        fs::rename(self.at("next.link"), self.at(link)).unwrap();
    }

    /// Puts a directory in the place of another that has the same files, but for one.
    fn exchange(&self, directory: &str, file: &str) {
        let next = self.at("next.directory");
        copy(&self.at(directory), &next);
        fs::write(next.join(file), "x = 2\n").unwrap();
        fs::rename(self.at(directory), self.at("old.directory")).unwrap();
        fs::rename(next, self.at(directory)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

fn new() -> Collector {
    Collector::new([7; 32], None)
}

/// A mount of one directory over another, taken off again at the end.
struct Bound(PathBuf);

impl Bound {
    fn new(from: &Path, onto: &Path) -> Self {
        assert!(Command::new("mount").arg("--bind").args([from, onto]).status().unwrap().success());
        Self(onto.to_owned())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

type Change = fn(&Site) -> Option<Bound>;

/// What changes what a process that is started anew reads.
const CHANGES: [(&str, Change); 18] = [
    ("a file written in place", |site| {
        fs::write(site.at("etc/base.ini"), "a = 2\n").unwrap();
        None
    }),
    ("a file replaced by its name", |site| {
        replace(&site.at("etc/base.ini"), b"a = 2\n");
        None
    }),
    ("a file that bears old times", |site| {
        let file = site.at("etc/base.ini");
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "a = 2\n").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        None
    }),
    ("an older file moved into its place", |site| {
        fs::rename(site.at("etc/v2.ini"), site.at("etc/base.ini")).unwrap();
        None
    }),
    ("a file linked into its place", |site| {
        fs::remove_file(site.at("etc/base.ini")).unwrap();
        fs::hard_link(site.at("etc/v2.ini"), site.at("etc/base.ini")).unwrap();
        None
    }),
    ("a link switched to another file", |site| {
        site.switch("etc/linked.ini", "v2.ini");
        None
    }),
    ("a link in the place of a file", |site| {
        site.switch("etc/base.ini", "v2.ini");
        None
    }),
    ("the release's link switched", |site| {
        site.switch("current", "two");
        None
    }),
    ("the directory of a pattern exchanged", |site| {
        site.exchange("etc/conf.d", "10.ini");
        None
    }),
    ("a directory further up exchanged", |site| {
        site.exchange("etc", "base.ini");
        None
    }),
    ("a layer removed from a pattern's directory", |site| {
        fs::remove_file(site.at("etc/conf.d/20.ini")).unwrap();
        None
    }),
    ("a layer moved away", |site| {
        fs::rename(site.at("etc/conf.d/20.ini"), site.at("20.off")).unwrap();
        None
    }),
    ("a layer that came", |site| {
        fs::write(site.at("etc/local.ini"), "a = 3\n").unwrap();
        None
    }),
    ("a layer that came into a pattern's directory", |site| {
        fs::rename(site.at("etc/v2.ini"), site.at("etc/conf.d/30.ini")).unwrap();
        None
    }),
    ("a file of the tree replaced", |site| {
        replace(&site.at("one/lib/module"), b"another");
        None
    }),
    ("a directory of the tree exchanged", |site| {
        site.exchange("one/lib", "deep/module");
        None
    }),
    ("a file of the tree removed", |site| {
        fs::remove_file(site.at("one/lib/deep/module")).unwrap();
        None
    }),
    ("a directory mounted over another", |site| {
        if !rustix::process::geteuid().is_root() {
            fs::write(site.at("etc/base.ini"), "a = 2\n").unwrap();
            return None;
        }
        let other = site.at("other");
        copy(&site.at("etc/conf.d"), &other);
        fs::write(other.join("10.ini"), "c = 2\n").unwrap();
        Some(Bound::new(&other, &site.at("etc/conf.d")))
    }),
];

#[test]
fn what_changed_between_the_start_and_the_first_look_is_not_loaded_until_a_restart() {
    for (what, change) in CHANGES {
        let site = Site::new();
        let baseline = site.layered();
        let mut watched = Watched::new();
        assert_eq!(watched.look(&baseline).loaded, Loaded::NotRunning, "{what}");
        let running = site.start();
        let bound = change(&site);
        for (who, seen) in [("a newcomer", look(&mut new(), &baseline)), ("who watched", watched.look(&baseline))] {
            assert!(matches!(seen.loaded, Loaded::Older(_)), "{what}: {who} says {:?}", seen.loaded);
        }
        running.end();
        let _running = site.start();
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "{what}: started again");
        // When something was mounted is told by nobody but who was there.
        if bound.is_none() {
            assert_eq!(look(&mut new(), &baseline).loaded, Loaded::Current, "{what}: started again, to a newcomer");
        }
        drop(bound);
    }
}

#[test]
fn what_changed_before_the_start_is_loaded() {
    for (what, change) in CHANGES {
        let site = Site::new();
        let baseline = site.layered();
        let mut watched = Watched::new();
        watched.look(&baseline);
        let bound = change(&site);
        next_tick();
        let mut later = new();
        if bound.is_some() {
            // The mount table's change asks for a look. That a mount is older than a process is known to who
            // saw it before.
            watched.look(&baseline);
            look(&mut later, &baseline);
        }
        let _running = site.start();
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "{what}");
        assert_eq!(look(&mut later, &baseline).loaded, Loaded::Current, "{what}");
        drop(bound);
    }
}

#[test]
fn what_came_and_went_before_the_first_look_is_not_loaded() {
    let kinds: [(&str, &str, Change); 5] = [
        ("an absent layer", "etc", |site| {
            fs::write(site.at("etc/local.ini"), "a = 9\n").unwrap();
            fs::remove_file(site.at("etc/local.ini")).unwrap();
            None
        }),
        ("a layer of a pattern", "etc/conf.d", |site| {
            fs::write(site.at("etc/conf.d/99.ini"), "a = 9\n").unwrap();
            fs::remove_file(site.at("etc/conf.d/99.ini")).unwrap();
            None
        }),
        ("a layer of a pattern, moved through", "etc/conf.d", |site| {
            fs::rename(site.at("etc/v2.ini"), site.at("etc/conf.d/99.ini")).unwrap();
            fs::rename(site.at("etc/conf.d/99.ini"), site.at("v2.ini")).unwrap();
            None
        }),
        ("a file of the tree", "lib", |site| {
            fs::write(site.at("one/lib/plugin"), "evil").unwrap();
            fs::remove_file(site.at("one/lib/plugin")).unwrap();
            None
        }),
        ("a release", "current", |site| {
            site.switch("current", "two");
            site.switch("current", "one");
            None
        }),
    ];
    for (what, _, change) in kinds {
        let site = Site::new();
        let baseline = site.layered();
        let mut watched = Watched::new();
        watched.look(&baseline);
        next_tick();
        let running = site.start();
        change(&site);
        for (who, seen) in [("a newcomer", look(&mut new(), &baseline)), ("who watched", watched.look(&baseline))] {
            assert!(matches!(seen.loaded, Loaded::Older(_)), "{what}: {who} says {:?}", seen.loaded);
        }
        running.end();
        let _running = site.start();
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "{what}: started again");
    }
}

/// What a program does beside its configuration: it writes a log, a database in place, and a state that it
/// replaces by its name.
fn write_beside(site: &Site) {
    let etc = site.etc();
    fs::OpenOptions::new().append(true).create(true).open(etc.join("app.log")).unwrap().write_all(b"line\n").unwrap();
    fs::write(etc.join("state.db"), "state").unwrap();
    replace(&etc.join("state.json"), b"{}");
    let _ = fs::remove_file(etc.join("app.pid"));
    fs::write(etc.join("app.pid"), "1").unwrap();
}

#[test]
fn a_program_that_writes_beside_its_configuration_stays_current() {
    let site = Site::new();
    write_beside(&site);
    let (named, layered) = (site.named(), site.layered());
    let mut watched = Watched::new();
    watched.look(&layered);
    let running = site.start();
    write_beside(&site);
    // The first look of all, of an agent that was just installed.
    assert_eq!(look(&mut new(), &named).loaded, Loaded::Current);
    // An absent layer may have gone from where others have gone: who watched knows better.
    assert_eq!(watched.look(&layered).loaded, Loaded::Current);
    for _ in 0..3 {
        write_beside(&site);
        assert_eq!(watched.look(&layered).loaded, Loaded::Current);
    }
    running.end();
    // As after a boot: the agent first, then the program, which writes at once.
    let mut early = Watched::new();
    early.look(&layered);
    let _running = site.start();
    write_beside(&site);
    assert_eq!(early.look(&layered).loaded, Loaded::Current);
}

#[test]
fn an_agent_that_is_started_again_takes_up_what_was_loaded() {
    let site = Site::new();
    let baseline = site.layered();
    let mut watched = Watched::new();
    watched.look(&baseline);
    let _running = site.start();
    assert_eq!(watched.look(&baseline).loaded, Loaded::Current);
    for round in 0..3 {
        let (kept, lists) = watched.collector.remembered(BOOT);
        watched = Watched::new();
        let list = |digest: &_| lists.get(digest).map(|list| list.to_bytes()).ok_or("not there");
        watched.collector.recall(&kept, BOOT, list).unwrap();
        write_beside(&site);
        // The content is what counts.
        replace(&site.at("etc/conf.d/10.ini"), b"c = 1\n");
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "round {round}");
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "round {round}");
    }
    fs::write(site.at("etc/conf.d/10.ini"), "c = 2\n").unwrap();
    assert_eq!(watched.look(&baseline).loaded, older(site.at("etc/conf.d/10.ini").to_str().unwrap()));
}

#[test]
fn what_the_first_version_kept_is_taken_up() {
    let site = Site::new();
    let baseline = site.named();
    let running = site.start();
    let mut before = new();
    assert_eq!(look(&mut before, &baseline).loaded, Loaded::Current);
    let (_, lists) = before.remembered(BOOT);
    let (digest, list) = lists.iter().next().unwrap();
    // As that version wrote it: paths in base64, the process by its number and start.
    let pid = running.child.id();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let name = |path: &Path| BASE64.encode(path.as_os_str().as_encoded_bytes());
    let files = ["etc/base.ini", "etc/linked.ini", "current/app.ini"].map(|file| site.at(file));
    let layers: Vec<String> = files
        .iter()
        .map(|file| {
            let digest = manifests::digest::Digest::of(&fs::read(file).unwrap());
            format!("\"{}\":\"{digest}\"", name(file))
        })
        .collect();
    let kept = format!(
        "{{\"boot_id\":\"{BOOT}\",\"running\":[{{\"program\":\"server\",\"pid\":{pid},\"start\":{start},\"file\":[1,2]}}],\
         \"processes\":[{{\"pid\":{pid},\"start\":{start},\"configs\":[{{\"files\":{files:?},\"layers\":{{{}}}}}],\
         \"trees\":[{{\"root\":\"{}\",\"exclude\":[\"logs/**\"],\"list\":\"{digest}\",\"uncertain\":[],\"held\":{{}}}}]}}]}}",
        layers.join(","),
        name(&site.at("current")),
    );
    let upgraded = || {
        let mut collector = new();
        collector.recall(kept.as_bytes(), BOOT, |_| Ok::<_, String>(list.to_bytes())).unwrap();
        collector
    };
    // Touched meanwhile, which tells nothing to who knows the content.
    replace(&site.at("etc/base.ini"), b"a = 1\n");
    replace(&site.at("one/lib/module"), b"one");
    assert!(matches!(look(&mut new(), &baseline).loaded, Loaded::Older(_)));
    assert_eq!(look(&mut upgraded(), &baseline).loaded, Loaded::Current);
    replace(&site.at("etc/base.ini"), b"a = 2\n");
    assert_eq!(look(&mut upgraded(), &baseline).loaded, older(site.at("etc/base.ini").to_str().unwrap()));
}

#[test]
fn a_new_exclusion_forgets_nothing() {
    let site = Site::new();
    let excluding = |exclude: &str| {
        let text = format!(
            "[[program]]\nid = \"server\"\nroot = {:?}\nprocess = {{ exe = \"start\" }}\nenforce = \"hold\"\n\
             owner = \"o\"\nexclude = [{exclude}]\nremediation = {{ en = \"r\" }}\n\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n",
            site.at("current")
        );
        baseline::baseline(&text)
    };
    let (one, two, none) =
        (excluding("\"logs/**\""), excluding("\"logs/**\", \"lib/deep/**\""), excluding("\"tmp/**\""));
    let mut watched = Watched::new();
    watched.look(&one);
    let _running = site.start();
    assert_eq!(watched.look(&one).loaded, Loaded::Current);
    for baseline in [&two, &none, &one] {
        assert_eq!(watched.look(baseline).loaded, Loaded::Current, "nothing was changed");
    }
    replace(&site.at("one/lib/module"), b"another");
    for baseline in [&one, &two, &none, &one] {
        assert_eq!(watched.look(baseline).loaded, older("lib/module"), "what was changed stays so");
    }
    replace(&site.at("one/lib/module"), b"one");
    replace(&site.at("one/lib/deep/module"), b"another");
    assert_eq!(watched.look(&two).loaded, Loaded::Current, "an excluded file");
    assert_eq!(watched.look(&none).loaded, older("lib/deep/module"), "it is not excluded any more");
}

#[test]
fn a_new_path_of_a_configuration_holds_nobody_where_nothing_was_changed() {
    let site = Site::new();
    let (one, more) = (site.baseline(&["etc/base.ini"], ""), site.named());
    let mut watched = Watched::new();
    watched.look(&one);
    let _running = site.start();
    write_beside(&site);
    assert_eq!(watched.look(&one).loaded, Loaded::Current);
    write_beside(&site);
    assert_eq!(watched.look(&more).loaded, Loaded::Current, "published with new paths");
    fs::write(site.at("etc/base.ini"), "a = 2\n").unwrap();
    for baseline in [&one, &more] {
        assert_eq!(watched.look(baseline).loaded, older(site.at("etc/base.ini").to_str().unwrap()));
    }
    // Changed before its path was known to anybody: nobody can say what was read.
    fs::write(site.at("etc/base.ini"), "a = 1\n").unwrap();
    fs::write(site.at("etc/local.ini"), "a = 3\n").unwrap();
    let local = site.baseline(&["etc/base.ini", "etc/local.ini"], "");
    assert_eq!(watched.look(&local).loaded, older(site.at("etc/local.ini").to_str().unwrap()));
    assert_eq!(watched.look(&more).loaded, Loaded::Current);
}

#[test]
fn an_exec_in_place_after_a_repair_is_loaded_and_a_fork_is_not() {
    for kind in ["exec", "fork"] {
        let site = Site::new();
        let baseline = site.layered();
        let mut watched = Watched::new();
        watched.look(&baseline);
        let mut running = site.start();
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current);
        fs::write(site.at("etc/base.ini"), "a = 2\n").unwrap();
        assert!(matches!(watched.look(&baseline).loaded, Loaded::Older(_)));
        next_tick();
        let mut input = running.child.stdin.take().unwrap();
        input.write_all(format!("{kind}\n").as_bytes()).unwrap();
        running.hear(if kind == "exec" { "ready" } else { "forked" });
        next_tick();
        let seen = watched.look(&baseline).loaded;
        match kind {
            "exec" => assert_eq!(seen, Loaded::Current),
            _ => assert_eq!(seen, older(site.at("etc/base.ini").to_str().unwrap())),
        }
        drop(input);
        running.end();
        assert_eq!(watched.look(&baseline).loaded, Loaded::NotRunning);
    }
}
