//! The help: the keys that work here, from the table that handles them, and what the states mean.

use manifests::text::text;

use super::{Line, Tone, push};
use crate::cells;
use crate::keymap::{self, Place};
use crate::model::{Model, Shown};
use crate::words;

const KEY_CELLS: usize = 14;

/// Every line of the help for the page below it.
pub fn lines(model: &Model) -> Vec<Line> {
    let width = usize::from(model.size.0);
    let place = if model.site.is_some() { Place::Site } else { Place::Fleet };
    let mut lines = Vec::new();
    let mut add = |tone, text: &str| push(&mut lines, width, 0, false, tone, text);
    add(Tone::Strong, &text(model.lang, "help-title"));
    for binding in keymap::bindings_at(place) {
        add(Tone::Plain, &format!("{}  {}", cells::fit(binding.label, KEY_CELLS), text(model.lang, binding.text)));
    }
    add(Tone::Plain, "");
    add(Tone::Strong, &text(model.lang, "help-states"));
    for shown in Shown::ALL {
        let meaning = text(model.lang, shown.key().replace("standing-", "help-state-").as_str());
        add(Tone::Plain, &format!("{}  {meaning}", cells::fit(&words::state(model.lang, shown), KEY_CELLS)));
    }
    add(Tone::Plain, "");
    add(Tone::Dim, &text(model.lang, "help-close"));
    lines
}
