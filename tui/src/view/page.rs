//! A scrolled page of lines: the site view and the help.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::page;
use crate::theme::Theme;

/// Draws the lines from `top` on; `old` takes every colour away.
pub(super) fn draw(lines: &[page::Line], top: usize, theme: Theme, old: bool, area: Rect, frame: &mut Frame<'_>) {
    for (line, row) in lines.iter().skip(top).zip(area.rows()) {
        let style = if old { theme.old() } else { theme.tone(line.tone) };
        let mut spans = vec![Span::raw(" ".repeat(line.indent))];
        if line.marked {
            spans.push(Span::styled(format!("{} ", theme.mark(line.tone)), style));
        }
        // A good line's word is not green: green is the mark's, and rare.
        let text = if line.tone == page::Tone::Good && !old { Style::new() } else { style };
        spans.push(Span::styled(line.text.as_str(), text));
        frame.render_widget(Line::from(spans), row);
    }
}
