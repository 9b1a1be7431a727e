//! Programs: which release a tree is, whether it belongs here, and whether it is what runs.

use super::{Finding, Judge};
use crate::baseline::Program;
use crate::condition::Truth;
use crate::evidence::{Loaded, ProgramSeen, TreeSeen, Why};
use crate::outcome::{Detail, Outcome};
use crate::reference::Recognized;

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
        let concerned = self.concerned(&program.concerns);
        if concerned == Truth::False {
            return self.program_elsewhere(program);
        }
        self.where_concerned(concerned, when, || self.program(program, &Asked::AnyRelease))
    }

    /// A program on a host that it is not for: a known-bad release counts wherever it turns up, so
    /// evidence must say that it is not there.
    fn program_elsewhere(&self, program: &Program) -> Finding {
        let mut details = self.deciding_facts(program.concerns.when.as_ref());
        let outcome = match self.state.programs.get(&program.id).map(|seen| &seen.tree) {
            Some(TreeSeen::Absent) => Outcome::NotApplicable,
            Some(TreeSeen::Digest(tree)) => {
                let recognized = self.reference.recognize(&program.id, tree);
                let denied = recognized.is_some_and(|r| r.release.denied.is_some());
                let found = if denied { "known-bad release" } else { "present" };
                details.insert(0, detail(program, "not on this host", found.to_owned()));
                if denied { Outcome::Denied } else { Outcome::NotApplicable }
            }
            Some(TreeSeen::Unknown(why)) => {
                details.insert(0, detail(program, "not on this host", unknown(*why)));
                Outcome::Unknown
            }
            None => {
                details.insert(0, detail(program, "not on this host", "not in evidence".to_owned()));
                Outcome::Unknown
            }
        };
        Finding { concerns: false, ..Finding::of(outcome, details) }
    }

    pub(super) fn program(&self, program: &Program, asked: &Asked<'_>) -> Finding {
        let expected = match asked {
            Asked::AnyRelease => "a listed release",
            Asked::WithFix { expected, .. } => expected,
        };
        let Some(seen) = self.state.programs.get(&program.id) else {
            return Finding::new(Outcome::Unknown, detail(program, expected, "not in evidence".to_owned()));
        };
        let (outcome, found) = match &seen.tree {
            TreeSeen::Absent => (Outcome::Absent, "absent".to_owned()),
            TreeSeen::Unknown(why) => (Outcome::Unknown, unknown(*why)),
            TreeSeen::Digest(tree) => match self.reference.recognize(&program.id, tree) {
                None => (Outcome::Altered, format!("{tree}, no listed release")),
                Some(recognized) => {
                    let found = describe(&recognized);
                    match self.recognized(&recognized, asked) {
                        Outcome::Applied => loaded(seen, found),
                        other => (other, found),
                    }
                }
            },
        };
        Finding::new(outcome, detail(program, expected, found))
    }

    fn recognized(&self, recognized: &Recognized<'_>, asked: &Asked<'_>) -> Outcome {
        if recognized.release.denied.is_some() {
            return Outcome::Denied;
        }
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

/// Right on disk: is it what runs?
fn loaded(seen: &ProgramSeen, release: String) -> (Outcome, String) {
    match &seen.loaded {
        // A program without a process counts as loaded, so that a start condition cannot deadlock.
        Loaded::Current | Loaded::NotRunning => (Outcome::Applied, release),
        Loaded::Older { file } => (Outcome::NotLoaded, format!("{release} on disk, the process holds an older {file}")),
        Loaded::Elsewhere { file } => (Outcome::Altered, format!("{release} on disk, the process sees another {file}")),
        Loaded::Unknown(why) => (Outcome::Unknown, format!("{release} on disk, process {}", unknown(*why))),
    }
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
