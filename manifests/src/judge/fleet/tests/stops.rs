//! Stops: whom they hold, who has them, whose they are.

use super::*;

#[test]
fn a_stop_holds_whom_it_covers_until_they_are_named_in_a_lift() {
    let mut fleet = fleet(&[OTHER, AP]);
    let mut change = Change::default();
    send(&mut fleet, "exclusive", |_| (), AP, at(0), &mut change).unwrap();
    send(&mut fleet, "exclusive", |_| (), OTHER, at(0), &mut change).unwrap();
    let mut change = Change::default();
    let first = stop(&mut fleet, Scope::All, at(1), &mut change);
    assert_eq!(change.permits.len(), 2);
    assert!(change.permits.iter().all(|permit| codes(permit) == [Code::Stopped] && permit.stops == [first]));
    assert_eq!(fleet.overview(at(1)).counts.stopped, 2);
    assert_eq!(verdict(&beat(&mut fleet, "exclusive", AP, at(2), &mut change)), Verdict::Hold);
    let outstanding = &fleet.stop_views(None, usize::MAX, at(2))[0].outstanding;
    assert_eq!(outstanding.iter().find(|(id, _)| id.as_str() == AP).unwrap().1, Some(at(1800)));

    let mut change = Change::default();
    fleet.put_in_force(Policy { lifts: vec![lifted(first, &["402206"])], ..policy(&[OTHER, AP]) }, at(3), &mut change);
    let [pushed] = &change.permits[..] else { panic!("{change:?}") };
    assert_eq!((pushed.host.as_str(), pushed.verdict, pushed.answers), (AP, Verdict::Issue, 2));

    // A lift ends the stop that it names, never a later one.
    let second = stop(&mut fleet, Scope::Sites { sites: vec!["402206".parse().unwrap()] }, at(4), &mut change);
    assert_eq!(second.number, 2);
    assert_eq!(fleet.stops().nth(1).unwrap().stop.previous, Some(first.digest));
    assert_eq!(verdict(&beat(&mut fleet, "exclusive", AP, at(5), &mut change)), Verdict::Hold);
}

#[test]
fn an_acknowledgement_counts_once_and_only_for_a_stop_of_ours() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let stop = stop(&mut fleet, Scope::All, at(0), &mut change);
    let forged = StopRef { digest: Digest::of(b"other"), ..stop };
    assert!(fleet.acknowledge(&host(AP), forged, at(1), &mut change).is_err());
    assert_eq!(fleet.acknowledge(&host(AP), stop, at(1), &mut change), Ok(true));
    assert_eq!(fleet.acknowledge(&host(AP), stop, at(2), &mut change), Ok(false));
    assert_eq!(fleet.stop_views(None, usize::MAX, at(2))[0].acknowledged, [host(AP)]);
}

#[test]
fn a_stop_that_stops_nobody_or_says_nothing_is_refused() {
    let fleet = fleet(&[AP]);
    let scope = |scope| fleet.next_stop(scope, "why".to_owned(), "ops".to_owned(), at(0)).unwrap_err().code();
    assert_eq!(scope(Scope::Sites { sites: vec![] }), "malformed");
    assert_eq!(scope(Scope::Sites { sites: vec!["131016".parse().unwrap()] }), "unknown-site");
    assert_eq!(scope(Scope::Prefecture { prefecture: 48 }), "malformed");
    assert_eq!(scope(Scope::Sites { sites: vec![host(AP).site().clone(), host(AP).site().clone()] }), "malformed");
    assert_eq!(scope(serde_json::from_str(r#"{"kind":"moon-phase"}"#).unwrap()), "malformed");
    for reason in ["", " ", "a\nb", "a\0", "\u{1b}[2J", "\u{7f}", "\u{85}", "\u{2028}", "\u{202e}", &"a".repeat(1001)] {
        assert!(fleet.next_stop(Scope::All, reason.to_owned(), "ops".to_owned(), at(0)).is_err(), "{reason:?}");
    }
    for reason in ["証明書の誤交付の報告", "a", &"a".repeat(1000)] {
        assert!(fleet.next_stop(Scope::All, reason.to_owned(), "ops".to_owned(), at(0)).is_ok(), "{reason:?}");
    }
}

#[test]
fn a_stop_that_is_not_ours_holds_only_the_host_that_names_it() {
    let mut fleet = fleet(&[AP, OTHER]);
    let mut change = Change::default();
    let unknown = StopRef { number: 9, digest: Digest::of(b"later") };
    let ahead = send(&mut fleet, "exclusive", |c| c.stops = vec![unknown], AP, at(0), &mut change).unwrap();
    assert_eq!(codes(ahead.permit.as_ref().unwrap()), [Code::Stopped]);
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), OTHER, at(0), &mut change)), Verdict::Issue);
}

/// A stop as another controller makes it.
fn elsewhere(number: u64, previous: Option<Digest>, reason: &str) -> (Stop, StopRef) {
    let stop = Stop {
        product: fixture::product(),
        number,
        previous,
        scope: Scope::All,
        reason: reason.to_owned(),
        operator: "duty".to_owned(),
        time: at(0),
    };
    let reference = StopRef { number, digest: Digest::of(format!("{stop:?}").as_bytes()) };
    (stop, reference)
}

#[test]
fn a_stop_that_is_taken_over_acts_as_one_s_own_and_releases_nobody_who_named_it() {
    let mut fleet = fleet(&[AP, OTHER]);
    let mut change = Change::default();
    let (first, first_ref) = elsewhere(1, None, "first");
    let (second, second_ref) = elsewhere(2, Some(first_ref.digest), "second");
    send(&mut fleet, "exclusive", |_| (), OTHER, at(1), &mut change).unwrap();
    let ahead = send(&mut fleet, "exclusive", |c| c.stops = vec![second_ref], AP, at(1), &mut change).unwrap();
    assert_eq!((verdict(&Ok(ahead.clone())), ahead.unknown.as_slice()), (Verdict::Hold, &[second_ref][..]));
    assert!(fleet.take_stop(second.clone(), second_ref.digest, (false, "x"), at(2), &mut change).is_err(), "a gap");
    assert_eq!(fleet.overview(at(2)).counts.verified, 1);
    let mut take = |stop: &Stop, reference: StopRef, fleet: &mut Fleet| {
        fleet.take_stop(stop.clone(), reference.digest, (false, "host x"), at(2), &mut change).unwrap()
    };
    assert!(take(&first, first_ref, &mut fleet) && take(&second, second_ref, &mut fleet));
    assert!(!take(&second, second_ref, &mut fleet), "once");
    assert_eq!(fleet.overview(at(2)).counts.verified, 0);
    // This controller's own chain goes on by itself, and a host that has the others gets what it lacks.
    let own = stop(&mut fleet, Scope::All, at(3), &mut change);
    assert_eq!(own.number, 1);
    assert_eq!(fleet.stops_for(&host(AP)), [own.digest]);
    assert_eq!(fleet.stops_for(&host(OTHER)), [first_ref.digest, second_ref.digest, own.digest]);
    let answer = send(&mut fleet, "exclusive", |c| c.stops = vec![own, second_ref], AP, at(4), &mut change).unwrap();
    assert_eq!((answer.stops.len(), answer.unknown.len()), (0, 0));
    let mut named = answer.permit.unwrap().stops;
    named.sort();
    assert_eq!(named, [own, second_ref]);
    // Each needs a lift.
    let all = [own, first_ref, second_ref];
    let lifts = |count: usize| all[..count].iter().map(|stop| lifted(*stop, &["402206"])).collect();
    for (count, verified) in [(2, 0), (3, 1)] {
        let policy = Policy { lifts: lifts(count), ..policy(&[AP, OTHER]) };
        fleet.put_in_force(policy, at(5), &mut change);
        assert_eq!(fleet.overview(at(5)).counts.verified, verified, "{count} lifts");
    }
}

#[test]
fn two_stops_of_one_number_both_count_and_the_chain_goes_on_above_both() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    // As after a restore: the host has a stop of this controller's that is not known here any more.
    let (lost, lost_ref) = elsewhere(1, None, "before the restore");
    let again = stop(&mut fleet, Scope::All, at(2), &mut change);
    assert_eq!((lost_ref.number, again.number), (1, 1));
    fleet.take_stop(lost, lost_ref.digest, (true, "host x"), at(3), &mut change).unwrap();
    assert_eq!(fleet.stop_views(None, usize::MAX, at(3)).len(), 2);
    let next = stop(&mut fleet, Scope::All, at(4), &mut change);
    assert_eq!(next.number, 2);
    let mut missing = fleet.stops_for(&host(AP));
    missing.sort();
    let mut all = vec![lost_ref.digest, again.digest, next.digest];
    all.sort();
    assert_eq!(missing, all);
    // Whoever names the next one has what is before it, and not the other of its number.
    let other = if fleet.stops().any(|s| s.stop.previous == Some(lost_ref.digest)) { again } else { lost_ref };
    send(&mut fleet, "exclusive", |c| c.stops = vec![next], AP, at(5), &mut change).unwrap();
    assert_eq!(fleet.stops_for(&host(AP)), [other.digest]);
}
