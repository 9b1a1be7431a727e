//! Stops close at once; lifts open what they name.

use manifests::gate::{Clocks, Effect, Event, Gate};
use manifests::permit::Permit;
use manifests::stop::{Lift, Scope, Stop};

use crate::papers::{self, OTHER_SITE, SITE, later, lift, reference, stop, verified};
use crate::{assert_held, assert_issues, open_gate, receive};

fn lifted(gate: &mut Gate, lifts: Vec<Lift>, now: Clocks) {
    gate.step(Event::SetVerified { set: papers::set("A"), lifts }, now);
}

#[test]
fn a_stop_closes_whom_it_covers() {
    let sites = |code: &str| Scope::Sites { sites: vec![papers::site(code)] };
    for (scope, covers) in [
        (Scope::All, true),
        (sites(SITE), true),
        (sites(OTHER_SITE), false),
        (Scope::Prefecture { prefecture: 40 }, true),
        (Scope::Prefecture { prefecture: 13 }, false),
        (serde_json::from_str(r#"{"kind":"moon-phase"}"#).unwrap(), true),
    ] {
        let (mut gate, now) = open_gate();
        let stop = stop(1, None, scope.clone());
        let effects = gate.step(Event::Stop(stop.clone()), now);
        assert!(
            matches!(effects.as_slice(), [Effect::StoreStop(stored)] if stored.digest() == stop.digest()),
            "{effects:?}"
        );
        assert!(gate.step(Event::Stop(stop), now).is_empty(), "acknowledged once");
        if covers { assert_held(&gate, now, &["stopped"]) } else { assert_issues(&gate, now) }
    }
}

#[test]
fn a_stop_of_an_unknown_kind_stops_everybody() {
    let text = r#"{"product":"convenience-issuance","number":1,"previous":null,
        "scope":{"kind":"moon-phase","phase":"full","sites":["131211"]},"reason":"r","operator":"o","time":"2026-10-10T00:00:00.000Z"}"#;
    let stop: Stop = serde_json::from_str(text).unwrap();
    assert!(matches!(stop.scope, Scope::Unrecognized(_)));
    // Passed on as it came.
    let scope = serde_json::to_string(&stop.scope).unwrap();
    assert!(scope.contains(r#""phase":"full""#), "{scope}");
    assert!(stop.scope.covers(&papers::site(SITE)));
}

#[test]
fn another_products_stop_stops_nobody_here() {
    let (mut gate, now) = open_gate();
    let other = Stop { product: "tax".parse().unwrap(), ..stop(1, None, Scope::All).into_document() };
    assert!(gate.step(Event::Stop(verified(&other)), now).is_empty());
    assert_issues(&gate, now);
}

#[test]
fn no_permit_opens_a_stop() {
    let (mut gate, now) = open_gate();
    let stop = stop(1, None, Scope::All);
    gate.step(Event::Stop(stop.clone()), now);
    receive(&mut gate, &Permit { stops: vec![reference(&stop)], ..papers::permit(99, "A", "s", now) }, now);
    assert_held(&gate, now, &["stopped"]);
}

#[test]
fn a_lift_frees_exactly_the_sites_it_names_from_exactly_its_stop() {
    let (mut gate, now) = open_gate();
    let first = stop(1, None, Scope::All);
    gate.step(Event::Stop(first.clone()), now);
    for wrong in [
        lift(&first.digest(), &[OTHER_SITE]),
        lift(&papers::digest("another"), &[SITE]),
        lift(&first.digest(), &[]),
        Lift { product: "tax".parse().unwrap(), ..lift(&first.digest(), &[SITE]) },
    ] {
        lifted(&mut gate, vec![wrong], now);
        assert_held(&gate, now, &["stopped"]);
    }
    let right = lift(&first.digest(), &[OTHER_SITE, SITE]);
    lifted(&mut gate, vec![right.clone()], now);
    assert_issues(&gate, now);

    // A later stop is not freed by an old lift, whatever it says.
    let second = stop(2, Some(first.digest()), Scope::All);
    gate.step(Event::Stop(second.clone()), now);
    assert_held(&gate, now, &["stopped"]);
    lifted(&mut gate, vec![right.clone(), lift(&second.digest(), &[SITE])], now);
    assert_issues(&gate, now);
    // Lifts are never removed: if one is, its stop stands again.
    lifted(&mut gate, vec![right], now);
    assert_held(&gate, now, &["stopped"]);
}

#[test]
fn a_lift_that_comes_before_its_stop_frees_it_as_well() {
    let (mut gate, now) = open_gate();
    let first = stop(1, None, Scope::All);
    lifted(&mut gate, vec![lift(&first.digest(), &[SITE])], now);
    gate.step(Event::Stop(first), now);
    assert_issues(&gate, now);
}

#[test]
fn a_permit_counts_only_if_no_stop_before_the_one_it_names_is_missing() {
    let other = || Scope::Sites { sites: vec![papers::site(OTHER_SITE)] };
    let first = stop(1, None, other());
    let second = stop(2, Some(first.digest()), Scope::All);
    let third = stop(3, Some(second.digest()), other());
    let names_third = |now| Permit { stops: vec![reference(&third)], ..papers::permit(20, "A", "s", now) };

    let (mut gate, now) = open_gate();
    let end = later(now, papers::TTL.as_ms());
    gate.step(Event::Stop(first.clone()), now);
    gate.step(Event::Stop(third.clone()), now);
    assert_eq!(gate.newest_stops(), [reference(&first)]);
    crate::collect(&mut gate, "A", "s", end);
    receive(&mut gate, &names_third(end), end);
    assert_held(&gate, end, &["permit-stop"]);
    // Another stop of the missing one's number does not stand in for it.
    let fork = stop(2, Some(first.digest()), other());
    gate.step(Event::Stop(fork.clone()), end);
    assert_eq!(gate.newest_stops(), [reference(&fork)]);
    receive(&mut gate, &names_third(end), end);
    assert_held(&gate, end, &["permit-stop"]);
    // With the missing one the permit counts, and the missing one stops.
    gate.step(Event::Stop(second.clone()), end);
    assert_eq!(gate.newest_stops(), [reference(&fork), reference(&third)]);
    receive(&mut gate, &names_third(end), end);
    assert_held(&gate, end, &["stopped"]);
    lifted(&mut gate, vec![lift(&second.digest(), &[SITE])], end);
    assert_issues(&gate, end);
}

#[test]
fn a_chain_begins_with_number_one_and_nothing_before_it() {
    let elsewhere = || Scope::Sites { sites: vec![papers::site(OTHER_SITE)] };
    for (number, previous) in [(2, None), (0, None), (1, Some(papers::digest("x")))] {
        let (mut gate, now) = open_gate();
        let odd = stop(number, previous, elsewhere());
        gate.step(Event::Stop(odd.clone()), now);
        assert!(gate.newest_stops().is_empty());
        let end = later(now, papers::TTL.as_ms());
        crate::collect(&mut gate, "A", "s", end);
        receive(&mut gate, &Permit { stops: vec![reference(&odd)], ..papers::permit(20, "A", "s", end) }, end);
        assert_held(&gate, end, &["permit-stop"]);
        // Whom it covers it stops all the same.
        gate.step(Event::Stop(stop(number, previous, Scope::All)), end);
        assert_held(&gate, end, &["stopped", "permit-stop"]);
    }
}

#[test]
fn of_several_chains_and_of_two_stops_of_one_number_all_count() {
    let elsewhere = || Scope::Sites { sites: vec![papers::site(OTHER_SITE)] };
    let first = stop(1, None, elsewhere());
    // A controller that was set back to before its second stop made another second one; and another controller has a
    // chain of its own.
    let (lost, again) = (stop(2, Some(first.digest()), elsewhere()), stop(2, Some(first.digest()), Scope::All));
    let others = Stop { reason: "of another controller".to_owned(), ..stop(1, None, Scope::All).into_document() };
    let others = verified(&others);
    let ends = [&lost, &again, &others].map(reference);
    let (mut gate, now) = open_gate();
    for stop in [&first, &again, &others] {
        gate.step(Event::Stop(stop.clone()), now);
    }
    let end = later(now, papers::TTL.as_ms());
    crate::collect(&mut gate, "A", "s", end);
    let names_all = |number| Permit { stops: ends.to_vec(), ..papers::permit(number, "A", "s", end) };
    receive(&mut gate, &names_all(20), end);
    assert_held(&gate, end, &["stopped", "permit-stop"]);
    gate.step(Event::Stop(lost.clone()), end);
    let mut named = gate.newest_stops();
    named.sort();
    let mut expected = ends.to_vec();
    expected.sort();
    assert_eq!(named, expected);
    receive(&mut gate, &names_all(20), end);
    assert_held(&gate, end, &["stopped"]);
    // Each has a lift of its own.
    lifted(&mut gate, vec![lift(&again.digest(), &[SITE])], end);
    assert_held(&gate, end, &["stopped"]);
    lifted(&mut gate, vec![lift(&again.digest(), &[SITE]), lift(&others.digest(), &[SITE])], end);
    assert_issues(&gate, end);
}

#[test]
fn a_permit_of_a_replaced_key_is_not_for_the_host() {
    let (_, now) = open_gate();
    let mut gate = papers::new_gate(now);
    gate.set_key("new".into());
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    crate::collect(&mut gate, "A", "s", now);
    gate.step(Event::Sending { sequence: 1 }, now);
    receive(&mut gate, &Permit { key: Some("old".into()), ..papers::permit(10, "A", "s", now) }, now);
    assert_held(&gate, now, &["permit-wrong-host"]);
    // One that does not say is of version 1.
    receive(&mut gate, &Permit { key: Some("new".into()), ..papers::permit(11, "A", "s", now) }, now);
    assert_issues(&gate, now);
}

#[test]
fn stops_outlive_a_restart() {
    let (_, now) = open_gate();
    let stop = stop(1, None, Scope::All);
    let mut gate = papers::new_gate(now);
    gate.step(Event::SetVerified { set: papers::set("A"), lifts: vec![] }, now);
    crate::collect(&mut gate, "A", "s", now);
    gate.restore_stop(&stop);
    gate.restore_sent(1, 0);
    gate.restore_permit(verified(&papers::permit(10, "A", "s", now)), now, true, now);
    assert_held(&gate, now, &["stopped"]);
    assert_eq!(gate.newest_stops(), [reference(&stop)]);
}
