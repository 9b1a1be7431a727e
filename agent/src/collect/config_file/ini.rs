//! INI files: `[section]`, `key = value`, comment lines.
//!
//! No standard says how they are read; these are the rules that most readers share, and where
//! readers differ the file is `malformed` or the value unclear rather than guessed:
//! - Lines are trimmed of spaces and tabs. Blank ones, and those beginning with `;` or `#`, say nothing.
//! - `[name]` opens a section, until the next one. Behind it only a comment may stand.
//! - `key = value`: the first `=` separates; key and value are trimmed; case counts. The key is
//!   `section.key`, or `key` before any section. The value is all the rest of the line.
//! - A line that is none of these (a continuation, a key alone) is malformed.
//! - Quotes around a value, and ` ;` or ` #` in it, are taken off by some readers and kept by
//!   others: the value is the whole text, and unclear.

use manifests::evidence::Why;
use manifests::value::VALUE_BYTES_MAX;

use super::{Entries, Entry, Found, split_lines};

const BLANK: [char; 2] = [' ', '\t'];

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Why> {
    let mut entries = Entries::default();
    let mut section = String::new();
    for (line, number) in split_lines(text).zip(1..) {
        let line = line.trim_matches(BLANK);
        if line.is_empty() || is_comment(line) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let (name, behind) = rest.split_once(']').ok_or(Why::Malformed)?;
            let behind = behind.trim_matches(BLANK);
            if !behind.is_empty() && !is_comment(behind) {
                return Err(Why::Malformed);
            }
            name.trim_matches(BLANK).clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(Why::Malformed)?;
        let (key, value) = (key.trim_matches(BLANK), value.trim_matches(BLANK));
        if key.is_empty() {
            return Err(Why::Malformed);
        }
        let key = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        let value = if is_unclear(value) && value.len() <= VALUE_BYTES_MAX {
            Found::Unclear(value.to_owned())
        } else {
            Found::text(value.to_owned())
        };
        entries.push(key, value, number)?;
    }
    Ok(entries.0)
}

fn is_comment(line: &str) -> bool {
    line.starts_with([';', '#'])
}

fn is_unclear(value: &str) -> bool {
    let bytes = value.as_bytes();
    let remark = bytes.windows(2).any(|pair| matches!(pair, [b' ' | b'\t', b';' | b'#']));
    let quoted = matches!((bytes.first(), bytes.last()), (Some(b'"'), Some(b'"')) | (Some(b'\''), Some(b'\'')));
    remark || is_comment(value) || quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::value::Value;

    fn check(text: &str, expected: Result<&[(&str, &str, u32)], Why>) {
        let expected = expected.map(|entries| {
            let value = |v: &str| Found::Value(Value::Text(v.to_owned()));
            entries.iter().map(|(k, v, line)| Entry { key: (*k).to_owned(), value: value(v), line: *line }).collect()
        });
        assert_eq!(parse(text), expected, "{text:?}");
    }

    #[test]
    fn sections_keys_and_lines_are_as_written() {
        check("top=1\n[queue]\n  lock = exclusive \n", Ok(&[("top", "1", 1), ("queue.lock", "exclusive", 3)]));
        check("[a.b]\r\nc.d=e=f\r\n", Ok(&[("a.b.c.d", "e=f", 2)]));
        check("[ a ] ; words\r;x=1\r#y=2\rz=", Ok(&[("a.z", "", 4)]));
        check("[q]\nLock=1\nlock=2", Ok(&[("q.Lock", "1", 2), ("q.lock", "2", 3)]));
        check("[a]\n[b]\n[]\nk=1", Ok(&[("k", "1", 4)]));
        check("u=http://x/#frag", Ok(&[("u", "http://x/#frag", 1)]));
        check("", Ok(&[]));
    }

    #[test]
    fn what_is_no_ini_line_makes_the_file_malformed() {
        for text in ["[a", "[a] b", "key", "a=1\n  continued", "=1", "x: 1"] {
            check(text, Err(Why::Malformed));
        }
    }

    #[test]
    fn what_readers_take_differently_is_unclear() {
        for value in ["exclusive ; words", "exclusive\t# words", "\"exclusive\"", "'x'", "; words"] {
            let entries = parse(&format!("k={value}")).unwrap();
            assert_eq!(entries[0].value, Found::Unclear(value.to_owned()));
        }
    }
}
