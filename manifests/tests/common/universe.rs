//! A small world full of contradictions: baselines and evidence in which anything can be wrong.

use std::collections::BTreeMap;

use manifests::digest::Digest;
use manifests::evidence::{
    ConfigContent, Evidence, FactSeen, FileSeen, Gap, Held, InForceSeen, Odd, Older, OlderWhy, PackageSeen,
    ProcessesSeen, ProgramSeen, RequiredFile, SettingSeen, State, TreeSeen, ValueSeen, Why,
};
use manifests::reference::Reference;
use manifests::source;
use manifests::time::Span;
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

fn fix(id: &'static str) -> BoxedStrategy<String> {
    let requirement = select(vec![
        "{ program = \"p\", fixed_in = \">=2.0.0\" }",
        "{ program = \"p\", fixed_in = \">=2.0.0\", or_patch = \"P1\" }",
        "{ program = \"q\", fixed_in = \">=1.0.0\" }",
        "{ setting = \"lock\" }",
        "{ setting = \"s\" }",
        "{ file = \"/f\", sha256 = [\"@good@\"] }",
        "{ package = \"k\", database = \"dpkg\", at_least = \"2\" }",
    ]);
    let requires = prop_oneof![
        4 => vec(requirement, 1..4).prop_map(|all| format!("requires = [{}]\n", all.join(", "))),
        1 => select(TIMES.to_vec()).prop_map(|due| format!("no_fix_yet = {{ due = {due}, compensating = \"x\" }}\n")),
    ];
    let from = option::of(select(TIMES.to_vec()))
        .prop_map(|from| from.map_or(String::new(), |from| format!("required_from = {from}\n")));
    (requires, from, about(false))
        .prop_map(move |(requires, from, about)| format!("[[fix]]\nid = \"{id}\"\n{requires}{from}{about}"))
        .boxed()
}

/// Items that a waiver may name.
pub(crate) const WAIVABLE: [&str; 6] = ["F1", "F2", "s", "p", "q", "c"];

pub(crate) fn waiver() -> BoxedStrategy<String> {
    let hosts = select(vec![fleet::AP, fleet::AP, fleet::DB]);
    (select(WAIVABLE.to_vec()), hosts, select(TIMES.to_vec()))
        .prop_map(|(item, host, until)| {
            format!("[[waiver]]\nitem = \"{item}\"\nhosts = [\"{host}\"]\nreason = \"r\"\nuntil = {until}\n")
        })
        .boxed()
}

const HEAD: &str = "schema = 1\nproduct = \"convenience-issuance\"\nversion = \"1.0.0\"\nmin_agent = \"0.2.0\"\n";

fn program(id: &str, when: Option<String>, about: &str) -> String {
    let when = when.map_or(String::new(), |when| format!("when = {when}\n"));
    format!(
        "[[program]]\nid = \"{id}\"\nroot = \"/{id}\"\n{about}\
         [[program.release]]\nversion = \"2.0.0\"\ntree = \"@2.0.0@\"\n{when}\
         [[program.release]]\nversion = \"1.0.0\"\ntree = \"@1.0.0@\"\n\
         [[program.release]]\nversion = \"0.9.0\"\ntree = \"@0.9.0@\"\ndenied = \"bad\"\n"
    )
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
    let configs = (select(vec!["restart", "live"]), any::<bool>(), select(vec![None, Some("p")]));
    let programs = (option::of(condition()), about(false), about(false));
    let settings = (about(true), about(false), any::<bool>(), any::<bool>());
    let pinned = option::of(about(false));
    // Without any program or setting now and then: then little or nothing is judged.
    let parts = (any::<bool>(), any::<bool>());
    (configs, programs, settings, pinned, fix("F1"), fix("F2"), parts)
        .prop_map(
            move |((reload, sensitive, reader), (when, p, q), (lock, s, in_force, absent), pinned, f1, f2, parts)| {
                let in_force = if in_force && !sensitive {
                    "in_force = { url = \"http://127.0.0.1:1/\", pointer = \"/a\" }\n"
                } else {
                    ""
                };
                let expect = if absent { "{ absent = true }" } else { "{ at_most = 3 }" };
                let mut text = HEAD.to_owned();
                text.push_str(&config(reload, sensitive, reader));
                text.push_str("[[config]]\nid = \"c\"\nfiles = [\"/c\"]\nformat = \"ini\"\n");
                text.push_str(
                    &pinned
                        .map_or("pinned = [\"@x@\"]\n".to_owned(), |about| format!("pinned = [\"@good@\"]\n{about}")),
                );
                text.push_str("[[fact]]\nid = \"f\"\nconfig = \"conf\"\nkey = \"f\"\none_of = [\"a\", \"b\", \"c\"]\n");
                text.push_str("[[fact]]\nid = \"g\"\nconfig = \"conf\"\nkey = \"g\"\n");
                text.push_str("[[fact]]\nid = \"topology\"\nregistry = \"topology\"\n");
                let narrow = if parts.0 { "" } else { "sites = [\"131211\"]\n" };
                let process = "process = { exe = \"bin/p\" }\n";
                text.push_str(&program("p", when, &format!("{process}{p}{narrow}")));
                text.push_str(
                    "[[program.patch]]\nid = \"P1\"\nover = [\"1.0.0\"]\nreplaces = { \"lib/net.so\" = \"@net@\" }\n",
                );
                text.push_str(&program("q", None, &format!("{q}{narrow}")));
                let narrow = if parts.1 { "" } else { "sites = [\"131211\"]\n" };
                text.push_str(&format!(
                    "[[setting]]\nid = \"lock\"\nkind = \"exclusive-lock\"\nconfig = \"conf\"\nkey = \"l\"\n\
                 expect = {{ equals = \"exclusive\" }}\n{in_force}{lock}{narrow}"
                ));
                text.push_str(&format!(
                    "[[setting]]\nid = \"s\"\nconfig = \"conf\"\nkey = \"s\"\nexpect = {expect}\n{s}{narrow}"
                ));
                text + &f1 + &f2
            },
        )
        .boxed()
}

/// Ready to judge by, under one identity whatever the text says.
pub(crate) fn reference(text: &str) -> Reference {
    let text = fleet::filled(text);
    let baseline = source::baseline(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    let lists: BTreeMap<_, _> = [tree("1.0.0")].map(|list| (list.digest(), list)).into();
    Reference::new(baseline, digest("baseline"), &lists).unwrap()
}

fn why() -> impl Strategy<Value = Why> {
    select(vec![Why::Unreadable, Why::FileAbsent, Why::Ambiguous])
}

fn program_seen() -> BoxedStrategy<ProgramSeen> {
    let tree = prop_oneof![
        6 => select(vec!["2.0.0", "1.0.0", "1.0.0+HF-0044", "0.9.0", "5.0.0"]).prop_map(|t| TreeSeen::Digest(digest(t))),
        1 => Just(TreeSeen::Absent),
        1 => why().prop_map(TreeSeen::Unknown),
    ];
    let processes = prop_oneof![
        6 => Just(ProcessesSeen::Running),
        2 => Just(ProcessesSeen::NotRunning),
        1 => why().prop_map(ProcessesSeen::Unknown),
    ];
    let trees = prop_oneof![
        12 => Just(Vec::new()),
        1 => vec(select(vec!["2.0.0", "1.0.0+HF-0044", "0.9.0", "5.0.0"]).prop_map(digest), 1..3),
    ];
    (tree, processes, held(), trees)
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
    prop_oneof![
        3 => select(vec!["exclusive", "a", "3", "shared"]).prop_map(|text| Value::Text(text.to_owned())),
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
        1 => Just(ValueSeen::Ambiguous { file: file(), lines: vec![1, 2], odd: Odd::Duplicate }),
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
        1 => Just(FactSeen::Ambiguous { file: "/conf".to_owned(), lines: vec![3], odd: Odd::Readers }),
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
    let package = prop_oneof![
        4 => Just(PackageSeen::Version("2.1".to_owned())),
        1 => Just(PackageSeen::Version("1.9".to_owned())),
        1 => Just(PackageSeen::Absent),
        1 => why().prop_map(PackageSeen::Unknown),
    ];
    let content = prop_oneof![
        4 => Just(ConfigContent::Digest(digest("good"))),
        1 => Just(ConfigContent::Digest(digest("x"))),
        1 => Just(ConfigContent::Absent),
        1 => why().prop_map(ConfigContent::Unknown),
    ];
    let facts = (often(fact_seen()), often(fact_seen()), option::weighted(0.1, fact_seen()));
    let settings = (often(setting_seen("exclusive")), often(setting_seen("3")));
    let programs = (often(program_seen()), often(program_seen()));
    (facts, settings, programs, readers, often(file), often(package), often(content), any::<bool>())
        .prop_map(|((f, g, t), (lock, s), (p, q), (conf, c), file, package, content, gap)| {
            let mut state = State::default();
            state
                .facts
                .extend([("f", f), ("g", g), ("topology", t)].into_iter().filter_map(|(k, v)| Some((item(k), v?))));
            state.settings.extend([("lock", lock), ("s", s)].into_iter().filter_map(|(k, v)| Some((item(k), v?))));
            state.programs.extend([("p", p), ("q", q)].into_iter().filter_map(|(k, v)| Some((item(k), v?))));
            state.readers.extend([("conf", conf), ("c", c)].into_iter().filter_map(|(k, v)| Some((item(k), v?))));
            state.files.extend(file.map(|file| ("/f".to_owned(), file)));
            state.packages.extend(package.map(|package| ("k".to_owned(), package)));
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
    for (fact, value) in [("f", text("a")), ("g", Value::Integer(3))] {
        state.facts.insert(item(fact), FactSeen::Value { value, file: "/conf".to_owned(), line: 3 });
    }
    for program in ["p", "q"] {
        let seen = ProgramSeen {
            tree: TreeSeen::Digest(digest("2.0.0")),
            processes: ProcessesSeen::Running,
            loaded: Held::default(),
            trees: vec![],
            findings: vec![],
        };
        state.programs.insert(item(program), seen);
    }
    for (setting, value) in [("lock", "exclusive"), ("s", "3")] {
        let in_force = Some(InForceSeen::Value(text(value)));
        state.settings.insert(item(setting), SettingSeen { value: at(text(value)), in_force });
    }
    state.readers.extend(["conf", "c"].map(|config| (item(config), Held::default())));
    state.files.insert("/f".to_owned(), FileSeen::Digest(digest("good")).into());
    state.packages.insert("k".to_owned(), PackageSeen::Version("2.1".to_owned()));
    state.configs.insert(item("c"), ConfigContent::Digest(digest("good")));
    state
}

/// A good state with a few things of a random one: the border between issue and hold.
fn spoiled() -> BoxedStrategy<State> {
    (state(), vec(proptest::bool::weighted(0.12), 12))
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
            spoil!(facts: item("f"), facts: item("g"), programs: item("p"), programs: item("q"), settings: item("lock"),
            settings: item("s"), files: "/f".to_owned(), packages: "k".to_owned(), configs: item("c"), readers: item("conf"), readers: item("c"));
            state
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
