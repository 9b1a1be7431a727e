//! The terminal, given back as it was found: at the end, after an error, after a panic.

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

/// Whether there is a terminal to draw on and to read keys from.
pub fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}
