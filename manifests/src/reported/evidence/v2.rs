//! Evidence of version 2, closed: its cover names one stop. The state is that of the newest version.

use serde::{Deserialize, Serialize};

use super::cover::one_stop;
use super::{Cover, State};
use crate::digest::Digest;

/// Payload of an evidence envelope of version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// When, by whom, in which order.
    #[serde(with = "one_stop")]
    pub cover: Cover,
    /// What was seen.
    pub state: State,
}

/// Payload of a heartbeat envelope of version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// As of evidence.
    #[serde(with = "one_stop")]
    pub cover: Cover,
    /// [`State::digest`] of the unchanged state.
    pub state: Digest,
    /// As of the newest version.
    pub since: u64,
}

impl From<Evidence> for super::Evidence {
    fn from(evidence: Evidence) -> Self {
        Self { cover: evidence.cover, state: evidence.state }
    }
}

impl From<Heartbeat> for super::Heartbeat {
    fn from(heartbeat: Heartbeat) -> Self {
        Self { cover: heartbeat.cover, state: heartbeat.state, since: heartbeat.since }
    }
}
