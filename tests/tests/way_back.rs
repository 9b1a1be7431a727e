//! What breaks has a way back: controllers are lost, replaced and restored under real agents.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api::StopView;
use manifests::id::HostId;
use tests::fleet::{Faults, Fleet, Part, small};
use tests::host::Issued;
use tests::operator::Controller;
use tests::world::until;

const DEADLINE: Duration = Duration::from_secs(60);
const NO_FAULTS: Faults = Faults { planted: false, wrong_variant: false };
const DATABASE: [&str; 3] = ["controller.db", "controller.db-wal", "controller.db-shm"];

async fn issues(fleet: &Fleet, ids: &[HostId]) -> Result<()> {
    until("the gates to open", DEADLINE, async || {
        for id in ids {
            let answer = fleet.host(id)?.ask_gate().await?;
            ensure!(answer == Issued::Certificate, "{id}: {answer}");
        }
        Ok(())
    })
    .await
}

async fn stop(controller: &Controller, reason: &str) -> Result<()> {
    let output = controller.sekisho(&["stop", "--all", "--reason", reason]).await?;
    ensure!(output.success(), "{}{}", output.stdout, output.stderr);
    Ok(())
}

/// Waits until every host named has acknowledged every stop.
async fn acknowledged(controller: &Controller, stops: usize, hosts: &[HostId]) -> Result<Vec<StopView>> {
    until("every stop to be acknowledged", DEADLINE, async || {
        let views = controller.stops().await?;
        ensure!(views.len() == stops, "{} stops", views.len());
        let lacks = views.iter().find(|view| !hosts.iter().all(|id| view.acknowledged.contains(id)));
        ensure!(lacks.is_none(), "{lacks:?}");
        Ok(views)
    })
    .await
}

/// Copies the database of a controller that does not run.
fn copy_database(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for name in DATABASE {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).with_context(|| name.to_owned())?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stop_before_and_one_at_once_after_a_restore_reach_every_host_that_returns() -> Result<()> {
    let mut fleet = small(6).await?;
    let (one, two) = (fleet.part(Part::Munakata)?.ap()?, fleet.good(false).next().context("no site")?.ap()?);
    let both = [one.clone(), two.clone()];
    fleet.start_hosts(&both, NO_FAULTS, |_| {}).await?;
    issues(&fleet, &both).await?;
    fleet.controller.kill()?;
    let (data, copy) = (fleet.controller.data().to_owned(), fleet.world.path().join("copy"));
    copy_database(&data, &copy)?;
    fleet.controller.resume().await?;
    issues(&fleet, &both).await?;
    // One host alone gets the stop that the restore forgets.
    fleet.host_mut(&two)?.kill_agent()?;
    stop(&fleet.controller, "before the restore").await?;
    acknowledged(&fleet.controller, 1, &both[..1]).await?;
    fleet.host_mut(&one)?.kill_agent()?;
    fleet.controller.kill()?;
    copy_database(&copy, &data)?;
    fleet.controller.resume().await?;
    stop(&fleet.controller, "at once after the restore").await?;
    let made = fleet.controller.stops().await?;
    ensure!(made.len() == 1 && made.iter().all(|view| view.stop.number == 1), "{made:?}");
    for id in &both {
        fleet.host_mut(id)?.start_agent().await?;
    }
    let views = acknowledged(&fleet.controller, 2, &both).await?;
    ensure!(views.iter().all(|view| view.stop.number == 1), "{views:?}");
    Ok(())
}
