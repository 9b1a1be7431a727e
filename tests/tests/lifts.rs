//! What ends a stop: a lift of this very stop, with the signatures of two units, and nothing else.

use anyhow::{Context, Result, ensure};
use tests::case::{DEADLINE, NO_FAULTS};
use tests::fleet::{Fleet, Part, small};
use tests::host::Issued;
use tests::world::until;

use manifests::id::HostId;

async fn issues(fleet: &Fleet, ap: &HostId) -> Result<()> {
    until("the gate to open", DEADLINE, async || {
        let answer = fleet.host(ap)?.ask_gate().await?;
        ensure!(answer == Issued::Certificate, "{answer}");
        Ok(())
    })
    .await
}

/// Waits until the gate holds because of a stop.
async fn stopped(fleet: &Fleet, ap: &HostId) -> Result<()> {
    until("the gate to hold for the stop", DEADLINE, async || {
        let answer = fleet.host(ap)?.ask_gate().await?;
        ensure!(matches!(&answer, Issued::Refused(codes) if codes.iter().any(|code| code == "stopped")), "{answer}");
        Ok(())
    })
    .await
}

/// Stops everybody; the stop's digest, once the host has it on disk.
async fn stop(fleet: &Fleet, ap: &HostId, reason: &str) -> Result<String> {
    let output = fleet.controller.sekisho(&["stop", "--all", "--reason", reason]).await?;
    ensure!(output.success(), "{output:?}");
    until("the host to have the stop", DEADLINE, async || {
        let stops = fleet.controller.stops().await?;
        let made = stops.iter().find(|view| view.reason == reason).context("it is not known")?;
        ensure!(made.acknowledged.contains(ap), "{made:?}");
        Ok(made.stop.digest.to_string())
    })
    .await
}

/// Controller and agent are killed and started again: the gate still holds because of a stop.
async fn stays_stopped_over_restarts(fleet: &mut Fleet, ap: &HostId) -> Result<()> {
    stopped(fleet, ap).await?;
    fleet.controller.kill()?;
    fleet.host_mut(ap)?.kill_agent()?;
    fleet.host_mut(ap)?.start_agent().await?;
    // Alone, by what it has on disk, and then with its controller.
    stopped(fleet, ap).await?;
    fleet.controller.resume().await?;
    let before = fleet.controller.hosts().await?.into_iter().find(|row| row.host == *ap).and_then(|row| row.heard);
    until("the host to be heard again", DEADLINE, async || {
        let rows = fleet.controller.hosts().await?;
        let heard = rows.into_iter().find(|row| row.host == *ap).and_then(|row| row.heard);
        ensure!(heard > before, "not since {before:?}");
        Ok(())
    })
    .await?;
    stopped(fleet, ap).await
}

#[tokio::test]
async fn a_stop_ends_by_its_own_lift_with_two_signatures_and_by_no_other_over_restarts_too() -> Result<()> {
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), NO_FAULTS, |_| {}).await?;
    issues(&fleet, &ap).await?;
    let site = ap.site().to_string();
    let first = stop(&fleet, &ap, "the first").await?;
    stays_stopped_over_restarts(&mut fleet, &ap).await?;

    let output = fleet.managers.try_lift(&fleet.controller, &first, &[&site], "over").await?;
    ensure!(output.success(), "{output:?}");
    fleet.managers.sign("development").await?;
    let output = fleet.managers.try_publish(&fleet.controller).await?;
    ensure!(!output.success(), "a lift with one signature was published");
    stays_stopped_over_restarts(&mut fleet, &ap).await?;

    fleet.managers.sign("quality").await?;
    fleet.managers.publish(&fleet.controller).await?;
    issues(&fleet, &ap).await?;

    // The lift of the first stays in force, and is published once more: it ends nothing but the first.
    stop(&fleet, &ap, "the second").await?;
    stopped(&fleet, &ap).await?;
    let again = fleet.managers.try_publish(&fleet.controller).await?;
    ensure!(again.status.code().is_some(), "{again:?}");
    stays_stopped_over_restarts(&mut fleet, &ap).await
}
