//! Environment files, as systemd's `EnvironmentFile=` reads them.

use std::collections::HashSet;

use manifests::evidence::{Odd, Why};

use super::Lines;
use super::decode::Content;
use super::document::{Document, Entries, Entry, Found, as_written};
use super::key::{Key, Shape};

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

enum State {
    BeforeName,
    Name,
    BeforeValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
    CommentEscape,
}

/// Whether a `\` at the end of a comment makes a comment of the next line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comments {
    /// Up to systemd 253.
    GoOn,
    /// From systemd 254 on.
    End,
}

pub(super) fn read(content: &Content<'_>) -> Result<Document, Why> {
    if content.raw.contains(&0) {
        return Err(Why::Malformed);
    }
    let bytes = std::str::from_utf8(content.raw).map_err(|_| Why::Undecodable)?.as_bytes();
    let mut document = Document::new(Shape::Flat, entries(bytes, Comments::End)?, as_written);
    let before: HashSet<(Key, u32)> =
        entries(bytes, Comments::GoOn)?.into_iter().map(|entry| (entry.key, entry.line)).collect();
    let only = document.entries.iter().filter(|entry| !before.contains(&(entry.key.clone(), entry.line)));
    for (key, line) in only.map(|entry| (entry.key.clone(), entry.line)).collect::<Vec<_>>() {
        document.doubt(key, vec![line], Odd::Continuation, true);
    }
    Ok(document)
}

fn entries(bytes: &[u8], comments: Comments) -> Result<Vec<Entry>, Why> {
    let lines = Lines::of(bytes);
    let mut entries = Entries::default();
    let mut state = State::BeforeName;
    let (mut name, mut value, mut start) = (Vec::new(), Vec::new(), 0);
    // How long the value is without the blanks at its end, while there are some.
    let mut trimmed: Option<usize> = None;
    let mut end = |name: &mut Vec<u8>, value: &mut Vec<u8>, trimmed: &mut Option<usize>, start: usize| {
        value.truncate(trimmed.take().unwrap_or(value.len()));
        let (name, value) = (std::mem::take(name), std::mem::take(value));
        let name = name.trim_ascii_end();
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), String::from_utf8(value)) else { return Ok(()) };
        // A name or a value that no environment has is passed over, with a word in the journal.
        match is_name(name) {
            true if value.chars().any(|c| c.is_ascii_control() && !matches!(c, '\t' | '\n')) => {
                entries.push(Key::name(name), Found::Refused, lines.at(start))
            }
            true => entries.push(Key::name(name), Found::text(value), lines.at(start)),
            false => Ok(()),
        }
    };
    for (at, byte) in bytes.iter().copied().enumerate() {
        match state {
            State::BeforeName if matches!(byte, b'#' | b';') => state = State::Comment,
            State::BeforeName if is_blank(byte) => {}
            State::BeforeName => {
                start = at;
                name.push(byte);
                state = State::Name;
            }
            State::Name if is_line_end(byte) => {
                name.clear();
                state = State::BeforeName;
            }
            State::Name if byte == b'=' => {
                trimmed = None;
                state = State::BeforeValue;
            }
            State::Name => name.push(byte),
            State::BeforeValue | State::Value if is_line_end(byte) => {
                if matches!(state, State::BeforeValue) {
                    trimmed = None;
                }
                end(&mut name, &mut value, &mut trimmed, start)?;
                state = State::BeforeName;
            }
            State::BeforeValue => match byte {
                b'\'' => state = State::SingleQuoted,
                b'"' => state = State::DoubleQuoted,
                b'\\' => state = State::ValueEscape,
                byte if is_blank(byte) => {}
                byte => {
                    value.push(byte);
                    state = State::Value;
                }
            },
            State::Value if byte == b'\\' => {
                trimmed = None;
                state = State::ValueEscape;
            }
            State::Value => {
                if is_blank(byte) {
                    trimmed.get_or_insert(value.len());
                } else {
                    trimmed = None;
                }
                value.push(byte);
            }
            State::ValueEscape => {
                if !is_line_end(byte) {
                    value.push(byte);
                }
                state = State::Value;
            }
            State::SingleQuoted if byte == b'\'' => state = State::BeforeValue,
            State::SingleQuoted => value.push(byte),
            State::DoubleQuoted => match byte {
                b'"' => state = State::BeforeValue,
                b'\\' => state = State::DoubleQuotedEscape,
                byte => value.push(byte),
            },
            State::DoubleQuotedEscape => {
                match byte {
                    b'"' | b'\\' | b'`' | b'$' => value.push(byte),
                    b'\n' => {}
                    byte => value.extend([b'\\', byte]),
                }
                state = State::DoubleQuoted;
            }
            State::Comment if byte == b'\\' => state = State::CommentEscape,
            State::Comment if is_line_end(byte) => state = State::BeforeName,
            State::Comment => {}
            State::CommentEscape if comments == Comments::End && is_line_end(byte) => state = State::BeforeName,
            State::CommentEscape => state = State::Comment,
        }
    }
    match state {
        State::BeforeName | State::Name | State::Comment | State::CommentEscape => {}
        State::Value => end(&mut name, &mut value, &mut trimmed, start)?,
        _ => {
            trimmed = None;
            end(&mut name, &mut value, &mut trimmed, start)?;
        }
    }
    Ok(entries.0)
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(is_part)
}
