//! The story, steps 6 to 8: a new baseline, a stop and its end, and what survives a kill -9.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use manifests::api::StopView;
use manifests::digest::Digest;
use manifests::id::{HostId, SiteCode};

use super::asking::Asking;
use super::report::Report;
use super::steps::{both_entries, deadline, issuing, opens, refused_for};
use crate::baseline_text::{NEXT_VERSION, next_baseline};
use crate::fleet::{Fleet, Part};
use crate::host::{Entry, Issued};
use crate::world::until;

/// How long the whole fleet may take for a stop or a new baseline.
pub(super) const FLEET_DEADLINE: Duration = Duration::from_secs(60);
/// A gate may be asked this long after its permit's end before it says so.
const PERMIT_END_SLACK: Duration = Duration::from_secs(2);

/// Step 6.
pub(super) async fn new_baseline(fleet: &Fleet, report: &Report, publish: bool) -> Result<()> {
    let asked_site = fleet.good(false).nth(1).context("no second site in order")?;
    let other = fleet.good(false).next().context("no site in order")?.site.code.clone();
    let ap = asked_site.ap()?;
    let host = fleet.host(&ap)?;
    opens(fleet, report, &ap).await?;
    let before = baseline_of(fleet, &ap).await?;
    let asking = Asking::start(&[host.entry(Entry::Store)?.clone(), host.entry(Entry::Counter)?.clone()]);
    let began = Instant::now();
    if publish {
        fleet.managers.edit("baseline.toml", |text| next_baseline(&text, other.as_str()))?;
        fleet.managers.sign_by_two().await?;
        fleet.managers.publish(&fleet.controller).await?;
    }
    report.answer(&format!("baseline {NEXT_VERSION}, signed by two"), "published", began.elapsed());
    let began = Instant::now();
    until("the asked site to run under the new baseline", deadline(fleet), async || {
        let now = baseline_of(fleet, &ap).await?;
        ensure!(now != before && now.is_some(), "it reports under the one before");
        Ok(())
    })
    .await?;
    report.answer(&format!("{ap}: under which baseline does it report?"), NEXT_VERSION, began.elapsed());
    let fleet_wide = fleet.controller.fleet().await?.baseline.map(|baseline| baseline.digest);
    until("every host that reports to run under the new baseline", FLEET_DEADLINE, async || {
        let silent = fleet.part(Part::Silent)?.ap()?;
        let rows = fleet.controller.hosts().await?;
        let behind = rows.iter().filter(|row| row.host != silent && row.baseline != fleet_wide).count();
        ensure!(behind == 0, "{behind} hosts are behind");
        Ok(())
    })
    .await?;
    report.answer("all hosts that report: under which?", NEXT_VERSION, began.elapsed());
    let asked = asking.finish()?;
    let refusals: Vec<_> = asked.iter().filter(|question| !question.issued).collect();
    let refused = refusals.len();
    report.answer(
        &format!("{ap}: certificates asked for meanwhile"),
        &format!("{} asked for, {refused} refused", asked.len()),
        began.elapsed(),
    );
    let first = refusals.first().map(|refusal| format!("{} after {:.3?}", refusal.codes.join(", "), refusal.took));
    ensure!(refused == 0 && !asked.is_empty(), "{refused} of {} refused: {}", asked.len(), first.unwrap_or_default());
    Ok(())
}

async fn baseline_of(fleet: &Fleet, host: &HostId) -> Result<Option<Digest>> {
    Ok(fleet.controller.host_row(host).await?.baseline)
}

/// Step 7. Returns the sites that were freed.
pub(super) async fn stop_and_lift(fleet: &mut Fleet, report: &Report, stop: bool) -> Result<Vec<SiteCode>> {
    // A dead agent cannot acknowledge; it comes back before everybody is asked to.
    let silent = fleet.part(Part::Silent)?.ap()?;
    let began = Instant::now();
    fleet.host_mut(&silent)?.start_agent().await?;
    opens(fleet, report, &silent).await?;
    report.answer(&format!("{silent}: its agent is started again"), "it reports", began.elapsed());

    let began = Instant::now();
    if stop {
        let output = fleet.controller.sekisho(&["stop", "--all", "--reason", "the demo's drill"]).await?;
        ensure!(output.success(), "sekisho stop: {}\n{}{}", output.status, output.stdout, output.stderr);
    }
    report.answer("sekisho stop --all", "recorded and signed", began.elapsed());
    let sites: Vec<SiteCode> = fleet.plan.iter().map(|planned| planned.site.code.clone()).collect();
    until("every gate to refuse because of the stop", FLEET_DEADLINE.min(deadline(fleet)), async || {
        let open = not_stopped(fleet, &sites).await?;
        ensure!(open.is_empty(), "{} gates are not stopped: {open:?}", open.len());
        Ok(())
    })
    .await?;
    report.answer(&format!("{} issuing hosts: certificate?", sites.len()), "all refused: stopped", began.elapsed());
    let view = until("every host to acknowledge", FLEET_DEADLINE, async || {
        let view = newest_stop(fleet).await?;
        ensure!(
            view.outstanding.is_empty(),
            "{} hosts have not: {:?}",
            view.outstanding.len(),
            view.outstanding.first()
        );
        Ok(view)
    })
    .await?;
    ensure!(
        view.acknowledged.len() == fleet.hosts.len(),
        "{} of {} hosts acknowledged",
        view.acknowledged.len(),
        fleet.hosts.len()
    );
    report.answer("who has the stop on disk?", &format!("all {} hosts", view.acknowledged.len()), began.elapsed());

    let stop = format!("sha256:{}", view.stop.digest.hex());
    let held = fleet.part(Part::Takamatsu)?.site.code.clone();
    let began = Instant::now();
    let output = fleet.managers.try_lift(&fleet.controller, &stop, &[held.as_str()], "too early").await?;
    ensure!(!output.success(), "a lift for a site with open items was drafted");
    let named = output.stderr.contains(held.as_str()) || output.stdout.contains(held.as_str());
    ensure!(named, "the refusal does not name {held}: {}", output.stderr);
    report.answer(&format!("lift for {held}, which has open items?"), "refused, named", began.elapsed());

    let split = fleet.good(true).next().context("no split site in order")?.site.code.clone();
    let mut freed: Vec<SiteCode> = fleet.good(false).take(2).map(|planned| planned.site.code.clone()).collect();
    freed.push(split);
    freed.sort();
    let names: Vec<&str> = freed.iter().map(SiteCode::as_str).collect();
    let began = Instant::now();
    let output = fleet.managers.try_lift(&fleet.controller, &stop, &names, "the drill is over").await?;
    ensure!(output.success(), "lift: {}{}", output.stdout, output.stderr);
    fleet.managers.sign("development").await?;
    let output = fleet.managers.try_publish(&fleet.controller).await?;
    ensure!(!output.success(), "a lift with one signature was published");
    let open = issuing(fleet, &sites).await?;
    ensure!(open.is_empty(), "after a lift with one signature these are open: {open:?}");
    report.answer(
        &format!("lift for {}, one signature: publish?", names.join(" ")),
        "refused; no gate opened",
        began.elapsed(),
    );
    let began = Instant::now();
    fleet.managers.sign("quality").await?;
    fleet.managers.publish(&fleet.controller).await?;
    until("the named sites to issue", deadline(fleet), async || {
        let open = issuing(fleet, &freed).await?;
        ensure!(open == freed, "open are {open:?}");
        Ok(())
    })
    .await?;
    let open = issuing(fleet, &sites).await?;
    ensure!(open == freed, "freed were {freed:?}, open are {open:?}");
    report.answer(
        "the same with two signatures: who issues?",
        &format!("exactly {}", names.join(" ")),
        began.elapsed(),
    );
    Ok(freed)
}

async fn newest_stop(fleet: &Fleet) -> Result<StopView> {
    let stops = fleet.controller.stops().await?;
    stops.into_iter().max_by_key(|view| view.stop.number).context("no stop is known")
}

/// Sites whose issuing host does not refuse because of a stop, asked all at once.
pub(super) async fn not_stopped(fleet: &Fleet, sites: &[SiteCode]) -> Result<Vec<SiteCode>> {
    let ask = |code: &SiteCode| {
        let code = code.clone();
        async move {
            let answer = fleet.host(&fleet.site(&code)?.ap()?)?.ask(Entry::Store).await?;
            anyhow::Ok((!refused_for(&answer, "stopped")).then_some(code))
        }
    };
    let answers: Vec<_> = futures_util::stream::iter(sites.iter().map(ask)).buffer_unordered(32).collect().await;
    let mut open = Vec::new();
    for answer in answers {
        open.extend(answer?);
    }
    Ok(open)
}

/// Step 8.
pub(super) async fn killed(fleet: &mut Fleet, report: &Report, freed: &[SiteCode], kill: bool) -> Result<()> {
    let ttl = Duration::from_secs(fleet.rhythm.permit_ttl_s);
    let Some(code) = freed.first() else { bail!("no site issues") };
    let ap = fleet.site(code)?.ap()?;
    let began = Instant::now();
    if kill {
        fleet.controller.kill()?;
    }
    report.answer("the controller: kill -9", "gone", began.elapsed());
    // A permit is renewed at a third of its life: more than half of it is left.
    let open = issuing(fleet, freed).await?;
    ensure!(open == freed, "at once after the kill open are {open:?}");
    report.answer(&format!("{} open gates: certificate?", freed.len()), "all still issue", began.elapsed());
    let mut last_issued = began;
    let answer = until("the gate to hold at its permit's end", ttl + PERMIT_END_SLACK, async || {
        let asked = Instant::now();
        let answer = fleet.host(&ap)?.ask(Entry::Store).await?;
        if answer == Issued::Certificate {
            last_issued = asked;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        ensure!(refused_for(&answer, "permit-expired"), "{answer}");
        Ok(answer)
    })
    .await?;
    let issued_for = last_issued - began;
    report.answer(&format!("{ap} at the store: certificate?"), &answer.to_string(), began.elapsed());
    report.answer("how long did it issue without a controller?", "until its permit's end", issued_for);
    ensure!(issued_for >= Duration::from_secs(1), "it held at once");
    until("all gates to hold", ttl, async || {
        let open = issuing(fleet, freed).await?;
        ensure!(open.is_empty(), "open are {open:?}");
        Ok(())
    })
    .await?;
    report.answer("all gates: certificate?", "all hold", began.elapsed());
    let began = Instant::now();
    fleet.controller.resume().await?;
    report.answer("the controller is started again", "it listens", began.elapsed());
    until("the freed sites to issue again", FLEET_DEADLINE, async || {
        let open = issuing(fleet, freed).await?;
        ensure!(open == freed, "open are {open:?}");
        Ok(())
    })
    .await?;
    report.answer("the same gates: certificate?", "all issue", began.elapsed());
    let began = Instant::now();
    fleet.host_mut(&ap)?.kill_agent()?;
    report.answer(&format!("{ap}: its agent: kill -9"), "gone", began.elapsed());
    both_entries(fleet, report, &ap, "must be refused", |answer| *answer != Issued::Certificate).await
}
