//! What the controller takes, and what it refuses without a trace.

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use manifests::api;
use manifests::digest::Digest;
use manifests::evidence::v1;
use manifests::id::HostId;
use reqwest::StatusCode;
use tests::baseline_text::PRODUCT;
use tests::fleet::{Fleet, small};
use tests::simulated::{SimulatedHost, post, post_bytes};
use tests::world::peak_memory_kib;

/// One body of a request that nobody should read to its end.
const GIGABYTE: u64 = 1 << 30;
/// The most memory that a controller may have used after being sent one, in KiB.
const MEMORY_KIB_MAX: u64 = 300 << 10;

async fn enrolled(fleet: &Fleet, count: usize) -> Result<Vec<SimulatedHost>> {
    let ids: Vec<HostId> = fleet.host_ids(false).into_iter().take(count).collect();
    let baseline = fleet.controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
    let names: Vec<&str> = ids.iter().map(HostId::as_str).collect();
    let mut hosts = Vec::new();
    for (id, token) in fleet.controller.host_tokens(&names).await? {
        let host = SimulatedHost::new(&id, PRODUCT, baseline)?;
        host.enrol(&fleet.controller, &token).await?;
        hosts.push(host);
    }
    Ok(hosts)
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_has_a_stable_code() -> Result<()> {
    let fleet = small(6).await?;
    let mut hosts = enrolled(&fleet, 2).await?;
    let (Some(mut other), Some(mut host)) = (hosts.pop(), hosts.pop()) else { bail!("two hosts were asked for") };
    let first = host.evidence(SimulatedHost::state("first"))?;
    post(&fleet.controller, api::EVIDENCE, &first).await?.receipt()?;
    let second = host.evidence(SimulatedHost::state("second"))?;
    post(&fleet.controller, api::EVIDENCE, &second).await?.receipt()?;
    let (before, other_before) =
        (fleet.controller.host_row(&host.id).await?, fleet.controller.host_row(&other.id).await?);
    assert_eq!(before.state, Some(SimulatedHost::state("second").digest()));

    let replayed = post(&fleet.controller, api::EVIDENCE, &first).await?;
    assert_eq!((replayed.status, replayed.code().as_str()), (StatusCode::CONFLICT, "sequence"), "{replayed:?}");
    assert_eq!(replayed.sequence(), Some(2));

    // The other host's key under this host's name, with the right next sequence.
    other.sequence = host.sequence;
    let own_id = std::mem::replace(&mut other.id, host.id.clone());
    let borrowed = other.evidence(SimulatedHost::state("another site's"))?;
    let refused = post(&fleet.controller, api::EVIDENCE, &borrowed).await?;
    assert!(matches!(refused.status.as_u16(), 401 | 403) && !refused.code().is_empty(), "{refused:?}");
    other.id = own_id;

    let mut stranger = SimulatedHost::new(host.id.as_str(), PRODUCT, host.baseline)?;
    stranger.sequence = host.sequence;
    let unenrolled = stranger.evidence(SimulatedHost::state("a stranger's"))?;
    let refused = post(&fleet.controller, api::EVIDENCE, &unenrolled).await?;
    assert!(matches!(refused.status.as_u16(), 401 | 403) && !refused.code().is_empty(), "{refused:?}");

    let good = serde_json::to_string(&host.evidence(SimulatedHost::state("third"))?)?;
    host.sequence -= 1;
    let malformed: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        vec![0xff; 100],
        good.as_bytes().get(..good.len() / 2).context("a half")?.to_vec(),
        good.replace("vnd.sekisho.evidence", "vnd.sekisho.heartbeat").into_bytes(),
        good.replacen("\"payload\":\"", "\"payload\":\"!", 1).into_bytes(),
        vec![b'['; 100_000],
    ];
    for bytes in malformed {
        let shown = String::from_utf8_lossy(bytes.get(..40).unwrap_or(&bytes)).into_owned();
        let refused = post_bytes(&fleet.controller, api::EVIDENCE, bytes).await?;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (StatusCode::BAD_REQUEST, "malformed"),
            "{shown:?} {refused:?}"
        );
    }
    let tampered = flip_in_payload(&good)?;
    let refused = post_bytes(&fleet.controller, api::EVIDENCE, tampered.into_bytes()).await?;
    assert!(matches!(refused.status.as_u16(), 400 | 401 | 403) && !refused.code().is_empty(), "{refused:?}");

    for own_length in [true, false] {
        let refused = gigabyte(&fleet, own_length).await?;
        if let Some((status, code)) = refused {
            assert_eq!(
                (status, code.as_str()),
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
                "own length: {own_length}"
            );
        } else {
            assert!(!own_length, "an announced gigabyte is refused before it is sent");
        }
    }
    let mut fleet = fleet;
    let peak = peak_memory_kib(fleet.controller.process()?.id())?;
    assert!(peak < MEMORY_KIB_MAX, "the controller used {peak} KiB");
    assert!(fleet.controller.is_healthy().await?);

    let after = fleet.controller.host_row(&host.id).await?;
    assert_eq!((after.state, after.verdict, &after.permit), (before.state, before.verdict, &before.permit));
    assert_eq!(fleet.controller.host_row(&other.id).await?.state, other_before.state);
    // The honest host goes on where it was.
    post(&fleet.controller, api::EVIDENCE, &host.evidence(SimulatedHost::state("third"))?).await?.receipt()?;
    Ok(())
}

#[tokio::test]
async fn the_same_bytes_twice_have_the_effect_of_once() -> Result<()> {
    let fleet = small(6).await?;
    let mut hosts = enrolled(&fleet, 1).await?;
    let host = hosts.first_mut().context("one host was asked for")?;
    let evidence = host.evidence(SimulatedHost::state("once"))?;
    let first = post(&fleet.controller, api::EVIDENCE, &evidence).await?.receipt()?;
    let before = fleet.controller.host_row(&host.id).await?;
    let second = post(&fleet.controller, api::EVIDENCE, &evidence).await?.receipt()?;
    assert_eq!((first.sequence, second.sequence), (1, 1));
    let after = fleet.controller.host_row(&host.id).await?;
    assert_eq!((after.state, after.evidence, after.verdict), (before.state, before.evidence, before.verdict));
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_for_an_unknown_state_asks_for_full_evidence() -> Result<()> {
    let fleet = small(6).await?;
    let mut hosts = enrolled(&fleet, 1).await?;
    let host = hosts.first_mut().context("one host was asked for")?;
    let state = SimulatedHost::state("known");
    post(&fleet.controller, api::EVIDENCE, &host.evidence(state.clone())?).await?.receipt()?;
    let known = post(&fleet.controller, api::HEARTBEATS, &host.heartbeat(state.digest())?).await?.receipt()?;
    assert_eq!(known.next, api::Next::Nothing);
    let unknown = host.heartbeat(Digest::of(b"never shown"))?;
    let receipt = post(&fleet.controller, api::HEARTBEATS, &unknown).await?.receipt()?;
    assert_eq!(receipt.next, api::Next::SendFull);
    Ok(())
}

#[tokio::test]
async fn an_agent_of_before_version_2_goes_on_with_a_controller_of_today() -> Result<()> {
    let mut fleet = small(6).await?;
    let mut hosts = enrolled(&fleet, 1).await?;
    let host = hosts.first_mut().context("one host was asked for")?;
    let state = v1::State::from(&SimulatedHost::state("version 1"));
    let shown = post(&fleet.controller, api::EVIDENCE, &host.evidence_v1(state.clone())?).await?.receipt()?;
    let permit = shown.permit.context("a permit")?.claimed()?;
    assert_eq!(permit.state, Some(state.digest()), "the permit binds what was sent");
    let beat = post(&fleet.controller, api::HEARTBEATS, &host.heartbeat_v1(state.digest())?).await?.receipt()?;
    assert_eq!(beat.next, api::Next::Nothing);
    fleet.controller.kill()?;
    fleet.controller.resume().await?;
    let beat = post(&fleet.controller, api::HEARTBEATS, &host.heartbeat_v1(state.digest())?).await?.receipt()?;
    assert_eq!(beat.next, api::Next::Nothing, "a restart forgets nothing");
    assert_eq!(fleet.controller.host_row(&host.id).await?.state, Some(state.digest()));
    let other =
        post(&fleet.controller, api::HEARTBEATS, &host.heartbeat_v1(Digest::of(b"another"))?).await?.receipt()?;
    assert_eq!(other.next, api::Next::SendFull);
    Ok(())
}

/// Changes one byte of what is signed.
fn flip_in_payload(envelope: &str) -> Result<String> {
    let start = envelope.find("\"payload\":\"").context("an envelope has a payload")? + "\"payload\":\"".len() + 20;
    let mut bytes = envelope.as_bytes().to_vec();
    let byte = bytes.get_mut(start).context("the payload is longer")?;
    *byte = if *byte == b'A' { b'B' } else { b'A' };
    Ok(String::from_utf8(bytes)?)
}

/// Sends a gigabyte; the status and code of the refusal, or nothing if the controller hung up on it.
async fn gigabyte(fleet: &Fleet, own_length: bool) -> Result<Option<(StatusCode, String)>> {
    const CHUNK: usize = 64 << 10;
    let chunks =
        futures_util::stream::iter(0..GIGABYTE / CHUNK as u64).map(|_| Ok::<_, std::io::Error>(vec![b' '; CHUNK]));
    let mut request = fleet
        .controller
        .client()
        .post(format!("{}{}", fleet.controller.url(), api::EVIDENCE))
        .header("content-type", "application/json");
    if own_length {
        request = request.header("content-length", GIGABYTE);
    }
    match request.body(reqwest::Body::wrap_stream(chunks)).send().await {
        Ok(answer) => {
            let status = answer.status();
            let body: Option<api::ErrorBody> = serde_json::from_slice(&answer.bytes().await?).ok();
            Ok(Some((status, body.map(|body| body.code).unwrap_or_default())))
        }
        Err(_) => Ok(None),
    }
}
