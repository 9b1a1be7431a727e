//! Half of what is said between a host and its controller is lost, or one of them stands still.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api;
use manifests::outcome::Verdict;
use rustix::process::Signal;
use tests::between::{Between, StopFate};
use tests::case::Case;
use tests::clock::Clock;
use tests::fleet::{Faults, Part, small};
use tests::world::{DEADLINE, until};
use tokio::sync::Notify;

#[tokio::test]
async fn a_host_whose_answers_are_lost_goes_on_with_the_next_sequence_and_nothing_counts_twice() -> Result<()> {
    let mut case = Case::new().await?;
    case.between.script(|script| script.lose = true)?;
    case.start().await?;
    until("a document after one whose answer was lost", DEADLINE, async || {
        let answered = case.between.script(|script| script.answered.len())?;
        ensure!(answered >= 3, "{answered} were sent");
        Ok(())
    })
    .await?;
    case.between.script(|script| script.lose = false)?;
    case.issues().await?;
    let answered = case.between.script(|script| script.answered.clone())?;
    ensure!(answered.iter().all(|(_, status)| *status == 200), "{answered:?}");
    ensure!(answered.is_sorted_by(|(one, _), (next, _)| one < next), "a sequence was used twice: {answered:?}");
    ensure!(case.row().await?.verdict == Verdict::Issue, "{:?}", case.row().await?);
    Ok(())
}

async fn a_host_whose_permits_do_not_arrive_holds_and_the_controller_shows_that_they_did_not() -> Result<()> {
    let mut case = Case::new().await?;
    case.start().await?;
    case.issues().await?;
    case.between.script(|script| script.lose = true)?;
    case.holds_at_last("permit-expired", case.permit_ttl() + DEADLINE).await?;
    // The evidence arrived all the time: only that its permit was never named tells.
    let row = case.row().await?;
    ensure!(row.verdict == Verdict::Issue, "{row:?}");
    ensure!(row.permit.as_ref().is_some_and(|permit| permit.overdue && !permit.received), "{row:?}");
    case.between.script(|script| script.lose = false)?;
    case.issues().await
}

async fn a_stop_names_whom_it_did_not_reach_and_they_hold_when_their_permits_end() -> Result<()> {
    let mut case = Case::new().await?;
    case.start().await?;
    // The others know the controller itself.
    case.fleet.controllers.urls = vec![case.fleet.controller.url()];
    case.fleet.controllers.ca = case.fleet.controller.ca();
    let other = case.fleet.part(Part::LockShared)?.ap()?;
    case.fleet.start_hosts(std::slice::from_ref(&other), Faults::NONE, |_| {}).await?;
    case.issues().await?;
    case.fleet.issues(&other).await?;
    case.between.script(|script| script.cut = true)?;
    let until_ms = case.row().await?.permit.context("no permit")?.until;
    let output = case.fleet.controller.sekisho(&["stop", "--all", "--reason", "a drill"]).await?;
    ensure!(output.success(), "{output:?}");
    let view = case.fleet.controller.stops().await?.pop().context("no stop")?;
    ensure!(view.acknowledged.contains(&other), "{view:?}");
    let outstanding = view.outstanding.iter().find(|(host, _)| *host == case.ap).context("it is not outstanding")?;
    ensure!(outstanding.1.is_some_and(|end| end >= until_ms), "{outstanding:?}");
    let named = output.stdout.lines().any(|line| line.contains(case.ap.as_str()));
    ensure!(named, "it is not named:\n{}", output.stdout);
    let refused = case.fleet.host(&other)?.ask_gate().await?;
    ensure!(refused.is_refused_for("stopped"), "{refused}");
    case.holds_at_last("permit-expired", case.permit_ttl() + DEADLINE).await?;
    case.between.script(|script| script.cut = false)?;
    // Its next permit says hold for the stop, too: that it has the stop itself it tells the controller.
    until("the stop to reach the host that can be reached again", DEADLINE, async || {
        let view = case.fleet.controller.stops().await?.pop().context("no stop")?;
        ensure!(view.acknowledged.contains(&case.ap), "{view:?}");
        Ok(())
    })
    .await?;
    case.holds_at_last("stopped", DEADLINE).await
}

async fn gates_hold_while_a_controller_stands_still_and_it_takes_the_stop_of_meanwhile() -> Result<()> {
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    // The host knows the controller itself; the operator's command goes by somebody who tells that it was sent.
    let between = Between::start(&fleet.world, &fleet.controller).await?;
    let sent = Arc::new(Notify::new());
    let tell = Arc::clone(&sent);
    between.script(|script| {
        script.on_stop = Some(Box::new(move |_| {
            tell.notify_one();
            StopFate::PassedOn
        }));
    })?;
    let ttl = Duration::from_secs(fleet.rhythm.permit_ttl_s);
    fleet.issues(&ap).await?;
    fleet.controller.process()?.signal(Signal::STOP)?;
    fleet.holds_at_last(&ap, "permit-expired", ttl + DEADLINE).await?;
    let reason = "while it stood still";
    let stop = ["stop", "--all", "--reason", reason];
    let id = fleet.controller.process_id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?));
    let (id, url, ca) = (id.context("no controller")?, between.url(), between.ca());
    let (output, resumed) = tokio::join!(fleet.controller.sekisho_at(&url, &ca, &stop), async {
        tokio::time::timeout(DEADLINE, sent.notified()).await.context("the stop was not sent")?;
        rustix::process::kill_process(id, Signal::CONT)?;
        anyhow::Ok(())
    });
    resumed?;
    let output = output?;
    ensure!(output.success(), "{output:?}");
    until("the host to have the stop", DEADLINE, async || {
        let stops = fleet.controller.stops().await?;
        let made = stops.iter().find(|view| view.reason == reason).context("it is not known")?;
        ensure!(made.acknowledged.contains(&ap), "{made:?}");
        Ok(())
    })
    .await?;
    fleet.holds(&ap, "the stop", "stopped", DEADLINE).await
}

#[tokio::test]
async fn a_controller_whose_clock_is_a_day_ahead_opens_nothing_and_says_so() -> Result<()> {
    let mut case = Case::new().await?;
    let clock = Clock::new(&case.fleet.world)?;
    case.fleet.controller.kill()?;
    case.fleet.controller.resume_under(&clock.environment()?).await?;
    case.start().await?;
    case.issues().await?;
    clock.set_ahead(Duration::from_secs(86_400))?;
    case.holds_at_last("clock-skew", case.permit_ttl() + DEADLINE).await?;
    // Whoever looks is told whose clock differs, and by how much.
    let rows = case.fleet.controller.sekisho(&["hosts"]).await?;
    ensure!(rows.stdout.contains("clock"), "{}", rows.stdout);
    let row = case.row().await?;
    ensure!(row.allowed.reasons.iter().any(|reason| reason.code.as_str() == "clock-skew"), "{row:?}");
    clock.set_ahead(Duration::ZERO)?;
    case.issues().await?;
    let health = case.fleet.controller.client().get(format!("{}{}", case.fleet.controller.url(), api::HEALTH));
    ensure!(health.send().await?.status().is_success(), "it is not well");
    Ok(())
}

/// Each waits for the end of a permit, a minute: they wait together.
#[tokio::test]
async fn what_is_cut_off_holds_when_its_permit_ends() -> Result<()> {
    let (unheard, unreached, still) = tokio::join!(
        a_host_whose_permits_do_not_arrive_holds_and_the_controller_shows_that_they_did_not(),
        a_stop_names_whom_it_did_not_reach_and_they_hold_when_their_permits_end(),
        gates_hold_while_a_controller_stands_still_and_it_takes_the_stop_of_meanwhile(),
    );
    let all = [
        ("permits do not arrive", unheard),
        ("a stop does not reach a host", unreached),
        ("a controller stands still", still),
    ];
    let failed: Vec<_> =
        all.into_iter().filter_map(|(what, result)| Some(format!("{what}: {:?}", result.err()?))).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
