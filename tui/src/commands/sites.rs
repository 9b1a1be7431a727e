//! `sekisho sites`

use std::io::{self, Write};

use manifests::api::{FleetView, SiteRow, Standing};
use manifests::text::{text, text_with};

use super::table::{self, Align};
use super::{End, Style, print_as};
use crate::args::Form;
use crate::page::Tone;
use crate::standing::Shown;
use crate::words;

/// Prints the fleet.
///
/// # Errors
/// Where `out` fails.
pub fn print(fleet: &FleetView, form: Form, style: Style, out: &mut impl Write) -> io::Result<End> {
    print_as(form, fleet, out, |out| people(fleet, style, out))?;
    Ok(End::of(words::all_verified(&fleet.counts) && run_out(fleet) == 0))
}

/// Sites that the controller calls verified by evidence that has run out.
fn run_out(fleet: &FleetView) -> u32 {
    let run_out = |row: &&SiteRow| {
        row.standing == Standing::Verified && Shown::of(row.standing, row.verified_until, fleet.time) == Shown::Lapsed
    };
    u32::try_from(fleet.sites.iter().filter(run_out).count()).unwrap_or(u32::MAX)
}

fn people(fleet: &FleetView, style: Style, out: &mut impl Write) -> io::Result<()> {
    let Style { lang, theme } = style;
    let shown = |row: &SiteRow| Shown::of(row.standing, row.verified_until, fleet.time);
    let counts = words::counts(lang, fleet, run_out(fleet));
    let counts: Vec<String> = counts.into_iter().map(|(_, words)| words).chain(words::warned(lang, fleet)).collect();
    let baseline = match &fleet.baseline {
        Some(baseline) => text_with(lang, "baseline-version", &[("version", baseline.version.as_str().into())]),
        None => text(lang, "baseline-none"),
    };
    let as_of = text_with(lang, "data-as-of", &[("time", words::moment(fleet.time).into())]);
    writeln!(out, "{}", counts.join(theme.separator()))?;
    writeln!(out, "{}{}{as_of}", crate::cells::clean(&baseline), theme.separator())?;
    for sentence in words::expiring(lang, fleet) {
        writeln!(out, "{} {sentence}", theme.mark(Tone::Warn))?;
    }
    writeln!(out)?;

    let mut sites: Vec<&SiteRow> = fleet.sites.iter().collect();
    sites.sort_by_key(|row| (shown(row), row.code.clone()));
    let head = ["head-state", "head-code", "head-name", "head-hosts", "head-since", "head-until", "head-reason"]
        .map(|key| (text(lang, key), if key == "head-hosts" { Align::Right } else { Align::Left }));
    let rows: Vec<Vec<String>> = sites
        .into_iter()
        .map(|row| {
            let state = shown(row);
            vec![
                format!("{} {}", theme.glyph(state), words::state(lang, state)),
                row.code.to_string(),
                row.name.text(lang).to_owned(),
                row.hosts.to_string(),
                words::moment(row.since),
                state.until(row).map_or_else(|| "-".to_owned(), words::moment),
                words::sentences(lang, theme.mark(Tone::Warn), &state.reasons(row), &row.warnings),
            ]
        })
        .collect();
    table::write(out, &head, &rows)
}
