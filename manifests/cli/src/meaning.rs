//! What a document changes, by meaning: for whoever is about to sign it, or asks how things stand.

pub(crate) mod baseline;
pub(crate) mod registry;
pub(crate) mod root;

use manifests::time::{Span, Time};

/// How long something lasts yet, in whole days.
pub(crate) fn days(until: Time, now: Time) -> String {
    if until <= now {
        return "over".to_owned();
    }
    let days = until.since(now).as_ms() / Span::from_s(86_400).as_ms();
    if days == 1 { "1 day left".to_owned() } else { format!("{days} days left") }
}
