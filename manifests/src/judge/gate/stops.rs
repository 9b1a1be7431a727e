//! The stops that a host knows: a chain, of which a link can be missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::envelope::Verified;
use crate::stop::{Scope, Stop, StopRef};

/// Stops that are on disk, by number; several of one number if controllers disagreed.
#[derive(Clone, Debug, Default)]
pub(super) struct Stops(BTreeMap<StopRef, StopLink>);

#[derive(Clone, Debug)]
struct StopLink {
    previous: Option<Digest>,
    scope: Scope,
}

impl Stops {
    /// Whether it was not known before.
    pub(super) fn insert(&mut self, stop: &Verified<Stop>) -> bool {
        let reference = StopRef { number: stop.number, digest: stop.digest() };
        let known = StopLink { previous: stop.previous, scope: stop.scope.clone() };
        self.0.insert(reference, known).is_none()
    }

    /// Each stop's digest and whom it stops.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Digest, &Scope)> {
        self.0.iter().map(|(reference, stop)| (&reference.digest, &stop.scope))
    }

    /// Whether `last` and every stop before it is known. The chain of digests is followed, not the
    /// numbers: another stop of the missing one's number does not stand in for it.
    pub(super) fn has_all_up_to(&self, last: StopRef) -> bool {
        let mut wanted = last;
        while let Some(stop) = self.0.get(&wanted) {
            match stop.previous {
                None => return wanted.number == 1,
                Some(digest) => wanted = StopRef { number: wanted.number.saturating_sub(1), digest },
            }
        }
        false
    }

    /// The newest that is known with every stop before it.
    pub(super) fn newest(&self) -> Option<StopRef> {
        let mut whole = BTreeSet::new();
        for (reference, stop) in &self.0 {
            let is_whole = match stop.previous {
                None => reference.number == 1,
                Some(digest) => whole.contains(&StopRef { number: reference.number.saturating_sub(1), digest }),
            };
            if is_whole {
                whole.insert(*reference);
            }
        }
        whole.pop_last()
    }
}
