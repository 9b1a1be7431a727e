//! From a finding to the item's outcome: waivers, due dates, and what holds.

use super::Judge;
use super::finding::Finding;
use crate::baseline::{Enforce, Fix, Item, Requires};
use crate::id::ItemId;
use crate::outcome::{ItemKind, Judged, Outcome, Verdict};
use crate::reason::Code;
use crate::time::Time;

impl Judge<'_> {
    /// A finding becomes the item's outcome: waivers count, and the policy says what holds. With it
    /// the next moment at which that is another.
    pub(super) fn finish(&self, item: Item<'_>, finding: Finding) -> (Judged, Option<Time>) {
        let (id, kind, about) = (item.id(), item.kind(), item.about());
        let Finding { mut outcome, beyond_waivers, may_be_denied, details, .. } = finding;
        let mut code = code(kind, outcome);
        let can_be_waived = match outcome {
            Outcome::Missing
            | Outcome::WrongVariant
            | Outcome::NotLoaded
            | Outcome::Drifted
            | Outcome::Altered
            | Outcome::NoFix => kind != ItemKind::Lock && about.waivable, // Also refused when read.
            _ => false,
        };
        let waiver_ends = if can_be_waived { self.waived_until(id) } else { None };
        let mut waived_until = None;
        if waiver_ends.is_some() {
            match beyond_waivers {
                None => (outcome, waived_until) = (Outcome::Waived, waiver_ends),
                // Of what failed the waiver takes its part; the rest stands.
                Some(rest) => (outcome, code) = (rest, self::code(kind, rest)),
            }
        }
        let holds = match outcome {
            Outcome::NotApplicable | Outcome::Applied | Outcome::Waived | Outcome::Pending => false,
            Outcome::NoFix => due(item).is_none_or(|due| due <= self.now),
            Outcome::Unknown
            | Outcome::Absent
            | Outcome::Ambiguous
            | Outcome::Drifted
            | Outcome::NotLoaded
            | Outcome::Missing
            | Outcome::WrongVariant
            | Outcome::Altered
            | Outcome::Denied
            | Outcome::Stale => true,
        };
        // What is known to be bad, or may be, holds whatever the item says of itself.
        let bad = outcome == Outcome::Denied || may_be_denied;
        let enforced = about.enforce == Enforce::Hold || kind == ItemKind::Lock || bad;
        let verdict = if holds && enforced { Verdict::Hold } else { Verdict::Issue };
        let changes_at = match outcome {
            Outcome::Pending => required_from(item),
            Outcome::NoFix if enforced => due(item).filter(|due| *due > self.now),
            _ => waiver_ends,
        };
        (Judged { item: id.clone(), kind, outcome, verdict, code, waived_until, details }, changes_at)
    }

    fn waived_until(&self, item: &ItemId) -> Option<Time> {
        let waivers = self.baseline().waivers.iter();
        let mine = waivers.filter(|waiver| waiver.item == *item && waiver.hosts.contains(&self.entry.host.id));
        mine.map(|waiver| waiver.until).filter(|until| self.now < *until).max()
    }
}

fn required_from(item: Item<'_>) -> Option<Time> {
    match item {
        Item::Fix(fix) => fix.required_from,
        Item::Setting(_) | Item::Program(_) | Item::Config(_) => None,
    }
}

fn due(item: Item<'_>) -> Option<Time> {
    match item {
        Item::Fix(Fix { requires: Requires::NoFixYet { due, .. }, .. }) => Some(*due),
        Item::Fix(_) | Item::Setting(_) | Item::Program(_) | Item::Config(_) => None,
    }
}

/// The reason's code of an outcome that is not as it should be.
fn code(kind: ItemKind, outcome: Outcome) -> Option<Code> {
    Some(match outcome {
        Outcome::NotApplicable | Outcome::Applied | Outcome::Waived | Outcome::Pending => return None,
        Outcome::NoFix => Code::NoFix,
        Outcome::Unknown => Code::Unknown,
        Outcome::Absent if kind == ItemKind::Lock => Code::LockAbsent,
        Outcome::Absent => Code::Absent,
        Outcome::Ambiguous if kind == ItemKind::Lock => Code::LockAmbiguous,
        Outcome::Ambiguous => Code::SettingAmbiguous,
        Outcome::Drifted => match kind {
            ItemKind::Lock => Code::LockDrifted,
            ItemKind::Config => Code::ConfigDrifted,
            ItemKind::Fix | ItemKind::Setting | ItemKind::Program => Code::SettingDrifted,
        },
        Outcome::NotLoaded => Code::NotLoaded,
        Outcome::Missing => Code::FixMissing,
        Outcome::WrongVariant => Code::WrongVariant,
        Outcome::Altered => Code::Altered,
        Outcome::Denied => Code::Denied,
        Outcome::Stale => Code::Stale,
    })
}
