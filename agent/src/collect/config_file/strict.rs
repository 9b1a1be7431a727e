//! All readers of a format at once: what they agree on counts.
//!
//! A reader that refuses the file has no say. A value is unclear where two readers that take the file differ.
//! One that leaves out lines which it makes nothing of can make a value unclear, and alone makes none clear;
//! where a single reader takes the whole file, and such a one differs from it, the file is malformed.

use std::collections::BTreeSet;

use manifests::baseline::Reader;
use manifests::evidence::{Odd, Why};

use super::Lines;
use super::document::{Answer, Document, Found, lines};
use super::include::Include;
use super::key::{Key, Wanted};

/// What one reader says of a file.
#[derive(Clone, Debug)]
pub(crate) struct Say {
    pub(crate) reader: Reader,
    /// It left out nothing.
    pub(crate) whole: bool,
    pub(crate) document: Document,
}

/// A text and where its lines end.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    text: String,
    lines: Lines,
}

impl Numbered {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), lines: Lines::of(text.as_bytes()) }
    }

    /// The number of the last line.
    pub(crate) fn last(&self) -> u32 {
        u32::try_from(self.lines.0.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// A line without its end; nothing where there is none.
    pub(crate) fn line(&self, number: u32) -> &str {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let start = match number.checked_sub(2) {
            Some(before) => self.lines.0.get(before).map(|end| end + 1),
            None => Some(0),
        };
        let end = number.checked_sub(1).and_then(|at| self.lines.0.get(at)).copied().unwrap_or(self.text.len());
        start.and_then(|start| self.text.get(start..end)).unwrap_or_default().trim_end_matches('\r')
    }

    /// Whether a CR ends the line, and no LF follows it.
    pub(crate) fn ends_in_cr(&self, number: u32) -> bool {
        let at = usize::try_from(number).ok().and_then(|number| self.lines.0.get(number.checked_sub(1)?));
        at.is_some_and(|end| self.text.as_bytes().get(*end) == Some(&b'\r'))
    }
}

/// Why readers differ on a key that stands in these lines.
pub(crate) type Oddness = fn(&Key, &[u32], &Numbered) -> Odd;

/// What several readers say of one file.
#[derive(Clone, Debug)]
pub(crate) struct Strict {
    says: Vec<Say>,
    text: Numbered,
    oddness: Oddness,
}

impl Strict {
    /// # Errors
    /// [`Why::Malformed`] if no reader takes the whole file.
    pub(crate) fn new(says: Vec<Say>, text: &str, oddness: Oddness) -> Result<Self, Why> {
        if !says.iter().any(|say| say.whole) {
            return Err(Why::Malformed);
        }
        Ok(Self { says, text: Numbered::new(text), oddness })
    }

    /// What the file says of a key.
    pub(crate) fn find(&self, key: &str, unlisted: &impl Fn(&Include) -> bool, first: bool) -> Answer {
        let (answers, refused): (Vec<_>, Vec<_>) =
            self.answers(key, unlisted, first).partition(|(_, answer)| !matches!(answer, Answer::Unknown(_)));
        let Some((_, answer)) = answers.iter().find(|(say, _)| say.whole) else {
            return Answer::Unknown(Why::Malformed);
        };
        let is_unclear = |(_, answer): &&(&Say, Answer)| matches!(answer, Answer::Unclear { .. });
        let is_taken_by_one = self.says.iter().filter(|say| say.whole).count() == 1;
        if let Some((_, unclear)) = answers.iter().find(is_unclear) {
            let all_are = answers.iter().filter(is_unclear).count() == answers.len();
            return if is_taken_by_one && !all_are { Answer::Unknown(Why::Malformed) } else { unclear.clone() };
        }
        let value = |answer: &Answer| match answer {
            Answer::Value { value, .. } => Some(value.clone()),
            _ => None,
        };
        if answers.iter().all(|(_, other)| value(other) == value(answer)) {
            // Not absent: a reader has it, and answers an error.
            let is_refused = *answer == Answer::Absent && !refused.is_empty();
            return if is_refused { Answer::Unknown(Why::Malformed) } else { answer.clone() };
        }
        if is_taken_by_one {
            return Answer::Unknown(Why::Malformed);
        }
        let at = lines(answers.iter().filter_map(|(_, answer)| match answer {
            Answer::Value { line, .. } => Some(*line),
            _ => None,
        }));
        let shape = self.says.first().map(|say| say.document.shape);
        let odd = shape.map(|shape| (self.oddness)(&Wanted::of(key, shape).key, &at, &self.text));
        Answer::Unclear { lines: at, odd: odd.unwrap_or(Odd::Readers) }
    }

    /// What each reader that takes the file says of a key.
    pub(crate) fn answers(
        &self,
        key: &str,
        unlisted: &impl Fn(&Include) -> bool,
        first: bool,
    ) -> impl Iterator<Item = (&Say, Answer)> {
        self.says.iter().map(move |say| {
            let includes: Vec<&Include> = say.document.includes.iter().filter(|i| unlisted(i)).collect();
            (say, say.document.find(key, &includes, first))
        })
    }

    /// Every key that a reader of the whole file gives, as a baseline writes it, with its value.
    pub(crate) fn values(&self) -> BTreeSet<(String, &Found)> {
        let whole = self.says.iter().filter(|say| say.whole).map(|say| &say.document);
        whole.flat_map(|document| document.entries.iter().map(|e| (e.key.shown(document.shape), &e.value))).collect()
    }

    /// How many entries its readers give.
    pub(crate) fn weight(&self) -> usize {
        self.says.iter().map(|say| say.document.entries.len()).sum()
    }
}
