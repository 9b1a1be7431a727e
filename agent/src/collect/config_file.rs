//! Configurations: layered files, decoded, parsed, and asked for single keys.
//!
//! A layer that is there but cannot be read or parsed makes every key of its configuration
//! unknown: it might have overridden any of them.

mod decode;
mod document;
mod env;
mod include;
mod ini;
mod json;
mod key;
mod keyvalue;
mod properties;
mod said;
mod strict;
mod toml;
mod xml;
mod yaml;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use manifests::baseline::{Config, Encoding, Format, Reader};
use manifests::digest::Digest;
use manifests::evidence::{Odd, Why};

use crate::collect::index::Stamp;
use crate::collect::prefix::Prefix;
use crate::collect::read::{self, Bounds};
use crate::collect::wildcard;
use decode::Content;
use document::Document;
pub(crate) use document::{Answer, Found};
use include::Include;
pub use said::{Heard, Said};
use strict::Strict;

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
/// The most entries of files that are kept from one pass to the next.
const KEPT_ENTRIES_MAX: usize = 1_000_000;

/// Lines of a text by offset. Line ends are `\n`, `\r\n` and `\r`.
#[derive(Clone, Debug, Default)]
struct Lines(Vec<usize>);

impl Lines {
    fn of(bytes: &[u8]) -> Self {
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

/// What one file says.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// As one reader has it.
    One(Document),
    /// As all readers of the format have it.
    Strict(Strict),
}

impl Reading {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Why nothing of it can be told.
    pub(crate) fn new(bytes: &[u8], format: Format, reader: Reader, encoding: Option<Encoding>) -> Result<Self, Why> {
        let content = Content::new(bytes, encoding)?;
        match format {
            Format::Toml => toml::read(content.unmarked()).map(Reading::One),
            Format::Ini => ini::read(&content, reader),
            Format::Properties => properties::read(&content.text).map(Reading::One),
            Format::Xml => xml::read(&content).map(Reading::One),
            Format::Json => json::read(content.unmarked()).map(Reading::One),
            Format::Yaml => yaml::read(&content, reader),
            Format::Env => env::read(&content).map(Reading::One),
            Format::Keyvalue => keyvalue::read(&content).map(Reading::One),
        }
    }

    /// What it says of a key, where files that it includes and for which `unlisted` holds are not read.
    pub(crate) fn find(&self, key: &str, unlisted: impl Fn(&Include) -> bool, first: bool) -> Answer {
        match self {
            Reading::One(document) => {
                let unlisted: Vec<&Include> = document.includes.iter().filter(|include| unlisted(include)).collect();
                document.find(key, &unlisted, first)
            }
            Reading::Strict(strict) => strict.find(key, &unlisted, first),
        }
    }

    /// Every key as a baseline writes it, with the values it is given.
    pub(crate) fn values(&self) -> BTreeMap<String, BTreeSet<&Found>> {
        let mut values: BTreeMap<String, BTreeSet<&Found>> = BTreeMap::new();
        let mut add = |key: String, found| values.entry(key).or_default().insert(found);
        match self {
            Reading::One(document) => {
                for entry in &document.entries {
                    add(entry.key.shown(document.shape), &entry.value);
                }
            }
            Reading::Strict(strict) => {
                for (key, found) in strict.values() {
                    add(key, found);
                }
            }
        }
        values
    }

    /// How many entries it has.
    fn weight(&self) -> usize {
        match self {
            Reading::One(document) => document.entries.len(),
            Reading::Strict(strict) => strict.weight(),
        }
    }
}

/// A reading, and what is made of it once.
#[derive(Debug)]
struct Kept {
    reading: Reading,
    values: OnceLock<BTreeMap<String, BTreeSet<Found>>>,
}

impl Kept {
    /// Every key as a baseline writes it, with the values it is given, but for what is none.
    fn values(&self) -> &BTreeMap<String, BTreeSet<Found>> {
        self.values.get_or_init(|| {
            let is_value = |found: &&Found| !matches!(found, Found::Nothing | Found::Refused);
            let all = self.reading.values().into_iter();
            let all = all.map(|(key, found)| (key, found.into_iter().filter(is_value).cloned().collect()));
            all.filter(|(_, found): &(String, BTreeSet<Found>)| !found.is_empty()).collect()
        })
    }
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
    reading: Result<Arc<Kept>, Why>,
}

/// What a file's content is read as.
type ReadAs = (Digest, Format, Reader, Option<Encoding>);

/// What was read of configuration files: bytes for one pass, so that files which several configurations name
/// are read once, and what contents say for as long as each pass meets them.
#[derive(Default)]
pub(crate) struct Cache {
    bytes: HashMap<PathBuf, Result<Bytes, Why>>,
    said: HashMap<ReadAs, Result<Arc<Kept>, Why>>,
    /// What the last pass met and this one has not met yet.
    before: HashMap<ReadAs, Result<Arc<Kept>, Why>>,
}

/// A file's content, its digest and its stamp.
type Bytes = (Arc<Vec<u8>>, Digest, Stamp);

/// A configuration as it stands on disk.
#[derive(Clone, Debug)]
pub(crate) struct ConfigRead {
    /// Files that are there, lowest layer first.
    pub(crate) layers: Vec<Layer>,
    /// Why it is not known which files there are.
    pub(crate) unlisted: Option<(String, Why)>,
    /// The paths that the configuration lists, as they are on this host.
    patterns: Vec<PathBuf>,
    first_wins: bool,
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
    /// Programs may take different values out of the winning file.
    Ambiguous { file: String, lines: Vec<u32>, odd: Odd },
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
        let patterns = config.files.iter().map(|pattern| prefix.on_host(pattern)).collect();
        Self { layers, unlisted, patterns, first_wins: config.first_wins }
    }

    /// Why its keys are not known, if they are not.
    pub(crate) fn unknown(&self) -> Option<Why> {
        let layers = self.layers.iter().filter_map(|layer| layer.reading.as_ref().err().copied());
        self.unlisted.as_ref().map(|(_, why)| *why).or_else(|| layers.into_iter().next())
    }

    /// Everything that could not be read or parsed, and why.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (String, Why)> {
        let layers = self.layers.iter().filter_map(|layer| Some((layer.file.clone(), *layer.reading.as_ref().err()?)));
        self.unlisted.iter().cloned().chain(layers)
    }

    /// The layers that were read, the one that wins first.
    fn winning_first(&self) -> Vec<(&Layer, &Kept)> {
        let mut layers: Vec<_> =
            self.layers.iter().filter_map(|layer| Some((layer, layer.reading.as_ref().ok()?.as_ref()))).collect();
        if !self.first_wins {
            layers.reverse();
        }
        layers
    }

    /// What it says of `key`.
    pub(crate) fn find(&self, key: &str) -> Winner {
        if let Some(why) = self.unknown() {
            return Winner::Unknown(why);
        }
        if self.layers.is_empty() {
            return Winner::NoFile;
        }
        for (layer, kept) in self.winning_first() {
            let unlisted = |include: &Include| !include.is_listed(&layer.path, &self.patterns);
            let file = layer.file.clone();
            return match kept.reading.find(key, unlisted, self.first_wins) {
                Answer::Absent => continue,
                Answer::Unclear { lines, odd } => Winner::Ambiguous { file, lines, odd },
                Answer::Unknown(why) => Winner::Unknown(why),
                Answer::Value { value: Found::Nothing, .. } => Winner::Unknown(Why::UnexpectedValue),
                Answer::Value { value, line } => Winner::Value { value, file, line },
            };
        }
        Winner::Absent
    }

    /// Every key with the distinct values that its winning file gives it; nothing where a layer
    /// could not be read.
    pub(crate) fn values(&self) -> Option<BTreeMap<&str, &BTreeSet<Found>>> {
        if self.unknown().is_some() {
            return None;
        }
        let mut values = BTreeMap::new();
        for (_, kept) in self.winning_first() {
            for (key, found) in kept.values() {
                values.entry(key.as_str()).or_insert(found);
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
            Err(why) => Some(Self { file, path, bytes: Err(why), reading: Err(why) }),
            Ok((bytes, digest, stamp)) => {
                let reading = cache.said(&bytes, (digest, config.format, config.reader, config.encoding));
                Some(Self { file, path, bytes: Ok((digest, stamp)), reading })
            }
        }
    }
}

impl Cache {
    /// Forgets bytes; what the last pass did not meet is forgotten as well.
    pub(crate) fn begin_pass(&mut self) {
        self.bytes.clear();
        self.before = std::mem::take(&mut self.said);
    }

    /// Forgets bytes, and what this pass did not meet.
    pub(crate) fn end_pass(&mut self) {
        self.bytes.clear();
        self.before.clear();
        let weight = |said: &Result<Arc<Kept>, Why>| said.as_ref().map_or(1, |kept| kept.reading.weight());
        let mut kept = 0;
        self.said.retain(|_, said| {
            kept += weight(said);
            kept <= KEPT_ENTRIES_MAX
        });
    }

    fn said(&mut self, bytes: &[u8], read_as: ReadAs) -> Result<Arc<Kept>, Why> {
        if let Some(said) = self.said.get(&read_as) {
            return said.clone();
        }
        let (_, format, reader, encoding) = read_as;
        let before = self.before.remove(&read_as);
        let said = before.unwrap_or_else(|| {
            let reading = Reading::new(bytes, format, reader, encoding)?;
            Ok(Arc::new(Kept { reading, values: OnceLock::new() }))
        });
        self.said.insert(read_as, said.clone());
        said
    }

    fn read(&mut self, path: &Path, deadline: Instant) -> Result<Bytes, Why> {
        if let Some(read) = self.bytes.get(path) {
            return read.clone();
        }
        let bounds = Bounds { bytes_max: FILE_BYTES_MAX, deadline };
        let read = read::twice(|| read::content(read::open_file(path)?, bounds))
            .map(|(bytes, stamp)| (Digest::of(&bytes), bytes, stamp))
            .map(|(digest, bytes, stamp)| (Arc::new(bytes), digest, stamp));
        self.bytes.insert(path.to_owned(), read.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_parsed_once_for_as_long_as_each_pass_meets_it() {
        let mut cache = Cache::default();
        let read_as = |bytes: &[u8]| (Digest::of(bytes), Format::Ini, Reader::Strict, None);
        let mut pass = |bytes: &[u8]| {
            cache.begin_pass();
            let said = cache.said(bytes, read_as(bytes)).unwrap();
            assert!(Arc::ptr_eq(&said, &cache.said(bytes, read_as(bytes)).unwrap()));
            cache.end_pass();
            said
        };
        let (first, second) = (pass(b"[a]\nb=1\n"), pass(b"[a]\nb=1\n"));
        assert!(Arc::ptr_eq(&first, &second));
        pass(b"[a]\nb=2\n");
        assert!(!Arc::ptr_eq(&first, &pass(b"[a]\nb=1\n")), "what a pass did not meet is forgotten");
    }

    #[test]
    fn lines_are_counted_alike_by_offset_and_by_splitting() {
        let text = "a\nb\r\nc\rd\n\ne";
        assert_eq!(split_lines(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "", "e"]);
        let lines = Lines::of(text.as_bytes());
        for (line, start) in [(1, 0), (2, 2), (3, 5), (4, 7), (6, 10)] {
            assert_eq!(lines.at(start), line, "offset {start}");
        }
    }
}
