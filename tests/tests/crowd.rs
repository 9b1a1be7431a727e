//! Nobody is in the way of a stop, whatever is sent meanwhile. How soon it comes is printed by `tests/bench/stop`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use manifests::api;
use manifests::id::HostId;
use manifests::time::Time;
use tests::fleet::{Faults, Fleet, Part, small};
use tests::flood::{Begun, Enemy, Kind};
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

/// Bytes of a body that is not too long, and of one that is: an envelope of evidence has 4 MiB in base64 and 16 KiB.
const BODY: usize = 5 << 20;
const TOO_LONG: usize = (4 << 20) / 3 * 4 + (16 << 10) + 1;

#[tokio::test]
async fn bodies_that_are_begun_and_not_ended_give_way_and_what_is_too_long_is_refused() -> Result<()> {
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    let busy = fleet.host_ids(false).into_iter().find(|id| *id != ap).context("two hosts are needed")?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    fleet.issues(&ap).await?;
    let enemy = Enemy::new(&fleet.world, &fleet.controller, Path::new(env!("CARGO_BIN_EXE_bench")), &busy).await?;
    // Whoever says no length is refused as soon as it is too much. Of those who are only slow nobody is answered so.
    let mut long = enemy.begin(false, TOO_LONG).await?;
    let answered =
        async |begun: &mut Begun| tokio::time::timeout(DEADLINE, begun.status()).await.context("no answer")?;
    ensure!(answered(&mut long).await? == 413, "a body without end is read on");
    // What names one host has room for two; what names nobody has 64 MiB.
    for (named, bodies) in [(true, 3), (false, 13)] {
        let mut all = Vec::new();
        for _ in 0..bodies {
            all.push(enemy.begin(named, BODY).await?);
        }
        let first = answered(&mut all[0]).await?;
        ensure!(first == 503, "named: {named}: the oldest of {bodies} is answered {first}");
        // All of it is taken still, and hosts are heard.
        let before = heard(&fleet, &ap).await?;
        until("an honest host to be heard", DEADLINE, async || {
            ensure!(heard(&fleet, &ap).await? > before, "not since {before}");
            Ok(())
        })
        .await?;
        let mut newcomer = enemy.begin(named, 0).await?;
        newcomer.end().await?;
        let status = answered(&mut newcomer).await?;
        ensure!(status == 400, "named: {named}: an empty body is read, and refused for what it says: {status}");
    }
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
