//! What is signed is shown first, and asked about where somebody is there to answer.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::{Exit, Fatal};

/// Most bytes read of an answer.
const ANSWER_BYTES_MAX: u64 = 100;

/// Whether somebody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// At a terminal, part by part.
    Asked,
    /// By the command line, or because nobody is there: the lines are printed all the same.
    Given,
}

/// The terminal is gone.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask; `--yes` signs without asking")]
pub(crate) struct ConsentError(#[source] io::Error);

impl Fatal for ConsentError {
    fn exit(&self) -> Exit {
        Exit::Io
    }
}

impl Consent {
    /// Asks at a terminal unless `yes` was said.
    pub(crate) fn new(yes: bool) -> Self {
        // Somebody must see the question, too.
        let is_there = io::stdin().is_terminal() && io::stdout().is_terminal();
        if !yes && is_there { Self::Asked } else { Self::Given }
    }

    /// Prints what `name` changes, and says whether it is to be signed.
    pub(crate) fn given(self, name: &str, lines: &[String]) -> Result<bool, ConsentError> {
        println!("{name} changes:");
        for line in lines {
            println!("  {line}");
        }
        if self == Self::Given {
            return Ok(true);
        }
        let mut out = io::stdout();
        write!(out, "Sign {name}? [y/N] ").and_then(|()| out.flush()).map_err(ConsentError)?;
        let mut answer = String::new();
        let stdin = io::stdin();
        io::Read::take(stdin.lock(), ANSWER_BYTES_MAX).read_line(&mut answer).map_err(ConsentError)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}
