//! How one thing stands, before waivers and policy are asked.

use crate::outcome::{Detail, Outcome};

/// How one thing stands, with what was compared: what failed first.
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    /// The worst of what failed and no waiver reaches: a waiver for a missing fix must not cover
    /// up that another of its requirements was not shown.
    pub(super) beyond_waivers: Option<Outcome>,
    /// Whether the item is known to concern the host. Of what only may, a host cannot be good.
    pub(super) concerns: bool,
    /// It cannot be told whether something known to be bad is here: as that itself, it holds whatever
    /// the item says of what it enforces.
    pub(super) may_be_denied: bool,
    pub(super) details: Vec<Detail>,
}

impl Finding {
    pub(super) fn of(outcome: Outcome, details: Vec<Detail>) -> Self {
        let beyond_waivers = match outcome {
            Outcome::Unknown | Outcome::Absent | Outcome::Ambiguous | Outcome::Denied | Outcome::Stale => Some(outcome),
            Outcome::NotApplicable
            | Outcome::Applied
            | Outcome::Waived
            | Outcome::Pending
            | Outcome::NoFix
            | Outcome::Drifted
            | Outcome::NotLoaded
            | Outcome::Missing
            | Outcome::WrongVariant
            | Outcome::Altered => None,
        };
        Self { outcome, beyond_waivers, concerns: true, may_be_denied: false, details }
    }

    pub(super) fn new(outcome: Outcome, detail: Detail) -> Self {
        Self::of(outcome, vec![detail])
    }

    /// Both must hold: the worse outcome counts, its details come first.
    pub(super) fn and(mut self, mut other: Finding) -> Finding {
        let beyond_waivers = self.beyond_waivers.max(other.beyond_waivers);
        let may_be_denied = self.may_be_denied || other.may_be_denied;
        if other.outcome > self.outcome {
            std::mem::swap(&mut self, &mut other);
        }
        self.details.append(&mut other.details);
        Finding { beyond_waivers, may_be_denied, ..self }
    }
}
