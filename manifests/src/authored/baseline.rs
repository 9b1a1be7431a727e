//! The fix baseline: reference values and appraisal policy (RFC 9334), checked.
//!
//! Written in TOML by release managers ([`crate::source`] reads it), signed as a TUF target.
//! `docs/baseline.md` is the reference of the format.

mod config;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::digest::Digest;
use crate::exclude::Globs;
use crate::id::{HostId, ItemId, ProductId, Role, SiteCode};
use crate::outcome::ItemKind;
use crate::time::{Span, Time};
use crate::value::{Expect, Value};
use crate::version::{Range, Scheme, Version};

pub use config::{Config, Encoding, Format, Reader, Reload};

/// The schema of a baseline that this library writes; it reads all since 1. The registry's schema is
/// numbered apart ([`crate::registry::SCHEMA`]).
///
/// A number is closed once an agent that reads it was released: a key that comes later belongs to the
/// next number.
pub const SCHEMA: u32 = 2;

/// A whole fix baseline whose references resolve, with no id used twice.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The product that it is for.
    pub product: ProductId,
    /// Must grow whenever the bytes change.
    pub version: semver::Version,
    /// Older agents hold with `agent-too-old`.
    pub min_agent: semver::Version,
    /// Times that every gate keeps.
    pub gate: GateRules,
    /// Configurations, in file order.
    pub configs: Vec<Config>,
    /// Facts, in file order.
    pub facts: Vec<Fact>,
    /// Programs, in file order.
    pub programs: Vec<Program>,
    /// Settings, in file order.
    pub settings: Vec<Setting>,
    /// Fixes, in file order.
    pub fixes: Vec<Fix>,
    /// Exceptions, in file order.
    pub waivers: Vec<Waiver>,
}

impl Baseline {
    /// The configuration of that id.
    pub fn config(&self, id: &ItemId) -> Option<&Config> {
        self.configs.iter().find(|config| config.id == *id)
    }

    /// The fact of that id.
    pub fn fact(&self, id: &ItemId) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.id == *id)
    }

    /// The program of that id.
    pub fn program(&self, id: &ItemId) -> Option<&Program> {
        self.programs.iter().find(|program| program.id == *id)
    }

    /// The setting of that id.
    pub fn setting(&self, id: &ItemId) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.id == *id)
    }

    /// Everything that is judged: fixes, settings, programs, pinned configurations, in file order.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let pinned = self.configs.iter().filter(|config| !config.pinned.is_empty());
        let fixes_and_settings = self.fixes.iter().map(Item::Fix).chain(self.settings.iter().map(Item::Setting));
        fixes_and_settings.chain(self.programs.iter().map(Item::Program)).chain(pinned.map(Item::Config))
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A required fix.
    Fix(&'a Fix),
    /// A setting, an exclusive lock among them.
    Setting(&'a Setting),
    /// A program.
    Program(&'a Program),
    /// A pinned configuration.
    Config(&'a Config),
}

impl<'a> Item<'a> {
    /// Its id.
    pub fn id(self) -> &'a ItemId {
        match self {
            Item::Fix(fix) => &fix.id,
            Item::Setting(setting) => &setting.id,
            Item::Program(program) => &program.id,
            Item::Config(config) => &config.id,
        }
    }

    /// Its kind.
    pub fn kind(self) -> ItemKind {
        match self {
            Item::Fix(_) => ItemKind::Fix,
            Item::Setting(setting) => match setting.kind {
                SettingKind::ExclusiveLock => ItemKind::Lock,
                SettingKind::Plain => ItemKind::Setting,
            },
            Item::Program(_) => ItemKind::Program,
            Item::Config(_) => ItemKind::Config,
        }
    }

    /// Which hosts it concerns.
    pub fn concerns(self) -> &'a Concerns {
        match self {
            Item::Fix(fix) => &fix.concerns,
            Item::Setting(setting) => &setting.concerns,
            Item::Program(program) => &program.concerns,
            Item::Config(config) => &config.concerns,
        }
    }

    /// What it says about itself.
    pub fn about(self) -> &'a About {
        match self {
            Item::Fix(fix) => &fix.about,
            Item::Setting(setting) => &setting.about,
            Item::Program(program) => &program.about,
            Item::Config(config) => &config.about,
        }
    }
}

/// `[gate]`: times that every gate keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateRules {
    /// How often an unchanged host reports.
    pub heartbeat: Span,
    /// How long a host may issue without hearing from a controller; 1m to 24h.
    pub permit_ttl: Span,
    /// How old evidence may be; at most `permit_ttl`. A complete pass runs at least every quarter of it.
    pub evidence_max_age: Span,
    /// How long a question may wait while a changed file is read again; at most 5s.
    pub verify_hold: Span,
    /// How long gates stay open after root or targets expire; at most 30d.
    pub expiry_grace: Span,
}

/// What a failing item does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforce {
    /// It holds issuance.
    Hold,
    /// It is counted and shown.
    Warn,
}

/// The kind of defect that an item guards against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Print jobs mixed up or lost.
    PrintControl,
    /// Concurrent updates overwrite each other.
    UpdateControl,
    /// The link to the resident register.
    Linkage,
    /// A setting is wrong.
    Misconfiguration,
    /// A neighbouring system behaves differently than assumed.
    LinkedSystem,
    /// A fix that exists has not been installed.
    MissedFix,
}

impl Pattern {
    /// All six, with the text a baseline writes.
    pub const ALL: [(&'static str, Pattern); 6] = [
        ("print-control", Pattern::PrintControl),
        ("update-control", Pattern::UpdateControl),
        ("linkage", Pattern::Linkage),
        ("misconfiguration", Pattern::Misconfiguration),
        ("linked-system", Pattern::LinkedSystem),
        ("missed-fix", Pattern::MissedFix),
    ];
}

/// A text for people: English always, Japanese where given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Localized {
    /// English.
    pub en: String,
    /// Japanese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ja: Option<String>,
}

/// What every item says about itself besides what is judged.
#[derive(Clone, Debug)]
pub struct About {
    /// A short name.
    pub title: Option<Localized>,
    /// The kind of defect.
    pub pattern: Option<Pattern>,
    /// What failing does.
    pub enforce: Enforce,
    /// Whether a waiver may name it. Never for an exclusive lock.
    pub waivable: bool,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What to do where it fails.
    pub remediation: Option<Localized>,
    /// Where it comes from (`origin`).
    pub origin: Option<String>,
    /// Addresses to read on.
    pub references: Vec<String>,
}

/// Which hosts an item concerns. Roles and sites narrow it down before `when` is asked.
#[derive(Clone, Debug, Default)]
pub struct Concerns {
    /// Hosts with any of these roles; all hosts if empty.
    pub roles: Vec<Role>,
    /// Hosts of these sites; all sites if empty.
    pub sites: Vec<SiteCode>,
    /// Hosts on which this holds.
    pub when: Option<Condition>,
}

/// `[[fact]]`: a typed property of a host.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its id.
    pub id: ItemId,
    /// Where its value comes from.
    pub source: FactSource,
    /// The only values known; any other is unknown. All values if empty.
    pub one_of: Vec<Value>,
}

/// Where a fact's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactSource {
    /// A key of a configuration.
    Config {
        /// The configuration.
        config: ItemId,
        /// The key, as [`Setting::key`].
        key: String,
    },
    /// `registry = "topology"`: `single` or `split`, by the number of the site's listed hosts.
    Topology,
}

/// `[[program]]`: a tree of files and the releases it may be.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its id.
    pub id: ItemId,
    /// Absolute path of the tree's root.
    pub root: String,
    /// Paths below the root that do not count.
    pub exclude: Globs,
    /// Symbolic links of the tree that lead out of it and whose target's content counts.
    pub follow: Globs,
    /// Files outside of the tree that the program reads and closes: absolute, `*` and `?` in the last
    /// component.
    pub loads: Vec<String>,
    /// The process that runs it.
    pub process: Option<Process>,
    /// Whether a host on which it does not run is warned of. It never holds.
    pub expect_running: bool,
    /// Which hosts must have it. On any other its presence is a finding.
    pub concerns: Concerns,
    /// How its versions are ordered.
    pub scheme: Scheme,
    /// What the tree may be.
    pub releases: Vec<Release>,
    /// Hotfixes over releases.
    pub patches: Vec<Patch>,
    /// As of any item.
    pub about: About,
}

/// The process that runs a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its executable: relative to the root, or absolute where it lies outside (an interpreter).
    pub exe: String,
    /// A glob that the command line, joined by spaces, must match: tells apart programs of one interpreter.
    pub args: Option<String>,
    /// The address it listens on, for the human.
    pub listens: Option<String>,
}

/// `[[program.release]]`.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its version under the program's scheme.
    pub version: Version,
    /// The build, as `split`.
    pub variant: Option<String>,
    /// Where this build belongs; everywhere without it.
    pub when: Option<Condition>,
    /// The digest of its file list ([`crate::tree`]).
    pub tree: Digest,
    /// Known bad, with the reason: held wherever it turns up.
    pub denied: Option<String>,
}

/// `[[program.patch]]`: replaces modules without a new version.
#[derive(Clone, Debug)]
pub struct Patch {
    /// Its id.
    pub id: ItemId,
    /// Versions that it goes over.
    pub over: Vec<Version>,
    /// Path relative to the root, and the digest of the file that replaces it.
    pub replaces: BTreeMap<String, Digest>,
}

/// What kind a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Cannot be waived, cannot be [`Enforce::Warn`]; absent means failed.
    ExclusiveLock,
    /// Any other.
    Plain,
}

/// `[[setting]]`: one key of a configuration and what it must be.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its id.
    pub id: ItemId,
    /// Exclusive lock or not.
    pub kind: SettingKind,
    /// The configuration.
    pub config: ItemId,
    /// The key: ini `section.key`, properties `a.b.c`, TOML `table.key`, XML `root/child/@attribute`.
    pub key: String,
    /// What it must be.
    pub expect: Expect,
    /// Where the running program tells its value.
    pub in_force: Option<InForce>,
    /// Its value leaves the host only as a keyed digest.
    pub sensitive: bool,
    /// Narrows the configuration's hosts down further.
    pub concerns: Concerns,
    /// As of any item.
    pub about: About,
}

/// Where the running program tells a setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// A loopback HTTP address that answers JSON.
    pub url: String,
    /// A JSON pointer (RFC 6901) into the answer.
    pub pointer: String,
}

/// `[[fix]]`.
#[derive(Clone, Debug)]
pub struct Fix {
    /// Its id, never used twice.
    pub id: ItemId,
    /// Which hosts it concerns.
    pub concerns: Concerns,
    /// A run-time condition: described, never evaluated.
    pub triggered_by: Option<String>,
    /// What shows it.
    pub requires: Requires,
    /// Before this it is [`crate::outcome::Outcome::Pending`].
    pub required_from: Option<Time>,
    /// Why it applies to no host of the registry, where that is meant.
    pub touches_nobody: Option<String>,
    /// As of any item.
    pub about: About,
}

/// What shows a fix.
#[derive(Clone, Debug)]
pub enum Requires {
    /// All of these; never empty.
    All(Vec<Requirement>),
    /// `no_fix_yet`: nothing does yet.
    NoFixYet {
        /// From here on it holds.
        due: Time,
        /// What is done meanwhile.
        compensating: String,
    },
}

/// One requirement of a fix.
#[derive(Clone, Debug)]
pub enum Requirement {
    /// A release in the range, or a release with the patch.
    Program {
        /// The program.
        program: ItemId,
        /// Versions with the fix.
        fixed_in: Range,
        /// A patch that brings it to an older version.
        or_patch: Option<ItemId>,
    },
    /// A file outside program roots with one of these contents.
    File {
        /// Absolute path.
        path: String,
        /// Contents allowed; never empty.
        sha256: Vec<Digest>,
    },
    /// A package of the host's package database, at least this new by its rules.
    Package {
        /// Its name.
        package: String,
        /// [`Version::Dpkg`] or [`Version::Rpm`], which also says which database.
        at_least: Version,
    },
    /// A setting is as expected.
    Setting(ItemId),
}

/// `[[waiver]]`: a signed, reasoned, expiring exception.
#[derive(Clone, Debug)]
pub struct Waiver {
    /// The fix, program, setting or pinned configuration. Never an exclusive lock.
    pub item: ItemId,
    /// The hosts it is for; never empty.
    pub hosts: Vec<HostId>,
    /// Why.
    pub reason: String,
    /// Its end, which it must have.
    pub until: Time,
}
