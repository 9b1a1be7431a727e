//! A controller's repository read by the reference client of TUF.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, ensure};
use tests::baseline_text::PRODUCT;
use tests::fleet::small;
use tests::operator::text;
use tests::world::programs_directory;

/// The interpreter that has python-tuf: `tests/run` makes it.
fn python() -> Result<Option<PathBuf>> {
    let named = std::env::var_os("SEKISHO_TEST_PYTHON").map(PathBuf::from);
    let made = programs_directory()?.join("../python-tuf/bin/python");
    Ok(named.or_else(|| made.exists().then_some(made)))
}

#[tokio::test]
async fn python_tuf_downloads_the_baseline_and_refuses_every_changed_byte() -> Result<()> {
    let Some(python) = python()? else {
        // `tests/run` always has it; a bare `cargo test` says aloud what it leaves out.
        eprintln!("SKIPPED: python-tuf is not installed; tests/run installs it");
        return Ok(());
    };
    let fleet = small(6).await?;
    let (url, ca) = (format!("{}/tuf", fleet.controller.url()), fleet.controller.ca());
    let baseline = fleet.managers.directory().join("baseline.toml");
    let target = format!("{PRODUCT}/baseline.toml");
    let output = tokio::process::Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/tuf_client.py"))
        .args(["--url", &url, "--ca", text(&ca)?, "--target", &target])
        .args(["--root", text(&fleet.controllers.root)?, "--expect", text(&baseline)?])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    ensure!(output.status.success(), "{}: {complained}", output.status);
    Ok(())
}
