//! What running processes have of some files: outcomes, with words for people.

use super::program::unknown;
use crate::evidence::{Held, OlderWhy};
use crate::outcome::Outcome;

/// How what processes have stands: an outcome for each kind of file that is not shown to be as on disk,
/// none where all are. What could not be told stays beside what is known to be older: a waiver for the
/// one must not cover up the other.
///
/// `elsewhere` is the outcome of a file that a process sees with another content at the same path.
pub(super) fn failings(held: &Held, elsewhere: Outcome) -> Vec<(Outcome, String)> {
    let mut failings = Vec::new();
    if let Some(file) = held.elsewhere.first() {
        failings.push((elsewhere, format!("a process sees another {file}{}", and_more(held.elsewhere.len()))));
    }
    if let Some(older) = held.older.first() {
        let words = words(older.why);
        failings.push((
            Outcome::NotLoaded,
            format!("a process has an older {} ({words}){}", older.file, and_more(held.older.len())),
        ));
    }
    if let Some(gap) = held.unknown.first() {
        let found = format!("{} {}{}", gap.what, unknown(gap.why), and_more(held.unknown.len()));
        failings.push((Outcome::Unknown, found));
    }
    // Refused when it is taken in: `more` counts what a full list has no room for.
    if failings.is_empty() && held.more > 0 {
        failings.push((Outcome::Unknown, format!("{} files not listed", held.more)));
    }
    failings
}

fn and_more(listed: usize) -> String {
    if listed > 1 { format!(" and {} more", listed - 1) } else { String::new() }
}

fn words(why: OlderWhy) -> &'static str {
    match why {
        OlderWhy::Held => "held",
        OlderWhy::Changed => "changed since it was read",
        OlderWhy::BeforeFirstLook => "changed after the start, before the first look",
        OlderWhy::MayHaveGone => "something may have been removed after the start",
        OlderWhy::Mounted => "mounted, perhaps after the start",
        OlderWhy::Copy => "runs from a copy",
        OlderWhy::Shadowed => "taken from outside of the tree",
    }
}
