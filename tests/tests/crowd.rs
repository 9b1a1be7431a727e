//! Nobody is in the way of a stop, whatever is sent meanwhile. How soon it comes is printed by `tests/bench/stop`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use manifests::api;
use manifests::id::HostId;
use manifests::time::Time;
use tests::fleet::{Faults, Fleet, Part, small};
use tests::flood::{Enemy, Kind};
use tests::world::{DEADLINE, peak_memory_kib, until};

/// Of each crowd. A controller has 4,096 places for strangers where descriptors allow it, and fewer in a test.
const CONNECTIONS: usize = 400;
/// Of those that ask for much and take nothing: each asks 64 times.
const SLOW_READERS: usize = 64;
/// The most memory that a controller may take under any of the floods, in KiB.
const MEMORY_KIB_MAX: u64 = 600 << 10;

/// When the controller heard from a host last.
async fn heard(fleet: &Fleet, id: &HostId) -> Result<Time> {
    fleet.controller.host_row(id).await?.heard.context("nothing was heard")
}

#[tokio::test]
async fn a_stop_reaches_every_host_and_hosts_are_heard_under_each_flood() -> Result<()> {
    tests::limits::raise_open_files();
    let mut fleet = small(6).await?;
    let (one, two) = (fleet.part(Part::Munakata)?.ap()?, fleet.part(Part::LockShared)?.ap()?);
    let busy =
        fleet.host_ids(false).into_iter().find(|id| *id != one && *id != two).context("three hosts are needed")?;
    let both = [one.clone(), two.clone()];
    fleet.start_hosts(&both, Faults::NONE, |_| {}).await?;
    fleet.issues(&one).await?;
    fleet.issues(&two).await?;
    let bench = Path::new(env!("CARGO_BIN_EXE_bench"));
    let enemy = Enemy::new(&fleet.world, &fleet.controller, bench, &busy).await?;
    for (made, kind) in Kind::ALL.into_iter().enumerate() {
        let connections = if kind == Kind::SlowReaders { SLOW_READERS } else { CONNECTIONS };
        let mut flood = enemy.flood(&fleet.world, kind, connections).await?;
        let before = heard(&fleet, &one).await?;
        until("an honest host to be heard", DEADLINE, async || {
            ensure!(heard(&fleet, &one).await? > before, "not since {before}");
            Ok(())
        })
        .await
        .with_context(|| format!("{kind:?}"))?;
        let output = fleet.controller.sekisho(&["stop", "--all", "--reason", &format!("under {kind:?}")]).await?;
        ensure!(output.success(), "{kind:?}: {output:?}");
        until("the stop to reach every host", DEADLINE, async || {
            let stops = fleet.controller.stops().await?;
            ensure!(stops.len() == made + 1, "{} stops", stops.len());
            let newest = stops.iter().max_by_key(|view| view.stop.number).context("no stop")?;
            ensure!(both.iter().all(|id| newest.acknowledged.contains(id)), "{newest:?}");
            Ok(())
        })
        .await
        .with_context(|| format!("{kind:?}"))?;
        flood.share().with_context(|| format!("{kind:?}"))?;
    }
    let peak = peak_memory_kib(fleet.controller.process_id().context("the controller is gone")?)?;
    ensure!(peak < MEMORY_KIB_MAX, "the controller took {} MiB", peak >> 10);
    Ok(())
}

#[tokio::test]
async fn a_hundred_stops_of_one_operator_close_the_gates_once_and_are_bounded() -> Result<()> {
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    fleet.issues(&ap).await?;
    let stop = serde_json::json!({ "scope": { "kind": "all" }, "reason": "again and again" });
    let url = format!("{}{}", fleet.controller.url(), api::STOPS);
    let (mut taken, mut refused) = (0_usize, 0_usize);
    for _ in 0..100 {
        let request = fleet.controller.client().post(&url).bearer_auth(fleet.controller.token()).json(&stop);
        match request.send().await?.status().as_u16() {
            201 => taken += 1,
            429 => refused += 1,
            other => anyhow::bail!("{other}"),
        }
    }
    ensure!(taken >= 1 && refused > 0, "{taken} were taken, {refused} refused");
    // Whoever was told that it was taken finds it, and the host has the newest.
    until("the host to have every stop", DEADLINE, async || {
        let stops = fleet.controller.stops().await?;
        ensure!(stops.len() == taken, "{} of {taken} are recorded", stops.len());
        ensure!(stops.iter().all(|view| view.acknowledged.contains(&ap)), "the host lacks some");
        Ok(())
    })
    .await?;
    let held = fleet.host(&ap)?.ask_gate().await?;
    ensure!(held.is_refused_for("stopped"), "{held}");
    ensure!(fleet.controller.is_healthy().await?, "it is not well");
    Ok(())
}
