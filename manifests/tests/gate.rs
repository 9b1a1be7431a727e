//! The gate, a test per rule.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/papers.rs"]
mod papers;

#[path = "gate/baselines.rs"]
mod baselines;
#[path = "gate/changes.rs"]
mod changes;
#[path = "gate/clocks.rs"]
mod clocks;
#[path = "gate/permits.rs"]
mod permits;
#[path = "gate/stops.rs"]
mod stops;

use manifests::gate::{Clocks, Effect, Event, Gate};
use manifests::outcome::Verdict;

/// Set A verified, state s collected, sequence 1 sent, permit 10 received: it issues.
fn open_gate() -> (Gate, Clocks) {
    let now = papers::start();
    let mut gate = papers::new_gate(now);
    assert_held(&gate, now, &["no-baseline"]);
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    assert_held(&gate, now, &["verifying", "no-permit"]);
    collect(&mut gate, "A", "s", now);
    assert_held(&gate, now, &["no-permit"]);
    gate.step(Event::Sending { sequence: 1 }, now);
    gate.step(Event::Permit(papers::verified(&papers::permit(10, "A", "s", now)).into()), now);
    assert_issues(&gate, now);
    (gate, now)
}

fn collect(gate: &mut Gate, baseline: &str, state: &str, now: Clocks) -> Vec<Effect> {
    let local = papers::local(state, gate, now);
    gate.step(Event::Collected { baseline: papers::digest(baseline), local }, now)
}

fn receive(gate: &mut Gate, permit: &manifests::permit::Permit, now: Clocks) -> Vec<Effect> {
    gate.step(Event::Permit(papers::verified(permit).into()), now)
}

#[track_caller]
fn assert_issues(gate: &Gate, now: Clocks) {
    let decision = gate.decide(now, false);
    assert_eq!(decision.verdict, Verdict::Issue, "{decision:?}");
    assert_eq!(decision.reasons, []);
    assert!(decision.until.unwrap() > now.wall, "{decision:?}");
}

/// It holds, and for exactly these reasons.
#[track_caller]
fn assert_held(gate: &Gate, now: Clocks, codes: &[&str]) {
    let decision = gate.decide(now, false);
    assert_eq!((decision.verdict, decision.until), (Verdict::Hold, None));
    let found: Vec<_> = decision.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(found, codes);
}
