//! Signed papers of a host at the gate, and the gate of that host.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::LazyLock;

use manifests::baseline::GateRules;
use manifests::digest::Digest;
use manifests::envelope::{Document, Sealed, Verified};
use manifests::evidence::StateDigests;
use manifests::gate::{Clocks, Gate, Local, Set};
use manifests::id::{HostId, ProductId, SiteCode};
use manifests::key::SigningKey;
use manifests::outcome::Verdict;
use manifests::permit::Permit;
use manifests::reason::{Code, Reason};
use manifests::stop::{LIFT_TYPE, Lift, Scope, Stop, StopRef};
use manifests::time::{Span, Time};

/// The host, another one of its site, and their site.
pub(crate) const HOST: &str = "402206-ap1";
pub(crate) const NEIGHBOUR: &str = "402206-db1";
pub(crate) const SITE: &str = "402206";
pub(crate) const OTHER_SITE: &str = "131211";

pub(crate) const TTL: Span = Span::from_s(1800);
pub(crate) const MAX_AGE: Span = Span::from_s(600);
pub(crate) const GRACE: Span = Span::from_s(14 * 86_400);

/// Signs for the controller. One for all tests: what a signature is worth is tested elsewhere.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

pub(crate) fn verified<T: Document>(document: &T) -> Verified<T> {
    Sealed::seal(document, &KEY).unwrap().verify([KEY.public()]).unwrap()
}

pub(crate) fn product() -> ProductId {
    "convenience-issuance".parse().unwrap()
}

pub(crate) fn host(id: &str) -> HostId {
    id.parse().unwrap()
}

pub(crate) fn site(code: &str) -> SiteCode {
    code.parse().unwrap()
}

pub(crate) fn start() -> Clocks {
    Clocks { wall: Time::from_rfc3339("2026-10-10T00:00:00Z").unwrap(), boot_ms: 3_600_000 }
}

/// Both clocks go on.
pub(crate) fn later(clocks: Clocks, ms: u64) -> Clocks {
    Clocks { wall: clocks.wall.after(Span::from_ms(ms)), boot_ms: clocks.boot_ms + ms }
}

pub(crate) fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

pub(crate) fn set(baseline: &str) -> Set {
    Set {
        baseline: digest(baseline),
        version: baseline.to_owned(),
        rules: GateRules {
            heartbeat: Span::from_s(30),
            permit_ttl: TTL,
            evidence_max_age: MAX_AGE,
            verify_hold: Span::from_ms(250),
            expiry_grace: GRACE,
        },
        expires: start().wall.after(Span::from_s(90 * 86_400)),
    }
}

pub(crate) fn new_gate(clocks: Clocks) -> Gate {
    Gate::new(product(), host(HOST), clocks, Time::MIN)
}

/// What a pass that began now saw: `state`, and that it issues.
pub(crate) fn local(state: &str, gate: &Gate, started: Clocks) -> Local {
    Local {
        state: StateDigests {
            v1: digest(&format!("{state} of version 1")),
            v2: digest(&format!("{state} of version 2")),
            v3: digest(state),
        },
        verdict: Verdict::Issue,
        reasons: vec![],
        changes_at: None,
        started,
        changes: gate.changes(),
    }
}

pub(crate) fn held(local: Local) -> Local {
    Local { verdict: Verdict::Hold, reasons: vec![Reason::of(Code::FixMissing)], ..local }
}

/// An *issue* for the host, that answers sequence 1 and is signed now.
pub(crate) fn permit(number: u64, baseline: &str, state: &str, now: Clocks) -> Permit {
    Permit {
        product: product(),
        host: host(HOST),
        number,
        baseline: digest(baseline),
        state: Some(digest(state)),
        answers: 1,
        verdict: Verdict::Issue,
        reasons: vec![],
        issued: now.wall,
        until: now.wall.after(TTL),
        key: None,
        stops: Vec::new(),
    }
}

/// A *hold* that answers nothing, as pushed when another host of the site holds.
pub(crate) fn hold(number: u64, now: Clocks) -> Permit {
    let reasons = vec![Reason { code: Code::SiteHold, item: None, host: Some(host(NEIGHBOUR)) }];
    Permit { verdict: Verdict::Hold, state: None, answers: 0, reasons, ..permit(number, "A", "s", now) }
}

pub(crate) fn stop(number: u64, previous: Option<Digest>, scope: Scope) -> Verified<Stop> {
    verified(&Stop {
        product: product(),
        number,
        previous,
        scope,
        reason: "wrong prints".to_owned(),
        operator: "duty".to_owned(),
        time: start().wall,
    })
}

pub(crate) fn reference(stop: &Verified<Stop>) -> StopRef {
    StopRef { number: stop.number, digest: stop.digest() }
}

pub(crate) fn lift(stop: &Digest, sites: &[&str]) -> Lift {
    Lift {
        kind: LIFT_TYPE.to_owned(),
        product: product(),
        stop: *stop,
        sites: sites.iter().map(|code| site(code)).collect(),
        reason: "repaired".to_owned(),
        time: start().wall,
    }
}
