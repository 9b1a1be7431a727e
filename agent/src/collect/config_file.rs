//! Configurations: layered files, decoded, parsed, and asked for single keys.
//!
//! A layer that is there but cannot be read or parsed makes every key of its configuration
//! unknown: it might have overridden any of them.

mod decode;
mod ini;
mod properties;
mod toml;
mod xml;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use manifests::baseline::{Config, Format};
use manifests::digest::Digest;
use manifests::evidence::Why;
use manifests::value::{VALUE_BYTES_MAX, Value};

use crate::collect::index::Stamp;
use crate::collect::prefix::Prefix;
use crate::collect::read::{self, Bounds};
use crate::collect::wildcard;

/// The largest configuration file read (4 MiB).
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;
/// The most entries of one configuration file.
pub(crate) const ENTRIES_MAX: usize = 100_000;
/// The deepest nesting of tables, arrays and elements.
pub(crate) const DEPTH_MAX: usize = 64;
/// The most files of one configuration.
const LAYERS_MAX: usize = 1000;
/// The longest key, in bytes: nesting makes keys longer than what the file has of them.
const KEY_BYTES_MAX: usize = 4096;

/// A value as a file has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// A value.
    Value(Value),
    /// A text that dialects of the format read differently: what programs may take out of it is
    /// not this text. As it stands in the file.
    Unclear(String),
    /// A text longer than values are kept: its digest.
    TooLong(Digest),
    /// No value, but more keys below it, or nothing: a table, an array, an element with elements. The
    /// key is there, so it is not absent.
    Nested,
}

impl Found {
    /// A text within its bound.
    fn text(text: String) -> Self {
        if text.len() > VALUE_BYTES_MAX {
            Found::TooLong(Digest::of(text.as_bytes()))
        } else {
            Found::Value(Value::Text(text))
        }
    }
}

/// One key and value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As a baseline names it.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: Found,
    /// Where it stands, from 1.
    pub(crate) line: u32,
}

/// Entries in file order, bounded.
#[derive(Debug, Default)]
struct Entries(Vec<Entry>);

impl Entries {
    fn push(&mut self, key: String, value: Found, line: u32) -> Result<(), Why> {
        if self.0.len() >= ENTRIES_MAX || key.len() > KEY_BYTES_MAX {
            return Err(Why::TooLarge);
        }
        self.0.push(Entry { key, value, line });
        Ok(())
    }
}

/// Lines of a text by offset. Line ends are `\n`, `\r\n` and `\r`.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self(ends.map(|(at, _)| at).collect())
    }

    /// The line of the byte at `offset`, from 1.
    fn at(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|end| *end < offset)).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// Splits a text into lines at `\n`, `\r\n` and `\r`.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let (line, tail) = text.split_at(end);
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..));
        Some(line)
    })
}

/// One file of a configuration that is there.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Its path as a baseline would have it, bytes that are not UTF-8 replaced.
    pub(crate) file: String,
    /// Its path on this host.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) bytes: Result<(Digest, Stamp), Why>,
    entries: Result<Rc<Vec<Entry>>, Why>,
}

/// Bytes read in one pass, so that files which several configurations name are read once.
#[derive(Default)]
pub(crate) struct Cache(HashMap<PathBuf, Result<Bytes, Why>>);

/// A file's content, its digest and its stamp.
type Bytes = (Rc<Vec<u8>>, Digest, Stamp);

/// A configuration as it stands on disk.
#[derive(Clone, Debug)]
pub(crate) struct ConfigRead {
    /// Files that are there, lowest layer first.
    pub(crate) layers: Vec<Layer>,
    /// Why it is not known which files there are.
    pub(crate) unlisted: Option<(String, Why)>,
    first_wins: bool,
    format: Format,
}

/// What a configuration says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Winner {
    /// The value that wins.
    Value { value: Found, file: String, line: u32 },
    /// No file has the key.
    Absent,
    /// No file is there.
    NoFile,
    /// The winning file gives it twice with different values.
    Ambiguous { file: String, lines: Vec<u32> },
    /// A layer could not be read or parsed.
    Unknown(Why),
}

impl ConfigRead {
    /// Reads all layers of `config`.
    pub(crate) fn new(config: &Config, prefix: &Prefix, cache: &mut Cache, deadline: Instant) -> Self {
        let mut layers = Vec::new();
        let mut unlisted = None;
        for pattern in &config.files {
            match expand(&prefix.on_host(pattern)) {
                Ok(paths) => {
                    for path in paths {
                        if layers.len() >= LAYERS_MAX {
                            unlisted.get_or_insert((pattern.clone(), Why::TooLarge));
                            break;
                        }
                        layers.extend(Layer::new(path, config, prefix, cache, deadline));
                    }
                }
                Err(why) => _ = unlisted.get_or_insert((pattern.clone(), why)),
            }
        }
        Self { layers, unlisted, first_wins: config.first_wins, format: config.format }
    }

    /// Why its keys are not known, if they are not.
    pub(crate) fn unknown(&self) -> Option<Why> {
        let layers = self.layers.iter().filter_map(|layer| layer.entries.as_ref().err().copied());
        self.unlisted.as_ref().map(|(_, why)| *why).or_else(|| layers.into_iter().next())
    }

    /// Everything that could not be read or parsed, and why.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (String, Why)> {
        let layers = self.layers.iter().filter_map(|layer| Some((layer.file.clone(), *layer.entries.as_ref().err()?)));
        self.unlisted.iter().cloned().chain(layers)
    }

    /// What it says of `key`.
    pub(crate) fn find(&self, key: &str) -> Winner {
        if let Some(why) = self.unknown() {
            return Winner::Unknown(why);
        }
        if self.layers.is_empty() {
            return Winner::NoFile;
        }
        let given = |layer: &Layer| -> Option<(String, Vec<Entry>)> {
            let entries = layer.entries.as_ref().ok()?;
            let mut given: Vec<_> = entries.iter().filter(|entry| entry.key == key).cloned().collect();
            if given.is_empty() && self.format == Format::Xml {
                // The same name under another prefix may be the same name to a program.
                let prefixed = entries.iter().filter(|entry| xml::same_but_for_prefixes(&entry.key, key));
                given = prefixed.map(|entry| Entry { value: Found::Nested, ..entry.clone() }).collect();
            }
            let entries = given;
            (!entries.is_empty()).then(|| (layer.file.clone(), entries))
        };
        let winner = match self.first_wins {
            true => self.layers.iter().find_map(given),
            false => self.layers.iter().rev().find_map(given),
        };
        let Some((file, entries)) = winner else { return Winner::Absent };
        let values: BTreeSet<_> = entries.iter().map(|entry| &entry.value).collect();
        if values.len() > 1 {
            return Winner::Ambiguous { file, lines: entries.iter().map(|entry| entry.line).collect() };
        }
        let entry = if self.first_wins { entries.into_iter().next() } else { entries.into_iter().next_back() };
        match entry {
            Some(Entry { value: Found::Nested, .. }) => Winner::Unknown(Why::UnexpectedValue),
            Some(Entry { value, line, .. }) => Winner::Value { value, file, line },
            None => Winner::Absent,
        }
    }

    /// Every key with the distinct values that its winning file gives it; nothing where a layer
    /// could not be read.
    pub(crate) fn values(&self) -> Option<BTreeMap<&str, BTreeSet<&Found>>> {
        if self.unknown().is_some() {
            return None;
        }
        let mut values: BTreeMap<&str, BTreeSet<&Found>> = BTreeMap::new();
        let mut layers: Vec<&Rc<Vec<Entry>>> = self.layers.iter().filter_map(|l| l.entries.as_ref().ok()).collect();
        if !self.first_wins {
            layers.reverse();
        }
        for layer in layers {
            let mut here: BTreeMap<&str, BTreeSet<&Found>> = BTreeMap::new();
            for entry in layer.iter().filter(|entry| entry.value != Found::Nested) {
                here.entry(&entry.key).or_default().insert(&entry.value);
            }
            for (key, found) in here {
                values.entry(key).or_insert(found);
            }
        }
        Some(values)
    }
}

impl Layer {
    /// Nothing if no such file is there.
    fn new(path: PathBuf, config: &Config, prefix: &Prefix, cache: &mut Cache, deadline: Instant) -> Option<Self> {
        let file = prefix.shown(&path);
        match cache.read(&path, deadline) {
            Err(Why::FileAbsent) => None,
            Err(why) => Some(Self { file, path, bytes: Err(why), entries: Err(why) }),
            Ok((bytes, digest, stamp)) => {
                let entries = decode::decode(&bytes, config.encoding).and_then(|text| parse(&text, config.format));
                Some(Self { file, path, bytes: Ok((digest, stamp)), entries: entries.map(Rc::new) })
            }
        }
    }
}

impl Cache {
    fn read(&mut self, path: &Path, deadline: Instant) -> Result<Bytes, Why> {
        if let Some(read) = self.0.get(path) {
            return read.clone();
        }
        let bounds = Bounds { bytes_max: FILE_BYTES_MAX, deadline };
        let read = read::twice(|| read::content(read::open_file(path)?, bounds))
            .map(|(bytes, stamp)| (Digest::of(&bytes), bytes, stamp))
            .map(|(digest, bytes, stamp)| (Rc::new(bytes), digest, stamp));
        self.0.insert(path.to_owned(), read.clone());
        read
    }
}

/// The files that a path of a baseline names: itself, or the matches of its last component in byte
/// order. A directory that is not there has none.
pub(crate) fn expand(pattern: &Path) -> Result<Vec<PathBuf>, Why> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Ok(vec![pattern.to_owned()]);
    };
    if !wildcard::is_pattern(name.as_bytes()) {
        return Ok(vec![pattern.to_owned()]);
    }
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) => {
            let why = rustix::io::Errno::from_io_error(&error).map_or(Why::IoError, read::why);
            return if why == Why::FileAbsent { Ok(vec![]) } else { Err(why) };
        }
    };
    let mut names = BTreeSet::new();
    for entry in listing {
        let found = entry.map_err(|_| Why::IoError)?.file_name();
        if wildcard::matches_name(name.as_bytes(), found.as_bytes()) {
            names.insert(found);
        }
    }
    Ok(names.iter().map(|name: &std::ffi::OsString| directory.join(OsStr::new(name))).collect())
}

/// The entries of a decoded file, in file order.
fn parse(text: &str, format: Format) -> Result<Vec<Entry>, Why> {
    match format {
        Format::Toml => toml::parse(text),
        Format::Ini => ini::parse(text),
        Format::Properties => properties::parse(text),
        Format::Xml => xml::parse(text),
        Format::Json | Format::Yaml | Format::Env | Format::Keyvalue => Err(Why::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_alike_by_offset_and_by_splitting() {
        let text = "a\nb\r\nc\rd\n\ne";
        assert_eq!(split_lines(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "", "e"]);
        let lines = Lines::of(text);
        for (line, start) in [(1, 0), (2, 2), (3, 5), (4, 7), (6, 10)] {
            assert_eq!(lines.at(start), line, "offset {start}");
        }
    }
}
