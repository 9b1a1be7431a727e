//! What a host may do, written down from the rules and not from the gate: every rule a line, over
//! plain records of what has happened.

use manifests::digest::Digest;
use manifests::gate::{Clocks, Set};
use manifests::outcome::Verdict;
use manifests::permit::Permit;
use manifests::stop::{Lift, Scope, Stop, StopRef};
use manifests::time::{Span, Time};

use crate::papers;

/// A pass, as the rules speak of it.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) baseline: Digest,
    pub(crate) state: Digest,
    pub(crate) holds: bool,
    /// Whether every change so far lies before it.
    pub(crate) covers_changes: bool,
    pub(crate) began: Clocks,
    pub(crate) changes_at: Option<Time>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    sets: Vec<Set>,
    in_use: Option<Digest>,
    to_come: Option<Digest>,
    passes: Vec<Pass>,
    /// The permit that counts, when its life began to be counted, and what was over then.
    permit: Option<(Permit, Clocks, Span)>,
    number: u64,
    sent: Option<(u64, u64)>,
    stops: Vec<(StopRef, Stop)>,
    lifts: Vec<Lift>,
    /// Clocks agreed at this moment.
    agreed: Option<Clocks>,
    /// The last time stored, on disk or with a permit.
    not_before: Option<Time>,
    clock_moved: bool,
    damaged: bool,
}

impl Model {
    /// A start: what is not on disk is gone.
    pub(crate) fn restarted(&self, now: Clocks, floor: Time) -> Self {
        Self {
            sets: self.sets.clone(),
            in_use: self.in_use,
            to_come: self.to_come,
            stops: self.stops.clone(),
            lifts: self.lifts.clone(),
            agreed: Some(now),
            not_before: Some(floor),
            clock_moved: now.wall < floor,
            ..Self::default()
        }
    }

    pub(crate) fn has_read_clocks(&mut self, now: Clocks) {
        let agreed = *self.agreed.get_or_insert(now);
        if apart(agreed, now) > 5000 || self.not_before.is_some_and(|latest| now.wall < latest) {
            self.clock_moved = true;
        }
    }

    pub(crate) fn has_changed(&mut self) {
        for pass in &mut self.passes {
            pass.covers_changes = false;
        }
    }

    pub(crate) fn has_collected(&mut self, pass: Pass) {
        let known = self.in_use == Some(pass.baseline) || self.to_come == Some(pass.baseline);
        if !known {
            return;
        }
        // A new baseline that says hold rules at once; one that says issue, once a permit for it is there.
        let has_permit = self.permit.as_ref().is_some_and(|(permit, ..)| permit.baseline == pass.baseline);
        if self.to_come == Some(pass.baseline) && (pass.holds || has_permit) {
            self.rules(pass.baseline);
        }
        self.passes.retain(|other| other.baseline != pass.baseline);
        self.passes.push(pass);
    }

    fn rules(&mut self, baseline: Digest) {
        self.in_use = Some(baseline);
        self.to_come = None;
    }

    pub(crate) fn has_verified(&mut self, set: Set, lifts: Vec<Lift>) {
        self.lifts = lifts;
        let baseline = set.baseline;
        match self.in_use {
            None => self.rules(baseline),
            Some(in_use) if in_use == baseline => self.to_come = None,
            Some(_) => {
                if self.to_come != Some(baseline) {
                    self.passes.retain(|pass| pass.baseline != baseline);
                }
                self.to_come = Some(baseline);
            }
        }
        self.sets.retain(|other| other.baseline != baseline);
        self.sets.push(set);
    }

    pub(crate) fn has_sent(&mut self, sequence: u64) {
        self.sent = Some((self.sent.map_or(sequence, |(first, _)| first), sequence));
    }

    pub(crate) fn may_have_sent_up_to(&mut self, sequence: u64) {
        self.sent = Some((1, sequence));
    }

    /// Whether a permit counts from here on, `over` of its life being over already.
    pub(crate) fn has_received(&mut self, permit: Permit, now: Clocks, counted_from: Clocks, over: Span, stored: bool) {
        if !self.counts(&permit, now) {
            return;
        }
        self.number = permit.number;
        let fresh = apart_ms(permit.issued, now.wall) <= 60_000 && permit.verdict == Verdict::Issue;
        if fresh && !stored {
            self.agreed = Some(now);
            // Within 5 s the clocks agree, whatever the direction.
            self.not_before = Some(now.wall.before(Span::from_s(5)));
            self.clock_moved = false;
            self.damaged = false;
        }
        if !stored && permit.verdict == Verdict::Issue && self.to_come == Some(permit.baseline) {
            self.rules(permit.baseline);
        }
        self.permit = Some((permit, counted_from, over));
    }

    /// The clocks agreed when the stored permit was received, and time has not gone back since.
    pub(crate) fn agreed_at(&mut self, counted_from: Clocks, received: Time) {
        self.agreed = Some(counted_from);
        self.not_before = self.not_before.max(Some(received));
    }

    pub(crate) fn has_permit(&self) -> bool {
        self.permit.is_some()
    }

    fn counts(&self, permit: &Permit, now: Clocks) -> bool {
        let mine = permit.host == papers::host(papers::HOST) && permit.product == papers::product();
        if !mine || permit.number <= self.number {
            return false;
        }
        if permit.verdict == Verdict::Hold {
            return true;
        }
        let known = [self.in_use, self.to_come].contains(&Some(permit.baseline));
        let asked = self.sent.is_some_and(|(first, last)| first <= permit.answers && permit.answers <= last);
        let not_too_long = permit.until.unix_ms() - permit.issued.unix_ms() <= 1_800_000;
        let not_future = permit.issued.unix_ms() - now.wall.unix_ms() <= 60_000;
        let knows_stops = permit.stops.iter().all(|stop| self.knows_all_up_to(*stop));
        known && asked && not_too_long && not_future && knows_stops
    }

    fn knows_all_up_to(&self, last: StopRef) -> bool {
        self.stops.iter().find(|(reference, _)| *reference == last).is_some_and(|(_, stop)| match stop.previous {
            None => stop.number == 1,
            Some(digest) => stop.number > 1 && self.knows_all_up_to(StopRef { number: stop.number - 1, digest }),
        })
    }

    pub(crate) fn has_stop(&mut self, reference: StopRef, stop: Stop) {
        self.stops.push((reference, stop));
    }

    pub(crate) fn is_damaged(&mut self) {
        self.damaged = true;
    }

    /// Whether the host may issue, or the first rule against it.
    pub(crate) fn allows(&self, now: Clocks, events_pending: bool) -> Result<(), &'static str> {
        let rule = |holds: bool, rule: &'static str| if holds { Ok(()) } else { Err(rule) };
        rule(!self.damaged, "nothing on disk is damaged")?;
        let set = self.sets.iter().find(|set| Some(set.baseline) == self.in_use).ok_or("a set is verified")?;
        rule(now.wall.unix_ms() < set.expires.unix_ms() + 14 * 86_400_000, "the set is within its grace")?;

        let agreed = self.agreed.ok_or("the clocks were read")?;
        rule(!self.clock_moved && apart(agreed, now) <= 5000, "the clocks agree")?;
        rule(self.not_before.is_none_or(|latest| latest <= now.wall), "time has not gone back")?;

        let pass = self.passes.iter().find(|pass| pass.baseline == set.baseline).ok_or("a pass is appraised")?;
        rule(!pass.holds, "the appraisal says issue")?;
        rule(pass.covers_changes && !events_pending, "every change is worked off")?;
        rule(now.wall.unix_ms() - pass.began.wall.unix_ms() <= 600_000, "the pass is young by the wall clock")?;
        rule(now.boot_ms.saturating_sub(pass.began.boot_ms) <= 600_000, "the pass is young by the boot clock")?;
        rule(pass.changes_at.is_none_or(|at| now.wall < at), "the appraisal still says so")?;

        let (permit, counted_from, over) = self.permit.as_ref().ok_or("a permit counts")?;
        rule(permit.verdict == Verdict::Issue, "the newest permit says issue")?;
        rule(permit.baseline == set.baseline, "the permit is for this baseline")?;
        rule(permit.state == Some(pass.state), "the permit is for this state")?;
        rule(now.wall < permit.until, "the permit has not ended")?;
        let lived = over.as_ms() + now.boot_ms.saturating_sub(counted_from.boot_ms);
        rule(lived < 1_800_000, "the permit has life left by the boot clock")?;

        let site = papers::site(papers::SITE);
        let covered = |stop: &Stop| match &stop.scope {
            Scope::All | Scope::Unrecognized(_) => true,
            Scope::Sites { sites } => sites.contains(&site),
            Scope::Prefecture { prefecture } => *prefecture == 40,
        };
        let lifted = |digest: &Digest| self.lifts.iter().any(|lift| lift.stop == *digest && lift.sites.contains(&site));
        let free = self.stops.iter().all(|(reference, stop)| !covered(stop) || lifted(&reference.digest));
        rule(free, "no stop without its lift")
    }
}

fn apart(agreed: Clocks, now: Clocks) -> i64 {
    let wall = now.wall.unix_ms() - agreed.wall.unix_ms();
    let boot = i64::try_from(now.boot_ms).unwrap() - i64::try_from(agreed.boot_ms).unwrap();
    (wall - boot).abs()
}

fn apart_ms(one: Time, other: Time) -> i64 {
    (one.unix_ms() - other.unix_ms()).abs()
}
