//! What the site view and the help say, line by line, wrapped to the window; not how it is drawn.

use crate::cells;

pub mod help;
pub mod site;

/// How a line is meant. Each has a mark as well as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it must be.
    Good,
    /// Counted, but not held for.
    Warn,
    /// Held for.
    Bad,
    /// A head.
    Strong,
    /// Text.
    Plain,
    /// Of less weight.
    Dim,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Cells left free before it.
    pub indent: usize,
    /// Whether the tone's mark stands before the text.
    pub marked: bool,
    /// How it is meant.
    pub tone: Tone,
    /// Cleaned, and no wider than the window.
    pub text: String,
}

impl Line {
    /// An empty one.
    fn blank() -> Self {
        Self { indent: 0, marked: false, tone: Tone::Plain, text: String::new() }
    }
}

/// Cells of a mark and the space behind it.
pub const MARK_CELLS: usize = 2;

/// Appends `text` in as many lines as it needs in `width` cells; only the first is marked.
fn push(lines: &mut Vec<Line>, width: usize, indent: usize, marked: bool, tone: Tone, text: &str) {
    let hang = if marked { MARK_CELLS } else { 0 };
    for (index, text) in cells::wrap(text, width.saturating_sub(indent + hang)).into_iter().enumerate() {
        let first = index == 0;
        let indent = if first { indent } else { indent + hang };
        lines.push(Line { indent, marked: marked && first, tone, text });
    }
}
