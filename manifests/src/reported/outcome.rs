//! How an item stands on a host, and what follows for the host.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ItemId;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::warning::Warning;

/// How one item stands on one host, best first: a host is as its worst item, [`Ord`]'s maximum.
///
/// Values after XCCDF 1.2 rule results, told apart as far as the repair differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All facts that decide are known, and the item does not concern the host.
    NotApplicable,
    /// Every requirement shown, loaded, in force.
    Applied,
    /// Failing, under a waiver in force.
    Waived,
    /// `required_from` lies ahead.
    Pending,
    /// No requirement exists yet.
    NoFix,
    /// Not in evidence, fact unknown, file unreadable, condition unknown and requirement unmet.
    Unknown,
    /// Key missing.
    Absent,
    /// Key given twice with different values in one file.
    Ambiguous,
    /// Value not as expected, or file and value in force differ.
    Drifted,
    /// Right on disk, but a running process holds something older.
    NotLoaded,
    /// A listed release or file without the fix.
    Missing,
    /// A listed release whose own `when` is false here.
    WrongVariant,
    /// The tree is no listed release and patches: partial, local or hostile change.
    Altered,
    /// A known-bad release or file.
    Denied,
    /// Evidence older than allowed, or never any.
    Stale,
}

/// What a gate does. Worst last: a verdict over many is their maximum, and over none is hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let certificates out.
    Issue,
    /// Hold them.
    Hold,
}

impl Verdict {
    /// The worst of several. What was not looked at is not known to be good: of none it is hold.
    pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
        verdicts.into_iter().max().unwrap_or(Verdict::Hold)
    }
}

/// What kind of item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// A required fix.
    Fix,
    /// An exclusive lock setting.
    Lock,
    /// Any other setting.
    Setting,
    /// A program.
    Program,
    /// A pinned configuration.
    Config,
}

/// What was compared: for the human who repairs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What it is about: a program, setting, file, package or fact.
    pub subject: String,
    /// What the baseline asks for.
    pub expected: String,
    /// What was seen.
    pub found: String,
    /// The file, where one decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// One item, judged on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The item.
    pub item: ItemId,
    /// Its kind.
    pub kind: ItemKind,
    /// How it stands.
    pub outcome: Outcome,
    /// What that does to the gate.
    pub verdict: Verdict,
    /// The reason's code, unless the outcome is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The waiver's end, where one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived_until: Option<Time>,
    /// What was compared, what failed first. For [`Outcome::NotApplicable`] the facts that decided.
    pub details: Vec<Detail>,
}

/// The answer of [`crate::appraise::appraise`] for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appraisal {
    /// The worst of the items and of what concerns the whole host.
    pub verdict: Verdict,
    /// Why hold, in the order of [`Code`]; empty for issue.
    pub reasons: Vec<Reason>,
    /// What people are told and holds nobody, in the order of items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Every item of the baseline, in its order: fixes, settings, programs, pinned configurations. Hosts of which
    /// the same is known share them.
    pub items: Arc<[Judged]>,
    /// The next moment at which this answer can change without new evidence.
    pub changes_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_controller_says_besides_is_ignored() {
        let text = r#"{"verdict":"hold","reasons":[],"changes_at":null,"new":1,"items":[{"item":"FIX-1","kind":"fix",
            "outcome":"missing","verdict":"hold","new":1,"details":[{"subject":"a","expected":"b","found":"c","new":1}]}]}"#;
        let appraisal: Appraisal = serde_json::from_str(text).unwrap();
        assert_eq!(appraisal.items[0].details[0].found, "c");
    }
}
