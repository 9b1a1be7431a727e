//! The one appraiser: baseline and evidence to outcomes and a verdict.
//!
//! The same function judges in the controller, in the agent, in the release manager's preview and
//! in an audit, so they cannot disagree. Pure and total; the same input gives the same answer.
//! Leaving anything out of evidence never turns *hold* into *issue*.

mod program;
mod requirement;
mod setting;

use crate::baseline::{About, Baseline, Concerns, Config, Enforce, Fix, Requires, SettingKind};
use crate::condition::{Condition, Known, Truth};
use crate::evidence::{ConfigContent, Evidence, FactSeen, State};
use crate::id::ItemId;
use crate::outcome::{Appraisal, Detail, ItemKind, Judged, Outcome, Verdict};
use crate::reason::{Code, Reason};
use crate::reference::Reference;
use crate::registry::{Entry, Topology};
use crate::time::{Span, Time};
use crate::value::Value;

/// How far the wall clocks of host and controller may lie apart.
pub const CLOCK_SKEW_MAX: Span = Span::from_s(60);

/// Judges one host's evidence at `now`.
///
/// `entry` is what the registry says of the host at `now`; none if it is not listed. `evidence` is
/// the newest accepted; none if there never was any. Evidence of another host or product counts as
/// none. Cost: one pass over the baseline's items, with a lookup in evidence each.
pub fn appraise(reference: &Reference, entry: Option<&Entry<'_>>, evidence: Option<&Evidence>, now: Time) -> Appraisal {
    let Some(entry) = entry else {
        return Appraisal {
            verdict: Verdict::Hold,
            reasons: vec![Reason::of(Code::NotListed)],
            items: Vec::new(),
            changes_at: None,
        };
    };
    let baseline = reference.baseline();
    let evidence = evidence.filter(|e| e.cover.product == baseline.product && e.cover.host == entry.host.id);
    let max_age = baseline.gate.evidence_max_age;
    let fresh = evidence.filter(|e| now <= e.cover.pass_started.after(max_age));

    let mut reasons = Vec::new();
    let items = match fresh {
        Some(evidence) => {
            reasons.extend(whole_host(reference, evidence, now).map(Reason::of));
            Judge { reference, entry, state: &evidence.state, now }.all_items()
        }
        None => {
            reasons.push(Reason::of(Code::Stale));
            all_stale(baseline)
        }
    };
    if items.iter().all(|judged| judged.outcome == Outcome::NotApplicable) {
        reasons.push(Reason::of(Code::NothingJudged));
    }
    for judged in items.iter().filter(|judged| judged.verdict == Verdict::Hold) {
        // Stale items say what the host's own reason says already.
        if let Some(code) = judged.code.filter(|code| *code != Code::Stale) {
            reasons.push(Reason::item(code, &judged.item));
        }
    }
    reasons.sort();
    let host = if reasons.is_empty() { Verdict::Issue } else { Verdict::Hold };
    let verdict = Verdict::worst(items.iter().map(|judged| judged.verdict).chain([host]));
    let changes_at = changes_at(baseline, entry, fresh, now);
    Appraisal { verdict, reasons, items, changes_at }
}

/// What makes fresh evidence as a whole not count.
fn whole_host(reference: &Reference, evidence: &Evidence, now: Time) -> impl Iterator<Item = Code> {
    let cover = &evidence.cover;
    let too_old = cover.agent.version.cmp_precedence(&reference.baseline().min_agent).is_lt();
    let outdated = cover.baseline != reference.digest();
    // A pass that began in the future would never grow old.
    let skewed = cover.pass_started > now.after(CLOCK_SKEW_MAX);
    [(too_old, Code::AgentTooOld), (outdated, Code::BaselineOutdated), (skewed, Code::ClockSkew)]
        .into_iter()
        .filter_map(|(found, code)| found.then_some(code))
}

fn all_stale(baseline: &Baseline) -> Vec<Judged> {
    items(baseline)
        .map(|(item, kind, about)| Judged {
            item: item.clone(),
            kind,
            outcome: Outcome::Stale,
            verdict: if about.enforce == Enforce::Hold { Verdict::Hold } else { Verdict::Issue },
            code: Some(Code::Stale),
            waived_until: None,
            details: Vec::new(),
        })
        .collect()
}

/// Every item of a baseline: fixes, settings, programs, pinned configurations, in file order.
pub fn items(baseline: &Baseline) -> impl Iterator<Item = (&ItemId, ItemKind, &About)> {
    let fixes = baseline.fixes.iter().map(|fix| (&fix.id, ItemKind::Fix, &fix.about));
    let settings = baseline.settings.iter().map(|setting| {
        let kind = match setting.kind {
            SettingKind::ExclusiveLock => ItemKind::Lock,
            SettingKind::Plain => ItemKind::Setting,
        };
        (&setting.id, kind, &setting.about)
    });
    let programs = baseline.programs.iter().map(|program| (&program.id, ItemKind::Program, &program.about));
    let pinned = baseline.configs.iter().filter(|config| !config.pinned.is_empty());
    let configs = pinned.map(|config| (&config.id, ItemKind::Config, &config.about));
    fixes.chain(settings).chain(programs).chain(configs)
}

/// The next moment at which the same evidence can be judged otherwise.
fn changes_at(baseline: &Baseline, entry: &Entry<'_>, fresh: Option<&Evidence>, now: Time) -> Option<Time> {
    let one_ms = Span::from_ms(1);
    let stale = fresh.map(|e| e.cover.pass_started.after(baseline.gate.evidence_max_age).after(one_ms));
    let waivers = baseline.waivers.iter().filter(|w| w.hosts.contains(&entry.host.id)).map(|w| w.until);
    let fixes = baseline.fixes.iter().flat_map(|fix| {
        let due = match &fix.requires {
            Requires::NoFixYet { due, .. } => Some(*due),
            Requires::All(_) => None,
        };
        [fix.required_from, due]
    });
    fixes.flatten().chain(waivers).chain(stale).chain(entry.changes_at).filter(|time| *time > now).min()
}

/// How one thing stands, with what was compared: what failed first.
pub(crate) struct Finding {
    outcome: Outcome,
    details: Vec<Detail>,
}

impl Finding {
    fn new(outcome: Outcome, detail: Detail) -> Self {
        Self { outcome, details: vec![detail] }
    }

    /// Both must hold: the worse outcome counts, its details come first.
    fn and(mut self, mut other: Finding) -> Finding {
        if other.outcome > self.outcome {
            std::mem::swap(&mut self, &mut other);
        }
        self.details.append(&mut other.details);
        self
    }
}

/// Everything one host's items are judged by.
struct Judge<'a> {
    reference: &'a Reference,
    entry: &'a Entry<'a>,
    state: &'a State,
    now: Time,
}

impl<'a> Judge<'a> {
    fn all_items(&self) -> Vec<Judged> {
        let baseline = self.baseline();
        let mut judged = Vec::new();
        for fix in &baseline.fixes {
            judged.push(self.finish(&fix.id, ItemKind::Fix, &fix.about, self.fix(fix)));
        }
        for setting in &baseline.settings {
            let kind = match setting.kind {
                SettingKind::ExclusiveLock => ItemKind::Lock,
                SettingKind::Plain => ItemKind::Setting,
            };
            judged.push(self.finish(&setting.id, kind, &setting.about, self.setting_item(setting)));
        }
        for program in &baseline.programs {
            judged.push(self.finish(&program.id, ItemKind::Program, &program.about, self.program_item(program)));
        }
        for config in baseline.configs.iter().filter(|config| !config.pinned.is_empty()) {
            judged.push(self.finish(&config.id, ItemKind::Config, &config.about, self.pinned(config)));
        }
        judged
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
            crate::baseline::FactSource::Topology => match self.entry.topology {
                Topology::Single => &SINGLE,
                Topology::Split => &SPLIT,
            },
            crate::baseline::FactSource::Config { .. } => match self.state.facts.get(id) {
                Some(FactSeen::Value { value, .. }) => value,
                Some(FactSeen::Unknown(_)) | None => return Known::Nothing,
            },
        };
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
        let host = self.entry.host;
        let role = concerns.roles.is_empty() || concerns.roles.iter().any(|role| host.roles.contains(role));
        let site = concerns.sites.is_empty() || concerns.sites.contains(host.id.site());
        if role && site { self.truth(concerns.when.as_ref()) } else { Truth::False }
    }

    /// Judges what concerns the host; what may concern it must be shown all the same.
    fn where_concerned(&self, concerned: Truth, when: Option<&Condition>, judge: impl FnOnce() -> Finding) -> Finding {
        match concerned {
            Truth::False => Finding { outcome: Outcome::NotApplicable, details: self.deciding_facts(when) },
            Truth::True => judge(),
            Truth::Unknown => {
                let mut finding = judge();
                // What is not due yet is not due either way.
                let early = matches!(finding.outcome, Outcome::Pending | Outcome::NoFix);
                if finding.outcome > Outcome::Applied && !early {
                    finding.outcome = Outcome::Unknown;
                }
                let mut details = self.deciding_facts(when);
                details.append(&mut finding.details);
                Finding { details, ..finding }
            }
        }
    }

    /// The facts of a condition with value and source.
    fn deciding_facts(&self, when: Option<&Condition>) -> Vec<Detail> {
        let Some(condition) = when else { return Vec::new() };
        let fact = |id: &ItemId| {
            let (file, line) = match self.state.facts.get(id) {
                Some(FactSeen::Value { file, line, .. }) => (Some(file.clone()), Some(*line)),
                Some(FactSeen::Unknown(_)) | None => (None, None),
            };
            let found = match self.known(id) {
                Known::Value(value) => value.to_string(),
                Known::Nothing => "unknown".to_owned(),
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
                        found: self.now.to_string(),
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
                    .unwrap_or(Finding { outcome: Outcome::Unknown, details: Vec::new() }),
            }
        })
    }

    fn pinned(&self, config: &Config) -> Finding {
        self.where_concerned(self.concerned(&config.concerns), config.concerns.when.as_ref(), || {
            let (outcome, found) = match self.state.configs.get(&config.id) {
                Some(ConfigContent::Digest(digest)) if config.pinned.contains(digest) => {
                    (Outcome::Applied, digest.to_string())
                }
                Some(ConfigContent::Digest(digest)) => (Outcome::Drifted, digest.to_string()),
                Some(ConfigContent::Absent) => (Outcome::Absent, "absent".to_owned()),
                Some(ConfigContent::Unknown(why)) => (Outcome::Unknown, program::unknown(*why)),
                None => (Outcome::Unknown, "not in evidence".to_owned()),
            };
            let expected: Vec<_> = config.pinned.iter().map(ToString::to_string).collect();
            let file = config.files.first().cloned();
            let subject = config.id.to_string();
            Finding::new(outcome, Detail { subject, expected: expected.join(" or "), found, file, line: None })
        })
    }

    /// A finding becomes the item's outcome: waivers count, and the policy says what holds.
    fn finish(&self, item: &ItemId, kind: ItemKind, about: &About, finding: Finding) -> Judged {
        let Finding { mut outcome, details } = finding;
        let code = code(kind, outcome);
        let waived_until = match (kind, outcome) {
            (ItemKind::Lock, _) => None, // Also refused when read: a lock cannot be waived.
            (
                _,
                Outcome::Missing
                | Outcome::WrongVariant
                | Outcome::NotLoaded
                | Outcome::Drifted
                | Outcome::Altered
                | Outcome::NoFix,
            ) => self.waived_until(item),
            _ => None,
        };
        if waived_until.is_some() {
            outcome = Outcome::Waived;
        }
        let holds = match outcome {
            Outcome::NotApplicable | Outcome::Applied | Outcome::Waived | Outcome::Pending => false,
            Outcome::NoFix => self.is_due(item),
            Outcome::Unknown
            | Outcome::Absent
            | Outcome::Ambiguous
            | Outcome::Drifted
            | Outcome::NotLoaded
            | Outcome::Missing
            | Outcome::WrongVariant
            | Outcome::Altered
            | Outcome::Denied
            | Outcome::Stale => true,
        };
        let enforced = about.enforce == Enforce::Hold || kind == ItemKind::Lock;
        let verdict = if holds && enforced { Verdict::Hold } else { Verdict::Issue };
        Judged { item: item.clone(), kind, outcome, verdict, code, waived_until, details }
    }

    fn waived_until(&self, item: &ItemId) -> Option<Time> {
        let waivers = self.baseline().waivers.iter();
        let mine = waivers.filter(|waiver| waiver.item == *item && waiver.hosts.contains(&self.entry.host.id));
        mine.map(|waiver| waiver.until).filter(|until| self.now < *until).max()
    }

    fn is_due(&self, item: &ItemId) -> bool {
        let fix = self.baseline().fixes.iter().find(|fix| fix.id == *item);
        fix.is_none_or(|fix| match &fix.requires {
            Requires::NoFixYet { due, .. } => *due <= self.now,
            Requires::All(_) => true,
        })
    }
}

/// The reason's code of an outcome that is not as it should be.
fn code(kind: ItemKind, outcome: Outcome) -> Option<Code> {
    Some(match outcome {
        Outcome::NotApplicable | Outcome::Applied | Outcome::Waived | Outcome::Pending => return None,
        Outcome::NoFix => Code::NoFix,
        Outcome::Unknown => Code::Unknown,
        Outcome::Absent if kind == ItemKind::Lock => Code::LockAbsent,
        Outcome::Absent => Code::Absent,
        Outcome::Ambiguous if kind == ItemKind::Lock => Code::LockAmbiguous,
        Outcome::Ambiguous => Code::SettingAmbiguous,
        Outcome::Drifted => match kind {
            ItemKind::Lock => Code::LockDrifted,
            ItemKind::Config => Code::ConfigDrifted,
            ItemKind::Fix | ItemKind::Setting | ItemKind::Program => Code::SettingDrifted,
        },
        Outcome::NotLoaded => Code::NotLoaded,
        Outcome::Missing => Code::FixMissing,
        Outcome::WrongVariant => Code::WrongVariant,
        Outcome::Altered => Code::Altered,
        Outcome::Denied => Code::Denied,
        Outcome::Stale => Code::Stale,
    })
}
