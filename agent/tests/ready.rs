//! What a supervisor is told, and when.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An agent that knows nothing and reaches no controller; ended with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(base: &Path, notify: &Path) -> Agent {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(base.join("ca.pem"), ca.self_signed(&key).unwrap().pem()).unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/tests/data/vectors");
    std::fs::copy(vectors.join("tuf/metadata/1.root.json"), base.join("root.json")).unwrap();
    let config = base.join("agent.toml");
    let text = "product = \"convenience-issuance\"\nhost = \"402206-ap1\"\ncontrollers = [\"https://127.0.0.1:9\"]\n\
                ca = \"ca.pem\"\nroot = \"root.json\"\nstate = \"state\"\n\
                [gate]\nsocket = \"gate.sock\"\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-agent"));
    command.arg("run").arg("--config").arg(&config).env("NOTIFY_SOCKET", notify);
    Agent(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

#[test]
fn an_agent_without_a_baseline_keeps_no_service_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let socket = UnixDatagram::bind(base.join("notify")).unwrap();
    // Shorter than the time after which it is ready in any case.
    socket.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let _agent = start(base, &base.join("notify"));
    let mut said = Vec::new();
    let mut buffer = [0; 256];
    while !["READY=1", "WATCHDOG=1"].iter().all(|word| said.iter().any(|told: &String| told.contains(word))) {
        let length = socket.recv(&mut buffer).unwrap();
        said.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
}
