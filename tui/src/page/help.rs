//! The help: the keys that work here, from the table that handles them, and what the states mean.

use manifests::text::text;

use super::{Line, Tone};
use crate::cells;
use crate::keymap::{self, Place};
use crate::model::Model;
use crate::standing::Shown;
use crate::words;

const KEY_CELLS: usize = 16;

/// Every line of the help for the page below it.
pub fn lines(model: &Model) -> Vec<Line> {
    let width = usize::from(model.size.0);
    let place = if model.site.is_some() { Place::Site } else { Place::Fleet };
    let mut lines = vec![line(Tone::Strong, text(model.lang, "help-title"))];
    for binding in keymap::bindings_at(place) {
        define(&mut lines, width, binding.label, &text(model.lang, binding.text));
    }
    lines.push(Line::blank());
    lines.push(line(Tone::Strong, text(model.lang, "help-states")));
    for shown in Shown::ALL {
        let meaning = text(model.lang, &shown.key().replace("standing-", "help-state-"));
        define(&mut lines, width, &format!("{} {}", shown.letter(), words::state(model.lang, shown)), &meaning);
    }
    define(&mut lines, width, &text(model.lang, "help-warned-word"), &text(model.lang, "help-warned"));
    lines
}

fn line(tone: Tone, text: String) -> Line {
    Line { indent: 0, marked: false, tone, text }
}

/// A word and what it means; the meaning's further lines stand below its first.
fn define(lines: &mut Vec<Line>, width: usize, word: &str, meaning: &str) {
    for (index, part) in cells::wrap(meaning, width.saturating_sub(KEY_CELLS)).into_iter().enumerate() {
        let word = if index == 0 { word } else { "" };
        lines.push(line(Tone::Plain, format!("{}{part}", cells::fit(word, KEY_CELLS))));
    }
}
