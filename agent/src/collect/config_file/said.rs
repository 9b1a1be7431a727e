//! What one file says, for whoever looks at a file by itself: `sekisho-agent check`, tests.

use manifests::baseline::{Encoding, Format, Reader};
use manifests::evidence::{Odd, Why};
use manifests::value::Value;

use super::Reading;
use super::document::{Answer, Found};
use super::key::Step;

/// What a file says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This value, in that line, from 1.
    Value(Value, u32),
    /// The key is there, in that line, and has no value, or one that is too long to be kept.
    NoValue(u32),
    /// It has no such key.
    Absent,
    /// Programs may take different values out of these lines.
    Unclear(Vec<u32>, Odd),
    /// It cannot be told.
    Unknown(Why),
}

impl Heard {
    fn of(answer: Answer) -> Self {
        match answer {
            Answer::Value { value: Found::Value(value), line } => Heard::Value(value, line),
            Answer::Value { line, .. } => Heard::NoValue(line),
            Answer::Absent => Heard::Absent,
            Answer::Unclear { lines, odd } => Heard::Unclear(lines, odd),
            Answer::Unknown(why) => Heard::Unknown(why),
        }
    }
}

/// What one configuration file says, read as a baseline would have it.
#[derive(Clone, Debug)]
pub struct Said(Reading);

impl Said {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Why nothing can be told of it.
    pub fn of(bytes: &[u8], format: Format, reader: Reader, encoding: Option<Encoding>) -> Result<Self, Why> {
        Reading::new(bytes, format, reader, encoding).map(Self)
    }

    /// What it says of a key, as if nothing were included.
    pub fn find(&self, key: &str) -> Heard {
        Heard::of(self.0.find(key, |_| false, false))
    }

    /// What it says of a key where no file that it includes is read.
    pub fn find_alone(&self, key: &str) -> Heard {
        Heard::of(self.0.find(key, |_| true, false))
    }

    /// What each reader that takes the file says of a key; nothing where one reader alone was asked.
    pub fn by_reader(&self, key: &str) -> Vec<(Reader, Heard)> {
        match &self.0 {
            Reading::One(_) => Vec::new(),
            Reading::Strict(strict) => {
                strict.answers(key, &|_| true, false).map(|(say, answer)| (say.reader, Heard::of(answer))).collect()
            }
        }
    }

    /// Every key, as a baseline writes it.
    pub fn keys(&self) -> Vec<String> {
        self.0.values().into_keys().collect()
    }

    /// The steps of each key with its value and line, in file order, as one reader has them; nothing where
    /// several were asked. Without a value are a table, a null, what the reader refuses or leaves in doubt.
    pub fn entries(&self) -> Vec<(Vec<String>, Option<Value>, u32)> {
        let Reading::One(document) = &self.0 else { return Vec::new() };
        let step = |step: &Step| match step {
            Step::Name(name) => name.clone(),
            Step::Element(number) => number.to_string(),
        };
        let entries = document.entries.iter().map(|entry| {
            let value = match &entry.value {
                Found::Value(value) => Some(value.clone()),
                _ => None,
            };
            (entry.key.0.iter().map(step).collect(), value, entry.line)
        });
        entries.collect()
    }
}
