//! TOML: keys are dotted paths, an array's elements are numbered from 0. Tables and arrays are there
//! without a value.

use ::toml::de::{DeTable, DeValue};
use manifests::evidence::Why;
use manifests::value::{INTEGER_MAX, Value};

use super::{DEPTH_MAX, Entries, Entry, Found, Lines};

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Why> {
    let table = DeTable::parse(text).map_err(|_| Why::Malformed)?;
    let lines = Lines::of(text);
    let mut entries = Entries::default();
    table_entries(table.get_ref(), "", 0, &lines, &mut entries)?;
    // A table's order is by name; a file's is by line.
    entries.0.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
    Ok(entries.0)
}

fn table_entries(
    table: &DeTable<'_>,
    path: &str,
    depth: usize,
    lines: &Lines,
    entries: &mut Entries,
) -> Result<(), Why> {
    for (key, value) in table.iter() {
        let line = lines.at(key.span().start);
        one(value.get_ref(), joined(path, key.get_ref()), line, depth + 1, lines, entries)?;
    }
    Ok(())
}

fn one(
    value: &DeValue<'_>,
    path: String,
    line: u32,
    depth: usize,
    lines: &Lines,
    entries: &mut Entries,
) -> Result<(), Why> {
    if depth > DEPTH_MAX {
        return Err(Why::TooLarge);
    }
    let found = match value {
        DeValue::Table(table) => {
            entries.push(path.clone(), Found::Nested, line)?;
            return table_entries(table, &path, depth, lines, entries);
        }
        DeValue::Array(array) => {
            entries.push(path.clone(), Found::Nested, line)?;
            for (index, element) in array.iter().enumerate() {
                let line = lines.at(element.span().start);
                one(element.get_ref(), joined(&path, &index.to_string()), line, depth + 1, lines, entries)?;
            }
            return Ok(());
        }
        DeValue::Boolean(boolean) => Found::Value(Value::Boolean(*boolean)),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if number.unsigned_abs() <= INTEGER_MAX => Found::Value(Value::Integer(number)),
            _ => Found::text(integer.as_str().to_owned()),
        },
        DeValue::String(text) => {
            if text.contains('\0') {
                return Err(Why::Malformed);
            }
            Found::text(text.clone().into_owned())
        }
        DeValue::Float(float) => Found::text(float.as_str().to_owned()),
        DeValue::Datetime(datetime) => Found::text(datetime.to_string()),
    };
    entries.push(path, found, line)
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_type_and_line() {
        let text = "b = true\n[queue]\nlock = 'exclusive'\nretries = 0x1F\nx = 1.50\nbig = 9007199254740993\n\
                    day = 2023-05-01\n[[n]]\na.b = [1,\n 2]\n[[n]]\na.b = []\n";
        let mut entries = parse(text).unwrap();
        entries.retain(|entry| entry.value != Found::Nested);
        let text = |t: &str| Value::Text(t.to_owned());
        let expected = [
            ("b", Value::Boolean(true), 1),
            ("queue.lock", text("exclusive"), 3),
            ("queue.retries", Value::Integer(31), 4),
            ("queue.x", text("1.50"), 5),
            ("queue.big", text("9007199254740993"), 6),
            ("queue.day", text("2023-05-01"), 7),
            ("n.0.a.b.0", Value::Integer(1), 9),
            ("n.0.a.b.1", Value::Integer(2), 10),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(key, value, line)| Entry { key: key.to_owned(), value: Found::Value(value), line })
            .collect();
        assert_eq!(entries, expected);
    }

    #[test]
    fn tables_and_arrays_are_there_without_a_value() {
        let entries = parse("a = []\nb = { c = 1 }\nd = {}\n[e.f]\n[[g]]\n").unwrap();
        let nested = entries.iter().filter(|entry| entry.value == Found::Nested);
        let nested: Vec<_> = nested.map(|entry| (entry.key.as_str(), entry.line)).collect();
        assert_eq!(nested, [("a", 1), ("b", 2), ("d", 3), ("e", 4), ("e.f", 4), ("g", 5), ("g.0", 5)]);
    }

    #[test]
    fn what_is_no_toml_is_malformed_and_depth_is_bounded() {
        assert_eq!(parse("a = 1\na = 1\n"), Err(Why::Malformed));
        assert_eq!(parse("a = \n"), Err(Why::Malformed));
        assert_eq!(parse("a = \"\\u0000\"\n"), Err(Why::Malformed));
        let deep = format!("a = {}1{}\n", "[".repeat(70), "]".repeat(70));
        assert!(matches!(parse(&deep), Err(Why::TooLarge | Why::Malformed)));
    }
}
