//! The stops that a controller knows: its own chain, and those of other controllers that were handed to it.

use std::collections::HashSet;

use rpds::{HashTrieMapSync, RedBlackTreeSetSync, VectorSync};

use super::FleetStop;
use crate::digest::Digest;
use crate::id::HostId;
use crate::stop::{Stop, StopRef};

/// Stops, each known with all before it.
///
/// A chain belongs to the permit key that signs it. A controller that was set back to an earlier moment goes on
/// from an earlier stop: then two stops have one number and one stop before them, and both count.
#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    /// In the order in which they came to be known: none before the one that it follows.
    stops: VectorSync<FleetStop>,
    places: HashTrieMapSync<Digest, usize>,
    /// Those that no other one follows.
    ends: RedBlackTreeSetSync<StopRef>,
}

impl Chains {
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &FleetStop> {
        self.stops.iter()
    }

    pub(super) fn get_mut(&mut self, reference: &StopRef) -> Option<&mut FleetStop> {
        let place = self.places.get(&reference.digest)?;
        self.stops.get_mut(*place).filter(|known| known.reference == *reference)
    }

    /// What the host said with a key that was replaced.
    pub(super) fn forget_acknowledgements(&mut self, host: &HostId) {
        let has = |place: &usize| self.stops.get(*place).is_some_and(|known| known.acknowledged.contains(host));
        let places: Vec<usize> = (0..self.stops.len()).filter(has).collect();
        for place in places {
            if let Some(known) = self.stops.get_mut(place) {
                known.acknowledged.remove_mut(host);
            }
        }
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<&FleetStop> {
        self.places.get(digest).and_then(|place| self.stops.get(*place))
    }

    pub(super) fn has(&self, reference: &StopRef) -> bool {
        self.get(&reference.digest).is_some_and(|known| known.reference == *reference)
    }

    /// Whether the stop is the first of a chain, or follows one that is known.
    pub(super) fn is_followed_by(&self, stop: &Stop) -> bool {
        match stop.previous {
            None => stop.number == 1,
            Some(digest) => {
                stop.number.checked_sub(1).is_some_and(|number| number > 0 && self.has(&StopRef { number, digest }))
            }
        }
    }

    pub(super) fn push(&mut self, known: FleetStop) {
        if let Some(digest) = known.stop.previous {
            self.ends.remove_mut(&StopRef { number: known.reference.number.saturating_sub(1), digest });
        }
        self.ends.insert_mut(known.reference);
        self.places.insert_mut(known.reference.digest, self.stops.len());
        self.stops.push_back_mut(known);
    }

    /// The newest of each chain: whoever has these, and all before them, has all.
    pub(super) fn ends(&self) -> impl Iterator<Item = &StopRef> {
        self.ends.iter()
    }

    /// The newest of this controller's own chain. After it was set back there may be two of one number; either
    /// is gone on from.
    pub(super) fn newest_own(&self) -> Option<StopRef> {
        self.stops.iter().filter(|known| known.is_own).map(|known| known.reference).max()
    }

    /// What is news to a host that names these: all but them and what stands before them. Oldest first.
    pub(super) fn missing(&self, named: &[StopRef]) -> Vec<Digest> {
        if self.ends.iter().all(|end| named.contains(end)) {
            return Vec::new();
        }
        let mut known = HashSet::new();
        for reference in named.iter().filter(|named| self.has(named)) {
            let mut next = Some(reference.digest);
            while let Some(digest) = next.filter(|digest| known.insert(*digest)) {
                next = self.get(&digest).and_then(|stop| stop.stop.previous);
            }
        }
        self.stops.iter().map(|stop| stop.reference.digest).filter(|digest| !known.contains(digest)).collect()
    }
}
