//! The table of sites. Only the rows on the screen are made.

use manifests::api::SiteRow;
use manifests::text::text;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::WIDE;
use crate::cells::{fit, fit_right};
use crate::model::Model;
use crate::page::Tone;
use crate::theme::Theme;
use crate::words;

const CURSOR: usize = 1;
const STATE: usize = 12;
const CODE: usize = 6;
const HOSTS: usize = 3;
const BRIEF: usize = 5;
const MINUTE: usize = 11;

/// Widths in cells of what differs from window to window; none for columns left out.
struct Columns {
    name: usize,
    name_en: Option<usize>,
    reason: usize,
    hosts: bool,
    since: bool,
    time: usize,
}

impl Columns {
    fn of(width: u16, japanese: bool) -> Self {
        let mut columns = match width {
            ..80 => Self { name: 12, name_en: None, reason: 0, hosts: false, since: false, time: BRIEF },
            80..WIDE => Self { name: 14, name_en: None, reason: 0, hosts: true, since: true, time: BRIEF },
            WIDE.. => {
                let name_en = japanese.then_some(18);
                Self { name: 18, name_en, reason: 0, hosts: true, since: true, time: MINUTE }
            }
        };
        let mut used = CURSOR + STATE + 1 + CODE + 1 + columns.name + 1 + 1 + columns.time;
        used += columns.name_en.map_or(0, |cells| cells + 1);
        used += if columns.hosts { HOSTS + 1 } else { 0 };
        used += if columns.since { columns.time + 1 } else { 0 };
        columns.reason = usize::from(width).saturating_sub(used);
        columns
    }
}

/// Draws head and rows.
pub(super) fn draw(model: &Model, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let Some((fleet, _)) = &model.fleet else { return };
    let columns = Columns::of(area.width, model.lang == manifests::text::Lang::Ja);
    let mut rows = area.rows();
    if let Some(row) = rows.next() {
        frame.render_widget(Line::styled(head(model, &columns), theme.head()), row);
    }
    if model.table.rows.is_empty() {
        let key = if fleet.sites.is_empty() { "fleet-empty" } else { "filter-nothing" };
        if let Some(row) = rows.next() {
            frame.render_widget(Line::raw(text(model.lang, key)), row);
        }
        return;
    }
    for (position, area) in (model.table.offset..).zip(rows) {
        let Some(row) = model.row(position) else { break };
        let mut line = site(model, theme, &columns, row, position == model.table.cursor);
        if position == model.table.cursor {
            line = line.patch_style(theme.cursor());
        }
        frame.render_widget(line, area);
    }
}

fn head(model: &Model, columns: &Columns) -> String {
    let word = |key| text(model.lang, key);
    let mut parts = vec![fit(&word("head-state"), STATE), fit(&word("head-code"), CODE)];
    parts.push(fit(&word("head-name"), columns.name));
    parts.extend(columns.name_en.map(|cells| fit("", cells)));
    parts.push(fit(&word("head-reason"), columns.reason));
    if columns.hosts {
        parts.push(fit_right(&word("head-hosts-short"), HOSTS));
    }
    if columns.since {
        parts.push(fit(&word("head-since"), columns.time));
    }
    parts.push(fit(&word("head-until"), columns.time));
    format!("{}{}", " ".repeat(CURSOR), parts.join(" "))
}

fn site<'a>(model: &Model, theme: Theme, columns: &Columns, row: &SiteRow, chosen: bool) -> Line<'a> {
    let shown = model.shown(row);
    let now = model.server_now();
    let time = |time| if columns.time == BRIEF { words::brief(time, now) } else { words::day_and_minute(time) };
    let (state_style, style) = if model.is_old() {
        // Never the colour of a state that may be over.
        (theme.old(), theme.old())
    } else {
        (theme.state(shown), Style::new())
    };
    let warning_style = if model.is_old() { theme.old() } else { theme.tone(Tone::Warn) };
    let mut rest = vec![fit(row.code.as_str(), CODE), fit(row.name.text(model.lang), columns.name)];
    rest.extend(columns.name_en.map(|cells| fit(&row.name.en, cells)));
    let reasons = shown.reasons(row);
    let why = if reasons.is_empty() {
        words::warning(model.lang, &row.warnings, columns.reason)
    } else {
        words::reasons(model.lang, &reasons, columns.reason)
    };
    rest.push(fit(&why, columns.reason));
    if columns.hosts {
        rest.push(fit_right(&row.hosts.to_string(), HOSTS));
    }
    if columns.since {
        rest.push(fit(&time(row.since), columns.time));
    }
    let until = shown.until(row);
    rest.push(fit(&until.map_or_else(|| "-".to_owned(), time), columns.time));
    Line::from(vec![
        Span::styled(if chosen { ">" } else { " " }, Style::new().add_modifier(Modifier::BOLD)),
        Span::styled(fit(&super::state_text(model.lang, theme, shown), STATE), state_style),
        // One cell: a warning beside the state, whatever the state is.
        if row.warnings.is_empty() { Span::raw(" ") } else { Span::styled(theme.mark(Tone::Warn), warning_style) },
        Span::styled(rest.join(" "), style),
    ])
}
