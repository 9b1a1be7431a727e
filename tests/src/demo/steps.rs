//! The story, steps 1 to 5: what holds a host, and how fast.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use manifests::api::Standing;
use manifests::id::{HostId, SiteCode};
use manifests::outcome::{Outcome, Verdict};
use manifests::reason::Reason;

use super::asking::Asking;
use super::report::Report;
use super::{steps_late, takeover};
use crate::baseline_text::registry_entry;
use crate::fleet::{Faults, Fleet, Part};
use crate::host::{Entry, Issued, Lock};
use crate::world::until;

/// How long an answer that must come may take, where the step promises nothing shorter.
const DEADLINE: Duration = Duration::from_secs(20);
/// What a whole country's agents on one machine may take.
const MANY_DEADLINE: Duration = Duration::from_secs(60);
/// Hosts from which on they are many.
const MANY_HOSTS: usize = 40;
/// From a repair to the first certificate.
const REPAIRED_MAX: Duration = Duration::from_secs(5);
/// From a write to the last certificate asked for.
const CLOSED_MAX: Duration = Duration::from_millis(20);
/// From a change at one host to the hold at another of its site.
const SITE_HOLD_MAX: Duration = Duration::from_secs(1);

/// All nine steps. The first that does not come out as it must ends it.
///
/// # Errors
/// What was expected and what was seen, under the name of the step.
pub async fn story(fleet: &mut Fleet, report: &Report, sabotage: Option<u8>) -> Result<()> {
    let began = Instant::now();
    let does = |step: u8| sabotage != Some(step);
    let title = "Munakata lacks the fix made in 2019; five demo states; silence";
    report.run(1, title, held(fleet, report)).await?;
    let title = "Takamatsu joins after everything was complete";
    report.run(2, title, joins(fleet, report, does(2))).await?;
    let title = "Munakata gets the fix: the gate opens by itself";
    report.run(3, title, repaired(fleet, report, does(3))).await?;
    let title = "a lock is changed by hand while certificates are asked for without pause";
    report.run(4, title, changed_by_hand(fleet, report, does(4))).await?;
    let title = "the lock of a database host is changed: the gate beside it holds";
    report.run(5, title, site_hold(fleet, report, does(5))).await?;
    let title = "a new baseline that changes nothing for a site: not one refusal there";
    report.run(6, title, steps_late::new_baseline(fleet, report, does(6))).await?;
    let title = "stop to all, and its end for named sites";
    let freed = report.run(7, title, steps_late::stop_and_lift(fleet, report, does(7))).await?;
    let title = "the controller is killed, and an agent";
    report.run(8, title, steps_late::killed(fleet, report, &freed, does(8))).await?;
    let title = "the controller's disk is lost: the standby takes over";
    report.run(9, title, takeover::takes_over(fleet, report, &freed, does(9))).await?;
    println!();
    report
        .note(&format!("all nine steps came out as they must; the story took {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// How long one gate may take to answer as it must, when every agent shares the machine.
pub(super) fn deadline(fleet: &Fleet) -> Duration {
    if fleet.hosts.len() > MANY_HOSTS { MANY_DEADLINE } else { DEADLINE }
}

/// Asks at both entries until each gives what `expected` accepts; tells it.
pub(super) async fn both_entries(
    fleet: &Fleet,
    report: &Report,
    host: &HostId,
    expected: &str,
    accepts: impl Fn(&Issued) -> bool,
) -> Result<()> {
    for entry in Entry::ALL {
        let began = Instant::now();
        let asked = format!("{host} at the {}: certificate?", entry.name());
        let answer = until(&format!("{asked} {expected}"), deadline(fleet), async || {
            let answer = fleet.host(host)?.ask(entry).await?;
            ensure!(accepts(&answer), "{answer}");
            Ok(answer)
        })
        .await?;
        report.answer(&asked, &answer.to_string(), began.elapsed());
    }
    Ok(())
}

/// Whether an answer is a refusal for that reason among others.
pub(super) fn refused_for(answer: &Issued, code: &str) -> bool {
    matches!(answer, Issued::Refused(codes) if codes.iter().any(|found| found == code))
}

/// Waits until the host issues at both entries.
pub(super) async fn opens(fleet: &Fleet, report: &Report, host: &HostId) -> Result<()> {
    both_entries(fleet, report, host, "must come", |answer| *answer == Issued::Certificate).await
}

async fn held(fleet: &Fleet, report: &Report) -> Result<()> {
    let states = [
        (Part::Munakata, "fix-missing", Standing::Held),
        (Part::LockShared, "lock-drifted", Standing::Held),
        (Part::LockMissing, "lock-absent", Standing::Held),
        (Part::NotLoaded, "not-loaded", Standing::Held),
        (Part::Altered, "altered", Standing::Held),
        // Nobody answers for the gate there, and the controller says why the site holds.
        (Part::Silent, "no-gate", Standing::Silent),
    ];
    for (part, code, standing) in states {
        let planned = fleet.part(part)?;
        let (ap, site) = (planned.ap()?, &planned.site);
        both_entries(fleet, report, &ap, &format!("must be refused: {code}"), |a| refused_for(a, code)).await?;
        let began = Instant::now();
        let deadline = deadline(fleet) + Duration::from_secs(fleet.rhythm.evidence_max_age_s);
        let row = until(&format!("{} to stand {standing:?}", site.en), deadline, async || {
            let row = fleet.controller.site(&site.code).await?.site;
            ensure!(row.standing == standing && row.verdict == Verdict::Hold, "it stands {:?}", row.standing);
            Ok(row)
        })
        .await?;
        let asked = format!("{} ({}): how does it stand?", site.en, site.code);
        report.answer(&asked, &in_short(&row.reasons), began.elapsed());
    }
    let began = Instant::now();
    let mut issuing = 0;
    for planned in fleet.plan.iter().filter(|planned| planned.part == Part::Good) {
        for entry in Entry::ALL {
            let answer = fleet.host(&planned.ap()?)?.ask(entry).await?;
            ensure!(answer == Issued::Certificate, "{} at the {}: {answer}", planned.site.en, entry.name());
        }
        issuing += 1;
    }
    let counts = fleet.controller.fleet().await?.counts;
    let answered =
        format!("{} of {} verified, {} held, {} silent", counts.verified, counts.sites, counts.held, counts.silent);
    report.answer(&format!("{issuing} other sites, both entries: certificate?"), "all issue", began.elapsed());
    report.answer("the fleet: how does it stand?", &answered, began.elapsed());
    ensure!(counts.verified == issuing && counts.held == 5 && counts.silent == 1, "the controller counts {counts:?}");
    Ok(())
}

/// The first reason, and how many more there are.
fn in_short(reasons: &[Reason]) -> String {
    match reasons {
        [] => "no reason".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}

/// Takamatsu enters the registry: signed by two, published.
///
/// # Errors
/// If a program refuses.
pub async fn publish_late_site(fleet: &Fleet) -> Result<()> {
    let entry = registry_entry(&fleet.part(Part::Takamatsu)?.site);
    fleet.managers.edit("registry.toml", |text| text + &entry)?;
    fleet.managers.sign_by_two().await?;
    fleet.managers.publish(&fleet.controller).await
}

async fn joins(fleet: &mut Fleet, report: &Report, wrong_variant: bool) -> Result<()> {
    let began = Instant::now();
    publish_late_site(fleet).await?;
    let planned = fleet.part(Part::Takamatsu)?;
    let (ap, code) = (planned.ap()?, planned.site.code.clone());
    let sites = fleet.controller.fleet().await?.counts.sites;
    report.answer("registry with Takamatsu, signed by two: published", &format!("{sites} sites"), began.elapsed());
    let began = Instant::now();
    let hosts = fleet.host_ids(true);
    fleet.start_hosts(&hosts, Faults { planted: true, wrong_variant }, |_| {}).await?;
    report.answer(&format!("{} hosts of Takamatsu: enrol", hosts.len()), "enrolled, agents run", began.elapsed());
    let began = Instant::now();
    both_entries(fleet, report, &ap, "must be refused: wrong-variant", |a| refused_for(a, "wrong-variant")).await?;
    let owed = until("every item of the baseline to be judged at Takamatsu", deadline(fleet), async || {
        let site = fleet.controller.site(&code).await?;
        let host = site.hosts.iter().find(|view| view.host.host == ap).context("its host is not shown")?;
        let items = &host.appraisal.items;
        ensure!(!items.is_empty(), "nothing is judged yet");
        let excused = items.iter().find(|item| matches!(item.outcome, Outcome::Pending | Outcome::Waived));
        ensure!(excused.is_none(), "an item is excused: {excused:?}");
        Ok(items.iter().filter(|item| item.outcome != Outcome::NotApplicable).count())
    })
    .await?;
    let total = fleet.controller.site(&code).await?.hosts.first().map_or(0, |view| view.appraisal.items.len());
    report.answer("what does it owe?", &format!("{owed} of {total} items at once, none later"), began.elapsed());
    Ok(())
}

async fn repaired(fleet: &mut Fleet, report: &Report, repair: bool) -> Result<()> {
    let ap = fleet.part(Part::Munakata)?.ap()?;
    let began = Instant::now();
    if repair {
        fleet.host(&ap)?.install(&fleet.masters, crate::trees::Release::Fixed)?;
        fleet.host_mut(&ap)?.start_issuer().await?;
    }
    report.answer("3.4.2 installed, issuingd restarted", "done", began.elapsed());
    let began = Instant::now();
    both_entries(fleet, report, &ap, "must come", |answer| *answer == Issued::Certificate).await?;
    let took = began.elapsed();
    ensure!(
        took <= REPAIRED_MAX,
        "the first certificates came {took:.1?} after the repair, more than {REPAIRED_MAX:?}"
    );
    Ok(())
}

async fn changed_by_hand(fleet: &Fleet, report: &Report, change: bool) -> Result<()> {
    let ap = fleet.good(false).next().context("no site in order")?.ap()?;
    let host = fleet.host(&ap)?;
    let asking = Asking::start(&[host.entry(Entry::Store)?.clone(), host.entry(Entry::Counter)?.clone()]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let written = if change { host.set_print_lock(Lock::Shared)? } else { Instant::now() };
    let closing = until("the gate to close", Duration::from_secs(5), async || {
        let answer = host.ask(Entry::Store).await?;
        ensure!(refused_for(&answer, "lock-drifted"), "{answer}");
        Ok(answer)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = asking.finish()?;
    let seconds = asked.last().zip(asked.first()).map_or(0.0, |(last, first)| (last.at - first.at).as_secs_f64());
    let issued = asked.iter().filter(|question| question.issued).count();
    report.answer(
        &format!("{ap}, two entries: {:.0} questions a second", asked.len() as f64 / seconds.max(0.001)),
        &format!("{issued} certificates of {} asked for", asked.len()),
        Duration::from_secs_f64(seconds),
    );
    let last = asked.iter().rev().find(|question| question.issued).context("no certificate was issued at all")?;
    let late = last.at.saturating_duration_since(written);
    let answered = match last.at.checked_duration_since(written) {
        Some(after) => format!("{:.3} ms after the write", after.as_secs_f64() * 1000.0),
        None => format!("{:.3} ms before the write", (written - last.at).as_secs_f64() * 1000.0),
    };
    report.answer("the last certificate that came was asked for", &answered, late);
    closing?;
    ensure!(late <= CLOSED_MAX, "a certificate came that was asked for {late:.1?} after the lock was changed");
    let refused = asked.iter().filter(|question| question.at > written + CLOSED_MAX).count();
    ensure!(refused > 0, "nothing was asked after the change");
    host.set_print_lock(Lock::Exclusive)?;
    opens(fleet, report, &ap).await
}

async fn site_hold(fleet: &Fleet, report: &Report, change: bool) -> Result<()> {
    let planned = fleet.good(true).next().context("no split site in order")?;
    let hosts = planned.hosts();
    let [ap, db] = hosts.as_slice() else { bail!("{} has not two hosts", planned.site.code) };
    opens(fleet, report, ap).await?;
    let written = if change { fleet.host(db)?.set_register_lock("none")? } else { Instant::now() };
    let answer = until("the gate of the other host to hold", deadline(fleet), async || {
        let answer = fleet.host(ap)?.ask(Entry::Counter).await?;
        ensure!(refused_for(&answer, "site-hold"), "{answer}");
        Ok(answer)
    })
    .await?;
    let took = written.elapsed();
    report.answer(&format!("{db}: lock = none; {ap} at the counter: certificate?"), &answer.to_string(), took);
    ensure!(took <= SITE_HOLD_MAX, "the gate held after {took:.2?}, more than {SITE_HOLD_MAX:?}");
    fleet.host(db)?.set_register_lock("exclusive")?;
    opens(fleet, report, ap).await
}

/// Codes of the sites whose issuing host gives a certificate now, of those named.
pub(super) async fn issuing(fleet: &Fleet, sites: &[SiteCode]) -> Result<Vec<SiteCode>> {
    let mut open = Vec::new();
    for code in sites {
        if fleet.host(&fleet.site(code)?.ap()?)?.ask(Entry::Store).await? == Issued::Certificate {
            open.push(code.clone());
        }
    }
    Ok(open)
}
