//! Evidence: what one host's agent saw, signed with the host's key (RFC 9334).
//!
//! Two parts. The [`State`] is what appraisal reads; nothing in it changes on an unchanged host, so
//! equal hosts have equal bytes. The [`Cover`] says when, by whom and in which order.
//!
//! These are the documents of version 3. Those of versions 1 and 2 are in [`v1`] and [`v2`]: controllers take
//! all of them. The state of version 3 is that of version 2, and that is what is judged.

mod any;
pub mod cover;
mod digests;
mod held;
pub mod v1;
pub mod v2;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use any::{AnyEvidence, AnyState};
pub use cover::{Agent, ConfigPrint, Cover, Layer};
pub use digests::{EVIDENCE_VERSION, PERMIT_V2_SINCE, StateDigests};
pub use held::{HELD_MAX, Held, Older, OlderWhy};

use crate::canonical;
use crate::digest::Digest;
use crate::id::ItemId;
use crate::value::{VALUE_BYTES_MAX, Value};

/// The largest evidence payload accepted, in bytes (4 MiB).
pub const EVIDENCE_BYTES_MAX: usize = 4 << 20;
/// The most stops that a cover or a permit names: chains and their forks, far more than there will ever be.
pub const CHAINS_MAX: usize = 256;
/// A sequence may jump by at most this over the last one.
pub const SEQUENCE_JUMP_MAX: u64 = 1_000_000;

/// Payload of an evidence envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// When, by whom, in which order.
    pub cover: Cover,
    /// What was seen.
    pub state: State,
}

/// Payload of a heartbeat envelope: the state is the one whose digest is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// As of evidence.
    pub cover: Cover,
    /// [`State::digest`] of the unchanged state.
    pub state: Digest,
    /// Sequence of the first document that had this state, without another one since: this run's.
    pub since: u64,
}

/// What was seen, under one baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Facts read from configurations. Facts of the registry are not evidence.
    pub facts: BTreeMap<ItemId, FactSeen>,
    /// Every program of the baseline, also those that this host should not have: a known-bad
    /// release counts wherever it turns up.
    pub programs: BTreeMap<ItemId, ProgramSeen>,
    /// Settings.
    pub settings: BTreeMap<ItemId, SettingSeen>,
    /// Of every configuration that is read at start and concerns the host: what the running programs
    /// that read it have loaded otherwise than the disk has it. A configuration without an entry was
    /// not looked at.
    pub readers: BTreeMap<ItemId, Held>,
    /// Files that requirements name, by absolute path.
    pub files: BTreeMap<String, RequiredFile>,
    /// Packages that requirements name, by name.
    pub packages: BTreeMap<String, PackageSeen>,
    /// Pinned configurations.
    pub configs: BTreeMap<ItemId, ConfigContent>,
    /// What could not be read, and why; at most [`COVERAGE_MAX`], the first in byte order.
    pub coverage: Vec<Gap>,
}

/// The most gaps that a state lists.
pub const COVERAGE_MAX: usize = 100;

impl State {
    /// Checks the limits that its types do not: what an agent reports keeps them, and what is stored and
    /// shown by them must not be longer because a host says so.
    ///
    /// # Errors
    /// The first limit that is not kept, in words.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_absolute = |path: &str| path.starts_with('/');
        let is_short = |value: &Value| !matches!(value, Value::Text(text) if text.len() > VALUE_BYTES_MAX);
        let stands = |file: &str, lines: &[u32]| is_absolute(file) && !lines.is_empty() && !lines.contains(&0);
        let fact = |seen: &FactSeen| match seen {
            FactSeen::Value { value, file, line } => is_short(value) && stands(file, &[*line]),
            FactSeen::Ambiguous { file, lines, .. } => stands(file, lines),
            FactSeen::Unknown(_) => true,
        };
        let setting = |seen: &SettingSeen| {
            let value = match &seen.value {
                ValueSeen::Value { value, file, line } => is_short(value) && stands(file, &[*line]),
                ValueSeen::Sealed { file, line, .. } => stands(file, &[*line]),
                ValueSeen::Ambiguous { file, lines, .. } => stands(file, lines),
                ValueSeen::Absent | ValueSeen::Unknown(_) => true,
            };
            value && !matches!(&seen.in_force, Some(InForceSeen::Value(value)) if !is_short(value))
        };
        if !self.facts.values().all(fact) || !self.settings.values().all(setting) {
            return Err("a value has at most 4096 bytes, an absolute file and a line from 1");
        }
        if !self.files.keys().all(|path| is_absolute(path)) {
            return Err("a file has an absolute path");
        }
        if self.coverage.len() > COVERAGE_MAX {
            return Err("at most 100 gaps are listed in coverage");
        }
        if self.programs.values().any(|program| program.findings.len() > FINDINGS_MAX) {
            return Err("at most 100 findings are listed of a program");
        }
        if self.programs.values().any(|program| program.trees.len() > TREES_MAX) {
            return Err("at most 16 trees are listed of what runs of a program");
        }
        let loaded = self.programs.values().map(|program| &program.loaded).chain(self.readers.values());
        let mut loaded = loaded.chain(self.files.values().map(|file| &file.loaded));
        if !loaded.all(Held::is_bounded) {
            return Err("at most 100 files of a kind are listed of what processes hold, and more only beyond them");
        }
        Ok(())
    }

    /// SHA-256 of the state's canonical JSON: what permits bind and heartbeats repeat.
    pub fn digest(&self) -> Digest {
        canonical::digest(self)
    }
}

/// Why something is not known. The text is the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// No such file, or none of the layers is there.
    FileAbsent,
    /// The file is there, the key is not.
    KeyAbsent,
    /// Permission denied.
    Unreadable,
    /// Larger than the agent reads.
    TooLarge,
    /// The pass ran out of its time.
    TimedOut,
    /// Changed while it was read, twice.
    Changing,
    /// Bytes that are not text in the configured encoding.
    Undecodable,
    /// Text that does not parse in the configured format.
    Malformed,
    /// The key is given twice with different values in one file.
    Ambiguous,
    /// A value outside `one_of`, or of a kind that a setting cannot have.
    UnexpectedValue,
    /// The agent cannot read this format, encoding, database or address.
    Unsupported,
    /// A symbolic link that leads out of the tree, a FIFO, socket or device in the way.
    NotAFile,
    /// The process could not be looked into.
    ProcessUnreadable,
    /// The address that tells the value in force did not answer, or not with the pointer's value.
    NotAnswering,
    /// Reading failed otherwise.
    IoError,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// A path, bytes that are not UTF-8 replaced.
    pub what: String,
    /// Why.
    pub why: Why,
}

/// A fact's value, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FactSeen {
    /// Its value, and where it stands.
    Value {
        /// The value.
        value: Value,
        /// The winning file.
        file: String,
        /// Its line, from 1.
        line: u32,
    },
    /// Programs may take different values out of the file.
    Ambiguous {
        /// The winning file.
        file: String,
        /// Where, from 1.
        lines: Vec<u32>,
        /// What is odd there.
        odd: Odd,
    },
    /// Why not.
    Unknown(Why),
}

/// What became of one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSeen {
    /// Its tree on disk.
    pub tree: TreeSeen,
    /// Whether it runs.
    pub processes: ProcessesSeen,
    /// What its running processes have of the tree, of the executable and of the files that the program
    /// loads from elsewhere, where that is not what the disk has.
    pub loaded: Held,
    /// Trees that running processes were started from, other than the one on disk: digests of their file
    /// lists, in order, at most [`TREES_MAX`]. A known-bad release counts for as long as it runs.
    pub trees: Vec<Digest>,
    /// Odd things in the tree, at most [`FINDINGS_MAX`], the first in byte order of paths. For
    /// people: what decides stands in the other fields, which cannot be left out.
    pub findings: Vec<Finding>,
}

/// The most trees that a program lists of what runs.
pub const TREES_MAX: usize = 16;

/// The most findings that a program lists.
pub const FINDINGS_MAX: usize = 100;

/// A program's tree on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TreeSeen {
    /// The digest of its file list ([`crate::tree`]).
    Digest(Digest),
    /// The root is not there.
    Absent,
    /// At least one file could not be read; [`State::coverage`] says which.
    Unknown(Why),
}

/// Whether a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProcessesSeen {
    /// At least one process of it runs.
    Running,
    /// Every process of the host was looked at, and none is the program's.
    NotRunning,
    /// Processes could not be looked at, so that one of them may be the program's.
    Unknown(Why),
}

/// Something in a tree that no release has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Relative to the root, bytes that are not UTF-8 replaced.
    pub path: String,
    /// What is odd about it.
    pub kind: FindingKind,
}

/// Kinds of [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// FIFO, socket or device.
    SpecialFile,
    /// Writable by others than owner and group.
    WorldWritable,
    /// A symbolic link that leads out of the tree and that the program does not `follow`: what lies
    /// behind it does not count.
    LeadsOut,
    /// A process that executes a file of the executable's name and content and is not the program's.
    RunsElsewhere,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingSeen {
    /// Its value in the files.
    pub value: ValueSeen,
    /// Its value in the running program, where the baseline says how to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForceSeen>,
}

/// A setting's value in the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ValueSeen {
    /// The value that wins.
    Value {
        /// The value.
        value: Value,
        /// The winning file.
        file: String,
        /// Its line, from 1.
        line: u32,
    },
    /// A sensitive value that wins.
    Sealed {
        /// HMAC-SHA-256 of the value's text with a key that only the host has.
        keyed: Digest,
        /// The host's word on `expect`.
        as_expected: bool,
        /// The winning file.
        file: String,
        /// Its line, from 1.
        line: u32,
    },
    /// Files were read, none has the key.
    Absent,
    /// Programs may take different values out of the file: it gives the key twice, or in a way that
    /// readers of the format take differently.
    Ambiguous {
        /// That file.
        file: String,
        /// Where, from 1.
        lines: Vec<u32>,
        /// What is odd there.
        odd: Odd,
    },
    /// It cannot be told.
    Unknown(Why),
}

/// What makes a value ambiguous. The text is the code; `docs/readers.md` explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Odd {
    /// The key is given twice with different values.
    Duplicate,
    /// Readers of the format take it differently.
    Readers,
    /// Two keys of the file are written alike, because of dots in their names.
    Key,
    /// Its name, or its section's, is written in other capitals.
    Case,
    /// The header of its section is one that readers take differently.
    Section,
    /// A `:` stands where another reader looks for the `=`.
    Separator,
    /// It stands without a value.
    NoValue,
    /// Quotes stand around it, which some readers take off.
    Quotes,
    /// Behind it stands what some readers take for a comment.
    Comment,
    /// The line may be more of the value above it.
    Continuation,
    /// Blanks stand around it, which some readers keep.
    Blanks,
    /// A `\` stands in it, which some readers take together with the next character.
    Escape,
    /// A `%` or `$` stands in it, in whose place some readers put another value.
    Interpolation,
    /// A byte order mark stands in the file.
    ByteOrderMark,
    /// A CR stands alone, which ends a line for some readers.
    LineEnd,
    /// Its type is another to some readers: `yes`, `010`.
    Type,
    /// Something above it stands several times, and not everywhere has it.
    Repeated,
    /// The file includes another one that the configuration does not list.
    Include,
    /// The document type stands in another file, which may give it a value.
    Doctype,
}

impl Odd {
    /// All of them, with their codes.
    pub const ALL: [(&'static str, Odd); 19] = [
        ("duplicate", Odd::Duplicate),
        ("readers", Odd::Readers),
        ("key", Odd::Key),
        ("case", Odd::Case),
        ("section", Odd::Section),
        ("separator", Odd::Separator),
        ("no-value", Odd::NoValue),
        ("quotes", Odd::Quotes),
        ("comment", Odd::Comment),
        ("continuation", Odd::Continuation),
        ("blanks", Odd::Blanks),
        ("escape", Odd::Escape),
        ("interpolation", Odd::Interpolation),
        ("byte-order-mark", Odd::ByteOrderMark),
        ("line-end", Odd::LineEnd),
        ("type", Odd::Type),
        ("repeated", Odd::Repeated),
        ("include", Odd::Include),
        ("doctype", Odd::Doctype),
    ];

    /// Its code.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, odd)| *odd == self).map_or("", |(code, _)| code)
    }
}

/// A setting's value in the running program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum InForceSeen {
    /// The value it told.
    Value(Value),
    /// The program does not run: there is nothing to ask.
    NotRunning,
    /// Why not.
    Unknown(Why),
}

/// A file that a requirement names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredFile {
    /// On disk, links followed.
    pub content: FileSeen,
    /// What running processes of the baseline's programs have of it otherwise.
    pub loaded: Held,
}

impl From<FileSeen> for RequiredFile {
    /// As on disk in every process.
    fn from(content: FileSeen) -> Self {
        Self { content, loaded: Held::default() }
    }
}

/// A file outside program roots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FileSeen {
    /// Its content.
    Digest(Digest),
    /// Not there.
    Absent,
    /// Why not.
    Unknown(Why),
}

/// A package of the host's package database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PackageSeen {
    /// Its installed version, as the database has it.
    Version(String),
    /// Not installed.
    Absent,
    /// Why not.
    Unknown(Why),
}

/// The whole content of a pinned configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ConfigContent {
    /// One layer: the digest of its bytes. Several: of the list of its layers in layer order, a
    /// line each in `sha256sum` format with the absolute path.
    Digest(Digest),
    /// No layer is there.
    Absent,
    /// Why not.
    Unknown(Why),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut State)) -> Result<(), &'static str> {
        let mut state = State::default();
        change(&mut state);
        state.check()
    }

    #[test]
    fn a_state_keeps_the_limits_that_are_stated() {
        let id = |text: &str| text.parse::<ItemId>().unwrap();
        let text = |bytes: usize| Value::Text("a".repeat(bytes));
        let setting = |value: Value, file: &str, line: u32, in_force: Option<InForceSeen>| {
            let seen = SettingSeen { value: ValueSeen::Value { value, file: file.to_owned(), line }, in_force };
            check(|state| _ = state.settings.insert(id("s"), seen))
        };
        assert_eq!(setting(text(4096), "/a", 1, Some(InForceSeen::Value(text(4096)))), Ok(()));
        assert!(setting(text(4097), "/a", 1, None).is_err());
        assert!(setting(text(1), "a", 1, None).is_err());
        assert!(setting(text(1), "/a", 0, None).is_err());
        assert!(setting(text(1), "/a", 1, Some(InForceSeen::Value(text(4097)))).is_err());
        let twice = |lines: &[u32]| {
            let value = ValueSeen::Ambiguous { file: "/a".to_owned(), lines: lines.to_vec(), odd: Odd::Duplicate };
            check(|state| _ = state.settings.insert(id("s"), SettingSeen { value, in_force: None }))
        };
        assert_eq!((twice(&[1, 2]).is_ok(), twice(&[1, 0]).is_ok(), twice(&[]).is_ok()), (true, false, false));
        let fact = FactSeen::Value { value: text(1), file: "/a".to_owned(), line: 0 };
        assert!(check(|state| _ = state.facts.insert(id("f"), fact)).is_err());
        assert!(check(|state| _ = state.files.insert("etc/a".to_owned(), FileSeen::Absent.into())).is_err());
        let gap = Gap { what: "/a".to_owned(), why: Why::Unreadable };
        assert_eq!(check(|state| state.coverage = vec![gap.clone(); 100]), Ok(()));
        assert!(check(|state| state.coverage = vec![gap; 101]).is_err());
        let finding = Finding { path: "a".to_owned(), kind: FindingKind::SpecialFile };
        let program = |count| ProgramSeen {
            tree: TreeSeen::Absent,
            processes: ProcessesSeen::NotRunning,
            loaded: Held::default(),
            trees: Vec::new(),
            findings: vec![finding.clone(); count],
        };
        assert_eq!(check(|state| _ = state.programs.insert(id("p"), program(100))), Ok(()));
        assert!(check(|state| _ = state.programs.insert(id("p"), program(101))).is_err());
        let older = Older { file: "a".to_owned(), why: OlderWhy::Held };
        let held = |count| Held { older: vec![older.clone(); count], ..Held::default() };
        assert_eq!(check(|state| _ = state.readers.insert(id("c"), held(100))), Ok(()));
        assert!(check(|state| _ = state.readers.insert(id("c"), held(101))).is_err());
        let file = |count| RequiredFile { content: FileSeen::Absent, loaded: held(count) };
        assert!(check(|state| _ = state.files.insert("/a".to_owned(), file(101))).is_err());
    }
}
