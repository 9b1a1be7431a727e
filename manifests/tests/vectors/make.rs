//! Makes the vectors: the same bytes every time.

use std::collections::BTreeMap;

use manifests::canonical;
use manifests::digest::Digest;
use manifests::enrolment::{Enrolled, Enrolment};
use manifests::envelope::{Document, Sealed};
use manifests::evidence::{
    Agent, ConfigContent, ConfigPrint, Cover, Evidence, FactSeen, FileSeen, Finding, FindingKind, Gap, Heartbeat, Held,
    InForceSeen, Layer, Odd, Older, OlderWhy, PackageSeen, ProcessesSeen, ProgramSeen, RequiredFile, SettingSeen,
    State, TreeSeen, ValueSeen, Why,
};
use manifests::id::{HostId, ItemId};
use manifests::key::SigningKey;
use manifests::outcome::Verdict;
use manifests::permit::Permit;
use manifests::reason::{Code, Reason};
use manifests::stop::{Acknowledgement, Scope, Stop, StopRef};
use manifests::time::{Span, Time};
use manifests::tree::FileList;
use manifests::tuf::repository::lift_path;
use manifests::value::Value;

use crate::keys::test_key;
use crate::signed_set::{self, PRODUCT, SignedSet};

/// The host's key, the controller's, and the host's next one.
const HOST_KEY: u8 = 20;
const PERMIT_KEY: u8 = 4;
const NEXT_KEY: u8 = 21;

pub(crate) fn now() -> Time {
    Time::from_rfc3339("2026-10-01T00:00:00Z").unwrap()
}

fn item(id: &str) -> ItemId {
    id.parse().unwrap()
}

fn host() -> HostId {
    "402206-ap1".parse().unwrap()
}

fn pem(key: &SigningKey) -> Vec<u8> {
    format!("TEST KEY: everybody has it. Never trust what it signs.\n{}", key.to_pkcs8_v1_pem().as_str()).into_bytes()
}

/// Every file by its path in `tests/data/vectors` that is of a present version. Those of versions before
/// are read from there alone.
pub(crate) fn all() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let evidence = Evidence { cover: cover(41), state: state() };
    document(&mut files, "evidence", &evidence, HOST_KEY);
    let heartbeat = Heartbeat {
        cover: Cover { wall: now().after(Span::from_s(30)), boot_ms: 86_430_000, ..cover(42) },
        state: evidence.state.digest(),
        since: evidence.cover.sequence,
    };
    document(&mut files, "heartbeat", &heartbeat, HOST_KEY);
    files.insert("state-digest/state.json".to_owned(), serde_json::to_vec_pretty(&evidence.state).unwrap());
    let value = serde_json::to_value(&evidence.state).unwrap();
    files.insert("state-digest/canonical.json".to_owned(), canonical::to_vec(&value).unwrap());
    files.insert("state-digest/digest".to_owned(), format!("{}\n", evidence.state.digest()).into_bytes());

    let permit = permit(&evidence);
    document(&mut files, "permit", &permit, PERMIT_KEY);
    document(&mut files, "permit-hold", &hold(&permit), PERMIT_KEY);
    let first = stop();
    document(&mut files, "stop", &first, PERMIT_KEY);
    let first_digest = Digest::of(&files["stop/payload.json"]);
    document(&mut files, "stop-second", &second_stop(first_digest), PERMIT_KEY);
    let acknowledgement = Acknowledgement {
        product: PRODUCT.parse().unwrap(),
        host: host(),
        stop: StopRef { number: 1, digest: first_digest },
        time: now().after(Span::from_s(61)),
    };
    document(&mut files, "acknowledgement", &acknowledgement, HOST_KEY);
    let token = "0123456789abcdef0123456789abcdef";
    let enrolment = Enrolment {
        product: PRODUCT.parse().unwrap(),
        host: host(),
        key: test_key(NEXT_KEY).public().clone(),
        token: Digest::of(token.as_bytes()),
        time: now(),
    };
    document(&mut files, "enrolment", &enrolment, NEXT_KEY);
    files.insert("enrolment/token".to_owned(), format!("{token}\n").into_bytes());

    let enrolled = Enrolled {
        product: PRODUCT.parse().unwrap(),
        host: host(),
        key: test_key(NEXT_KEY).public().clone(),
        generation: 1_790_812_800_000,
        controller: "main".parse().unwrap(),
    };
    document(&mut files, "enrolled", &enrolled, PERMIT_KEY);

    let key = test_key(HOST_KEY);
    files.insert("key/key.pem".to_owned(), pem(&key));
    files.insert("key/public.json".to_owned(), serde_json::to_vec(key.public()).unwrap());
    files.insert("key/id".to_owned(), format!("{}\n", key.public().id()).into_bytes());

    let list = signed_set::list();
    files.insert("file-list/list".to_owned(), list.to_bytes());
    files.insert("file-list/digest".to_owned(), format!("{}\n", list.digest()).into_bytes());
    let list = followed_list();
    files.insert("file-list-followed/list".to_owned(), list.to_bytes());
    files.insert("file-list-followed/digest".to_owned(), format!("{}\n", list.digest()).into_bytes());
    repository(&mut files, first_digest);
    files
}

fn document<T: Document>(files: &mut BTreeMap<String, Vec<u8>>, name: &str, document: &T, key: u8) {
    let key = test_key(key);
    let sealed = Sealed::seal(document, &key).unwrap();
    let mut put = |file: &str, bytes| drop(files.insert(format!("{name}/{file}"), bytes));
    put("payload.json", serde_json::to_vec(document).unwrap());
    put("envelope.json", serde_json::to_vec_pretty(&sealed).unwrap());
    put("key.pem", pem(&key));
}

fn repository(files: &mut BTreeMap<String, Vec<u8>>, stop: Digest) {
    let mut set = SignedSet::new();
    let lift = manifests::stop::Lift { stop, ..signed_set::lift() };
    set.lifts = [(lift_path(&stop, 1), signed_set::lift_bytes(&lift))].into();
    files.insert("lift/payload.json".to_owned(), signed_set::lift_bytes(&lift));
    files.insert("baseline/baseline.toml".to_owned(), set.baseline.clone().into_bytes());
    files.insert("registry/registry.toml".to_owned(), set.registry().into_bytes());
    let (served, first) = set.publish();
    let second = set.second_root(&first);
    files.insert("tuf-units/metadata/1.root.json".to_owned(), first);
    files.insert("tuf-units/metadata/2.root.json".to_owned(), second);
    files.extend(served.metadata.into_iter().map(|(name, bytes)| (format!("tuf/metadata/{name}"), bytes)));
    files.extend(served.targets.into_iter().map(|(name, bytes)| (format!("tuf/targets/{name}"), bytes)));
    for (number, name) in [(1, "manager-1"), (2, "manager-2"), (3, "manager-3"), (6, "snapshot"), (7, "timestamp")] {
        files.insert(format!("tuf/keys/{name}.pem"), pem(&test_key(number)));
    }
}

/// Links that lead out of the tree and are followed: to a file, to a directory, and from there to another one.
fn followed_list() -> FileList {
    let mut list = signed_set::list();
    list.insert_link(b"lib/print.mod", b"../../shared/print.mod");
    list.insert_file(b"lib/print.mod///", Digest::of(b"print 3.4.1"));
    list.insert_link(b"modules", b"/opt/shared/modules");
    list.insert_file(b"modules///a", Digest::of(b"a 1"));
    list.insert_file(b"modules///deep/b", Digest::of(b"b 1"));
    list.insert_link(b"modules///other", b"../other");
    list.insert_file(b"modules///other///c\nd", Digest::of(b"c 1"));
    list.insert_link(b"modules///within", b"deep/b");
    list
}

fn cover(sequence: u64) -> Cover {
    let print = ConfigPrint {
        layers: vec![Layer { file: "/etc/issuing/print.ini".to_owned(), digest: Some(Digest::of(b"print.ini")) }],
        values: Some(Digest::of(b"keys and values")),
    };
    Cover {
        product: PRODUCT.parse().unwrap(),
        host: host(),
        sequence,
        resumed: false,
        boot_id: "0b7dd7b4-3c2e-4e0a-9f0e-6f1f2a3b4c5d".to_owned(),
        wall: now(),
        boot_ms: 86_400_000,
        pass_started: now().before(Span::from_ms(1500)),
        agent: Agent { version: semver::Version::new(0, 1, 0), digest: Digest::of(b"sekisho-agent") },
        baseline: Digest::of(SignedSet::new().baseline.as_bytes()),
        permit: 1_790_812_800_000_000,
        stops: vec![
            StopRef { number: 1, digest: Digest::of(b"a stop") },
            StopRef { number: 3, digest: Digest::of(b"a stop of another controller") },
        ],
        enrolment: Some(Digest::of(b"a controller's word")),
        checkpoint: None,
        configs: [(item("print"), print)].into(),
        lists: vec![Digest::of(b"a list that no release has")],
    }
}

/// One of every kind of observation.
fn state() -> State {
    let text = |text: &str| Value::Text(text.to_owned());
    let at = |value| ValueSeen::Value { value, file: "/etc/issuing/print.ini".to_owned(), line: 12 };
    let setting = |value, in_force| SettingSeen { value, in_force };
    let older = |file: &str, why| Older { file: file.to_owned(), why };
    let held = Held {
        older: vec![
            older("/usr/lib/printer/filter.ppd", OlderWhy::BeforeFirstLook),
            older("lib/print_queue.so", OlderWhy::Held),
        ],
        elsewhere: vec!["lib/net.so".to_owned()],
        unknown: vec![Gap { what: "pid 1".to_owned(), why: Why::ProcessUnreadable }],
        more: 0,
    };
    let program =
        |tree, processes, loaded| ProgramSeen { tree, processes, loaded, trees: Vec::new(), findings: Vec::new() };
    let none = Held::default;
    let mut state = State::default();
    let fact = FactSeen::Value { value: text("on-demand-2"), file: "/etc/issuing/linkage.xml".to_owned(), line: 4 };
    state.facts.insert(item("linkage.method"), fact);
    state.facts.insert(item("linkage.window"), FactSeen::Unknown(Why::KeyAbsent));
    let linkage = "/etc/issuing/linkage.xml".to_owned();
    let unclear = FactSeen::Ambiguous { file: linkage, lines: vec![9], odd: Odd::Readers };
    state.facts.insert(item("linkage.retries"), unclear);
    let current = TreeSeen::Digest(signed_set::list().digest());
    state.programs.insert(item("issuing-server"), program(current, ProcessesSeen::Running, none()));
    let mut linkage = program(TreeSeen::Digest(Digest::of(b"tree")), ProcessesSeen::Running, held.clone());
    linkage.trees = vec![Digest::of(b"the tree before")];
    state.programs.insert(item("linkage"), linkage);
    state.programs.insert(item("db-tools"), program(TreeSeen::Absent, ProcessesSeen::NotRunning, none()));
    let unreadable = ProcessesSeen::Unknown(Why::ProcessUnreadable);
    let mut odd = program(TreeSeen::Unknown(Why::Unreadable), unreadable, none());
    odd.findings = vec![
        Finding { path: "lib/outside".to_owned(), kind: FindingKind::LeadsOut },
        Finding { path: "tmp/帳票".to_owned(), kind: FindingKind::WorldWritable },
    ];
    state.programs.insert(item("forms"), odd);
    state.readers.insert(item("print"), none());
    state.readers.insert(item("linkage"), held.clone());
    let in_force = Some(InForceSeen::Value(text("exclusive")));
    state.settings.insert(item("lock.print-wait"), setting(at(text("exclusive")), in_force));
    state.settings.insert(item("queue.retries"), setting(at(Value::Integer(3)), Some(InForceSeen::NotRunning)));
    state.settings.insert(item("queue.trace"), setting(at(Value::Boolean(false)), None));
    state.settings.insert(item("queue.legacy"), setting(ValueSeen::Absent, None));
    let file = || "/etc/issuing/print.ini".to_owned();
    let twice = ValueSeen::Ambiguous { file: file(), lines: vec![12, 40], odd: Odd::Duplicate };
    state.settings.insert(item("queue.order"), setting(twice, None));
    let sealed = ValueSeen::Sealed { keyed: Digest::of(b"keyed"), as_expected: true, file: file(), line: 7 };
    state.settings.insert(item("db.password"), setting(sealed, None));
    state.settings.insert(item("queue.mode"), setting(ValueSeen::Unknown(Why::Malformed), None));
    let filter = RequiredFile {
        content: FileSeen::Digest(Digest::of(b"filter")),
        loaded: Held { older: held.older[..1].to_vec(), ..none() },
    };
    state.files.insert("/usr/lib/printer/filter.ppd".to_owned(), filter);
    state.files.insert("/usr/lib/printer/old.ppd".to_owned(), FileSeen::Absent.into());
    state.packages.insert("openssl".to_owned(), PackageSeen::Version("3.0.11-1~deb12u2".to_owned()));
    state.packages.insert("telnetd".to_owned(), PackageSeen::Absent);
    state.configs.insert(item("proxy"), ConfigContent::Digest(Digest::of(b"issuing.conf")));
    state.coverage.push(Gap { what: "/opt/forms/tmp/\u{fffd}".to_owned(), why: Why::Unreadable });
    state
}

fn permit(evidence: &Evidence) -> Permit {
    Permit {
        product: PRODUCT.parse().unwrap(),
        host: host(),
        key: Some(test_key(HOST_KEY).public().id()),
        number: 1_790_812_800_250_000,
        baseline: evidence.cover.baseline,
        state: Some(evidence.state.digest()),
        answers: evidence.cover.sequence,
        verdict: Verdict::Issue,
        reasons: Vec::new(),
        issued: now().after(Span::from_ms(250)),
        until: now().after(Span::from_ms(1_800_250)),
        stops: evidence.cover.stops.clone(),
    }
}

fn hold(permit: &Permit) -> Permit {
    let neighbour = Some("402206-db1".parse().unwrap());
    Permit {
        number: permit.number + 1,
        state: None,
        answers: 0,
        verdict: Verdict::Hold,
        reasons: vec![Reason { code: Code::SiteHold, item: None, host: neighbour }],
        ..permit.clone()
    }
}

fn stop() -> Stop {
    Stop {
        product: PRODUCT.parse().unwrap(),
        number: 1,
        previous: None,
        scope: Scope::Sites { sites: vec!["131211".parse().unwrap(), "402206".parse().unwrap()] },
        reason: "別人の証明書が印刷された".to_owned(),
        operator: "duty".to_owned(),
        time: now().after(Span::from_s(60)),
    }
}

fn second_stop(first: Digest) -> Stop {
    Stop { number: 2, previous: Some(first), scope: Scope::All, time: now().after(Span::from_s(120)), ..stop() }
}
