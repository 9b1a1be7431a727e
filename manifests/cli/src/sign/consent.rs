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

/// What somebody at a terminal must type to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Yes.
    YesOrNo,
    /// How many sites the draft would newly hold, as its preview told: nobody types that without having read it.
    NewlyHeld(u32),
}

impl Question {
    fn words(self, name: &str) -> String {
        match self {
            Self::YesOrNo => format!("Sign {name}? [y/N] "),
            Self::NewlyHeld(_) => format!("To sign {name}, type how many sites would be newly held: "),
        }
    }

    fn accepts(self, answer: &str) -> bool {
        match self {
            Self::YesOrNo => matches!(answer.trim(), "y" | "Y" | "yes"),
            Self::NewlyHeld(sites) => answer.trim() == sites.to_string(),
        }
    }
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
    pub(crate) fn given(self, name: &str, lines: &[String], question: Question) -> Result<bool, ConsentError> {
        output::say!("{name} changes:");
        for line in lines {
            output::say!("  {line}");
        }
        if self == Self::Given {
            return Ok(true);
        }
        let mut out = io::stdout();
        let words = question.words(name);
        out.write_all(output::clean(&words).as_bytes()).and_then(|()| out.flush()).map_err(ConsentError)?;
        let mut answer = String::new();
        let stdin = io::stdin();
        io::Read::take(stdin.lock(), ANSWER_BYTES_MAX).read_line(&mut answer).map_err(ConsentError)?;
        Ok(question.accepts(&answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_would_hold_sites_is_signed_by_their_number_alone() {
        let question = Question::NewlyHeld(123);
        assert!(question.accepts("123\n"));
        for other in ["", "y", "yes", "12", "1234", "123 sites", "-123", "0"] {
            assert!(!question.accepts(other), "{other}");
        }
        assert!(question.words("5.targets.json").contains("how many sites would be newly held"));
        assert!(Question::YesOrNo.accepts("y\n") && !Question::YesOrNo.accepts("0"));
    }
}
