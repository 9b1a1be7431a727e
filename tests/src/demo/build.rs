//! Builds the programs that the demo starts, and says which they are.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use manifests::digest::Digest;

use super::report::Report;
use crate::world::{PROGRAMS, programs_directory};

/// The workspace that this program was built from.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// `cargo build --release --workspace --bins`, with its output shown.
///
/// # Errors
/// If it fails.
pub async fn programs() -> Result<()> {
    let workspace = Path::new(WORKSPACE);
    ensure!(workspace.join("Cargo.toml").exists(), "the sources are no longer at {}", workspace.display());
    let directory = programs_directory()?;
    // A demo built without --release starts programs built without it.
    let profile = if directory.ends_with("release") { "--release" } else { "--profile=dev" };
    println!("cargo build {profile} --workspace --bins");
    let mut cargo = tokio::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` tells this program of its package: build scripts that look at it would run
    // again, and all that depends on them would be built again, every time.
    for (name, _) in std::env::vars_os() {
        let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .args(["build", profile, "--workspace", "--bins"])
        .current_dir(workspace)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("cannot start cargo")?;
    ensure!(status.success(), "the programs do not build");
    Ok(())
}

/// Prints the path and SHA-256 of each program.
///
/// # Errors
/// If one is not there.
pub fn print_digests(report: &Report) -> Result<()> {
    let directory = programs_directory()?;
    for program in PROGRAMS {
        let path = directory.join(program);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        report.note(&format!("{}  {}", Digest::of(&bytes).hex(), path.display()));
    }
    Ok(())
}
