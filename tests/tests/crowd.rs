//! Nobody is in the way of a stop, whatever is sent meanwhile. How soon it comes is printed by `tests/bench/stop`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api;
use manifests::id::HostId;
use tests::case::NO_FAULTS;
use tests::fleet::{Fleet, Part, small};
use tests::flood::{Enemy, Kind};
use tests::host::Issued;
use tests::world::until;

const DEADLINE: Duration = Duration::from_secs(30);
/// Of each crowd. A controller has 4,096 places for strangers where descriptors allow it, and fewer in a test.
const CONNECTIONS: usize = 400;
/// The most memory that a controller may take under any of the floods, in KiB.
const MEMORY_KIB_MAX: u64 = 600 << 10;

async fn issues(fleet: &Fleet, id: &HostId) -> Result<()> {
    until("the gate to open", DEADLINE, async || {
        let answer = fleet.host(id)?.ask_gate().await?;
        ensure!(answer == Issued::Certificate, "{answer}");
        Ok(())
    })
    .await
}

/// How often the controller has heard from a host since the start of the test, as far as its sequence tells.
async fn heard(fleet: &Fleet, id: &HostId) -> Result<manifests::time::Time> {
    let rows = fleet.controller.hosts().await?;
    rows.into_iter().find(|row| row.host == *id).and_then(|row| row.heard).context("nothing was heard")
}

#[tokio::test]
async fn a_stop_reaches_every_host_and_hosts_are_heard_under_each_flood() -> Result<()> {
    tests::limits::raise_open_files();
    let mut fleet = small(6).await?;
    let (one, two) = (fleet.part(Part::Munakata)?.ap()?, fleet.part(Part::LockShared)?.ap()?);
    let busy =
        fleet.host_ids(false).into_iter().find(|id| *id != one && *id != two).context("three hosts are needed")?;
    let both = [one.clone(), two.clone()];
    fleet.start_hosts(&both, NO_FAULTS, |_| {}).await?;
    issues(&fleet, &one).await?;
    issues(&fleet, &two).await?;
    let bench = Path::new(env!("CARGO_BIN_EXE_bench"));
    let enemy = Enemy::new(&fleet.world, &fleet.controller, bench, &busy).await?;
    for (made, kind) in Kind::ALL.into_iter().enumerate() {
        let mut flood = enemy.flood(&fleet.world, kind, CONNECTIONS).await?;
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
    let process = fleet.controller.process_id().context("the controller is gone")?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    ensure!(peak < MEMORY_KIB_MAX, "the controller took {} MiB", peak >> 10);
    Ok(())
}

#[tokio::test]
async fn a_hundred_stops_of_one_operator_close_the_gates_once_and_are_bounded() -> Result<()> {
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), NO_FAULTS, |_| {}).await?;
    issues(&fleet, &ap).await?;
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
    ensure!(matches!(&held, Issued::Refused(codes) if codes.iter().any(|code| code == "stopped")), "{held}");
    ensure!(fleet.controller.is_healthy().await?, "it is not well");
    Ok(())
}
