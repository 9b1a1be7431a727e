//! What was acknowledged is there after kill -9.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use manifests::api;
use manifests::digest::Digest;
use manifests::id::HostId;
use reqwest::StatusCode;
use tests::baseline_text::PRODUCT;
use tests::fleet::{Fleet, small};
use tests::simulated::{SimulatedHost, post};

/// How often the controller is killed.
const ROUNDS: u32 = 50;
/// Where the moments of the kills come from.
const SEED: u64 = 2023;

/// Of one host: the newest document acknowledged, and what was under way when the kill came.
#[derive(Clone, Copy, Default)]
struct Kept {
    sequence: u64,
    acknowledged: Option<Digest>,
    under_way: Option<Digest>,
}

#[tokio::test]
async fn a_document_acknowledged_before_kill_9_is_there_afterwards() -> Result<()> {
    let mut fleet = small(12).await?;
    let baseline = fleet.controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
    let ids = fleet.host_ids(false);
    let names: Vec<&str> = ids.iter().map(HostId::as_str).collect();
    let mut hosts = Vec::new();
    let mut first = BTreeMap::new();
    for (id, token) in fleet.controller.host_tokens(&names).await? {
        let mut host = SimulatedHost::new(&id, PRODUCT, baseline)?;
        host.enrol(&fleet.controller, &token).await?;
        // Every host has something stored before the first kill.
        let state = SimulatedHost::state("first");
        let digest = state.digest();
        post(&fleet.controller, api::EVIDENCE, &host.evidence(state)?).await?.receipt()?;
        first.insert(host.id.clone(), Kept { sequence: 1, acknowledged: Some(digest), under_way: None });
        hosts.push(host);
    }
    let journal = Mutex::new(first);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let wait = Duration::from_millis(20 + delay(u64::from(round)) % 180);
        let sending = join_all(hosts.iter_mut().map(|host| send_until_broken(&fleet, host, &journal)));
        let sent: Vec<u64> = {
            let id = fleet_process(&fleet)?;
            let (sent, killed) = futures_util::future::join(sending, kill_after(id, wait)).await;
            killed?;
            sent.into_iter().collect::<Result<_>>()?
        };
        acknowledged += sent.iter().sum::<u64>();
        fleet.controller.kill()?;
        fleet.controller.resume().await?;
        let rows = fleet.controller.hosts().await?;
        for host in &mut hosts {
            let kept =
                journal.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.get(&host.id).copied().unwrap_or_default();
            let row = rows.iter().find(|row| row.host == host.id).context("a host is gone")?;
            let stored = stored_sequence(&fleet, host).await?;
            ensure!(
                stored >= kept.sequence,
                "seed {SEED}, round {round}: {} had {} acknowledged, {stored} is stored",
                host.id,
                kept.sequence
            );
            ensure!(
                row.state == kept.acknowledged || (row.state.is_some() && row.state == kept.under_way),
                "seed {SEED}, round {round}: {} stands at a state that was neither acknowledged nor under way",
                host.id
            );
            host.sequence = stored.max(host.sequence);
            // What was on its way and is there now is what the next round begins with.
            let kept = Kept { sequence: stored, acknowledged: row.state, under_way: None };
            journal.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.insert(host.id.clone(), kept);
        }
    }
    println!("{acknowledged} documents acknowledged over {ROUNDS} kills, none lost");
    ensure!(
        acknowledged > u64::from(ROUNDS),
        "only {acknowledged} documents were acknowledged: the rounds prove nothing"
    );
    Ok(())
}

/// Sends evidence, each with a state of its own, until the controller is gone. How many were acknowledged.
async fn send_until_broken(
    fleet: &Fleet,
    host: &mut SimulatedHost,
    journal: &Mutex<BTreeMap<HostId, Kept>>,
) -> Result<u64> {
    let mut count = 0;
    loop {
        let state = SimulatedHost::state(&format!("{} {}", host.id, host.sequence + 1));
        let digest = state.digest();
        let evidence = host.evidence(state)?;
        let note = |change: &dyn Fn(&mut Kept)| -> Result<()> {
            let mut journal = journal.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
            change(journal.entry(host.id.clone()).or_default());
            Ok(())
        };
        note(&|kept| kept.under_way = Some(digest))?;
        match post(&fleet.controller, api::EVIDENCE, &evidence).await {
            Ok(answer) => {
                let receipt = answer.receipt()?;
                note(&|kept| *kept = Kept { sequence: receipt.sequence, acknowledged: Some(digest), under_way: None })?;
                count += 1;
            }
            // No answer: it may be stored or not.
            Err(_) => return Ok(count),
        }
    }
}

/// What the controller has stored, as its refusal of a used sequence tells it.
async fn stored_sequence(fleet: &Fleet, host: &mut SimulatedHost) -> Result<u64> {
    let sequence = host.sequence;
    host.sequence = 0;
    let repeated = host.evidence(SimulatedHost::state("a used sequence"))?;
    host.sequence = sequence;
    let answer = post(&fleet.controller, api::EVIDENCE, &repeated).await?;
    ensure!(answer.status == StatusCode::CONFLICT, "a used sequence was answered {}", answer.status);
    answer.sequence().with_context(|| format!("refused without the stored sequence: {answer:?}"))
}

fn fleet_process(fleet: &Fleet) -> Result<rustix::process::Pid> {
    let id = i32::try_from(fleet.controller.process_id().context("the controller does not run")?)?;
    rustix::process::Pid::from_raw(id).context("no process id")
}

async fn kill_after(process: rustix::process::Pid, wait: Duration) -> Result<()> {
    // The moment is the test's input, not something it waits for.
    tokio::time::sleep(wait).await;
    rustix::process::kill_process(process, rustix::process::Signal::KILL)?;
    Ok(())
}

fn delay(round: u64) -> u64 {
    let mut word = (SEED + round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ (word >> 27)
}
