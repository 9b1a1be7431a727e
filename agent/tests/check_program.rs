//! `sekisho-agent check`: before an upgrade it says what the rules leave unclear, and what settles it.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

#[path = "support/unenrolled.rs"]
mod unenrolled;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn baseline(directory: &Path, reader: &str) -> String {
    let file = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    format!(
        "schema = 2\nproduct = \"convenience-issuance\"\nversion = \"1.0.0\"\n\
         [[config]]\nid = \"print\"\nfiles = [{:?}]\nformat = \"ini\"\nreload = \"live\"\n{reader}\
         [[config]]\nid = \"broken\"\nfiles = [{:?}]\nformat = \"xml\"\nreload = \"live\"\n\
         [[fact]]\nid = \"workers\"\nconfig = \"print\"\nkey = \"queue.workers\"\n\
         [[setting]]\nid = \"lock\"\nkind = \"exclusive-lock\"\nconfig = \"print\"\nkey = \"queue.lock\"\nexpect = {{ equals = \"exclusive\" }}\n\
         [[setting]]\nid = \"clear\"\nconfig = \"print\"\nkey = \"queue.clear\"\nexpect = {{ equals = \"x\" }}\n\
         [[setting]]\nid = \"size\"\nconfig = \"print\"\nkey = \"queue.size\"\nexpect = {{ at_least = 4 }}\n\
         [[setting]]\nid = \"mode\"\nconfig = \"broken\"\nkey = \"a/b\"\nexpect = {{ present = true }}\n\
         [[setting]]\nid = \"busy\"\nconfig = \"print\"\nkey = \"queue.clear\"\nexpect = {{ present = true }}\n\
         when = {{ fact = \"workers\", at_least = 4 }}\n",
        file("print.ini"),
        file("broken.xml"),
    )
}

fn check(directory: &Path, arguments: &[&str], lang: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-agent"));
    command.current_dir(directory).env("LANG", lang).env("LC_ALL", lang).arg("check").args(arguments);
    command.output().unwrap()
}

#[test]
fn what_is_unclear_is_listed_with_its_place_and_what_settles_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("agent.toml"), unenrolled::CONFIG).unwrap();
    fs::write(path.join("print.ini"), "[queue]\nlock = \"exclusive\"\nclear = x\nsize = 04\nworkers = 4x\n").unwrap();
    fs::write(path.join("broken.xml"), "<a><b>1</b>\n<a>\n").unwrap();
    fs::write(path.join("baseline.toml"), baseline(path, "")).unwrap();
    fs::write(path.join("named.toml"), baseline(path, "reader = \"git\"\n")).unwrap();
    let with = |name: &'static str| ["--config", "agent.toml", "--baseline", name];

    let output = check(path, &with("baseline.toml"), "C.UTF-8");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let file = path.join("print.ini");
    for expected in [
        format!("lock queue.lock: {}:2: quotes: quotes stand around it", file.display()),
        "    reader = \"git\": exclusive\n".to_owned(),
        "    reader = \"glib\": \"exclusive\"\n".to_owned(),
        format!("size queue.size: {}:4: spelling: 04: ", file.display()),
        format!("workers queue.workers: {}:5: spelling: 4x: ", file.display()),
        format!("mode a/b: {}: malformed: ", path.join("broken.xml").display()),
    ] {
        assert!(said.contains(&expected), "{expected:?} in {said}");
    }
    assert!(!said.contains("clear queue.clear"), "{said}");

    // The named reader settles the lock.
    let output = check(path, &with("named.toml"), "C.UTF-8");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("queue.lock"));
    let output = check(path, &with("baseline.toml"), "ja_JP.UTF-8");
    assert!(String::from_utf8(output.stdout).unwrap().contains("引用符"));

    fs::write(path.join("print.ini"), "[queue]\nlock = exclusive\nclear = x\nsize = 4\nworkers = 4\n").unwrap();
    fs::write(path.join("broken.xml"), "<a><b>1</b></a>\n").unwrap();
    let output = check(path, &with("baseline.toml"), "C.UTF-8");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));

    assert_eq!(check(path, &[], "C.UTF-8").status.code(), Some(64));
    // Nothing is stored, and nothing is given.
    assert_eq!(check(path, &["--config", "agent.toml"], "C.UTF-8").status.code(), Some(3));
    assert_eq!(check(path, &with("none.toml"), "C.UTF-8").status.code(), Some(3));
}
