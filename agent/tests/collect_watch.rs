//! Watching: what is told, what is not, and that the question is answered by the kernel at once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use agent::collect::Collector;
use agent::watch::{Change, Watch};
use manifests::baseline::Baseline;
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
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        prepare(&base);
        let files: Vec<_> = files.iter().map(|file| format!("{:?}", base.join(file))).collect();
        let baseline = baseline(&format!(
            "[[program]]\nid = \"server\"\nroot = {:?}\nexclude = [\"logs/**\", \"*.tmp\"]\nenforce = \"hold\"\n\
             owner = \"o\"\nremediation = {{ en = \"r\" }}\n\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n\
             [[config]]\nid = \"c\"\nfiles = [{}]\nformat = \"ini\"\nreload = \"live\"\n",
            base.join(root),
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
fn a_mount_is_told_although_no_file_has_an_event() {
    const INSIDE: &str = "SEKISHO_TEST_IN_NAMESPACE";
    if std::env::var_os(INSIDE).is_none() {
        // Once more in a mount namespace of its own: mounts here would be told to every watch.
        let test = std::env::current_exe().unwrap();
        let mut again = std::process::Command::new("unshare");
        again.args(["--mount", "--"]).arg(test).args(["--exact", "a_mount_is_told_although_no_file_has_an_event"]);
        let output = again.env(INSIDE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("unshare failed") {
            eprintln!("skipped: no mount namespace can be made here");
        } else {
            assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
        }
        return;
    }
    let mut host = Host::new("opt/issuing", &["etc/print.ini"], plain);
    let (over, under) = (host.at("etc"), host.at("opt/issuing"));
    let done = |command: &mut std::process::Command| assert!(command.status().unwrap().success());
    done(std::process::Command::new("mount").arg("--bind").args([&over, &under]));
    assert!(host.watch.pending().has_pending());
    assert!(wait(&host.watch, 60));
    assert_eq!(host.told(), ["overflow"]);
    assert!(!host.watch.pending().has_pending());
    done(std::process::Command::new("umount").arg(&under));
    assert!(host.watch.pending().has_pending(), "so is its end");
}
