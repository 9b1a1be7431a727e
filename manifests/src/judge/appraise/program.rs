//! Programs: which release a tree is, whether it belongs here, and whether it is what runs.

use super::loaded::failings;
use super::{Finding, Judge};
use crate::baseline::Program;
use crate::condition::{Condition, Truth};
use crate::digest::Digest;
use crate::evidence::{ProcessesSeen, ProgramSeen, TreeSeen, Why};
use crate::outcome::{Detail, Outcome};
use crate::reference::Recognized;
use crate::warning::{Warning, WarningCode};

/// What may be said of a program beyond the release it is.
pub(super) enum Asked<'a> {
    /// Any release that belongs here will do.
    AnyRelease,
    /// The release must carry a fix; the words are for the human.
    WithFix {
        /// Whether a recognised release does.
        carries: &'a dyn Fn(&Recognized<'_>) -> bool,
        /// What is asked for.
        expected: String,
    },
}

pub(super) fn unknown(why: Why) -> String {
    let code = serde_json::to_value(why).ok().and_then(|value| value.as_str().map(str::to_owned));
    format!("unknown: {}", code.unwrap_or_default())
}

impl Judge<'_> {
    pub(super) fn program_item(&self, program: &Program) -> Finding {
        let when = program.concerns.when.as_ref();
        let finding = match self.concerned(&program.concerns) {
            Truth::False => self.program_elsewhere(program),
            concerned => self.where_concerned(concerned, when, || self.program(program, &Asked::AnyRelease)),
        };
        if !self.may_be_denied(program) {
            return finding;
        }
        let beyond_waivers = finding.beyond_waivers.max(Some(Outcome::Unknown));
        Finding { beyond_waivers, may_be_denied: true, ..finding }
    }

    /// That no process runs of a program that should run where it concerns, or may concern, the host.
    pub(super) fn not_running(&self, program: &Program) -> Option<Warning> {
        let seen = self.state.programs.get(&program.id)?;
        let stands_still = seen.processes == ProcessesSeen::NotRunning;
        let warned = program.expect_running && stands_still && self.concerned(&program.concerns) != Truth::False;
        warned.then(|| Warning { code: WarningCode::NotRunning, item: program.id.clone() })
    }

    /// Whether evidence leaves open that a known-bad release of the program is here.
    fn may_be_denied(&self, program: &Program) -> bool {
        if program.releases.iter().all(|release| release.denied.is_none()) {
            return false;
        }
        self.state.programs.get(&program.id).is_none_or(|seen| {
            matches!(seen.tree, TreeSeen::Unknown(_))
                || not_loaded(seen).iter().any(|(outcome, _)| *outcome == Outcome::Unknown)
        })
    }

    /// A program on a host that it is not for: a known-bad release counts wherever it turns up, so
    /// evidence must say that it is not there.
    fn program_elsewhere(&self, program: &Program) -> Finding {
        let mut details = self.deciding_facts(program.concerns.when.as_ref());
        let (outcome, found) = self.presence(program);
        if let Some(found) = found {
            details.insert(0, detail(program, "not on this host", found));
        }
        Finding { concerns: false, ..Finding::of(outcome, details) }
    }

    /// Of a program that is not for this host: whether a known-bad release of it is here, and what is.
    fn presence(&self, program: &Program) -> (Outcome, Option<String>) {
        let Some(seen) = self.state.programs.get(&program.id) else {
            return (Outcome::Unknown, Some("not in evidence".to_owned()));
        };
        if let Some(denied) = self.denied(program, seen) {
            return (Outcome::Denied, Some(denied));
        }
        let has_denied = program.releases.iter().any(|release| release.denied.is_some());
        match &seen.tree {
            TreeSeen::Unknown(why) => (Outcome::Unknown, Some(unknown(*why))),
            // What runs and is not what the disk has may be the known-bad release.
            TreeSeen::Absent | TreeSeen::Digest(_) if has_denied => match not_loaded(seen).into_iter().next() {
                None => present(&seen.tree),
                Some((_, found)) => (Outcome::Unknown, Some(found)),
            },
            TreeSeen::Absent | TreeSeen::Digest(_) => present(&seen.tree),
        }
    }

    /// The known-bad release that is on the disk or runs.
    fn denied(&self, program: &Program, seen: &ProgramSeen) -> Option<String> {
        let known_bad = |tree: &Digest| {
            self.reference.recognize(&program.id, tree).filter(|recognized| recognized.release.denied.is_some())
        };
        if let TreeSeen::Digest(tree) = &seen.tree
            && let Some(recognized) = known_bad(tree)
        {
            return Some(describe(&recognized));
        }
        let running = seen.trees.iter().find_map(known_bad);
        running.map(|recognized| format!("a process runs {}", describe(&recognized)))
    }

    pub(super) fn program(&self, program: &Program, asked: &Asked<'_>) -> Finding {
        let expected = match asked {
            Asked::AnyRelease => "a listed release",
            Asked::WithFix { expected, .. } => expected,
        };
        let Some(seen) = self.state.programs.get(&program.id) else {
            return Finding::new(Outcome::Unknown, detail(program, expected, "not in evidence".to_owned()));
        };
        if let Some(denied) = self.denied(program, seen) {
            return Finding::new(Outcome::Denied, detail(program, expected, denied));
        }
        let (outcome, found) = match &seen.tree {
            TreeSeen::Absent => (Outcome::Absent, "absent".to_owned()),
            TreeSeen::Unknown(why) => (Outcome::Unknown, unknown(*why)),
            TreeSeen::Digest(tree) => match self.reference.recognize(&program.id, tree) {
                None => (Outcome::Altered, format!("{tree}, no listed release")),
                Some(recognized) => {
                    let release = describe(&recognized);
                    let outcome = self.recognized(&recognized, asked);
                    if outcome == Outcome::Applied {
                        // Right on disk: is it what runs?
                        let failing = not_loaded(seen).into_iter().map(|(outcome, found)| {
                            let found = format!("{release} on disk, {found}");
                            Finding::new(outcome, detail(program, expected, found))
                        });
                        if let Some(finding) = failing.reduce(Finding::and) {
                            return finding;
                        }
                    }
                    if outcome == Outcome::WrongVariant {
                        return self.wrong_variant(program, &recognized, release);
                    }
                    (outcome, release)
                }
            },
        };
        Finding::new(outcome, detail(program, expected, found))
    }

    /// Names the variants that belong here, and the facts that decide.
    fn wrong_variant(&self, program: &Program, recognized: &Recognized<'_>, release: String) -> Finding {
        let belongs = |when: Option<&Condition>| self.truth(when) == Truth::True;
        let fitting =
            program.releases.iter().filter(|release| release.denied.is_none() && belongs(release.when.as_ref()));
        let mut variants: Vec<&str> = fitting.filter_map(|release| release.variant.as_deref()).collect();
        variants.sort_unstable();
        variants.dedup();
        let expected = match &variants[..] {
            [] => "a listed release".to_owned(),
            variants => format!("variant {}", variants.join(", ")),
        };
        let mut details = vec![detail(program, &expected, release)];
        details.extend(self.deciding_facts(recognized.release.when.as_ref()));
        Finding::of(Outcome::WrongVariant, details)
    }

    fn recognized(&self, recognized: &Recognized<'_>, asked: &Asked<'_>) -> Outcome {
        match self.truth(recognized.release.when.as_ref()) {
            Truth::False => return Outcome::WrongVariant,
            Truth::Unknown => return Outcome::Unknown,
            Truth::True => {}
        }
        match asked {
            Asked::WithFix { carries, .. } if !carries(recognized) => Outcome::Missing,
            Asked::WithFix { .. } | Asked::AnyRelease => Outcome::Applied,
        }
    }
}

/// What of a program is not shown to run as it is on disk. A program without a process counts as
/// loaded, so that a start condition cannot deadlock.
fn not_loaded(seen: &ProgramSeen) -> Vec<(Outcome, String)> {
    let mut failing = failings(&seen.loaded, Outcome::Altered);
    failing.extend(seen.trees.first().map(|tree| (Outcome::NotLoaded, format!("a process runs {tree}"))));
    if let ProcessesSeen::Unknown(why) = seen.processes {
        failing.push((Outcome::Unknown, format!("processes {}", unknown(why))));
    }
    failing
}

fn present(tree: &TreeSeen) -> (Outcome, Option<String>) {
    let found = matches!(tree, TreeSeen::Digest(_)).then(|| "present".to_owned());
    (Outcome::NotApplicable, found)
}

fn describe(recognized: &Recognized<'_>) -> String {
    let release = recognized.release;
    let mut text = release.version.to_string();
    if let Some(variant) = &release.variant {
        text.push_str(&format!(" {variant}"));
    }
    for patch in &recognized.patches {
        text.push_str(&format!(" + {}", patch.id));
    }
    if let Some(denied) = &release.denied {
        text.push_str(&format!(", known bad: {denied}"));
    }
    text
}

fn detail(program: &Program, expected: &str, found: String) -> Detail {
    let file = Some(program.root.clone());
    Detail { subject: program.id.to_string(), expected: expected.to_owned(), found, file, line: None }
}
