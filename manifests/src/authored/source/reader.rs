//! Reads TOML values, noting every problem and going on.
//!
//! A reader gives `None` exactly when a problem has been noted (or when what it reads from is
//! already known to be wrong), so that schema code reads all keys first and assembles the value
//! with `?` at its end.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::LIST_MAX;
use super::near::nearest;
use super::sheet::{Sheet, printable};
use crate::time::Time;
use crate::value::{INTEGER_MAX, Value};

/// A value, with its place in the file and in the document.
#[derive(Clone)]
pub(super) struct Node<'a> {
    sheet: &'a Sheet<'a>,
    value: &'a Spanned<DeValue<'a>>,
    path: String,
}

impl<'a> Node<'a> {
    /// Notes a problem at this value.
    pub(super) fn refuse<T>(&self, code: &'static str, message: impl Into<String>) -> Option<T> {
        self.sheet.report(self.offset(), &self.path, code, message.into(), None);
        None
    }

    /// Notes a problem at this value and what to do.
    pub(super) fn refuse_with<T>(
        &self,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.sheet.report(self.offset(), &self.path, code, message.into(), Some(hint.into()));
        None
    }

    /// Notes that what this value names is not there.
    pub(super) fn refuse_dangling<T>(&self, code: &'static str, message: String, hint: Option<String>) -> Option<T> {
        self.sheet.report_absent(self.offset(), &self.path, code, message, hint);
        None
    }

    /// Where it begins, in bytes.
    pub(super) fn offset(&self) -> usize {
        self.value.span().start
    }

    /// The line it begins in.
    pub(super) fn line_of(&self, offset: usize) -> u32 {
        self.sheet.line(offset)
    }

    /// Whether a problem here would not be told, so that no work need go into its words.
    pub(super) fn is_full(&self) -> bool {
        self.sheet.is_full(self.offset())
    }

    /// Keeps its place for [`super::cross_check`].
    pub(super) fn keep_place(&self) {
        self.sheet.keep_place(self.offset(), &self.path);
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        // The parser's stand-ins for values that it could not read, and has complained of.
        let stand_in = match self.value.get_ref() {
            DeValue::Integer(_) => self.value.span() == (0..0),
            DeValue::Datetime(datetime) => datetime.date.is_none() && datetime.time.is_none(),
            _ => false,
        };
        if stand_in {
            return None;
        }
        let key = last_step(&self.path);
        self.refuse("wrong-type", format!("`{key}` must be {expected}, not {}", type_of(self.value.get_ref())))
    }

    /// The text, if it is one.
    pub(super) fn as_str(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    /// A text, as it stands.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type(expected),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(boolean) => Some(*boolean),
            _ => self.wrong_type("true or false"),
        }
    }

    /// An integer within ±[`INTEGER_MAX`].
    pub(super) fn integer(&self) -> Option<i64> {
        match self.value.get_ref() {
            DeValue::Integer(integer) if self.value.span() != (0..0) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) if number.unsigned_abs() <= INTEGER_MAX => Some(number),
                    _ => self.refuse("out-of-range", format!("integers stay within ±{INTEGER_MAX}")),
                }
            }
            _ => self.wrong_type("an integer"),
        }
    }

    /// A boolean, an integer or a text.
    pub(super) fn scalar(&self) -> Option<Value> {
        match self.value.get_ref() {
            DeValue::Boolean(boolean) => Some(Value::Boolean(*boolean)),
            DeValue::String(text) => Some(Value::Text(text.to_string())),
            DeValue::Integer(_) => self.integer().map(Value::Integer),
            _ => self.wrong_type("a text, an integer, true or false"),
        }
    }

    /// An offset date-time.
    pub(super) fn time(&self) -> Option<Time> {
        const EXAMPLE: &str = "2023-07-09T06:00:00+09:00";
        match self.value.get_ref() {
            DeValue::Datetime(datetime) => {
                let (Some(_), Some(time), Some(_)) = (datetime.date, datetime.time, datetime.offset) else {
                    if datetime.date.is_none() && datetime.time.is_none() {
                        return None; // Not a date at all, which the parser has said.
                    }
                    return self.refuse_with(
                        "local-time",
                        format!("`{datetime}` is another moment in every time zone"),
                        format!("write date, time and offset, as {EXAMPLE}"),
                    );
                };
                // TOML 1.1 allows the seconds to be left out, RFC 3339 does not.
                let time = toml::value::Time { second: Some(time.second.unwrap_or(0)), ..time };
                let whole = toml::value::Datetime { time: Some(time), ..*datetime };
                match Time::from_rfc3339(&whole.to_string()) {
                    Ok(time) => Some(time),
                    Err(_) => self.refuse("bad-time", format!("`{datetime}` is no moment from 1970 to 9999")),
                }
            }
            _ => self.wrong_type(&format!("a date and time without quotes, as {EXAMPLE}")),
        }
    }

    /// One of `words`.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let names = || words.iter().map(|(name, _)| *name);
        let list = names().collect::<Vec<_>>().join(", ");
        let text = self.text(&format!("one of {list}"))?;
        match words.iter().find(|(name, _)| *name == text) {
            Some((_, meaning)) => Some(*meaning),
            None => self.refuse_with("bad-word", format!("`{}` is none of {list}", printable(text)), {
                nearest(text, names()).map_or(format!("write one of {list}"), |near| format!("did you mean `{near}`?"))
            }),
        }
    }

    /// The elements that can be read of a list of 1 to `most`.
    pub(super) fn list<T>(&self, most: usize, mut read: impl FnMut(Node<'a>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return match self.value.get_ref() {
                DeValue::Table(_) => self.wrong_type("a list: write it with [[ ]]"),
                _ => self.wrong_type("a list in [ ]"),
            };
        };
        if array.is_empty() {
            let key = last_step(&self.path);
            return self.refuse_with("empty-list", format!("`{key}` lists nothing"), "leave the key out");
        }
        if array.len() > most {
            return self.refuse("too-many", format!("{} entries, at most {most} are allowed", array.len()));
        }
        let nodes = array.iter().enumerate().map(|(index, value)| Node {
            sheet: self.sheet,
            value,
            path: format!("{}[{index}]", self.path),
        });
        // Every element is read, so that every problem is found, before one failure counts.
        let read: Vec<Option<T>> = nodes.map(&mut read).collect();
        read.into_iter().collect()
    }

    /// What `read` makes of a table. Keys that it did not ask for are problems.
    pub(super) fn table<T>(&self, read: impl FnOnce(&mut Table<'a>) -> Option<T>) -> Option<T> {
        match self.value.get_ref() {
            DeValue::Table(entries) => Table::read(self.sheet, entries, self.offset(), self.path.clone(), read),
            DeValue::Array(_) => self.wrong_type("one table: write it with [ ] or { }"),
            _ => self.wrong_type("a table { … }"),
        }
    }

    /// What `read` makes of each entry of a table whose keys are free.
    pub(super) fn entries<T>(
        &self,
        most: usize,
        mut read: impl FnMut(&'a str, Node<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Table(entries) = self.value.get_ref() else {
            return self.wrong_type("a table { … }");
        };
        if entries.is_empty() || entries.len() > most {
            return self.refuse("empty-list", format!("1 to {most} entries are needed"));
        }
        let read: Vec<Option<T>> = entries
            .iter()
            .map(|(key, value)| {
                let key = key.get_ref();
                read(key, Node { sheet: self.sheet, value, path: format!("{}.{}", self.path, printable(key)) })
            })
            .collect();
        read.into_iter().collect()
    }
}

/// A table being read: which keys were asked for, and which were missed.
pub(super) struct Table<'a> {
    sheet: &'a Sheet<'a>,
    entries: &'a DeTable<'a>,
    offset: usize,
    path: String,
    known: Vec<&'static str>,
    /// Keys that stand there and belong to a later schema than the file's, with that schema.
    later: Vec<(&'static str, u32)>,
    absences: Vec<Absence>,
    /// With no telling which keys belong here, only these are worth naming as what was meant.
    only_known: Option<Vec<&'static str>>,
}

// Reported when all keys are known: a misspelt key is one mistake, not a missing key as well.
struct Absence {
    keys: Vec<&'static str>,
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl<'a> Table<'a> {
    /// What `read` makes of the document.
    pub(super) fn document<T>(
        sheet: &'a Sheet<'a>,
        entries: &'a DeTable<'a>,
        read: impl FnOnce(&mut Table<'a>) -> Option<T>,
    ) -> Option<T> {
        Self::read(sheet, entries, 0, String::new(), read)
    }

    fn read<T>(
        sheet: &'a Sheet<'a>,
        entries: &'a DeTable<'a>,
        offset: usize,
        path: String,
        read: impl FnOnce(&mut Table<'a>) -> Option<T>,
    ) -> Option<T> {
        let mut table = Table {
            sheet,
            entries,
            offset,
            path,
            known: Vec::new(),
            later: Vec::new(),
            absences: Vec::new(),
            only_known: None,
        };
        let value = read(&mut table);
        table.report_unknown_and_absent();
        value
    }

    fn node(&self, key: &str) -> Option<Node<'a>> {
        self.entries.get(key).map(|value| Node { sheet: self.sheet, value, path: self.path_of(key) })
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the key stands there; asks for nothing.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether an unknown key was probably meant to be `key`.
    pub(super) fn has_misspelt(&self, key: &str) -> bool {
        let mut keys = self.entries.keys().take(super::PROBLEMS_MAX);
        !self.has(key) && keys.any(|other| nearest(other.get_ref(), [key]).is_some())
    }

    /// How many elements the list of that key has, none if it is left out; nothing if it is no list.
    pub(super) fn count(&self, key: &str) -> Option<usize> {
        match self.entries.get(key) {
            None => Some(0),
            Some(value) => value.get_ref().as_array().map(|array| array.len()),
        }
    }

    /// What `read` makes of a key that may be left out.
    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        self.known.push(key);
        self.node(key).and_then(read)
    }

    /// As [`Table::optional`], of a key that came with `schema`: in a file of an earlier one it is unknown.
    pub(super) fn optional_since<T>(
        &mut self,
        schema: u32,
        key: &'static str,
        read: impl FnOnce(Node<'a>) -> Option<T>,
    ) -> Option<T> {
        if self.sheet.schema() >= schema {
            return self.optional(key, read);
        }
        self.later.push((key, schema));
        None
    }

    /// What `read` makes of a key that must be there.
    pub(super) fn required<T>(&mut self, key: &'static str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Option<T> {
        self.required_or(key, "missing-key", format!("`{key}` is missing"), None, read)
    }

    /// As [`Table::required`], with words of its own for the key's absence.
    pub(super) fn required_or<T>(
        &mut self,
        key: &'static str,
        code: &'static str,
        message: String,
        hint: Option<String>,
        read: impl FnOnce(Node<'a>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        match self.node(key) {
            Some(node) => read(node),
            None => {
                self.absences.push(Absence { keys: vec![key], code, message, hint });
                None
            }
        }
    }

    /// The one of `keys` that stands there.
    pub(super) fn exactly_one(&mut self, keys: &[&'static str]) -> Option<&'static str> {
        let list = keys.join(", ");
        let mut found: Vec<_> = keys.iter().filter_map(|key| Some((*key, self.entries.get_key_value(*key)?))).collect();
        found.sort_by_key(|(_, (key, _))| key.span().start);
        match found.as_slice() {
            [] => {
                let message = format!("one of {list} is missing");
                self.known.extend(keys);
                self.absences.push(Absence { keys: keys.to_vec(), code: "exactly-one", message, hint: None });
                None
            }
            [(key, _)] => Some(key),
            [(first, _), (second, (place, _)), ..] => {
                // What the two would have read is not looked at: one of them has to go first.
                self.known.extend(self.entries.keys().filter_map(|key| keys.iter().find(|k| **k == key.get_ref())));
                let message = format!("`{first}` and `{second}` exclude each other");
                let hint = format!("exactly one of {list}");
                self.sheet.report(place.span().start, &self.path_of(second), "exactly-one", message, Some(hint));
                None
            }
        }
    }

    /// As [`Table::exactly_one`], where the key decides which others can stand beside it.
    pub(super) fn branch(&mut self, keys: &[&'static str]) -> Option<&'static str> {
        let found = self.exactly_one(keys);
        if found.is_none() {
            self.only_known = Some(keys.to_vec());
        }
        found
    }

    /// Whether the key stands there with the value `true`.
    pub(super) fn is_true(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| value.get_ref().as_bool() == Some(true))
    }

    /// Lets a key stand there unread.
    pub(super) fn accept(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Lets everything stand there unread.
    pub(super) fn accept_all_keys(&mut self) {
        self.only_known = Some(Vec::new());
    }

    /// Notes a problem with a key that stands there, at the key.
    pub(super) fn refuse_key(&self, key: &str, code: &'static str, message: &str) {
        if let Some((place, _)) = self.entries.get_key_value(key) {
            self.sheet.report(place.span().start, &self.path_of(key), code, message.to_owned(), None);
        }
    }

    /// Notes a problem with the table as a whole.
    pub(super) fn refuse<T>(&self, code: &'static str, message: impl Into<String>) -> Option<T> {
        self.sheet.report(self.offset, &self.path, code, message.into(), None);
        None
    }

    /// Notes that something is not in the table, unless one of `keys` was misspelt.
    pub(super) fn refuse_absent(&mut self, keys: &[&'static str], code: &'static str, message: &str, hint: &str) {
        let hint = Some(hint.to_owned());
        self.absences.push(Absence { keys: keys.to_vec(), code, message: message.to_owned(), hint });
    }

    /// Keeps its place for [`super::cross_check`].
    pub(super) fn keep_place(&self) {
        self.sheet.keep_place(self.offset, &self.path);
    }

    fn report_unknown_and_absent(self) {
        let mut misspelt = Vec::new();
        for key in self.entries.keys() {
            let text: &str = key.get_ref();
            if self.known.contains(&text) || self.sheet.is_full(key.span().start) {
                continue;
            }
            if let Some((later, schema)) = self.later.iter().find(|(later, _)| *later == text) {
                let message = format!("`{later}` is a key of schema {schema}, the file is of {}", self.sheet.schema());
                let hint = format!("write schema = {schema}, which every agent of the fleet must be able to read");
                self.sheet.report(key.span().start, &self.path_of(later), "unknown-key", message, Some(hint));
                continue;
            }
            // What is absent is the likelier meaning; then any key that could stand here.
            let absent = self.absences.iter().flat_map(|absence| absence.keys.iter().copied());
            let unused = self.known.iter().copied().filter(|known| !self.entries.contains_key(*known));
            let near = nearest(text, absent).or_else(|| nearest(text, unused));
            if self.only_known.as_ref().is_some_and(|only| near.is_none_or(|near| !only.contains(&near))) {
                continue;
            }
            misspelt.extend(near);
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys here: {}", self.known.join(", ")),
            };
            let message = format!("unknown key `{}`", printable(text));
            self.sheet.report(key.span().start, &self.path_of(&printable(text)), "unknown-key", message, Some(hint));
        }
        for absence in self.absences {
            if !absence.keys.iter().any(|key| misspelt.contains(key)) {
                let Absence { code, message, hint, .. } = absence;
                self.sheet.report_absent(self.offset, &self.path, code, message, hint);
            }
        }
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text in quotes",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn last_step(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}

/// The elements that can be read of an array of tables that may be left out.
pub(super) fn tables<'a, T>(
    t: &mut Table<'a>,
    key: &'static str,
    mut read: impl FnMut(&mut Table<'a>) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    t.optional(key, |n| {
        n.list(LIST_MAX, |n| {
            all.extend(n.table(&mut read));
            Some(())
        })
    });
    all
}

/// Reads the number of the file's schema, from 1 to `newest`, by which [`Table::optional_since`] goes on. Of
/// another schema nothing else can be said, so nothing else is.
pub(super) fn schema(t: &mut Table<'_>, newest: u32) -> Option<()> {
    let sheet = t.sheet;
    // Of a file that does not say it no key is too new: one mistake is told once.
    sheet.set_schema(newest);
    if !t.has("schema") {
        t.required("schema", |n| n.integer());
        return Some(());
    }
    let mut is_other = false;
    t.optional("schema", |n| {
        let schema = n.integer()?;
        match u32::try_from(schema).ok().filter(|schema| (1..=newest).contains(schema)) {
            Some(schema) => sheet.set_schema(schema),
            None => {
                is_other = true;
                let read = if newest == 1 { "1 is".to_owned() } else { format!("1 to {newest} are") };
                let message = format!("schema {schema} is not read here, {read}");
                return n.refuse_with::<()>("unsupported-schema", message, "a newer program may read it");
            }
        }
        Some(())
    });
    if is_other {
        t.accept_all_keys();
        return None;
    }
    Some(())
}
