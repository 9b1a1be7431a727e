//! How a site stands on the screen, which is not always how the controller said it.

use std::borrow::Cow;

use manifests::api::{SiteRow, Standing};
use manifests::reason::{Code, Reason};
use manifests::time::Time;

/// How a site stands on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// An item is not as it must be.
    Held,
    /// A host has not shown evidence in time.
    Silent,
    /// Nothing is known against it, and it cannot be called verified any more, or not yet.
    Lapsed,
    /// A stop covers it.
    Stopped,
    /// May issue.
    Verified,
}

impl Shown {
    /// Worst first.
    pub const ALL: [Shown; 5] = [Shown::Held, Shown::Silent, Shown::Lapsed, Shown::Stopped, Shown::Verified];

    /// Its letter, the same in every language.
    pub const fn letter(self) -> &'static str {
        match self {
            Shown::Held => "H",
            Shown::Silent => "S",
            Shown::Lapsed => "U",
            Shown::Stopped => "X",
            Shown::Verified => "V",
        }
    }

    /// Key of its word.
    pub const fn key(self) -> &'static str {
        match self {
            Shown::Held => "standing-held",
            Shown::Silent => "standing-silent",
            Shown::Lapsed => "standing-lapsed",
            Shown::Stopped => "standing-stopped",
            Shown::Verified => "standing-verified",
        }
    }

    /// A standing of the wire as it is shown at `now`: evidence that has run out is not shown as verified.
    pub fn of(standing: Standing, verified_until: Option<Time>, now: Time) -> Self {
        match standing {
            Standing::Held => Shown::Held,
            Standing::Silent => Shown::Silent,
            Standing::Lapsed => Shown::Lapsed,
            Standing::Stopped => Shown::Stopped,
            Standing::Verified if verified_until.is_some_and(|until| now < until) => Shown::Verified,
            Standing::Verified => Shown::Lapsed,
        }
    }

    /// Whether a stop covers a site, whatever it is shown as: its standing is its worst.
    pub fn is_stopped(row: &SiteRow) -> bool {
        row.standing == Standing::Stopped || row.reasons.iter().any(|reason| reason.code == Code::Stopped)
    }

    /// Until when a site that is shown so is verified; nothing for one that is not.
    pub fn until(self, row: &SiteRow) -> Option<Time> {
        row.verified_until.filter(|_| matches!(self, Shown::Verified | Shown::Lapsed))
    }

    /// The reasons of a site that is shown so: evidence that ran out here is one that the controller
    /// did not send.
    pub fn reasons(self, row: &SiteRow) -> Cow<'_, [Reason]> {
        match self {
            Shown::Lapsed if row.reasons.is_empty() => Cow::Owned(vec![Reason::of(Code::Stale)]),
            Shown::Lapsed | Shown::Held | Shown::Silent | Shown::Stopped | Shown::Verified => {
                Cow::Borrowed(&row.reasons)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_that_ran_out_is_not_verified() {
        let until = Time::from_rfc3339("2023-05-01T00:00:00Z").unwrap();
        let before = Time::from_rfc3339("2023-04-30T23:59:59Z").unwrap();
        assert_eq!(Shown::of(Standing::Verified, Some(until), before), Shown::Verified);
        assert_eq!(Shown::of(Standing::Verified, Some(until), until), Shown::Lapsed);
        assert_eq!(Shown::of(Standing::Verified, None, until), Shown::Lapsed);
        assert_eq!(Shown::of(Standing::Held, None, until), Shown::Held);
    }
}
