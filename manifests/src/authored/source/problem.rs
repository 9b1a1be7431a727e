//! What is wrong with a file, and where.

use std::fmt;

/// One mistake in a file that a release manager wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Stable kebab-case code; `docs/baseline.md` lists them all.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write, where that can be told.
    pub hint: Option<String>,
    /// Where in the document, as `fix[2].requires[0].program`; empty for the whole of it.
    pub key: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.line, self.column, self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}
