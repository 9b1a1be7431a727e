//! Which permits count, and for how long.

use manifests::gate::{Effect, Event};
use manifests::permit::Permit;
use manifests::stop::{Scope, StopRef};
use manifests::time::{Span, Time};

use crate::papers::{self, later};
use crate::{assert_held, assert_issues, open_gate, receive};

/// A gate whose permit is used up says why the next one did not count, and opens for a good one.
fn refused(code: &str, spoil: impl Fn(&mut Permit)) {
    let (mut gate, now) = open_gate();
    let now = later(now, TTL_MS);
    crate::collect(&mut gate, "A", "s", now);
    assert_held(&gate, now, &["permit-expired"]);
    let good = papers::permit(20, "A", "s", now);
    let mut bad = good.clone();
    spoil(&mut bad);
    assert!(receive(&mut gate, &bad, now).is_empty(), "a refused permit has no effect");
    assert_held(&gate, now, &[code]);
    receive(&mut gate, &good, now);
    assert_issues(&gate, now);
    // It also leaves a good one alone.
    bad.number = 30.min(bad.number.max(21));
    if code != "permit-old" {
        receive(&mut gate, &bad, now);
        assert_issues(&gate, now);
    }
}

const TTL_MS: u64 = papers::TTL.as_ms();

#[test]
fn another_hosts_or_products_permit_does_not_count() {
    refused("permit-wrong-host", |permit| permit.host = papers::host(papers::NEIGHBOUR));
    refused("permit-wrong-host", |permit| permit.product = "tax".parse().unwrap());
}

#[test]
fn a_permit_older_than_one_received_does_not_count() {
    refused("permit-old", |permit| permit.number = 9);
}

#[test]
fn the_permit_that_is_held_may_arrive_twice() {
    let (mut gate, now) = open_gate();
    let again = later(now, 60_000);
    assert!(receive(&mut gate, &papers::permit(10, "A", "s", now), again).is_empty());
    assert_issues(&gate, again);
    // And its life is counted from the first time.
    let end = later(now, TTL_MS);
    crate::collect(&mut gate, "A", "s", end);
    assert_held(&gate, end, &["permit-expired"]);
}

#[test]
fn a_permit_for_a_baseline_that_is_not_here_does_not_count() {
    refused("permit-mismatch", |permit| permit.baseline = papers::digest("Z"));
}

#[test]
fn a_permit_longer_than_the_baseline_allows_does_not_count() {
    refused("permit-too-long", |permit| permit.until = permit.until.after(Span::from_ms(1)));
    refused("permit-too-long", |permit| permit.until = Time::from_rfc3339("2099-01-01T00:00:00Z").unwrap());
}

#[test]
fn a_permit_signed_in_the_future_does_not_count() {
    refused("permit-future", |permit| {
        permit.issued = permit.issued.after(Span::from_ms(60_001));
        permit.until = permit.issued;
    });
    refused("permit-future", |permit| {
        permit.until = Time::from_rfc3339("2099-01-01T00:30:00Z").unwrap();
        permit.issued = permit.until.before(papers::TTL);
    });
}

#[test]
fn a_permit_that_answers_nothing_that_was_sent_does_not_count() {
    refused("permit-unasked", |permit| permit.answers = 2);
    refused("permit-unasked", |permit| permit.answers = 0);
}

#[test]
fn a_permit_that_names_a_stop_that_is_not_here_does_not_count() {
    refused("permit-stop", |permit| permit.stops = vec![StopRef { number: 1, digest: papers::digest("stop") }]);
}

#[test]
fn something_that_is_no_permit_of_a_controller_does_not_count() {
    let (mut gate, now) = open_gate();
    gate.step(Event::PermitUnverified, now);
    assert_issues(&gate, now);
    let end = later(now, TTL_MS);
    crate::collect(&mut gate, "A", "s", end);
    assert_held(&gate, end, &["permit-signature"]);
}

#[test]
fn a_permit_for_another_state_does_not_open() {
    let (mut gate, now) = open_gate();
    receive(&mut gate, &papers::permit(20, "A", "other", now), now);
    assert_held(&gate, now, &["permit-mismatch"]);
    receive(&mut gate, &Permit { state: None, ..papers::permit(21, "A", "s", now) }, now);
    assert_held(&gate, now, &["permit-mismatch"]);
    receive(&mut gate, &papers::permit(22, "A", "other of version 1", now), now);
    assert_held(&gate, now, &["permit-mismatch"]);
}

#[test]
fn a_permit_opens_for_the_state_in_whichever_version_it_was_sent() {
    let (mut gate, now) = open_gate();
    for (number, state) in [(20, "s of version 1"), (21, "s"), (22, "s of version 1")] {
        receive(&mut gate, &papers::permit(number, "A", state, now), now);
        assert_issues(&gate, now);
    }
    crate::collect(&mut gate, "A", "other", now);
    assert_held(&gate, now, &["permit-mismatch"]);
}

#[test]
fn a_hold_needs_nothing_and_ends_an_earlier_issue_at_once() {
    let (mut gate, now) = open_gate();
    let mut hold = papers::hold(11, now);
    hold.baseline = papers::digest("Z");
    hold.stops = vec![StopRef { number: 9, digest: papers::digest("stop") }];
    hold.issued = Time::from_rfc3339("2099-01-01T00:00:00Z").unwrap();
    hold.until = Time::MIN;
    let effects = receive(&mut gate, &hold, now);
    assert!(matches!(effects.as_slice(), [Effect::StorePermit(held)] if held.permit.number == 11), "{effects:?}");
    assert_held(&gate, now, &["site-hold"]);
    // It does not end by itself, nor by an issue signed before it.
    receive(&mut gate, &papers::permit(10, "A", "s", now), now);
    let end = later(now, 300_000);
    assert_held(&gate, end, &["site-hold"]);
    receive(&mut gate, &papers::permit(12, "A", "s", end), end);
    assert_issues(&gate, end);
}

#[test]
fn a_hold_for_another_host_or_older_than_the_issue_changes_nothing() {
    let (mut gate, now) = open_gate();
    receive(&mut gate, &Permit { host: papers::host(papers::NEIGHBOUR), ..papers::hold(11, now) }, now);
    receive(&mut gate, &papers::hold(9, now), now);
    assert_issues(&gate, now);
}

#[test]
fn a_hold_without_a_reason_holds_and_says_so() {
    let (mut gate, now) = open_gate();
    receive(&mut gate, &Permit { reasons: vec![], ..papers::hold(11, now) }, now);
    assert_held(&gate, now, &["no-permit"]);
}

#[test]
fn a_permit_lives_as_long_as_it_says_by_the_wall_clock() {
    let (mut gate, now) = open_gate();
    let end = later(now, 120_000);
    receive(&mut gate, &Permit { until: end.wall, ..papers::permit(11, "A", "s", now) }, now);
    assert_issues(&gate, later(now, 119_999));
    assert_held(&gate, end, &["permit-expired"]);
    assert_eq!(gate.decide(now, false).until, Some(end.wall));
}

#[test]
fn a_permit_lives_no_longer_than_its_ttl_by_the_boot_clock() {
    // Signed 50 s ahead of this host's clock, so that its own end lies 50 s too late.
    let (mut gate, now) = open_gate();
    let ahead = later(now, 50_000);
    receive(&mut gate, &papers::permit(11, "A", "s", ahead), now);
    let (before, end) = (later(now, TTL_MS - 1), later(now, TTL_MS));
    crate::collect(&mut gate, "A", "s", before);
    assert_issues(&gate, before);
    assert_eq!(gate.decide(before, false).until, Some(end.wall));
    assert_held(&gate, end, &["permit-expired"]);
}

#[test]
fn a_permit_is_good_for_every_stop_that_is_known_and_does_not_cover_the_site() {
    let (mut gate, now) = open_gate();
    let stop = papers::stop(1, None, Scope::Sites { sites: vec![papers::site(papers::OTHER_SITE)] });
    gate.step(Event::Stop(stop.clone()), now);
    receive(&mut gate, &Permit { stops: vec![papers::reference(&stop)], ..papers::permit(11, "A", "s", now) }, now);
    assert_issues(&gate, now);
}

#[test]
fn a_permit_is_never_named_lower_than_before_whatever_became_of_it() {
    let now = papers::start();
    let restored = |stored: Option<u64>, named: u64| {
        let mut gate = papers::new_gate(now);
        gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
        gate.restore_sent(1, named);
        if let Some(number) = stored {
            gate.restore_permit(papers::verified(&papers::permit(number, "A", "s", now)), now, true, now);
        }
        gate.restored(named);
        (gate.permit_number(), gate.permit().is_some())
    };
    assert_eq!(restored(Some(10), 10), (10, true));
    assert_eq!(restored(Some(11), 10), (11, true), "received and not named yet");
    assert_eq!(restored(Some(9), 10), (10, false), "not the newest one received");
    assert_eq!(restored(None, 10), (10, false), "lost");
}
