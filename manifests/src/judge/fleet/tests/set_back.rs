//! What shows that a controller was set back.

use super::*;
use crate::evidence::Cover;

/// A permit of this controller's that it does not know, for [`AP`].
fn lost_permit(number: u64, issued: Time) -> Permit {
    Permit {
        product: fixture::product(),
        host: host(AP),
        key: None,
        number,
        baseline: reference("1.0.0").digest(),
        state: None,
        answers: 1,
        verdict: Verdict::Issue,
        reasons: Vec::new(),
        issued,
        until: issued.after(Span::from_s(60)),
        stops: Vec::new(),
    }
}

#[test]
fn a_permit_that_is_not_known_is_asked_for_and_until_it_is_shown_that_host_alone_gets_no_issue() {
    let mut fleet = fleet(&[AP, OTHER]);
    let mut change = Change::default();
    let number = 2_000_000_000_000_000;
    let asked = send(&mut fleet, "exclusive", |c| c.permit = number, AP, at(1), &mut change).unwrap();
    assert_eq!((asked.unknown_permit, asked.permit.err()), (Some(number), Some(Unsigned::PermitUnknown)));
    let other = send(&mut fleet, "exclusive", |_| (), OTHER, at(1), &mut change).unwrap();
    assert_eq!(other.permit.unwrap().verdict, Verdict::Issue);
    // Of another controller, or gone: nothing is proven, and the next one goes on above it.
    assert_eq!(fleet.permit_handed_in(&host(AP), number, None, at(2), &mut change), None);
    let next = send(&mut fleet, "exclusive", |c| c.permit = number, AP, at(3), &mut change).unwrap();
    assert_eq!(next.unknown_permit, None);
    assert_eq!(next.permit.unwrap().number, number + 1);
    assert!(fleet.set_back().is_none());
    // A hold needs no proof of anything.
    let closed = send(&mut fleet, "shared", |c| c.permit = number + 9, AP, at(4), &mut change).unwrap();
    assert_eq!(closed.permit.unwrap().verdict, Verdict::Hold);
}

#[test]
fn what_its_own_key_signed_and_it_does_not_know_proves_that_a_controller_was_set_back() {
    let mut fleet = fleet(&[AP, OTHER]);
    let mut change = Change::default();
    let number = 2_000_000_000_000_000;
    let lost = lost_permit(number, at(0));
    send(&mut fleet, "exclusive", |c| c.permit = number, AP, at(1), &mut change).unwrap();
    let noticed = fleet.permit_handed_in(&host(AP), number, Some(&lost), at(2), &mut change).unwrap();
    assert_eq!((noticed.number, noticed.shown_by()), (number, AP));
    assert_eq!(fleet.overview(at(2)).set_back, Some(noticed));
    for (id, permit) in [(AP, number), (OTHER, 0)] {
        let answer = send(&mut fleet, "exclusive", |c| c.permit = permit, id, at(3), &mut change).unwrap();
        assert_eq!(answer.permit.err(), Some(Unsigned::SetBack), "{id}");
    }
    let held = send(&mut fleet, "shared", |_| (), OTHER, at(4), &mut change).unwrap();
    assert_eq!(held.permit.unwrap().verdict, Verdict::Hold, "closing goes on");
    assert!(fleet.look_at_set_back("ops", "restored", at(5), &mut change));
    assert!(!fleet.look_at_set_back("ops", "restored", at(5), &mut change));
    let next = send(&mut fleet, "exclusive", |c| c.permit = number, AP, at(6), &mut change).unwrap();
    assert!(next.permit.unwrap().number > number, "it goes on above what hosts know");
    // Another host comes back late with a permit from before somebody looked: that was looked at.
    send(&mut fleet, "exclusive", |c| c.permit = number, OTHER, at(7), &mut change).unwrap();
    let late = Permit { host: host(OTHER), ..lost_permit(number, at(4)) };
    assert_eq!(fleet.permit_handed_in(&host(OTHER), number, Some(&late), at(8), &mut change), None);
    // What was signed since, and is not known, is another time that it was set back.
    send(&mut fleet, "exclusive", |c| c.permit = number + 9, OTHER, at(9), &mut change).unwrap();
    let again = Permit { host: host(OTHER), ..lost_permit(number + 9, at(8)) };
    assert!(fleet.permit_handed_in(&host(OTHER), number + 9, Some(&again), at(10), &mut change).is_some());
    // A permit that is known proves nothing, nor does one of another host.
    fleet.look_at_set_back("ops", "again", at(11), &mut change);
    let foreign = Permit { issued: at(12), ..lost_permit(number + 99, at(12)) };
    send(&mut fleet, "exclusive", |c| c.permit = number + 99, OTHER, at(12), &mut change).unwrap();
    assert_eq!(fleet.permit_handed_in(&host(OTHER), number + 99, Some(&foreign), at(13), &mut change), None);
}

#[test]
fn what_its_own_key_signed_while_it_was_serving_says_that_the_key_is_used_twice() {
    let mut fleet = fleet(&[AP, OTHER]);
    fleet.begins(at(0));
    let mut change = Change::default();
    let number = 2_000_000_000_000_000;
    let mut hand_in = |fleet: &mut Fleet, id: &str, number: u64, signed: i64, now: i64| {
        send(fleet, "exclusive", |c| c.permit = number, id, at(now), &mut change).unwrap();
        let permit = Permit { host: host(id), ..lost_permit(number, at(signed)) };
        fleet.permit_handed_in(&host(id), number, Some(&permit), at(now), &mut change).map(|noticed| noticed.cause)
    };
    // Two clocks may differ by so much: before this one began, as far as anybody can tell.
    assert_eq!(hand_in(&mut fleet, AP, number, 5, 6), Some(SetBackCause::SetBack));
    assert_eq!(hand_in(&mut fleet, OTHER, number, 5, 7), None, "that is known");
    assert_eq!(hand_in(&mut fleet, OTHER, number + 1, 6, 8), Some(SetBackCause::KeyUsedTwice));
    assert_eq!(hand_in(&mut fleet, AP, number + 2, 7, 9), None, "that is known, too");
    fleet.look_at_set_back("ops", "ended", at(10), &mut Change::default());
    assert_eq!(hand_in(&mut fleet, AP, number + 3, 9, 11), None, "somebody has looked since");
    // The other one goes on.
    assert_eq!(hand_in(&mut fleet, OTHER, number + 4, 11, 12), Some(SetBackCause::KeyUsedTwice));
    let answer = send(&mut fleet, "exclusive", |c| c.permit = number + 4, OTHER, at(13), &mut Change::default());
    assert_eq!(answer.unwrap().permit.err(), Some(Unsigned::SetBack));
}

#[test]
fn a_permit_that_was_lost_is_missed_although_a_higher_number_was_given_since() {
    let mut before = fleet(&[AP]);
    let mut change = Change::default();
    send(&mut before, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    let stored = before.host(&host(AP)).unwrap().clone();
    let lost = send(&mut before, "exclusive", |_| (), AP, at(100), &mut change).unwrap().permit.unwrap();
    // Restored hours later: its evidence is stale, and a hold is made for it with the number of that moment.
    let mut restored = Fleet::new(fixture::product(), 0);
    restored.restore_host(host(AP), stored);
    restored.set_online_until(at(86_400));
    restored.put_in_force(policy(&[AP]), at(7200), &mut change);
    assert!(restored.host(&host(AP)).unwrap().permit.as_ref().unwrap().number > lost.number);
    let asked = send(&mut restored, "exclusive", |c| c.permit = lost.number, AP, at(7201), &mut change).unwrap();
    assert_eq!(asked.unknown_permit, Some(lost.number));
    assert!(restored.permit_handed_in(&host(AP), lost.number, Some(&lost), at(7202), &mut change).is_some());
}

#[test]
fn every_permit_that_was_made_is_known_in_whatever_order_it_is_named() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let mut numbers = Vec::new();
    for second in 1..80 {
        let lock = if second % 2 == 0 { "exclusive" } else { "shared" };
        let answer = send(&mut fleet, lock, |_| (), AP, at(second), &mut change).unwrap();
        numbers.push(answer.permit.unwrap().number);
    }
    for number in [numbers[3], numbers[40], numbers[78]] {
        let answer = send(&mut fleet, "exclusive", |c| c.permit = number, AP, at(90), &mut change).unwrap();
        assert_eq!(answer.unknown_permit, None, "{number}");
    }
}
#[test]
fn a_permit_that_was_asked_for_is_not_known_before_the_host_has_answered() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let lost = lost_permit(u64::try_from(at(0).unix_ms()).unwrap() * 1000, at(0));
    // The first answer is a hold, and its number is higher: that is what the host names from then on.
    let held = send(&mut fleet, "shared", |c| c.permit = lost.number, AP, at(1), &mut change).unwrap();
    assert_eq!(held.unknown_permit, Some(lost.number));
    let newer = held.permit.unwrap().number;
    for second in 2..80 {
        let answer = send(&mut fleet, "shared", |c| c.permit = newer, AP, at(second), &mut change).unwrap();
        assert_eq!(answer.unknown_permit, Some(lost.number));
    }
    let again = send(&mut fleet, "exclusive", |c| c.permit = newer, AP, at(80), &mut change).unwrap();
    assert_eq!(again.permit.err(), Some(Unsigned::PermitUnknown));
    let noticed = fleet.permit_handed_in(&host(AP), lost.number, Some(&lost), at(81), &mut change);
    assert_eq!(noticed.map(|noticed| noticed.number), Some(lost.number));
    let next = send(&mut fleet, "exclusive", |c| c.permit = newer, AP, at(82), &mut change).unwrap();
    assert_eq!((next.unknown_permit, next.permit.err()), (None, Some(Unsigned::SetBack)));
}

#[test]
fn a_lost_permit_below_the_one_that_was_asked_for_is_missed_although_a_later_one_is_named() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let lost = lost_permit(u64::try_from(at(0).unix_ms()).unwrap() * 1000, at(0));
    // Another controller answered the host since, whose permit it names.
    let asked = lost.number + 5;
    let held = send(&mut fleet, "shared", |c| c.permit = asked, AP, at(1), &mut change).unwrap();
    assert_eq!(held.unknown_permit, Some(asked));
    // The next document overtakes what it hands in, and names the hold that it was answered with.
    let newer = held.permit.unwrap().number;
    send(&mut fleet, "shared", |c| c.permit = newer, AP, at(2), &mut change).unwrap();
    let noticed = fleet.permit_handed_in(&host(AP), asked, Some(&lost), at(3), &mut change);
    assert_eq!(noticed.map(|noticed| noticed.number), Some(lost.number));
}

#[test]
fn a_host_that_lost_what_it_was_asked_for_says_so_and_is_answered() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let number = 2_000_000_000_000_000;
    send(&mut fleet, "exclusive", |c| c.permit = number, AP, at(1), &mut change).unwrap();
    // Its state directory was lost meanwhile: it names none any more.
    let resumed = |c: &mut Cover| (c.permit, c.resumed) = (0, true);
    let asked = send(&mut fleet, "exclusive", resumed, AP, at(2), &mut change).unwrap();
    assert_eq!(asked.unknown_permit, Some(number));
    assert_eq!(fleet.permit_handed_in(&host(AP), number, None, at(3), &mut change), None);
    let next = send(&mut fleet, "exclusive", |_| (), AP, at(4), &mut change).unwrap();
    assert!(next.permit.unwrap().number > number);
}
