//! Watching: what is told, what is not, and that the question is answered by the kernel at once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/baseline.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use agent::collect::Collector;
use agent::watch::{Blindness, Change, Watch};
use manifests::baseline::Baseline;
use namespace::{as_nobody, done, inside};
use support::baseline;

struct Host {
    _directory: tempfile::TempDir,
    base: PathBuf,
    watch: Watch,
    baseline: Baseline,
}

impl Host {
    /// A watched tree at `root` and configuration files, in a directory that `prepare` has filled.
    fn new(root: &str, files: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        Self::with(root, files, "", prepare)
    }

    /// The same, with more keys of the program. `BASE` stands for the directory.
    fn with(root: &str, files: &[&str], more: &str, prepare: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        prepare(&base);
        let files: Vec<_> = files.iter().map(|file| format!("{:?}", base.join(file))).collect();
        let baseline = baseline(&format!(
            "[[program]]\nid = \"server\"\nroot = {:?}\nexclude = [\"logs/**\", \"*.tmp\"]\nenforce = \"hold\"\n\
             owner = \"o\"\nremediation = {{ en = \"r\" }}\n{}\n\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n\
             [[config]]\nid = \"c\"\nfiles = [{}]\nformat = \"ini\"\nreload = \"live\"\n",
            base.join(root),
            more.replace("BASE", base.to_str().unwrap()),
            files.join(", ")
        ));
        let mut host = Self { _directory: directory, base, watch: Watch::new().unwrap(), baseline };
        host.set();
        host
    }

    fn set(&mut self) {
        let set = Collector::new([7; 32], None).watch_set(&self.baseline, None);
        self.watch.set(&set).unwrap();
        while self.watch.pending().has_pending() {
            drop(self.watch.drain());
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Paths told of, relative to the base.
    fn told(&mut self) -> Vec<String> {
        let base = self.base.clone();
        let drained = self.watch.drain();
        let path = |change: &Change| match change {
            Change::Path { path, .. } => path.strip_prefix(&base).unwrap_or(path).display().to_string(),
            Change::Overflow => "overflow".to_owned(),
        };
        drained.iter().map(path).collect()
    }

    /// A change must be pending the moment it is made, in the thread that made it.
    #[track_caller]
    fn check(&mut self, change: impl FnOnce(&Path), expected: &str) {
        assert!(!self.watch.pending().has_pending(), "nothing has happened yet");
        change(&self.base);
        assert!(self.watch.pending().has_pending());
        let told = self.told();
        assert!(told.iter().any(|path| path == expected), "{expected} is not in {told:?}");
        assert!(!self.watch.pending().has_pending());
        self.set();
    }

    #[track_caller]
    fn silent(&mut self, change: impl FnOnce(&Path)) {
        change(&self.base);
        // Somebody else may mount something on this machine meanwhile.
        let told: Vec<_> = self.told().into_iter().filter(|path| path != "overflow").collect();
        assert_eq!(told, Vec::<String>::new());
    }
}

fn plain(base: &Path) {
    for directory in ["opt/issuing/lib/deep", "opt/issuing/logs", "etc/d"] {
        fs::create_dir_all(base.join(directory)).unwrap();
    }
    fs::write(base.join("opt/issuing/lib/module"), "one").unwrap();
    fs::write(base.join("etc/print.ini"), "").unwrap();
}

/// Waits until something is queued; false when the seconds passed first.
fn wait(watch: &Watch, seconds: i64) -> bool {
    let pending = watch.pending();
    let timeout = rustix::time::Timespec { tv_sec: seconds, tv_nsec: 0 };
    let mut wanted = [rustix::event::PollFd::new(&pending, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut wanted, Some(&timeout)).unwrap() > 0
}

#[test]
fn a_change_is_pending_at_once_and_told_by_its_path() {
    let mut host = Host::new("opt/issuing", &["etc/print.ini", "etc/d/*.ini"], plain);
    host.check(|base| fs::write(base.join("opt/issuing/lib/module"), "two").unwrap(), "opt/issuing/lib/module");
    host.check(|base| fs::write(base.join("opt/issuing/new"), "").unwrap(), "opt/issuing/new");
    host.check(
        |base| fs::rename(base.join("opt/issuing/new"), base.join("opt/issuing/lib/deep/moved")).unwrap(),
        "opt/issuing/lib/deep/moved",
    );
    host.check(|base| fs::remove_file(base.join("opt/issuing/lib/deep/moved")).unwrap(), "opt/issuing/lib/deep/moved");
    host.check(|base| symlink("x", base.join("opt/issuing/link")).unwrap(), "opt/issuing/link");
    host.check(|base| fs::write(base.join("etc/print.ini"), "x").unwrap(), "etc/print.ini");
    host.check(|base| fs::write(base.join("etc/d/new.ini"), "x").unwrap(), "etc/d/new.ini");
    host.check(
        |base| {
            fs::write(base.join("etc/other"), "x").unwrap();
            fs::rename(base.join("etc/other"), base.join("etc/print.ini")).unwrap();
        },
        "etc/print.ini",
    );
    host.check(|base| fs::remove_file(base.join("etc/print.ini")).unwrap(), "etc/print.ini");
    host.check(|base| fs::write(base.join("etc/print.ini"), "").unwrap(), "etc/print.ini");
    use std::os::unix::fs::PermissionsExt;
    host.check(
        |base| fs::set_permissions(base.join("opt/issuing/lib/module"), fs::Permissions::from_mode(0o600)).unwrap(),
        "opt/issuing/lib/module",
    );
}

#[test]
fn what_is_in_a_new_directory_is_watched() {
    let mut host = Host::new("opt/issuing", &["etc/print.ini"], plain);
    host.check(
        |base| {
            fs::create_dir_all(base.join("opt/issuing/a/b/c")).unwrap();
            fs::write(base.join("opt/issuing/a/b/c/early"), "").unwrap();
        },
        "opt/issuing/a",
    );
    host.check(|base| fs::write(base.join("opt/issuing/a/b/c/late"), "").unwrap(), "opt/issuing/a/b/c/late");
    host.check(|base| fs::rename(base.join("opt/issuing/a"), base.join("a")).unwrap(), "opt/issuing/a");
    host.silent(|base| fs::write(base.join("a/b/c/outside"), "").unwrap());
    host.check(|base| fs::rename(base.join("a"), base.join("opt/issuing/again")).unwrap(), "opt/issuing/again");
    host.check(|base| fs::write(base.join("opt/issuing/again/b/c/x"), "").unwrap(), "opt/issuing/again/b/c/x");
}

#[test]
fn what_does_not_count_is_silent() {
    let mut host = Host::new("opt/issuing", &["etc/print.ini", "etc/d/*.ini"], plain);
    host.silent(|base| fs::write(base.join("opt/issuing/logs/a.log"), "x").unwrap());
    // A directory of which nothing counts is not even watched: a log line closes no gate.
    assert!(!host.watch.pending().has_pending());
    host.silent(|base| fs::create_dir_all(base.join("opt/issuing/logs/old/deep")).unwrap());
    host.silent(|base| fs::write(base.join("opt/issuing/lib/x.tmp"), "x").unwrap());
    host.silent(|base| fs::write(base.join("etc/other.ini"), "x").unwrap());
    host.silent(|base| fs::write(base.join("etc/d/other.txt"), "x").unwrap());
    host.silent(|base| fs::write(base.join("unrelated"), "x").unwrap());
    assert!(!host.watch.pending().has_pending());
}

#[test]
fn a_root_that_is_replaced_removed_or_appears_is_told() {
    let mut host = Host::new("opt/issuing", &["later/d/print.ini"], plain);
    host.check(|base| fs::rename(base.join("opt/issuing"), base.join("opt/old")).unwrap(), "opt/issuing");
    host.check(|base| fs::create_dir(base.join("opt/issuing")).unwrap(), "opt/issuing");
    host.check(|base| fs::write(base.join("opt/issuing/x"), "").unwrap(), "opt/issuing/x");
    host.silent(|base| fs::write(base.join("opt/old/lib/module"), "no more").unwrap());
    // A component far above it.
    host.check(|base| fs::rename(base.join("opt"), base.join("aside")).unwrap(), "opt");
    host.check(|base| fs::rename(base.join("aside"), base.join("opt")).unwrap(), "opt");
    // The way to a configuration that does not exist yet.
    host.check(|base| fs::create_dir(base.join("later")).unwrap(), "later");
    host.check(|base| fs::create_dir(base.join("later/d")).unwrap(), "later/d");
    host.check(|base| fs::write(base.join("later/d/print.ini"), "").unwrap(), "later/d/print.ini");
    host.check(|base| fs::remove_dir_all(base.join("later")).unwrap(), "later/d/print.ini");
    host.check(|base| fs::create_dir(base.join("later")).unwrap(), "later");
}

#[test]
fn links_on_the_way_are_watched_with_what_they_lead_to() {
    let mut host = Host::new("current", &["print.ini"], |base| {
        plain(base);
        fs::create_dir_all(base.join("releases/1/lib")).unwrap();
        fs::create_dir_all(base.join("releases/2/lib")).unwrap();
        fs::create_dir(base.join("shared")).unwrap();
        fs::write(base.join("shared/real.ini"), "").unwrap();
        symlink("releases/1", base.join("current")).unwrap();
        symlink("shared/real.ini", base.join("print.ini")).unwrap();
    });
    host.check(|base| fs::write(base.join("releases/1/lib/x"), "").unwrap(), "releases/1/lib/x");
    host.check(|base| fs::write(base.join("shared/real.ini"), "x").unwrap(), "shared/real.ini");
    host.check(
        |base| {
            symlink("releases/2", base.join("next")).unwrap();
            fs::rename(base.join("next"), base.join("current")).unwrap();
        },
        "current",
    );
    host.silent(|base| fs::write(base.join("releases/1/lib/y"), "").unwrap());
    host.check(|base| fs::write(base.join("releases/2/lib/y"), "").unwrap(), "releases/2/lib/y");
    host.check(|base| fs::remove_file(base.join("print.ini")).unwrap(), "print.ini");
    host.check(|base| fs::write(base.join("print.ini"), "x").unwrap(), "print.ini");
}

#[test]
fn a_full_queue_is_told_as_everything() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: u64 = limit.trim().parse().unwrap();
    let mut host = Host::new("opt/issuing", &["etc/print.ini"], plain);
    let (one, two) = (host.at("opt/issuing/one"), host.at("opt/issuing/two"));
    fs::write(&one, "").unwrap();
    // Each rename tells twice; equal events that follow each other would be merged.
    for _ in 0..=limit / 4 {
        fs::rename(&one, &two).unwrap();
        fs::rename(&two, &one).unwrap();
    }
    let mut overflow = false;
    while host.watch.pending().has_pending() {
        overflow |= host.told().contains(&"overflow".to_owned());
    }
    assert!(overflow);
    host.set();
    host.check(|base| fs::write(base.join("opt/issuing/lib/module"), "two").unwrap(), "opt/issuing/lib/module");
}

#[test]
fn what_was_taken_stays_pending_until_it_is_noted() {
    let mut host = Host::new("opt/issuing", &["etc/print.ini"], plain);
    let pending = host.watch.pending();
    fs::write(host.at("opt/issuing/lib/module"), "two").unwrap();
    assert!(wait(&host.watch, 60));
    let drained = host.watch.drain();
    assert!(pending.has_pending());
    assert!(!drained.is_empty());
    drop(drained);
    assert!(!pending.has_pending());
    assert!(!wait(&host.watch, 0));
}

#[test]
fn an_unchanged_set_is_not_watched_anew() {
    let mut host = Host::new("opt/issuing", &["etc/print.ini"], plain);
    fs::write(host.at("opt/issuing/lib/module"), "two").unwrap();
    let set = Collector::new([7; 32], None).watch_set(&host.baseline, None);
    host.watch.set(&set).unwrap();
    // Nor is what is queued lost by it.
    assert_eq!(host.told(), ["opt/issuing/lib/module"]);
}

#[test]
fn every_step_to_a_file_behind_links_is_watched() {
    let mut host = Host::new("opt/issuing", &["etc/print.ini", "etc/d/*.ini"], |base| {
        plain(base);
        fs::remove_file(base.join("etc/print.ini")).unwrap();
        // print.ini -> current/print.ini, current -> ../data/2, where print.ini -> /BASE/far/real.ini
        for directory in ["data/1", "data/2", "far", "other"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        symlink("current/print.ini", base.join("etc/print.ini")).unwrap();
        symlink("../data/2", base.join("etc/current")).unwrap();
        symlink(base.join("far/real.ini"), base.join("data/2/print.ini")).unwrap();
        fs::write(base.join("far/real.ini"), "").unwrap();
        fs::write(base.join("data/1/print.ini"), "").unwrap();
        // What a pattern finds is a link as well, and leads to nothing yet.
        symlink("../../other/deep/x.ini", base.join("etc/d/x.ini")).unwrap();
    });
    let switch = |base: &Path, link: &str, target: &str| {
        symlink(target, base.join("next")).unwrap();
        fs::rename(base.join("next"), base.join(link)).unwrap();
    };
    host.check(|base| fs::write(base.join("far/real.ini"), "x").unwrap(), "far/real.ini");
    host.check(|base| fs::rename(base.join("far"), base.join("gone")).unwrap(), "far");
    host.check(|base| fs::create_dir(base.join("far")).unwrap(), "far");
    host.check(|base| fs::write(base.join("far/real.ini"), "x").unwrap(), "far/real.ini");
    host.check(|base| switch(base, "data/2/print.ini", "../1/print.ini"), "data/2/print.ini");
    host.check(|base| fs::write(base.join("data/1/print.ini"), "x").unwrap(), "data/1/print.ini");
    host.check(|base| switch(base, "etc/current", "../data/1"), "etc/current");
    host.silent(|base| fs::write(base.join("data/2/other.ini"), "x").unwrap());
    host.check(|base| fs::remove_file(base.join("data/1/print.ini")).unwrap(), "data/1/print.ini");
    host.check(|base| fs::create_dir(base.join("other/deep")).unwrap(), "other/deep");
    host.check(|base| fs::write(base.join("other/deep/x.ini"), "").unwrap(), "other/deep/x.ini");
    host.check(|base| fs::write(base.join("other/deep/x.ini"), "x").unwrap(), "other/deep/x.ini");
    host.check(|base| fs::remove_file(base.join("etc/d/x.ini")).unwrap(), "etc/d/x.ini");
}

#[test]
fn an_executable_that_is_a_link_of_the_tree_is_watched_where_it_leads() {
    for exe in ["bin/issuingd", "BASE/opt/issuing/bin/issuingd"] {
        let process = format!("process = {{ exe = \"{exe}\" }}");
        let mut host = Host::with("opt/issuing", &["etc/print.ini"], &process, |base| {
            plain(base);
            for directory in ["opt/issuing/bin", "opt/runtime/1", "opt/runtime/2"] {
                fs::create_dir_all(base.join(directory)).unwrap();
            }
            symlink("../../runtime/current/java", base.join("opt/issuing/bin/issuingd")).unwrap();
            symlink("1", base.join("opt/runtime/current")).unwrap();
            fs::write(base.join("opt/runtime/1/java"), "").unwrap();
        });
        host.check(|base| fs::write(base.join("opt/runtime/1/java"), "x").unwrap(), "opt/runtime/1/java");
        host.check(
            |base| {
                fs::remove_file(base.join("opt/runtime/current")).unwrap();
                symlink("2", base.join("opt/runtime/current")).unwrap();
            },
            "opt/runtime/current",
        );
        host.check(|base| fs::write(base.join("opt/runtime/2/java"), "x").unwrap(), "opt/runtime/2/java");
    }
}

#[test]
fn what_dpkg_notes_before_it_merges_it_is_watched() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().canonicalize().unwrap();
    fs::create_dir_all(base.join("var/lib/dpkg")).unwrap();
    fs::write(base.join("var/lib/dpkg/status"), "").unwrap();
    let baseline = baseline(
        "[[fix]]\nid = \"FIX-1\"\ntitle = { en = \"t\" }\npattern = \"missed-fix\"\nenforce = \"hold\"\norigin = \"o\"\n\
         requires = [{ package = \"a\", database = \"dpkg\", at_least = \"1.0-1\" }]\nowner = \"o\"\n\
         remediation = { en = \"r\" }\n",
    );
    let mut host = Host { _directory: directory, base: base.clone(), watch: Watch::new().unwrap(), baseline };
    let set = |host: &mut Host| {
        let set = Collector::new([7; 32], Some(base.clone())).watch_set(&host.baseline, None);
        host.watch.set(&set).unwrap();
    };
    let updates = base.join("var/lib/dpkg/updates");
    set(&mut host);
    fs::create_dir(&updates).unwrap();
    assert_eq!(host.told(), ["var/lib/dpkg/updates"]);
    set(&mut host);
    // As dpkg does it: written under a name that does not count, and renamed.
    fs::write(updates.join("tmp.i"), "Package: a\n").unwrap();
    assert_eq!(host.told(), [""; 0]);
    fs::rename(updates.join("tmp.i"), updates.join("0001")).unwrap();
    assert_eq!(host.told(), ["var/lib/dpkg/updates/0001"]);
    fs::remove_file(updates.join("0001")).unwrap();
    assert_eq!(host.told(), ["var/lib/dpkg/updates/0001"]);
    fs::write(base.join("var/lib/dpkg/status"), "Package: a\n").unwrap();
    assert_eq!(host.told(), ["var/lib/dpkg/status"]);
}

#[test]
fn a_root_that_is_no_directory_turns_nothing_off() {
    let to_file = |base: &Path| {
        plain(base);
        fs::write(base.join("file"), "").unwrap();
        symlink("file", base.join("link")).unwrap();
        assert!(done("mkfifo", &[base.join("fifo").to_str().unwrap()]));
    };
    for root in ["file", "link", "fifo"] {
        let mut host = Host::new(root, &["etc/print.ini"], to_file);
        host.check(|base| fs::write(base.join("etc/print.ini"), "x").unwrap(), "etc/print.ini");
        let target = if root == "link" { "file" } else { root };
        host.check(|base| fs::remove_file(base.join(target)).unwrap(), target);
        host.check(|base| fs::create_dir(base.join(target)).unwrap(), target);
        host.check(|base| fs::write(base.join(target).join("x"), "").unwrap(), &format!("{target}/x"));
    }
}

#[test]
fn a_directory_that_may_be_entered_and_not_watched_is_said_so() {
    if !as_nobody("a_directory_that_may_be_entered_and_not_watched_is_said_so") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mut host = Host::new("opt/issuing", &["etc/print.ini"], |base| {
        plain(base);
        fs::create_dir(base.join("opt/issuing/sealed")).unwrap();
    });
    assert!(host.watch.blind().is_empty(), "{}", host.watch.blind());
    let blind = |host: &Host| -> Vec<PathBuf> {
        let places = host.watch.blind().places();
        places.inspect(|(_, why)| assert_eq!(**why, Blindness::Refused)).map(|(path, _)| path.to_owned()).collect()
    };
    mode(host.at("etc"), 0o311);
    mode(host.at("opt/issuing/lib"), 0o311);
    // Neither to be listed nor to be entered: no pass reads it, and says so.
    mode(host.at("opt/issuing/sealed"), 0o000);
    drop(host.watch.drain());
    host.watch = Watch::new().unwrap();
    host.set();
    let expected = [host.at("etc"), host.at("opt/issuing/lib")];
    assert_eq!(blind(&host), expected);
    // The rest is watched as before, and so is what may be watched again.
    host.check(|base| fs::write(base.join("opt/issuing/x"), "").unwrap(), "opt/issuing/x");
    assert_eq!(blind(&host), expected);
    host.check(|_| mode(expected[1].clone(), 0o755), "opt/issuing/lib");
    assert_eq!(blind(&host), expected[..1]);
    host.check(|base| fs::write(base.join("opt/issuing/lib/module"), "two").unwrap(), "opt/issuing/lib/module");
    for path in [host.at("etc"), host.at("opt/issuing/sealed")] {
        mode(path, 0o755);
    }
}

#[test]
fn a_file_system_that_does_not_tell_of_every_change_is_said_so() {
    if !inside("a_file_system_that_does_not_tell_of_every_change_is_said_so") {
        return;
    }
    let mut host = Host::new("opt/issuing", &["etc/print.ini", "etc/d/*.ini"], |base| {
        plain(base);
        for directory in ["lower", "upper", "work"] {
            fs::create_dir(base.join(directory)).unwrap();
        }
    });
    let text = |path: PathBuf| path.display().to_string();
    let places = |host: &Host| -> Vec<(String, String)> {
        let shown = |(path, why): (&Path, &Blindness)| match why {
            Blindness::Silent(file_system) => (text(path.to_owned()), file_system.clone()),
            Blindness::Refused => panic!("{path:?}"),
        };
        host.watch.blind().places().map(shown).collect()
    };
    let before = places(&host);
    // The machine's own root may be an overlay, in a container.
    if !before.is_empty() {
        eprintln!("skipped: {before:?}");
        return;
    }
    assert!(done("mount", &["-t", "tmpfs", "none", &text(host.at("etc/d"))]));
    assert_eq!(host.told(), ["overflow"]);
    host.set();
    assert_eq!(places(&host), []);
    let layers = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", text(host.at(name)))).join(",");
    let deep = text(host.at("opt/issuing/lib/deep"));
    if !done("mount", &["-t", "overlay", "overlay", "-o", &layers, &deep]) {
        eprintln!("skipped: no overlay can be mounted here");
        return;
    }
    assert_eq!(host.told(), ["overflow"]);
    host.set();
    assert_eq!(places(&host), [(deep.clone(), "overlay".to_owned())]);
    // The rest of the watch goes on.
    host.check(|base| fs::write(base.join("opt/issuing/lib/module"), "two").unwrap(), "opt/issuing/lib/module");
    assert!(done("umount", &[&deep]));
    host.told();
    host.set();
    assert_eq!(places(&host), []);
    // A file that is named lies on it as much as a tree does.
    let proc = text(host.at("etc"));
    assert!(done("umount", &[&format!("{proc}/d")]) && done("mount", &["-t", "proc", "proc", &proc]));
    host.told();
    host.set();
    assert_eq!(places(&host), [(proc, "proc".to_owned())]);
}

#[test]
fn a_mount_is_told_although_no_file_has_an_event_and_one_elsewhere_is_not() {
    if !inside("a_mount_is_told_although_no_file_has_an_event_and_one_elsewhere_is_not") {
        return;
    }
    let mut host = Host::new("opt/issuing", &["etc/print.ini"], |base| {
        plain(base);
        fs::create_dir(base.join("elsewhere")).unwrap();
        fs::write(base.join("other"), "other").unwrap();
    });
    let text = |path: PathBuf| path.display().to_string();
    let (over, under) = (text(host.at("etc")), text(host.at("opt/issuing")));
    assert!(done("mount", &["--bind", &over, &under]));
    assert!(host.watch.pending().has_pending());
    assert!(wait(&host.watch, 60));
    assert_eq!(host.told(), ["overflow"]);
    assert!(!host.watch.pending().has_pending());
    assert!(done("umount", &[&under]));
    assert!(host.watch.pending().has_pending(), "so is its end");
    assert_eq!(host.told(), [""; 0], "as it was when the set was made");

    // A container that starts, an automounter: nothing of what is watched is another.
    let elsewhere = text(host.at("elsewhere"));
    for _ in 0..2 {
        assert!(done("mount", &["-t", "tmpfs", "none", &elsewhere]));
        assert!(host.watch.pending().has_pending(), "until somebody has looked what it is");
        assert_eq!(host.told(), [""; 0]);
        assert!(!host.watch.pending().has_pending());
    }
    host.check(|base| fs::write(base.join("opt/issuing/lib/module"), "two").unwrap(), "opt/issuing/lib/module");

    // A file mounted over one of the tree, and over a configuration.
    for path in ["opt/issuing/lib/module", "etc/print.ini"] {
        assert!(done("mount", &["--bind", &text(host.at("other")), &text(host.at(path))]));
        assert_eq!(host.told(), ["overflow"], "{path}");
        host.set();
        // It is written where it comes from.
        host.check(|base| fs::write(base.join("other"), path).unwrap(), path);
        assert!(done("umount", &[&text(host.at(path))]));
        host.told();
        host.set();
    }
    host.silent(|base| fs::write(base.join("other"), "no more").unwrap());
}
