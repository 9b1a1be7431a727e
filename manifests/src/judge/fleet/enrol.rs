//! Who may speak for a host.

use super::{Change, Fleet, FleetHost};
use crate::api::EventKind;
use crate::id::HostId;
use crate::key::KeyId;
use crate::time::Time;

/// Why a host cannot be enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The registry does not have it.
    #[error("the host is not listed in the registry")]
    NotListed,
    /// It has a key, and the token does not allow another.
    #[error("the host has a key already; a token made with --replace allows another")]
    Enrolled,
    /// The key is another host's.
    #[error("the key is another host's")]
    KeyInUse,
    /// The host has got another key since.
    #[error("the host's key was replaced by a newer one")]
    Replaced,
}

impl EnrolError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            EnrolError::NotListed => "not-listed",
            EnrolError::Enrolled => "enrolled",
            EnrolError::KeyInUse => "key-in-use",
            EnrolError::Replaced => "key-replaced",
        }
    }
}

impl Fleet {
    /// Gives a host a key. With `replace` it may have one already; what the old one showed, acknowledged and was
    /// permitted is forgotten.
    ///
    /// # Errors
    /// [`EnrolError`]; nothing has changed then.
    pub fn enrol(
        &mut self,
        id: &HostId,
        key: KeyId,
        replace: bool,
        now: Time,
        change: &mut Change,
    ) -> Result<(), EnrolError> {
        if !self.is_listed(id, now) {
            return Err(EnrolError::NotListed);
        }
        if self.keys.get(&key).is_some_and(|owner| owner != id) {
            return Err(EnrolError::KeyInUse);
        }
        let host = self.hosts.get(id).cloned().unwrap_or_default();
        if host.key.is_some() && !replace {
            return Err(EnrolError::Enrolled);
        }
        // A time, so that two controllers that know nothing of each other give a growing one, too.
        let since_1970 = u64::try_from(now.unix_ms()).unwrap_or(0);
        let generation = host.generation().saturating_add(1).max(since_1970);
        self.give_key(id, key, generation, "a key was enrolled", now, change);
        Ok(())
    }

    /// Another controller's word, or this one's own of before it was set back, that the host has this key. Says
    /// whether the host has got it by that.
    ///
    /// # Errors
    /// [`EnrolError`]; nothing has changed then.
    pub fn carry_over(
        &mut self,
        id: &HostId,
        key: KeyId,
        generation: u64,
        now: Time,
        change: &mut Change,
    ) -> Result<bool, EnrolError> {
        if !self.is_listed(id, now) {
            return Err(EnrolError::NotListed);
        }
        if self.keys.get(&key).is_some_and(|owner| owner != id) {
            return Err(EnrolError::KeyInUse);
        }
        let host = self.hosts.get(id).cloned().unwrap_or_default();
        let known = host.generation();
        if host.key.as_ref() == Some(&key) {
            if generation > known {
                self.hosts.insert_mut(id.clone(), FleetHost { generation, ..host });
                change.hosts.insert(id.clone());
            }
            return Ok(false);
        }
        if host.key.is_some() && generation <= known {
            return Err(EnrolError::Replaced);
        }
        self.give_key(id, key, generation, "its key was carried over from another controller", now, change);
        Ok(true)
    }

    fn give_key(&mut self, id: &HostId, key: KeyId, generation: u64, note: &str, now: Time, change: &mut Change) {
        let host = self.hosts.get(id).cloned().unwrap_or_default();
        if let Some(old) = &host.key {
            self.keys.remove_mut(old);
        }
        self.keys.insert_mut(key.clone(), id.clone());
        // A permit's number outlives the key: the host may have kept its state directory. And so does the
        // moment until which the machine that had the old key can issue: nobody has told it to hold.
        let kept = FleetHost {
            key: Some(key),
            generation,
            permit_floor: host.newest_permit(),
            permits_known_to: host.newest_permit(),
            issue_until: host.issue_until,
            wake: host.wake,
            verdict: host.verdict,
            reasons: host.reasons,
            ..FleetHost::default()
        };
        self.states.replace(host.state, kept.state);
        self.hosts.insert_mut(id.clone(), kept);
        // The new machine may never have seen what the old one has on disk.
        self.stops.forget_acknowledgements(id);
        change.hosts.insert(id.clone());
        self.note(change, now, EventKind::Enrolled, Some(id), note.to_owned());
        self.judge_host(id, now, change);
        self.judge_site(id.site(), now, change);
        self.settle(id.site(), None, now, change);
    }
}
