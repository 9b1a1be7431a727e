//! What breaks has a way back: controllers are lost, replaced and restored under real agents.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api::StopView;
use manifests::id::HostId;
use tests::fleet::{Faults, Fleet, Part, small};
use tests::operator::Controller;
use tests::world::{DEADLINE, until};

const DATABASE: [&str; 3] = ["controller.db", "controller.db-wal", "controller.db-shm"];

async fn issues(fleet: &Fleet, ids: &[HostId]) -> Result<()> {
    for id in ids {
        fleet.issues(id).await?;
    }
    Ok(())
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
    let (one, two) = (fleet.part(Part::Munakata)?.ap()?, fleet.part(Part::LockShared)?.ap()?);
    let both = [one.clone(), two.clone()];
    fleet.start_hosts(&both, Faults::NONE, |_| {}).await?;
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

/// Agents know both controllers; the standby keeps current from the main one.
async fn with_standby(sites: usize) -> Result<(Fleet, Controller)> {
    let mut fleet = small(sites).await?;
    let standby = fleet.start_standby().await?;
    Ok((fleet, standby))
}

#[tokio::test]
async fn the_standby_takes_over_after_a_lift_with_nobody_visiting_a_host() -> Result<()> {
    let (mut fleet, standby) = with_standby(6).await?;
    let (one, two) = (fleet.part(Part::Munakata)?.ap()?, fleet.part(Part::LockShared)?.ap()?);
    let both = [one.clone(), two.clone()];
    fleet.start_hosts(&both, Faults::NONE, |_| {}).await?;
    issues(&fleet, &both).await?;
    stop(&fleet.controller, "a drill").await?;
    let views = acknowledged(&fleet.controller, 1, &both).await?;
    let digest = views.first().context("no stop")?.stop.digest.to_string();
    let sites: Vec<&str> = both.iter().map(|id| id.site().as_str()).collect();
    until("the lift to be written", DEADLINE, async || {
        let output = fleet.managers.try_lift(&fleet.controller, &digest, &sites, "the drill is over").await?;
        ensure!(output.success(), "{}{}", output.stdout, output.stderr);
        Ok(())
    })
    .await?;
    fleet.managers.sign_by_two().await?;
    let output = fleet.managers.try_publish_to(&[&fleet.controller, &standby]).await?;
    ensure!(output.success(), "{}{}", output.stdout, output.stderr);
    ensure!(output.stdout.contains(&fleet.controller.url()) && output.stdout.contains(&standby.url()), "{output:?}");
    issues(&fleet, &both).await?;
    // The standby fetches hosts' keys and stops as long as there is somebody to ask.
    until("the standby to know the stop", DEADLINE, async || {
        ensure!(standby.stops().await?.len() == 1, "it does not");
        Ok(())
    })
    .await?;

    // Whose permits come? The standby's, as soon as the main one's disk is lost.
    fleet.controller.kill()?;
    fs::remove_dir_all(fleet.controller.data())?;
    until("every host to report to the standby", DEADLINE, async || {
        let rows = standby.hosts().await?;
        let reported = rows.iter().filter(|row| both.contains(&row.host) && row.permit.is_some()).count();
        ensure!(reported == both.len(), "{reported} do");
        Ok(())
    })
    .await?;
    // From then on its permits alone let them issue, beyond the life of the main one's.
    tokio::time::sleep(Duration::from_secs(fleet.rhythm.permit_ttl_s)).await;
    issues(&fleet, &both).await?;
    stop(&standby, "after the takeover").await?;
    for id in &both {
        fleet.holds_at_last(id, "stopped", DEADLINE).await?;
    }
    acknowledged(&standby, 2, &both).await?;
    Ok(())
}
