//! Programs: which release a tree is, whether it belongs here, and whether it is what runs.

use super::loaded::{Compared, compared};
use super::{Finding, Judge};
use crate::baseline::Program;
use crate::condition::Truth;
use crate::digest::Digest;
use crate::evidence::{ProcessesSeen, ProgramSeen, TreeSeen, Why};
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
            TreeSeen::Absent | TreeSeen::Digest(_) if has_denied => match (compared(&seen.loaded), seen.processes) {
                (Compared::Current, ProcessesSeen::Running | ProcessesSeen::NotRunning) => present(&seen.tree),
                (Compared::Current, ProcessesSeen::Unknown(why)) => {
                    (Outcome::Unknown, Some(format!("processes {}", unknown(why))))
                }
                (Compared::Older(found) | Compared::Elsewhere(found) | Compared::Unknown(found), _) => {
                    (Outcome::Unknown, Some(format!("a process holds {found}")))
                }
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
    match (compared(&seen.loaded), seen.trees.first(), seen.processes) {
        (Compared::Elsewhere(found), ..) => (Outcome::Altered, format!("{release} on disk, a process sees {found}")),
        (Compared::Older(found), ..) => (Outcome::NotLoaded, format!("{release} on disk, a process holds {found}")),
        (_, Some(tree), _) => (Outcome::NotLoaded, format!("{release} on disk, a process runs {tree}")),
        (Compared::Unknown(found), ..) => (Outcome::Unknown, format!("{release} on disk, {found}")),
        (_, _, ProcessesSeen::Unknown(why)) => {
            (Outcome::Unknown, format!("{release} on disk, processes {}", unknown(why)))
        }
        // A program without a process counts as loaded, so that a start condition cannot deadlock.
        (Compared::Current, None, ProcessesSeen::Running | ProcessesSeen::NotRunning) => (Outcome::Applied, release),
    }
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
