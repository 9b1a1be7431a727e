//! What a supervisor is told, and when.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

#[path = "support/unenrolled.rs"]
mod unenrolled;

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use unenrolled::Agent;

#[test]
fn an_agent_without_a_baseline_keeps_no_service_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let socket = UnixDatagram::bind(base.join("notify")).unwrap();
    // Shorter than the time after which it is ready in any case.
    socket.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let mut command = unenrolled::install(base);
    command.env("NOTIFY_SOCKET", base.join("notify")).stdout(Stdio::null()).stderr(Stdio::null());
    let _agent = Agent(command.spawn().unwrap());
    let mut said = Vec::new();
    let mut buffer = [0; 256];
    while !["READY=1", "WATCHDOG=1"].iter().all(|word| said.iter().any(|told: &String| told.contains(word))) {
        let length = socket.recv(&mut buffer).unwrap();
        said.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
}
