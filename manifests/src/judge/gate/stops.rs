//! The stops that a host knows: chains, of which a link can be missing. Each controller has one of its own,
//! and one that was set back may have gone on from an earlier stop: all of them count.

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

    fn before(&self, reference: &StopRef) -> Option<StopRef> {
        let digest = self.0.get(reference)?.previous?;
        Some(StopRef { number: reference.number.saturating_sub(1), digest })
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

    /// The newest of each chain that is known with every stop before it: those that no other such stop follows.
    pub(super) fn newest(&self) -> Vec<StopRef> {
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
        let followed: BTreeSet<StopRef> = whole.iter().filter_map(|reference| self.before(reference)).collect();
        whole.difference(&followed).copied().collect()
    }
}
