//! How sites and hosts stand.

use super::*;

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
    // Documents arrive, and what they are answered does not.
    for second in (40..70).step_by(5) {
        send(&mut fleet, "exclusive", |cover| cover.permit = number, AP, at(second), &mut change).unwrap();
    }
    assert_eq!(row(&fleet, 70), (false, true), "none of the permits since the first has come");
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
