//! What was seen, in words: `tree issuing-server = 3.4.1; lock.print-wait = shared`.
//!
//! A `-` leaves the entry out of the evidence. Anything not understood is a mistake of the test.

use manifests::digest::Digest;
use manifests::evidence::{
    ConfigContent, Evidence, FactSeen, FileSeen, Gap, Held, InForceSeen, Odd, Older, OlderWhy, PackageSeen,
    ProcessesSeen, ProgramSeen, TreeSeen, ValueSeen, Why,
};
use manifests::time::Span;
use manifests::value::Value;

use crate::fleet::{digest, item};

/// Changes `evidence` as `words` say.
pub(crate) fn apply(evidence: &mut Evidence, words: &str) {
    for change in words.split(';').map(str::trim).filter(|change| !change.is_empty()) {
        let (what, how) = change.split_once(" = ").unwrap_or_else(|| panic!("{change:?} has no ` = `"));
        let state = &mut evidence.state;
        match what.split_once(' ') {
            Some(("tree", program)) if how == "-" => drop(state.programs.remove(&item(program))),
            Some(("tree", program)) => state.programs.get_mut(&item(program)).unwrap().tree = tree(how),
            Some(("loaded", program)) => loaded(state.programs.get_mut(&item(program)).unwrap(), how),
            Some(("runs", program)) => state.programs.get_mut(&item(program)).unwrap().trees = vec![digest(how)],
            Some(("reader", config)) if how == "-" => drop(state.readers.remove(&item(config))),
            Some(("reader", config)) => drop(state.readers.insert(item(config), held(how))),
            Some(("held", path)) => state.files.get_mut(path).unwrap().loaded = held(how),
            Some(("fact", fact)) if how == "-" => drop(state.facts.remove(&item(fact))),
            Some(("fact", fact)) => drop(state.facts.insert(item(fact), fact_seen(how))),
            Some(("file", path)) if how == "-" => drop(state.files.remove(path)),
            Some(("file", path)) => drop(state.files.insert(path.to_owned(), file(how).into())),
            Some(("package", name)) if how == "-" => drop(state.packages.remove(name)),
            Some(("package", name)) => drop(state.packages.insert(name.to_owned(), package(how))),
            Some(("config", config)) if how == "-" => drop(state.configs.remove(&item(config))),
            Some(("config", config)) => drop(state.configs.insert(item(config), content(how))),
            Some(("setting", setting)) if how == "-" => drop(state.settings.remove(&item(setting))),
            Some(("setting", setting)) => state.settings.get_mut(&item(setting)).unwrap().value = value(how),
            Some(("running", setting)) => state.settings.get_mut(&item(setting)).unwrap().in_force = in_force(how),
            Some(("pass", _)) => evidence.cover.pass_started = evidence.cover.pass_started.before(span(how)),
            Some(("ahead", _)) => evidence.cover.pass_started = evidence.cover.pass_started.after(span(how)),
            Some(("agent", _)) => evidence.cover.agent.version = how.parse().unwrap(),
            Some(("baseline", _)) => evidence.cover.baseline = Digest::of(how.as_bytes()),
            Some(("host", _)) => evidence.cover.host = how.parse().unwrap(),
            Some(("product", _)) => evidence.cover.product = how.parse().unwrap(),
            _ => panic!("{change:?} is no change"),
        }
    }
}

fn span(text: &str) -> Span {
    text.split('+')
        .map(|part| Span::try_from(part.to_owned()).unwrap())
        .fold(Span::ZERO, |a, b| Span::from_ms(a.as_ms() + b.as_ms()))
}

fn tree(how: &str) -> TreeSeen {
    match how {
        "absent" => TreeSeen::Absent,
        "unreadable" => TreeSeen::Unknown(Why::Unreadable),
        name => TreeSeen::Digest(digest(name)),
    }
}

fn loaded(program: &mut ProgramSeen, how: &str) {
    match how {
        "not-running" => program.processes = ProcessesSeen::NotRunning,
        "unreadable" => program.processes = ProcessesSeen::Unknown(Why::ProcessUnreadable),
        how => program.loaded = held(how),
    }
}

/// Words joined by `+`.
fn held(how: &str) -> Held {
    let mut held = Held::default();
    for word in how.split('+') {
        match word {
            "current" => {}
            "older" => held.older.push(Older { file: "lib/print_queue.so".to_owned(), why: OlderWhy::Held }),
            "elsewhere" => held.elsewhere.push("lib/print_queue.so".to_owned()),
            "unreadable" => held.unknown.push(Gap { what: "a process".to_owned(), why: Why::ProcessUnreadable }),
            "more" => held.more = 1,
            other => panic!("{other:?}"),
        }
    }
    held
}

fn fact_seen(how: &str) -> FactSeen {
    match how {
        "unreadable" => FactSeen::Unknown(Why::Unreadable),
        "ambiguous" => {
            FactSeen::Ambiguous { file: "/etc/issuing/linkage.xml".to_owned(), lines: vec![4, 9], odd: Odd::Duplicate }
        }
        text => FactSeen::Value {
            value: Value::Text(text.to_owned()),
            file: "/etc/issuing/linkage.xml".to_owned(),
            line: 4,
        },
    }
}

fn file(how: &str) -> FileSeen {
    match how {
        "absent" => FileSeen::Absent,
        "unreadable" => FileSeen::Unknown(Why::Unreadable),
        name => FileSeen::Digest(digest(name)),
    }
}

fn package(how: &str) -> PackageSeen {
    match how {
        "absent" => PackageSeen::Absent,
        "unreadable" => PackageSeen::Unknown(Why::Unsupported),
        version => PackageSeen::Version(version.to_owned()),
    }
}

fn content(how: &str) -> ConfigContent {
    match how {
        "absent" => ConfigContent::Absent,
        "unreadable" => ConfigContent::Unknown(Why::Unreadable),
        name => ConfigContent::Digest(digest(name)),
    }
}

fn value(how: &str) -> ValueSeen {
    let file = "/etc/issuing/print.ini".to_owned();
    match how {
        "absent" => ValueSeen::Absent,
        "ambiguous" => ValueSeen::Ambiguous { file, lines: vec![12, 40], odd: Odd::Duplicate },
        "unreadable" => ValueSeen::Unknown(Why::Unreadable),
        "sealed" => ValueSeen::Sealed { keyed: digest("keyed"), as_expected: true, file, line: 1 },
        "sealed-other" => ValueSeen::Sealed { keyed: digest("keyed"), as_expected: false, file, line: 1 },
        text => ValueSeen::Value { value: Value::Text(text.to_owned()), file, line: 12 },
    }
}

fn in_force(how: &str) -> Option<InForceSeen> {
    match how {
        "-" => None,
        "not-running" => Some(InForceSeen::NotRunning),
        "unreadable" => Some(InForceSeen::Unknown(Why::NotAnswering)),
        text => Some(InForceSeen::Value(Value::Text(text.to_owned()))),
    }
}
