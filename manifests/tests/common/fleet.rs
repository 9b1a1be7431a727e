//! A baseline, a registry and evidence of hosts on which all is well, for tests to spoil.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;

use manifests::digest::Digest;
use manifests::evidence::{
    Agent, ConfigContent, Cover, Evidence, FactSeen, FileSeen, Held, InForceSeen, PackageSeen, ProcessesSeen,
    ProgramSeen, SettingSeen, State, TreeSeen, ValueSeen,
};
use manifests::id::{HostId, ItemId};
use manifests::reference::Reference;
use manifests::registry::Registry;
use manifests::source;
use manifests::time::Time;
use manifests::tree::FileList;
use manifests::value::Value;

pub(crate) const BASELINE: &str = include_str!("baseline.toml");
pub(crate) const REGISTRY: &str = include_str!("registry.toml");
/// A split site's AP host, and its DB host; the AP host of a site with one host.
pub(crate) const AP: &str = "402206-ap1";
pub(crate) const DB: &str = "402206-db1";
pub(crate) const SINGLE: &str = "131211-ap1";

pub(crate) fn now() -> Time {
    time("2026-10-10T00:00:00Z")
}

pub(crate) fn time(text: &str) -> Time {
    Time::from_rfc3339(text).unwrap()
}

pub(crate) fn item(text: &str) -> ItemId {
    text.parse().unwrap()
}

/// The bytes or tree called `name`.
pub(crate) fn digest(name: &str) -> Digest {
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("db-") {
        tree(name).digest()
    } else {
        Digest::of(name.as_bytes())
    }
}

/// The tree of a release, perhaps with patches: `3.4.1+HF-0042`. `half-HF-0042` replaces one of its
/// two files.
pub(crate) fn tree(name: &str) -> FileList {
    let mut parts = name.split('+');
    let release = parts.next().unwrap_or_default();
    let mut list = FileList::new();
    for path in ["bin/issuingd", "lib/net.so", "lib/print_queue.so", "share/form.xml"] {
        list.insert_file(path.as_bytes(), Digest::of(format!("{release} {path}").as_bytes()));
    }
    list.insert_link(b"bin/current", b"issuingd");
    for patch in parts {
        if patch != "HF-0044" {
            list.insert_file(b"lib/print_queue.so", Digest::of(patch.trim_start_matches("half-").as_bytes()));
        }
        if matches!(patch, "HF-0042" | "HF-0044") {
            list.insert_file(b"lib/net.so", Digest::of(b"net"));
        }
    }
    list
}

/// The text with every `@name@` replaced.
pub(crate) fn filled(text: &str) -> String {
    let parts: Vec<&str> = text.split('@').collect();
    let part = |(index, part): (usize, &&str)| match index % 2 {
        0 => (*part).to_owned(),
        _ if part.contains(' ') => format!("@{part}@"),
        _ => digest(part).to_string(),
    };
    parts.iter().enumerate().map(part).collect()
}

/// A baseline as tests write it, ready to judge by. Panics with every problem of the file.
pub(crate) fn reference(text: &str) -> Reference {
    let text = filled(&text.replace("`@name@`", "`name`"));
    let baseline = source::baseline(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    let names = ["3.4.2-split", "3.4.2-single", "3.4.1", "3.3.0", "3.4.0-batch", "db-1.0.0", "db-0.9.0"];
    let lists: BTreeMap<_, _> = names.iter().map(|name| (tree(name).digest(), tree(name))).collect();
    Reference::new(baseline, Digest::of(text.as_bytes()), &lists).unwrap()
}

pub(crate) fn registry() -> Registry {
    source::registry(REGISTRY).unwrap()
}

/// Evidence of `host` on which all is as the baseline asks, from a pass that began at [`now`].
pub(crate) fn evidence(host: &str, reference: &Reference) -> Evidence {
    let host: HostId = host.parse().unwrap();
    let is_db = host.as_str() == DB;
    let release = if host.as_str() == SINGLE { "3.4.2-single" } else { "3.4.2-split" };
    let program = |name: &str, here: bool| ProgramSeen {
        tree: if here { TreeSeen::Digest(digest(name)) } else { TreeSeen::Absent },
        processes: if here { ProcessesSeen::Running } else { ProcessesSeen::NotRunning },
        loaded: Held::default(),
        trees: Vec::new(),
        findings: Vec::new(),
    };
    let programs = BTreeMap::from([
        (item("issuing-server"), program(release, !is_db)),
        (item("db-tools"), program("db-1.0.0", is_db)),
    ]);
    let mut state = State { programs, ..State::default() };
    state.packages.insert("openssl".to_owned(), PackageSeen::Version("3.0.11-1~deb12u2".to_owned()));
    if is_db {
        state.packages.insert("openssl".to_owned(), PackageSeen::Version("3.0.11-1".to_owned()));
    } else {
        let text = |text: &str| Value::Text(text.to_owned());
        state.packages.insert("openssl".to_owned(), PackageSeen::Version("3.0.11-1+deb12u2".to_owned()));
        state.facts.insert(
            item("linkage.method"),
            FactSeen::Value { value: text("on-demand-2"), file: "/etc/issuing/linkage.xml".to_owned(), line: 4 },
        );
        let setting = |value: ValueSeen, in_force| SettingSeen { value, in_force };
        let at = |value: Value, file: &str, line| ValueSeen::Value { value, file: file.to_owned(), line };
        let lock = at(text("exclusive"), "/etc/issuing/print.ini", 12);
        state.settings.insert(item("lock.print-wait"), setting(lock, Some(InForceSeen::Value(text("exclusive")))));
        let timeout = at(text("30"), "/etc/issuing/linkage.xml", 9);
        state.settings.insert(item("queue.timeout"), setting(timeout, None));
        state.settings.insert(item("legacy.mode"), setting(ValueSeen::Absent, None));
        let sealed = ValueSeen::Sealed {
            keyed: Digest::of(b"keyed"),
            as_expected: true,
            file: "/etc/issuing/secrets.properties".to_owned(),
            line: 1,
        };
        state.settings.insert(item("secrets.store"), setting(sealed, None));
        state.settings.insert(item("db.hint"), setting(at(text("x"), "/etc/issuing/linkage.xml", 10), None));
        state.files.insert("/usr/lib/printer/filter.ppd".to_owned(), FileSeen::Digest(digest("filter")).into());
        state.configs.insert(item("proxy"), ConfigContent::Digest(digest("proxy")));
        let read = ["print", "linkage", "secrets", "proxy"].map(|config| (item(config), Held::default()));
        state.readers.extend(read);
    }
    Evidence { cover: cover(host, reference.digest()), state }
}

pub(crate) fn cover(host: HostId, baseline: Digest) -> Cover {
    Cover {
        product: "convenience-issuance".parse().unwrap(),
        host,
        sequence: 7,
        resumed: false,
        boot_id: "0b7dd7b4-3c2e-4e0a-9f0e-6f1f2a3b4c5d".to_owned(),
        wall: now(),
        boot_ms: 86_400_000,
        pass_started: now(),
        agent: Agent { version: semver::Version::new(0, 2, 0), digest: Digest::of(b"agent") },
        baseline,
        permit: 0,
        stops: Vec::new(),
        enrolment: None,
        checkpoint: None,
        configs: BTreeMap::new(),
        lists: Vec::new(),
    }
}
