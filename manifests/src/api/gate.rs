//! What a gate answers.

use serde::{Deserialize, Serialize};

use crate::baseline::Localized;
use crate::id::{HostId, ItemId};
use crate::outcome::Verdict;
use crate::reason::{Code, Reason};
use crate::text::{self, Lang};
use crate::time::Time;

/// What a gate answers, beside its status: 200 for issue, 403 for hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateAnswer {
    /// Issue or hold.
    pub verdict: Verdict,
    /// Why hold; empty for issue.
    pub reasons: Vec<GateReason>,
    /// Version of the baseline in use.
    pub baseline: Option<String>,
    /// Until when an issue counts if nothing changes.
    pub until: Option<Time>,
    /// Which answer of which start of the agent this is.
    pub decision: String,
    /// What the question named as its entry.
    pub entry: Option<String>,
    /// What the question named as its transaction.
    pub transaction: Option<String>,
}

/// One reason of a gate's hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReason {
    /// The stable code.
    pub code: Code,
    /// The item, where it is one's.
    pub item: Option<ItemId>,
    /// The host, where it is another one's.
    pub host: Option<HostId>,
    /// The reason in words.
    pub text: Localized,
}

impl From<&Reason> for GateReason {
    fn from(reason: &Reason) -> Self {
        let text = Localized { en: text::reason(Lang::En, reason), ja: Some(text::reason(Lang::Ja, reason)) };
        Self { code: reason.code, item: reason.item.clone(), host: reason.host.clone(), text }
    }
}
