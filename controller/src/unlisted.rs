//! Stops that hosts handed in under keys that the registry does not list: they act on those hosts alone, until an
//! operator takes them over. Kept in memory: after a restart they are asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use manifests::api::UnlistedStop;
use manifests::digest::Digest;
use manifests::envelope::Verified;
use manifests::id::HostId;
use manifests::key::PublicKey;
use manifests::stop::{Stop, StopRef};

/// Most of them. Anybody who runs a host can make a key and sign stops with it: they must not push others out, and
/// what is not kept is asked for again when there is room.
const UNLISTED_MAX: usize = 1024;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct HandedIn {
    pub(crate) stop: Verified<Stop>,
    key: PublicKey,
    hosts: BTreeSet<HostId>,
}

/// All of them, by digest.
#[derive(Debug, Default)]
pub struct Unlisted(Mutex<BTreeMap<Digest, HandedIn>>);

impl Unlisted {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, HandedIn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a stop that `host` handed in. Says whether it is news.
    pub(crate) fn keep(&self, host: HostId, stop: Verified<Stop>, key: PublicKey) -> bool {
        let mut stops = self.lock();
        let digest = stop.digest();
        if let Some(known) = stops.get_mut(&digest) {
            known.hosts.insert(host);
            return false;
        }
        if stops.len() >= UNLISTED_MAX {
            return false;
        }
        stops.insert(digest, HandedIn { stop, key, hosts: BTreeSet::from([host]) });
        true
    }

    /// Whether it was handed in, so that it need not be asked for.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.lock().contains_key(digest)
    }

    /// A stop with those before it that were handed in, oldest first; nothing for an unknown one.
    pub(crate) fn chain(&self, digest: &Digest) -> Vec<Verified<Stop>> {
        let stops = self.lock();
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
        self.lock().retain(|digest, known| !goes(digest, &known.key));
    }

    /// As operators see them, oldest first.
    pub fn views(&self) -> Vec<UnlistedStop> {
        let stops = self.lock();
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
