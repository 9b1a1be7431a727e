//! Who depends on whom, kept true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace().join(path)).with_context(|| format!("cannot read {path}"))
}

#[test]
fn programs_depend_on_manifests_and_never_on_each_other() -> Result<()> {
    let ours: BTreeSet<&str> =
        ["manifests", "client", "output", "agent", "controller", "tui", "sekisho-baseline", "cli", "tests"].into();
    let packages = [
        ("manifests", &[][..]),
        ("manifests/client", &["manifests"]),
        ("manifests/output", &["manifests"]),
        ("manifests/cli", &["manifests", "client", "output"]),
        ("agent", &["manifests", "client", "output"]),
        ("controller", &["manifests", "client", "output"]),
        ("tui", &["manifests", "client", "output"]),
    ];
    for (package, allowed) in packages {
        let manifest = read(&format!("{package}/Cargo.toml"))?;
        let mut section = "";
        for line in manifest.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section.contains("dependencies") {
                let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
                assert!(!ours.contains(name) || allowed.contains(&name), "{package} depends on {name} in {section}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_pure_library_has_no_network_no_terminal_and_no_runtime() -> Result<()> {
    let manifest = read("manifests/Cargo.toml")?;
    for library in ["tokio", "reqwest", "axum", "hyper", "sqlx", "ratatui", "crossterm", "clap", "rustls"] {
        let found = manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(library));
        assert!(!found, "manifests depends on {library}");
    }
    Ok(())
}
