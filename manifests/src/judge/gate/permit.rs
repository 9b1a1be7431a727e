//! Which permits count.

use super::{CLOCK_DRIFT_MAX, CLOCK_VOUCH_MAX, Clocks, Effect, Gate};
use crate::outcome::Verdict;
use crate::permit::{Permit, VerifiedPermit};
use crate::reason::Code;
use crate::time::Span;

/// A permit with the clocks of its receipt.
#[derive(Clone, Debug)]
pub struct HeldPermit {
    /// The permit.
    pub permit: VerifiedPermit,
    /// When it was received, by the clocks of that boot.
    pub received: Clocks,
    /// Life that was over at `counted_from`: before a reboot only the wall clock tells.
    pub(super) gone: Span,
    /// From when on the boot clock counts.
    pub(super) counted_from: Clocks,
}

impl HeldPermit {
    /// How much of its life is over by the boot clock.
    pub(super) fn age(&self, now: Clocks) -> Span {
        Span::from_ms(self.gone.as_ms().saturating_add(now.elapsed_since(self.counted_from).as_ms()))
    }
}

impl Gate {
    /// Whether a permit whose signature holds may become the one that counts.
    pub(super) fn check_permit(&self, permit: &Permit, now: Clocks) -> Result<(), Code> {
        if permit.product != self.product || permit.host != self.host {
            return Err(Code::PermitWrongHost);
        }
        // A host's new key has nothing of what the one before was permitted.
        if permit.key.as_ref().zip(self.key.as_ref()).is_some_and(|(named, own)| named != own) {
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
        if !permit.stops.iter().all(|named| self.stops.has_all_up_to(*named)) {
            return Err(Code::PermitStop);
        }
        Ok(())
    }

    pub(super) fn permit_arrived(&mut self, permit: VerifiedPermit, now: Clocks) -> Vec<Effect> {
        if let Err(code) = self.check_permit(&permit, now) {
            // The one permit that says nothing against the one held is that one again.
            if code != Code::PermitOld || permit.number < self.permit_number {
                self.permit_refused = Some(code);
            }
            return vec![];
        }
        self.permit_refused = None;
        self.permit_number = permit.number;
        let mut effects = Vec::new();
        let apart = permit.issued.since(now.wall).as_ms().max(now.wall.since(permit.issued).as_ms());
        if permit.verdict == Verdict::Issue && apart <= CLOCK_VOUCH_MAX.as_ms() {
            // The controller's clock vouches for this one: from here on both are compared anew.
            if self.clock_moved {
                effects.push(Effect::Collect); // The newest pass was dated and appraised by a wrong clock.
            }
            self.anchor = now;
            self.not_before = now.wall.before(CLOCK_DRIFT_MAX);
            self.floor = now.wall;
            self.clock_moved = false;
            // What was damaged on disk has been replaced: the permit names the newest stop, which is
            // known here, and the set and state that are in use.
            self.damaged.remove(&super::Damage::Notes);
        }
        let held = HeldPermit { permit, received: now, gone: Span::ZERO, counted_from: now };
        self.permit = Some(held.clone());
        effects.insert(0, Effect::StorePermit(held.clone()));
        let for_candidate = self.candidate.as_ref().is_some_and(|used| used.set.baseline == held.permit.baseline);
        if for_candidate && held.permit.verdict == Verdict::Issue {
            effects.extend(self.switch());
        }
        effects
    }
}
