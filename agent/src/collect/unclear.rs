//! What cannot be told from the configurations of this host, and what would settle it: for whoever is about to
//! install a version whose rules are stricter.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use manifests::baseline::{Baseline, Config, FactSource, Reader};
use manifests::condition::{Condition, Truth};
use manifests::evidence::{Odd, Why};
use manifests::id::ItemId;
use manifests::registry::Host;
use manifests::value::Value;

use super::config_file::{Cache, ConfigRead, Found, Heard, Said, Winner};
use super::prefix::Prefix;
use super::read::{self, Bounds};
use super::wanted::concerns;
use super::{Limits, config_file};

/// Why a key is not clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Programs may take different values out of the file.
    Odd(Odd),
    /// It could not be told from the file at all.
    Unknown(Why),
    /// A number or a boolean is compared, and this is not one as TOML spells it; or it is a text that a program
    /// may read as the one that is compared.
    Spelling(Value),
}

/// One key that is not clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// The setting or fact that asks for it.
    pub item: ItemId,
    /// The key, as the baseline writes it.
    pub key: String,
    /// The file.
    pub file: String,
    /// Where in it, from 1.
    pub lines: Vec<u32>,
    /// Why.
    pub cause: Cause,
    /// Readers of the format that settle it, with the value that each has; none where the key is absent to it.
    pub settled_by: Vec<(Reader, Option<Value>)>,
}

/// Everything that `baseline` asks of the configurations of this host and that is not clear. `host` narrows it to
/// what concerns the host; `prefix` is put before the paths.
pub fn unclear(baseline: &Baseline, host: Option<&Host>, prefix: Option<PathBuf>) -> Vec<Unclear> {
    let prefix = Prefix::new(prefix);
    let deadline = read::deadline(Limits::default().pass_time);
    let mut cache = Cache::default();
    let mut all = Vec::new();
    for config in baseline.configs.iter().filter(|config| concerns(&config.concerns, host)) {
        let read = ConfigRead::new(config, &prefix, &mut cache, deadline);
        let look = Look { config, read: &read };
        for setting in baseline.settings.iter().filter(|setting| setting.config == config.id) {
            if concerns(&setting.concerns, host) {
                all.extend(
                    look.key(&setting.id, &setting.key, |value| setting.expect.fulfilled(value) != Truth::Unknown),
                );
            }
        }
        for fact in &baseline.facts {
            let FactSource::Config { config: of, key } = &fact.source else { continue };
            if *of == config.id {
                let asked = conditions(baseline, &fact.id);
                all.extend(
                    look.key(&fact.id, key, |value| {
                        asked.iter().all(|(expect, _)| expect.holds(value) != Truth::Unknown)
                    }),
                );
            }
        }
    }
    all
}

/// What is asked of a fact anywhere in the baseline.
fn conditions<'b>(baseline: &'b Baseline, fact: &ItemId) -> Vec<(&'b manifests::value::Expect, &'b ItemId)> {
    fn within<'b>(
        condition: &'b Condition,
        fact: &ItemId,
        found: &mut Vec<(&'b manifests::value::Expect, &'b ItemId)>,
    ) {
        match condition {
            Condition::Fact(id, expect) if id == fact => found.push((expect, id)),
            Condition::Fact(..) => {}
            Condition::All(all) | Condition::Any(all) => all.iter().for_each(|one| within(one, fact, found)),
            Condition::Not(one) => within(one, fact, found),
        }
    }
    let concerns = (baseline.configs.iter().map(|item| &item.concerns))
        .chain(baseline.programs.iter().map(|item| &item.concerns))
        .chain(baseline.settings.iter().map(|item| &item.concerns))
        .chain(baseline.fixes.iter().map(|item| &item.concerns));
    let releases = baseline.programs.iter().flat_map(|program| &program.releases);
    let conditions = concerns.filter_map(|concerns| concerns.when.as_ref());
    let conditions = conditions.chain(releases.filter_map(|release| release.when.as_ref()));
    let mut found = Vec::new();
    conditions.for_each(|condition| within(condition, fact, &mut found));
    found
}

struct Look<'a> {
    config: &'a Config,
    read: &'a ConfigRead,
}

impl Look<'_> {
    /// Why a key is not clear, if it is not. `is_clear` says it of a value.
    fn key(&self, item: &ItemId, key: &str, is_clear: impl Fn(&Value) -> bool) -> Option<Unclear> {
        let (file, lines, cause) = match self.read.find(key) {
            Winner::Value { value: Found::Value(value), file, line } if !is_clear(&value) => {
                (file, vec![line], Cause::Spelling(value))
            }
            Winner::Value { .. } | Winner::Absent | Winner::NoFile => return None,
            Winner::Ambiguous { file, lines, odd } => (file, lines, Cause::Odd(odd)),
            Winner::Unknown(why) => {
                let file = self.read.gaps().map(|(file, _)| file).next();
                (
                    file.or_else(|| self.config.files.last().cloned()).unwrap_or_default(),
                    Vec::new(),
                    Cause::Unknown(why),
                )
            }
        };
        let settled_by = match cause {
            Cause::Odd(Odd::Duplicate | Odd::Include) | Cause::Spelling(_) => Vec::new(),
            _ => self.settled_by(&file, key),
        };
        Some(Unclear { item: item.clone(), key: key.to_owned(), file, lines, cause, settled_by })
    }

    /// The readers by whose rules the file says something clear of the key.
    fn settled_by(&self, file: &str, key: &str) -> Vec<(Reader, Option<Value>)> {
        let layer = self.read.layers.iter().find(|layer| layer.file == file);
        let Some(bytes) = layer.and_then(|layer| content(&layer.path)) else { return Vec::new() };
        let known: BTreeSet<Reader> = self.config.format.readers().iter().copied().collect();
        let others = known.into_iter().filter(|reader| *reader != self.config.reader && *reader != Reader::Strict);
        let says = |reader: Reader| {
            let said = Said::of(&bytes, self.config.format, reader, self.config.encoding).ok()?;
            match said.find_alone(key) {
                Heard::Value(value, _) => Some((reader, Some(value))),
                Heard::Absent => Some((reader, None)),
                Heard::NoValue(_) | Heard::Unclear(..) | Heard::Unknown(_) => None,
            }
        };
        others.filter_map(says).collect()
    }
}

fn content(path: &Path) -> Option<Vec<u8>> {
    let bounds =
        Bounds { bytes_max: config_file::FILE_BYTES_MAX, deadline: read::deadline(Limits::default().pass_time) };
    read::content(read::open_file(path).ok()?, bounds).ok().map(|(bytes, _)| bytes)
}
