//! Runs a test once more in a mount namespace of its own, where what is mounted is nobody else's, or as
//! somebody who may less.

use std::process::{Command, Stdio};

const INSIDE: &str = "SEKISHO_TEST_IN_NAMESPACE";

/// Whether this is the run inside. Outside, the test named `name` is run there and must pass; where no
/// namespace can be made it is skipped, aloud.
pub(crate) fn inside(name: &str) -> bool {
    again_by(&["unshare", "--mount", "--"], name)
}

/// The same for a user without any capability, who may not read what is not his.
#[allow(dead_code, reason = "not every test that runs in a namespace needs it")]
pub(crate) fn as_nobody(name: &str) -> bool {
    again_by(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"], name)
}

fn again_by(command: &[&str], name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let test = std::env::current_exe().unwrap();
    let (program, arguments) = command.split_first().unwrap();
    let mut again = Command::new(program);
    again.args(arguments).arg(test).args(["--exact", name, "--nocapture"]);
    match again.env(INSIDE, "1").output() {
        Ok(output) if output.status.success() => eprint!("{}", String::from_utf8_lossy(&output.stderr)),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let is_refused = ["unshare: ", "setpriv: "].iter().any(|program| said.starts_with(program));
            assert!(is_refused, "{}{said}", String::from_utf8_lossy(&output.stdout));
            eprintln!("skipped: {said}");
        }
        Err(error) => eprintln!("skipped: {program} cannot be run: {error}"),
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
