//! What hosts report under one baseline, as far as another one asks for the same.

use std::collections::BTreeSet;

use crate::baseline::{Baseline, Config, Fact, FactSource, Item, Program, Requirement, Requires, Setting};
use crate::condition::Condition;
use crate::evidence::State;
use crate::id::ItemId;

/// Ids under which the draft asks the same as the baseline that hosts report under. What stands under any other
/// id in their evidence is the answer to another question.
#[derive(Debug)]
pub(super) struct Collected<'a> {
    facts: BTreeSet<&'a ItemId>,
    programs: BTreeSet<&'a ItemId>,
    settings: BTreeSet<&'a ItemId>,
    configs: BTreeSet<&'a ItemId>,
}

impl<'a> Collected<'a> {
    /// `before` is what hosts report under. Files and packages are asked for by path and name, which say it all.
    pub(super) fn new(before: &Baseline, draft: &'a Baseline) -> Self {
        let same_config = |config: &Config| before.config(&config.id).is_some_and(|old| is_same_config(old, config));
        let configs: BTreeSet<&ItemId> =
            draft.configs.iter().filter(|config| same_config(config)).map(|config| &config.id).collect();
        let same_fact = |fact: &Fact| before.fact(&fact.id).is_some_and(|old| is_same_fact(old, fact, &configs));
        let same_program =
            |program: &Program| before.program(&program.id).is_some_and(|old| is_same_program(old, program));
        let same_setting = |setting: &Setting| {
            let old = before.setting(&setting.id);
            configs.contains(&setting.config) && old.is_some_and(|old| is_same_setting(old, setting, draft))
        };
        Self {
            facts: draft.facts.iter().filter(|fact| same_fact(fact)).map(|fact| &fact.id).collect(),
            programs: draft
                .programs
                .iter()
                .filter(|program| same_program(program))
                .map(|program| &program.id)
                .collect(),
            settings: draft
                .settings
                .iter()
                .filter(|setting| same_setting(setting))
                .map(|setting| &setting.id)
                .collect(),
            configs,
        }
    }

    /// Takes out of evidence what was asked otherwise.
    pub(super) fn keep(&self, state: &mut State) {
        state.facts.retain(|id, _| self.facts.contains(id));
        state.programs.retain(|id, _| self.programs.contains(id));
        state.settings.retain(|id, _| self.settings.contains(id));
        state.readers.retain(|id, _| self.configs.contains(id));
        state.configs.retain(|id, _| self.configs.contains(id));
    }
}

fn is_same_config(old: &Config, new: &Config) -> bool {
    let how = |config: &Config| {
        (config.format, config.reader, config.encoding, config.first_wins, config.sensitive, config.reload)
    };
    how(old) == how(new) && old.files == new.files && old.program == new.program
}

fn is_same_fact(old: &Fact, new: &Fact, configs: &BTreeSet<&ItemId>) -> bool {
    let is_read_alike = match &new.source {
        FactSource::Config { config, .. } => configs.contains(config),
        FactSource::Topology => true,
    };
    old.source == new.source && is_read_alike
}

fn is_same_program(old: &Program, new: &Program) -> bool {
    old.root == new.root
        && old.exclude.sources() == new.exclude.sources()
        && old.follow.sources() == new.follow.sources()
        && old.loads == new.loads
        && old.process == new.process
}

fn is_same_setting(old: &Setting, new: &Setting, draft: &Baseline) -> bool {
    // Whether a sealed value is as expected the host says itself, of what it was told to expect.
    let is_sealed = new.sensitive || draft.config(&new.config).is_some_and(|config| config.sensitive);
    old.config == new.config
        && old.key == new.key
        && old.in_force == new.in_force
        && old.sensitive == new.sensitive
        && (!is_sealed || old.expect.to_string() == new.expect.to_string())
}

/// Whether anything that `item` is judged by does not stand in evidence at all.
pub(super) fn lacks(baseline: &Baseline, item: Item<'_>, state: &State) -> bool {
    let asked = Asked { baseline, state };
    let concerned = item.concerns().when.as_ref();
    asked.lacks_facts(concerned)
        || match item {
            Item::Setting(setting) => asked.lacks_setting(setting),
            Item::Program(program) => asked.lacks_program(program),
            Item::Config(config) => !state.configs.contains_key(&config.id) || asked.lacks_readers(&config.id),
            Item::Fix(fix) => match &fix.requires {
                Requires::All(requirements) => {
                    requirements.iter().any(|requirement| asked.lacks_requirement(requirement))
                }
                Requires::NoFixYet { .. } => false,
            },
        }
}

struct Asked<'a> {
    baseline: &'a Baseline,
    state: &'a State,
}

impl Asked<'_> {
    fn lacks_readers(&self, config: &ItemId) -> bool {
        !self.state.readers.contains_key(config)
    }

    fn lacks_facts(&self, when: Option<&Condition>) -> bool {
        let facts = when.map(Condition::facts).unwrap_or_default();
        facts.into_iter().filter_map(|id| self.baseline.fact(id)).any(|fact| match &fact.source {
            FactSource::Config { config, .. } => !self.state.facts.contains_key(&fact.id) || self.lacks_readers(config),
            FactSource::Topology => false,
        })
    }

    fn lacks_setting(&self, setting: &Setting) -> bool {
        let config = self.baseline.config(&setting.config);
        !self.state.settings.contains_key(&setting.id)
            || self.lacks_readers(&setting.config)
            || self.lacks_facts(config.and_then(|config| config.concerns.when.as_ref()))
    }

    fn lacks_program(&self, program: &Program) -> bool {
        !self.state.programs.contains_key(&program.id)
            || program.releases.iter().any(|release| self.lacks_facts(release.when.as_ref()))
    }

    fn lacks_requirement(&self, requirement: &Requirement) -> bool {
        match requirement {
            Requirement::Program { program, .. } => {
                self.baseline.program(program).is_some_and(|program| self.lacks_program(program))
            }
            Requirement::File { path, .. } => !self.state.files.contains_key(path),
            Requirement::Package { package, .. } => !self.state.packages.contains_key(package),
            Requirement::Setting(id) => self.baseline.setting(id).is_some_and(|setting| self.lacks_setting(setting)),
        }
    }
}
