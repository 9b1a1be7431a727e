//! Plain tables, aligned by cells so that kanji line up; no escape sequence in or out.

use std::io::{self, Write};

use crate::cells::{clean, fit, fit_right, width};

/// Which end of its column a text stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Names shown in one cell; the number of all stands before them.
const NAMES_SHOWN: usize = 5;

/// `7: 011002 052141 131016 372013 402206 ..`, or a dash for none.
pub(super) fn few(names: impl IntoIterator<Item = impl ToString>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let count = names.len();
    few_of(names, count)
}

/// The same of `count` names, of which the first are known.
pub(super) fn few_of(names: impl IntoIterator<Item = impl ToString>, count: usize) -> String {
    let shown: Vec<String> = names.into_iter().take(NAMES_SHOWN).map(|name| name.to_string()).collect();
    if count == 0 {
        return "-".to_owned();
    }
    let more = if count > shown.len() { " .." } else { "" };
    format!("{count}: {}{more}", shown.join(" "))
}

/// Writes head and rows, two spaces between columns. Nothing is cut: pipes have no width.
pub(super) fn write(out: &mut impl Write, head: &[(String, Align)], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = head.iter().map(|(text, _)| width(text)).collect();
    for row in rows {
        for (widest, text) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(&clean(text)));
        }
    }
    let names: Vec<String> = head.iter().map(|(text, _)| text.clone()).collect();
    for row in std::iter::once(&names).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(head)
            .zip(&widths)
            .map(|((text, (_, align)), cells)| match align {
                Align::Left => fit(text, *cells),
                Align::Right => fit_right(text, *cells),
            })
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
