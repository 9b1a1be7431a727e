//! The states that hosts' newest evidence has, by how many hosts.

use rpds::HashTrieMapSync;

use crate::digest::Digest;

/// Each state that some host has now. Whoever asks for one does not walk the fleet.
#[derive(Clone, Debug, Default)]
pub(super) struct StatesNamed(HashTrieMapSync<Digest, usize>);

impl StatesNamed {
    /// A host has `new` where it had `old`.
    pub(super) fn replace(&mut self, old: Option<Digest>, new: Option<Digest>) {
        if let Some(new) = new {
            self.0.insert_mut(new, self.count(&new) + 1);
        }
        if let Some(old) = old {
            match self.count(&old) {
                0 | 1 => drop(self.0.remove_mut(&old)),
                several => self.0.insert_mut(old, several - 1),
            }
        }
    }

    fn count(&self, state: &Digest) -> usize {
        self.0.get(state).copied().unwrap_or(0)
    }

    /// Whether a host has it.
    pub(super) fn has(&self, state: &Digest) -> bool {
        self.0.contains_key(state)
    }
}
