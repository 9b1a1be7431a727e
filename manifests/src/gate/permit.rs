//! Which permits count.

use super::{CLOCK_VOUCH_MAX, Clocks, Effect, Gate};
use crate::envelope::Verified;
use crate::outcome::Verdict;
use crate::permit::Permit;
use crate::reason::Code;
use crate::time::Span;

/// A permit with the clocks of its receipt.
#[derive(Clone, Debug)]
pub struct HeldPermit {
    /// The permit.
    pub permit: Verified<Permit>,
    /// When it was received.
    pub received: Clocks,
    /// Life that was over by the wall clock when the host booted.
    pub(super) wall_gone: Span,
}

impl HeldPermit {
    /// How much of its life is over by the boot clock.
    pub(super) fn age(&self, now: Clocks) -> Span {
        let since = now.elapsed_since(self.received);
        Span::from_ms(since.as_ms().max(self.wall_gone.as_ms()))
    }
}

impl Gate {
    /// Whether a permit whose signature holds may become the one that counts.
    pub(super) fn check_permit(&self, permit: &Permit, now: Clocks) -> Result<(), Code> {
        if permit.product != self.product || permit.host != self.host {
            return Err(Code::PermitWrongHost);
        }
        if permit.number <= self.permit_number {
            return Err(Code::PermitOld);
        }
        // A hold needs nothing more: closing is instant.
        if permit.verdict == Verdict::Hold {
            return Ok(());
        }
        let sets = [&self.active, &self.candidate].into_iter().flatten();
        let Some(set) = sets.map(|used| &used.set).find(|set| set.baseline == permit.baseline) else {
            return Err(Code::PermitMismatch);
        };
        if permit.until > permit.issued.after(set.rules.permit_ttl) {
            return Err(Code::PermitTooLong);
        }
        if permit.issued > now.wall.after(CLOCK_VOUCH_MAX) {
            return Err(Code::PermitFuture);
        }
        if !self.has_sent(permit.answers) {
            return Err(Code::PermitUnasked);
        }
        let newest = self.newest_stop().map_or(0, |stop| stop.number);
        let stop_known = permit
            .stop
            .is_none_or(|named| named.number <= newest && self.stops.iter().any(|known| known.reference == named));
        if !stop_known {
            return Err(Code::PermitStop);
        }
        Ok(())
    }

    pub(super) fn permit_arrived(&mut self, permit: Verified<Permit>, now: Clocks) -> Vec<Effect> {
        if let Err(code) = self.check_permit(&permit, now) {
            // The one permit that says nothing against the one held is that one again.
            if code != Code::PermitOld || permit.number < self.permit_number {
                self.permit_refused = Some(code);
            }
            return vec![];
        }
        self.permit_refused = None;
        self.permit_number = permit.number;
        let apart = permit.issued.since(now.wall).as_ms().max(now.wall.since(permit.issued).as_ms());
        if permit.verdict == Verdict::Issue && apart <= CLOCK_VOUCH_MAX.as_ms() {
            // The controller's clock vouches for this one: from here on both are compared anew.
            self.anchor = now;
            self.floor = now.wall;
            self.clock_moved = false;
            // What was damaged on disk has been replaced: the permit names the newest stop, which is
            // known here, and the set and state that are in use.
            self.damaged = None;
        }
        let held = HeldPermit { permit, received: now, wall_gone: Span::ZERO };
        self.permit = Some(held.clone());
        let mut effects = vec![Effect::StorePermit(held.clone())];
        let for_candidate = self.candidate.as_ref().is_some_and(|used| used.set.baseline == held.permit.baseline);
        if for_candidate && held.permit.verdict == Verdict::Issue {
            effects.extend(self.switch());
        }
        effects
    }
}
