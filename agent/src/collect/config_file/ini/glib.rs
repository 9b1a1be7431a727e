//! GLib's `GKeyFile`, loaded without flags, asked with `g_key_file_get_string`.

use super::{Raw, RawValue, Refusal, Taken, lines_at_lf, trimmed_end};

// As `g_ascii_isspace`: a vertical tab is none.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

pub(super) fn take(bytes: &[u8]) -> Result<Taken, Refusal> {
    let mut taken = Taken::default();
    let mut group: Option<&[u8]> = None;
    let mut start: Option<&[u8]> = None;
    for (at, whole) in lines_at_lf(bytes) {
        // A CR is taken off before a LF alone.
        let ends_in_lf = bytes.get(at + whole.len()) == Some(&b'\n');
        let whole = if ends_in_lf { whole.strip_suffix(b"\r").unwrap_or(whole) } else { whole };
        let indent = whole.iter().take_while(|byte| is_space(**byte)).count();
        let line = whole.get(indent..).unwrap_or_default();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Some(name) = group_name(line) {
            // Another bracket or a control character within is no name.
            if name.is_empty() || name.iter().any(|byte| *byte == b'[' || byte.is_ascii_control()) {
                return Err(Refusal::Malformed);
            }
            start.get_or_insert(name);
            group = Some(name);
            continue;
        }
        let equals = line.iter().position(|byte| *byte == b'=').filter(|at| *at > 0).ok_or(Refusal::Malformed)?;
        let group = group.ok_or(Refusal::Malformed)?;
        let (name, value) = (line.get(..equals).unwrap_or_default(), line.get(equals + 1..).unwrap_or_default());
        let name = trimmed_end(name, is_space);
        let locale = name_and_locale(name)?;
        let blanks = value.iter().take_while(|byte| is_space(**byte)).count();
        let value = value.get(blanks..).unwrap_or_default();
        if start == Some(group) && name == b"Encoding" && !value.eq_ignore_ascii_case(b"UTF-8") {
            return Err(Refusal::Malformed);
        }
        // A translation is kept for a process of its language alone.
        if locale {
            continue;
        }
        let value = unescaped(value).map_or(RawValue::Refused, RawValue::Text);
        taken.push(Raw { section: Some(group.to_vec()), name: name.to_vec(), value, at })?;
    }
    Ok(taken)
}

// `[name]` with nothing but blanks behind it.
fn group_name(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"[")?;
    let end = rest.iter().position(|byte| *byte == b']')?;
    let behind = rest.get(end + 1..)?;
    behind.iter().all(|byte| matches!(byte, b' ' | b'\t')).then(|| rest.get(..end)).flatten()
}

/// Whether the name is `name[locale]`.
fn name_and_locale(name: &[u8]) -> Result<bool, Refusal> {
    let end = name.iter().position(|byte| matches!(byte, b'[' | b']')).unwrap_or(name.len());
    let (plain, behind) = name.split_at(end);
    if plain.is_empty() || plain.starts_with(b" ") || plain.ends_with(b" ") {
        return Err(Refusal::Malformed);
    }
    if behind.is_empty() {
        return Ok(false);
    }
    let locale = behind.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).ok_or(Refusal::Malformed)?;
    let locale = std::str::from_utf8(locale).map_err(|_| Refusal::Malformed)?;
    let is_locale = locale.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'));
    if is_locale { Ok(true) } else { Err(Refusal::Malformed) }
}

fn unescaped(value: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b's' => b' ',
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(plain)
}
