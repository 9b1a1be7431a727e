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
//! - A clone shares all that does not change afterwards, and costs the same whatever the fleet's size: whoever
//!   writes changes a clone, and the one that others read stays as it was.

mod chains;
mod enrol;
mod fold;
mod host;
mod intake;
mod judge;
mod named;
mod preview;
mod report;
mod set_back;
mod stops;
mod views;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

pub use enrol::EnrolError;
pub use host::FleetHost;
pub use intake::{Accept, DocumentKind, HostRecord, RESUME_INTERVAL, Refusal, accept};
pub use preview::Standings;
pub use report::{HostDocument, ReportAnswer, Unsigned};
pub use set_back::ShownBy;
pub use stops::{FleetStop, StopError};

use rpds::{HashTrieMapSync, HashTrieSetSync, RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::api::{EventKind, FleetEvent, SetBack, Standing, Versions};
use crate::appraise::Memo;
use crate::digest::Digest;
use crate::id::{HostId, ProductId, SiteCode};
use crate::key::KeyId;
use crate::outcome::Verdict;
use crate::permit::Permit;
use crate::reason::Reason;
use crate::reference::Reference;
use crate::registry::Registry;
use crate::stop::Lift;
use crate::time::Time;

/// What release managers signed, as it is in force here.
#[derive(Clone, Debug)]
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

/// The whole fleet, as one controller knows it.
#[derive(Clone, Debug)]
pub struct Fleet {
    product: ProductId,
    policy: Option<Arc<Policy>>,
    online_until: Time,
    hosts: HashTrieMapSync<HostId, FleetHost>,
    /// Whose key it is, of every host's present key.
    keys: HashTrieMapSync<KeyId, HostId>,
    sites: RedBlackTreeMapSync<SiteCode, FleetSite>,
    stops: chains::Chains,
    lists: HashTrieSetSync<Digest>,
    states: named::StatesNamed,
    wakes: RedBlackTreeSetSync<(Time, HostId)>,
    /// It was noticed that this controller was set back, and nobody has looked yet.
    set_back: Option<SetBack>,
    /// When an operator last looked at such a thing.
    looked_at: Time,
    /// Since when this process knows all that it signs.
    began: Time,
    last_event: u64,
    refused: RedBlackTreeMapSync<(HostId, &'static str), Time>,
    folds: fold::Folds,
    /// How hosts of which the same is known were judged. It changes no answer.
    judged: Arc<Mutex<Memo>>,
}

/// One site of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetSite {
    /// How it stands.
    pub standing: Standing,
    /// Since when.
    pub since: Time,
    verdict: Verdict,
    reasons: Vec<Reason>,
    stopped: bool,
    /// How it stood, and since when, before this controller was away and nobody was heard.
    before_outage: Option<(Standing, Time)>,
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

impl Fleet {
    /// A fleet of which nothing is known. `last_event` is the id of the newest event stored.
    pub fn new(product: ProductId, last_event: u64) -> Self {
        Self {
            product,
            policy: None,
            online_until: Time::MIN,
            hosts: HashTrieMapSync::new_sync(),
            keys: HashTrieMapSync::new_sync(),
            sites: RedBlackTreeMapSync::new_sync(),
            stops: chains::Chains::default(),
            lists: HashTrieSetSync::new_sync(),
            states: named::StatesNamed::default(),
            wakes: RedBlackTreeSetSync::new_sync(),
            set_back: None,
            looked_at: Time::MIN,
            began: Time::MAX,
            last_event,
            refused: RedBlackTreeMapSync::new_sync(),
            folds: fold::Folds::default(),
            judged: Arc::default(),
        }
    }

    /// Takes up a stored host. Call before the first [`Fleet::put_in_force`].
    pub fn restore_host(&mut self, id: HostId, mut host: FleetHost) {
        // Every permit was stored before it was told: what is above the newest one stored is not known.
        host.settle_permits(host.newest_permit());
        if let Some(key) = &host.key {
            self.keys.insert_mut(key.clone(), id.clone());
        }
        self.states.replace(self.hosts.get(&id).and_then(|before| before.state), host.state);
        self.hosts.insert_mut(id, host);
    }

    /// Takes up how a site stood, so that a restart is no news. Call before the first [`Fleet::put_in_force`].
    pub fn restore_site(&mut self, code: SiteCode, standing: Standing, since: Time) {
        let verdict = if standing == Standing::Verified { Verdict::Issue } else { Verdict::Hold };
        let site = FleetSite {
            standing,
            since,
            verdict,
            reasons: Vec::new(),
            stopped: false,
            before_outage: Some((standing, since)),
        };
        self.sites.insert_mut(code, site);
    }

    /// A file list is stored: it is not asked for any more.
    pub fn list_stored(&mut self, digest: Digest) {
        self.lists.insert_mut(digest);
    }

    /// Whether a file list is stored.
    pub fn has_list(&self, digest: &Digest) -> bool {
        self.lists.contains(digest)
    }

    /// A file list was dropped: who names it again is asked for it.
    pub fn list_dropped(&mut self, digest: &Digest) {
        self.lists.remove_mut(digest);
    }

    /// The file lists that hosts' newest evidence names.
    pub fn lists_named(&self) -> Vec<Digest> {
        let covers = self.hosts.values().filter_map(|host| host.evidence.as_ref()).map(|evidence| evidence.cover());
        let named: HashSet<Digest> = covers.flat_map(|cover| cover.lists.iter().copied()).collect();
        named.into_iter().collect()
    }

    /// Whether a host's newest evidence has this state.
    pub fn is_state_named(&self, digest: &Digest) -> bool {
        self.states.has(digest)
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
    pub fn host(&self, id: &HostId) -> Option<&FleetHost> {
        self.hosts.get(id)
    }

    /// Every host that has a key.
    pub fn enrolled(&self) -> impl Iterator<Item = (&HostId, &FleetHost)> {
        self.hosts.iter().filter(|(_, host)| host.key.is_some())
    }

    /// One site of the registry.
    pub fn site(&self, code: &SiteCode) -> Option<&FleetSite> {
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
        let judged = self.wakes.first().map(|(time, _)| *time);
        judged.into_iter().chain(self.folds.wake()).min()
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
            let known = self.knows_stop(&lift.stop);
            // Another controller's, or made before this one's database was set back; or a slip of the pen.
            let unknown = if known { "" } else { ", which is not known here," };
            let note = format!("{}{unknown} is lifted for {}: {}", lift.stop, sites.join(", "), lift.reason);
            self.note(change, now, EventKind::Lift, None, note);
        }
        self.put_in_force(policy, now, change);
    }

    /// Puts what is published in force, and judges everybody by it.
    pub fn put_in_force(&mut self, policy: Policy, now: Time, change: &mut Change) {
        let listed: BTreeSet<SiteCode> = policy.registry.sites.iter().map(|site| site.code.clone()).collect();
        let ids: Vec<HostId> = policy.registry.hosts.iter().map(|host| host.id.clone()).collect();
        self.policy = Some(Arc::new(policy));
        self.judged.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let left: Vec<SiteCode> = self.sites.keys().filter(|code| !listed.contains(code)).cloned().collect();
        for code in &left {
            self.sites.remove_mut(code);
        }
        let gone: Vec<HostId> = self.hosts.keys().filter(|id| !listed.contains(id.site())).cloned().collect();
        for id in ids.into_iter().chain(gone) {
            if !self.hosts.contains_key(&id) {
                self.hosts.insert_mut(id.clone(), FleetHost::default());
            }
            self.judge_host(&id, now, change);
        }
        for code in &listed {
            self.judge_site(code, now, change);
            self.settle(code, None, now, change);
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
        self.unfold(now, change);
    }

    /// Tells that something ends soon, or has ended.
    pub fn expires(&mut self, note: String, now: Time, change: &mut Change) {
        self.note(change, now, EventKind::Expiry, None, note);
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
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
