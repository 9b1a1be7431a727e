//! Colours and glyphs by meaning. Whatever a colour says, a word and a shape say as well.
//!
//! Box drawing, arrows, bullets and ellipses are as wide as the terminal likes (East Asian Ambiguous):
//! on terminals set to wide they would shear the screen, so none is used but the dot between counts,
//! and that only outside `--ascii`.

use ratatui::style::{Color, Modifier, Style};

use crate::page::Tone;
use crate::standing::Shown;

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// ASCII marks only.
    pub ascii: bool,
    /// Whether colours are wanted. Bold and reverse stay without them.
    pub colour: bool,
}

impl Theme {
    /// The mark of a state: one cell.
    pub const fn glyph(self, shown: Shown) -> &'static str {
        match (shown, self.ascii) {
            (Shown::Held, false) => "✗",
            (Shown::Held, true) => "x",
            (Shown::Silent, _) => "?",
            (Shown::Lapsed, false) => "⚠",
            (Shown::Lapsed, true) => "!",
            (Shown::Stopped, false) => "▪",
            (Shown::Stopped, true) => "#",
            (Shown::Verified, false) => "✓",
            (Shown::Verified, true) => "+",
        }
    }

    /// The mark of a line: one cell.
    pub const fn mark(self, tone: Tone) -> &'static str {
        match (tone, self.ascii) {
            (Tone::Good, false) => "✓",
            (Tone::Good, true) => "+",
            (Tone::Warn, false) => "⚠",
            (Tone::Warn, true) => "!",
            (Tone::Bad, false) => "✗",
            (Tone::Bad, true) => "x",
            (Tone::Strong | Tone::Plain | Tone::Dim, _) => "-",
        }
    }

    /// Between counts.
    pub const fn separator(self) -> &'static str {
        if self.ascii { " | " } else { " · " }
    }

    fn coloured(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    /// A state's style.
    pub fn state(self, shown: Shown) -> Style {
        match shown {
            Shown::Held => self.coloured(Color::Red).add_modifier(Modifier::BOLD),
            Shown::Silent | Shown::Lapsed => self.coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            Shown::Stopped => self.coloured(Color::Magenta).add_modifier(Modifier::BOLD),
            Shown::Verified => self.coloured(Color::Green),
        }
    }

    /// A line's style.
    pub fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Good => self.coloured(Color::Green),
            Tone::Warn => self.coloured(Color::Yellow),
            Tone::Bad => self.coloured(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
            Tone::Plain => Style::new(),
            Tone::Dim => self.old(),
        }
    }

    /// What is known to be old.
    pub fn old(self) -> Style {
        // Not both: grey and dim together vanish on a dark screen.
        if self.colour { Style::new().fg(Color::DarkGray) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    /// No contact.
    pub fn banner(self) -> Style {
        if self.colour {
            Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        }
    }

    /// The product's name, and the mark of a fleet that is not real.
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A mark that must not be overlooked.
    pub fn stamp(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// The table's head and the last line.
    pub fn head(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    /// The row under the cursor.
    pub fn cursor(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
