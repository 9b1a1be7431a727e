//! Who speaks for a host, and who may ask: sequences, copies of machines, one-time tokens, operators' tokens.

use anyhow::{Context, Result, ensure};
use manifests::api::{self, HostRow};
use manifests::digest::Digest;
use manifests::id::HostId;
use reqwest::StatusCode;
use tests::baseline_text::PRODUCT;
use tests::fleet::{Fleet, small};
use tests::operator::text;
use tests::simulated::{Raw, SimulatedHost, post};
use tests::world::{DEADLINE, until};

const BOOT: &str = "11111111-1111-4111-8111-111111111111";
const OTHER_BOOT: &str = "22222222-2222-4222-8222-222222222222";

/// A fleet, the ids of its hosts, and the baseline in force.
async fn fleet() -> Result<(Fleet, Vec<HostId>, Digest)> {
    let fleet = small(6).await?;
    let ids = fleet.host_ids(false);
    let baseline = fleet.controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
    Ok((fleet, ids, baseline))
}

async fn token(fleet: &Fleet, id: &HostId) -> Result<String> {
    Ok(fleet.controller.host_tokens(&[id.as_str()]).await?.pop().context("no token")?.1)
}

fn holds_for(row: &HostRow, code: &str) -> bool {
    row.allowed.reasons.iter().any(|reason| reason.code.as_str() == code)
}

async fn send(fleet: &Fleet, host: &mut SimulatedHost, boot: &str, boot_ms: u64, permit: u64) -> Result<Raw> {
    let mut cover = host.cover();
    (cover.boot_id, cover.boot_ms, cover.permit) = (boot.to_owned(), boot_ms, permit);
    let evidence = manifests::evidence::Evidence { cover, state: SimulatedHost::state("same") };
    let sealed = manifests::envelope::Sealed::seal(&evidence, &host.key)?;
    post(&fleet.controller, api::EVIDENCE, &sealed).await
}

#[tokio::test]
async fn nobody_uses_up_the_sequence_of_a_host() -> Result<()> {
    let (fleet, ids, baseline) = fleet().await?;
    let id = ids.first().context("no host")?;
    let mut host = SimulatedHost::new(id.as_str(), PRODUCT, baseline)?;
    host.enrol(&fleet.controller, &token(&fleet, id).await?).await?;
    send(&fleet, &mut host, BOOT, 1, 0).await?.receipt()?;
    // A thief of the key wants the host to be refused for ever.
    let honest = host.sequence;
    for far in [(1 << 53) - 2, (1 << 53) - 3, 1 << 52] {
        host.sequence = far;
        let refused = send(&fleet, &mut host, BOOT, 2, 0).await?;
        ensure!(refused.status.is_client_error() && !refused.code().is_empty(), "{far}: {refused:?}");
    }
    host.sequence = honest;
    send(&fleet, &mut host, BOOT, 2, 0).await?.receipt()?;
    // Within a jump that is believed the host itself is behind: it is told where the controller is, and resumes.
    let jump = manifests::evidence::SEQUENCE_JUMP_MAX;
    host.sequence += jump - 1;
    send(&fleet, &mut host, BOOT, 3, 0).await?.receipt()?;
    let stored = host.sequence;
    host.sequence = honest + 1;
    let behind = send(&fleet, &mut host, BOOT, 4, 0).await?;
    ensure!((behind.status, behind.code().as_str()) == (StatusCode::CONFLICT, "sequence"), "{behind:?}");
    ensure!(behind.sequence() == Some(stored), "{behind:?}");
    host.sequence = stored;
    let mut cover = host.cover();
    (cover.boot_id, cover.boot_ms, cover.resumed) = (BOOT.to_owned(), 5, true);
    let evidence = manifests::evidence::Evidence { cover, state: SimulatedHost::state("same") };
    let sealed = manifests::envelope::Sealed::seal(&evidence, &host.key)?;
    post(&fleet.controller, api::EVIDENCE, &sealed).await?.receipt()?;
    ensure!(!holds_for(&fleet.controller.host_row(id).await?, "clone-suspected"));
    Ok(())
}

#[tokio::test]
async fn two_machines_with_one_key_hold_and_both_are_named() -> Result<()> {
    let (fleet, ids, baseline) = fleet().await?;
    let id = ids.first().context("no host")?;
    let mut host = SimulatedHost::new(id.as_str(), PRODUCT, baseline)?;
    host.enrol(&fleet.controller, &token(&fleet, id).await?).await?;
    let first = send(&fleet, &mut host, BOOT, 1_000, 0).await?.receipt()?;
    let permit = first.permit.context("no permit")?.claimed()?.number;
    send(&fleet, &mut host, BOOT, 2_000, permit).await?.receipt()?;
    ensure!(!holds_for(&fleet.controller.host_row(id).await?, "clone-suspected"));
    // The copy was made before the permit, and runs under a boot of its own: within two documents it is noticed.
    send(&fleet, &mut host, OTHER_BOOT, 500, 0).await?.receipt()?;
    send(&fleet, &mut host, BOOT, 3_000, permit).await?.receipt()?;
    let held = fleet.controller.host_row(id).await?;
    ensure!(holds_for(&held, "clone-suspected"), "{held:?}");
    // No document of either ends it: only a new key, which somebody has to ask for.
    for round in 0..3 {
        let (boot, ms) = if round % 2 == 0 { (OTHER_BOOT, 600 + round) } else { (BOOT, 4_000 + round) };
        send(&fleet, &mut host, boot, ms, permit).await?.receipt()?;
        ensure!(holds_for(&fleet.controller.host_row(id).await?, "clone-suspected"));
    }
    let log = std::fs::read_to_string(fleet.logs().join("controller.err"))?;
    let line = log.lines().find(|line| line.contains("two machines")).context("the log says nothing")?;
    for part in [id.as_str(), BOOT, OTHER_BOOT, "127.0.0.1"] {
        ensure!(line.contains(part), "{part} is not named: {line}");
    }
    let data = text(fleet.controller.data())?;
    let again = ["token", "host", id.as_str(), "--replace", "--data", data];
    let printed = fleet.world.run("sekisho-controller", &again).await?;
    let replacing = printed.split_whitespace().last().context("no token")?.to_owned();
    let mut renewed = SimulatedHost::new(id.as_str(), PRODUCT, baseline)?;
    renewed.enrol(&fleet.controller, &replacing).await?;
    send(&fleet, &mut renewed, BOOT, 5_000, 0).await?.receipt()?;
    ensure!(!holds_for(&fleet.controller.host_row(id).await?, "clone-suspected"));
    let refused = send(&fleet, &mut host, OTHER_BOOT, 700, permit).await?;
    ensure!(matches!(refused.status.as_u16(), 401 | 403), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn of_fifty_at_once_one_enrols_and_no_token_serves_another() -> Result<()> {
    let (fleet, ids, baseline) = fleet().await?;
    let [one, other, ..] = ids.as_slice() else { anyhow::bail!("two hosts are needed") };
    let once = token(&fleet, one).await?;
    let hosts: Result<Vec<_>> = (0..50).map(|_| SimulatedHost::new(one.as_str(), PRODUCT, baseline)).collect();
    let hosts = hosts?;
    let tries = hosts.iter().map(|host| host.try_enrol(&fleet.controller, &once));
    let answers: Vec<Raw> = futures_util::future::try_join_all(tries).await?;
    let count = |status: u16| answers.iter().filter(|answer| answer.status.as_u16() == status).count();
    ensure!((count(201), count(409)) == (1, 49), "{} are created, {} refused", count(201), count(409));
    // For another host, for one that nobody listed, for one that is enrolled: nothing is written.
    let elsewhere = token(&fleet, other).await?;
    let stranger = SimulatedHost::new(one.as_str(), PRODUCT, baseline)?;
    let refused = stranger.try_enrol(&fleet.controller, &elsewhere).await?;
    ensure!((refused.status.as_u16(), refused.code().as_str()) == (403, "wrong-host"), "{refused:?}");
    let unlisted = SimulatedHost::new("011002-ap1", PRODUCT, baseline)?;
    let refused = unlisted.try_enrol(&fleet.controller, &elsewhere).await?;
    ensure!((refused.status.as_u16(), refused.code().as_str()) == (403, "wrong-host"), "{refused:?}");
    let taken = token(&fleet, one).await?;
    let refused = stranger.try_enrol(&fleet.controller, &taken).await?;
    ensure!((refused.status.as_u16(), refused.code().as_str()) == (409, "enrolled"), "{refused:?}");
    // Cut short, made longer, guessed.
    let half = elsewhere.get(..elsewhere.len() / 2).context("a short token")?.to_owned();
    let right = SimulatedHost::new(other.as_str(), PRODUCT, baseline)?;
    for wrong in [half, format!("{elsewhere}0"), "0".repeat(elsewhere.len()), String::new()] {
        let refused = right.try_enrol(&fleet.controller, &wrong).await?;
        ensure!(refused.status == StatusCode::UNAUTHORIZED, "{wrong}: {refused:?}");
    }
    right.enrol(&fleet.controller, &elsewhere).await
}

#[tokio::test]
async fn a_token_that_was_taken_away_soon_counts_no_more_on_this_controller() -> Result<()> {
    let (fleet, _, _) = fleet().await?;
    let data = text(fleet.controller.data())?;
    let viewer = ["token", "operator", "leaving", "--role", "viewer", "--data", data];
    let token = fleet.world.run("sekisho-controller", &viewer).await?.trim().to_owned();
    let ask = async |path: &str| {
        let request = fleet.controller.client().get(format!("{}{path}", fleet.controller.url()));
        anyhow::Ok(request.bearer_auth(&token).send().await?)
    };
    let stream = ask(api::EVENTS).await?;
    ensure!(stream.status().is_success() && ask(api::SITES).await?.status().is_success());
    fleet.world.run("sekisho-controller", &["token", "revoke", "leaving", "--data", data]).await?;
    until("the token to count no more", DEADLINE, async || {
        let status = ask(api::SITES).await?.status();
        ensure!(status == StatusCode::UNAUTHORIZED, "{status}");
        Ok(())
    })
    .await?;
    // What it had open ends as well.
    let rest = tokio::time::timeout(DEADLINE, stream.bytes()).await;
    ensure!(rest.is_ok(), "its stream goes on");
    Ok(())
}
