//! The table of sites: search, order, cursor.

use std::collections::BTreeMap;

use manifests::api::{SiteRow, Standing};
use manifests::text::{self, Lang};

use crate::cells;
use crate::keymap::Action;
use crate::model::{Model, Sort};
use crate::standing::Shown;
use crate::words;

/// Takes a new fleet into the table.
pub(super) fn load(model: &mut Model) {
    let Some((fleet, _)) = &model.fleet else { return };
    // A text is looked up once for all sites: formatting dominates the first screen otherwise.
    let mut known = BTreeMap::new();
    let haystacks = fleet.sites.iter().map(|row| haystack(row, &mut known)).collect();
    model.table.haystacks = haystacks;
    refilter(model);
}

/// What a site is found by: code, names, state, reasons; words in both languages.
fn haystack(row: &SiteRow, known: &mut BTreeMap<&'static str, String>) -> String {
    let mut words: Vec<&str> = vec![row.code.as_str(), &row.name.en];
    words.extend(row.name.ja.as_deref());
    for reason in &row.reasons {
        words.push(reason.code.as_str());
        words.extend(reason.item.as_ref().map(|item| item.as_str()));
        words.extend(reason.host.as_ref().map(|host| host.as_str()));
    }
    let mut text = words.join("\n");
    let standing = match row.standing {
        Standing::Held => Shown::Held,
        Standing::Silent => Shown::Silent,
        Standing::Lapsed => Shown::Lapsed,
        Standing::Stopped => Shown::Stopped,
        Standing::Verified => Shown::Verified,
    };
    let both = |of: &dyn Fn(Lang) -> String| format!("\n{}\n{}", of(Lang::En), of(Lang::Ja));
    text.push_str(known.entry(standing.key()).or_insert_with(|| both(&|lang| words::state(lang, standing))));
    for reason in &row.reasons {
        text.push_str(
            known.entry(reason.code.as_str()).or_insert_with(|| both(&|lang| text::reason_short(lang, reason.code))),
        );
    }
    cells::folded(&text)
}

/// Makes the rows anew; the cursor stays on the chosen site while that is shown.
pub(super) fn refilter(model: &mut Model) {
    let Some((fleet, _)) = &model.fleet else { return };
    let wanted = model.table.filter.wanted();
    let mut rows: Vec<usize> = (0..fleet.sites.len())
        .filter(|index| {
            let passes = model.table.haystacks.get(*index).is_some_and(|text| wanted.passes(text));
            let row = fleet.sites.get(*index);
            // A stop in force is found by its own word, also where something worse is shown.
            let is =
                |row: &SiteRow, only| model.shown(row) == only || (only == Shown::Stopped && Shown::is_stopped(row));
            passes && row.is_some_and(|row| model.table.only.is_none_or(|only| is(row, only)))
        })
        .collect();
    // The controller's order is not relied on: bad news comes first whatever it sends.
    rows.sort_by_cached_key(|index| {
        let row = fleet.sites.get(*index);
        let since = row.map_or(0, |row| row.since.unix_ms());
        let until = row.and_then(|row| row.verified_until).map_or(0, |until| until.unix_ms());
        let rank = match model.table.sort {
            Sort::News => row.map_or(0, |row| model.shown(row) as i64),
            Sort::Code => 0,
            Sort::Since => since.saturating_neg(),
            Sort::Until => until,
        };
        (rank, row.map(|row| row.code.clone()))
    });
    let chosen = model.table.chosen.as_ref();
    let place = chosen
        .and_then(|code| rows.iter().position(|index| fleet.sites.get(*index).is_some_and(|row| row.code == *code)));
    model.table.rows = rows;
    if let Some(place) = place {
        model.table.cursor = place;
    } else if chosen.is_none() {
        model.table.cursor = 0;
    }
    keep_cursor_visible(model);
}

/// Clamps the cursor to the rows and moves the window so that it is inside.
pub(super) fn keep_cursor_visible(model: &mut Model) {
    let height = model.table_height().max(1);
    let table = &mut model.table;
    table.cursor = table.cursor.min(table.rows.len().saturating_sub(1));
    let lowest = (table.cursor + 1).saturating_sub(height);
    let highest = table.cursor.min(table.rows.len().saturating_sub(height));
    table.offset = table.offset.clamp(lowest, highest.max(lowest));
}

/// An action in the fleet's table.
pub(super) fn act(model: &mut Model, action: Action) {
    let height = model.table_height().max(2);
    let last = model.table.rows.len().saturating_sub(1);
    let cursor = model.table.cursor;
    match action {
        Action::Up => move_to(model, cursor.saturating_sub(1)),
        Action::Down => move_to(model, cursor + 1),
        Action::PageUp => move_to(model, cursor.saturating_sub(height - 1)),
        Action::PageDown => move_to(model, cursor + height - 1),
        Action::HalfUp => move_to(model, cursor.saturating_sub(height / 2)),
        Action::HalfDown => move_to(model, cursor + height / 2),
        Action::First => move_to(model, 0),
        Action::Last => move_to(model, last),
        Action::Filter => model.table.filter.typing = true,
        Action::Next => cycle(model, true),
        Action::Previous => cycle(model, false),
        Action::Sort => {
            model.table.sort = model.table.sort.next();
            refilter(model);
        }
        Action::Back => {
            model.table.filter.text.clear();
            model.table.only = None;
            refilter(model);
        }
        Action::Open | Action::Refresh | Action::Help | Action::Quit => {}
    }
}

fn move_to(model: &mut Model, position: usize) {
    model.table.cursor = position.min(model.table.rows.len().saturating_sub(1));
    model.table.chosen = model.row(model.table.cursor).map(|row| row.code.clone());
    keep_cursor_visible(model);
}

fn cycle(model: &mut Model, forward: bool) {
    // All, then each state in turn.
    let states = Shown::ALL.len();
    let current = model.table.only.and_then(|only| Shown::ALL.iter().position(|s| *s == only)).map_or(0, |p| p + 1);
    let next = if forward { current + 1 } else { current + states } % (states + 1);
    model.table.only = next.checked_sub(1).and_then(|position| Shown::ALL.get(position)).copied();
    refilter(model);
}
