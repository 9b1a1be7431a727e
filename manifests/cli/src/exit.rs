//! How the program ends: the one table of exit codes. It knows no subcommand; each error names its own entry.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use manifests::chain::chain;

/// What the program exits with where something went wrong.
///
/// In the order of their numbers, which are those of sysexits.h where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Refused, or mistakes were found.
    Refused = 1,
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// The controller cannot be reached (`EX_UNAVAILABLE`).
    Unreachable = 69,
    /// A file cannot be read or written (`EX_IOERR`).
    Io = 74,
}

/// The table as `--help` shows it.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused, or mistakes found; 64 wrong usage; \
                                     69 the controller cannot be reached; 74 a file cannot be read or written.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error that can end the program.
pub(crate) trait Fatal: Error {
    /// What the program then exits with.
    fn exit(&self) -> Exit;
}

/// Any error that ends a subcommand. Shown with all its causes, in one line.
pub(crate) struct CommandError(Box<dyn Fatal>);

impl CommandError {
    /// What the program exits with.
    pub(crate) fn exit(&self) -> Exit {
        self.0.exit()
    }
}

impl<E: Fatal + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(&*self.0))
    }
}

impl fmt::Debug for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
