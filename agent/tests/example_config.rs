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
