//! Stops that hosts handed in under keys that the registry does not list: they act on those hosts alone, until an
//! operator takes them over. Kept in memory: after a restart they are asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use manifests::api::{HANDED_STOPS_MAX, UnlistedStop};
use manifests::digest::Digest;
use manifests::envelope::Verified;
use manifests::id::HostId;
use manifests::key::PublicKey;
use manifests::stop::{Stop, StopRef};

/// Most of them, and most that one host brought. Anybody who runs a host can make a key and sign stops with it: they
/// must not keep others out, and what is not kept is asked for again when there is room.
const UNLISTED_MAX: usize = 1024;
const OF_HOST_MAX: usize = HANDED_STOPS_MAX;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct HandedIn {
    pub(crate) stop: Verified<Stop>,
    key: PublicKey,
    /// The first that handed it in.
    from: HostId,
    hosts: BTreeSet<HostId>,
}

/// What became of a stop that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is news.
    New,
    /// It is kept already, or was refused and its host is told of.
    Known,
    /// There is no room for it, for the first time since there was room for this host.
    Refused,
}

#[derive(Debug, Default)]
struct Inner {
    stops: BTreeMap<Digest, HandedIn>,
    /// Hosts of which something was refused since there was room: it is asked for again with every report.
    refused: BTreeSet<HostId>,
}

/// All of them, by digest.
#[derive(Debug, Default)]
pub struct Unlisted(Mutex<Inner>);

impl Unlisted {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a stop that `host` handed in, if there is room.
    pub(crate) fn keep(&self, host: HostId, stop: Verified<Stop>, key: PublicKey) -> Kept {
        let Inner { stops, refused } = &mut *self.lock();
        let digest = stop.digest();
        if let Some(known) = stops.get_mut(&digest) {
            known.hosts.insert(host);
            return Kept::Known;
        }
        let brought = stops.values().filter(|known| known.from == host).count();
        if stops.len() >= UNLISTED_MAX || brought >= OF_HOST_MAX {
            return if refused.insert(host) { Kept::Refused } else { Kept::Known };
        }
        stops.insert(digest, HandedIn { stop, key, from: host.clone(), hosts: BTreeSet::from([host]) });
        Kept::New
    }

    /// Whether it was handed in, so that it need not be asked for.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.lock().stops.contains_key(digest)
    }

    /// A stop with those before it that were handed in, oldest first; nothing for an unknown one.
    pub(crate) fn chain(&self, digest: &Digest) -> Vec<Verified<Stop>> {
        let stops = &self.lock().stops;
        let mut chain = Vec::new();
        let mut next = stops.get(digest);
        while let Some(known) = next.filter(|_| chain.len() <= UNLISTED_MAX) {
            chain.push(known.stop.clone());
            next = known.stop.previous.and_then(|previous| stops.get(&previous));
        }
        chain.reverse();
        chain
    }

    /// Forgets those that `goes` names: they were taken over, or their keys are listed now and they are asked for
    /// again.
    pub(crate) fn forget(&self, goes: impl Fn(&Digest, &PublicKey) -> bool) {
        let Inner { stops, refused } = &mut *self.lock();
        let before = stops.len();
        stops.retain(|digest, known| !goes(digest, &known.key));
        if stops.len() < before {
            refused.clear();
        }
    }

    /// As operators see them, oldest first.
    pub fn views(&self) -> Vec<UnlistedStop> {
        let stops = &self.lock().stops;
        let view = |(digest, known): (&Digest, &HandedIn)| UnlistedStop {
            stop: StopRef { number: known.stop.number, digest: *digest },
            key: known.key.id(),
            scope: known.stop.scope.clone(),
            reason: known.stop.reason.clone(),
            operator: known.stop.operator.clone(),
            time: known.stop.time,
            hosts: known.hosts.iter().cloned().collect(),
        };
        let mut views: Vec<UnlistedStop> = stops.iter().map(view).collect();
        views.sort_by_key(|view| (view.time, view.stop));
        views
    }
}
