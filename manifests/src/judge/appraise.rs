//! The one appraiser: baseline and evidence to outcomes and a verdict.
//!
//! The same function judges in the controller, in the agent, in the release manager's preview and
//! in an audit, so they cannot disagree. Pure and total; the same input gives the same answer.
//! Leaving anything out of evidence never turns *hold* into *issue*. The rules stand in
//! `docs/appraisal.md`, exact enough to be written down again: change page and [`RULES`] with them.

mod finding;
mod finish;
mod loaded;
mod memo;
mod program;
mod requirement;
mod setting;

use std::sync::Arc;

use finding::Finding;
pub use memo::Memo;

use crate::baseline::{Baseline, Concerns, Config, Enforce, FactSource, Fix, Item, Requires};
use crate::condition::{Condition, Known, Truth};
use crate::evidence::{ConfigContent, Cover, Evidence, FactSeen, State};
use crate::id::ItemId;
use crate::outcome::{Appraisal, Detail, Judged, Outcome, Verdict};
use crate::reason::{Code, Reason};
use crate::reference::Reference;
use crate::registry::{Entry, Topology};
use crate::time::{Span, Time};
use crate::value::Value;
use crate::warning::Warning;

/// The edition of the rules that `docs/appraisal.md` states. It grows with every change of an answer.
pub const RULES: u32 = 1;

/// How far the wall clocks of host and controller may lie apart.
pub const CLOCK_SKEW_MAX: Span = Span::from_s(60);

/// Judges one host's evidence at `now`.
///
/// `entry` is what the registry says of the host at `now`; none if it is not listed. `evidence` is
/// the newest accepted; none if there never was any. Evidence of another host or product counts as
/// none. Cost: one pass over the baseline's items, with a lookup in evidence each.
pub fn appraise(reference: &Reference, entry: Option<&Entry<'_>>, evidence: Option<&Evidence>, now: Time) -> Appraisal {
    let seen = evidence.map(|evidence| (&evidence.cover, &evidence.state));
    appraise_with(reference, entry, seen, now, |judge| Arc::new(judge.all_items()))
}

/// [`appraise`] for a cover and a state that are kept apart, with `all_items` to judge the items.
fn appraise_with(
    reference: &Reference,
    entry: Option<&Entry<'_>>,
    evidence: Option<(&Cover, &State)>,
    now: Time,
    all_items: impl FnOnce(&Judge<'_>) -> Arc<AllItems>,
) -> Appraisal {
    let Some(entry) = entry else {
        return Appraisal {
            verdict: Verdict::Hold,
            reasons: vec![Reason::of(Code::NotListed)],
            warnings: Vec::new(),
            items: Arc::default(),
            changes_at: None,
        };
    };
    let baseline = reference.baseline();
    let evidence = evidence.filter(|(cover, _)| cover.product == baseline.product && cover.host == entry.host.id);
    let max_age = baseline.gate.evidence_max_age;
    let fresh = evidence.filter(|(cover, _)| now <= cover.pass_started.after(max_age));

    let (mut reasons, mut warnings) = (Vec::new(), Vec::new());
    let (items, changes_at) = match fresh {
        Some((cover, state)) => {
            reasons.extend(whole_host(reference, cover, now).map(Reason::of));
            let judged = all_items(&Judge { reference, entry, state, now });
            if !judged.any_concerns {
                reasons.push(Reason::of(Code::NothingJudged));
            }
            warnings.clone_from(&judged.warnings);
            (Arc::clone(&judged.items), judged.changes_at.into_iter().chain(own_ends(cover, max_age, now)).min())
        }
        None => {
            reasons.push(Reason::of(Code::Stale));
            (all_stale(baseline), None)
        }
    };
    for judged in items.iter().filter(|judged| judged.verdict == Verdict::Hold) {
        // Stale items say what the host's own reason says already.
        if let Some(code) = judged.code.filter(|code| *code != Code::Stale) {
            reasons.push(Reason::item(code, &judged.item));
        }
    }
    reasons.sort();
    let host = if reasons.is_empty() { Verdict::Issue } else { Verdict::Hold };
    let verdict = Verdict::worst(items.iter().map(|judged| judged.verdict).chain([host]));
    let changes_at = changes_at.into_iter().chain(entry.changes_at).min();
    Appraisal { verdict, reasons, warnings, items, changes_at }
}

/// What makes fresh evidence as a whole not count.
fn whole_host(reference: &Reference, cover: &Cover, now: Time) -> impl Iterator<Item = Code> {
    let too_old = cover.agent.version.cmp_precedence(&reference.baseline().min_agent).is_lt();
    let outdated = cover.baseline != reference.digest();
    // A pass that began in the future would never grow old.
    let skewed = cover.pass_started > now.after(CLOCK_SKEW_MAX);
    [(too_old, Code::AgentTooOld), (outdated, Code::BaselineOutdated), (skewed, Code::ClockSkew)]
        .into_iter()
        .filter_map(|(found, code)| found.then_some(code))
}

fn all_stale(baseline: &Baseline) -> Arc<[Judged]> {
    baseline
        .items()
        .map(|item| Judged {
            item: item.id().clone(),
            kind: item.kind(),
            outcome: Outcome::Stale,
            verdict: if item.about().enforce == Enforce::Hold { Verdict::Hold } else { Verdict::Issue },
            code: Some(Code::Stale),
            waived_until: None,
            details: Vec::new(),
        })
        .collect()
}

/// When fresh evidence as a whole will count otherwise: it grows old, or `now` catches up with it.
fn own_ends(cover: &Cover, max_age: Span, now: Time) -> impl Iterator<Item = Time> {
    let stale = cover.pass_started.after(max_age).after(Span::from_ms(1));
    let caught_up = cover.pass_started.before(CLOCK_SKEW_MAX);
    [stale, caught_up].into_iter().filter(move |time| *time > now)
}

/// All items of one host.
#[derive(Debug)]
struct AllItems {
    items: Arc<[Judged]>,
    warnings: Vec<Warning>,
    /// Whether any item is known to concern the host.
    any_concerns: bool,
    /// The next moment at which one of them is judged otherwise.
    changes_at: Option<Time>,
}

/// Everything one host's items are judged by.
struct Judge<'a> {
    reference: &'a Reference,
    entry: &'a Entry<'a>,
    state: &'a State,
    now: Time,
}

impl<'a> Judge<'a> {
    fn all_items(&self) -> AllItems {
        let (mut items, mut warnings) = (Vec::new(), Vec::new());
        let (mut any_concerns, mut changes_at) = (false, None);
        for item in self.baseline().items() {
            let finding = match item {
                Item::Fix(fix) => self.fix(fix),
                Item::Setting(setting) => self.setting_item(setting),
                Item::Program(program) => self.program_item(program),
                Item::Config(config) => self.pinned(config),
            };
            any_concerns |= finding.concerns;
            if let Item::Program(program) = item {
                warnings.extend(self.not_running(program));
            }
            let (judged, changes) = self.finish(item, finding);
            changes_at = changes_at.into_iter().chain(changes).min();
            items.push(judged);
        }
        AllItems { items: items.into(), warnings, any_concerns, changes_at }
    }

    fn baseline(&self) -> &'a Baseline {
        self.reference.baseline()
    }

    /// What is known of a fact: what its one source says, if it is a value the baseline knows.
    fn known(&self, id: &ItemId) -> Known<'a> {
        // Two values exist for all hosts, so that known facts can be lent out.
        static SINGLE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::Text("single".to_owned()));
        static SPLIT: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::Text("split".to_owned()));
        let Some(fact) = self.baseline().fact(id) else { return Known::Nothing };
        let value = match &fact.source {
            FactSource::Topology => match self.entry.topology {
                Topology::Single => &SINGLE,
                Topology::Split => &SPLIT,
            },
            FactSource::Config { .. } => match self.state.facts.get(id) {
                Some(FactSeen::Value { value, .. }) => value,
                Some(FactSeen::Ambiguous { .. } | FactSeen::Unknown(_)) | None => return Known::Nothing,
            },
        };
        // A fact is what the program goes by, not what the disk has.
        if let FactSource::Config { config, .. } = &fact.source
            && let Some(config) = self.baseline().config(config)
            && !self.not_loaded_by_readers(config).is_empty()
        {
            return Known::Nothing;
        }
        if fact.one_of.is_empty() || fact.one_of.iter().any(|known| value.is(known)) {
            Known::Value(value)
        } else {
            Known::Nothing
        }
    }

    fn truth(&self, when: Option<&Condition>) -> Truth {
        when.map_or(Truth::True, |condition| condition.truth(&|fact| self.known(fact)))
    }

    fn concerned(&self, concerns: &Concerns) -> Truth {
        if self.entry.host.is_among(concerns) { self.truth(concerns.when.as_ref()) } else { Truth::False }
    }

    /// Judges what concerns the host; what may concern it must be shown all the same.
    fn where_concerned(&self, concerned: Truth, when: Option<&Condition>, judge: impl FnOnce() -> Finding) -> Finding {
        match concerned {
            Truth::False => {
                Finding { concerns: false, ..Finding::of(Outcome::NotApplicable, self.deciding_facts(when)) }
            }
            Truth::True => judge(),
            Truth::Unknown => {
                let mut finding = judge();
                // What is not due yet is not due either way, and what is known to be bad is bad anywhere.
                let certain = matches!(finding.outcome, Outcome::Pending | Outcome::NoFix | Outcome::Denied);
                let outcome =
                    if finding.outcome > Outcome::Applied && !certain { Outcome::Unknown } else { finding.outcome };
                let mut details = self.deciding_facts(when);
                details.append(&mut finding.details);
                Finding { concerns: false, ..Finding::of(outcome, details) }
            }
        }
    }

    /// The facts of a condition with value and source.
    fn deciding_facts(&self, when: Option<&Condition>) -> Vec<Detail> {
        let Some(condition) = when else { return Vec::new() };
        let fact = |id: &ItemId| {
            let from_registry = self.baseline().fact(id).is_some_and(|fact| fact.source == FactSource::Topology);
            let (file, line) = match self.state.facts.get(id).filter(|_| !from_registry) {
                Some(FactSeen::Value { file, line, .. }) => (Some(file.clone()), Some(*line)),
                Some(FactSeen::Ambiguous { file, lines, .. }) => (Some(file.clone()), lines.first().copied()),
                Some(FactSeen::Unknown(_)) | None => (None, None),
            };
            let found = match (self.known(id), self.state.facts.get(id).filter(|_| !from_registry)) {
                (Known::Value(value), _) => value.to_string(),
                (Known::Nothing, Some(FactSeen::Ambiguous { lines, odd, .. })) => setting::unclear(lines, *odd),
                (Known::Nothing, _) => "unknown".to_owned(),
            };
            Detail { subject: id.to_string(), expected: condition.to_string(), found, file, line }
        };
        condition.facts().into_iter().map(fact).collect()
    }

    fn fix(&self, fix: &Fix) -> Finding {
        self.where_concerned(self.concerned(&fix.concerns), fix.concerns.when.as_ref(), || {
            if fix.required_from.is_some_and(|from| self.now < from) {
                let expected = fix.required_from.map(|from| from.to_string()).unwrap_or_default();
                return Finding::new(
                    Outcome::Pending,
                    Detail {
                        subject: fix.id.to_string(),
                        expected,
                        found: "not required yet".to_owned(),
                        file: None,
                        line: None,
                    },
                );
            }
            match &fix.requires {
                Requires::NoFixYet { due, compensating } => Finding::new(
                    Outcome::NoFix,
                    Detail {
                        subject: fix.id.to_string(),
                        expected: due.to_string(),
                        found: compensating.clone(),
                        file: None,
                        line: None,
                    },
                ),
                Requires::All(requirements) => requirements
                    .iter()
                    .map(|requirement| self.requirement(requirement))
                    .reduce(Finding::and)
                    // A fix without requirements is refused when read; were there one, nothing shows it.
                    .unwrap_or(Finding::of(Outcome::Unknown, Vec::new())),
            }
        })
    }

    fn pinned(&self, config: &Config) -> Finding {
        self.where_concerned(self.concerned(&config.concerns), config.concerns.when.as_ref(), || {
            let expected: Vec<_> = config.pinned.iter().map(ToString::to_string).collect();
            let finding = |(outcome, found)| {
                let (subject, file) = (config.id.to_string(), config.files.first().cloned());
                let expected = expected.join(" or ");
                Finding::new(outcome, Detail { subject, expected, found, file, line: None })
            };
            match self.state.configs.get(&config.id) {
                Some(ConfigContent::Digest(digest)) if config.pinned.contains(digest) => {
                    let failing = self.not_loaded_by_readers(config).into_iter();
                    let failing = failing.map(|(outcome, found)| (outcome, format!("{digest} on disk, {found}")));
                    let applied = || finding((Outcome::Applied, digest.to_string()));
                    failing.map(finding).reduce(Finding::and).unwrap_or_else(applied)
                }
                Some(ConfigContent::Digest(digest)) => finding((Outcome::Drifted, digest.to_string())),
                Some(ConfigContent::Absent) => finding((Outcome::Absent, "absent".to_owned())),
                Some(ConfigContent::Unknown(why)) => finding((Outcome::Unknown, program::unknown(*why))),
                None => finding((Outcome::Unknown, "not in evidence".to_owned())),
            }
        })
    }
}
