//! Evidence of either version, as controllers take it.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Cover, Evidence, State, v1, v2};
use crate::baseline::Baseline;
use crate::digest::Digest;

/// Evidence with its state as it was sent. A copy shares both parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyEvidence {
    /// When, by whom, in which order. A heartbeat brings a newer one for the same state.
    pub cover: Arc<Cover>,
    /// What was seen.
    pub state: Arc<AnyState>,
}

/// A state as it was sent, which has two versions. Its digest is the one of its own version: permits bind it, and
/// heartbeats of that version repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyState {
    /// Of an agent that sends version 1.
    V1(v1::State),
    /// Of version 2 or 3.
    V2(State),
}

impl AnyEvidence {
    /// When, by whom, in which order.
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// Digest of the state as it was sent.
    pub fn state_digest(&self) -> Digest {
        match &*self.state {
            AnyState::V1(state) => state.digest(),
            AnyState::V2(state) => state.digest(),
        }
    }

    /// Checks the limits of its state.
    ///
    /// # Errors
    /// The first limit that is not kept, in words.
    pub fn check(&self) -> Result<(), &'static str> {
        match &*self.state {
            AnyState::V1(state) => state.check(),
            AnyState::V2(state) => state.check(),
        }
    }

    /// What is judged: a state of the newest version. One of version 1 is taken for the worst that it may mean
    /// under `baseline`, the one that it is judged by.
    pub fn current_state(&self, baseline: &Baseline) -> Cow<'_, State> {
        match &*self.state {
            AnyState::V1(state) => Cow::Owned(state.clone().into_current(baseline)),
            AnyState::V2(state) => Cow::Borrowed(state),
        }
    }

    /// A copy with [`Self::current_state`].
    pub fn current(&self, baseline: &Baseline) -> Evidence {
        Evidence { cover: self.cover().clone(), state: self.current_state(baseline).into_owned() }
    }
}

impl From<v1::Evidence> for AnyEvidence {
    fn from(evidence: v1::Evidence) -> Self {
        Self { cover: Arc::new(evidence.cover), state: Arc::new(AnyState::V1(evidence.state)) }
    }
}

impl From<v2::Evidence> for AnyEvidence {
    fn from(evidence: v2::Evidence) -> Self {
        Evidence::from(evidence).into()
    }
}

impl From<Evidence> for AnyEvidence {
    fn from(evidence: Evidence) -> Self {
        Self { cover: Arc::new(evidence.cover), state: Arc::new(AnyState::V2(evidence.state)) }
    }
}
