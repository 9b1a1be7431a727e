//! A small fleet to test with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Change, Fleet, Policy, Previous, Refusal, ReportAnswer};
use crate::baseline::{
    About, Baseline, Concerns, Config, Enforce, Format, GateRules, Localized, Reader, Reload, Setting, SettingKind,
};
use crate::digest::Digest;
use crate::evidence::{Agent, Cover, Evidence, Heartbeat, Held, SettingSeen, State, ValueSeen};
use crate::id::{HostId, ProductId};
use crate::reference::Reference;
use crate::registry::{Host, ProcessView, Registry, Site};
use crate::time::{Span, Time};
use crate::value::{Expect, Value};

/// Seconds after the fixture's beginning.
pub(super) fn at(seconds: i64) -> Time {
    Time::from_unix_ms(1_700_000_000_000 + seconds * 1000)
}

pub(super) fn product() -> ProductId {
    "convenience-issuance".parse().unwrap()
}

pub(super) fn host(text: &str) -> HostId {
    text.parse().unwrap()
}

pub(super) fn cover(id: &str, sequence: u64, now: Time) -> Cover {
    Cover {
        product: product(),
        host: host(id),
        sequence,
        resumed: false,
        boot_id: "6f3c1d1e-7f43-4b0e-9d0d-0f6a3a2c9c11".to_owned(),
        wall: now,
        boot_ms: 1000 + sequence,
        pass_started: now,
        agent: Agent { version: semver::Version::new(0, 1, 0), digest: Digest::of(b"agent") },
        baseline: reference("1.0.0").digest(),
        permit: 0,
        stops: Vec::new(),
        enrolment: None,
        checkpoint: None,
        configs: BTreeMap::new(),
        lists: Vec::new(),
    }
}

/// A baseline with one lock.
pub(super) fn reference(version: &str) -> Arc<Reference> {
    let about = About {
        title: None,
        pattern: None,
        enforce: Enforce::Hold,
        waivable: false,
        owner: None,
        remediation: None,
        origin: None,
        references: Vec::new(),
    };
    let lock = Setting {
        id: "lock".parse().unwrap(),
        kind: SettingKind::ExclusiveLock,
        config: "print".parse().unwrap(),
        key: "queue.lock".to_owned(),
        expect: Expect::Equals(Value::Text("exclusive".to_owned())),
        in_force: None,
        sensitive: false,
        concerns: Concerns::default(),
        about: about.clone(),
    };
    let print = Config {
        id: "print".parse().unwrap(),
        files: vec!["/etc/print.ini".to_owned()],
        format: Format::Ini,
        reader: Reader::Strict,
        encoding: None,
        concerns: Concerns::default(),
        reload: Reload::Live,
        program: None,
        sensitive: false,
        first_wins: false,
        pinned: Vec::new(),
        about: about.clone(),
    };
    let gate = GateRules {
        heartbeat: Span::from_s(30),
        permit_ttl: Span::from_s(1800),
        evidence_max_age: Span::from_s(600),
        verify_hold: Span::from_ms(250),
        expiry_grace: Span::from_s(14 * 86_400),
    };
    let baseline = Baseline {
        product: product(),
        version: version.parse().unwrap(),
        min_agent: semver::Version::new(0, 1, 0),
        gate,
        configs: vec![print],
        facts: Vec::new(),
        programs: Vec::new(),
        settings: vec![lock],
        fixes: Vec::new(),
        waivers: Vec::new(),
    };
    Arc::new(Reference::new(baseline, Digest::of(version.as_bytes()), &BTreeMap::new()).unwrap())
}

pub(super) fn state(lock: &str) -> State {
    let value = ValueSeen::Value { value: Value::Text(lock.to_owned()), file: "/etc/print.ini".to_owned(), line: 3 };
    State {
        settings: BTreeMap::from([("lock".parse().unwrap(), SettingSeen { value, in_force: None })]),
        readers: BTreeMap::from([("print".parse().unwrap(), Held::default())]),
        ..State::default()
    }
}

pub(super) fn registry(hosts: &[&str]) -> Registry {
    let name = Localized { en: "City".to_owned(), ja: None };
    let mut sites: Vec<Site> =
        hosts.iter().map(|id| Site { code: host(id).site().clone(), name: name.clone() }).collect();
    sites.sort_by(|a, b| a.code.cmp(&b.code));
    sites.dedup_by(|a, b| a.code == b.code);
    let mut hosts: Vec<&str> = hosts.to_vec();
    hosts.sort_unstable();
    let entry = |id: &&str| Host {
        id: host(id),
        roles: vec!["ap".parse().unwrap()],
        joined: at(-86_400),
        left: None,
        processes: ProcessView::Host,
    };
    Registry {
        product: product(),
        signers: vec![],
        controllers: vec![],
        sites,
        hosts: hosts.iter().map(entry).collect(),
    }
}

pub(super) fn policy(hosts: &[&str]) -> Policy {
    Policy {
        current: reference("1.0.0"),
        previous: Vec::new(),
        registry: registry(hosts),
        expires: at(90 * 86_400),
        lifts: Vec::new(),
    }
}

/// The policy after version 2.0.0 was published over 1.0.0 at `now`.
pub(super) fn next_policy(hosts: &[&str], now: Time) -> Policy {
    let previous = Previous { reference: reference("1.0.0"), until: now.after(Span::from_s(600)) };
    Policy { current: reference("2.0.0"), previous: vec![previous], ..policy(hosts) }
}

/// A fleet with its hosts enrolled, at second 0.
pub(super) fn fleet(hosts: &[&str]) -> Fleet {
    let mut fleet = Fleet::new(product(), 0);
    let mut change = Change::default();
    fleet.set_online_until(at(86_400));
    fleet.put_in_force(policy(hosts), at(0), &mut change);
    for id in hosts {
        fleet.enrol(&host(id), (*id).into(), false, at(0), &mut change).unwrap();
    }
    fleet
}

/// Sends evidence with this lock.
pub(super) fn send(
    fleet: &mut Fleet,
    lock: &str,
    change_cover: impl FnOnce(&mut Cover),
    id: &str,
    now: Time,
    change: &mut Change,
) -> Result<ReportAnswer, Refusal> {
    let record = &fleet.host(&host(id)).unwrap().record;
    let mut cover = cover(id, record.sequence + 1, now);
    cover.permit = record.permit_named;
    change_cover(&mut cover);
    let digest = Digest::of(format!("{cover:?}").as_bytes());
    let state = state(lock);
    fleet.report(&host(id), Evidence { cover, state }.into(), digest, now, change)
}

/// Sends a heartbeat for the state with this lock.
pub(super) fn beat(
    fleet: &mut Fleet,
    lock: &str,
    id: &str,
    now: Time,
    change: &mut Change,
) -> Result<ReportAnswer, Refusal> {
    let cover = cover(id, fleet.host(&host(id)).unwrap().record.sequence + 1, now);
    let digest = Digest::of(format!("{cover:?}").as_bytes());
    let since = cover.sequence;
    let heartbeat = Heartbeat { cover, state: state(lock).digest(), since };
    fleet.report(&host(id), heartbeat.into(), digest, now, change)
}
