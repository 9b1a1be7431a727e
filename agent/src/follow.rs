//! The following task: keeps the signed set current.

use std::sync::Arc;
use std::time::Duration;

use manifests::chain::chain;
use manifests::gate::{self, Damage, Effect, Event};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::backoff::{Backoff, RETRY_MAX};
use crate::client::Blocking;
use crate::clock;
use crate::parts::Parts;
use crate::trust::{TrustError, TrustedSet};

/// How often the repository is followed when nothing asks for it.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(600);

impl Parts {
    /// A set was verified: it is in use at once if it is the first or only its dates, registry or
    /// lifts are new; otherwise it waits beside the one in use.
    pub fn set_verified(&self, set: TrustedSet) {
        let effects = self.take_up(set);
        self.carry_out(effects);
    }

    /// The set that was in use before a restart still is: it is on disk as it is.
    pub fn set_in_use(&self, set: TrustedSet) {
        // Before any task runs: nothing else can be carried out, and the first look is due anyway.
        let _ = self.take_up(set);
    }

    fn take_up(&self, set: TrustedSet) -> Vec<Effect> {
        let event = Event::SetVerified { set: gate::Set::from(&*set), lifts: set.lifts.clone() };
        let set = Arc::new(set);
        let _holding = self.holding_sets();
        {
            let mut shared = self.shared();
            shared.sets.insert(set.reference.digest(), Arc::clone(&set));
            shared.newest = Some(set);
        }
        self.keeper.step(event)
    }

    /// Whether a verified set says anything that the newest one does not.
    pub fn is_news(&self, new: &TrustedSet) -> bool {
        self.shared().newest.as_ref().is_none_or(|old| {
            (old.timestamp, old.registry_digest, old.expires) != (new.timestamp, new.registry_digest, new.expires)
                || old.reference.digest() != new.reference.digest()
                || old.lifts != new.lifts
        })
    }

    /// Whether a verified set says nothing new but that it is still the newest: every ten minutes that is so.
    fn is_newer_timestamp_alone(&self, new: &TrustedSet) -> bool {
        self.shared().newest.as_ref().is_some_and(|old| {
            old.timestamp < new.timestamp
                && (old.registry_digest, old.expires) == (new.registry_digest, new.expires)
                && old.reference.digest() == new.reference.digest()
                && old.lifts == new.lifts
        })
    }

    /// It takes the place of the one before, and nothing else follows from it.
    fn timestamp_verified(&self, set: TrustedSet) {
        let set = Arc::new(set);
        let _holding = self.holding_sets();
        let mut shared = self.shared();
        if let Some(known) = shared.sets.get_mut(&set.reference.digest()) {
            *known = Arc::clone(&set);
        }
        shared.newest = Some(set);
    }

    /// A set is refused. One that is for newer agents rules all the same: the set in use is no longer what
    /// was signed, so that this host holds until it has a newer agent.
    pub fn refused(&self, what: &str, error: &TrustError) {
        if error.asks_for_newer(&self.identity.agent) {
            self.trouble(&format!("agent-too-old: this agent is {}; {what}", self.identity.agent.version), error);
            self.step(Event::AgentTooOld);
        } else {
            self.trouble(what, error);
        }
    }

    /// Follows the repository once.
    async fn follow_once(self: Arc<Self>) -> bool {
        let parts = Arc::clone(&self);
        let runtime = Handle::current();
        let refreshed = tokio::task::spawn_blocking(move || {
            let fetch = Blocking { controllers: &parts.client, runtime };
            let newest = parts.shared().newest.clone();
            parts.trust.refresh(fetch, newest.as_ref().map(|set| &set.registry), clock::now().wall)
        });
        match refreshed.await {
            Ok(Ok(set)) => {
                let timestamp = set.timestamp;
                if self.is_newer_timestamp_alone(&set) {
                    self.timestamp_verified(set);
                } else if self.is_news(&set) {
                    info!(timestamp, version = %set.reference.baseline().version, "signed set verified");
                    self.set_verified(set);
                }
                self.step(Event::Mended(Damage::Trust));
                true
            }
            Ok(Err(error)) => {
                self.refused(&format!("the signed set cannot be followed ({})", error.code()), &error);
                if error.is_damage() {
                    self.step(Event::Damaged(Damage::Trust, chain(&error)));
                }
                false
            }
            Err(error) => {
                self.trouble("following the signed set failed", &error);
                false
            }
        }
    }
}

/// Follows until cancelled.
pub async fn run(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(RETRY_MAX);
    loop {
        let wait = if Arc::clone(&parts).follow_once().await {
            backoff.reset();
            parts.client.follow_preferred();
            FOLLOW_INTERVAL
        } else {
            // Whoever has the newest set: it counts by its signatures. Heartbeats stay where they are.
            parts.client.follow_next();
            backoff.wait()
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = parts.follow.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
