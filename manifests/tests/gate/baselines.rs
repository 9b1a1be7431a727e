//! One set in use, one to come, and their expiry.

use manifests::digest::Digest;
use manifests::gate::{Clocks, Effect, Event, Gate, Set};
use manifests::permit::Permit;
use manifests::time::Span;

use crate::papers::{self, digest, held, later, local, set};
use crate::{assert_held, assert_issues, collect, open_gate, receive};

fn verified_set(gate: &mut Gate, set: Set, now: Clocks) -> Vec<Effect> {
    gate.step(Event::SetVerified { set, lifts: vec![] }, now)
}

fn switched(effects: &[Effect]) -> Option<Digest> {
    effects.iter().find_map(|effect| match effect {
        Effect::Switch(baseline) => Some(*baseline),
        _ => None,
    })
}

#[test]
fn a_new_baseline_that_says_issue_closes_nothing() {
    let (mut gate, now) = open_gate();
    let effects = verified_set(&mut gate, set("B"), now);
    assert!(matches!(effects.as_slice(), [Effect::Collect]), "{effects:?}");
    assert_issues(&gate, now);
    let effects = collect(&mut gate, "B", "s2", now);
    assert!(matches!(effects.as_slice(), [Effect::Report]), "{effects:?}");
    assert_issues(&gate, now);
    assert_eq!(gate.reporting().map(|(set, _)| set.baseline), Some(digest("B")));
    // Permits for the old one still count meanwhile.
    receive(&mut gate, &papers::permit(11, "A", "s", now), now);
    assert_issues(&gate, now);
    // With the first permit for the new one both switch at once.
    let effects = receive(&mut gate, &papers::permit(12, "B", "s2", now), now);
    assert_eq!(switched(&effects), Some(digest("B")));
    assert_issues(&gate, now);
    assert_eq!((gate.active().map(|set| set.baseline), gate.candidate()), (Some(digest("B")), None));
    // And the old one is past.
    receive(&mut gate, &papers::permit(13, "A", "s", now), now);
    assert_issues(&gate, now);
    assert_eq!(gate.permit_number(), 12);
}

#[test]
fn a_new_baseline_that_says_hold_rules_at_once() {
    let (mut gate, now) = open_gate();
    verified_set(&mut gate, set("B"), now);
    let bad = held(local("s", &gate, now));
    let effects = gate.step(Event::Collected { baseline: digest("B"), local: bad }, now);
    assert_eq!(switched(&effects), Some(digest("B")));
    assert_held(&gate, now, &["permit-mismatch", "fix-missing"]);
    // Repaired, it still needs its own permit.
    collect(&mut gate, "B", "s", now);
    assert_held(&gate, now, &["permit-mismatch"]);
    receive(&mut gate, &papers::permit(11, "A", "s", now), now);
    assert_held(&gate, now, &["permit-mismatch"]);
    receive(&mut gate, &papers::permit(12, "B", "s", now), now);
    assert_issues(&gate, now);
}

#[test]
fn a_permit_for_a_set_to_come_opens_only_its_own_state() {
    let (mut gate, now) = open_gate();
    verified_set(&mut gate, set("B"), now);
    receive(&mut gate, &papers::permit(11, "B", "s", now), now);
    assert_held(&gate, now, &["verifying", "permit-mismatch"]);
    collect(&mut gate, "B", "s", now);
    assert_issues(&gate, now);
}

#[test]
fn a_hold_for_the_set_to_come_holds_and_switches_nothing() {
    let (mut gate, now) = open_gate();
    verified_set(&mut gate, set("B"), now);
    let effects = receive(&mut gate, &Permit { baseline: digest("B"), ..papers::hold(11, now) }, now);
    assert_eq!(switched(&effects), None);
    assert_held(&gate, now, &["site-hold"]);
}

#[test]
fn a_newer_set_to_come_takes_the_place_of_the_one_before() {
    let (mut gate, now) = open_gate();
    verified_set(&mut gate, set("B"), now);
    collect(&mut gate, "B", "s", now);
    verified_set(&mut gate, set("C"), now);
    receive(&mut gate, &papers::permit(11, "B", "s", now), now);
    assert_eq!(gate.permit_number(), 10);
    assert_issues(&gate, now);
    // The one in use verified again is the newest: nothing is to come any more.
    let effects = verified_set(&mut gate, set("A"), now);
    assert_eq!((switched(&effects), gate.candidate()), (Some(digest("A")), None));
    assert_issues(&gate, now);
}

#[test]
fn a_set_closes_when_its_grace_is_over() {
    let (mut gate, now) = open_gate();
    let soon = Set { expires: now.wall.before(papers::GRACE).after(Span::from_s(60)), ..set("A") };
    verified_set(&mut gate, soon, now);
    assert_issues(&gate, later(now, 59_999));
    assert_eq!(gate.decide(now, false).until, Some(later(now, 60_000).wall));
    assert_held(&gate, later(now, 60_000), &["baseline-expired"]);
    // Renewed, it opens.
    verified_set(&mut gate, set("A"), later(now, 60_000));
    assert_issues(&gate, later(now, 60_000));
}

#[test]
fn the_rules_of_the_set_in_use_count() {
    let (mut gate, now) = open_gate();
    let mut strict = set("A");
    strict.rules.permit_ttl = Span::from_s(120);
    strict.rules.evidence_max_age = Span::from_s(60);
    verified_set(&mut gate, strict, now);
    assert_held(&gate, later(now, 60_001), &["stale"]);
    collect(&mut gate, "A", "s", later(now, 120_000));
    assert_held(&gate, later(now, 120_000), &["permit-expired"]);
    receive(&mut gate, &papers::permit(11, "A", "s", later(now, 120_000)), later(now, 120_000));
    assert_held(&gate, later(now, 120_000), &["permit-too-long"]);
}

#[test]
fn a_baseline_for_newer_agents_alone_rules_at_once_until_one_can_be_read() {
    let (mut gate, now) = open_gate();
    assert!(gate.step(Event::AgentTooOld, now).is_empty());
    assert_held(&gate, now, &["agent-too-old"]);
    receive(&mut gate, &papers::permit(11, "A", "s", now), now);
    assert_held(&gate, now, &["agent-too-old"]);
    verified_set(&mut gate, set("A"), now);
    assert_issues(&gate, now);
}
