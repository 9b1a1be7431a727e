//! What ends a stop: a lift of this very stop, with the signatures of two units, and nothing else.

use std::fs;

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use manifests::api::{self, Publish};
use tests::fleet::{Faults, Fleet, Part, small};
use tests::world::{DEADLINE, until};

use manifests::id::HostId;

/// The gate holds because of a stop, and has not opened since the host has it.
async fn stopped(fleet: &Fleet, ap: &HostId) -> Result<()> {
    fleet.holds(ap, "a stop without its lift", "stopped", DEADLINE).await
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
    // Its newest permit says hold for that reason, too: what is left is the stop itself.
    fs::remove_file(fleet.host(ap)?.own().join("state/permit.json"))?;
    fleet.host_mut(ap)?.start_agent().await?;
    // Alone, by what it has on disk, and then with its controller.
    stopped(fleet, ap).await?;
    fleet.controller.resume().await?;
    let before = fleet.controller.host_row(ap).await?.heard;
    until("the host to be heard again", DEADLINE, async || {
        let heard = fleet.controller.host_row(ap).await?.heard;
        ensure!(heard > before, "not since {before:?}");
        Ok(())
    })
    .await?;
    stopped(fleet, ap).await
}

/// Sends the newest lifts of the release managers' directory, as somebody does who does not ask how many have signed.
/// The controller's status and code.
async fn send_newest_lifts(fleet: &Fleet) -> Result<(u16, String)> {
    let directory = fleet.managers.directory();
    let mut publish = Publish::default();
    let names = fs::read_dir(directory.join("metadata"))?.map(|entry| Ok(entry?.file_name().into_string()));
    let names: Vec<_> = names.collect::<std::io::Result<Vec<_>>>()?.into_iter().flatten().collect();
    let version = |name: &String| name.strip_suffix(".lifts.json")?.parse::<u64>().ok();
    let newest = names.iter().max_by_key(|name| version(name)).context("no metadata")?;
    publish.metadata.insert(newest.clone(), BASE64.encode(&fs::read(directory.join("metadata").join(newest))?));
    for stop in fs::read_dir(directory.join("lifts"))? {
        let stop = stop?;
        for lift in fs::read_dir(stop.path())? {
            let lift = lift?.path();
            let path = lift.strip_prefix(directory)?.to_str().context("a path that is no text")?.to_owned();
            publish.targets.insert(path, BASE64.encode(&fs::read(&lift)?));
        }
    }
    let url = format!("{}{}", fleet.controller.url(), api::PUBLISH);
    let request = fleet.controller.client().post(url).bearer_auth(fleet.controller.token()).json(&publish);
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let code = answer.json::<serde_json::Value>().await?["code"].as_str().unwrap_or_default().to_owned();
    Ok((status, code))
}

#[tokio::test]
async fn a_stop_ends_by_its_own_lift_with_two_signatures_and_by_no_other_over_restarts_too() -> Result<()> {
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    fleet.issues(&ap).await?;
    let site = ap.site().to_string();
    let first = stop(&fleet, &ap, "the first").await?;
    stays_stopped_over_restarts(&mut fleet, &ap).await?;

    let output = fleet.managers.try_lift(&fleet.controller, &first, &[&site], "over").await?;
    ensure!(output.success(), "{output:?}");
    fleet.managers.sign("development").await?;
    let output = fleet.managers.try_publish(&fleet.controller).await?;
    ensure!(!output.success(), "a lift with one signature was published");
    let (status, code) = send_newest_lifts(&fleet).await?;
    ensure!((status, code.as_str()) == (422, "threshold"), "a lift with one signature: {status} {code}");
    stays_stopped_over_restarts(&mut fleet, &ap).await?;

    fleet.managers.sign("quality").await?;
    fleet.managers.publish(&fleet.controller).await?;
    fleet.issues(&ap).await?;

    // The lift of the first stays in force, and is published once more: it ends nothing but the first.
    stop(&fleet, &ap, "the second").await?;
    stopped(&fleet, &ap).await?;
    let newest = fleet.publish_newer().await?;
    until("the host to run under the baseline that came with it", DEADLINE, async || {
        let under = fleet.controller.host_row(&ap).await?.baseline;
        ensure!(under == Some(newest), "{under:?}");
        Ok(())
    })
    .await?;
    stays_stopped_over_restarts(&mut fleet, &ap).await
}
