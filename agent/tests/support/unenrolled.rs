//! An agent that nobody enrolled: what it is installed with, and its process.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::process::{Child, Command};

/// Its configuration: it reaches no controller, and its gate takes any port.
pub(crate) const CONFIG: &str = "product = \"convenience-issuance\"\nhost = \"402206-ap1\"\n\
    controllers = [\"https://127.0.0.1:9\"]\nca = \"ca.pem\"\nroot = \"root.json\"\nstate = \"state\"\n\
    [gate]\nsocket = \"gate.sock\"\nlisten = \"127.0.0.1:0\"\n";

/// A process, ended with the test.
pub(crate) struct Agent(pub(crate) Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Puts its files into `base`; the command that runs it.
pub(crate) fn install(base: &Path) -> Command {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(base.join("ca.pem"), ca.self_signed(&key).unwrap().pem()).unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/tests/data/vectors");
    std::fs::copy(vectors.join("tuf/metadata/1.root.json"), base.join("root.json")).unwrap();
    let config = base.join("agent.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-agent"));
    command.arg("run").arg("--config").arg(config);
    command
}
