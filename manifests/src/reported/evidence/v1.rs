//! Evidence of version 1, closed: what agents before evidence of version 2 send, and what a controller
//! that knows no other is sent.
//!
//! Version 1 tells one file that a process has otherwise than the disk, for a whole program. Taken as
//! version 2, that file counts against everything the program may have read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cover::one_stop;
use super::{
    ConfigContent, Cover, FileSeen, Finding, FindingKind, Gap, Held, InForceSeen, Odd, Older, OlderWhy, PackageSeen,
    ProcessesSeen, TreeSeen, Why,
};
use crate::baseline::{Baseline, Program, Reload};
use crate::canonical;
use crate::digest::Digest;
use crate::id::ItemId;
use crate::value::Value;

/// Payload of an evidence envelope of version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// When, by whom, in which order.
    #[serde(with = "one_stop")]
    pub cover: Cover,
    /// What was seen.
    pub state: State,
}

/// Payload of a heartbeat envelope of version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// As of evidence.
    #[serde(with = "one_stop")]
    pub cover: Cover,
    /// [`State::digest`] of the unchanged state.
    pub state: Digest,
}

/// What was seen, as version 1 tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Facts read from configurations.
    pub facts: BTreeMap<ItemId, FactSeen>,
    /// Every program of the baseline.
    pub programs: BTreeMap<ItemId, ProgramSeen>,
    /// Settings.
    pub settings: BTreeMap<ItemId, SettingSeen>,
    /// Files that requirements name, by absolute path.
    pub files: BTreeMap<String, FileSeen>,
    /// Packages that requirements name, by name.
    pub packages: BTreeMap<String, PackageSeen>,
    /// Pinned configurations.
    pub configs: BTreeMap<ItemId, ConfigContent>,
    /// What could not be read, and why.
    pub coverage: Vec<Gap>,
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
    /// Why not.
    Unknown(Why),
}

/// What became of one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSeen {
    /// Its tree.
    pub tree: TreeSeen,
    /// Its process.
    pub loaded: Loaded,
    /// Odd things in the tree.
    pub findings: Vec<Finding>,
}

/// Whether running processes hold what is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loaded {
    /// They do.
    Current,
    /// No process of it runs, or the program names none.
    NotRunning,
    /// A process holds something older.
    Older {
        /// The first such file in byte order.
        file: String,
    },
    /// A process sees another file.
    Elsewhere {
        /// The first such file in byte order.
        file: String,
    },
    /// Could not be told.
    Unknown(Why),
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
    /// One file gives it twice with different values.
    Ambiguous {
        /// That file.
        file: String,
        /// Where, from 1.
        lines: Vec<u32>,
    },
    /// It cannot be told.
    Unknown(Why),
}

impl State {
    /// SHA-256 of the state's canonical JSON: what permits bind and heartbeats of version 1 repeat.
    pub fn digest(&self) -> Digest {
        canonical::digest(self)
    }

    /// Checks the limits that its types do not, as [`super::State::check`].
    ///
    /// # Errors
    /// The first limit that is not kept, in words.
    pub fn check(&self) -> Result<(), &'static str> {
        self.clone().taken_over(BTreeMap::new()).check()
    }

    /// What was seen, as version 2 tells it under `baseline`, which says what is read at start and by whom.
    ///
    /// Nothing of it is better than what version 1 said: one older file of a program counts against all
    /// that the program may have read.
    pub fn into_current(self, baseline: &Baseline) -> super::State {
        let readers = baseline.configs.iter().map(|config| {
            let named = |program: &&Program| config.program.as_ref().is_none_or(|named| *named == program.id);
            let mut held = Held::default();
            for program in baseline.programs.iter().filter(named) {
                match self.programs.get(&program.id) {
                    Some(seen) => {
                        let (_, loaded) = seen.loaded.current(&program.id);
                        // What is reread is not older for having been read before.
                        if config.reload == Reload::Restart {
                            held.older.extend(loaded.older);
                        }
                        held.elsewhere.extend(loaded.elsewhere);
                        held.unknown.extend(loaded.unknown);
                    }
                    // What was not shown is not good. Version 1 has no word for it.
                    None => held.unknown.push(Gap { what: program.id.to_string(), why: Why::ProcessUnreadable }),
                }
            }
            (config.id.clone(), held)
        });
        let readers = readers.collect();
        self.taken_over(readers)
    }

    fn taken_over(self, readers: BTreeMap<ItemId, Held>) -> super::State {
        let older: Vec<&str> = self.programs.values().filter_map(|seen| seen.loaded.older()).collect();
        let file = |(path, content): (String, FileSeen)| {
            let holds = older.contains(&path.as_str());
            let older = holds.then(|| Older { file: path.clone(), why: OlderWhy::Held }).into_iter().collect();
            (path, super::RequiredFile { content, loaded: Held { older, ..Held::default() } })
        };
        let files = self.files.into_iter().map(file).collect();
        let program = |(id, seen): (ItemId, ProgramSeen)| {
            let (processes, loaded) = seen.loaded.current(&id);
            let current =
                super::ProgramSeen { tree: seen.tree, processes, loaded, trees: Vec::new(), findings: seen.findings };
            (id, current)
        };
        super::State {
            facts: self.facts.into_iter().map(|(id, seen)| (id, seen.into())).collect(),
            programs: self.programs.into_iter().map(program).collect(),
            settings: self.settings.into_iter().map(|(id, seen)| (id, seen.into())).collect(),
            readers,
            files,
            packages: self.packages,
            configs: self.configs,
            coverage: self.coverage,
        }
    }
}

impl Loaded {
    /// What processes have, in one word. What could not be told comes first: no waiver reaches it.
    fn telling(held: &[&Held], processes: ProcessesSeen) -> Self {
        let unknown = held.iter().flat_map(|held| &held.unknown).map(|gap| gap.why).min();
        let unlisted = held.iter().any(|held| held.more > 0).then_some(Why::TooLarge);
        let elsewhere = held.iter().flat_map(|held| &held.elsewhere).min();
        let older = held.iter().flat_map(|held| &held.older).map(|older| &older.file).min();
        match (processes, unknown.or(unlisted), elsewhere, older) {
            (ProcessesSeen::Unknown(why), ..) | (_, Some(why), ..) => Self::Unknown(why),
            (_, None, Some(file), _) => Self::Elsewhere { file: file.clone() },
            (_, None, None, Some(file)) => Self::Older { file: file.clone() },
            (ProcessesSeen::Running, None, None, None) => Self::Current,
            (ProcessesSeen::NotRunning, None, None, None) => Self::NotRunning,
        }
    }

    fn older(&self) -> Option<&str> {
        match self {
            Loaded::Older { file } => Some(file),
            Loaded::Current | Loaded::NotRunning | Loaded::Elsewhere { .. } | Loaded::Unknown(_) => None,
        }
    }

    fn current(&self, program: &ItemId) -> (ProcessesSeen, Held) {
        let none = Held::default();
        match self {
            Loaded::Current => (ProcessesSeen::Running, none),
            Loaded::NotRunning => (ProcessesSeen::NotRunning, none),
            Loaded::Older { file } => {
                let older = vec![Older { file: file.clone(), why: OlderWhy::Held }];
                (ProcessesSeen::Running, Held { older, ..none })
            }
            Loaded::Elsewhere { file } => (ProcessesSeen::Running, Held { elsewhere: vec![file.clone()], ..none }),
            Loaded::Unknown(why) => {
                let unknown = vec![Gap { what: program.to_string(), why: *why }];
                (ProcessesSeen::Unknown(*why), Held { unknown, ..none })
            }
        }
    }
}

impl From<FactSeen> for super::FactSeen {
    fn from(seen: FactSeen) -> Self {
        match seen {
            FactSeen::Value { value, file, line } => Self::Value { value, file, line },
            FactSeen::Unknown(why) => Self::Unknown(why),
        }
    }
}

impl From<SettingSeen> for super::SettingSeen {
    fn from(seen: SettingSeen) -> Self {
        let value = match seen.value {
            ValueSeen::Value { value, file, line } => super::ValueSeen::Value { value, file, line },
            ValueSeen::Sealed { keyed, as_expected, file, line } => {
                super::ValueSeen::Sealed { keyed, as_expected, file, line }
            }
            ValueSeen::Absent => super::ValueSeen::Absent,
            ValueSeen::Ambiguous { file, lines } => super::ValueSeen::Ambiguous { file, lines, odd: Odd::Duplicate },
            ValueSeen::Unknown(why) => super::ValueSeen::Unknown(why),
        };
        Self { value, in_force: seen.in_force }
    }
}

impl From<&super::State> for State {
    /// What was seen, as version 1 tells it. What version 1 has no words for is told as something that
    /// holds at least as much, whatever is waived and whatever only warns.
    fn from(state: &super::State) -> Self {
        let program = |(id, seen): (&ItemId, &super::ProgramSeen)| {
            let known =
                |finding: &&Finding| matches!(finding.kind, FindingKind::SpecialFile | FindingKind::WorldWritable);
            let findings = seen.findings.iter().filter(known).cloned().collect();
            // Version 1 does not know that a release runs which is not on the disk, perhaps a known-bad one.
            let tree = match seen.trees.as_slice() {
                [] => seen.tree.clone(),
                [..] => TreeSeen::Unknown(Why::ProcessUnreadable),
            };
            // Which program has read a configuration it does not tell either: any may have.
            let held: Vec<&Held> = std::iter::once(&seen.loaded).chain(state.readers.values()).collect();
            (id.clone(), ProgramSeen { tree, loaded: Loaded::telling(&held, seen.processes), findings })
        };
        let fact = |(id, seen): (&ItemId, &super::FactSeen)| {
            let seen = match seen {
                super::FactSeen::Value { value, file, line } => {
                    FactSeen::Value { value: value.clone(), file: file.clone(), line: *line }
                }
                super::FactSeen::Ambiguous { .. } => FactSeen::Unknown(Why::Ambiguous),
                super::FactSeen::Unknown(why) => FactSeen::Unknown(*why),
            };
            (id.clone(), seen)
        };
        // Of several files it tells one alone, which need not be this one.
        let file = |(path, file): (&String, &super::RequiredFile)| {
            let shown =
                if file.loaded.is_current() { file.content.clone() } else { FileSeen::Unknown(Why::ProcessUnreadable) };
            (path.clone(), shown)
        };
        let setting = |(id, seen): (&ItemId, &super::SettingSeen)| {
            let value = match seen.value.clone() {
                super::ValueSeen::Value { value, file, line } => ValueSeen::Value { value, file, line },
                super::ValueSeen::Sealed { keyed, as_expected, file, line } => {
                    ValueSeen::Sealed { keyed, as_expected, file, line }
                }
                super::ValueSeen::Absent => ValueSeen::Absent,
                super::ValueSeen::Ambiguous { file, lines, .. } => ValueSeen::Ambiguous { file, lines },
                super::ValueSeen::Unknown(why) => ValueSeen::Unknown(why),
            };
            (id.clone(), SettingSeen { value, in_force: seen.in_force.clone() })
        };
        Self {
            facts: state.facts.iter().map(fact).collect(),
            programs: state.programs.iter().map(program).collect(),
            settings: state.settings.iter().map(setting).collect(),
            files: state.files.iter().map(file).collect(),
            packages: state.packages.clone(),
            configs: state.configs.clone(),
            coverage: state.coverage.clone(),
        }
    }
}
