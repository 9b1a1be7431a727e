//! A real agent of today with controllers of before, and while that is replaced.

use anyhow::{Result, ensure};
use manifests::id::HostId;
use tests::between::Between;
use tests::fleet::{Faults, Fleet, Part, small};
use tests::host::Issued;
use tests::world::{DEADLINE, until};

/// Waits until a document of a version is taken that is not among the first `before`; `open` says that the
/// gate must be open all the time.
async fn takes(fleet: &Fleet, between: &Between, ap: &HostId, kind: &str, before: usize, open: bool) -> Result<usize> {
    until(kind, DEADLINE, async || {
        if open {
            let answer = fleet.host(ap)?.ask_gate().await?;
            assert_eq!(answer, Issued::Certificate, "the gate closed on the way to {kind}");
        }
        let taken = between.script(|script| script.taken.clone())?;
        ensure!(taken.iter().skip(before).any(|taken| taken.contains(kind)), "taken so far: {taken:?}");
        Ok(taken.len())
    })
    .await
}

#[tokio::test]
async fn an_agent_sends_what_its_controller_takes_and_its_gate_stays_open_when_that_changes() -> Result<()> {
    let mut fleet = small(6).await?;
    let between = Between::start(&fleet.world, &fleet.controller).await?;
    between.script(|script| script.takes = Some(1))?;
    fleet.controllers.urls = vec![between.url()];
    fleet.controllers.ca = between.ca();
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    fleet.issues(&ap).await?;
    let seen = takes(&fleet, &between, &ap, "heartbeat.v1", 0, true).await?;
    let taken = between.script(|script| script.taken.clone())?;
    assert!(taken.iter().all(|kind| kind.contains(".v1+")), "{taken:?}");

    // The controller is replaced by a newer one, by one of today, and then by the first one again.
    between.script(|script| script.takes = Some(2))?;
    let seen = takes(&fleet, &between, &ap, "evidence.v2", seen, true).await?;
    let seen = takes(&fleet, &between, &ap, "heartbeat.v2", seen, true).await?;
    between.script(|script| script.takes = None)?;
    // The state is told as in version 2, so that nothing but the next heartbeat is needed.
    let seen = takes(&fleet, &between, &ap, "heartbeat.v3", seen, true).await?;
    between.script(|script| script.takes = Some(1))?;
    let seen = takes(&fleet, &between, &ap, "evidence.v1", seen, true).await?;
    takes(&fleet, &between, &ap, "heartbeat.v1", seen, true).await?;

    // An agent that starts anew asks before its first document.
    between.script(|script| script.takes = None)?;
    let before = between.script(|script| script.taken.len())?;
    let host = fleet.host_mut(&ap)?;
    host.kill_agent()?;
    host.start_agent().await?;
    takes(&fleet, &between, &ap, "heartbeat.v3", before, false).await?;
    let taken = between.script(|script| script.taken.clone())?;
    let after: Vec<_> = taken.iter().skip(before).collect();
    // One that was under way when the agent was killed may have been taken after it was counted.
    let first = after.iter().position(|kind| kind.contains("evidence")).unwrap_or_default();
    assert!(after.iter().skip(first).all(|kind| kind.contains(".v3+")), "{after:?}");
    Ok(())
}
