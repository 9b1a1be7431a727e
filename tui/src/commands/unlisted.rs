//! `sekisho unlisted` and `sekisho take-over`: stops under keys that the registry does not list.

use std::io::{self, Write};

use manifests::api::UnlistedStop;
use manifests::text::{text, text_with};

use super::table::{self, Align};
use super::{End, Style, print_as};
use crate::args::Form;
use crate::words;

/// Prints the stops that wait to be taken over. A bad end while there is one.
///
/// # Errors
/// Where `out` fails.
pub fn print(stops: &[UnlistedStop], form: Form, style: Style, out: &mut impl Write) -> io::Result<End> {
    print_as(form, &stops, out, |out| people(stops, style, out))?;
    Ok(End::of(stops.is_empty()))
}

fn people(stops: &[UnlistedStop], style: Style, out: &mut impl Write) -> io::Result<()> {
    let lang = style.lang;
    if stops.is_empty() {
        return writeln!(out, "{}", text(lang, "unlisted-none"));
    }
    let keys = [
        "head-number",
        "head-time",
        "head-scope",
        "head-operator",
        "head-hosts",
        "head-digest",
        "head-key",
        "head-reason",
    ];
    let head = keys.map(|key| (text(lang, key), if key == "head-number" { Align::Right } else { Align::Left }));
    let row = |stop: &UnlistedStop| {
        vec![
            stop.stop.number.to_string(),
            words::moment(stop.time),
            words::scope(lang, &stop.scope),
            stop.operator.clone(),
            table::few(&stop.hosts),
            stop.stop.digest.to_string(),
            stop.key.to_string(),
            stop.reason.clone(),
        ]
    };
    table::write(out, &head, &stops.iter().map(row).collect::<Vec<_>>())
}

/// What `sekisho stops` says beside its list while stops wait to be taken over.
pub fn note(count: usize, style: Style) -> Option<String> {
    (count > 0).then(|| text_with(style.lang, "unlisted-waiting", &[("count", count.into())]))
}
