//! Evidence of either version, as controllers take it.

use std::borrow::Cow;

use super::{Cover, Evidence, v1, v2};
use crate::baseline::Baseline;
use crate::digest::Digest;

/// Evidence with its state as it was sent, which has two versions. The state's digest is the one of its own
/// version: permits bind it, and heartbeats of that version repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyEvidence {
    /// Of an agent that sends version 1.
    V1(v1::Evidence),
    /// Of version 2 or 3.
    V2(Evidence),
}

impl AnyEvidence {
    /// When, by whom, in which order.
    pub fn cover(&self) -> &Cover {
        match self {
            Self::V1(evidence) => &evidence.cover,
            Self::V2(evidence) => &evidence.cover,
        }
    }

    /// The cover, to be replaced by a newer one.
    pub fn cover_mut(&mut self) -> &mut Cover {
        match self {
            Self::V1(evidence) => &mut evidence.cover,
            Self::V2(evidence) => &mut evidence.cover,
        }
    }

    /// Digest of the state as it was sent.
    pub fn state_digest(&self) -> Digest {
        match self {
            Self::V1(evidence) => evidence.state.digest(),
            Self::V2(evidence) => evidence.state.digest(),
        }
    }

    /// Checks the limits of its state.
    ///
    /// # Errors
    /// The first limit that is not kept, in words.
    pub fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::V1(evidence) => evidence.state.check(),
            Self::V2(evidence) => evidence.state.check(),
        }
    }

    /// What is judged: evidence of the newest version. One of version 1 is taken for the worst that it may mean
    /// under `baseline`, the one that it is judged by.
    pub fn current(&self, baseline: &Baseline) -> Cow<'_, Evidence> {
        match self {
            Self::V1(evidence) => {
                let state = evidence.state.clone().into_current(baseline);
                Cow::Owned(Evidence { cover: evidence.cover.clone(), state })
            }
            Self::V2(evidence) => Cow::Borrowed(evidence),
        }
    }
}

impl From<v1::Evidence> for AnyEvidence {
    fn from(evidence: v1::Evidence) -> Self {
        Self::V1(evidence)
    }
}

impl From<v2::Evidence> for AnyEvidence {
    fn from(evidence: v2::Evidence) -> Self {
        Self::V2(evidence.into())
    }
}

impl From<Evidence> for AnyEvidence {
    fn from(evidence: Evidence) -> Self {
        Self::V2(evidence)
    }
}
