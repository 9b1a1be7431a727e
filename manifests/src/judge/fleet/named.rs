//! The states that hosts' newest evidence has, by how many hosts.

use std::collections::HashMap;

use crate::digest::Digest;

/// Each state that some host has now. Whoever asks for one does not walk the fleet.
#[derive(Debug, Default)]
pub(super) struct StatesNamed(HashMap<Digest, usize>);

impl StatesNamed {
    /// A host has `new` where it had `old`.
    pub(super) fn replace(&mut self, old: Option<Digest>, new: Option<Digest>) {
        if let Some(new) = new {
            *self.0.entry(new).or_default() += 1;
        }
        if let Some(old) = old
            && let Some(count) = self.0.get_mut(&old)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(&old);
            }
        }
    }

    /// Whether a host has it.
    pub(super) fn has(&self, state: &Digest) -> bool {
        self.0.contains_key(state)
    }
}
