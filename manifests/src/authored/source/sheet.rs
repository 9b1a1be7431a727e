//! One file being read: its text, where things stand in it, and the problems found so far.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::problem::Problem;
use super::{KEY_DOTS_MAX, PROBLEMS_MAX};

/// Where the values that another document can contradict stand: dotted path to line and column.
///
/// Made by [`super::baseline_with_places`], used by [`super::cross_check`].
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, (u32, u32)>);

impl Places {
    /// Line and column of `path`; the file's beginning if it was not kept.
    pub fn of(&self, path: &str) -> (u32, u32) {
        self.0.get(path).copied().unwrap_or((1, 1))
    }
}

/// What some editors put before the text.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// One file being read.
pub(super) struct Sheet<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    /// With their offsets; their places are counted when all are known.
    problems: RefCell<Vec<(usize, Problem)>>,
    /// From this offset on there are more problems than are told.
    full_from: Cell<Option<usize>>,
    /// Dotted paths and where they begin, in bytes.
    places: RefCell<Vec<(usize, String)>>,
    /// Lines that are no TOML: what was read from them is a guess.
    broken_lines: BTreeSet<u32>,
    /// From this line on everything was read as part of a list that is not closed.
    swallowed_from: Option<u32>,
    /// The parser has left out part of the text, so that nothing can be said to be missing.
    lossy: Cell<bool>,
    /// Which keys there can be; 0 until it is read.
    schema: Cell<u32>,
}

impl<'a> Sheet<'a> {
    /// Parses what can be parsed; the errors of syntax are the first problems.
    pub(super) fn parse(text: &'a str) -> (Self, DeTable<'a>) {
        // A byte order mark is no character of the first line.
        let begin = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let line_starts = std::iter::once(begin).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        let mut sheet = Self {
            text,
            line_starts,
            problems: RefCell::default(),
            full_from: Cell::new(None),
            places: RefCell::default(),
            broken_lines: BTreeSet::new(),
            swallowed_from: None,
            lossy: Cell::new(false),
            schema: Cell::new(0),
        };
        // A dotted key nests one table per dot, and nested tables are freed by recursion: a line of
        // a million dots would overflow the stack.
        if let Some(offset) = too_many_dots(text) {
            sheet.report(offset, "", "syntax", format!("more than {KEY_DOTS_MAX} dots in one line"), None);
            sheet.lossy.set(true);
            return (sheet, DeTable::new());
        }
        let (table, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map_or(text.len(), |span| span.start));
        for error in errors {
            let offset = error.span().map_or(text.len(), |span| span.start);
            if sheet.is_full(offset) {
                break;
            }
            let message = printable_to(error.message(), 300);
            if message.starts_with("duplicate key") {
                sheet.report(offset, "", "duplicate-key", "the key stands twice".to_owned(), None);
                continue;
            }
            sheet.lossy.set(true);
            if message.starts_with("missing comma between array") && begins_statement(text.get(offset..)) {
                sheet.report_unclosed(offset);
                break;
            }
            sheet.report(offset, "", "syntax", message, None);
            sheet.broken_lines.insert(sheet.line(offset));
        }
        (sheet, table.into_inner())
    }

    // A list without its `]` takes in the rest of the file, line by line: one mistake, said once.
    fn report_unclosed(&mut self, offset: usize) {
        let line = self.line(offset);
        let before = self.line_starts.iter().zip(1..).take_while(|(_, number)| *number < line);
        let list = before.filter(|(start, _)| begins_statement(self.text.get(**start..))).last();
        let list = list.map_or(line, |(_, number)| number);
        let message = format!("the list of line {list} is not closed before this line");
        self.report(offset, "", "syntax", message, Some("`]` is missing".to_owned()));
        self.swallowed_from = Some(list);
    }

    /// The schema that the file says it is of.
    pub(super) fn schema(&self) -> u32 {
        self.schema.get()
    }

    /// Keeps the schema that the file says it is of.
    pub(super) fn set_schema(&self, schema: u32) {
        self.schema.set(schema);
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let lines = self.line_starts.partition_point(|start| *start <= offset);
        u32::try_from(lines.max(1)).unwrap_or(u32::MAX)
    }

    /// Whether a problem at `offset` would not be told, so that no work need go into its words.
    pub(super) fn is_full(&self, offset: usize) -> bool {
        self.full_from.get().is_some_and(|from| offset >= from)
    }

    /// Notes a problem.
    pub(super) fn report(&self, offset: usize, key: &str, code: &'static str, message: String, hint: Option<String>) {
        let line = self.line(offset);
        let is_swallowed = self.swallowed_from.is_some_and(|from| line >= from);
        if self.is_full(offset) || is_swallowed || self.broken_lines.contains(&line) {
            return;
        }
        let mut problems = self.problems.borrow_mut();
        problems.push((offset, Problem { line, column: 1, code, message, hint, key: key.to_owned() }));
        // The reader's order is not the file's: those told are the first of the file.
        if problems.len() >= 2 * PROBLEMS_MAX {
            sort(&mut problems);
            problems.truncate(PROBLEMS_MAX);
            self.full_from.set(problems.last().map(|(offset, _)| *offset));
        }
    }

    /// Notes that something is not there, unless the parser may have lost it.
    pub(super) fn report_absent(
        &self,
        offset: usize,
        key: &str,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) {
        if !self.lossy.get() {
            self.report(offset, key, code, message, hint);
        }
    }

    /// Keeps the place of `key` for [`super::cross_check`].
    pub(super) fn keep_place(&self, offset: usize, key: &str) {
        self.places.borrow_mut().push((offset, key.to_owned()));
    }

    /// The value, if no problem was found; otherwise the problems in file order.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Places), Vec<Problem>> {
        let mut problems = self.problems.into_inner();
        sort(&mut problems);
        problems.truncate(PROBLEMS_MAX);
        let mut cursor = Cursor::new(self.text, &self.line_starts);
        let place = |(offset, problem)| {
            let (line, column) = cursor.place(offset);
            Problem { line, column, ..problem }
        };
        let problems: Vec<Problem> = problems.into_iter().map(place).collect();
        match value {
            Some(value) if problems.is_empty() => {
                let mut offsets = self.places.into_inner();
                offsets.sort_unstable();
                let mut cursor = Cursor::new(self.text, &self.line_starts);
                let places = offsets.into_iter().map(|(offset, key)| (key, cursor.place(offset)));
                Ok((value, Places(places.collect())))
            }
            // A reader that gives nothing has said why; should one forget, the file is refused all the same.
            None if problems.is_empty() => Err(vec![Problem {
                line: 1,
                column: 1,
                code: "unreadable",
                message: "the document cannot be read".to_owned(),
                hint: None,
                key: String::new(),
            }]),
            _ => Err(problems),
        }
    }
}

fn sort(problems: &mut [(usize, Problem)]) {
    problems.sort_by(|(a, first), (b, second)| (a, first.code).cmp(&(b, second.code)));
}

/// Counts lines and columns of ascending offsets in one pass over the text: a file may be one line of a
/// hundred thousand entries.
struct Cursor<'a> {
    text: &'a str,
    line_starts: &'a [usize],
    line: usize,
    column: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str, line_starts: &'a [usize]) -> Self {
        Self { text, line_starts, line: 1, column: 1, at: line_starts.first().copied().unwrap_or(0) }
    }

    // Both from 1.
    fn place(&mut self, offset: usize) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        if line > self.line {
            self.line = line;
            self.column = 1;
            self.at = self.line_starts.get(line - 1).copied().unwrap_or(offset);
        }
        self.column += self.text.get(self.at..offset).map_or(0, |between| between.chars().count());
        self.at = self.at.max(offset);
        (u32::try_from(self.line).unwrap_or(u32::MAX), u32::try_from(self.column).unwrap_or(u32::MAX))
    }
}

// Whether a line begins as `key =`, `[table]` or `[[table]]`, none of which stands in a list.
fn begins_statement(line: Option<&str>) -> bool {
    let line = line.unwrap_or_default().lines().next().unwrap_or_default().trim();
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'"'))
    };
    match line.strip_prefix('[') {
        Some(rest) => rest.trim_start_matches('[').split_once(']').is_some_and(|(name, _)| is_word(name.trim())),
        None => line.split_once('=').is_some_and(|(key, _)| is_word(key.trim())),
    }
}

// The offset of the first line with more dots than any honest line has.
fn too_many_dots(text: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.bytes().filter(|byte| *byte == b'.').count() > KEY_DOTS_MAX {
            return Some(offset);
        }
        offset += line.len();
    }
    None
}

/// Text of a file as a terminal may show it: at most 80 characters, none of which controls it.
pub(super) fn printable(text: &str) -> String {
    printable_to(text, 80)
}

fn printable_to(text: &str, chars_max: usize) -> String {
    let shown = text.chars().take(chars_max).map(|c| if is_unprintable(c) { char::REPLACEMENT_CHARACTER } else { c });
    let mut shown: String = shown.collect();
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters, and those that reorder or hide text around them.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
