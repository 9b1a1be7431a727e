//! Loaded state: what running processes hold against what is on disk. Processes are real ones.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod baseline;
#[path = "support/programs.rs"]
mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use agent::collect::{Collector, Limits};
use manifests::evidence::TreeSeen;
use programs::{Host, Loaded, Running, Watched, look, next_tick, older, replace, wait, wait_for_shell};

#[test]
fn a_replaced_executable_is_not_loaded_until_its_process_is_restarted() {
    let host = Host::new();
    let baseline = host.plain();
    let mut collector = Collector::new([7; 32], None);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::NotRunning);
    let running = host.start(&host.exe());
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    host.install(&host.root, b"another build");
    assert_eq!(look(&mut collector, &baseline).loaded, older("bin/issuingd"));
    // One that never saw it before comes to the same.
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("bin/issuingd"));
    drop(running);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::NotRunning);
    let _restarted = host.start(&host.exe());
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
}

#[test]
fn the_same_content_under_another_inode_is_loaded() {
    let host = Host::new();
    let baseline = host.plain();
    let _running = host.start(&host.exe());
    let mut collector = Collector::new([7; 32], None);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    let bytes = fs::read(host.exe()).unwrap();
    replace(&host.exe(), &bytes);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    // Who was not there cannot say what else has gone from the directory.
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("bin"));
}

#[test]
fn a_removed_executable_is_older() {
    let host = Host::new();
    let baseline = host.plain();
    let _running = host.start(&host.exe());
    fs::remove_file(host.exe()).unwrap();
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("bin/issuingd"));
    fs::remove_dir_all(&host.root).unwrap();
    let seen = look(&mut Collector::new([7; 32], None), &baseline);
    assert_eq!(seen.tree, TreeSeen::Absent);
    assert_eq!(seen.loaded, older(host.exe().to_str().unwrap()));
}

#[test]
fn an_open_file_counts_as_held_but_not_an_excluded_one() {
    let host = Host::new();
    let baseline = host.plain();
    fs::create_dir(host.root.join("logs")).unwrap();
    fs::write(host.root.join("logs/a.log"), "").unwrap();
    let open = |name: &str| Stdio::from(fs::File::open(host.root.join(name)).unwrap());
    next_tick();
    let child = Command::new(host.exe()).arg("1000").stdin(open("lib/module")).stdout(open("logs/a.log")).spawn();
    let running = Running(child.unwrap());
    wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == host.exe()));
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, Loaded::Current);
    replace(&host.root.join("logs/a.log"), b"rotated");
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, Loaded::Current);
    replace(&host.root.join("lib/module"), b"two");
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("lib/module"));
}

#[test]
fn a_file_that_is_read_and_closed_is_older_once_it_changes_under_the_process() {
    let host = Host::new();
    let baseline = host.plain();
    let mut collector = Collector::new([7; 32], None);
    let running = host.start(&host.exe());
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    replace(&host.root.join("script"), b"two");
    assert_eq!(look(&mut collector, &baseline).loaded, older("script"));
    assert_eq!(look(&mut collector, &baseline).loaded, older("script"), "it does not wear off");
    replace(&host.root.join("script"), b"one");
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current, "the old content is back");
    replace(&host.root.join("script"), b"two");
    assert_eq!(look(&mut collector, &baseline).loaded, older("script"));
    drop(running);
    let _restarted = host.start(&host.exe());
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
}

#[test]
fn what_changed_between_start_and_first_look_is_older() {
    let host = Host::new();
    let baseline = host.plain();
    let running = host.start(&host.exe());
    replace(&host.root.join("script"), b"two");
    // An agent that was not there, or was started again meanwhile: nobody can say what was read.
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("script"));
    drop(running);
    let _restarted = host.start(&host.exe());
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, Loaded::Current);
}

#[test]
fn what_was_seen_before_a_start_may_be_touched_after_it() {
    let host = Host::new();
    let baseline = host.plain();
    let mut watched = Watched::new();
    watched.look(&baseline);
    let _running = host.start(&host.exe());
    let now = std::time::SystemTime::now();
    let times = fs::FileTimes::new().set_accessed(now).set_modified(now);
    fs::File::open(host.root.join("script")).unwrap().set_times(times).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(host.root.join("lib/module"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(watched.look(&baseline).loaded, Loaded::Current);
    // Nobody who was not there can tell a touch from a change.
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("script"));
}

#[test]
fn what_a_process_has_loaded_is_known_across_a_restart_of_the_agent() {
    const BOOT: &str = "a boot";
    let host = Host::new();
    let baseline = host.plain();
    let _running = host.start(&host.exe());
    let mut collector = Collector::new([7; 32], None);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    let (kept, lists) = collector.remembered(BOOT);
    let restarted = |boot: &str| {
        let mut collector = Collector::new([7; 32], None);
        let list = |digest: &_| lists.get(digest).map(|list| list.to_bytes()).ok_or("not there");
        collector.recall(&kept, boot, list).unwrap();
        collector
    };
    // Touched since, its content the same.
    replace(&host.root.join("script"), b"one");
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("script"), "nobody knows");
    assert_eq!(look(&mut restarted(BOOT), &baseline).loaded, Loaded::Current);
    assert_eq!(look(&mut restarted("another"), &baseline).loaded, older("script"), "another boot's processes");
    // Replaced while no agent was there.
    replace(&host.root.join("lib/module"), b"two");
    assert_eq!(look(&mut restarted(BOOT), &baseline).loaded, older("lib/module"));
    // Moved away, so that no path tells any more whose process it is.
    fs::rename(&host.root, host.root.with_extension("old")).unwrap();
    host.install(&host.root, b"the next");
    assert_eq!(look(&mut restarted(BOOT), &baseline).loaded, older("bin/issuingd"));

    let mut fresh = Collector::new([7; 32], None);
    assert!(fresh.recall(&[], BOOT, |_| Ok::<_, String>(Vec::new())).is_err());
    assert!(fresh.recall(&kept, BOOT, |_| Ok::<_, String>(Vec::new())).is_err(), "a list that is damaged");
    assert!(fresh.recall(&kept, BOOT, |_| Err("not there")).is_err());
}

#[test]
fn a_file_overwritten_in_place_is_older_though_it_is_the_one_held() {
    let host = Host::new();
    let baseline = host.plain();
    let module = host.root.join("lib/module");
    next_tick();
    let child = Command::new(host.exe()).arg("1000").stdin(fs::File::open(&module).unwrap()).spawn();
    let running = Running(child.unwrap());
    wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == host.exe()));
    next_tick();
    let mut collector = Collector::new([7; 32], None);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    fs::write(&module, b"two").unwrap();
    for _ in 0..2 {
        assert_eq!(look(&mut collector, &baseline).loaded, older("lib/module"));
    }
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("lib/module"), "never seen before");
    fs::write(&module, b"one").unwrap();
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current, "the old content is back");
}

#[test]
fn a_process_stays_of_its_program_when_its_tree_is_moved_away() {
    let host = Host::new();
    let baseline = host.plain();
    let mut collector = Collector::new([7; 32], None);
    // Nothing but the executable's path tells whose it is.
    next_tick();
    let child = Command::new("./bin/issuingd").arg0("issuing").arg("1000").current_dir(&host.root).spawn();
    let running = Running(child.unwrap());
    wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == host.exe()));
    next_tick();
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    fs::rename(&host.root, host.root.with_extension("old")).unwrap();
    host.install(&host.root, b"the next");
    for _ in 0..2 {
        assert_eq!(look(&mut collector, &baseline).loaded, older("bin/issuingd"));
    }
    drop(running);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::NotRunning);
}

#[test]
fn files_outside_of_the_tree_count_where_they_are_required_or_run() {
    let host = Host::new();
    let outside = host.directory.path().canonicalize().unwrap();
    let (library, exe) = (outside.join("libprint.so"), outside.join("interpreter"));
    replace(&library, b"old");
    fs::copy("/bin/sleep", &exe).unwrap();
    let more = format!(
        "[[fix]]\nid = \"FIX-2019-0007\"\ntitle = {{ en = \"t\" }}\npattern = \"update-control\"\nroles = [\"ap\"]\n\
         requires = [ {{ file = {library:?}, sha256 = [\"{}\"] }} ]\nenforce = \"hold\"\n\
         required_from = 2023-05-01T00:00:00+09:00\nowner = \"o\"\nremediation = {{ en = \"r\" }}\n",
        manifests::digest::Digest::of(b"new"),
    );
    let baseline = host.baseline(&host.root, &format!("{{ exe = {exe:?} }}"), &more);
    next_tick();
    let child = Command::new(&exe).arg("1000").stdin(fs::File::open(&library).unwrap()).spawn();
    let running = Running(child.unwrap());
    wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|found| found == exe));
    next_tick();
    let mut collector = Collector::new([7; 32], None);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    replace(&library, b"new");
    assert_eq!(look(&mut collector, &baseline).loaded, older(library.to_str().unwrap()));
    replace(&library, b"old");
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    let mut bytes = fs::read(&exe).unwrap();
    bytes.extend_from_slice(b"another build");
    replace(&exe, &bytes);
    assert_eq!(look(&mut collector, &baseline).loaded, older(exe.to_str().unwrap()));
}

#[test]
fn a_hard_link_to_the_executable_is_the_executable_but_not_another_host_s() {
    let host = Host::new();
    let other = host.directory.path().canonicalize().unwrap().join("other");
    fs::create_dir_all(other.join("bin")).unwrap();
    fs::hard_link(host.exe(), other.join("bin/elsewhere")).unwrap();
    let _running = host.start(&other.join("bin/elsewhere"));
    assert_eq!(look(&mut Collector::new([7; 32], None), &host.plain()).loaded, Loaded::Current);
    // Two hosts that begin at directories of one machine share files, and no processes.
    let here = host.directory.path().canonicalize().unwrap().join("here");
    fs::create_dir(&here).unwrap();
    fs::rename(&host.root, here.join("issuing")).unwrap();
    let baseline = host.baseline(Path::new("/issuing"), "{ exe = \"bin/issuingd\" }", "");
    assert_eq!(look(&mut Collector::new([7; 32], Some(here)), &baseline).loaded, Loaded::NotRunning);
}

#[test]
fn a_release_switched_by_a_link_leaves_the_old_process_not_loaded() {
    let host = Host::new();
    let base = host.root.parent().unwrap();
    let (one, two, current) = (base.join("issuing-1"), base.join("issuing-2"), base.join("current"));
    host.install(&one, b"one");
    host.install(&two, b"two");
    symlink(&one, &current).unwrap();
    let baseline = host.baseline(&current, "{ exe = \"bin/issuingd\" }", "");
    let running = host.start(&current.join("bin/issuingd"));
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, Loaded::Current);
    symlink(&two, base.join("next")).unwrap();
    fs::rename(base.join("next"), &current).unwrap();
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, older("bin/issuingd"));
    drop(running);
    let _restarted = host.start(&current.join("bin/issuingd"));
    assert_eq!(look(&mut Collector::new([7; 32], None), &baseline).loaded, Loaded::Current);
}

#[test]
fn arguments_tell_programs_of_one_interpreter_apart() {
    let host = Host::new();
    let script = "read line; exit 0";
    let shell = fs::canonicalize("/bin/sh").unwrap();
    next_tick();
    let child = Command::new(&shell).args(["-c", script, "issuing-main"]).stdin(Stdio::piped()).spawn().unwrap();
    let running = Running(child);
    wait_for_shell(&running, &shell);
    let process = |args: &str| format!("{{ exe = {:?}, args = {args:?} }}", shell.to_str().unwrap());
    let mut collector = Collector::new([7; 32], None);
    let ours = host.baseline(&host.root, &process("*issuing-main"), "");
    let others = host.baseline(&host.root, &process("*issuing-other"), "");
    assert_eq!(look(&mut collector, &ours).loaded, Loaded::Current);
    assert_eq!(look(&mut collector, &others).loaded, Loaded::NotRunning);
}

#[test]
fn a_script_named_as_the_executable_is_found_by_its_interpreter() {
    let host = Host::new();
    use std::os::unix::fs::PermissionsExt;
    let script = host.root.join("bin/start");
    replace(&script, b"#!/bin/sh\nread line\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let baseline = host.baseline(&host.root, "{ exe = \"bin/start\" }", "");
    let mut collector = Collector::new([7; 32], None);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::NotRunning);
    next_tick();
    let running = Running(Command::new(&script).stdin(Stdio::piped()).spawn().unwrap());
    let shell = fs::canonicalize("/bin/sh").unwrap();
    wait_for_shell(&running, &shell);
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    replace(&host.root.join("script"), b"two");
    assert_eq!(look(&mut collector, &baseline).loaded, older("script"));
}

#[test]
fn a_configuration_read_at_start_is_older_once_its_content_changes() {
    let host = Host::new();
    let file = host.directory.path().canonicalize().unwrap().join("print.ini");
    fs::write(&file, "[q]\nlock=exclusive\n").unwrap();
    let config = |reload: &str| {
        let config =
            format!("[[config]]\nid = \"print\"\nfiles = [{file:?}]\nformat = \"ini\"\nreload = \"{reload}\"\n");
        host.baseline(&host.root, "{ exe = \"bin/issuingd\" }", &config)
    };
    let (restart, live) = (config("restart"), config("live"));
    let mut collector = Collector::new([7; 32], None);
    look(&mut collector, &restart);
    // The content was seen before the process began.
    next_tick();
    let running = host.start(&host.exe());
    assert_eq!(look(&mut collector, &restart).loaded, Loaded::Current);
    // Touched, replaced by the same, its mode changed: the content is the one that was loaded.
    fs::File::open(&file).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    replace(&file, b"[q]\nlock=exclusive\n");
    assert_eq!(look(&mut collector, &restart).loaded, Loaded::Current);
    fs::write(&file, "[q]\nlock=shared\n").unwrap();
    assert_eq!(look(&mut collector, &restart).loaded, older(file.to_str().unwrap()));
    assert_eq!(look(&mut collector, &live).loaded, Loaded::Current);
    fs::write(&file, "[q]\nlock=exclusive\n").unwrap();
    assert_eq!(look(&mut collector, &restart).loaded, Loaded::Current);
    fs::remove_file(&file).unwrap();
    assert_eq!(look(&mut collector, &restart).loaded, older(file.to_str().unwrap()));
    fs::write(&file, "[q]\nlock=shared\n").unwrap();
    // Without history: it was written after the process began, so that nobody can say what it read.
    assert_eq!(look(&mut Collector::new([7; 32], None), &restart).loaded, older(file.to_str().unwrap()));
    drop(running);
    look(&mut collector, &restart);
    next_tick();
    let _restarted = host.start(&host.exe());
    assert_eq!(look(&mut collector, &restart).loaded, Loaded::Current);
    // Without history again: untouched since the process began.
    assert_eq!(look(&mut Collector::new([7; 32], None), &restart).loaded, Loaded::Current);
}

#[test]
fn a_process_that_begins_or_ends_is_told_by_the_cheap_question() {
    let host = Host::new();
    let baseline = host.plain();
    let mut collector = Collector::new([7; 32], None);
    let pass = collector.pass(&baseline, None, &Limits::default(), &|| {});
    assert_eq!(collector.processes(), pass.processes);
    let running = host.start(&host.exe());
    let now = collector.processes();
    assert_ne!(now, pass.processes);
    assert_eq!(collector.pass(&baseline, None, &Limits::default(), &|| {}).processes, now);
    drop(running);
    assert_eq!(collector.processes(), pass.processes);
}

#[test]
fn what_a_process_sees_elsewhere_is_compared() {
    // Needs a mount namespace of its own, which only root may make.
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let host = Host::new();
    let evil = host.root.parent().unwrap().join("evil");
    fs::create_dir(&evil).unwrap();
    let bytes = fs::read(host.exe()).unwrap();
    fs::create_dir(evil.join("bin")).unwrap();
    fs::write(evil.join("bin/issuingd"), bytes).unwrap();
    fs::write(evil.join("script"), "evil").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(evil.join("bin/issuingd"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = "mount --make-rprivate / && mount --bind \"$1\" \"$2\" && exec \"$2/bin/issuingd\" 1000";
    next_tick();
    let child = Command::new("unshare")
        .args(["--mount", "--", "sh", "-c", script, "sh"])
        .args([&evil, &host.root])
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(child.unwrap());
    let mut ended = false;
    wait(|| {
        ended = running.0.try_wait().unwrap().is_some();
        ended || fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == host.exe())
    });
    if ended {
        eprintln!("skipped: no mount namespace can be made here");
        return;
    }
    let elsewhere = |file: &str| Loaded::Elsewhere(BTreeSet::from([file.to_owned()]));
    let seen = look(&mut Collector::new([7; 32], None), &host.plain());
    assert_eq!(seen.loaded, elsewhere("lib/module"));
    // A configuration file that is hidden in the same way, whenever it is reread.
    fs::write(evil.join("print.ini"), "lock=exclusive\n").unwrap();
    let file = host.root.join("print.ini");
    let config = format!("[[config]]\nid = \"c\"\nfiles = [{file:?}]\nformat = \"ini\"\nreload = \"live\"\n");
    let baseline = host.baseline(&host.root, "{ exe = \"bin/issuingd\" }", &config);
    for name in ["bin/issuingd", "script", "lib/module"] {
        fs::create_dir_all(evil.join("lib")).unwrap();
        fs::write(evil.join(name).with_extension("same"), fs::read(host.root.join(name)).unwrap()).unwrap();
        fs::rename(evil.join(name).with_extension("same"), evil.join(name)).unwrap();
    }
    fs::write(&file, "lock=exclusive\n").unwrap();
    let seen = look(&mut Collector::new([7; 32], None), &baseline);
    assert!(!matches!(seen.loaded, Loaded::Elsewhere { .. }), "{:?}", seen.loaded);
    fs::write(&file, "lock=shared\n").unwrap();
    let seen = look(&mut Collector::new([7; 32], None), &baseline);
    assert_eq!(seen.loaded, elsewhere(file.to_str().unwrap()));
    // That is the configuration's too, so that its settings are judged by it.
    let state = Collector::new([7; 32], None).pass(&baseline, None, &Limits::default(), &|| {}).state;
    assert_eq!(state.readers[&"c".parse().unwrap()].elsewhere, [file.to_str().unwrap()]);
    // A layer that the process alone sees.
    fs::write(&file, "lock=exclusive\n").unwrap();
    for directory in [&host.root, &evil] {
        fs::create_dir(directory.join("logs")).unwrap();
    }
    let layer = host.root.join("logs/99-site.ini");
    fs::write(evil.join("logs/99-site.ini"), "lock=shared\n").unwrap();
    let config = config.replace("files = [", &format!("files = [{:?}, ", host.root.join("logs/*.ini")));
    let baseline = host.baseline(&host.root, "{ exe = \"bin/issuingd\" }", &config);
    let seen = look(&mut Collector::new([7; 32], None), &baseline);
    assert_eq!(seen.loaded, elsewhere(layer.to_str().unwrap()));
}
