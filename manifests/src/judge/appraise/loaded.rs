//! What running processes have of some files, in one word and in words for people.

use super::program::unknown;
use crate::evidence::{Held, OlderWhy};

/// How what processes have compares with the disk, worst last; the text names the first file.
pub(super) enum Compared {
    /// As on disk.
    Current,
    /// It could not be told.
    Unknown(String),
    /// A process has, or may have, something older.
    Older(String),
    /// A process sees another file at the path.
    Elsewhere(String),
}

pub(super) fn compared(held: &Held) -> Compared {
    let more = held.older.len() + held.elsewhere.len() + held.unknown.len() + held.more as usize;
    let and_more = if more > 1 { format!(" and {} more", more - 1) } else { String::new() };
    if let Some(file) = held.elsewhere.first() {
        Compared::Elsewhere(format!("another {file}{and_more}"))
    } else if let Some(older) = held.older.first() {
        Compared::Older(format!("an older {} ({}){and_more}", older.file, words(older.why)))
    } else if let Some(gap) = held.unknown.first() {
        Compared::Unknown(format!("{} {}{and_more}", gap.what, unknown(gap.why)))
    } else if held.more > 0 {
        Compared::Unknown(format!("{} files not listed", held.more))
    } else {
        Compared::Current
    }
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
