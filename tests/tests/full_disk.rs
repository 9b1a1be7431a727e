//! A full disk: what is answered, and that all goes on when there is room again.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api;
use tests::baseline_text::PRODUCT;
use tests::fleet::small;
use tests::simulated::{SimulatedHost, post};
use tests::world::until;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_controller_whose_disk_was_full_for_a_moment_goes_on() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may mount a disk");
        return Ok(());
    }
    let mut fleet = small(6).await?;
    let baseline = fleet.controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
    let id = fleet.host_ids(false).into_iter().next().context("no host")?;
    let (id, token) = fleet.controller.host_tokens(&[id.as_str()]).await?.into_iter().next().context("no token")?;
    let mut host = SimulatedHost::new(&id, PRODUCT, baseline)?;
    host.enrol(&fleet.controller, &token).await?;
    fleet.controller.kill()?;
    let disk = fleet.controller.resume_on_small_disk(96).await?;
    post(&fleet.controller, api::EVIDENCE, &host.evidence(SimulatedHost::state("0"))?).await?.receipt()?;

    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let mut number = 0;
    until("a document to be refused for want of room", DEADLINE, async || {
        number += 1;
        let state = SimulatedHost::state(&number.to_string());
        let answer = post(&fleet.controller, api::EVIDENCE, &host.evidence(state)?).await?;
        ensure!(answer.status.as_u16() == 503, "{}", answer.status);
        Ok(())
    })
    .await?;
    // It tries at most once a second.
    until("it to say that it is not well", DEADLINE, async || {
        ensure!(!fleet.controller.is_healthy().await?, "it says that it is well");
        Ok(())
    })
    .await?;

    std::fs::remove_file(&ballast)?;
    until("documents to be taken again", DEADLINE, async || {
        let state = SimulatedHost::state("again");
        post(&fleet.controller, api::EVIDENCE, &host.evidence(state)?).await?.receipt().map(drop)
    })
    .await?;
    until("it to say that it is well", DEADLINE, async || {
        ensure!(fleet.controller.is_healthy().await?, "it says that it is not well");
        Ok(())
    })
    .await
}
