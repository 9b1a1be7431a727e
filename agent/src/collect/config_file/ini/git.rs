//! `git config --file`, as git 2.45 and later reads it. Before, a tab between two words of a value was a
//! blank.

use manifests::evidence::Odd;

use super::super::include::Target;
use super::super::key::{Key, Step};
use super::{Raw, RawInclude, RawValue, Refusal, Taken};

const MARK: &[u8] = b"\xef\xbb\xbf";

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    ended: bool,
}

impl Input<'_> {
    // A CR before a LF is none; behind the end stands one more line end.
    fn next(&mut self) -> u8 {
        match self.bytes.get(self.at..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {
                self.at += 2;
                b'\n'
            }
            [byte, ..] => {
                self.at += 1;
                *byte
            }
            [] => {
                self.ended = true;
                b'\n'
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

pub(super) fn take(bytes: &[u8]) -> Result<Taken, Refusal> {
    let at = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
    let mut input = Input { bytes, at, ended: false };
    let mut taken = Taken::default();
    let mut section: Option<Vec<u8>> = None;
    let mut in_comment = false;
    loop {
        let at = input.at;
        let byte = input.next();
        if byte == b'\n' {
            if input.ended {
                return Ok(taken);
            }
            in_comment = false;
        } else if in_comment || is_space(byte) {
        } else if byte == b'#' || byte == b';' {
            in_comment = true;
        } else if byte == b'[' {
            section = Some(header(&mut input)?);
        } else if byte.is_ascii_alphabetic() {
            let mut name = vec![byte.to_ascii_lowercase()];
            let value = name_and_value(&mut input, &mut name)?;
            include(section.as_deref(), &name, &value, at, &mut taken);
            taken.push(Raw { section: section.clone(), name, value, at })?;
        } else {
            return Err(Refusal::Malformed);
        }
    }
}

/// `base`, `base.sub` in lower case, or `base "sub"`.
fn header(input: &mut Input<'_>) -> Result<Vec<u8>, Refusal> {
    let mut name = Vec::new();
    loop {
        let byte = input.next();
        if input.ended {
            return Err(Refusal::Malformed);
        }
        match byte {
            b']' if name.is_empty() => return Err(Refusal::Malformed),
            b']' => return Ok(name),
            byte if is_space(byte) => return subsection(input, byte, name),
            byte if is_key(byte) || byte == b'.' => name.push(byte.to_ascii_lowercase()),
            _ => return Err(Refusal::Malformed),
        }
    }
}

fn subsection(input: &mut Input<'_>, mut byte: u8, mut name: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    while is_space(byte) {
        if byte == b'\n' {
            return Err(Refusal::Malformed);
        }
        byte = input.next();
    }
    if byte != b'"' {
        return Err(Refusal::Malformed);
    }
    name.extend_from_slice(b" \"");
    loop {
        match input.next() {
            b'\n' => return Err(Refusal::Malformed),
            b'"' => break,
            b'\\' => match input.next() {
                b'\n' => return Err(Refusal::Malformed),
                byte => name.extend([b'\\', byte]),
            },
            byte => name.push(byte),
        }
    }
    name.push(b'"');
    if input.next() == b']' { Ok(name) } else { Err(Refusal::Malformed) }
}

fn name_and_value(input: &mut Input<'_>, name: &mut Vec<u8>) -> Result<RawValue, Refusal> {
    let mut byte = input.next();
    while !input.ended && is_key(byte) {
        name.push(byte.to_ascii_lowercase());
        byte = input.next();
    }
    while byte == b' ' || byte == b'\t' {
        byte = input.next();
    }
    match byte {
        b'\n' => Ok(RawValue::None),
        b'=' => value(input),
        _ => Err(Refusal::Malformed),
    }
}

fn value(input: &mut Input<'_>) -> Result<RawValue, Refusal> {
    let mut value = Vec::new();
    // How long it is without the blanks at its end, while there are some.
    let mut trimmed: Option<usize> = None;
    let (mut quoted, mut in_comment, mut odd_blank) = (false, false, false);
    let mut has_odd_blank = false;
    loop {
        let byte = input.next();
        if byte == b'\n' {
            if quoted {
                return Err(Refusal::Malformed);
            }
            value.truncate(trimmed.unwrap_or(value.len()));
            // Versions before 2.45 made a blank of it.
            return Ok(match has_odd_blank {
                true => RawValue::Doubtful(value, Odd::Blanks),
                false => RawValue::Text(value),
            });
        }
        if in_comment {
            continue;
        }
        if !quoted && is_space(byte) {
            trimmed.get_or_insert(value.len());
            if !value.is_empty() {
                value.push(byte);
                odd_blank |= byte != b' ';
            }
            continue;
        }
        if !quoted && (byte == b';' || byte == b'#') {
            in_comment = true;
            continue;
        }
        has_odd_blank |= odd_blank;
        trimmed = None;
        match byte {
            b'\\' => match input.next() {
                b'\n' => {}
                b't' => value.push(b'\t'),
                b'b' => value.push(8),
                b'n' => value.push(b'\n'),
                byte @ (b'\\' | b'"') => value.push(byte),
                _ => return Err(Refusal::Malformed),
            },
            b'"' => quoted = !quoted,
            byte => value.push(byte),
        }
    }
}

// `include.path` and `includeIf.<condition>.path`: whether the condition holds is not looked at.
fn include(section: Option<&[u8]>, name: &[u8], value: &RawValue, at: usize, taken: &mut Taken) {
    let is_include = section.is_some_and(|section| {
        section == b"include" || section.starts_with(b"includeif ") || section.starts_with(b"includeif.")
    });
    if !is_include || name != b"path" {
        return;
    }
    let path = match value {
        RawValue::Text(path) | RawValue::Doubtful(path, _) => String::from_utf8(path.clone()).ok(),
        RawValue::None | RawValue::Refused => None,
    };
    let target = match path {
        Some(path) if !path.starts_with(['~', '%']) => Target::File(path),
        _ => Target::Unknown,
    };
    taken.includes.push(RawInclude { target, at, entries_before: taken.entries.len() });
}

/// The base and the name in lower case, the subsection between them as it stands: `base.sub.name`.
pub(super) fn fold(key: &Key) -> Key {
    let steps: Vec<&str> = key
        .0
        .iter()
        .filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Element(_) => None,
        })
        .collect();
    let [section, name] = steps.as_slice() else {
        return key.folded(|name, _| name.to_ascii_lowercase());
    };
    let header = section.strip_suffix('"').and_then(|header| header.split_once(" \""));
    let (base, sub) = match header {
        Some((base, sub)) => (base, Some(unescaped(sub))),
        None => match section.split_once('.') {
            Some((base, sub)) => (base, Some(sub.to_owned())),
            None => (*section, None),
        },
    };
    let steps = std::iter::once(base.to_ascii_lowercase()).chain(sub).chain([name.to_ascii_lowercase()]);
    Key(steps.map(Step::Name).collect())
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}
