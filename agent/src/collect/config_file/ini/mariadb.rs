//! MariaDB's option files, as `my_print_defaults` shows them.

use super::super::include::Target;
use super::super::key::Key;
use super::{Raw, RawInclude, RawValue, Refusal, Taken, lines_at_lf, trimmed, trimmed_end};

/// A line is read into a buffer of this size; what is longer is the next line to the reader.
const LINE_BYTES_MAX: usize = 4094;

// White space of latin1: a no-break space is some, also where it is the end of another character.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

pub(super) fn take(bytes: &[u8]) -> Result<Taken, Refusal> {
    let mut taken = Taken::default();
    let mut group: Option<Vec<u8>> = None;
    let lines = lines_at_lf(bytes).flat_map(|(at, line)| {
        let chunks = line.chunks(LINE_BYTES_MAX).enumerate();
        chunks.map(move |(number, chunk)| (at + number * LINE_BYTES_MAX, chunk))
    });
    for (at, line) in lines {
        let line = line.get(line.iter().take_while(|byte| is_space(**byte)).count()..).unwrap_or_default();
        match line {
            [] | [b'#' | b';', ..] => {}
            [b'!', directive @ ..] => {
                if let Some(target) = include(directive)? {
                    taken.includes.push(RawInclude { target, at, entries_before: taken.entries.len() });
                }
            }
            [b'[', rest @ ..] => {
                let end = rest.iter().position(|byte| *byte == b']').ok_or(Refusal::Malformed)?;
                let name = trimmed_end(rest.get(..end).unwrap_or_default(), is_space);
                group = Some(name.to_vec());
            }
            option => {
                let group = group.clone().ok_or(Refusal::Malformed)?;
                let (name, value) = name_and_value(without_comment(option));
                if name.is_empty() {
                    return Err(Refusal::Malformed);
                }
                // Programs refuse an option of such a name, and every other file after it.
                taken.passed_over |= !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
                taken.push(Raw { section: Some(group), name: name.to_vec(), value, at })?;
            }
        }
    }
    Ok(taken)
}

// What stands behind `!`; an unknown word is passed over, as MariaDB does.
fn include(directive: &[u8]) -> Result<Option<Target>, Refusal> {
    let directive = directive.get(directive.iter().take_while(|b| is_space(**b)).count()..).unwrap_or_default();
    let argument = |word: &[u8]| {
        let rest = directive.strip_prefix(word)?;
        rest.first().is_some_and(|byte| is_space(*byte)).then(|| trimmed(rest, is_space))
    };
    let text = |path: &[u8]| match std::str::from_utf8(path) {
        Ok("") => Err(Refusal::Malformed),
        Ok(path) => Ok(Some(path.to_owned())),
        Err(_) => Ok(None),
    };
    if let Some(path) = argument(b"includedir") {
        let target = text(path)?.map(|path| Target::Directory(path, "*.cnf"));
        return Ok(Some(target.unwrap_or(Target::Unknown)));
    }
    if let Some(path) = argument(b"include") {
        return Ok(Some(text(path)?.map_or(Target::Unknown, Target::File)));
    }
    Ok(None)
}

/// Up to a `#` outside of quotes; within them a `\` protects the next quote.
fn without_comment(line: &[u8]) -> &[u8] {
    let mut quote: Option<u8> = None;
    let mut escaped = false;
    for (at, byte) in line.iter().copied().enumerate() {
        if matches!(byte, b'\'' | b'"') && !escaped {
            match quote {
                None => quote = Some(byte),
                Some(open) if open == byte => quote = None,
                Some(_) => {}
            }
        }
        if quote.is_none() && byte == b'#' {
            return line.get(..at).unwrap_or_default();
        }
        escaped = quote.is_some() && byte == b'\\' && !escaped;
    }
    line
}

fn name_and_value(line: &[u8]) -> (&[u8], RawValue) {
    let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
        return (trimmed_end(line, is_space), RawValue::None);
    };
    let name = trimmed_end(line.get(..equals).unwrap_or_default(), is_space);
    let mut value = trimmed(line.get(equals + 1..).unwrap_or_default(), is_space);
    if let [open @ (b'"' | b'\''), within @ .., close] = value
        && open == close
    {
        value = within;
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        match bytes.next() {
            None => plain.push(b'\\'),
            Some(b'n') => plain.push(b'\n'),
            Some(b't') => plain.push(b'\t'),
            Some(b'r') => plain.push(b'\r'),
            Some(b'b') => plain.push(8),
            Some(b's') => plain.push(b' '),
            Some(byte @ (b'"' | b'\'' | b'\\')) => plain.push(byte),
            Some(byte) => plain.extend([b'\\', byte]),
        }
    }
    (name, RawValue::Text(plain))
}

/// Groups are the same whatever their capitals; in an option's name `-` and `_` are.
pub(super) fn fold(key: &Key) -> Key {
    key.folded(|name, is_last| match is_last {
        true => name.replace('_', "-"),
        false => name.to_ascii_lowercase(),
    })
}
