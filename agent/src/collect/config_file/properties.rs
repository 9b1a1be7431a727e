//! Java properties, as `java.util.Properties.load(Reader)` documents them.
//!
//! Own, because a published reader answers an error to `# C:\users` in a comment and to characters
//! beyond the first plane in `\u` pairs, where Java reads on.

use manifests::evidence::Why;

use super::document::{Document, Entries, Found, as_written};
use super::key::{Key, Shape};
use super::split_lines;

const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

pub(super) fn read(text: &str) -> Result<Document, Why> {
    let mut entries = Entries::default();
    let mut lines = split_lines(text).zip(1..);
    while let Some((line, number)) = lines.next() {
        let line = line.trim_start_matches(BLANK);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_in_odd_backslashes(&logical) {
            logical.pop();
            // Nothing is no line that could go on: the next one begins anew. Right before the end of the
            // file it is an empty name.
            if logical.is_empty() {
                let end = (line.as_ptr() as usize + line.len()) - text.as_ptr() as usize;
                if matches!(text.get(end..), Some("" | "\n" | "\r")) {
                    entries.push(Key::name(""), Found::text(String::new()), number)?;
                }
                break;
            }
            // A backslash at the very end of the file joins nothing.
            let Some((next, _)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(BLANK));
        }
        if logical.is_empty() {
            continue;
        }
        let (key, value) = split(&logical);
        entries.push(Key::name(unescape(key)?), Found::text(unescape(value)?), number)?;
    }
    Ok(Document::new(Shape::Flat, entries.0, as_written))
}

fn ends_in_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits at the first `=`, `:` or blank that is not escaped, and at one `=` or `:` behind blanks.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (matches!(c, '=' | ':') || BLANK.contains(&c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANK);
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANK))
}

fn unescape(text: &str) -> Result<String, Why> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let encode = |units: &mut Vec<u16>, c: char| units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    while let Some(c) = chars.next() {
        if c != '\\' {
            encode(&mut units, c);
            continue;
        }
        match chars.next() {
            Some('t') => units.push(u16::from(b'\t')),
            Some('n') => units.push(u16::from(b'\n')),
            Some('r') => units.push(u16::from(b'\r')),
            Some('f') => units.push(0x0c),
            Some('u') => {
                let digits = chars.as_str().get(..4).ok_or(Why::Malformed)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return Err(Why::Malformed);
                }
                units.push(u16::from_str_radix(digits, 16).map_err(|_| Why::Malformed)?);
                chars = chars.as_str().get(4..).unwrap_or_default().chars();
            }
            Some(other) => encode(&mut units, other),
            None => {}
        }
    }
    // Half of a surrogate pair is a text in Java and none in any document of ours; neither is NUL.
    let text = String::from_utf16(&units).map_err(|_| Why::Malformed)?;
    if text.contains('\0') { Err(Why::Malformed) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::value::Value;

    use super::super::document::Entry;

    #[test]
    fn properties_read_as_java_reads_them() {
        let check = |text: &str, expected: &[(&str, &str, u32)]| {
            let expected: Vec<_> = expected
                .iter()
                .map(|(k, v, line)| Entry {
                    key: Key::name(*k),
                    value: Found::Value(Value::Text((*v).to_owned())),
                    line: *line,
                })
                .collect();
            assert_eq!(read(text).unwrap().entries, expected, "{text:?}");
        };
        check("a.b = c\n", &[("a.b", "c", 1)]);
        check("a:b\r\nc d\re", &[("a", "b", 1), ("c", "d", 2), ("e", "", 3)]);
        // Blanks at a value's end count.
        check("lock=exclusive ", &[("lock", "exclusive ", 1)]);
        check("#x\n!y\n  # z \\\nk=1", &[("k", "1", 4)]);
        check("k = a,\\\n    b,\\\n    c\nl=2", &[("k", "a,b,c", 1), ("l", "2", 4)]);
        check("k=a\\\\\nl=2", &[("k", "a\\", 1), ("l", "2", 2)]);
        check("a\\=b\\ c\\:d=e", &[("a=b c:d", "e", 1)]);
        check("k=\\u6392\\u4ed6\\t\\q", &[("k", "排他\tq", 1)]);
        check("k=\\ud83d\\ude00", &[("k", "😀", 1)]);
        check("# C:\\users\nk=1\\", &[("k", "1", 2)]);
        check("=v", &[("", "v", 1)]);
        check("k = = v", &[("k", "= v", 1)]);
    }

    #[test]
    fn escapes_that_are_no_text_are_malformed() {
        for text in ["k=\\u12", "k=\\uzzzz", "k=\\ud83d", "k=\\u0000", "k=\\u排他他他"] {
            assert_eq!(read(text).err(), Some(Why::Malformed), "{text}");
        }
    }
}
