//! What pages and manifests claim, kept true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use manifests::api;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace().join(path)).with_context(|| format!("cannot read {path}"))
}

/// What a page writes in `code`.
fn code_spans(page: &str) -> Vec<&str> {
    page.split('`').skip(1).step_by(2).collect()
}

/// Whether a code span means a path of this repository: it begins with a top directory or names a
/// file by its ending, and has no placeholder in it.
fn is_path(span: &str) -> bool {
    let tops = ["manifests/", "agent/", "controller/", "tui/", "tests/", "docs/", ".ci/"];
    let plain = span.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    plain && tops.iter().any(|top| span.starts_with(top))
}

#[test]
fn pages_name_no_path_that_does_not_exist() -> Result<()> {
    let mut named = 0;
    for page in ["docs/architecture.md", "README.md"] {
        let text = read(page)?;
        for span in code_spans(&text).into_iter().filter(|span| is_path(span)) {
            named += 1;
            assert!(workspace().join(span).exists(), "{page} names {span}");
        }
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            named += 1;
            let link = link.split('#').next().unwrap_or(link);
            let from = workspace().join(page);
            assert!(from.parent().context("a page in no directory")?.join(link).exists(), "{page} links to {link}");
        }
    }
    assert!(named > 10, "only {named} paths found: the test no longer sees them");
    Ok(())
}

#[test]
fn the_protocol_names_every_endpoint_and_payload_type() -> Result<()> {
    let text = read("docs/protocol.md")?;
    let endpoints = [
        api::ENROLMENTS,
        api::EVIDENCE,
        api::HEARTBEATS,
        api::ACKNOWLEDGEMENTS,
        api::STREAM,
        api::FILES,
        api::TUF,
        api::TUF_TARGETS,
        api::HEALTH,
        api::SITES,
        api::HOSTS,
        api::ITEMS,
        api::EVENTS,
        api::STOPS,
        api::PUBLISH,
    ];
    // The list above is whole: as many constants as the module has.
    let source = read("manifests/src/api.rs")?;
    let constants = source.lines().filter(|line| line.starts_with("pub const ") && line.contains(": &str")).count();
    assert_eq!(constants, endpoints.len(), "manifests::api has an endpoint that this test does not know");
    for endpoint in endpoints.iter().chain(manifests::envelope::PAYLOAD_TYPES) {
        assert!(text.contains(endpoint), "docs/protocol.md does not name {endpoint}");
    }
    Ok(())
}

#[test]
fn programs_depend_on_manifests_and_never_on_each_other() -> Result<()> {
    let ours: BTreeSet<&str> = ["manifests", "agent", "controller", "tui", "sekisho-baseline", "cli", "tests"].into();
    let packages = [
        ("manifests", &[][..]),
        ("manifests/cli", &["manifests"]),
        ("agent", &["manifests"]),
        ("controller", &["manifests"]),
        ("tui", &["manifests"]),
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
