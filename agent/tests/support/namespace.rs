//! Runs a test once more in a mount namespace of its own: what is mounted there is nobody else's.

use std::process::{Command, Stdio};

const INSIDE: &str = "SEKISHO_TEST_IN_NAMESPACE";

/// Whether this is the run inside. Outside, the test named `name` is run there and must pass; where no
/// namespace can be made it is skipped, aloud.
pub(crate) fn inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let test = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.args(["--mount", "--"]).arg(test).args(["--exact", name, "--nocapture"]);
    let output = again.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") {
        eprintln!("skipped: no mount namespace can be made here");
    } else {
        assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
        eprint!("{said}");
    }
    false
}

/// Whether the command could be run and succeeded.
#[allow(dead_code, reason = "not every test that runs in a namespace needs it")]
pub(crate) fn done(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
