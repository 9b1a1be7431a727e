use proptest::prelude::*;

use super::fixture::{at, beat, fleet, host, next_policy, policy, reference, send};
use super::*;
use crate::api::{Next, SetBackCause};
use crate::digest::Digest;
use crate::permit::Permit;
use crate::reason::Code;
use crate::stop::{Scope, Stop, StopRef};
use crate::time::Span;

const AP: &str = "402206-ap1";
const DB: &str = "402206-db1";
const OTHER: &str = "372013-ap1";

fn verdict(answer: &Result<ReportAnswer, Refusal>) -> Verdict {
    answer.as_ref().unwrap().permit.as_ref().unwrap().verdict
}

fn codes(permit: &Permit) -> Vec<Code> {
    permit.reasons.iter().map(|reason| reason.code).collect()
}

fn stop(fleet: &mut Fleet, scope: Scope, now: Time, change: &mut Change) -> StopRef {
    let stop: Stop = fleet.next_stop(scope, "drill".to_owned(), "ops".to_owned(), now).unwrap();
    let digest = Digest::of(format!("{stop:?}").as_bytes());
    fleet.add_stop(stop, digest, now, change).unwrap();
    fleet.newest_own_stop().unwrap()
}

fn lifted(stop: StopRef, sites: &[&str]) -> Lift {
    Lift {
        kind: crate::stop::LIFT_TYPE.to_owned(),
        product: fixture::product(),
        stop: stop.digest,
        sites: sites.iter().map(|code| code.parse().unwrap()).collect(),
        reason: "verified".to_owned(),
        time: at(0),
    }
}

#[test]
fn good_evidence_is_answered_with_an_issue_and_bad_with_a_hold() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let good = send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    let permit = good.permit.unwrap();
    assert_eq!((permit.verdict, permit.answers, permit.until), (Verdict::Issue, 1, at(1801)));
    let bad = send(&mut fleet, "shared", |_| (), AP, at(2), &mut change);
    assert_eq!(codes(bad.unwrap().permit.as_ref().unwrap()), [Code::LockDrifted]);
    let numbers = fleet.host(&host(AP)).unwrap().permit.as_ref().unwrap().number;
    assert!(numbers > permit.number);
    assert_eq!(fleet.overview(at(2)).counts.held, 1);
}

#[test]
fn a_host_that_turns_holds_its_neighbours_at_once_and_reopens_them() {
    let mut fleet = fleet(&[AP, DB, OTHER]);
    let mut change = Change::default();
    let alone = send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    assert_eq!(codes(alone.permit.as_ref().unwrap()), [Code::SiteHold], "the other host never reported");
    let mut change = Change::default();
    let both = send(&mut fleet, "exclusive", |_| (), DB, at(1), &mut change);
    assert_eq!(verdict(&both), Verdict::Issue);
    let [pushed] = &change.permits[..] else { panic!("{change:?}") };
    assert_eq!((pushed.host.as_str(), pushed.verdict, pushed.answers), (AP, Verdict::Issue, 1));

    let mut change = Change::default();
    assert_eq!(verdict(&send(&mut fleet, "shared", |_| (), DB, at(2), &mut change)), Verdict::Hold);
    let [pushed] = &change.permits[..] else { panic!("{change:?}") };
    assert_eq!(pushed.host.as_str(), AP);
    assert_eq!(pushed.reasons, [Reason { host: Some(host(DB)), ..Reason::of(Code::SiteHold) }]);
    assert!(change.hosts.contains(&host(AP)), "its permit is stored before it is told");
}

#[test]
fn a_host_row_says_what_the_host_may_do_beside_its_own_verdict() {
    let mut fleet = fleet(&[AP, DB]);
    let mut change = Change::default();
    let row = |fleet: &Fleet, id: &str, seconds| {
        let now = at(seconds);
        let row = fleet.host_rows(None, usize::MAX, now).into_iter().find(|row| row.host == host(id)).unwrap();
        let allowed: Vec<_> = row.allowed.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!(row.allowed.verdict == Verdict::Issue, allowed.is_empty());
        (row.verdict, allowed)
    };
    send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    assert_eq!(row(&fleet, AP, 1), (Verdict::Issue, vec![Code::SiteHold]), "the other one never reported");
    send(&mut fleet, "exclusive", |_| (), DB, at(1), &mut change).unwrap();
    assert_eq!(row(&fleet, AP, 1), (Verdict::Issue, vec![]));
    send(&mut fleet, "shared", |_| (), DB, at(2), &mut change).unwrap();
    assert_eq!(row(&fleet, DB, 2), (Verdict::Hold, vec![Code::LockDrifted]));
    assert_eq!(row(&fleet, AP, 2), (Verdict::Issue, vec![Code::SiteHold]));

    // Frozen, nobody gets a new *issue*: the permit at hand says what is allowed, and for how long.
    send(&mut fleet, "exclusive", |_| (), DB, at(3), &mut change).unwrap();
    fleet.set_online_until(at(4));
    send(&mut fleet, "shared", |_| (), DB, at(5), &mut change).unwrap();
    send(&mut fleet, "exclusive", |_| (), DB, at(6), &mut change).unwrap();
    assert_eq!(row(&fleet, AP, 6), (Verdict::Issue, vec![Code::PermitMismatch]));
    fleet.set_online_until(Time::MAX);
    beat(&mut fleet, "exclusive", AP, at(7), &mut change).unwrap();
    assert_eq!(row(&fleet, AP, 7), (Verdict::Issue, vec![]));
    fleet.set_online_until(at(8));
    for second in (30..1830).step_by(30) {
        for id in [AP, DB] {
            beat(&mut fleet, "exclusive", id, at(second), &mut change).unwrap();
        }
    }
    assert_eq!(row(&fleet, AP, 1806), (Verdict::Issue, vec![]));
    assert_eq!(row(&fleet, AP, 1807), (Verdict::Issue, vec![Code::PermitExpired]));

    stop(&mut fleet, Scope::All, at(1807), &mut change);
    assert_eq!(row(&fleet, AP, 1807), (Verdict::Issue, vec![Code::Stopped]));
}

/// How the first site stands, why, since when, and what is counted.
fn stands(fleet: &Fleet, now: Time) -> (Standing, Vec<Code>, Time, crate::api::Counts) {
    let mut view = fleet.overview(now);
    let site = view.sites.remove(0);
    let counts = view.counts;
    assert_eq!(counts.verified + counts.held + counts.silent + counts.lapsed + counts.stopped, counts.sites);
    (site.standing, site.reasons.iter().map(|reason| reason.code).collect(), site.since, counts)
}

#[test]
fn nobody_is_verified_while_permits_cannot_be_signed() {
    let (mut fleet, mut change) = (fleet(&[AP]), Change::default());
    send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    fleet.set_online_until(at(30));
    assert_eq!(stands(&fleet, at(29)).0, Standing::Verified);
    let (standing, codes, since, counts) = stands(&fleet, at(30));
    assert_eq!((standing, codes, since), (Standing::Lapsed, vec![Code::Freeze], at(30)));
    assert_eq!((counts.verified, counts.lapsed, counts.under_baseline), (0, 1, 1));
}

#[test]
fn nobody_is_verified_by_a_baseline_before_the_one_in_force() {
    let (mut fleet, mut change) = (fleet(&[AP, OTHER]), Change::default());
    for id in [AP, OTHER] {
        send(&mut fleet, "exclusive", |_| (), id, at(1), &mut change).unwrap();
    }
    assert_eq!(stands(&fleet, at(2)).3.under_baseline, 2);
    fleet.publish(next_policy(&[AP, OTHER], at(5)), "ops", Versions::default(), at(5), &mut change);
    let (standing, codes, _, counts) = stands(&fleet, at(6));
    assert_eq!((standing, codes), (Standing::Lapsed, vec![Code::BaselineOutdated]));
    assert_eq!((counts.verified, counts.lapsed, counts.under_baseline), (0, 2, 0));
    for item in fleet.item_rows(at(6)) {
        assert_eq!(item.outcomes, [(crate::outcome::Outcome::Unknown, 2)], "{}", item.item);
    }
    let digest = fleet.reference().unwrap().digest();
    send(&mut fleet, "exclusive", |cover| cover.baseline = digest, OTHER, at(7), &mut change).unwrap();
    let counts = stands(&fleet, at(8)).3;
    assert_eq!((counts.verified, counts.lapsed, counts.under_baseline), (1, 1, 1));
}

#[test]
fn evidence_that_ran_out_is_not_verified_before_the_clock_was_looked_at() {
    let (mut fleet, mut change) = (fleet(&[AP]), Change::default());
    send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    let until = fleet.overview(at(2)).sites[0].verified_until.unwrap();
    let (standing, codes, since, _) = stands(&fleet, until);
    assert_eq!((standing, codes, since), (Standing::Lapsed, vec![Code::Stale], until));
}

#[test]
fn how_long_a_site_stands_so_survives_that_the_controller_was_away() {
    let (mut first, mut change) = (fleet(&[AP]), Change::default());
    send(&mut first, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    let since = stands(&first, at(2)).2;
    // A new process, hours later: the evidence at hand is too old for everybody.
    let mut again = Fleet::new(fixture::product(), 0);
    again.restore_host(host(AP), first.host(&host(AP)).unwrap().clone());
    again.restore_site("402206".parse().unwrap(), Standing::Verified, since);
    again.set_online_until(Time::MAX);
    again.put_in_force(policy(&[AP]), at(20_000), &mut change);
    assert_eq!(stands(&again, at(20_000)).0, Standing::Silent);
    send(&mut again, "exclusive", |_| (), AP, at(20_010), &mut change).unwrap();
    let (standing, _, after, _) = stands(&again, at(20_011));
    assert_eq!((standing, after), (Standing::Verified, since));
    // Silence while it was there is a change.
    again.tick(at(90_000), &mut change);
    send(&mut again, "exclusive", |_| (), AP, at(90_010), &mut change).unwrap();
    assert_eq!(stands(&again, at(90_011)).2, at(90_010));
}

#[test]
fn a_permit_is_overdue_when_a_heartbeat_went_by_without_its_name() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let answer = send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    let number = answer.permit.unwrap().number;
    let row = |fleet: &Fleet, seconds| {
        let permit = fleet.host_rows(None, usize::MAX, at(seconds)).remove(0).permit.unwrap();
        (permit.received, permit.overdue)
    };
    assert_eq!(row(&fleet, 31), (false, false), "its next heartbeat is on the way");
    assert_eq!(row(&fleet, 32), (false, true));
    send(&mut fleet, "exclusive", |cover| cover.permit = number, AP, at(33), &mut change).unwrap();
    assert_eq!(row(&fleet, 33), (false, false), "it got a new one");
}

#[test]
fn silence_closes_a_site_when_the_evidence_is_too_old() {
    let mut fleet = fleet(&[AP, DB]);
    let mut change = Change::default();
    send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap();
    send(&mut fleet, "exclusive", |_| (), DB, at(100), &mut change).unwrap();
    let wake = fleet.wake().unwrap();
    assert_eq!(wake, at(601).after(Span::from_ms(1)));
    let mut change = Change::default();
    fleet.tick(wake, &mut change);
    let holds: Vec<_> = change.permits.iter().map(|permit| (permit.host.as_str(), codes(permit))).collect();
    assert_eq!(holds, [(AP, vec![Code::Stale]), (DB, vec![Code::SiteHold])]);
    assert_eq!(fleet.overview(wake).counts.silent, 1);
}

#[test]
fn heartbeats_keep_a_host_verified_without_a_new_appraisal() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    send(&mut fleet, "exclusive", |_| (), AP, at(0), &mut change).unwrap();
    for second in (30..3000).step_by(30) {
        fleet.tick(at(second), &mut change);
        assert_eq!(verdict(&beat(&mut fleet, "exclusive", AP, at(second), &mut change)), Verdict::Issue, "{second}");
    }
    assert!(change.permits.is_empty(), "{:?}", change.permits);
}

#[test]
fn a_heartbeat_for_a_state_not_shown_is_held_until_it_is() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    send(&mut fleet, "exclusive", |_| (), AP, at(0), &mut change).unwrap();
    let answer = beat(&mut fleet, "another", AP, at(1), &mut change).unwrap();
    assert_eq!((answer.next, codes(answer.permit.as_ref().unwrap())), (Next::SendFull, vec![Code::PermitMismatch]));
    assert_eq!(verdict(&beat(&mut fleet, "exclusive", AP, at(2), &mut change)), Verdict::Issue);
}

#[test]
fn a_repeated_document_gets_the_same_permit_and_changes_nothing() {
    let mut fleet = fleet(&[AP]);
    let first = send(&mut fleet, "exclusive", |c| *c = fixture::cover(AP, 5, at(0)), AP, at(0), &mut Change::default())
        .unwrap();
    let mut change = Change::default();
    let again = send(&mut fleet, "exclusive", |c| *c = fixture::cover(AP, 5, at(0)), AP, at(9), &mut change).unwrap();
    assert_eq!(first.permit, again.permit);
    assert!(change.hosts.is_empty() && change.events.is_empty() && change.permits.is_empty());
}

#[test]
fn a_replay_is_refused_and_changes_nothing_but_the_events() {
    let mut fleet = fleet(&[AP]);
    send(&mut fleet, "exclusive", |_| (), AP, at(0), &mut Change::default()).unwrap();
    send(&mut fleet, "shared", |_| (), AP, at(1), &mut Change::default()).unwrap();
    let mut change = Change::default();
    for _ in 0..3 {
        let replayed = send(&mut fleet, "exclusive", |c| *c = fixture::cover(AP, 1, at(0)), AP, at(2), &mut change);
        assert_eq!(replayed.unwrap_err(), Refusal::Sequence { sent: 1, stored: 2 });
    }
    assert!(change.hosts.is_empty() && change.permits.is_empty());
    assert_eq!(change.events.len(), 1, "once per host, code and minute");
    assert_eq!(fleet.host(&host(AP)).unwrap().verdict(), Verdict::Hold);
}

#[test]
fn clocks_apart_and_clones_are_held_and_named() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let skewed = send(&mut fleet, "exclusive", |c| c.wall = at(100), AP, at(0), &mut change).unwrap();
    assert_eq!(codes(skewed.permit.as_ref().unwrap()), [Code::ClockSkew]);
    let note = &change.events.iter().find(|event| event.host.is_some()).unwrap().note;
    assert!(note.contains(&at(100).to_string()) && note.contains(&at(0).to_string()), "{note}");
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change)), Verdict::Issue);

    let clone = send(&mut fleet, "exclusive", |c| c.boot_ms = 0, AP, at(2), &mut change).unwrap();
    assert_eq!(codes(clone.permit.as_ref().unwrap()), [Code::CloneSuspected]);
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), AP, at(3), &mut change)), Verdict::Hold);
    assert_eq!(fleet.enrol(&host(AP), "new".into(), false, at(4), &mut change), Err(EnrolError::Enrolled));
    fleet.enrol(&host(AP), "new".into(), true, at(4), &mut change).unwrap();
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), AP, at(5), &mut change)), Verdict::Issue);
}

#[test]
fn a_key_is_one_hosts_until_that_host_gets_another() {
    let mut fleet = fleet(&[AP, DB]);
    let mut change = Change::default();
    let mut enrol = |id: &str, key: &str| fleet.enrol(&host(id), key.into(), true, at(1), &mut change);
    assert_eq!(enrol(DB, AP), Err(EnrolError::KeyInUse), "the fixture's keys are named for their hosts");
    assert_eq!(enrol("131016-ap1", "new"), Err(EnrolError::NotListed));
    enrol(AP, AP).unwrap();
    assert_eq!(enrol(DB, AP), Err(EnrolError::KeyInUse), "its own key again");
    enrol(AP, "new").unwrap();
    enrol(DB, AP).unwrap();

    let mut restored = Fleet::new(fixture::product(), 0);
    restored.restore_host(host(AP), fleet.host(&host(AP)).unwrap().clone());
    restored.put_in_force(policy(&[AP, DB]), at(2), &mut change);
    assert_eq!(restored.enrol(&host(DB), "new".into(), true, at(2), &mut change), Err(EnrolError::KeyInUse));
}

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
    assert_eq!(fleet.stops()[1].stop.previous, Some(first.digest));
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

#[test]
fn a_stop_that_is_not_ours_holds_only_the_host_that_names_it() {
    let mut fleet = fleet(&[AP, OTHER]);
    let mut change = Change::default();
    let unknown = StopRef { number: 9, digest: Digest::of(b"later") };
    let ahead = send(&mut fleet, "exclusive", |c| c.stops = vec![unknown], AP, at(0), &mut change).unwrap();
    assert_eq!(codes(ahead.permit.as_ref().unwrap()), [Code::Stopped]);
    assert_eq!(verdict(&send(&mut fleet, "exclusive", |_| (), OTHER, at(0), &mut change)), Verdict::Issue);
}

#[test]
fn the_denominator_is_the_registrys() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    send(&mut fleet, "exclusive", |_| (), AP, at(0), &mut change).unwrap();
    fleet.put_in_force(policy(&[AP, OTHER]), at(1), &mut change);
    let counts = fleet.overview(at(1)).counts;
    assert_eq!((counts.sites, counts.verified, counts.silent), (2, 1, 1));
    fleet.put_in_force(policy(&[OTHER]), at(2), &mut change);
    assert_eq!(fleet.overview(at(2)).counts.sites, 1);
    let gone = beat(&mut fleet, "exclusive", AP, at(3), &mut change);
    assert_eq!(gone.unwrap_err(), Refusal::NotListed);
}

proptest! {
    // Whatever happens in whatever order: an issue is only ever made for a host whose site is good
    // and not stopped, numbers only grow, and nobody is left with an issue who may not have one.
    #[test]
    fn no_order_of_events_leaves_an_issue_where_there_is_a_reason_to_hold(
        steps in prop::collection::vec((0_usize..3, 0_u8..7, 0_i64..400), 1..80)
    ) {
        let ids = [AP, DB, OTHER];
        let mut fleet = fleet(&ids);
        let mut newest: HashMap<HostId, Permit> = HashMap::new();
        let mut lifts = Vec::new();
        let mut second = 0;
        for (who, what, pause) in steps {
            second += pause;
            let (id, now) = (ids[who], at(second));
            let mut change = Change::default();
            fleet.tick(now, &mut change);
            let answer = match what {
                0 | 1 => send(&mut fleet, "exclusive", |_| (), id, now, &mut change).ok(),
                2 => send(&mut fleet, "shared", |_| (), id, now, &mut change).ok(),
                3 | 4 => beat(&mut fleet, "exclusive", id, now, &mut change).ok(),
                5 => {
                    let sites = vec![host(id).site().clone()];
                    stop(&mut fleet, Scope::Sites { sites }, now, &mut change);
                    None
                }
                _ => {
                    let code = host(id).site().to_string();
                    let known = fleet.stops().iter().map(|known| known.reference);
                    lifts.extend(known.map(|stop| lifted(stop, &[&code])));
                    fleet.put_in_force(Policy { lifts: lifts.clone(), ..policy(&ids) }, now, &mut change);
                    None
                }
            };
            let answered = answer.and_then(|answer| answer.permit.ok());
            for permit in change.permits.into_iter().chain(answered) {
                let last = newest.get(&permit.host).map_or(0, |permit| permit.number);
                prop_assert!(permit.number > last, "numbers grow");
                newest.insert(permit.host.clone(), permit);
            }
            for permit in newest.values().filter(|permit| permit.verdict == Verdict::Issue) {
                let site = permit.host.site();
                prop_assert!(!fleet.is_stopped(site), "{} issues at a stopped site", permit.host);
                for neighbour in ids.iter().map(|id| host(id)).filter(|id| id.site() == site) {
                    let evidence = fleet.host(&neighbour).unwrap().evidence.as_ref().unwrap();
                    prop_assert!(evidence.cover().pass_started.after(Span::from_s(600)) >= now);
                    prop_assert_eq!(evidence.state_digest(), fixture::state("exclusive").digest());
                }
            }
        }
    }
}

#[test]
fn what_a_replaced_key_acknowledged_and_was_permitted_does_not_count_for_the_new_one() {
    let mut fleet = fleet(&[AP]);
    let mut change = Change::default();
    let issued = send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap().permit.unwrap();
    let made = stop(&mut fleet, Scope::All, at(2), &mut change);
    fleet.acknowledge(&host(AP), made, at(3), &mut change).unwrap();
    fleet.enrol(&host(AP), "new".into(), true, at(4), &mut change).unwrap();
    let view = &fleet.stop_views(None, usize::MAX, at(4))[0];
    // The machine that had the old key can issue until its permit is over.
    assert_eq!((view.acknowledged.len(), view.outstanding.as_slice()), (0, &[(host(AP), Some(issued.until))][..]));
    let row = &fleet.host_rows(None, usize::MAX, at(4))[0];
    assert_eq!((row.permit.as_ref(), row.acknowledged), (None, 0));
    let stopped = fleet.host(&host(AP)).unwrap().permit_floor;
    assert!(stopped > issued.number, "the hold that the stop brought was the newest");
    let next = send(&mut fleet, "exclusive", |_| (), AP, at(1), &mut change).unwrap().permit.unwrap();
    assert!(next.number > stopped, "numbers go on");
    assert_eq!(fleet.acknowledge(&host(AP), made, at(5), &mut change), Ok(true));
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
    let other = if fleet.stops().iter().any(|s| s.stop.previous == Some(lost_ref.digest)) { again } else { lost_ref };
    send(&mut fleet, "exclusive", |c| c.stops = vec![next], AP, at(5), &mut change).unwrap();
    assert_eq!(fleet.stops_for(&host(AP)), [other.digest]);
}

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
