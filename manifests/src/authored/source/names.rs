//! Every id that a baseline defines, gathered before anything else is read.
//!
//! A reference is judged against these, not against what could be read without a problem: an item
//! with a mistake in it is still defined.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near::nearest;
use super::reader::Node;
use super::sheet::{Sheet, printable};
use super::text::item_id;
use crate::baseline::Fact;
use crate::id::ItemId;
use crate::version::Scheme;

/// What an id can be the id of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Config,
    Fact,
    Program,
    Setting,
    Fix,
    Patch,
}

impl Kind {
    /// The kinds that stand at the top, with the key they stand under.
    const TOP: [(&'static str, Kind); 5] = [
        ("config", Kind::Config),
        ("fact", Kind::Fact),
        ("program", Kind::Program),
        ("setting", Kind::Setting),
        ("fix", Kind::Fix),
    ];

    const fn word(self) -> &'static str {
        match self {
            Kind::Config => "configuration",
            Kind::Fact => "fact",
            Kind::Program => "program",
            Kind::Setting => "setting",
            Kind::Fix => "fix",
            Kind::Patch => "patch",
        }
    }

    const fn dangling(self) -> &'static str {
        match self {
            Kind::Config => "dangling-config",
            Kind::Fact => "dangling-fact",
            Kind::Program => "dangling-program",
            Kind::Setting => "dangling-setting",
            Kind::Patch => "dangling-patch",
            Kind::Fix => "dangling-item",
        }
    }

    // Evidence and waivers name items by id alone, hence one namespace for all of them.
    const fn namespace(self) -> u8 {
        match self {
            Kind::Config | Kind::Program | Kind::Setting | Kind::Fix => 0,
            Kind::Fact => 1,
            Kind::Patch => 2,
        }
    }
}

/// What is known of a defined id without reading all that is defined.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// `kind = "exclusive-lock"`.
    pub(super) is_lock: bool,
    /// Not `waivable = false`.
    pub(super) is_waivable: bool,
    /// Has `pinned`.
    pub(super) is_pinned: bool,
    /// `sensitive = true`.
    pub(super) is_sensitive: bool,
    /// Has `process`.
    pub(super) has_process: bool,
    /// The program that reads a configuration, if it names one.
    pub(super) reader: Option<String>,
    /// A program's version scheme; nothing if it is none.
    pub(super) scheme: Option<Scheme>,
    /// The program that a patch belongs to, if that can be read.
    pub(super) program: Option<String>,
}

/// All ids of a baseline.
#[derive(Debug, Default)]
pub(super) struct Names {
    named: BTreeMap<Kind, BTreeMap<String, Named>>,
    /// Kinds of which some id cannot be read: nothing can be said to be missing.
    incomplete: Vec<Kind>,
    /// In file order: offset, kind, id.
    seen: Vec<(usize, String, Kind, String)>,
}

impl Names {
    /// Gathers the ids of a document and reports those that stand twice.
    pub(super) fn gather(sheet: &Sheet<'_>, document: &DeTable<'_>) -> Self {
        let mut names = Self::default();
        for (key, kind) in Kind::TOP {
            match document.get(key).map(Spanned::get_ref) {
                Some(DeValue::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        names.gather_item(&format!("{key}[{index}]"), kind, item.get_ref(), None);
                    }
                }
                Some(_) => names.incomplete.extend([kind, Kind::Patch]),
                None => {}
            }
        }
        for key in document.keys().take(super::PROBLEMS_MAX).map(|key| key.get_ref()) {
            if let Some(near) = nearest(key, Kind::TOP.map(|(top, _)| top)).filter(|top| top != key) {
                names.incomplete.extend(Kind::TOP.iter().filter(|(top, _)| *top == near).map(|(_, kind)| *kind));
                names.incomplete.push(Kind::Patch);
            }
        }
        names.report_duplicates(sheet);
        names
    }

    fn gather_item(&mut self, path: &str, kind: Kind, item: &DeValue<'_>, program: Option<&str>) {
        let id = item.get("id").filter(|id| id.get_ref().is_str());
        let text = |key: &str| item.get(key).and_then(|value| value.get_ref().as_str());
        let id_text = text("id");
        match id.zip(id_text) {
            Some((place, id)) => {
                // Refused where it is defined; what it is meant to be may be named anywhere.
                if id.parse::<ItemId>().is_err() {
                    self.incomplete.push(kind);
                }
                self.seen.push((place.span().start, format!("{path}.id"), kind, id.to_owned()));
                let scheme = match item.get("scheme").map(Spanned::get_ref) {
                    None => Some(Scheme::Semver),
                    Some(value) => value
                        .as_str()
                        .and_then(|text| super::text::SCHEMES.iter().find(|(name, _)| *name == text))
                        .map(|(_, scheme)| *scheme),
                };
                let named = Named {
                    is_lock: text("kind") == Some("exclusive-lock"),
                    is_waivable: item.get("waivable").and_then(|value| value.get_ref().as_bool()) != Some(false),
                    is_pinned: item.get("pinned").is_some(),
                    is_sensitive: item.get("sensitive").and_then(|value| value.get_ref().as_bool()) == Some(true),
                    has_process: item.get("process").is_some(),
                    reader: text("program").map(str::to_owned),
                    scheme,
                    program: program.map(str::to_owned),
                };
                self.named.entry(kind).or_default().entry(id.to_owned()).or_insert(named);
            }
            None => self.incomplete.push(kind),
        }
        if kind == Kind::Program {
            match item.get("patch").map(Spanned::get_ref) {
                Some(DeValue::Array(patches)) => {
                    for (index, patch) in patches.iter().enumerate() {
                        self.gather_item(&format!("{path}.patch[{index}]"), Kind::Patch, patch.get_ref(), id_text);
                    }
                }
                Some(_) => self.incomplete.push(Kind::Patch),
                None if has_misspelt(item, "patch") => self.incomplete.push(Kind::Patch),
                None => {}
            }
        }
    }

    fn report_duplicates(&mut self, sheet: &Sheet<'_>) {
        let mut seen = std::mem::take(&mut self.seen);
        seen.sort_by_key(|(offset, ..)| *offset);
        let mut first: BTreeMap<(u8, String), (usize, Kind)> = BTreeMap::new();
        for (offset, path, kind, id) in seen {
            match first.get(&(kind.namespace(), id.clone())) {
                Some((earlier, earlier_kind)) => {
                    let line = sheet.line(*earlier);
                    let message = format!("`{}` is already the {} of line {line}", printable(&id), earlier_kind.word());
                    sheet.report(offset, &path, "duplicate-id", message, None);
                }
                None => {
                    first.insert((kind.namespace(), id), (offset, kind));
                }
            }
        }
    }

    /// Whether some configuration is pinned, or might be.
    pub(super) fn has_pinned(&self) -> bool {
        let configs = self.named.get(&Kind::Config);
        configs.is_some_and(|configs| configs.values().any(|named| named.is_pinned))
            || self.incomplete.contains(&Kind::Config)
    }

    /// How many programs have a process; none if that cannot be told.
    pub(super) fn processes(&self) -> Option<usize> {
        let programs = self.named.get(&Kind::Program).into_iter().flat_map(BTreeMap::values);
        (!self.incomplete.contains(&Kind::Program)).then(|| programs.filter(|program| program.has_process).count())
    }

    /// Whether the program of that id has a process; nothing if there is no such program.
    pub(super) fn has_process(&self, id: &str) -> Option<bool> {
        Some(self.named.get(&Kind::Program)?.get(id)?.has_process)
    }

    /// What is known of an id of one of `kinds`.
    pub(super) fn named(&self, kinds: &[Kind], id: &ItemId) -> Option<(Kind, &Named)> {
        kinds.iter().find_map(|kind| Some((*kind, self.named.get(kind)?.get(id.as_str())?)))
    }

    /// A reference to something of one of `kinds`, the first of which names what is missing.
    pub(super) fn reference(&self, node: &Node<'_>, kinds: &[Kind], code: &'static str) -> Option<ItemId> {
        let is_defined = |text: &str| kinds.iter().any(|k| self.named.get(k).is_some_and(|ids| ids.contains_key(text)));
        let is_bad_as_defined = |text: &&str| text.parse::<ItemId>().is_err() && is_defined(text);
        if node.as_str().filter(is_bad_as_defined).is_some() {
            return None;
        }
        let id = item_id(node)?;
        if self.named(kinds, &id).is_some() {
            return Some(id);
        }
        if kinds.iter().any(|kind| self.incomplete.contains(kind)) || node.is_full() {
            return None;
        }
        let what = kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" or ");
        let others = self.named.iter().filter(|(kind, _)| !kinds.contains(kind));
        let other = others.filter(|(_, ids)| ids.contains_key(id.as_str())).map(|(kind, _)| *kind).next();
        let known = kinds.iter().filter_map(|kind| self.named.get(kind)).flat_map(BTreeMap::keys);
        let hint = match other {
            Some(other) => Some(format!("`{id}` is a {}", other.word())),
            None => nearest(id.as_str(), known.map(String::as_str))
                .map(|near| format!("did you mean `{}`?", printable(near))),
        };
        node.refuse_dangling(code, format!("no {what} has the id `{id}`"), hint)
    }

    /// A reference to something of `kind`.
    pub(super) fn of(&self, kind: Kind) -> impl Fn(Node<'_>) -> Option<ItemId> {
        move |node| self.reference(&node, &[kind], kind.dangling())
    }
}

fn has_misspelt(item: &DeValue<'_>, word: &str) -> bool {
    item.as_table().is_some_and(|table| table.keys().any(|key| nearest(key.get_ref(), [word]).is_some()))
}

/// What references are judged against.
pub(super) struct Scope {
    /// All ids.
    pub(super) names: Names,
    /// The facts that could be read.
    pub(super) facts: BTreeMap<ItemId, Fact>,
}

impl Scope {
    /// The fact of that id, if it could be read.
    pub(super) fn fact(&self, id: &ItemId) -> Option<&Fact> {
        self.facts.get(id)
    }
}
