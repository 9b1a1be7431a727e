//! INI files: `[section]`, `key = value`, comment lines.
//!
//! No standard says how they are read; these are the rules that most readers share, and where
//! readers differ the file is `malformed` or the value unclear rather than guessed:
//! - Lines are trimmed of spaces and tabs. Blank ones, and those beginning with `;` or `#`, say nothing.
//! - `[name]` opens a section, until the next one. Behind it only a comment may stand.
//! - `key = value`: the first `=` separates; key and value are trimmed; case counts. The key is
//!   `section.key`, or `key` before any section. The value is all the rest of the line.
//! - A line that is none of these (a continuation, a key alone) is malformed.
//! - A line that stands deeper than the key above it in its section, or below a value that ends in `\`, is
//!   more of that value to some readers, and a key of its own to others: both values are unclear, and
//!   none of them is what stands behind the `=`.
//! - Quotes around a value, and ` ;` or ` #` in it, are taken off by some readers and kept by
//!   others: the value is the whole text, and unclear.

use manifests::evidence::Why;
use manifests::value::VALUE_BYTES_MAX;

use super::{Entries, Entry, Found, split_lines};

const BLANK: [char; 2] = [' ', '\t'];

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Why> {
    let mut entries = Entries::default();
    let mut section = String::new();
    // The key above in the same section: its place, how deep it stands, whether its value may go on.
    let mut above: Option<(usize, usize, bool)> = None;
    for (whole, number) in split_lines(text).zip(1..) {
        let line = whole.trim_matches(BLANK);
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
            above = None;
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(Why::Malformed)?;
        let (key, value) = (key.trim_matches(BLANK), value.trim_matches(BLANK));
        if key.is_empty() {
            return Err(Why::Malformed);
        }
        let key = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        let depth = whole.len() - whole.trim_start_matches(BLANK).len();
        let goes_on = above.filter(|(_, above, open)| *open || depth > *above);
        let found = match goes_on {
            Some((at, ..)) => {
                if let Some(entry) = entries.0.get_mut(at) {
                    entry.value = joined(&entry.value, whole);
                }
                unclear(whole.to_owned())
            }
            None if is_unclear(value) => unclear(value.to_owned()),
            None => Found::text(value.to_owned()),
        };
        above = Some((entries.0.len(), goes_on.map_or(depth, |(_, above, _)| above), value.ends_with('\\')));
        entries.push(key, found, number)?;
    }
    Ok(entries.0)
}

fn unclear(text: String) -> Found {
    if text.len() <= VALUE_BYTES_MAX { Found::Unclear(text) } else { Found::text(text) }
}

/// A value with a line that may belong to it.
fn joined(value: &Found, line: &str) -> Found {
    match value {
        Found::Value(value) => unclear(format!("{value}\n{line}")),
        Found::Unclear(text) => unclear(format!("{text}\n{line}")),
        other => other.clone(),
    }
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

    #[test]
    fn a_line_that_may_go_on_with_the_value_above_makes_both_unclear() {
        let values = |text: &str| parse(text).unwrap().into_iter().map(|entry| entry.value).collect::<Vec<_>>();
        let unclear = |text: &str| Found::Unclear(text.to_owned());
        let value = |text: &str| Found::Value(Value::Text(text.to_owned()));
        let deeper = "[q]\nlock = exclusive\n  timeout = 30\n  more = 1\nnext=1\n";
        let joined = "exclusive\n  timeout = 30";
        let expected = [unclear(joined), unclear("  timeout = 30\n  more = 1"), unclear("  more = 1"), value("1")];
        assert_eq!(values(deeper), expected);
        let backslash = "a = b \\\nlock = exclusive\nnext=1";
        assert_eq!(values(backslash), [unclear("b \\\nlock = exclusive"), unclear("lock = exclusive"), value("1")]);
        // As deep as the key above, or the first of its section.
        assert_eq!(values("[q]\n\tlock = x\n\tn = 1\n[r]\n\t\tk = 2"), [value("x"), value("1"), value("2")]);
    }
}
