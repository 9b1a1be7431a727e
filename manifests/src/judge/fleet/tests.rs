//! The fleet as a whole; by subject in the files beside.

mod preview;
mod publishes;
mod set_back;
mod standing;
mod stops;

use std::collections::HashMap;

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
                    let known = fleet.stops().map(|known| known.reference);
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
fn a_copy_shares_all_but_what_changes_afterwards_and_the_other_one_stays_as_it_was() {
    let ids: Vec<String> = (0..300).map(|number| format!("402206-ap{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).chain([OTHER]).collect();
    let mut fleet = fleet(&ids);
    let mut change = Change::default();
    for id in &ids {
        send(&mut fleet, "exclusive", |_| (), id, at(1), &mut change).unwrap();
    }
    let before = fleet.clone();
    beat(&mut fleet, "exclusive", OTHER, at(2), &mut change).unwrap();
    let apart = |id: &&&str| !std::ptr::eq(before.host(&host(id)).unwrap(), fleet.host(&host(id)).unwrap());
    assert_eq!(ids.iter().filter(apart).collect::<Vec<_>>(), [&OTHER]);
    let [old, new] = [&before, &fleet].map(|fleet| fleet.host(&host(OTHER)).unwrap());
    assert_eq!([old.record.sequence, new.record.sequence], [1, 2]);
    let [shown, again] = [old, new].map(|host| host.evidence.as_ref().unwrap());
    assert!(std::sync::Arc::ptr_eq(&shown.state, &again.state), "a heartbeat copies no state");
    assert_eq!([shown.cover().sequence, again.cover().sequence], [1, 2]);
    stop(&mut fleet, Scope::All, at(3), &mut change);
    assert_eq!((before.stops().count(), fleet.stops().count()), (0, 1));
    assert_eq!(before.overview(at(3)).counts.stopped, 0);
    assert_eq!(fleet.overview(at(3)).counts.stopped, 2);
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

#[test]
fn a_state_is_named_as_long_as_some_host_has_it() {
    let mut fleet = fleet(&[AP, OTHER]);
    let mut change = Change::default();
    let states = ["exclusive", "shared"].map(|lock| fixture::state(lock).digest());
    let check = |fleet: &Fleet, named: [bool; 2]| {
        assert_eq!(states.map(|state| fleet.is_state_named(&state)), named);
        let walked = |state| fleet.hosts.values().any(|host| host.state == Some(state));
        assert_eq!(states.map(walked), named);
    };
    check(&fleet, [false, false]);
    for id in [AP, OTHER, AP] {
        send(&mut fleet, "exclusive", |_| (), id, at(1), &mut change).unwrap();
        check(&fleet, [true, false]);
    }
    send(&mut fleet, "shared", |_| (), AP, at(2), &mut change).unwrap();
    check(&fleet, [true, true]);
    beat(&mut fleet, "shared", OTHER, at(2), &mut change).unwrap();
    check(&fleet, [true, true]);
    // Whoever gets another key shows a state anew.
    fleet.enrol(&host(OTHER), "new".into(), true, at(3), &mut change).unwrap();
    check(&fleet, [false, true]);
    let mut restored = Fleet::new(fixture::product(), 0);
    restored.restore_host(host(AP), fleet.host(&host(AP)).unwrap().clone());
    check(&restored, [false, true]);
}
