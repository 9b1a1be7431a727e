//! The terminal, given back as it was found: at the end, after an error, after a panic.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};

use ratatui::DefaultTerminal;

/// The terminal in the dashboard's hands. Dropping it restores the screen; a panic does so first,
/// so that its message can be read.
#[derive(Debug)]
pub struct Terminal {
    /// To draw on.
    pub screen: DefaultTerminal,
}

impl Terminal {
    /// Takes the terminal: raw keys, the alternate screen, a panic hook.
    ///
    /// # Errors
    /// Where the terminal refuses.
    pub fn take() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(screen) => Ok(Self { screen }),
            Err(error) => {
                // It may have stopped half-way, in raw mode.
                ratatui::restore();
                Err(error)
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What the dashboard lacks here to be drawn, in words; nothing if it can be.
pub fn lack() -> Option<&'static str> {
    lacks(io::stdout().is_terminal() && io::stdin().is_terminal(), std::env::var_os("TERM").as_deref())
}

fn lacks(is_terminal: bool, term: Option<&OsStr>) -> Option<&'static str> {
    match term.and_then(OsStr::to_str) {
        _ if !is_terminal => Some("the dashboard needs a terminal"),
        None | Some("") => Some("the dashboard needs to know the terminal: TERM is not set (as TERM=xterm-256color)"),
        Some("dumb") => Some("the dashboard needs a terminal that can place the cursor, and TERM is dumb"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboard_opens_only_where_it_can_be_drawn() {
        let term = |text| Some(OsStr::new(text));
        assert_eq!(lacks(true, term("xterm")), None);
        assert!(lacks(false, term("xterm")).is_some());
        assert!(lacks(true, term("dumb")).is_some_and(|what| what.contains("dumb")));
        for unset in [None, term("")] {
            assert!(lacks(true, unset).is_some_and(|what| what.contains("not set")));
        }
    }
}
