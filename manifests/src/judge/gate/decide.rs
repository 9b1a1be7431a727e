//! The answer to one question.

use super::{CLOCK_DRIFT_MAX, Clocks, Gate};
use crate::outcome::Verdict;
use crate::reason::{Code, Reason};
use crate::time::{Span, Time};

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Issue or hold.
    pub verdict: Verdict,
    /// Why hold, in the order of [`Code`]; empty for issue.
    pub reasons: Vec<Reason>,
    /// With issue: the earliest moment at which it would be answered otherwise.
    pub until: Option<Time>,
}

impl Decision {
    /// Hold for one reason.
    pub fn hold(code: Code) -> Self {
        Self { verdict: Verdict::Hold, reasons: vec![Reason::of(code)], until: None }
    }

    /// Whether nothing but a look that is under way stands against issuing: worth a short wait.
    pub fn is_only_verifying(&self) -> bool {
        !self.reasons.is_empty() && self.reasons.iter().all(|reason| reason.code == Code::Verifying)
    }
}

impl Gate {
    /// Whether the host may issue at `now`. `events_pending` says that file events are queued which
    /// no one has read: they count as changes.
    pub fn decide(&self, now: Clocks, events_pending: bool) -> Decision {
        let mut reasons = Vec::new();
        let mut ends = Vec::new();
        if !self.damaged.is_empty() {
            reasons.push(Reason::of(Code::StateDamaged));
        }
        if self.clock_moved || self.drift(now) > CLOCK_DRIFT_MAX || now.wall < self.not_before {
            reasons.push(Reason::of(Code::ClockMoved));
        }
        if self.too_old {
            reasons.push(Reason::of(Code::AgentTooOld));
        }
        if self.is_stopped() {
            reasons.push(Reason::of(Code::Stopped));
        }
        match &self.active {
            None => reasons.push(Reason::of(Code::NoBaseline)),
            Some(used) => {
                let closes = used.set.expires.after(used.set.rules.expiry_grace);
                if now.wall >= closes {
                    reasons.push(Reason::of(Code::BaselineExpired));
                }
                ends.push(closes);
                self.decide_local(now, events_pending, &mut reasons, &mut ends);
                self.decide_permit(now, &mut reasons, &mut ends);
            }
        }
        reasons.sort();
        reasons.dedup();
        if reasons.is_empty() {
            Decision { verdict: Verdict::Issue, reasons, until: ends.into_iter().min() }
        } else {
            Decision { verdict: Verdict::Hold, reasons, until: None }
        }
    }

    fn is_stopped(&self) -> bool {
        let site = self.host.site();
        let stands = |digest| !self.lifts.iter().any(|lift| lift.product == self.product && lift.frees(digest, site));
        self.stops.iter().any(|(digest, scope)| scope.covers(site) && stands(digest))
    }

    fn decide_local(&self, now: Clocks, events_pending: bool, reasons: &mut Vec<Reason>, ends: &mut Vec<Time>) {
        let Some(used) = &self.active else { return };
        let Some(local) = &used.local else {
            reasons.push(Reason::of(Code::Verifying)); // The first pass is under way.
            return;
        };
        if events_pending || local.changes != self.changes {
            reasons.push(Reason::of(Code::Verifying));
        }
        let max_age = used.set.rules.evidence_max_age;
        let too_old = now.elapsed_since(local.started) > max_age || now.wall > local.started.wall.after(max_age);
        // Past this moment the appraisal itself would say something else.
        let outdated = local.changes_at.is_some_and(|changes_at| now.wall >= changes_at);
        if too_old {
            reasons.push(Reason::of(Code::Stale));
        } else if outdated {
            reasons.push(Reason::of(Code::Verifying));
        }
        // Evidence of exactly this age still counts; the boot clock's end is told by the wall clock.
        let past = |end: Time| end.after(Span::from_ms(1));
        let left = max_age.as_ms().saturating_sub(now.elapsed_since(local.started).as_ms());
        ends.extend([past(local.started.wall.after(max_age)), past(now.wall.after(Span::from_ms(left)))]);
        ends.extend(local.changes_at);
        if local.verdict == Verdict::Hold {
            reasons.extend(local.reasons.iter().cloned());
            if local.reasons.is_empty() {
                reasons.push(Reason::of(Code::Error)); // A hold without a reason is a fault of ours.
            }
        }
    }

    fn decide_permit(&self, now: Clocks, reasons: &mut Vec<Reason>, ends: &mut Vec<Time>) {
        let Some(used) = &self.active else { return };
        let refused = |otherwise| Reason::of(self.permit_refused.unwrap_or(otherwise));
        let Some(held) = &self.permit else {
            reasons.push(refused(Code::NoPermit));
            return;
        };
        let permit = &held.permit;
        if permit.verdict == Verdict::Hold {
            reasons.extend(permit.reasons.iter().cloned());
            if permit.reasons.is_empty() {
                reasons.push(Reason::of(Code::NoPermit));
            }
            return;
        }
        let life = used.set.rules.permit_ttl;
        if now.wall >= permit.until || held.age(now) >= life {
            reasons.push(refused(Code::PermitExpired));
        }
        let local = used.local.as_ref();
        let is_bound = local.zip(permit.state).is_some_and(|(local, state)| local.state.name(state));
        if permit.baseline != used.set.baseline || !is_bound {
            reasons.push(refused(Code::PermitMismatch));
        }
        ends.push(permit.until);
        // The boot clock's end, told by the wall clock.
        let left = life.as_ms().saturating_sub(held.age(now).as_ms());
        ends.push(now.wall.after(Span::from_ms(left)));
    }
}
