//! Every example of `docs/protocol.md`, made by today's types: one host of Munakata on one evening.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER};
use manifests::api::{
    Allowed, BaselineRef, Counts, DocumentVersions, ErrorBody, EventKind, Expiring, FleetEvent, FleetView, GateAnswer,
    GateReason, Handed, HandedStop, Handover, HostRow, HostView, ItemRow, LookedAt, Next, PermitRow, Preview,
    PreviewCounts, PreviewHost, PreviewRegistry, PreviewRequest, PreviewSite, Publish, Published, Receipt, SetBack,
    SetBackCause, SetBackProof, SetBackView, SiteRow, SiteView, Standing, StopCounts, StopRequest, StopView,
    UnlistedStop, Versions,
};
use manifests::baseline::Localized;
use manifests::canonical;
use manifests::digest::Digest;
use manifests::enrolment::{Enrolled, Enrolment};
use manifests::envelope::{Document, Sealed, pre_authentication_encoding};
use manifests::evidence::{
    Agent, ConfigPrint, Cover, EVIDENCE_VERSION, Evidence, FactSeen, Heartbeat, Held, Layer, ProcessesSeen,
    ProgramSeen, SettingSeen, State, TreeSeen, ValueSeen,
};
use manifests::id::{HostId, ProductId, SiteCode};
use manifests::outcome::{Appraisal, Detail, ItemKind, Judged, Outcome, Verdict};
use manifests::permit::Permit;
use manifests::reason::{Code, Reason};
use manifests::stop::{Acknowledgement, LIFT_TYPE, Lift, Scope, Stop, StopRef};
use manifests::time::Time;
use manifests::tree::FileList;
use manifests::tuf::repository::{self, LIFTS, REGISTRY, baseline_path, file_path, lift_path};
use manifests::tuf::{MetaFile, ROOT, Root, SNAPSHOT, Signed, TARGETS, TIMESTAMP, Targets};
use manifests::value::Value;
use manifests::warning::{Warning, WarningCode};
use serde::Serialize;
use serde_json::json;

use super::keys::key;
use super::page;

/// Each example by the name that its block bears.
pub(crate) fn all() -> BTreeMap<&'static str, String> {
    let mut examples = BTreeMap::new();
    conventions(&mut examples);
    documents(&mut examples);
    metadata(&mut examples);
    host_answers(&mut examples);
    operator_answers(&mut examples);
    gate_answers(&mut examples);
    // Tested where the agent's own walker is.
    examples.insert("tree-digest", page("docs/tree-digest.sh").trim_end().to_owned());
    examples
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

pub(crate) fn time(text: &str) -> Time {
    Time::from_rfc3339(text).unwrap()
}

fn product() -> ProductId {
    "convenience-issuance".parse().unwrap()
}

fn host() -> HostId {
    "402206-ap1".parse().unwrap()
}

fn site() -> SiteCode {
    "402206".parse().unwrap()
}

fn baseline() -> Digest {
    Digest::of(b"the bytes of baseline.toml")
}

fn list() -> FileList {
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"issuingd 3.4.2"));
    list.insert_file(b"etc/a\\b\nc", Digest::of(b""));
    list.insert_link(b"lib/print_queue.so", b"print_queue.so.3");
    list.insert_file(b"lib/print_queue.so.3", Digest::of(b"print queue 3.4.2"));
    list
}

/// `lib/print.mod` leads to a file, `modules` to a directory.
fn followed_list() -> FileList {
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"issuingd 3.4.2"));
    list.insert_link(b"lib/print.mod", b"../../shared/print.mod");
    list.insert_file(b"lib/print.mod///", Digest::of(b"print 3.4.2"));
    list.insert_link(b"modules", b"/opt/shared/modules");
    list.insert_file(b"modules///linkage.so.2", Digest::of(b"linkage 2"));
    list.insert_link(b"modules///linkage.so", b"linkage.so.2");
    list
}

fn state() -> State {
    let value = |text: &str| Value::Text(text.to_owned());
    let method =
        FactSeen::Value { value: value("on-demand-2"), file: "/etc/issuing/linkage.d/10-site.xml".to_owned(), line: 4 };
    let program = ProgramSeen {
        tree: TreeSeen::Digest(list().digest()),
        processes: ProcessesSeen::Running,
        loaded: Held::default(),
        trees: vec![],
        findings: vec![],
    };
    let lock = ValueSeen::Value { value: value("exclusive"), file: "/etc/issuing/print.ini".to_owned(), line: 12 };
    State {
        facts: BTreeMap::from([("linkage.method".parse().unwrap(), method)]),
        programs: BTreeMap::from([("issuing-server".parse().unwrap(), program)]),
        settings: BTreeMap::from([("lock.print-wait".parse().unwrap(), SettingSeen { value: lock, in_force: None })]),
        readers: BTreeMap::from([("print".parse().unwrap(), Held::default())]),
        ..State::default()
    }
}

fn cover() -> Cover {
    let print = ConfigPrint {
        layers: vec![Layer {
            file: "/etc/issuing/print.ini".to_owned(),
            digest: Some(Digest::of(b"the bytes of print.ini")),
        }],
        values: Some(values_digest()),
    };
    Cover {
        product: product(),
        host: host(),
        sequence: 4711,
        resumed: false,
        boot_id: "3f0c1c0e-7b7e-4b8e-9d55-0f2f3c6a9f10".to_owned(),
        wall: time("2026-10-01T09:00:03.250Z"),
        boot_ms: 86_400_250,
        pass_started: time("2026-10-01T09:00:02.900Z"),
        agent: Agent { version: "0.1.0".parse().unwrap(), digest: Digest::of(b"the bytes of sekisho-agent") },
        baseline: baseline(),
        permit: 1_790_845_170_000_000,
        stops: vec![stop_ref()],
        enrolment: Some(enrolled().digest()),
        checkpoint: None,
        configs: BTreeMap::from([("print".parse().unwrap(), print)]),
        lists: vec![],
    }
}

/// The fingerprint of a configuration's keys and values.
fn values_digest() -> Digest {
    let pairs = json!([["queue.lock", "exclusive"], ["queue.size", "64"]]);
    Digest::of(&canonical::to_vec(&pairs).unwrap())
}

fn stop() -> Stop {
    Stop {
        product: product(),
        number: 1,
        previous: None,
        scope: Scope::Sites { sites: vec![site(), "372013".parse().unwrap()] },
        reason: "A certificate of another resident was reported.".to_owned(),
        operator: "duty".to_owned(),
        time: time("2026-09-30T21:00:00.000Z"),
    }
}

fn stop_ref() -> StopRef {
    StopRef { number: 1, digest: Sealed::seal(&stop(), &key("permit")).unwrap().digest() }
}

fn permit() -> Permit {
    Permit {
        product: product(),
        host: host(),
        key: Some(key("host").public().id()),
        number: 1_790_845_203_400_000,
        baseline: baseline(),
        state: Some(state().digest()),
        answers: 4711,
        verdict: Verdict::Issue,
        reasons: vec![],
        issued: time("2026-10-01T09:00:03.400Z"),
        until: time("2026-10-01T09:30:03.400Z"),
        stops: vec![stop_ref()],
    }
}

fn hold() -> Permit {
    let neighbour = Reason { host: Some("402206-db1".parse().unwrap()), ..Reason::of(Code::SiteHold) };
    Permit {
        number: 1_790_845_261_000_000,
        verdict: Verdict::Hold,
        reasons: vec![neighbour],
        issued: time("2026-10-01T09:01:01.000Z"),
        until: time("2026-10-01T09:31:01.000Z"),
        ..permit()
    }
}

fn acknowledgement() -> Acknowledgement {
    Acknowledgement { product: product(), host: host(), stop: stop_ref(), time: time("2026-09-30T21:00:00.400Z") }
}

fn lift() -> Lift {
    Lift {
        kind: LIFT_TYPE.to_owned(),
        product: product(),
        stop: stop_ref().digest,
        sites: vec![site()],
        reason: "FIX-2019-0007 is installed and was exercised at both entries.".to_owned(),
        time: time("2026-10-01T08:00:00.000Z"),
    }
}

fn conventions(examples: &mut BTreeMap<&'static str, String>) {
    let value = json!({ "b": [1, -2, true, null], "a": "é \" \\ /\n" });
    let canonical = canonical::to_vec(&value).unwrap();
    examples
        .insert("canonical-input", "{ \"b\" : [1, -2, true, null], \"a\" : \"\\u00e9 \\\" \\\\ \\/\\n\" }".to_owned());
    examples.insert("canonical-hex", wrapped(&HEXLOWER.encode(&canonical)));
    let public = key("host").public().clone();
    examples.insert("key", pretty(&public));
    examples.insert("key-canonical", utf8(canonical::to_vec(&serde_json::to_value(&public).unwrap()).unwrap()));
    examples.insert("key-id", public.id().to_string());
    let names = ["host", "permit", "log", "snapshot", "timestamp", "manager 1", "manager 2", "manager 3"];
    let ids: Vec<_> = names.iter().map(|name| format!("{name:<10} {}", key(name).public().id())).collect();
    examples.insert("key-ids", ids.join("\n"));

    let payload = serde_json::to_vec(&acknowledgement()).unwrap();
    let encoding = pre_authentication_encoding(Acknowledgement::PAYLOAD_TYPE, &payload);
    examples.insert("dsse-payload", utf8(payload));
    examples.insert("dsse-pae-digest", Digest::of(&encoding).hex());
    examples.insert("dsse-signature", wrapped(&HEXLOWER.encode(&key("host").sign(&encoding))));
    examples.insert("dsse-pae", utf8(encoding));
    examples.insert("envelope", pretty(&Sealed::seal(&acknowledgement(), &key("host")).unwrap()));

    examples.insert("state-canonical", utf8(canonical::to_vec(&serde_json::to_value(state()).unwrap()).unwrap()));
    examples.insert("state-digest", state().digest().to_string());
    examples.insert("config-values", values_digest().to_string());
    examples.insert("file-list", utf8(list().to_bytes()).trim_end().to_owned());
    examples.insert("file-list-digest", list().digest().to_string());
    examples.insert("file-list-followed", utf8(followed_list().to_bytes()).trim_end().to_owned());
    examples.insert("file-list-followed-digest", followed_list().digest().to_string());
}

fn documents(examples: &mut BTreeMap<&'static str, String>) {
    examples.insert("evidence", pretty(&Evidence { cover: cover(), state: state() }));
    let cover = Cover { sequence: 4712, permit: permit().number, ..cover() };
    examples.insert("heartbeat", pretty(&Heartbeat { cover, state: state().digest(), since: 4711 }));
    examples.insert("permit", pretty(&permit()));
    examples.insert("permit-hold", pretty(&hold()));
    examples.insert("stop", pretty(&stop()));
    examples.insert("acknowledgement", pretty(&acknowledgement()));
    examples.insert("lift", utf8(canonical::to_vec(&serde_json::to_value(lift()).unwrap()).unwrap()));
    let enrolment = Enrolment {
        product: product(),
        host: host(),
        key: key("host").public().clone(),
        token: Digest::of(TOKEN.as_bytes()),
        time: time("2026-09-30T20:00:00.000Z"),
    };
    examples.insert("enrolled", pretty(&enrolled()));
    examples.insert("enrolment", pretty(&enrolment));
    examples.insert("enrolment-envelope", pretty(&Sealed::seal(&enrolment, &key("host")).unwrap()));
}

fn enrolled() -> Enrolled {
    Enrolled {
        product: product(),
        host: host(),
        key: key("host").public().clone(),
        generation: 1_790_798_400_100,
        controller: "main".parse().unwrap(),
    }
}

/// A one-time token of an example.
const TOKEN: &str = "kq3Jw0uJmQW1mE2W0l5m0S4p1n8o0b3Yb1uJ2tYw7hA";

fn signed(metadata: &impl Signed, signers: &[&str]) -> Vec<u8> {
    let unsigned = repository::unsigned(metadata).unwrap();
    signers.iter().fold(unsigned, |bytes, name| repository::sign(&bytes, &key(name)).unwrap())
}

fn metadata(examples: &mut BTreeMap<&'static str, String>) {
    let public = |names: &[&str]| names.iter().map(|name| key(name).public().clone()).collect::<Vec<_>>();
    let managers = public(&["manager 1", "manager 2", "manager 3"]);
    let mut root = Root::new(time("2027-09-30T00:00:00Z"));
    root.set_role(ROOT, &managers, 2);
    root.set_role(TARGETS, &managers, 2);
    root.set_role(SNAPSHOT, &public(&["snapshot"]), 1);
    root.set_role(TIMESTAMP, &public(&["timestamp"]), 1);
    for (key, unit) in managers.iter().zip(["release management", "quality assurance", "operations"]) {
        root.set_unit(key, unit);
    }
    let mut targets = Targets::new(5, time("2026-12-30T00:00:00Z"));
    targets.add(&baseline_path("convenience-issuance"), b"the bytes of baseline.toml");
    targets.add(REGISTRY, b"the bytes of registry.toml");
    targets.add(&file_path(&list().digest()), &list().to_bytes());
    targets.delegate_lifts(&managers, 2);
    let mut lifts = Targets::new(2, time("2026-12-30T00:00:00Z"));
    lifts.add(&lift_path(&stop_ref().digest, 1), examples["lift"].as_bytes());
    let signers = ["manager 1", "manager 3"];
    let (targets, lifts) = (signed(&targets, &signers), signed(&lifts, &signers));
    let now = time("2026-10-01T09:00:00Z");
    let metas = BTreeMap::from([
        ("targets.json".to_owned(), MetaFile::of(5, &targets)),
        (format!("{LIFTS}.json"), MetaFile::of(2, &lifts)),
    ]);
    let snapshot = repository::snapshot(now, None, metas);
    let snapshot_bytes = signed(&snapshot, &["snapshot"]);
    let timestamp = repository::timestamp(now, None, snapshot.version, &snapshot_bytes);
    examples.insert("metadata-root", utf8(signed(&root, &signers)).trim_end().to_owned());
    examples.insert("metadata-targets", utf8(targets).trim_end().to_owned());
    examples.insert("metadata-lifts", utf8(lifts).trim_end().to_owned());
    examples.insert("metadata-snapshot", utf8(snapshot_bytes).trim_end().to_owned());
    examples.insert("metadata-timestamp", utf8(signed(&timestamp, &["timestamp"])).trim_end().to_owned());
}

fn host_answers(examples: &mut BTreeMap<&'static str, String>) {
    let sealed = |permit: &Permit| permit.seal(EVIDENCE_VERSION, &key("permit")).unwrap();
    let receipt = Receipt {
        sequence: 4711,
        next: Next::Nothing,
        permit: Some(sealed(&permit())),
        unsigned: None,
        stops: vec![],
        wanted: vec![],
        unknown_stops: vec![],
        unknown_permit: None,
        enrolment: None,
        session: "402206-ap1.1790848803400.W1yJ0mS8m0b3Yb1uJ2tYw7hAkq3Jw0uJmQW1mE2W0l5".to_owned(),
        timestamp: 1_790_845_200,
        evidence: Some(EVIDENCE_VERSION),
    };
    examples.insert("receipt", pretty(&receipt));
    let handed =
        HandedStop { key: key("permit").public().clone(), stop: Sealed::seal(&stop(), &key("permit")).unwrap() };
    let handed = Handed { stops: vec![handed], permit_number: Some(permit().number), permits: vec![sealed(&permit())] };
    examples.insert("handed", pretty(&handed));
    let handover = Handover {
        enrolments: vec![Sealed::seal(&enrolled(), &key("permit")).unwrap()],
        stops: vec![Sealed::seal(&stop(), &key("permit")).unwrap()],
    };
    examples.insert("handover", pretty(&handover));
    examples.insert("versions", pretty(&DocumentVersions { evidence: EVIDENCE_VERSION }));
    let error = ErrorBody {
        code: "sequence".to_owned(),
        message: "sequence 4700 is not above the stored 4711".to_owned(),
        sequence: Some(4711),
    };
    examples.insert("error", pretty(&error));
    let events = [
        format!("event: stop\ndata: {}", line(&Sealed::seal(&stop(), &key("permit")).unwrap())),
        format!("event: permit\ndata: {}", line(&sealed(&hold()))),
        "event: refresh\ndata: 1790845200".to_owned(),
    ];
    examples.insert("host-events", events.join("\n\n"));
}

fn stop_view() -> StopView {
    StopView {
        stop: stop_ref(),
        scope: stop().scope,
        reason: stop().reason,
        operator: stop().operator,
        time: stop().time,
        acknowledged: vec![host()],
        outstanding: vec![("372013-ap1".parse().unwrap(), Some(time("2026-09-30T21:24:10.000Z")))],
        lifted: vec![site()],
        counts: Some(StopCounts { acknowledged: 1, outstanding: 1, lifted: 1, stopped: 1 }),
    }
}

fn operator_answers(examples: &mut BTreeMap<&'static str, String>) {
    let missing = Reason::item(Code::FixMissing, &"FIX-2019-0007".parse().unwrap());
    let not_running = Warning { code: WarningCode::NotRunning, item: "issuing-server".parse().unwrap() };
    let site_row = SiteRow {
        code: site(),
        name: Localized { en: "Munakata".to_owned(), ja: Some("宗像市".to_owned()) },
        standing: Standing::Held,
        verdict: Verdict::Hold,
        reasons: vec![missing.clone()],
        warnings: vec![not_running.clone()],
        hosts: 1,
        since: time("2026-10-01T08:59:30.000Z"),
        verified_at: Some(time("2026-10-01T09:00:02.900Z")),
        verified_until: Some(time("2026-10-01T09:10:02.900Z")),
    };
    let in_force = BaselineRef { version: "2023.7.2".to_owned(), digest: baseline() };
    let fleet = FleetView {
        product: product(),
        time: time("2026-10-01T09:00:10.000Z"),
        baseline: Some(in_force.clone()),
        set_back: None,
        counts: Counts { sites: 123, verified: 118, held: 1, silent: 3, lapsed: 1, stopped: 0, under_baseline: 122 },
        expiring: vec![Expiring {
            what: "certificate".to_owned(),
            name: None,
            until: time("2026-10-08T09:00:00.000Z"),
        }],
        sites: vec![site_row.clone()],
    };
    examples.insert("fleet", pretty(&fleet));
    let row = HostRow {
        host: host(),
        roles: vec!["ap".parse().unwrap()],
        verdict: Verdict::Hold,
        reasons: vec![missing.clone()],
        warnings: vec![not_running.clone()],
        allowed: Allowed { verdict: Verdict::Hold, reasons: vec![missing.clone()] },
        heard: Some(time("2026-10-01T09:00:03.300Z")),
        evidence: Some(time("2026-10-01T09:00:02.900Z")),
        agent: Some("0.1.0".to_owned()),
        baseline: Some(baseline()),
        state: Some(state().digest()),
        permit: Some(PermitRow {
            number: permit().number,
            verdict: Verdict::Hold,
            until: permit().until,
            received: true,
            overdue: false,
        }),
        acknowledged: 1,
    };
    examples.insert("hosts", pretty(&vec![row.clone()]));
    let judged = Judged {
        item: "FIX-2019-0007".parse().unwrap(),
        kind: ItemKind::Fix,
        outcome: Outcome::Missing,
        verdict: Verdict::Hold,
        code: Some(Code::FixMissing),
        waived_until: None,
        details: vec![Detail {
            subject: "issuing-server".to_owned(),
            expected: ">=3.4.2".to_owned(),
            found: "3.4.1".to_owned(),
            file: None,
            line: None,
        }],
    };
    let appraisal = Appraisal {
        verdict: Verdict::Hold,
        reasons: vec![missing],
        warnings: vec![not_running],
        items: [judged].into(),
        changes_at: Some(time("2026-10-01T09:10:02.901Z")),
    };
    let host_view = HostView { host: row, appraisal };
    examples.insert("host", pretty(&host_view));
    examples.insert("site", pretty(&SiteView { site: site_row, hosts: vec![host_view], stops: vec![stop_view()] }));
    let item = ItemRow {
        item: "FIX-2019-0007".parse().unwrap(),
        kind: ItemKind::Fix,
        title: Some(Localized {
            en: "Print wait released while linkage runs".to_owned(),
            ja: Some("随時連携中に印刷待ちが解除される".to_owned()),
        }),
        remediation: Some(Localized { en: "Install 3.4.2, split variant; restart issuingd.".to_owned(), ja: None }),
        outcomes: vec![(Outcome::NotApplicable, 40), (Outcome::Applied, 100), (Outcome::Missing, 1)],
        holds: vec![site()],
    };
    examples.insert("items", pretty(&vec![item]));
    let request = StopRequest { scope: stop().scope, reason: stop().reason };
    examples.insert("stop-request", pretty(&request));
    examples.insert("stop-view", pretty(&stop_view()));
    let unlisted = UnlistedStop {
        stop: stop_ref(),
        key: key("permit").public().id(),
        scope: stop().scope,
        reason: stop().reason,
        operator: stop().operator,
        time: stop().time,
        hosts: vec![host()],
    };
    let set_back = SetBack {
        noticed: time("2026-10-01T09:00:03.500Z"),
        host: Some(host()),
        controller: None,
        proof: SetBackProof::Permit,
        number: permit().number,
        cause: SetBackCause::SetBack,
    };
    examples.insert("set-back", pretty(&SetBackView { set_back: Some(set_back) }));
    examples.insert("looked-at", pretty(&LookedAt { note: "Restored from last night's copy.".to_owned() }));
    examples.insert("unlisted-stops", pretty(&vec![unlisted]));
    let publish = Publish {
        metadata: BTreeMap::from([("5.targets.json".to_owned(), BASE64.encode(b"the bytes of 5.targets.json"))]),
        targets: BTreeMap::from([(
            baseline_path("convenience-issuance"),
            BASE64.encode(b"the bytes of baseline.toml"),
        )]),
    };
    examples.insert("publish", pretty(&publish));
    examples.insert("preview-request", pretty(&PreviewRequest { targets: publish.targets.clone() }));
    let preview_site = |reasons, not_collected| PreviewSite {
        code: site(),
        name: Localized { en: "Munakata".to_owned(), ja: Some("宗像市".to_owned()) },
        hosts: vec![PreviewHost { host: host(), reasons, not_collected }],
    };
    let altered = Reason::item(Code::Altered, &"issuing-server".parse().unwrap());
    let preview = Preview {
        time: time("2026-10-01T09:00:10.000Z"),
        in_force: Some(in_force.clone()),
        baseline: BaselineRef { version: "2023.7.3".to_owned(), digest: Digest::of(b"the bytes of the draft") },
        registry: PreviewRegistry {
            digest: Digest::of(b"the bytes of registry.toml"),
            joining: vec!["131016".parse().unwrap()],
            leaving: vec![],
        },
        counts: PreviewCounts { sites: 123, newly_held: 1, not_collected: 0, opened: 0, unchanged: 121 },
        newly_held: vec![preview_site(vec![altered], vec!["lock.card-queue".parse().unwrap()])],
        not_collected: vec![],
        opened: vec![],
    };
    examples.insert("preview", pretty(&preview));
    let versions = Versions { root: 1, targets: 5, lifts: 2, snapshot: 1_790_845_200, timestamp: 1_790_845_200 };
    examples.insert("published", pretty(&Published { baseline: Some(in_force), versions }));
    let event = FleetEvent {
        id: 815,
        time: time("2026-10-01T09:01:00.990Z"),
        kind: EventKind::Verdict,
        site: Some(site()),
        host: Some("402206-db1".parse().unwrap()),
        verdict: Some(Verdict::Hold),
        reasons: vec![Reason::item(Code::LockDrifted, &"lock.print-wait".parse().unwrap())],
        note: "hold: lock-drifted lock.print-wait".to_owned(),
    };
    examples.insert("fleet-events", format!("event: change\nid: 815\ndata: {}", line(&event)));
}

fn gate_answers(examples: &mut BTreeMap<&'static str, String>) {
    let reason = Reason::item(Code::FixMissing, &"FIX-2019-0007".parse().unwrap());
    let hold = GateAnswer {
        verdict: Verdict::Hold,
        reasons: vec![GateReason::from(&reason)],
        baseline: Some("2023.7.2".to_owned()),
        until: None,
        decision: "1a0f67a3800-17".to_owned(),
        entry: Some("store".to_owned()),
        transaction: Some("7f3a".to_owned()),
    };
    let issue = GateAnswer {
        verdict: Verdict::Issue,
        reasons: Vec::new(),
        baseline: Some("2023.7.2".to_owned()),
        until: Some(time("2026-10-01T09:10:02.900Z")),
        decision: "1a0f67a3800-18".to_owned(),
        entry: None,
        transaction: None,
    };
    examples.insert("gate-hold", pretty(&hold));
    examples.insert("gate-issue", pretty(&issue));
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Hexadecimal digits, 64 a line.
fn wrapped(digits: &str) -> String {
    let lines: Vec<_> = digits.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    lines.join("\n")
}
