//! Wall and boot clock, and what outlives a reboot.

use manifests::gate::{Clocks, Effect, Event, Gate};
use manifests::permit::Permit;
use manifests::time::{Span, Time};

use crate::papers::{self, later, local, verified};
use crate::{assert_held, assert_issues, open_gate, receive};

fn stepped(now: Clocks, ms: i64) -> Clocks {
    Clocks { wall: Time::from_unix_ms(now.wall.unix_ms() + ms), ..now }
}

#[test]
fn a_wall_clock_that_moved_holds() {
    let (gate, now) = open_gate();
    let now = later(now, 60_000);
    assert_issues(&gate, stepped(now, 5000));
    assert_held(&gate, stepped(now, 5001), &["clock-moved"]);
    assert_issues(&gate, stepped(now, -5000));
    assert_held(&gate, stepped(now, -5001), &["clock-moved"]);
}

#[test]
fn a_clock_that_moved_and_moved_back_stays_moved_until_a_fresh_permit() {
    let (mut gate, now) = open_gate();
    gate.observe(stepped(now, 3_600_000));
    assert_held(&gate, now, &["clock-moved"]);
    // Neither a hold vouches for the clock, nor a permit that is not fresh.
    let old = Permit { issued: now.wall.before(Span::from_ms(60_001)), ..papers::permit(11, "A", "s", now) };
    let old = Permit { until: old.issued.after(papers::TTL), ..old };
    receive(&mut gate, &old, now);
    assert_held(&gate, now, &["clock-moved"]);
    receive(&mut gate, &papers::hold(12, now), now);
    assert_held(&gate, now, &["clock-moved", "site-hold"]);
    let fresh = papers::permit(13, "A", "s", Clocks { wall: now.wall.before(Span::from_s(60)), ..now });
    let effects = receive(&mut gate, &fresh, now);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Collect)), "a pass of the wrong clock is repeated");
    assert_issues(&gate, now);
}

#[test]
fn a_small_step_back_closes_nothing() {
    let (mut gate, now) = open_gate();
    let now = later(now, 60_000);
    gate.observe(now);
    let back = stepped(now, -20);
    gate.observe(back);
    assert_issues(&gate, back);
    // And is not stored as the latest time.
    assert_eq!(gate.floor(), now.wall);
}

#[test]
fn a_fresh_permit_vouches_for_the_clock_as_it_is_now() {
    let (mut gate, now) = open_gate();
    // Set right by an hour, and vouched for.
    let right = stepped(later(now, 1000), 3_600_000);
    gate.observe(right);
    crate::collect(&mut gate, "A", "s", right);
    receive(&mut gate, &papers::permit(11, "A", "s", right), right);
    assert_issues(&gate, right);
    assert_held(&gate, later(now, 2000), &["clock-moved"]);
}

#[test]
fn a_wall_clock_before_the_last_time_stored_holds() {
    let (_, now) = open_gate();
    let mut gate = Gate::new(papers::product(), papers::host(papers::HOST), now, now.wall.after(Span::from_ms(1)));
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    crate::collect(&mut gate, "A", "s", now);
    gate.step(Event::Sending { sequence: 1 }, now);
    assert_held(&gate, now, &["clock-moved", "no-permit"]);
    // Time passing does not clear it, a fresh permit does.
    let now = later(now, 5000);
    assert_held(&gate, now, &["clock-moved", "no-permit"]);
    receive(&mut gate, &papers::permit(1, "A", "s", now), now);
    assert_issues(&gate, now);
    assert_eq!(gate.floor(), now.wall);
}

#[test]
fn a_wall_clock_that_falls_below_the_last_time_stored_holds_at_the_question() {
    let (_, now) = open_gate();
    let mut gate = Gate::new(papers::product(), papers::host(papers::HOST), now, now.wall);
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    crate::collect(&mut gate, "A", "s", now);
    gate.restore_sent(1, 0);
    gate.restore_permit(verified(&papers::permit(10, "A", "s", now)), now, true, now);
    assert_issues(&gate, now);
    assert_held(&gate, stepped(now, -1), &["clock-moved"]);
}

/// A gate after a start: set and state known, the permit of `received` taken up.
fn restarted(received: Clocks, same_boot: bool, now: Clocks, floor: Time) -> Gate {
    let mut gate = Gate::new(papers::product(), papers::host(papers::HOST), now, floor);
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    gate.restore_sent(1, 0);
    gate.restore_permit(verified(&papers::permit(10, "A", "s", received)), received, same_boot, now);
    let seen = local("s", &gate, now);
    gate.step(Event::Collected { baseline: papers::digest("A"), local: seen }, now);
    gate
}

fn looked_again(gate: &mut Gate, now: Clocks) {
    crate::collect(gate, "A", "s", now);
}

const MINUTE: u64 = 60_000;

#[test]
fn after_a_restart_the_boot_clock_goes_on() {
    let received = papers::start();
    let now = later(received, 20 * MINUTE);
    let mut gate = restarted(received, true, now, received.wall);
    assert_issues(&gate, now);
    let end = later(received, 30 * MINUTE);
    looked_again(&mut gate, end);
    assert_held(&gate, end, &["permit-expired"]);
    // A clock that was moved meanwhile shows against the permit's receipt.
    let gate = restarted(received, true, stepped(now, -6000), received.wall);
    assert_held(&gate, stepped(now, -6000), &["clock-moved"]);
}

#[test]
fn after_a_reboot_the_permit_has_the_rest_of_its_life_only() {
    let received = papers::start();
    for boot_ms in [0, 30_000, 10 * MINUTE] {
        // Twenty minutes are over by the wall clock when it is back.
        let now = Clocks { wall: received.wall.after(Span::from_ms(20 * MINUTE)), boot_ms };
        let mut gate = restarted(received, false, now, received.wall);
        assert_issues(&gate, now);
        let last = later(now, 10 * MINUTE - 1);
        looked_again(&mut gate, last);
        assert_issues(&gate, last);
        let end = later(now, 10 * MINUTE);
        looked_again(&mut gate, end);
        assert_held(&gate, end, &["permit-expired"]);
        let gone = Clocks { wall: received.wall.after(papers::TTL), boot_ms };
        assert_held(&restarted(received, false, gone, received.wall), gone, &["permit-expired"]);
    }
}

#[test]
fn after_a_reboot_a_life_is_not_longer_because_the_permit_says_so() {
    // Received 50 s before it was signed, by this clock: its own end lies behind the ttl.
    let received = papers::start();
    let signed = later(received, 50_000);
    let now = Clocks { wall: received.wall.after(Span::from_ms(20 * MINUTE)), boot_ms: 30_000 };
    let mut gate = Gate::new(papers::product(), papers::host(papers::HOST), now, Time::MIN);
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    gate.restore_sent(1, 0);
    gate.restore_permit(verified(&papers::permit(10, "A", "s", signed)), received, false, now);
    for (ms, issues) in [(10 * MINUTE - 1, true), (10 * MINUTE, false)] {
        let then = later(now, ms);
        looked_again(&mut gate, then);
        if issues { assert_issues(&gate, then) } else { assert_held(&gate, then, &["permit-expired"]) }
    }
}

#[test]
fn a_clock_set_back_while_the_host_was_off_does_not_give_life_back() {
    let received = papers::start();
    // The floor was stored before the permit came.
    let floor = received.wall.before(Span::from_s(3600));
    let now = Clocks { wall: received.wall.before(Span::from_ms(1)), boot_ms: 0 };
    let mut gate = restarted(received, false, now, floor);
    assert_held(&gate, now, &["clock-moved"]);
    let later = later(now, 5 * MINUTE);
    looked_again(&mut gate, later);
    assert_held(&gate, later, &["clock-moved"]);
}

#[test]
fn what_was_stored_is_checked_as_on_arrival() {
    let now = papers::start();
    let mut gate = papers::new_gate(now);
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    crate::collect(&mut gate, "A", "s", now);
    let foreign = Permit { host: papers::host(papers::NEIGHBOUR), ..papers::permit(10, "A", "s", now) };
    gate.restore_sent(5, 0);
    gate.restore_permit(verified(&foreign), now, true, now);
    assert_held(&gate, now, &["permit-wrong-host"]);
    let unasked = Permit { answers: 6, ..papers::permit(10, "A", "s", now) };
    gate.restore_sent(5, 0);
    gate.restore_permit(verified(&unasked), now, true, now);
    assert_held(&gate, now, &["permit-unasked"]);
    gate.restore_sent(5, 0);
    gate.restore_permit(verified(&Permit { answers: 5, ..unasked }), now, true, now);
    assert_issues(&gate, now);
    // A hold that was stored still holds.
    let mut gate = restarted(now, true, now, now.wall);
    gate.restore_sent(5, 0);
    gate.restore_permit(verified(&papers::hold(11, now)), now, true, now);
    assert_held(&gate, now, &["site-hold"]);
}
