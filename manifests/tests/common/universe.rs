//! A small world full of contradictions: baselines and evidence in which anything can be wrong.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;

use manifests::digest::Digest;
use manifests::evidence::{
    ConfigContent, Evidence, FactSeen, FileSeen, Gap, Held, InForceSeen, Odd, Older, OlderWhy, PackageSeen,
    ProcessesSeen, ProgramSeen, RequiredFile, SettingSeen, State, TreeSeen, ValueSeen, Why,
};
use manifests::reference::Reference;
use manifests::source;
use manifests::time::Span;
use manifests::tree::FileList;
use manifests::value::Value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::fleet::{self, digest, item, tree};

/// Moments that matter, and those beside them.
const TIMES: [&str; 3] = ["2026-10-09T23:59:59.999Z", "2026-10-10T00:00:00.000Z", "2026-10-10T00:04:00.000Z"];

fn condition() -> BoxedStrategy<String> {
    let leaf = select(vec![
        "{ fact = \"topology\", equals = \"split\" }",
        "{ fact = \"topology\", equals = \"single\" }",
        "{ fact = \"f\", equals = \"a\" }",
        "{ fact = \"f\", one_of = [\"a\", \"b\"] }",
        "{ fact = \"g\", at_least = 3 }",
        "{ fact = \"g\", at_most = 4 }",
        "{ fact = \"g\", equals = 3 }",
        "{ fact = \"g\", equals = \"3\" }",
        "{ fact = \"g\", equals = true }",
        "{ fact = \"g\", equals = \"yes\" }",
        "{ fact = \"g\", one_of = [\"three\", 3, false] }",
        "{ fact = \"g\", matches = \"[0-9]+|三\" }",
        "{ fact = \"n\", one_of = [3, 4] }",
        "{ fact = \"n\", at_most = 3 }",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(|c| format!("{{ all = [{}] }}", c.join(", "))),
            vec(inner.clone(), 1..3).prop_map(|c| format!("{{ any = [{}] }}", c.join(", "))),
            inner.prop_map(|c| format!("{{ not = {c} }}")),
        ]
    })
    .boxed()
}

/// `roles`, `when`, `enforce` and `waivable` of one item, as lines.
fn about(lock: bool) -> BoxedStrategy<String> {
    let roles = select(vec!["", "", "roles = [\"ap\"]\n", "roles = [\"db\"]\n"]);
    let when = option::of(condition()).prop_map(|when| when.map_or(String::new(), |when| format!("when = {when}\n")));
    let enforce = if lock { vec![""] } else { vec!["", "", "enforce = \"warn\"\n"] };
    (roles, when, select(enforce)).prop_map(|(roles, when, enforce)| format!("{roles}{when}{enforce}")).boxed()
}

fn fix(id: &'static str, waivable: &'static str) -> BoxedStrategy<String> {
    let requirement = select(vec![
        "{ program = \"p\", fixed_in = \">=2.0.0\" }",
        "{ program = \"p\", fixed_in = \">=2.0.0\", or_patch = \"P1\" }",
        "{ program = \"p\", fixed_in = \">1.0.0, <=2.0.0\", or_patch = \"P4\" }",
        "{ program = \"q\", fixed_in = \">=1.0.0\" }",
        "{ program = \"v\", fixed_in = \">=V1L20A, <V02L00\" }",
        "{ setting = \"lock\" }",
        "{ setting = \"s\" }",
        "{ setting = \"t\" }",
        "{ file = \"/f\", sha256 = [\"@good@\"] }",
        "{ package = \"k\", database = \"dpkg\", at_least = \"2\" }",
        "{ package = \"k\", database = \"dpkg\", at_least = \"1:2.0~rc1-3\" }",
        "{ package = \"r\", database = \"rpm\", at_least = \"2.0-1.el9\" }",
    ]);
    let requires = prop_oneof![
        4 => vec(requirement, 1..4).prop_map(|all| format!("requires = [{}]\n", all.join(", "))),
        1 => select(TIMES.to_vec()).prop_map(|due| format!("no_fix_yet = {{ due = {due}, compensating = \"x\" }}\n")),
    ];
    let from = option::of(select(TIMES.to_vec()))
        .prop_map(|from| from.map_or(String::new(), |from| format!("required_from = {from}\n")));
    (requires, from, about(false))
        .prop_map(move |(requires, from, about)| format!("[[fix]]\nid = \"{id}\"\n{waivable}{requires}{from}{about}"))
        .boxed()
}

/// Items that a waiver may name.
pub(crate) const WAIVABLE: [&str; 7] = ["F1", "F2", "s", "p", "q", "v", "c"];

pub(crate) fn waiver() -> BoxedStrategy<String> {
    let hosts = select(vec![fleet::AP, fleet::AP, fleet::DB]);
    (select(WAIVABLE.to_vec()), hosts, select(TIMES.to_vec()))
        .prop_map(|(item, host, until)| {
            format!("[[waiver]]\nitem = \"{item}\"\nhosts = [\"{host}\"]\nreason = \"r\"\nuntil = {until}\n")
        })
        .boxed()
}

const HEAD: &str = "schema = 2\nproduct = \"convenience-issuance\"\nversion = \"1.0.0\"\nmin_agent = \"0.2.0\"\n";

fn release(version: &str, tree: &str, more: &str) -> String {
    format!("[[program.release]]\nversion = \"{version}\"\ntree = \"@{tree}@\"\n{more}")
}

/// A program with a release that belongs somewhere, one that belongs everywhere, and one that is known bad.
fn program(id: &str, versions: [(&str, &str); 3], when: Option<String>, about: &str) -> String {
    let when = when.map_or(String::new(), |when| format!("when = {when}\n"));
    let [new, old, bad] = versions;
    format!(
        "[[program]]\nid = \"{id}\"\nroot = \"/{id}\"\n{about}{}{}{}",
        release(new.0, new.1, &when),
        release(old.0, old.1, ""),
        release(bad.0, bad.1, "denied = \"bad\"\n")
    )
}

/// Versions and trees of the programs `p` and `q`, and of `v`.
const VERSIONS: [(&str, &str); 3] = [("2.0.0", "2.0.0"), ("1.0.0", "1.0.0"), ("0.9.0", "0.9.0")];
const LEVELS: [(&str, &str); 3] = [("V01L20A", "7.2.0"), ("V01L20", "7.1.0"), ("V01L09", "7.0.0")];

/// Patches of `p`. Two that bring the same, two that exclude each other, one that changes nothing, and one that
/// makes of the known-bad release what another patch makes of the good one.
fn patches() -> BoxedStrategy<String> {
    let was = |path: &str| Digest::of(format!("1.0.0 {path}").as_bytes());
    let all = [
        "id = \"P2\"\nover = [\"1.0.0\", \"0.9.0\"]\nreplaces = { \"lib/print_queue.so\" = \"@HF-0043@\" }\n"
            .to_owned(),
        "id = \"P3\"\nover = [\"1.0.0\"]\nreplaces = { \"lib/net.so\" = \"@net@\" }\n".to_owned(),
        format!("id = \"P5\"\nover = [\"1.0.0\"]\nreplaces = {{ \"lib/net.so\" = \"{}\" }}\n", was("lib/net.so")),
        format!(
            "id = \"P6\"\nover = [\"0.9.0\"]\nreplaces = {{ \"bin/issuingd\" = \"{}\", \"lib/net.so\" = \"@net@\", \
             \"lib/print_queue.so\" = \"{}\", \"share/form.xml\" = \"{}\" }}\n",
            was("bin/issuingd"),
            was("lib/print_queue.so"),
            was("share/form.xml")
        ),
    ];
    let always = [
        "id = \"P1\"\nover = [\"1.0.0\"]\nreplaces = { \"lib/net.so\" = \"@net@\" }\n",
        "id = \"P4\"\nover = [\"1.0.0\"]\nreplaces = { \"lib/net.so\" = \"@HF-0043@\" }\n",
    ];
    vec(any::<bool>(), all.len())
        .prop_map(move |chosen| {
            let some = all.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(patch, _)| patch.as_str());
            always.into_iter().chain(some).map(|patch| format!("[[program.patch]]\n{patch}")).collect()
        })
        .boxed()
}

/// What the setting `s` must be; `3` in most of them.
fn expect() -> impl Strategy<Value = &'static str> {
    select(vec![
        "{ at_most = 3 }",
        "{ at_most = 3 }",
        "{ at_least = 3 }",
        "{ equals = 3 }",
        "{ equals = \"3\" }",
        "{ equals = true }",
        "{ one_of = [3, \"three\", true] }",
        "{ one_of = [\"exclusive\", 4] }",
        "{ matches = \"[0-9]|three\" }",
        "{ present = true }",
        "{ absent = true }",
        "{ absent = true }",
    ])
}

/// The text of a baseline, without waivers.
pub(crate) fn baseline() -> BoxedStrategy<String> {
    let config = |reload: &str, sensitive: bool, reader: Option<&str>| {
        let program = reader.map_or(String::new(), |reader| format!("program = \"{reader}\"\n"));
        format!(
            "[[config]]\nid = \"conf\"\nfiles = [\"/conf\"]\nformat = \"ini\"\nreload = \"{reload}\"\n\
             sensitive = {sensitive}\n{program}"
        )
    };
    let reload = || select(vec!["restart", "live"]);
    let configs = (reload(), any::<bool>(), select(vec![None, Some("p")]), reload());
    let programs = (option::of(condition()), about(false), about(false), about(false), patches());
    let orders = (select(vec!["semver", "dpkg", "rpm"]), any::<bool>());
    let settings = (about(true), about(false), about(false), any::<bool>(), expect());
    let pinned = option::of(about(false));
    // Without any program or setting now and then: then little or nothing is judged.
    let parts = (any::<bool>(), any::<bool>());
    let fixes = (fix("F1", ""), fix("F2", ""), option::weighted(0.3, fix("F3", "waivable = false\n")));
    (configs, programs, orders, settings, pinned, fixes, parts)
        .prop_map(
            move |(
                (reload, sensitive, reader, c_reload),
                (when, p, q, v, patches),
                (scheme, expected),
                (lock, s, t, in_force, expect),
                pinned,
                (f1, f2, f3),
                parts,
            )| {
                let in_force = if in_force && !sensitive {
                    "in_force = { url = \"http://127.0.0.1:1/\", pointer = \"/a\" }\n"
                } else {
                    ""
                };
                let mut text = HEAD.to_owned();
                text.push_str(&config(reload, sensitive, reader));
                text.push_str(&format!(
                    "[[config]]\nid = \"c\"\nfiles = [\"/c\"]\nformat = \"ini\"\nreload = \"{c_reload}\"\n"
                ));
                text.push_str(
                    &pinned
                        .map_or("pinned = [\"@x@\"]\n".to_owned(), |about| format!("pinned = [\"@good@\"]\n{about}")),
                );
                text.push_str("[[fact]]\nid = \"f\"\nconfig = \"conf\"\nkey = \"f\"\none_of = [\"a\", \"b\", \"c\"]\n");
                text.push_str("[[fact]]\nid = \"g\"\nconfig = \"conf\"\nkey = \"g\"\n");
                text.push_str("[[fact]]\nid = \"n\"\nconfig = \"c\"\nkey = \"n\"\none_of = [2, 3, 4]\n");
                text.push_str("[[fact]]\nid = \"topology\"\nregistry = \"topology\"\n");
                let narrow = if parts.0 { "" } else { "sites = [\"131211\"]\n" };
                let process = format!("process = {{ exe = \"bin/p\" }}\nexpect_running = {expected}\n");
                text.push_str(&program("p", VERSIONS, when.clone(), &format!("{process}{p}{narrow}")));
                text.push_str(&patches);
                text.push_str(&program("q", VERSIONS, None, &format!("scheme = \"{scheme}\"\n{q}{narrow}")));
                text.push_str(&program("v", LEVELS, when, &format!("scheme = \"vl\"\n{v}{narrow}")));
                let narrow = if parts.1 { "" } else { "sites = [\"131211\"]\n" };
                text.push_str(&format!(
                    "[[setting]]\nid = \"lock\"\nkind = \"exclusive-lock\"\nconfig = \"conf\"\nkey = \"l\"\n\
                 expect = {{ equals = \"exclusive\" }}\n{in_force}{lock}{narrow}"
                ));
                text.push_str(&format!(
                    "[[setting]]\nid = \"s\"\nconfig = \"conf\"\nkey = \"s\"\nexpect = {expect}\n{in_force}{s}{narrow}"
                ));
                text.push_str(&format!(
                    "[[setting]]\nid = \"t\"\nconfig = \"c\"\nkey = \"t\"\nsensitive = true\nexpect = {{ present = true }}\n\
                     enforce = \"warn\"\nwaivable = false\n{}{narrow}",
                    t.replace("enforce = \"warn\"\n", "")
                ));
                text + &f1 + &f2 + &f3.unwrap_or_default()
            },
        )
        .boxed()
}

/// The file lists of releases that patches go over.
pub(crate) fn lists() -> BTreeMap<Digest, FileList> {
    ["1.0.0", "0.9.0"].map(tree).into_iter().map(|list| (list.digest(), list)).collect()
}

/// Ready to judge by, under one identity whatever the text says.
pub(crate) fn reference(text: &str) -> Reference {
    let text = fleet::filled(text);
    let baseline = source::baseline(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    Reference::new(baseline, digest("baseline"), &lists()).unwrap()
}

fn odd() -> impl Strategy<Value = Odd> {
    select(Odd::ALL.map(|(_, odd)| odd).to_vec())
}

fn why() -> impl Strategy<Value = Why> {
    select(vec![Why::Unreadable, Why::FileAbsent, Why::Ambiguous])
}

/// Trees of `p` and `q`, and of `v`; one of each is no release.
const TREES: [&str; 8] =
    ["2.0.0", "1.0.0", "1.0.0+HF-0044", "1.0.0+HF-0043", "1.0.0+HF-0043+HF-0044", "0.9.0", "0.9.0+HF-0043", "5.0.0"];
const LEVEL_TREES: [&str; 4] = ["7.2.0", "7.1.0", "7.0.0", "5.0.0"];

fn program_seen(trees: &'static [&'static str]) -> BoxedStrategy<ProgramSeen> {
    let tree = prop_oneof![
        6 => select(trees.to_vec()).prop_map(|t| TreeSeen::Digest(digest(t))),
        1 => Just(TreeSeen::Absent),
        1 => why().prop_map(TreeSeen::Unknown),
    ];
    let processes = prop_oneof![
        6 => Just(ProcessesSeen::Running),
        2 => Just(ProcessesSeen::NotRunning),
        1 => why().prop_map(ProcessesSeen::Unknown),
    ];
    let running = prop_oneof![
        12 => Just(Vec::new()),
        1 => vec(select(trees.to_vec()).prop_map(digest), 1..3),
    ];
    (tree, processes, held(), running)
        .prop_map(|(tree, processes, loaded, trees)| ProgramSeen {
            tree,
            processes,
            loaded,
            trees,
            findings: Vec::new(),
        })
        .boxed()
}

/// What processes have otherwise than the disk; most often nothing.
pub(crate) fn held() -> BoxedStrategy<Held> {
    let older = select(vec![OlderWhy::Held, OlderWhy::BeforeFirstLook, OlderWhy::Copy])
        .prop_map(|why| Older { file: "lib/net.so".to_owned(), why });
    let gap = why().prop_map(|why| Gap { what: "p".to_owned(), why });
    let elsewhere = vec(Just("lib/net.so".to_owned()), 0..2);
    let some = (vec(older, 0..3), elsewhere, vec(gap, 0..2)).prop_map(|(older, elsewhere, unknown)| Held {
        older,
        elsewhere,
        unknown,
        more: 0,
    });
    prop_oneof![8 => Just(Held::default()), 2 => some].boxed()
}

fn value() -> impl Strategy<Value = Value> {
    // Numbers to some readers, and texts that are read as others.
    let odd = vec![
        "04",
        "+3",
        " 3",
        "3e0",
        "0x3",
        "３",
        "3.0",
        "-0",
        "true",
        "TRUE",
        "yes",
        "no",
        "three",
        "Three ",
        "三",
        "A",
        "",
        "1_000",
        "99999999999999999999",
    ];
    prop_oneof![
        3 => select(vec!["exclusive", "a", "3", "shared"]).prop_map(|text| Value::Text(text.to_owned())),
        3 => select(odd).prop_map(|text| Value::Text(text.to_owned())),
        1 => (2_i64..5).prop_map(Value::Integer),
        1 => any::<bool>().prop_map(Value::Boolean),
    ]
}

fn setting_seen(good: &'static str) -> BoxedStrategy<SettingSeen> {
    let file = || "/conf".to_owned();
    let good_value = || Value::Text(good.to_owned());
    let seen = prop_oneof![
        5 => Just(ValueSeen::Value { value: good_value(), file: file(), line: 1 }),
        2 => value().prop_map(move |value| ValueSeen::Value { value, file: file(), line: 1 }),
        2 => any::<bool>().prop_map(move |as_expected| {
            ValueSeen::Sealed { keyed: digest("k"), as_expected, file: file(), line: 1 }
        }),
        1 => Just(ValueSeen::Absent),
        1 => odd().prop_map(move |odd| ValueSeen::Ambiguous { file: file(), lines: vec![1, 2], odd }),
        1 => why().prop_map(ValueSeen::Unknown),
    ];
    let in_force = option::of(prop_oneof![
        5 => Just(InForceSeen::Value(good_value())),
        1 => value().prop_map(InForceSeen::Value),
        2 => Just(InForceSeen::NotRunning),
        1 => why().prop_map(InForceSeen::Unknown),
    ]);
    (seen, in_force).prop_map(|(value, in_force)| SettingSeen { value, in_force }).boxed()
}

fn fact_seen() -> BoxedStrategy<FactSeen> {
    let value = prop_oneof![
        4 => select(vec!["a", "b", "c", "z", "3"]).prop_map(|text| Value::Text(text.to_owned())),
        1 => value(),
    ];
    prop_oneof![
        4 => value.prop_map(|value| FactSeen::Value { value, file: "/conf".to_owned(), line: 3 }),
        2 => why().prop_map(FactSeen::Unknown),
        1 => odd().prop_map(|odd| FactSeen::Ambiguous { file: "/conf".to_owned(), lines: vec![3], odd }),
    ]
    .boxed()
}

fn often<T: std::fmt::Debug>(seen: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    option::weighted(0.85, seen)
}

/// What a host may show; mostly good, so that some hosts issue.
pub(crate) fn state() -> BoxedStrategy<State> {
    let file = prop_oneof![
        4 => Just(FileSeen::Digest(digest("good"))),
        1 => Just(FileSeen::Digest(digest("bad"))),
        1 => Just(FileSeen::Absent),
        1 => why().prop_map(FileSeen::Unknown),
    ];
    let file = (file, held()).prop_map(|(content, loaded)| RequiredFile { content, loaded });
    let readers = (often(held()), often(held()));
    let versions = vec![
        "1.9",
        "2.1",
        "2",
        "1:2.0~rc1-3",
        "1:2.0~rc1-3.1",
        "1:2",
        "0:3",
        "2.0-1.el9",
        "2.0-1",
        "2.0-1.el9_2.1",
        "2.0^1-1",
        "2.0~a",
        "1-2:3",
        "1:",
        "99999999999:1",
        "2.a",
        "2.a0",
        "2 0",
        "",
        "a_b",
        "-",
        "2..1",
        "2.01",
        "02.1",
    ];
    let package = || {
        prop_oneof![
            4 => Just(PackageSeen::Version("1:2.1-1".to_owned())),
            3 => select(versions.clone()).prop_map(|version| PackageSeen::Version(version.to_owned())),
            1 => Just(PackageSeen::Absent),
            1 => why().prop_map(PackageSeen::Unknown),
        ]
    };
    let content = prop_oneof![
        4 => Just(ConfigContent::Digest(digest("good"))),
        1 => Just(ConfigContent::Digest(digest("x"))),
        1 => Just(ConfigContent::Absent),
        1 => why().prop_map(ConfigContent::Unknown),
    ];
    let facts = (often(fact_seen()), often(fact_seen()), often(fact_seen()), option::weighted(0.1, fact_seen()));
    let settings = (often(setting_seen("exclusive")), often(setting_seen("3")), often(setting_seen("x")));
    let programs = (often(program_seen(&TREES)), often(program_seen(&TREES)), often(program_seen(&LEVEL_TREES)));
    let packages = (often(package()), often(package()));
    (facts, settings, programs, readers, often(file), packages, often(content), any::<bool>())
        .prop_map(|((f, g, n, topology), (lock, s, t), (p, q, v), (conf, c), file, (k, r), content, gap)| {
            let mut state = State::default();
            state.facts.extend(
                [("f", f), ("g", g), ("n", n), ("topology", topology)]
                    .into_iter()
                    .filter_map(|(k, v)| Some((item(k), v?))),
            );
            state
                .settings
                .extend([("lock", lock), ("s", s), ("t", t)].into_iter().filter_map(|(k, v)| Some((item(k), v?))));
            state.programs.extend([("p", p), ("q", q), ("v", v)].into_iter().filter_map(|(k, v)| Some((item(k), v?))));
            state.readers.extend([("conf", conf), ("c", c)].into_iter().filter_map(|(k, v)| Some((item(k), v?))));
            state.files.extend(file.map(|file| ("/f".to_owned(), file)));
            state.packages.extend([("k", k), ("r", r)].into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))));
            state.configs.extend(content.map(|content| (item("c"), content)));
            state.coverage.extend(gap.then(|| Gap { what: "/f".to_owned(), why: Why::Unreadable }));
            state
        })
        .boxed()
}

/// A state in which all is well, as far as the baseline lets it.
fn good() -> State {
    let mut state = State::default();
    let text = |text: &str| Value::Text(text.to_owned());
    let at = |value: Value| ValueSeen::Value { value, file: "/conf".to_owned(), line: 1 };
    for (fact, value) in [("f", text("a")), ("g", Value::Integer(3)), ("n", text("3"))] {
        state.facts.insert(item(fact), FactSeen::Value { value, file: "/conf".to_owned(), line: 3 });
    }
    for (program, tree) in [("p", "2.0.0"), ("q", "2.0.0"), ("v", "7.2.0")] {
        let seen = ProgramSeen {
            tree: TreeSeen::Digest(digest(tree)),
            processes: ProcessesSeen::Running,
            loaded: Held::default(),
            trees: vec![],
            findings: vec![],
        };
        state.programs.insert(item(program), seen);
    }
    for (setting, value) in [("lock", "exclusive"), ("s", "3"), ("t", "x")] {
        let in_force = Some(InForceSeen::Value(text(value)));
        state.settings.insert(item(setting), SettingSeen { value: at(text(value)), in_force });
    }
    state.readers.extend(["conf", "c"].map(|config| (item(config), Held::default())));
    state.files.insert("/f".to_owned(), FileSeen::Digest(digest("good")).into());
    for package in ["k", "r"] {
        state.packages.insert(package.to_owned(), PackageSeen::Version("1:2.1-1".to_owned()));
    }
    state.configs.insert(item("c"), ConfigContent::Digest(digest("good")));
    state
}

/// A good state with a few things of a random one: the border between issue and hold.
fn spoiled() -> BoxedStrategy<State> {
    (state(), vec(proptest::bool::weighted(0.12), 18))
        .prop_map(|(bad, spoil)| {
            let mut state = good();
            let mut spoil = spoil.into_iter().chain(std::iter::repeat(false));
            let mut next = || spoil.next() == Some(true);
            macro_rules! spoil {
            ($($field:ident: $key:expr),*) => {$(
                if next() {
                    state.$field.remove(&$key);
                    state.$field.extend(bad.$field.get(&$key).map(|seen| ($key, seen.clone())));
                }
            )*};
        }
            spoil!(facts: item("f"), facts: item("g"), facts: item("n"), facts: item("topology"), programs: item("p"),
            programs: item("q"), programs: item("v"), settings: item("lock"), settings: item("s"), settings: item("t"),
            files: "/f".to_owned(), packages: "k".to_owned(), packages: "r".to_owned(), configs: item("c"), readers: item("conf"), readers: item("c"));
            state
        })
        .boxed()
}

/// Evidence on which all is well on the disk, and processes may have anything else.
pub(crate) fn loaded() -> BoxedStrategy<Evidence> {
    let some = || prop_oneof![2 => Just(Held::default()), 1 => held()];
    let program = || {
        let trees = prop_oneof![5 => Just(vec![]), 1 => select(TREES.to_vec()).prop_map(|tree| vec![digest(tree)])];
        let processes = prop_oneof![
            5 => Just(ProcessesSeen::Running),
            1 => Just(ProcessesSeen::NotRunning),
            1 => why().prop_map(ProcessesSeen::Unknown),
        ];
        (some(), trees, processes)
    };
    (vec(program(), 3), some(), some(), some(), any::<bool>())
        .prop_map(|(programs, conf, c, file, told)| {
            let mut state = good();
            for ((_, seen), (loaded, trees, processes)) in state.programs.iter_mut().zip(programs) {
                (seen.loaded, seen.trees, seen.processes) = (loaded, trees, processes);
            }
            state.readers.extend([(item("conf"), conf), (item("c"), c)]);
            state.files.values_mut().for_each(|seen| seen.loaded = file.clone());
            if !told {
                state.settings.values_mut().for_each(|seen| seen.in_force = Some(InForceSeen::NotRunning));
            }
            Evidence { cover: fleet::cover(fleet::AP.parse().unwrap(), digest("baseline")), state }
        })
        .boxed()
}

/// Evidence of [`fleet::AP`], mostly fresh and in order.
pub(crate) fn evidence() -> BoxedStrategy<Evidence> {
    let age = prop_oneof![20 => Just(0_u64), 1 => 0_u64..700_000];
    let ahead = prop_oneof![20 => Just(0_u64), 1 => 59_000_u64..70_000];
    let odd = prop_oneof![30 => Just(0_u8), 1 => 1_u8..5];
    (prop_oneof![4 => spoiled(), 1 => state()], age, ahead, odd)
        .prop_map(|(state, age, ahead, odd)| {
            let mut cover = fleet::cover(fleet::AP.parse().unwrap(), digest("baseline"));
            cover.pass_started = cover.pass_started.before(Span::from_ms(age)).after(Span::from_ms(ahead));
            match odd {
                1 => cover.baseline = Digest::of(b"other"),
                2 => cover.agent.version = semver::Version::new(0, 1, 0),
                3 => cover.host = fleet::DB.parse().unwrap(),
                4 => cover.product = "other".parse().unwrap(),
                _ => {}
            }
            Evidence { cover, state }
        })
        .boxed()
}
