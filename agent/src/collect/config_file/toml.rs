//! TOML 1.1: keys are dotted paths, an array's elements are numbered from 0. Tables and arrays are there
//! without a value.

use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use manifests::evidence::Why;
use manifests::value::{INTEGER_MAX, Value};

use super::document::{Document, Entries, Found, as_written};
use super::key::{Key, Shape, Step};
use super::{DEPTH_MAX, Lines};

/// The most dots in one line: each nests a table, and nested tables are freed by recursion.
const DOTS_MAX: usize = 1000;

pub(super) fn read(text: &str) -> Result<Document, Why> {
    if text.lines().any(|line| line.bytes().filter(|byte| *byte == b'.').count() > DOTS_MAX) {
        return Err(Why::TooLarge);
    }
    let table = DeTable::parse(text).map_err(|_| Why::Malformed)?;
    let mut walk = Walk { text, lines: Lines::of(text.as_bytes()), entries: Entries::default() };
    walk.table(table.get_ref(), &Key::default(), 0)?;
    // A table's order is by name; a file's is by line.
    walk.entries.0.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
    Ok(Document::new(Shape::Tree, walk.entries.0, as_written))
}

struct Walk<'a> {
    text: &'a str,
    lines: Lines,
    entries: Entries,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &Key, depth: usize) -> Result<(), Why> {
        for (key, value) in table.iter() {
            let name = key.get_ref().clone().into_owned();
            self.value(value, path.child(Step::Name(name)), self.lines.at(key.span().start), depth + 1)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: Key, line: u32, depth: usize) -> Result<(), Why> {
        if depth > DEPTH_MAX {
            return Err(Why::TooLarge);
        }
        let found = match value.get_ref() {
            DeValue::Table(table) => {
                self.entries.push(path.clone(), Found::Nothing, line)?;
                return self.table(table, &path, depth);
            }
            DeValue::Array(array) => {
                self.entries.push(path.clone(), Found::Nothing, line)?;
                for (number, element) in array.iter().enumerate() {
                    let line = self.lines.at(element.span().start);
                    self.value(element, path.child(Step::Element(number)), line, depth + 1)?;
                }
                return Ok(());
            }
            DeValue::Boolean(boolean) => Found::Value(Value::Boolean(*boolean)),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) if number.unsigned_abs() <= INTEGER_MAX => Found::Value(Value::Integer(number)),
                _ => self.as_it_stands(value.span()),
            },
            DeValue::String(text) if text.contains('\0') => return Err(Why::Malformed),
            DeValue::String(text) => Found::text(text.clone().into_owned()),
            DeValue::Float(_) | DeValue::Datetime(_) => self.as_it_stands(value.span()),
        };
        self.entries.push(path, found, line)
    }

    fn as_it_stands(&self, span: Range<usize>) -> Found {
        Found::text(self.text.get(span).unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_type_and_line() {
        let text = "b = true\n[queue]\nlock = 'exclusive'\nretries = 0x1F\nx = 1_0.50\nbig = 9007199254740993\n\
                    day = 2023-05-01\n[[n]]\na.b = [1,\n 2]\n[[n]]\na.b = []\n";
        let entries = read(text).unwrap().entries.into_iter().filter(|entry| entry.value != Found::Nothing);
        let text = |t: &str| Value::Text(t.to_owned());
        let expected = [
            ("b", Value::Boolean(true), 1),
            ("queue.lock", text("exclusive"), 3),
            ("queue.retries", Value::Integer(31), 4),
            ("queue.x", text("1_0.50"), 5),
            ("queue.big", text("9007199254740993"), 6),
            ("queue.day", text("2023-05-01"), 7),
            ("n.0.a.b.0", Value::Integer(1), 9),
            ("n.0.a.b.1", Value::Integer(2), 10),
        ];
        let found: Vec<_> = entries.map(|entry| (entry.key.shown(Shape::Tree), entry.value, entry.line)).collect();
        let expected = expected.map(|(key, value, line)| (key.to_owned(), Found::Value(value), line));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_quoted_key_is_its_own_key() {
        let text = "\"queue.lock\" = 1\nqueue.lock = 2\n'a b'.\"\" = 3\n\"0\" = 4\n";
        let shown: Vec<_> = read(text).unwrap().entries.iter().map(|entry| entry.key.shown(Shape::Tree)).collect();
        assert_eq!(shown, ["\"queue.lock\"", "queue", "queue.lock", "a b", "a b.\"\"", "\"0\""]);
    }

    #[test]
    fn tables_and_arrays_are_there_without_a_value() {
        let entries = read("a = []\nb = { c = 1 }\nd = {}\n[e.f]\n[[g]]\n").unwrap().entries;
        let nested = entries.iter().filter(|entry| entry.value == Found::Nothing);
        let nested: Vec<_> = nested.map(|entry| (entry.key.shown(Shape::Tree), entry.line)).collect();
        let expected = [("a", 1), ("b", 2), ("d", 3), ("e", 4), ("e.f", 4), ("g", 5), ("g.0", 5)];
        assert_eq!(nested, expected.map(|(key, line)| (key.to_owned(), line)));
    }

    #[test]
    fn what_is_no_toml_is_malformed_and_depth_is_bounded() {
        for text in ["a = 1\na = 1\n", "a = \n", "a = \"\\u0000\"\n", "a = 1\rb = 2\n"] {
            assert_eq!(read(text).err(), Some(Why::Malformed), "{text:?}");
        }
        let deep = format!("a = {}1{}\n", "[".repeat(70), "]".repeat(70));
        assert!(matches!(read(&deep).err(), Some(Why::TooLarge | Why::Malformed)));
        assert_eq!(read(&format!("{} = 1\n", ["a"; 2000].join("."))).err(), Some(Why::TooLarge));
    }
}
