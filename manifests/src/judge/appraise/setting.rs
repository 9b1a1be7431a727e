//! Settings: the value in the files, and the value in force.

use super::loaded::failings;
use super::program::unknown;
use super::{Finding, Judge};
use crate::baseline::{Config, Setting};
use crate::condition::Truth;
use crate::evidence::{InForceSeen, Odd, SettingSeen, ValueSeen};
use crate::outcome::{Detail, Outcome};
use crate::value::Expect;

impl Judge<'_> {
    pub(super) fn setting_item(&self, setting: &Setting) -> Finding {
        let Some(config) = self.baseline().config(&setting.config) else {
            return Finding::of(Outcome::Unknown, Vec::new()); // Refused when read.
        };
        let concerned = match (self.concerned(&config.concerns), self.concerned(&setting.concerns)) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
            (Truth::True, Truth::True) => Truth::True,
        };
        let when = setting.concerns.when.as_ref().or(config.concerns.when.as_ref());
        self.where_concerned(concerned, when, || self.setting(setting))
    }

    pub(super) fn setting(&self, setting: &Setting) -> Finding {
        let Some(seen) = self.state.settings.get(&setting.id) else {
            return Finding::new(Outcome::Unknown, detail(setting, None, "not in evidence".to_owned()));
        };
        let sealed =
            setting.sensitive || self.baseline().config(&setting.config).is_some_and(|config| config.sensitive);
        let in_files = in_files(setting, sealed, &seen.value);
        if in_files.outcome != Outcome::Applied {
            return in_files;
        }
        match (&setting.in_force, &seen.in_force) {
            (None, _) => in_files.and(self.read_at_start(setting)),
            // The running program tells the value itself: when it was read does not matter then.
            (Some(_), Some(InForceSeen::Value(_))) => in_files.and(in_force(setting, seen, seen.in_force.as_ref())),
            (Some(_), seen_value) => {
                in_files.and(in_force(setting, seen, seen_value.as_ref())).and(self.read_at_start(setting))
            }
        }
    }

    /// A file read at start counts from the start on: a process that holds something older may hold
    /// the value that was there before.
    fn read_at_start(&self, setting: &Setting) -> Finding {
        let Some(config) = self.baseline().config(&setting.config) else {
            return Finding::of(Outcome::Unknown, Vec::new()); // Refused when read.
        };
        let failing = self.not_loaded_by_readers(config).into_iter();
        let failing = failing.map(|(outcome, found)| Finding::new(outcome, detail(setting, None, found)));
        failing.reduce(Finding::and).unwrap_or(Finding::of(Outcome::Applied, Vec::new()))
    }

    /// What of a configuration is not shown to be, in the programs that read it, as it is on disk: not loaded
    /// or unknown, and in words what they have.
    pub(super) fn not_loaded_by_readers(&self, config: &Config) -> Vec<(Outcome, String)> {
        match self.state.readers.get(&config.id) {
            Some(held) => failings(held, Outcome::NotLoaded),
            None => vec![(Outcome::Unknown, "what programs have read is not in evidence".to_owned())],
        }
    }
}

fn in_files(setting: &Setting, travels_sealed: bool, seen: &ValueSeen) -> Finding {
    let place = |file: &String, line: u32| Some((file.clone(), line));
    let judge = |fulfilled: Truth| match fulfilled {
        Truth::True => Outcome::Applied,
        Truth::Unknown => Outcome::Unknown,
        Truth::False => Outcome::Drifted,
    };
    let (outcome, place, found) = match seen {
        ValueSeen::Value { value, file, line } => {
            (judge(setting.expect.fulfilled(value)), place(file, *line), value.to_string())
        }
        ValueSeen::Sealed { as_expected, file, line, keyed } => {
            // Only what the baseline says travels sealed may be judged by the host's own word.
            let outcome = if travels_sealed { judge(Truth::from(*as_expected)) } else { Outcome::Unknown };
            (outcome, place(file, *line), format!("sealed {keyed}"))
        }
        ValueSeen::Absent => match setting.expect {
            Expect::Absent => (Outcome::Applied, None, "absent".to_owned()),
            _ => (Outcome::Absent, None, "absent".to_owned()),
        },
        ValueSeen::Ambiguous { file, lines, odd } => {
            let lines_text: Vec<_> = lines.iter().map(u32::to_string).collect();
            let first = lines.first().copied().unwrap_or_default();
            let found = match odd {
                Odd::Duplicate => format!("different values in lines {}", lines_text.join(", ")),
                odd => unclear(lines, *odd),
            };
            (Outcome::Ambiguous, place(file, first), found)
        }
        ValueSeen::Unknown(why) => (Outcome::Unknown, None, unknown(*why)),
    };
    Finding::new(outcome, detail(setting, place, found))
}

/// What is unclear, in words and the code of what is odd.
pub(super) fn unclear(lines: &[u32], odd: Odd) -> String {
    let lines: Vec<_> = lines.iter().map(u32::to_string).collect();
    format!("unclear in lines {}: {}", lines.join(", "), odd.as_str())
}

fn in_force(setting: &Setting, seen: &SettingSeen, in_force: Option<&InForceSeen>) -> Finding {
    let (outcome, found) = match (in_force, &seen.value) {
        (None, _) => (Outcome::Unknown, "value in force not in evidence".to_owned()),
        (Some(InForceSeen::Unknown(why)), _) => (Outcome::Unknown, format!("in force {}", unknown(*why))),
        (Some(InForceSeen::NotRunning), _) => (Outcome::Applied, "not running".to_owned()),
        (Some(InForceSeen::Value(value)), ValueSeen::Value { value: in_file, .. }) => {
            let outcome = match value.compared(in_file) {
                Truth::True => Outcome::Applied,
                Truth::Unknown => Outcome::Unknown,
                Truth::False => Outcome::Drifted,
            };
            (outcome, format!("{value} in force"))
        }
        (Some(InForceSeen::Value(value)), ValueSeen::Absent) => (Outcome::Drifted, format!("{value} in force")),
        // Sealed in the files and open in force: they cannot be compared here.
        (Some(InForceSeen::Value(_)), _) => (Outcome::Unknown, "value in force cannot be compared".to_owned()),
    };
    Finding::new(outcome, detail(setting, None, found))
}

fn detail(setting: &Setting, place: Option<(String, u32)>, found: String) -> Detail {
    let (file, line) = place.unzip();
    Detail {
        subject: format!("{} {}", setting.config, setting.key),
        expected: setting.expect.to_string(),
        found,
        file,
        line,
    }
}
