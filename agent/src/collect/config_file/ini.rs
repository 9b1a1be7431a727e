//! INI files: sections, names and values, by the rules of a named reader or of all of them.
//!
//! No standard says how they are read. Each reader below is a function of a file's bytes or text, and
//! knows nothing of the others; `strict` asks all of them.

mod configparser;
mod git;
mod glib;
mod mariadb;
mod oddness;
mod systemd;
mod windows;

use manifests::baseline::Reader;
use manifests::evidence::{Odd, Why};

use super::decode::Content;
use super::document::{Document, Entries, Found};
use super::include::{Include, Target};
use super::key::{Key, Shape};
use super::strict::{Say, Strict};
use super::{ENTRIES_MAX, Lines, Reading};
use configparser::Twice;

/// What one reader takes out of a file.
#[derive(Debug, Default)]
struct Taken {
    /// In file order.
    entries: Vec<Raw>,
    includes: Vec<RawInclude>,
    /// Where they count: sections, also those without a name in them.
    sections: Vec<String>,
    /// It left out a line that it made nothing of.
    passed_over: bool,
}

impl Taken {
    /// Adds one entry.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] beyond what is read of a file.
    fn push(&mut self, raw: Raw) -> Result<(), Refusal> {
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Refusal::TooLarge);
        }
        self.entries.push(raw);
        Ok(())
    }
}

/// One name and value, in the bytes of the file.
#[derive(Debug)]
struct Raw {
    /// None before the first section.
    section: Option<Vec<u8>>,
    name: Vec<u8>,
    value: RawValue,
    /// Where its line begins, in bytes.
    at: usize,
}

/// A directive that reads another file.
#[derive(Debug)]
struct RawInclude {
    target: Target,
    /// Where its line begins, in bytes.
    at: usize,
    entries_before: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum RawValue {
    Text(Vec<u8>),
    /// The name stands alone.
    None,
    /// The reader answers an error where this value is asked for.
    Refused,
    /// The reader's rules do not say, or its versions differ.
    Doubtful(Vec<u8>, Odd),
}

/// The reader refuses the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It is not written as the reader wants it.
    Malformed,
    /// It has more than any file that is read here.
    TooLarge,
}

impl From<Refusal> for Why {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Why::Malformed,
            Refusal::TooLarge => Why::TooLarge,
        }
    }
}

/// The readers of ini files that `strict` asks, in the order of its page.
const READERS: [Reader; 6] =
    [Reader::Configparser, Reader::Git, Reader::Glib, Reader::Mariadb, Reader::Systemd, Reader::Windows];

pub(super) fn read(content: &Content, reader: Reader) -> Result<Reading, Why> {
    if reader != Reader::Strict {
        // Readers of bytes see those of the file, whatever its encoding.
        let input = if reads_text(reader) { content.text.as_bytes() } else { content.raw };
        if input.contains(&0) {
            return Err(Why::Malformed);
        }
        let taken = take(reader, input, Twice::Refused)?;
        let lines = Lines::of(input);
        let decode = |bytes: Vec<u8>| match reader {
            Reader::Git | Reader::Mariadb => content.decode_piece(bytes),
            // These two want UTF-8 whatever the program makes of it; the others have text already.
            _ => String::from_utf8(bytes).ok(),
        };
        if reader == Reader::Systemd && std::str::from_utf8(input).is_err() {
            return Err(Why::Undecodable);
        }
        return Ok(Reading::One(document(reader, taken, &lines, &decode)?));
    }
    let input = content.text.as_bytes();
    let lines = Lines::of(input);
    let decode = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    let mut says = Vec::new();
    for reader in READERS {
        // A parser that lets names stand twice is told from this one by an argument alone.
        match take(reader, input, Twice::Taken) {
            Ok(taken) => {
                let whole = !taken.passed_over;
                says.push(Say { reader, whole, document: document(reader, taken, &lines, &decode)? });
            }
            Err(Refusal::TooLarge) => return Err(Why::TooLarge),
            Err(Refusal::Malformed) => {}
        }
    }
    Strict::new(says, &content.text, oddness::of).map(Reading::Strict)
}

fn reads_text(reader: Reader) -> bool {
    matches!(reader, Reader::Configparser | Reader::Windows)
}

fn take(reader: Reader, input: &[u8], twice: Twice) -> Result<Taken, Refusal> {
    let text = || std::str::from_utf8(input).map_err(|_| Refusal::Malformed);
    match reader {
        Reader::Configparser => configparser::take(text()?, twice),
        Reader::Git => git::take(input),
        Reader::Glib => glib::take(input),
        Reader::Mariadb => mariadb::take(input),
        Reader::Systemd => systemd::take(input),
        Reader::Windows => windows::take(text()?),
        // No reader of this format: a baseline cannot name it.
        _ => Err(Refusal::Malformed),
    }
}

fn document(
    reader: Reader,
    taken: Taken,
    lines: &Lines,
    decode: &impl Fn(Vec<u8>) -> Option<String>,
) -> Result<Document, Why> {
    let mut entries = Entries::default();
    for raw in taken.entries {
        // A name that is no text is one that no baseline can ask for.
        let section = raw.section.map(decode);
        let (Some(name), Some(section)) = (decode(raw.name), section.map_or(Some(None), |s| s.map(Some))) else {
            continue;
        };
        let found = match raw.value {
            RawValue::Text(bytes) => decode(bytes).map_or(Found::Refused, Found::text),
            RawValue::Doubtful(bytes, odd) => decode(bytes).map_or(Found::Refused, |text| Found::doubtful(text, odd)),
            RawValue::None => Found::Nothing,
            RawValue::Refused => Found::Refused,
        };
        entries.push(Key::in_section(section, name), found, lines.at(raw.at))?;
    }
    let fold = match reader {
        Reader::Configparser => configparser::fold,
        Reader::Git => git::fold,
        Reader::Mariadb => mariadb::fold,
        Reader::Windows => windows::fold,
        _ => super::document::as_written,
    };
    let mut document = Document::new(Shape::Section, entries.0, fold);
    let include =
        |raw: RawInclude| Include { target: raw.target, line: lines.at(raw.at), entries_before: raw.entries_before };
    document.includes = taken.includes.into_iter().map(include).collect();
    if reader == Reader::Configparser {
        configparser::finish(&mut document, taken.sections)?;
    }
    Ok(document)
}

/// The lines of `input` with where each begins, without their ends: `\n` alone ends one.
fn lines_at_lf(input: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    input.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.strip_suffix(b"\n").unwrap_or(line))
    })
}

/// Bytes without those at both ends that `is` says.
fn trimmed(mut bytes: &[u8], is: impl Fn(u8) -> bool) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is(*first)
    {
        bytes = rest;
    }
    trimmed_end(bytes, is)
}

/// Bytes without those at the end that `is` says.
fn trimmed_end(mut bytes: &[u8], is: impl Fn(u8) -> bool) -> &[u8] {
    while let [rest @ .., last] = bytes
        && is(*last)
    {
        bytes = rest;
    }
    bytes
}
