//! What many share of something bounded, so that nobody keeps others out: when it is used up, whoever
//! has most gives way with what is oldest. A newcomer always gets in.
//!
//! Connections share places, each of weight 1; bodies that are being received share bytes of memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Something bounded, and who has how much of it.
pub struct Shares<O> {
    max: usize,
    owner_max: usize,
    held: Mutex<Held<O>>,
}

struct Held<O> {
    next: u64,
    used: usize,
    owners: HashMap<O, Owned>,
}

#[derive(Default)]
struct Owned {
    used: usize,
    /// By age, oldest first.
    shares: BTreeMap<u64, (usize, CancellationToken)>,
}

impl<O> fmt::Debug for Shares<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shares({})", self.max)
    }
}

impl<O: Clone + Eq + Hash + Send + 'static> Shares<O> {
    /// `max` for all together, `owner_max` of it for one owner.
    pub fn new(max: usize, owner_max: usize) -> Arc<Self> {
        let held = Held { next: 0, used: 0, owners: HashMap::new() };
        Arc::new(Self { max, owner_max: owner_max.min(max), held: Mutex::new(held) })
    }

    fn lock(&self) -> MutexGuard<'_, Held<O>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A share of nothing yet. `cut` is cancelled when it has to give way; it counts for nothing from then on.
    pub fn open(self: &Arc<Self>, owner: O, cut: CancellationToken) -> Share<O> {
        let mut held = self.lock();
        held.next = held.next.saturating_add(1);
        let age = held.next;
        held.owners.entry(owner.clone()).or_default().shares.insert(age, (0, cut));
        Share { of: Arc::clone(self), owner, age }
    }

    /// Cuts everything that an owner has.
    pub fn cut(&self, owner: &O) {
        let mut held = self.lock();
        if let Some(owned) = held.owners.remove(owner) {
            held.used = held.used.saturating_sub(owned.used);
            owned.shares.values().for_each(|(_, cut)| cut.cancel());
        }
    }

    /// Who has something.
    pub fn owners(&self) -> Vec<O> {
        self.lock().owners.keys().cloned().collect()
    }

    /// How much is used.
    pub fn used(&self) -> usize {
        self.lock().used
    }
}

impl<O: Clone + Eq + Hash> Held<O> {
    /// Cuts the oldest share of `owner`.
    fn cut_oldest(&mut self, owner: &O) {
        let Some(owned) = self.owners.get_mut(owner) else { return };
        if let Some((_, (weight, cut))) = owned.shares.pop_first() {
            owned.used = owned.used.saturating_sub(weight);
            self.used = self.used.saturating_sub(weight);
            cut.cancel();
        }
        if owned.shares.is_empty() {
            self.owners.remove(owner);
        }
    }

    /// Who has most; of those that have as much, whose oldest share is the oldest of all.
    fn largest(&self) -> Option<O> {
        let rank = |(_, owned): &(&O, &Owned)| (owned.used, std::cmp::Reverse(owned.shares.keys().next().copied()));
        self.owners.iter().max_by_key(rank).map(|(owner, _)| owner.clone())
    }
}

/// What one of them has. Given back when it is dropped.
pub struct Share<O: Clone + Eq + Hash + Send + 'static> {
    of: Arc<Shares<O>>,
    owner: O,
    age: u64,
}

impl<O: Clone + Eq + Hash + Send + 'static> fmt::Debug for Share<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({})", self.age)
    }
}

impl<O: Clone + Eq + Hash + Send + 'static> Share<O> {
    /// Takes more. Others give way for it; this share itself does where it is the oldest of whoever has
    /// most, or is larger than one owner may have.
    ///
    /// Returns whether the share is still there.
    pub fn grow(&self, more: usize) -> bool {
        let mut held = self.of.lock();
        let Some(owned) = held.owners.get_mut(&self.owner) else { return false };
        let Some((weight, _)) = owned.shares.get_mut(&self.age) else { return false };
        *weight = weight.saturating_add(more);
        owned.used = owned.used.saturating_add(more);
        held.used = held.used.saturating_add(more);
        while held.owners.get(&self.owner).is_some_and(|owned| owned.used > self.of.owner_max) {
            held.cut_oldest(&self.owner);
        }
        while held.used > self.of.max {
            let Some(largest) = held.largest() else { break };
            held.cut_oldest(&largest);
        }
        held.owners.get(&self.owner).is_some_and(|owned| owned.shares.contains_key(&self.age))
    }
}

impl<O: Clone + Eq + Hash + Send + 'static> Drop for Share<O> {
    fn drop(&mut self) {
        let mut held = self.of.lock();
        let Some(owned) = held.owners.get_mut(&self.owner) else { return };
        let Some((weight, _)) = owned.shares.remove(&self.age) else { return };
        owned.used = owned.used.saturating_sub(weight);
        let empty = owned.shares.is_empty();
        held.used = held.used.saturating_sub(weight);
        if empty {
            held.owners.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(shares: &Arc<Shares<&'static str>>, owner: &'static str, weight: usize) -> (Share<&'static str>, Cut) {
        let cut = CancellationToken::new();
        let share = shares.open(owner, cut.clone());
        share.grow(weight);
        (share, cut)
    }

    type Cut = CancellationToken;

    #[test]
    fn a_newcomer_always_gets_in_and_the_oldest_of_the_largest_gives_way() {
        let shares = Shares::new(4, 4);
        let held: Vec<_> = (0..3).map(|_| take(&shares, "crowd", 1)).collect();
        let (_alone, kept) = take(&shares, "alone", 1);
        let (_other, other) = take(&shares, "other", 1);
        assert!(held[0].1.is_cancelled(), "the oldest of whoever has most");
        assert!(!held[1].1.is_cancelled() && !kept.is_cancelled() && !other.is_cancelled());
        assert_eq!(shares.used(), 4);
        // Cut already: that it goes changes nothing.
        drop(held);
        assert_eq!(shares.used(), 2);
    }

    #[test]
    fn among_equals_the_oldest_gives_way() {
        let shares = Shares::new(2, 2);
        let (_a, a) = take(&shares, "a", 1);
        let (_b, b) = take(&shares, "b", 1);
        let (_c, c) = take(&shares, "c", 1);
        assert!(a.is_cancelled() && !b.is_cancelled() && !c.is_cancelled());
    }

    #[test]
    fn one_owner_has_no_more_than_its_part() {
        let shares = Shares::new(10, 3);
        let (first, cut) = take(&shares, "a", 2);
        let (second, _cut) = take(&shares, "a", 2);
        assert!(cut.is_cancelled() && !first.grow(1), "its own oldest gives way");
        assert_eq!(shares.used(), 2);
        assert!(!second.grow(2), "larger than one may have");
        assert_eq!(shares.used(), 0);
    }

    #[test]
    fn what_somebody_has_can_be_cut() {
        let shares = Shares::new(10, 10);
        let (_a, a) = take(&shares, "a", 2);
        let (_b, b) = take(&shares, "b", 1);
        shares.cut(&"a");
        assert!(a.is_cancelled() && !b.is_cancelled());
        assert_eq!((shares.used(), shares.owners()), (1, vec!["b"]));
    }
}
