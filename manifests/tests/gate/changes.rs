//! What was not looked at since it changed is not known to be good.

use manifests::gate::{Damage, Effect, Event, Gate, Local};
use manifests::time::Span;

use crate::papers::{self, digest, later, local};
use crate::{assert_held, assert_issues, collect, open_gate, receive};

fn collected(gate: &mut Gate, local: Local, now: manifests::gate::Clocks) -> Vec<Effect> {
    gate.step(Event::Collected { baseline: digest("A"), local }, now)
}

#[test]
fn a_change_closes_until_it_was_looked_at() {
    let (mut gate, now) = open_gate();
    assert!(matches!(gate.step(Event::Changed, now).as_slice(), [Effect::Collect]));
    assert_held(&gate, now, &["verifying"]);
    assert!(gate.decide(now, false).is_only_verifying());
    // A pass that began before the change does not tell, and asks for another.
    let early = Local { changes: 0, ..local("s", &gate, now) };
    assert!(collected(&mut gate, early, now).iter().any(|effect| matches!(effect, Effect::Collect)));
    assert_held(&gate, now, &["verifying"]);
    assert!(collect(&mut gate, "A", "s", now).is_empty());
    assert_issues(&gate, now);
}

#[test]
fn events_that_nobody_has_read_count_as_changes() {
    let (gate, now) = open_gate();
    assert!(gate.decide(now, true).is_only_verifying());
    assert_issues(&gate, now);
}

#[test]
fn a_state_that_changed_waits_for_its_permit() {
    let (mut gate, now) = open_gate();
    gate.step(Event::Changed, now);
    assert!(collect(&mut gate, "A", "t", now).iter().any(|effect| matches!(effect, Effect::Report)));
    assert_held(&gate, now, &["permit-mismatch"]);
    receive(&mut gate, &papers::permit(11, "A", "t", now), now);
    assert_issues(&gate, now);
    // And back again: the old permit does not come to life.
    collect(&mut gate, "A", "s", now);
    receive(&mut gate, &papers::permit(10, "A", "s", now), now);
    assert_held(&gate, now, &["permit-old"]);
}

#[test]
fn a_local_hold_holds_whatever_the_permit_says() {
    let (mut gate, now) = open_gate();
    let bad = papers::held(local("s", &gate, now));
    collected(&mut gate, bad, now);
    receive(&mut gate, &papers::permit(11, "A", "s", now), now);
    assert_held(&gate, now, &["fix-missing"]);
    let silent = Local { reasons: vec![], ..papers::held(local("s", &gate, now)) };
    collected(&mut gate, silent, now);
    assert_held(&gate, now, &["error"]);
}

#[test]
fn evidence_grows_old_by_either_clock() {
    let (gate, now) = open_gate();
    assert_issues(&gate, later(now, 600_000));
    assert_held(&gate, later(now, 600_001), &["stale"]);
    assert_eq!(gate.decide(now, false).until, Some(later(now, 600_001).wall));
    // Four seconds apart is not yet a clock that moved, and the earlier end counts.
    let mut slow = later(now, 600_001);
    slow.wall = slow.wall.before(Span::from_s(4));
    assert_held(&gate, slow, &["stale"]);
    let mut fast = later(now, 596_002);
    fast.wall = fast.wall.after(Span::from_s(4));
    assert_held(&gate, fast, &["stale"]);
    let mut slow = later(now, 599_000);
    slow.wall = slow.wall.before(Span::from_s(4));
    assert_eq!(gate.decide(slow, false).until, Some(slow.wall.after(Span::from_ms(1001))));
}

#[test]
fn an_appraisal_counts_until_its_answer_can_change() {
    let (mut gate, now) = open_gate();
    let end = later(now, 5000);
    let short = Local { changes_at: Some(end.wall), ..local("s", &gate, now) };
    collected(&mut gate, short, now);
    assert_issues(&gate, later(now, 4999));
    assert_eq!(gate.decide(now, false).until, Some(end.wall));
    assert_held(&gate, end, &["verifying"]);
}

#[test]
fn an_appraisal_under_another_baseline_is_not_this_ones() {
    let (mut gate, now) = open_gate();
    gate.step(Event::Changed, now);
    assert!(collect(&mut gate, "Z", "s", now).is_empty());
    assert_held(&gate, now, &["verifying"]);
}

#[test]
fn a_damaged_state_directory_closes_until_a_fresh_permit() {
    let (mut gate, now) = open_gate();
    gate.step(Event::Damaged(Damage::Notes, "permit.json".to_owned()), now);
    assert_held(&gate, now, &["state-damaged"]);
    assert_eq!(gate.damaged(), Some("permit.json"));
    // Neither a hold, nor one that is not fresh, nor one that is refused.
    receive(&mut gate, &papers::hold(11, now), now);
    assert_held(&gate, now, &["state-damaged", "site-hold"]);
    let old = manifests::permit::Permit {
        issued: now.wall.before(Span::from_ms(60_001)),
        ..papers::permit(12, "A", "s", now)
    };
    let old = manifests::permit::Permit { until: old.issued.after(papers::TTL), ..old };
    receive(&mut gate, &old, now);
    assert_held(&gate, now, &["state-damaged"]);
    receive(&mut gate, &manifests::permit::Permit { answers: 9, ..papers::permit(13, "A", "s", now) }, now);
    assert_held(&gate, now, &["state-damaged"]);
    receive(&mut gate, &papers::permit(13, "A", "s", now), now);
    assert_issues(&gate, now);
}

#[test]
fn damaged_trust_is_mended_by_no_permit() {
    let (mut gate, now) = open_gate();
    gate.step(Event::Damaged(Damage::Trust, "trust/timestamp.json".to_owned()), now);
    receive(&mut gate, &papers::permit(11, "A", "s", now), now);
    assert_held(&gate, now, &["state-damaged"]);
    gate.step(Event::Mended(Damage::Trust), now);
    assert_issues(&gate, now);
}
