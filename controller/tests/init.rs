//! `init` finishes, or leaves nothing that is in the way of the next one.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::{Command, Output};

/// More than an `init` has of either call.
const CALLS_MAX: u32 = 60;

fn init(under: &[&str], data: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_sekisho-controller");
    let mut words = under.iter().copied().chain([program]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["init", "--id", "main", "--product", "cases", "--data"]).arg(data).output().unwrap()
}

/// The number of rounds in which the call was reached.
fn each_call(calls: &str, effect: &str, check: impl Fn(&Output, &Path)) -> Option<u32> {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is not installed");
        return None;
    }
    for number in 1..CALLS_MAX {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("main");
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{effect}:when={number}"));
        let output = init(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject], &data);
        if output.status.success() {
            return Some(number - 1);
        }
        check(&output, &data);
        let again = init(&[], &data);
        assert!(again.status.success(), "call {number}: {}", String::from_utf8_lossy(&again.stderr));
        assert!(data.join("controller.json").exists() && !data.join(".init").exists(), "call {number}");
    }
    Some(CALLS_MAX)
}

#[test]
fn an_init_that_fails_at_any_rename_or_sync_leaves_nothing() {
    for (calls, least) in [("rename,renameat,renameat2", 10), ("fsync", 10)] {
        let rounds = each_call(calls, "error=ENOSPC", |output, data| {
            assert!(!data.exists(), "{calls}: {:?}", std::fs::read_dir(data).map(|entries| entries.count()));
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            // Of a failed sync under the database its library says no more than that.
            let why = text.contains("No space left") || text.contains("disk I/O error");
            assert!(text.contains("nothing was made") && why, "{calls}: {text}");
        });
        assert!(rounds.is_none_or(|rounds| rounds >= least), "{calls}: {rounds:?}");
    }
}

#[test]
fn an_init_that_was_killed_is_not_in_the_way_of_the_next_one() {
    for (calls, least) in [("rename,renameat,renameat2", 10), ("fsync", 10)] {
        let rounds = each_call(calls, "signal=KILL", |_, data| {
            let finished = data.join("controller.json").exists();
            // Killed after the last file: it is one, and refuses to be made again.
            if finished {
                assert!(!init(&[], data).status.success());
                std::fs::remove_dir_all(data).unwrap();
            }
        });
        assert!(rounds.is_none_or(|rounds| rounds >= least), "{calls}: {rounds:?}");
    }
}

#[test]
fn an_init_says_what_to_do_next_and_refuses_a_directory_that_has_a_controller() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("main");
    let made = String::from_utf8(init(&[], &data).stdout).unwrap();
    for word in ["controller.json", "ca.pem", "admin.token", "serve", "keys"] {
        assert!(made.contains(word), "{word}: {made}");
    }
    let before = std::fs::read(data.join("keys/permit.pem")).unwrap();
    assert!(!init(&[], &data).status.success());
    assert_eq!(std::fs::read(data.join("keys/permit.pem")).unwrap(), before);
}
