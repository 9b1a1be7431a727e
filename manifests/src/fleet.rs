//! The controller's logic: which documents count, how hosts and sites stand, which permits and stops
//! are made. Pure: no I/O, `now` is handed in; what must be written and told comes back in a
//! [`Change`].
//!
//! Invariants:
//! - A site is as its worst listed host, and every listed host of the registry counts, heard or not.
//! - A permit says *issue* only if the host's own evidence, its neighbours' and every stop do.
//! - Whenever what a host may do turns, a permit for it is in the [`Change`] that turned it: a hold
//!   at once, an issue in answer to the last document that counted.
//! - Nothing done for one document walks the fleet.

mod intake;
mod judge;
mod stops;
mod views;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub use intake::{Accept, CLOCK_SKEW_MAX, HostRecord, Kind, RESUME_INTERVAL, Refusal, accept};
pub use stops::{KnownStop, StopError};

use crate::api::{EventKind, FleetEvent, Next, Standing, Versions};
use crate::digest::Digest;
use crate::evidence::{Cover, Evidence, Heartbeat};
use crate::id::{HostId, ProductId, SiteCode};
use crate::key::KeyId;
use crate::outcome::{Appraisal, Verdict};
use crate::permit::Permit;
use crate::reason::{Code, Reason};
use crate::reference::Reference;
use crate::registry::Registry;
use crate::stop::{Lift, StopRef};
use crate::time::{Span, Time};

/// The most file lists asked for in one answer.
const WANTED_MAX: usize = 64;
/// One refusal of a kind per host is an event in this time; more are only answered.
const REFUSAL_EVENT_INTERVAL: Span = Span::from_s(60);

/// What release managers signed, as it is in force here.
#[derive(Debug)]
pub struct Policy {
    /// The baseline.
    pub current: Arc<Reference>,
    /// Those before it, under which hosts may still report: each publish starts a time of its own.
    pub previous: Vec<Previous>,
    /// Who exists.
    pub registry: Registry,
    /// When root or targets expire, whichever is earlier.
    pub expires: Time,
    /// Every lift.
    pub lifts: Vec<Lift>,
}

/// A baseline that was replaced a moment ago.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The baseline.
    pub reference: Arc<Reference>,
    /// `evidence_max_age` after the publish that replaced it.
    pub until: Time,
}

#[derive(Debug)]
struct InForce {
    current: Arc<Reference>,
    previous: Vec<Previous>,
    registry: Registry,
    expires: Time,
    lifts: Vec<Lift>,
}

/// The whole fleet, as one controller knows it.
#[derive(Debug)]
pub struct Fleet {
    product: ProductId,
    policy: Option<InForce>,
    online_until: Time,
    hosts: HashMap<HostId, Host>,
    /// Whose key it is, of every host's present key.
    keys: HashMap<KeyId, HostId>,
    sites: BTreeMap<SiteCode, Site>,
    stops: Vec<KnownStop>,
    lists: HashSet<Digest>,
    wakes: BTreeSet<(Time, HostId)>,
    last_event: u64,
    refused: HashMap<(HostId, &'static str), Time>,
}

/// One host. What is stored of it are the first fields; the rest follows from them.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its key; none before it was enrolled.
    pub key: Option<KeyId>,
    /// Its documents.
    pub record: HostRecord,
    /// The newest state it showed, with the newest cover.
    pub evidence: Option<Evidence>,
    /// Digest of that state.
    pub state: Option<Digest>,
    /// Its newest cover names another state, which it has not shown yet.
    pub unshown: bool,
    /// The newest permit made for it.
    pub permit: Option<Permit>,
    /// The end of the newest *issue* made for it: the latest moment at which it can issue.
    pub issue_until: Option<Time>,
    /// Number of the newest stop it acknowledged; 0 for none.
    pub acknowledged: u64,

    appraisal: Arc<Appraisal>,
    /// The baseline that it was judged by.
    judged_by: Option<Arc<Reference>>,
    verdict: Verdict,
    reasons: Vec<Reason>,
    wake: Option<Time>,
}

impl Default for Host {
    fn default() -> Self {
        let reasons = vec![Reason::of(Code::Stale)];
        let appraisal =
            Appraisal { verdict: Verdict::Hold, reasons: reasons.clone(), items: Vec::new(), changes_at: None };
        Self {
            key: None,
            record: HostRecord::default(),
            evidence: None,
            state: None,
            unshown: false,
            permit: None,
            issue_until: None,
            acknowledged: 0,
            appraisal: Arc::new(appraisal),
            judged_by: None,
            verdict: Verdict::Hold,
            reasons,
            wake: None,
        }
    }
}

impl Host {
    /// Issue or hold by its own evidence.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why hold, by its own evidence.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

/// One site of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// How it stands.
    pub standing: Standing,
    /// Since when.
    pub since: Time,
    verdict: Verdict,
    reasons: Vec<Reason>,
    stopped: bool,
}

/// What must be written, and then told. Nothing of it may be told before it is written.
#[derive(Debug, Default)]
pub struct Change {
    /// Hosts whose stored fields changed.
    pub hosts: BTreeSet<HostId>,
    /// Sites whose standing changed.
    pub sites: BTreeSet<SiteCode>,
    /// Permits to be signed and pushed to their hosts.
    pub permits: Vec<Permit>,
    /// What happened, oldest first.
    pub events: Vec<FleetEvent>,
}

/// A document of a host, its signature checked against that host's key.
#[derive(Clone, Debug)]
pub enum Document {
    /// Cover and state.
    Evidence {
        /// The document.
        evidence: Box<Evidence>,
        /// [`crate::evidence::State::digest`] of its state.
        state: Digest,
    },
    /// A cover and the digest of an unchanged state.
    Heartbeat(Box<Heartbeat>),
}

impl Document {
    fn cover(&self) -> &Cover {
        match self {
            Document::Evidence { evidence, .. } => &evidence.cover,
            Document::Heartbeat(heartbeat) => &heartbeat.cover,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Document::Evidence { .. } => Kind::Evidence,
            Document::Heartbeat(_) => Kind::Heartbeat,
        }
    }
}

/// The answer to a document that counts.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The stored sequence.
    pub sequence: u64,
    /// What the host should do next.
    pub next: Next,
    /// The permit to be signed, or why there is none.
    pub permit: Result<Permit, Unsigned>,
    /// Stops above this number are news to the host.
    pub stops_after: u64,
    /// File lists to be sent.
    pub wanted: Vec<Digest>,
}

/// Why no permit is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// Timestamp or snapshot have expired: this controller may have missed a publish.
    Freeze,
    /// Nothing was published yet.
    NoBaseline,
}

impl Unsigned {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Unsigned::Freeze => "freeze",
            Unsigned::NoBaseline => "no-baseline",
        }
    }
}

/// Why a host cannot be enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The registry does not have it.
    #[error("the host is not listed in the registry")]
    NotListed,
    /// It has a key, and the token does not allow another.
    #[error("the host has a key already; a token made with --replace allows another")]
    Enrolled,
    /// The key is another host's.
    #[error("the key is another host's")]
    KeyInUse,
}

impl EnrolError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            EnrolError::NotListed => "not-listed",
            EnrolError::Enrolled => "enrolled",
            EnrolError::KeyInUse => "key-in-use",
        }
    }
}

impl Fleet {
    /// A fleet of which nothing is known. `last_event` is the id of the newest event stored.
    pub fn new(product: ProductId, last_event: u64) -> Self {
        Self {
            product,
            policy: None,
            online_until: Time::MIN,
            hosts: HashMap::new(),
            keys: HashMap::new(),
            sites: BTreeMap::new(),
            stops: Vec::new(),
            lists: HashSet::new(),
            wakes: BTreeSet::new(),
            last_event,
            refused: HashMap::new(),
        }
    }

    /// Takes up a stored host. Call before the first [`Fleet::install`].
    pub fn restore_host(&mut self, id: HostId, host: Host) {
        self.keys.extend(host.key.iter().map(|key| (key.clone(), id.clone())));
        self.hosts.insert(id, host);
    }

    /// Takes up how a site stood, so that a restart is no news. Call before the first [`Fleet::install`].
    pub fn restore_site(&mut self, code: SiteCode, standing: Standing, since: Time) {
        let verdict = if standing == Standing::Verified { Verdict::Issue } else { Verdict::Hold };
        self.sites.insert(code, Site { standing, since, verdict, reasons: Vec::new(), stopped: false });
    }

    /// A file list is stored: it is not asked for any more.
    pub fn list_stored(&mut self, digest: Digest) {
        self.lists.insert(digest);
    }

    /// Whether a file list is stored.
    pub fn has_list(&self, digest: &Digest) -> bool {
        self.lists.contains(digest)
    }

    /// The product.
    pub fn product(&self) -> &ProductId {
        &self.product
    }

    /// The registry in force.
    pub fn registry(&self) -> Option<&Registry> {
        self.policy.as_ref().map(|policy| &policy.registry)
    }

    /// The baseline in force.
    pub fn reference(&self) -> Option<&Arc<Reference>> {
        self.policy.as_ref().map(|policy| &policy.current)
    }

    /// One host, listed or not.
    pub fn host(&self, id: &HostId) -> Option<&Host> {
        self.hosts.get(id)
    }

    /// One site of the registry.
    pub fn site(&self, code: &SiteCode) -> Option<&Site> {
        self.sites.get(code)
    }

    /// Whether the registry lists the host at `now`.
    pub fn is_listed(&self, id: &HostId, now: Time) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.registry.entry(id, now).is_some())
    }

    /// Timestamp and snapshot are good until then; from then on no *issue* is signed.
    pub fn set_online_until(&mut self, until: Time) {
        self.online_until = until;
    }

    /// The next moment at which [`Fleet::tick`] has something to do.
    pub fn wake(&self) -> Option<Time> {
        self.wakes.first().map(|(time, _)| *time)
    }

    /// Puts what `operator` publishes in force, and tells of it and of every lift in it that is new.
    pub fn publish(&mut self, policy: Policy, operator: &str, versions: Versions, now: Time, change: &mut Change) {
        let Versions { root, targets, lifts, .. } = versions;
        let version = &policy.current.baseline().version;
        let note = format!("{operator} published baseline {version} (root {root}, targets {targets}, lifts {lifts})");
        self.note(change, now, EventKind::Publish, None, note);
        let new: Vec<&Lift> = policy.lifts.iter().filter(|lift| !self.lifts().contains(lift)).collect();
        for lift in new {
            let sites: Vec<&str> = lift.sites.iter().map(|site| site.as_str()).collect();
            let note = format!("{} is lifted for {}: {}", lift.stop, sites.join(", "), lift.reason);
            self.note(change, now, EventKind::Lift, None, note);
        }
        self.install(policy, now, change);
    }

    /// Puts what is published in force, and judges everybody by it.
    pub fn install(&mut self, policy: Policy, now: Time, change: &mut Change) {
        let Policy { current, previous, registry, expires, lifts } = policy;
        let listed: BTreeSet<SiteCode> = registry.sites.iter().map(|site| site.code.clone()).collect();
        let ids: Vec<HostId> = registry.hosts.iter().map(|host| host.id.clone()).collect();
        self.policy = Some(InForce { current, previous, registry, expires, lifts });
        self.sites.retain(|code, _| listed.contains(code));
        let gone: Vec<HostId> = self.hosts.keys().filter(|id| !listed.contains(id.site())).cloned().collect();
        for id in ids.into_iter().chain(gone) {
            self.hosts.entry(id.clone()).or_default();
            self.judge_host(&id, now, change);
        }
        for code in &listed {
            self.judge_site(code, now, change);
            self.settle(code, None, now, change);
        }
    }

    /// Takes over what is published from a fleet that is given up, and judges everybody by it.
    pub fn inherit(&mut self, given_up: &mut Fleet, now: Time, change: &mut Change) {
        self.online_until = given_up.online_until;
        if let Some(InForce { current, previous, registry, expires, lifts }) = given_up.policy.take() {
            self.install(Policy { current, previous, registry, expires, lifts }, now, change);
        }
    }

    /// Judges anew whatever the clock alone has changed.
    pub fn tick(&mut self, now: Time, change: &mut Change) {
        let mut sites = BTreeSet::new();
        while let Some((_, id)) = self.wakes.first().filter(|(time, _)| *time <= now).cloned() {
            self.judge_host(&id, now, change);
            sites.insert(id.site().clone());
        }
        for code in &sites {
            self.judge_site(code, now, change);
            self.settle(code, None, now, change);
        }
    }

    /// Gives a host a key. With `replace` it may have one already; what the old one showed is forgotten.
    ///
    /// # Errors
    /// [`EnrolError`]; nothing has changed then.
    pub fn enrol(
        &mut self,
        id: &HostId,
        key: KeyId,
        replace: bool,
        now: Time,
        change: &mut Change,
    ) -> Result<(), EnrolError> {
        if !self.is_listed(id, now) {
            return Err(EnrolError::NotListed);
        }
        if self.keys.get(&key).is_some_and(|owner| owner != id) {
            return Err(EnrolError::KeyInUse);
        }
        let host = self.hosts.entry(id.clone()).or_default();
        if host.key.is_some() && !replace {
            return Err(EnrolError::Enrolled);
        }
        if let Some(old) = host.key.take() {
            self.keys.remove(&old);
        }
        self.keys.insert(key.clone(), id.clone());
        // A permit's number outlives the key: the host may have kept its state directory.
        let kept = Host {
            key: Some(key),
            permit: host.permit.take(),
            issue_until: host.issue_until,
            acknowledged: host.acknowledged,
            wake: host.wake,
            verdict: host.verdict,
            reasons: std::mem::take(&mut host.reasons),
            ..Host::default()
        };
        *host = kept;
        change.hosts.insert(id.clone());
        self.note(change, now, EventKind::Enrolled, Some(id), "a key was enrolled".to_owned());
        self.judge_host(id, now, change);
        self.judge_site(id.site(), now, change);
        self.settle(id.site(), None, now, change);
        Ok(())
    }

    /// A document of `id`, signed with its key, arrives. `digest` is its payload's.
    ///
    /// # Errors
    /// [`Refusal`]: the document changed nothing. At most an event is in `change` then.
    pub fn report(
        &mut self,
        id: &HostId,
        document: Document,
        digest: Digest,
        now: Time,
        change: &mut Change,
    ) -> Result<Answer, Refusal> {
        let Some(host) = self.hosts.get_mut(id) else { return Err(Refusal::NotListed) };
        if self.policy.as_ref().is_some_and(|policy| policy.registry.entry(id, now).is_none()) {
            return Err(self.refused(id, Refusal::NotListed, now, change));
        }
        match accept(&host.record, &self.product, document.cover(), document.kind(), digest, now) {
            Accept::Refused(refusal) => return Err(self.refused(id, refusal, now, change)),
            Accept::Repeated => {
                let none = if self.policy.is_some() { Unsigned::Freeze } else { Unsigned::NoBaseline };
                let permit = host.permit.clone().ok_or(none);
                return Ok(self.answer(id, permit));
            }
            Accept::New(record) => {
                if let Document::Evidence { evidence, .. } = &document
                    && let Err(why) = evidence.state.check()
                {
                    return Err(self.refused(id, Refusal::Malformed(why), now, change));
                }
                host.record = *record;
            }
        }
        let before = host.reusable(&document, now);
        match document {
            Document::Evidence { evidence, state } => {
                host.evidence = Some(*evidence);
                host.state = Some(state);
                host.unshown = false;
            }
            Document::Heartbeat(heartbeat) => {
                host.unshown = host.state != Some(heartbeat.state);
                if let Some(evidence) = host.evidence.as_mut().filter(|_| !host.unshown) {
                    evidence.cover = heartbeat.cover;
                }
            }
        }
        change.hosts.insert(id.clone());
        let turned = if before { self.own_reasons(id, now, change) } else { self.judge_host(id, now, change) };
        if turned {
            self.judge_site(id.site(), now, change);
            self.settle(id.site(), Some(id), now, change);
        }
        let permit = self.make_permit(id, now);
        Ok(self.answer(id, permit))
    }

    fn answer(&self, id: &HostId, permit: Result<Permit, Unsigned>) -> Answer {
        let host = self.hosts.get(id);
        let lists = host.and_then(|host| host.evidence.as_ref()).map_or(&[][..], |e| e.cover.lists.as_slice());
        Answer {
            sequence: host.map_or(0, |host| host.record.sequence),
            next: if host.is_some_and(|host| host.unshown) { Next::SendFull } else { Next::Nothing },
            permit,
            stops_after: self.stops_after(id),
            wanted: lists.iter().filter(|list| !self.lists.contains(list)).take(WANTED_MAX).copied().collect(),
        }
    }

    fn refused(&mut self, id: &HostId, refusal: Refusal, now: Time, change: &mut Change) -> Refusal {
        self.refused.retain(|_, at| now < at.after(REFUSAL_EVENT_INTERVAL));
        let code = refusal.code();
        if self.refused.insert((id.clone(), code), now).is_none() {
            self.note(change, now, EventKind::Refused, Some(id), format!("{code}: {refusal}"));
        }
        refusal
    }

    fn note(&mut self, change: &mut Change, time: Time, kind: EventKind, host: Option<&HostId>, note: String) {
        self.last_event = self.last_event.saturating_add(1);
        change.events.push(FleetEvent {
            id: self.last_event,
            time,
            kind,
            site: host.map(|host| host.site().clone()),
            host: host.cloned(),
            verdict: None,
            reasons: Vec::new(),
            note,
        });
    }

    /// The newest stop.
    pub fn newest_stop(&self) -> Option<StopRef> {
        self.stops.last().map(|known| known.reference)
    }

    /// Stops above this number are news to the host, as far as it has told.
    pub fn stops_after(&self, id: &HostId) -> u64 {
        let named = self.hosts.get(id).and_then(|host| host.record.stop_named);
        // A stop that is not ours tells nothing of those it knows: all of them, then.
        named.filter(|named| self.knows(named)).map_or(0, |named| named.number)
    }

    fn knows(&self, named: &StopRef) -> bool {
        self.stops.iter().any(|known| known.reference == *named)
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
