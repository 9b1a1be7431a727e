//! JSON (RFC 8259), and nothing beyond it: no comments, no trailing commas, no second value.
//!
//! Own, because the libraries give neither lines nor names that stand twice; texts and numbers are read by
//! `serde_json`.

use std::collections::HashMap;

use manifests::evidence::{Odd, Why};
use manifests::value::{INTEGER_MAX, Value};

use super::document::{Document, Entries, Found, as_written};
use super::key::{Key, Shape, Step};
use super::{DEPTH_MAX, Lines};

pub(super) fn read(text: &str) -> Result<Document, Why> {
    let mut json =
        Json { text, at: 0, lines: Lines::of(text.as_bytes()), entries: Entries::default(), torn: Vec::new() };
    json.value(Key::default(), 0, None)?;
    json.blanks();
    if json.at != text.len() {
        return Err(Why::Malformed);
    }
    let mut document = Document::new(Shape::Tree, json.entries.0, as_written);
    for (key, lines) in json.torn {
        document.doubt(key, lines, Odd::Duplicate, false);
    }
    Ok(document)
}

struct Json<'a> {
    text: &'a str,
    at: usize,
    lines: Lines,
    entries: Entries,
    /// Names that stand twice in their object: what lies below them is the first's, the last's or both.
    torn: Vec<(Key, Vec<u32>)>,
}

impl<'a> Json<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        let blanks = self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blanks;
    }

    fn take(&mut self, byte: u8) -> Result<(), Why> {
        if self.peek() != Some(byte) {
            return Err(Why::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// The value at this place, whose key stands in `line`.
    fn value(&mut self, path: Key, depth: usize, line: Option<u32>) -> Result<(), Why> {
        if depth > DEPTH_MAX {
            return Err(Why::TooLarge);
        }
        self.blanks();
        let line = line.unwrap_or(self.lines.at(self.at));
        let found = match self.peek() {
            Some(b'{') => return self.object(path, depth, line),
            Some(b'[') => return self.array(path, depth, line),
            Some(b'"') => Found::text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        // The whole document may be one value, which no key names.
        if path.0.is_empty() { Ok(()) } else { self.entries.push(path, found, line) }
    }

    fn object(&mut self, path: Key, depth: usize, line: u32) -> Result<(), Why> {
        if !path.0.is_empty() {
            self.entries.push(path.clone(), Found::Nothing, line)?;
        }
        self.take(b'{')?;
        let mut names: HashMap<String, u32> = HashMap::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            let line = self.lines.at(self.at);
            let name = self.string()?;
            self.blanks();
            self.take(b':')?;
            let key = path.child(Step::Name(name.clone()));
            if let Some(before) = names.insert(name, line) {
                self.torn.push((key.clone(), vec![before, line]));
            }
            self.value(key, depth + 1, Some(line))?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    fn array(&mut self, path: Key, depth: usize, line: u32) -> Result<(), Why> {
        if !path.0.is_empty() {
            self.entries.push(path.clone(), Found::Nothing, line)?;
        }
        self.take(b'[')?;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for number in 0.. {
            self.value(path.child(Step::Element(number)), depth + 1, None)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => break,
            }
        }
        self.take(b']')
    }

    fn string(&mut self) -> Result<String, Why> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        if bytes.first() != Some(&b'"') {
            return Err(Why::Malformed);
        }
        let mut end = 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err(Why::Malformed),
            }
        }
        let quoted = rest.get(..=end).ok_or(Why::Malformed)?;
        let text: String = serde_json::from_str(quoted).map_err(|_| Why::Malformed)?;
        self.at += quoted.len();
        // No document of ours has a NUL in a text.
        if text.contains('\0') { Err(Why::Malformed) } else { Ok(text) }
    }

    /// A whole number within the bounds of ours; any other is the text that stands there.
    fn number(&mut self) -> Result<Found, Why> {
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest().bytes().take_while(|byte| is_part(byte)).count();
        let text = self.rest().get(..length).unwrap_or_default();
        if !is_number(text) {
            return Err(Why::Malformed);
        }
        self.at += length;
        // `-0` is no whole number to a reader of floating point.
        Ok(match text.parse::<i64>() {
            Ok(number) if number.unsigned_abs() <= INTEGER_MAX && text != "-0" => Found::Value(Value::Integer(number)),
            _ => Found::text(text.to_owned()),
        })
    }

    fn word(&mut self) -> Result<Found, Why> {
        let words = [
            ("true", Found::Value(Value::Boolean(true))),
            ("false", Found::Value(Value::Boolean(false))),
            ("null", Found::Nothing),
        ];
        let (word, found) = words.into_iter().find(|(word, _)| self.rest().starts_with(word)).ok_or(Why::Malformed)?;
        self.at += word.len();
        Ok(found)
    }
}

/// RFC 8259, section 6.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::super::document::Answer;
    use super::*;

    #[test]
    fn values_keep_their_type_and_line() {
        let text = "{\n \"queue\": { \"lock\":\n \"ex\\u0063lusive\", \"n\": 4 },\n \"big\": 9007199254740993, \"x\": 1.50e3,\n\
                    \"list\": [true, null, {\"a.b\": -0}]\n}\n";
        let found: Vec<_> = read(text).unwrap().entries;
        let found: Vec<_> = found.into_iter().map(|e| (e.key.shown(Shape::Tree), e.value, e.line)).collect();
        let text = |t: &str| Found::Value(Value::Text(t.to_owned()));
        let expected = [
            ("queue", Found::Nothing, 2),
            ("queue.lock", text("exclusive"), 2),
            ("queue.n", Found::Value(Value::Integer(4)), 3),
            ("big", text("9007199254740993"), 4),
            ("x", text("1.50e3"), 4),
            ("list", Found::Nothing, 5),
            ("list.0", Found::Value(Value::Boolean(true)), 5),
            ("list.1", Found::Nothing, 5),
            ("list.2", Found::Nothing, 5),
            ("list.2.\"a.b\"", text("-0"), 5),
        ];
        assert_eq!(found, expected.map(|(key, value, line)| (key.to_owned(), value, line)));
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for text in [
            "",
            "{",
            "{}}",
            "{} {}",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "// x\n{}",
            "{/**/}",
            "[01]",
            "[+1]",
            "[.5]",
            "[1.]",
            "[1e]",
            "[NaN]",
            "[Infinity]",
            "[0x1]",
            "[\"\t\"]",
            "[\"\\x\"]",
            "[\"\\ud800\"]",
            "[\"\\u0000\"]",
            "[tru]",
            "[\u{a0}1]",
            "{\"a\" 1}",
            "{\"a\":}",
            "[1 2]",
            "\"a",
            "[truex]",
        ] {
            assert_eq!(read(text).err(), Some(Why::Malformed), "{text:?}");
        }
        assert_eq!(read(&"[".repeat(70)).err(), Some(Why::TooLarge));
        assert!(read("1").is_ok() && read(" \"x\" ").is_ok());
    }

    #[test]
    fn below_a_name_that_stands_twice_everything_is_unclear() {
        let document = read("{\"a\":{\"b\":1},\n\"c\":1,\"c\":1,\"d\":1,\n\"d\":2,\"a\":{\"x\":1}}").unwrap();
        let find = |key: &str| document.find(key, &[], false);
        let unclear = |lines: &[u32]| Answer::Unclear { lines: lines.to_vec(), odd: Odd::Duplicate };
        assert_eq!(find("a.b"), unclear(&[1, 3]));
        assert_eq!(find("a.none"), unclear(&[1, 3]));
        assert_eq!(find("c"), Answer::Value { value: Found::Value(Value::Integer(1)), line: 2 });
        assert_eq!(find("d"), unclear(&[2, 3]));
        assert_eq!(find("e"), Answer::Absent);
    }
}
