//! What a publish changes, and what ends.

use super::*;

#[test]
fn a_publish_tells_of_itself_and_of_each_new_lift_once() {
    let mut fleet = fleet(&[AP]);
    let stop = stop(&mut fleet, Scope::All, at(0), &mut Change::default());
    let lift = |fleet: &mut Fleet, sites: &[&str]| {
        let lifts = sites.iter().map(|site| lifted(stop, &[site])).collect();
        let mut change = Change::default();
        fleet.publish(Policy { lifts, ..policy(&[AP]) }, "ops", Versions::default(), at(1), &mut change);
        let told = change.events.into_iter().filter(|event| event.kind != EventKind::Verdict);
        told.map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(lift(&mut fleet, &["402206"]), [EventKind::Publish, EventKind::Lift]);
    assert_eq!(lift(&mut fleet, &["402206"]), [EventKind::Publish]);
    assert_eq!(lift(&mut fleet, &["402206", "372013"]), [EventKind::Publish, EventKind::Lift]);
}

#[test]
fn a_publish_refuses_nobody_while_hosts_move_over() {
    let mut fleet = fleet(&[AP]);
    send(&mut fleet, "exclusive", |_| (), AP, at(0), &mut Change::default()).unwrap();
    let mut change = Change::default();
    fleet.put_in_force(next_policy(&[AP], at(10)), at(10), &mut change);
    assert!(change.permits.is_empty(), "{:?}", change.permits);
    let old = beat(&mut fleet, "exclusive", AP, at(20), &mut change).unwrap().permit.unwrap();
    assert_eq!((old.verdict, old.baseline), (Verdict::Issue, reference("1.0.0").digest()));
    let new = send(&mut fleet, "exclusive", |c| c.baseline = reference("2.0.0").digest(), AP, at(30), &mut change);
    let new = new.unwrap().permit.unwrap();
    assert_eq!((new.verdict, new.baseline), (Verdict::Issue, reference("2.0.0").digest()));
}

#[test]
fn two_publishes_in_a_row_refuse_nobody_either() {
    let mut fleet = fleet(&[AP]);
    send(&mut fleet, "exclusive", |_| (), AP, at(0), &mut Change::default()).unwrap();
    let mut change = Change::default();
    let once = next_policy(&[AP], at(10));
    let again = Previous { reference: reference("2.0.0"), until: at(620) };
    let previous = once.previous.iter().cloned().chain([again]).collect();
    fleet.put_in_force(once, at(10), &mut change);
    fleet.put_in_force(Policy { current: reference("3.0.0"), previous, ..policy(&[AP]) }, at(20), &mut change);
    assert!(change.permits.is_empty(), "{:?}", change.permits);
    assert_eq!(verdict(&Ok(beat(&mut fleet, "exclusive", AP, at(30), &mut change).unwrap())), Verdict::Issue);
}

#[test]
fn evidence_under_the_old_baseline_is_outdated_after_a_while() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    fleet.put_in_force(next_policy(&[AP], at(0)), at(0), &mut change);
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), AP, at(500), &mut change)), Verdict::Issue);
    fleet.tick(at(600), &mut change);
    let pushed = change.permits.last().unwrap();
    assert_eq!((codes(pushed), pushed.baseline), (vec![Code::BaselineOutdated], reference("2.0.0").digest()));
}

#[test]
fn no_issue_is_signed_in_a_freeze_and_a_hold_is() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    fleet.set_online_until(at(10));
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), AP, at(9), &mut change)), Verdict::Issue);
    let frozen = beat(&mut fleet, "exclusive", AP, at(10), &mut change).unwrap();
    assert_eq!(frozen.permit, Err(Unsigned::Freeze));
    assert_eq!(verdict(&send(&mut fleet, "shared", |_| (), AP, at(11), &mut change)), Verdict::Hold);
}

#[test]
fn expired_root_or_targets_close_after_the_grace() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    fleet.put_in_force(Policy { expires: at(0), ..policy(&[AP]) }, at(0), &mut change);
    fleet.set_online_until(Time::MAX);
    let end = 14 * 86_400;
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), AP, at(end - 1), &mut change)), Verdict::Issue);
    fleet.tick(at(end), &mut change);
    assert_eq!(codes(change.permits.last().unwrap()), [Code::BaselineExpired]);
}
