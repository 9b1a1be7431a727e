//! `sekisho items`

use std::io::{self, Write};

use manifests::api::ItemRow;
use manifests::text::text;

use super::table::{self, Align};
use super::{End, Style, print_as};
use crate::args::Form;
use crate::words;

/// Prints the items.
///
/// # Errors
/// Where `out` fails.
pub fn print(items: &[ItemRow], form: Form, style: Style, out: &mut impl Write) -> io::Result<End> {
    print_as(form, &items, out, |out| people(items, style, out))?;
    Ok(End::of(!items.is_empty() && items.iter().all(|item| item.holds.is_empty())))
}

fn people(items: &[ItemRow], style: Style, out: &mut impl Write) -> io::Result<()> {
    let lang = style.lang;
    let head = ["head-kind", "head-item", "head-holds", "head-outcomes", "head-title"]
        .map(|key| (text(lang, key), Align::Left));
    let mut items: Vec<&ItemRow> = items.iter().collect();
    // Stable: items that hold equally many sites stay in the baseline's order.
    items.sort_by_key(|item| std::cmp::Reverse(item.holds.len()));
    let rows: Vec<Vec<String>> = items
        .into_iter()
        .map(|item| {
            let mut outcomes = item.outcomes.clone();
            outcomes.sort_by_key(|(outcome, _)| std::cmp::Reverse(*outcome));
            let outcomes: Vec<String> = outcomes
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(outcome, count)| format!("{} {count}", text(lang, &words::key_of("outcome", outcome))))
                .collect();
            vec![
                text(lang, &words::key_of("kind", &item.kind)),
                item.item.to_string(),
                table::few(&item.holds),
                outcomes.join(", "),
                item.title.as_ref().map_or_else(String::new, |title| title.text(lang).to_owned()),
            ]
        })
        .collect();
    table::write(out, &head, &rows)
}
