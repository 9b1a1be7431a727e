//! The digests by which documents and permits name one state.

use super::{State, v1};
use crate::digest::Digest;

/// The newest version of evidence and heartbeats.
pub const EVIDENCE_VERSION: u64 = 3;
/// From this version on a host's state is told as version 2 tells it.
const STATE_V2_SINCE: u64 = 2;
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
}

impl StateDigests {
    /// Of `state`.
    pub fn of(state: &State) -> Self {
        Self { v1: v1::State::from(state).digest(), v2: state.digest() }
    }

    /// In the form that documents of a version tell it in.
    pub fn of_version(&self, version: u64) -> Digest {
        if version < STATE_V2_SINCE { self.v1 } else { self.v2 }
    }

    /// Whether `digest` names this state, whichever version it was sent in.
    pub fn name(&self, digest: Digest) -> bool {
        [self.v1, self.v2].contains(&digest)
    }
}
