//! The digests by which documents and permits name one state.

use std::borrow::Cow;

use super::{State, v1, v2};
use crate::digest::Digest;

/// The newest version of evidence and heartbeats.
pub const EVIDENCE_VERSION: u64 = 3;
/// A host that sends documents of this version or a newer one takes permits of version 2.
pub const PERMIT_V2_SINCE: u64 = 3;

/// Digests of one state in the form of each version that it may be sent in.
///
/// A permit binds the state as it was sent, and which version was sent is between an agent and the
/// controller that it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDigests {
    /// As version 1 tells it.
    pub v1: Digest,
    /// As version 2 tells it.
    pub v2: Digest,
    /// As version 3 tells it: [`State::digest`].
    pub v3: Digest,
}

impl StateDigests {
    /// Of `state`.
    pub fn of(state: &State) -> Self {
        let v3 = state.digest();
        let v2 = match v2::told(state) {
            Cow::Borrowed(_) => v3,
            Cow::Owned(told) => told.digest(),
        };
        Self { v1: v1::State::from(state).digest(), v2, v3 }
    }

    /// In the form that documents of a version tell it in.
    pub fn of_version(&self, version: u64) -> Digest {
        match version {
            ..=1 => self.v1,
            2 => self.v2,
            3.. => self.v3,
        }
    }

    /// Whether `digest` names this state, whichever version it was sent in.
    pub fn name(&self, digest: Digest) -> bool {
        [self.v1, self.v2, self.v3].contains(&digest)
    }
}
