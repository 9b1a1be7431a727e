//! `postgresql.conf`: a name, an `=` that may be left out, a value, on one line.

use manifests::evidence::Why;

use super::Lines;
use super::decode::Content;
use super::document::{Document, Entries, Found};
use super::include::{Include, Target};
use super::key::{Key, Shape};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(Vec<u8>),
    Qualified(Vec<u8>),
    /// A value without quotes: another word, a number.
    Bare(Vec<u8>),
    Quoted(Vec<u8>),
    Equals,
}

pub(super) fn read(content: &Content<'_>) -> Result<Document, Why> {
    let bytes = content.raw;
    if bytes.contains(&0) {
        return Err(Why::Malformed);
    }
    let lines = Lines::of(bytes);
    let mut entries = Entries::default();
    let mut includes = Vec::new();
    let mut at = 0;
    for whole in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = lines.at(at);
        at += whole.len();
        let tokens = tokens(whole.strip_suffix(b"\n").unwrap_or(whole))?;
        let (name, value) = match tokens.as_slice() {
            [] => continue,
            [Token::Name(name) | Token::Qualified(name), value]
            | [Token::Name(name) | Token::Qualified(name), Token::Equals, value] => (name, value),
            _ => return Err(Why::Malformed),
        };
        let value = match value {
            Token::Name(text) | Token::Bare(text) => text.clone(),
            Token::Quoted(text) => unquoted(text),
            Token::Qualified(_) | Token::Equals => return Err(Why::Malformed),
        };
        let name = content.decode_piece(name.clone());
        let value = content.decode_piece(value);
        let Some(name) = name else { continue };
        if let Some(target) = include(&name, value.as_deref()) {
            includes.push(Include { target, line, entries_before: entries.0.len() });
        } else {
            entries.push(Key::name(name), value.map_or(Found::Refused, Found::text), line)?;
        }
    }
    let mut document = Document::new(Shape::Flat, entries.0, |key| key.folded(|name, _| name.to_ascii_lowercase()));
    document.includes = includes;
    Ok(document)
}

fn include(name: &str, value: Option<&str>) -> Option<Target> {
    let path = |make: fn(String) -> Target| Some(value.map_or(Target::Unknown, |path| make(path.to_owned())));
    match name.to_ascii_lowercase().as_str() {
        "include" | "include_if_exists" => path(Target::File),
        "include_dir" => path(|directory| Target::Directory(directory, "*.conf")),
        _ => None,
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_letter_or_digit(byte: u8) -> bool {
    is_letter(byte) || byte.is_ascii_digit()
}

fn tokens(mut line: &[u8]) -> Result<Vec<Token>, Why> {
    let mut tokens = Vec::new();
    while let Some(first) = line.first().copied() {
        let (token, length) = match first {
            b' ' | b'\t' | b'\r' => (None, 1),
            b'#' => return Ok(tokens),
            b'=' => (Some(Token::Equals), 1),
            b'\'' => {
                let length = quoted_length(line).ok_or(Why::Malformed)?;
                (Some(Token::Quoted(line.get(1..length - 1).unwrap_or_default().to_vec())), length)
            }
            first if is_letter(first) => word(line),
            _ => {
                let length = number_length(line).ok_or(Why::Malformed)?;
                (Some(Token::Bare(line.get(..length).unwrap_or_default().to_vec())), length)
            }
        };
        tokens.extend(token);
        // More than these four on a line is an error whatever they are.
        if tokens.len() > 3 {
            return Err(Why::Malformed);
        }
        line = line.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

/// The longest of a name, a name with one dot, and a value without quotes; the first of equals.
fn word(line: &[u8]) -> (Option<Token>, usize) {
    let run = |from: usize, is: &dyn Fn(u8) -> bool| {
        line.get(from..).unwrap_or_default().iter().take_while(|byte| is(**byte)).count()
    };
    let name = run(0, &is_letter_or_digit);
    let bare = run(0, &|byte| is_letter_or_digit(byte) || b"-._:/".contains(&byte));
    let qualified = match line.get(name..name + 2) {
        Some([b'.', first]) if is_letter(*first) => name + 1 + run(name + 1, &is_letter_or_digit),
        _ => 0,
    };
    let of = |length: usize| line.get(..length).unwrap_or_default().to_vec();
    if name >= bare && name >= qualified {
        (Some(Token::Name(of(name))), name)
    } else if qualified >= bare {
        (Some(Token::Qualified(of(qualified))), qualified)
    } else {
        (Some(Token::Bare(of(bare))), bare)
    }
}

/// The longest of an integer with letters behind it, and a number with a dot.
fn number_length(line: &[u8]) -> Option<usize> {
    let run = |from: usize, is: fn(&u8) -> bool| {
        line.get(from..).unwrap_or_default().iter().take_while(|byte| is(byte)).count()
    };
    let sign = usize::from(matches!(line.first(), Some(b'-' | b'+')));
    let digits = run(sign, u8::is_ascii_digit);
    let mut integer = (digits > 0).then(|| sign + digits + run(sign + digits, u8::is_ascii_alphabetic));
    if line.get(sign..).is_some_and(|rest| rest.starts_with(b"0x")) {
        let hex = run(sign + 2, u8::is_ascii_hexdigit);
        if hex > 0 {
            let end = sign + 2 + hex;
            integer = integer.max(Some(end + run(end, u8::is_ascii_alphabetic)));
        }
    }
    let real = (line.get(sign + digits) == Some(&b'.')).then(|| {
        let end = sign + digits + 1 + run(sign + digits + 1, u8::is_ascii_digit);
        let signed = usize::from(matches!(line.get(end + 1), Some(b'-' | b'+')));
        let exponent = run(end + 1 + signed, u8::is_ascii_digit);
        match line.get(end) {
            Some(b'e' | b'E') if exponent > 0 => end + 1 + signed + exponent,
            _ => end,
        }
    });
    integer.max(real)
}

/// How long the text in quotes is, with them: `''` and `\` and any character are within.
fn quoted_length(line: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match (line.get(at)?, line.get(at + 1)) {
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return Some(at + 1),
            (b'\\', Some(_)) => at += 2,
            (b'\\', None) => return None,
            _ => at += 1,
        }
    }
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' => {
                plain.push(b'\'');
                bytes.next();
            }
            b'\\' => match bytes.next() {
                Some(b'b') => plain.push(8),
                Some(b'f') => plain.push(0x0c),
                Some(b'n') => plain.push(b'\n'),
                Some(b'r') => plain.push(b'\r'),
                Some(b't') => plain.push(b'\t'),
                Some(digit @ b'0'..=b'7') => {
                    let mut code = u32::from(digit - b'0');
                    for _ in 0..2 {
                        match bytes.next_if(|byte| matches!(byte, b'0'..=b'7')) {
                            Some(digit) => code = code * 8 + u32::from(digit - b'0'),
                            None => break,
                        }
                    }
                    plain.push(u8::try_from(code & 0xff).unwrap_or_default());
                }
                Some(byte) => plain.push(byte),
                None => {}
            },
            byte => plain.push(byte),
        }
    }
    plain
}
