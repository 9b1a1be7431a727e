//! Evidence of version 2, closed: its cover names one stop. The state is that of the newest version, with two
//! codes for what makes a value ambiguous.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::cover::one_stop;
use super::{Cover, FactSeen, Odd, State, ValueSeen};
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

impl Evidence {
    /// What was seen, as version 2 tells it.
    pub fn telling(cover: Cover, state: &State) -> Self {
        Self { cover, state: told(state).into_owned() }
    }
}

/// What was seen, in the codes of version 2: a controller that takes no newer one refuses a document with others.
pub fn told(state: &State) -> Cow<'_, State> {
    let mut told = Cow::Borrowed(state);
    for (id, seen) in &state.facts {
        if let FactSeen::Ambiguous { odd, .. } = seen
            && code(*odd) != *odd
            && let Some(FactSeen::Ambiguous { odd, .. }) = told.to_mut().facts.get_mut(id)
        {
            *odd = code(*odd);
        }
    }
    for (id, seen) in &state.settings {
        if let ValueSeen::Ambiguous { odd, .. } = &seen.value
            && code(*odd) != *odd
            && let Some(seen) = told.to_mut().settings.get_mut(id)
            && let ValueSeen::Ambiguous { odd, .. } = &mut seen.value
        {
            *odd = code(*odd);
        }
    }
    told
}

// Every other code says why readers take a value differently.
const fn code(odd: Odd) -> Odd {
    match odd {
        Odd::Duplicate => Odd::Duplicate,
        _ => Odd::Readers,
    }
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
