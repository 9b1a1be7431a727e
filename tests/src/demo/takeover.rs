//! The story, step 9: the controller's disk is lost after a lift, and the standby takes over.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use manifests::id::{HostId, SiteCode};
use manifests::outcome::Verdict;

use super::report::Report;
use super::steps::{issuing, opens};
use super::steps_late::{FLEET_DEADLINE, not_stopped};
use crate::fleet::Fleet;
use crate::world::until;

/// Step 9.
pub(super) async fn takes_over(fleet: &mut Fleet, report: &Report, freed: &[SiteCode], lose: bool) -> Result<()> {
    let ttl = Duration::from_secs(fleet.rhythm.permit_ttl_s);
    let Some(code) = freed.first() else { bail!("no site issues") };
    // Its agent was killed in the step before.
    let ap = fleet.site(code)?.ap()?;
    fleet.host_mut(&ap)?.start_agent().await?;
    opens(fleet, report, &ap).await?;
    let mut standby = fleet.standby.take().context("no standby")?;
    let began = Instant::now();
    standby.resume().await?;
    let output = fleet.managers.try_publish_to(&[&fleet.controller, &standby]).await?;
    ensure!(output.success(), "publish: {}\n{}{}", output.status, output.stdout, output.stderr);
    report.answer("the standby is started; publish to both in one command", "both have it", began.elapsed());
    let began = Instant::now();
    let (stops, hosts) = (fleet.controller.stops().await?.len(), fleet.hosts.len());
    until("the standby to know every stop", FLEET_DEADLINE, async || {
        ensure!(standby.stops().await?.len() == stops, "it does not");
        Ok(())
    })
    .await?;
    report.answer("what does the standby know of the stop and its lift?", "all of it", began.elapsed());

    let began = Instant::now();
    if lose {
        fleet.controller.kill()?;
        fs::remove_dir_all(fleet.controller.data()).context("the controller's disk")?;
    }
    report.answer("the controller in service: its disk", "lost", began.elapsed());
    let issuers: Vec<HostId> = freed.iter().map(|code| fleet.site(code)?.ap()).collect::<Result<_>>()?;
    until("every host to report to the standby", FLEET_DEADLINE, async || {
        let rows = standby.hosts().await?;
        let reported = rows.iter().filter(|row| row.evidence.is_some()).count();
        ensure!(reported == hosts, "{reported} of {hosts} have");
        let issue = |id: &HostId| {
            let row = rows.iter().find(|row| row.host == *id);
            row.and_then(|row| row.permit.as_ref()).is_some_and(|permit| permit.verdict == Verdict::Issue)
        };
        ensure!(issuers.iter().all(issue), "not every freed site has a permit of the standby");
        Ok(())
    })
    .await?;
    report.answer(
        &format!("{hosts} hosts, none enrolled anew: where do they report?"),
        "to the standby",
        began.elapsed(),
    );
    // Longer than any permit of the lost controller lives.
    tokio::time::sleep(ttl.saturating_sub(began.elapsed())).await;
    until("the freed sites to issue on the standby's permits", FLEET_DEADLINE, async || {
        let open = issuing(fleet, freed).await?;
        ensure!(open == freed, "open are {open:?}");
        Ok(())
    })
    .await?;
    report.answer("the gates that the lift had opened: certificate?", "all issue", began.elapsed());

    let began = Instant::now();
    let output = standby.sekisho(&["stop", "--all", "--reason", "the standby's first"]).await?;
    ensure!(output.success(), "sekisho stop: {}\n{}{}", output.status, output.stdout, output.stderr);
    let sites: Vec<SiteCode> = fleet.plan.iter().map(|planned| planned.site.code.clone()).collect();
    until("every gate to refuse because of the new stop", FLEET_DEADLINE, async || {
        let open = not_stopped(fleet, &sites).await?;
        ensure!(open.is_empty(), "{} gates are not stopped: {open:?}", open.len());
        Ok(())
    })
    .await?;
    until("every host to acknowledge", FLEET_DEADLINE, async || {
        let views = standby.stops().await?;
        ensure!(views.len() == stops + 1, "{} stops", views.len());
        let outstanding = views.iter().map(|view| view.outstanding.len()).max().unwrap_or_default();
        ensure!(outstanding == 0, "{outstanding} hosts have not");
        Ok(())
    })
    .await?;
    report.answer("a new stop, by the standby: who has it on disk?", &format!("all {hosts} hosts"), began.elapsed());
    fleet.standby = Some(standby);
    Ok(())
}
