//! `sekisho stops`

use std::collections::BTreeSet;
use std::io::{self, Write};

use manifests::api::{StopCounts, StopView};
use manifests::id::SiteCode;
use manifests::stop::Scope;
use manifests::text::text;

use super::table::{self, Align};
use super::{End, Style, print_as};
use crate::args::Form;
use crate::words;

/// Prints the stops as they come: newest first. A bad end while one of them stops a site.
///
/// # Errors
/// Where `out` fails.
pub fn print(stops: &[StopView], form: Form, style: Style, out: &mut impl Write) -> io::Result<End> {
    print_as(form, &stops, out, |out| people(stops, style, out))?;
    Ok(End::of(!stops.iter().any(stands)))
}

/// Whether it stops any site still: not every site that it covers was lifted.
fn stands(stop: &StopView) -> bool {
    if let Some(counts) = stop.counts {
        return counts.stopped > 0;
    }
    let hosts = stop.acknowledged.iter().chain(stop.outstanding.iter().map(|(host, _)| host));
    let named: &[SiteCode] = match &stop.scope {
        Scope::Sites { sites } => sites,
        Scope::All | Scope::Prefecture { .. } | Scope::Unrecognized(_) => &[],
    };
    let covered: BTreeSet<&SiteCode> = hosts.map(|host| host.site()).chain(named).collect();
    // Whom it covers is not told here where no host is listed: it stands, then.
    covered.is_empty() || covered.iter().any(|site| !stop.lifted.contains(site))
}

fn people(stops: &[StopView], style: Style, out: &mut impl Write) -> io::Result<()> {
    let lang = style.lang;
    if stops.is_empty() {
        return writeln!(out, "{}", text(lang, "stops-none"));
    }
    let head = [
        "head-number",
        "head-time",
        "head-scope",
        "head-operator",
        "head-acknowledged",
        "head-outstanding",
        "head-lifted",
        "head-digest",
        "head-reason",
    ]
    .map(|key| (text(lang, key), if key == "head-number" { Align::Right } else { Align::Left }));
    let row = |stop: &StopView| {
        vec![
            stop.stop.number.to_string(),
            words::moment(stop.time),
            scope(stop, style),
            stop.operator.clone(),
            count(stop, |counts| counts.acknowledged, stop.acknowledged.len()).to_string(),
            table::few_of(
                stop.outstanding.iter().map(|(host, _)| host),
                count(stop, |counts| counts.outstanding, stop.outstanding.len()),
            ),
            match stands(stop) {
                true => table::few_of(&stop.lifted, count(stop, |counts| counts.lifted, stop.lifted.len())),
                false => text(lang, "stops-lifted-all"),
            },
            stop.stop.digest.to_string(),
            stop.reason.clone(),
        ]
    };
    table::write(out, &head, &stops.iter().map(row).collect::<Vec<_>>())
}

/// How many there are, of which a list may show a few.
fn count(stop: &StopView, of: impl Fn(&StopCounts) -> u32, shown: usize) -> usize {
    stop.counts.as_ref().and_then(|counts| usize::try_from(of(counts)).ok()).unwrap_or(shown)
}

fn scope(stop: &StopView, style: Style) -> String {
    match &stop.scope {
        Scope::Sites { sites } => table::few(sites.iter().collect::<BTreeSet<_>>()),
        Scope::All | Scope::Prefecture { .. } | Scope::Unrecognized(_) => words::scope(style.lang, &stop.scope),
    }
}
