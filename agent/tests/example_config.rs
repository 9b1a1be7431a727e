//! The example configuration is one that the agent reads, and what is shipped beside it fits it.
#![expect(clippy::unwrap_used, reason = "a file that is not there is a test that fails")]

use std::path::{Path, PathBuf};

use agent::config::Config;
use agent::gate_server::GATE_PATH;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn example() -> Config {
    Config::read(&repository().join("docs/agent.toml")).unwrap()
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(repository().join("agent/dist").join(name)).unwrap()
}

#[test]
fn the_example_configuration_is_read() {
    let config = example();
    assert_eq!(config.host.as_str(), "402206-ap1");
    assert_eq!(config.controllers.len(), 2);
    assert_eq!(config.ca, repository().join("docs/ca.pem"));
    assert!(!config.root.starts_with(&config.state));
    assert_eq!(config.prefix, None);
}

#[test]
fn the_unit_makes_the_directories_that_the_example_names() {
    let (config, unit) = (example(), shipped("sekisho-agent.service"));
    let name = |key: &str| unit.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).unwrap();
    assert_eq!(config.state, Path::new("/var/lib").join(name("StateDirectory")));
    assert_eq!(config.socket.parent().unwrap(), Path::new("/run").join(name("RuntimeDirectory")));
    assert!(name("ExecStart").contains(&format!("/etc/{}/agent.toml", name("ConfigurationDirectory"))));
}

/// The values that the unit gives a key of a section, in order.
fn unit(section: &str, key: &str) -> Vec<String> {
    let text = shipped("sekisho-agent.service");
    let mut at = String::new();
    let mut values = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        if line.starts_with('[') {
            at = line.to_owned();
        } else if let Some((name, value)) = line.split_once('=').filter(|(name, _)| at == section && *name == key) {
            assert_eq!(name, key);
            values.extend(value.split_ascii_whitespace().map(str::to_owned));
        }
    }
    values
}

#[test]
fn the_unit_starts_before_ordinary_services_and_waits_for_no_network() {
    let of = |key: &str| unit("[Unit]", key);
    // Ordinary services start behind basic.target (bootup(7)); default dependencies would put it behind as well.
    assert_eq!(of("DefaultDependencies"), ["no"]);
    assert_eq!(of("After"), ["sysinit.target"]);
    assert_eq!(of("Requires"), ["sysinit.target"]);
    assert_eq!(of("Before"), ["basic.target", "shutdown.target"]);
    assert_eq!(of("Conflicts"), ["shutdown.target"]);
    assert_eq!(of("Wants"), [""; 0]);
    assert!(!of("After").iter().chain(&of("Requires")).any(|unit| unit.contains("network")));
    assert_eq!(unit("[Install]", "WantedBy"), ["basic.target"]);
    assert_eq!(unit("[Service]", "Type"), ["notify"]);
}

#[test]
fn the_unit_keeps_no_machine_from_booting() {
    let of = |key: &str| -> u64 {
        let value = unit("[Service]", key).concat();
        value.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).unwrap_or_else(|| panic!("{key}={value}"))
    };
    // Longer than the agent takes to be ready in any case, and short enough for a person who waits.
    assert!((31..=90).contains(&of("TimeoutStartSec")));
    assert!(of("TimeoutStopSec") <= 30);
    // Nothing may fail with it: it is wanted, and required by nobody.
    assert_eq!(unit("[Install]", "RequiredBy"), [""; 0]);
    assert_eq!(unit("[Unit]", "FailureAction"), [""; 0]);
    assert_eq!(unit("[Service]", "Restart"), ["on-failure"]);
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    // It must be there to be run.
    let text = shipped("sekisho-agent.service").replace("/usr/bin/sekisho-agent", env!("CARGO_BIN_EXE_sekisho-agent"));
    let path = directory.path().join("sekisho-agent.service");
    std::fs::write(&path, text).unwrap();
    let output = match std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: systemd-analyze cannot be run: {error}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // Of other units it may complain.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("sekisho-agent")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn every_proxy_example_asks_the_gate_and_nothing_else() {
    let address = example().listen.to_string();
    let (host, port) = address.split_once(':').unwrap();
    for name in ["nginx.conf", "haproxy.cfg", "envoy.yaml"] {
        let text = shipped(name);
        // Comments may name what must not be done.
        let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let code = lines.join("\n");
        assert!(code.contains(&address), "{name} does not ask {address}");
        assert!(code.contains(host) && code.contains(port) && code.contains(GATE_PATH), "{name}");
        assert!(!code.contains("failure_mode_allow: true"), "{name}");
        assert!(code.contains("500ms") || code.contains("0.5s"), "{name}: verify_hold and 250 ms more");
        for trap in 1..=6 {
            assert!(text.contains(&format!("{trap}. ")), "{name} does not name trap {trap}");
        }
    }
}
