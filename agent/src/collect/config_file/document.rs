//! What one file says, as one reader has it, and how it is asked for a key.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use manifests::digest::Digest;
use manifests::evidence::{Odd, Why};
use manifests::value::{VALUE_BYTES_MAX, Value};

use super::include::Include;
use super::key::{Key, Shape, Wanted};
use super::{ENTRIES_MAX, KEY_BYTES_MAX};

/// The most lines told of what is unclear.
const LINES_MAX: usize = 16;

/// A value as a file has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// A value.
    Value(Value),
    /// A text longer than values are kept: its digest.
    TooLong(Digest),
    /// No value, but more keys below it, or nothing: a table, an array, an element with elements, a null.
    /// The key is there, so it is not absent.
    Nothing,
    /// The reader takes the file, and answers an error where this value is asked for.
    Refused,
    /// What the reader makes of it is not known: as it would be without that doubt.
    Doubtful(Value, Odd),
}

impl Found {
    /// A text within its bound.
    pub(crate) fn text(text: String) -> Self {
        if text.len() > VALUE_BYTES_MAX {
            Found::TooLong(Digest::of(text.as_bytes()))
        } else {
            Found::Value(Value::Text(text))
        }
    }

    /// A text that a reader may take otherwise.
    pub(crate) fn doubtful(text: String, odd: Odd) -> Self {
        match Found::text(text) {
            Found::Value(value) => Found::Doubtful(value, odd),
            other => other,
        }
    }
}

/// One key and value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it stands there.
    pub(crate) key: Key,
    /// Its value.
    pub(crate) value: Found,
    /// Where it stands, from 1.
    pub(crate) line: u32,
}

/// What a file says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This.
    Value { value: Found, line: u32 },
    /// Nothing.
    Absent,
    /// Programs may take different values out of it.
    Unclear { lines: Vec<u32>, odd: Odd },
    /// It cannot be told.
    Unknown(Why),
}

/// Why everything at or below a key is unclear.
#[derive(Clone, Debug)]
struct Doubt {
    lines: Vec<u32>,
    odd: Odd,
    /// Whether the key itself is.
    itself: bool,
}

/// A line that says why keys which are not there may be there all the same, and which.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    line: u32,
    odd: Odd,
    may: fn(&Key) -> bool,
}

/// How a reader names keys: the form in which two keys are the same.
pub(crate) type Fold = fn(&Key) -> Key;

/// What one file says, as one reader has it.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) shape: Shape,
    pub(crate) entries: Vec<Entry>,
    pub(crate) includes: Vec<Include>,
    fold: Fold,
    index: HashMap<Key, Vec<usize>>,
    doubts: BTreeMap<Key, Doubt>,
    /// Where names that are not there may come from all the same.
    elsewhere: Option<Elsewhere>,
    /// The same thing under another spelling of its name, entry by entry; of xml alone.
    twins: Option<Twins>,
}

/// Names as another reading has them.
#[derive(Clone, Debug)]
struct Twins {
    of: Vec<Key>,
    index: HashMap<Key, Vec<usize>>,
    /// Names of which it cannot be told whether they are meant: there without a value.
    loose: HashMap<Key, usize>,
    loosened: Fold,
}

/// Entries in file order, bounded.
#[derive(Debug, Default)]
pub(crate) struct Entries(pub(crate) Vec<Entry>);

impl Entries {
    /// Adds one.
    ///
    /// # Errors
    /// [`Why::TooLarge`] beyond the limits.
    pub(crate) fn push(&mut self, key: Key, value: Found, line: u32) -> Result<(), Why> {
        if self.0.len() >= ENTRIES_MAX || key.0.iter().map(super::key::step_bytes).sum::<usize>() > KEY_BYTES_MAX {
            return Err(Why::TooLarge);
        }
        self.0.push(Entry { key, value, line });
        Ok(())
    }
}

/// The key as it stands.
pub(crate) fn as_written(key: &Key) -> Key {
    key.clone()
}

impl Document {
    /// Of these entries, in file order. `fold` says which keys are the same.
    pub(crate) fn new(shape: Shape, entries: Vec<Entry>, fold: Fold) -> Self {
        let mut index: HashMap<Key, Vec<usize>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            index.entry(fold(&entry.key)).or_default().push(at);
        }
        Self {
            shape,
            entries,
            includes: Vec::new(),
            fold,
            index,
            doubts: BTreeMap::new(),
            elsewhere: None,
            twins: None,
        }
    }

    /// Adds entries that no line of the file is.
    pub(crate) fn extend(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.index.entry((self.fold)(&entry.key)).or_default().push(self.entries.len());
            self.entries.push(entry);
        }
    }

    /// Makes everything below `key` unclear, and with `itself` the key as well.
    pub(crate) fn doubt(&mut self, key: Key, lines: Vec<u32>, odd: Odd, itself: bool) {
        self.doubts.entry((self.fold)(&key)).or_insert(Doubt { lines, odd, itself });
    }

    /// Makes what is not there unclear, for keys that `may` come from elsewhere.
    pub(crate) fn absent_is_unclear(&mut self, line: u32, odd: Odd, may: fn(&Key) -> bool) {
        self.elsewhere.get_or_insert(Elsewhere { line, odd, may });
    }

    /// Gives each entry the name under which another spelling means the same thing. `loosened` is a name
    /// without what programs may leave out of it.
    pub(crate) fn with_twins(mut self, of: Vec<Key>, loosened: Fold) -> Self {
        let mut index: HashMap<Key, Vec<usize>> = HashMap::new();
        let mut loose = HashMap::new();
        for (at, (twin, entry)) in of.iter().zip(&self.entries).enumerate() {
            index.entry(twin.clone()).or_default().push(at);
            loose.entry(loosened(&entry.key)).or_insert(at);
        }
        self.twins = Some(Twins { of, index, loose, loosened });
        self
    }

    /// What it says of the key that a baseline writes so. `unlisted` are the includes whose files are not
    /// read; `first` counts the line of the first of equal values.
    pub(crate) fn find(&self, text: &str, unlisted: &[&Include], first: bool) -> Answer {
        let wanted = Wanted::of(text, self.shape);
        let key = (self.fold)(&wanted.key);
        let others = wanted.also.iter().map(|other| (self.fold)(other)).filter(|other| *other != key);
        let others: Vec<usize> = others.filter_map(|other| self.index.get(&other)).flatten().copied().collect();
        if !others.is_empty() {
            return self.unclear(others.into_iter().chain(self.at(&key)), Odd::Key);
        }
        if let Some(doubt) = self.doubt_of(&key) {
            return Answer::Unclear { lines: doubt.lines.clone(), odd: doubt.odd };
        }
        let hits = self.at(&key);
        let last = hits.last().copied();
        // Before the key what it includes is overridden in turn.
        if let Some(include) = unlisted.iter().find(|include| last.is_none_or(|last| include.entries_before > last)) {
            return Answer::Unclear { lines: vec![include.line], odd: Odd::Include };
        }
        let values: BTreeSet<&Found> = hits.iter().filter_map(|at| Some(&self.entries.get(*at)?.value)).collect();
        if values.len() > 1 {
            return self.unclear(hits.into_iter(), Odd::Duplicate);
        }
        let hit = if first { hits.first() } else { hits.last() };
        match hit.and_then(|at| self.entries.get(*at)) {
            Some(Entry { value: Found::Refused, .. }) => Answer::Unknown(Why::Malformed),
            Some(Entry { value: Found::Doubtful(_, odd), .. }) => self.unclear(hits.into_iter(), *odd),
            Some(entry) => Answer::Value { value: entry.value.clone(), line: entry.line },
            None => self.absent(&key),
        }
    }

    fn absent(&self, key: &Key) -> Answer {
        if let Some(twins) = &self.twins
            && let Some(at) = twins.loose.get(&(twins.loosened)(key))
        {
            let line = self.entries.get(*at).map_or(1, |entry| entry.line);
            return Answer::Value { value: Found::Nothing, line };
        }
        match self.elsewhere {
            Some(Elsewhere { line, odd, may }) if may(key) => Answer::Unclear { lines: vec![line], odd },
            _ => Answer::Absent,
        }
    }

    // In file order, with those that bear another name for the same.
    fn at(&self, key: &Key) -> Vec<usize> {
        let hits = self.index.get(key).cloned().unwrap_or_default();
        let Some(twins) = &self.twins else { return hits };
        let mut all: BTreeSet<usize> = hits.iter().copied().collect();
        let names: BTreeSet<&Key> = hits.iter().filter_map(|at| twins.of.get(*at)).collect();
        all.extend(names.into_iter().filter_map(|name| twins.index.get(name)).flatten());
        all.into_iter().collect()
    }

    fn doubt_of(&self, key: &Key) -> Option<&Doubt> {
        if self.doubts.is_empty() {
            return None;
        }
        (1..=key.0.len()).find_map(|len| {
            let prefix = Key(key.0.get(..len)?.to_vec());
            self.doubts.get(&prefix).filter(|doubt| doubt.itself || len < key.0.len())
        })
    }

    fn unclear(&self, at: impl Iterator<Item = usize>, odd: Odd) -> Answer {
        Answer::Unclear { lines: lines(at.filter_map(|at| Some(self.entries.get(at)?.line))), odd }
    }
}

/// Lines in order, each once, as many as are told.
pub(crate) fn lines(lines: impl Iterator<Item = u32>) -> Vec<u32> {
    let lines: BTreeSet<u32> = lines.collect();
    lines.into_iter().take(LINES_MAX).collect()
}
