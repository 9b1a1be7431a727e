//! Stops: their chain, whom they stop, who has them, and their end.

use std::collections::{BTreeSet, HashSet};

use rpds::RedBlackTreeSetSync;

use super::{Change, Fleet, FleetHost};
use crate::api::{EventKind, StopView};
use crate::digest::Digest;
use crate::id::{HostId, SiteCode};
use crate::stop::{Lift, REASON_BYTES_MAX, Scope, Stop, StopRef, is_reason};
use crate::time::Time;

/// A stop of a chain.
#[derive(Clone, Debug)]
pub struct FleetStop {
    /// Number and digest.
    pub reference: StopRef,
    /// The stop.
    pub stop: Stop,
    /// Signed with this controller's permit key, by itself or before it was set back.
    pub is_own: bool,
    /// Hosts that have it on disk.
    pub acknowledged: RedBlackTreeSetSync<HostId>,
}

/// Why a stop or an acknowledgement is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// No reason, or one too long.
    #[error("a stop has a reason: one line of 1 to {REASON_BYTES_MAX} bytes, without control characters")]
    Reason,
    /// Names no site, or a kind of scope unknown here.
    #[error("the scope names nobody")]
    EmptyScope,
    /// A site that the registry does not have.
    #[error("site {site} is not in the registry")]
    UnknownSite {
        /// The site.
        site: SiteCode,
    },
    /// A site named twice: one of them may have been meant to be another.
    #[error("site {site} is named twice")]
    SiteTwice {
        /// The site.
        site: SiteCode,
    },
    /// Not the next one of a chain.
    #[error("stop {number} does not follow one that is known")]
    Chain {
        /// Its number.
        number: u64,
    },
    /// Of another product.
    #[error("the stop is another product's")]
    Product,
    /// The acknowledgement names a stop that is not known here.
    #[error("no stop {number} with this digest")]
    UnknownStop {
        /// Its number.
        number: u64,
    },
}

impl StopError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            StopError::UnknownSite { .. } => "unknown-site",
            StopError::UnknownStop { .. } => "unknown-stop",
            StopError::Product => "wrong-product",
            StopError::Reason | StopError::EmptyScope | StopError::SiteTwice { .. } | StopError::Chain { .. } => {
                "malformed"
            }
        }
    }
}

impl Fleet {
    /// The next stop of the chain, to be signed and then added.
    ///
    /// # Errors
    /// [`StopError`] if it would stop nobody or gives no reason.
    pub fn next_stop(&self, scope: Scope, reason: String, operator: String, now: Time) -> Result<Stop, StopError> {
        if !is_reason(&reason) {
            return Err(StopError::Reason);
        }
        match &scope {
            Scope::All => {}
            Scope::Prefecture { prefecture } if (1..=47).contains(prefecture) => {}
            Scope::Sites { sites } if !sites.is_empty() => {
                let unknown = sites.iter().find(|site| !self.sites.contains_key(*site));
                if let Some(site) = unknown {
                    return Err(StopError::UnknownSite { site: site.clone() });
                }
                let mut seen = BTreeSet::new();
                if let Some(site) = sites.iter().find(|site| !seen.insert(*site)) {
                    return Err(StopError::SiteTwice { site: site.clone() });
                }
            }
            Scope::Sites { .. } | Scope::Prefecture { .. } | Scope::Unrecognized(_) => {
                return Err(StopError::EmptyScope);
            }
        }
        let newest = self.newest_own_stop();
        Ok(Stop {
            product: self.product.clone(),
            number: newest.map_or(1, |newest| newest.number.saturating_add(1)),
            previous: newest.map(|newest| newest.digest),
            scope,
            reason,
            operator,
            time: now,
        })
    }

    /// Takes up a stored stop. None before the one that it follows, and before the first
    /// [`Fleet::put_in_force`].
    ///
    /// # Errors
    /// [`StopError::Chain`] if the one before it is not known.
    pub fn restore_stop(&mut self, stop: FleetStop) -> Result<(), StopError> {
        self.require_chain(&stop.stop)?;
        self.stops.push(stop);
        Ok(())
    }

    fn require_chain(&self, stop: &Stop) -> Result<(), StopError> {
        if self.stops.is_followed_by(stop) { Ok(()) } else { Err(StopError::Chain { number: stop.number }) }
    }

    /// Adds a stop of this controller's own chain: it acts from here on. `digest` is its payload's. How far it has
    /// come is answered.
    ///
    /// # Errors
    /// [`StopError::Chain`] if another one came first.
    pub fn add_stop(
        &mut self,
        stop: Stop,
        digest: Digest,
        now: Time,
        change: &mut Change,
    ) -> Result<StopView, StopError> {
        let newest = self.newest_own_stop();
        let follows = stop.number == newest.map_or(1, |newest| newest.number.saturating_add(1))
            && stop.previous == newest.map(|newest| newest.digest);
        if !follows {
            return Err(StopError::Chain { number: stop.number });
        }
        let note = format!("stop {} by {}: {}", stop.number, stop.operator, stop.reason);
        Ok(self.act_on(stop, digest, true, note, now, change))
    }

    /// Takes over a stop that was not known here, signed by this controller before it was set back (`is_own`) or by
    /// another one: it acts from here on. `from` says in words who handed it in, or who had it taken over. Says
    /// whether it is news.
    ///
    /// # Errors
    /// [`StopError::Chain`] if the one before it is not known; [`StopError::Product`].
    pub fn take_stop(
        &mut self,
        stop: Stop,
        digest: Digest,
        (is_own, from): (bool, &str),
        now: Time,
        change: &mut Change,
    ) -> Result<bool, StopError> {
        if stop.product != self.product {
            return Err(StopError::Product);
        }
        if self.knows_stop(&digest) {
            return Ok(false);
        }
        self.require_chain(&stop)?;
        let whose = if is_own { "this controller's own" } else { "another controller's" };
        let note = format!(
            "stop {} by {}, {whose} and not known here, is taken over from {from}: {}",
            stop.number, stop.operator, stop.reason
        );
        let reference = StopRef { number: stop.number, digest };
        self.act_on(stop, digest, is_own, note, now, change);
        // Who was held because it named a stop that nobody knew is held by the stop itself from here on.
        let named = |host: &FleetHost| host.record.stops_named.contains(&reference);
        let ids: Vec<HostId> = self.hosts.iter().filter(|(_, host)| named(host)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            if self.own_reasons(&id, now, change) {
                self.judge_site(id.site(), now, change);
                self.settle(id.site(), None, now, change);
            }
        }
        Ok(true)
    }

    fn act_on(
        &mut self,
        stop: Stop,
        digest: Digest,
        is_own: bool,
        note: String,
        now: Time,
        change: &mut Change,
    ) -> StopView {
        let scope = stop.scope.clone();
        let reference = StopRef { number: stop.number, digest };
        let known = FleetStop { reference, stop, is_own, acknowledged: RedBlackTreeSetSync::new_sync() };
        self.stops.push(known.clone());
        self.note(change, now, EventKind::Stop, None, note);
        let covered: Vec<SiteCode> = self.sites.keys().filter(|site| scope.covers(site)).cloned().collect();
        for code in &covered {
            self.judge_site(code, now, change);
            self.settle(code, None, now, change);
        }
        self.stop_view(&known, now)
    }

    /// A host has the stop on disk. Says whether that is news.
    ///
    /// # Errors
    /// [`StopError::UnknownStop`].
    pub fn acknowledge(
        &mut self,
        id: &HostId,
        reference: StopRef,
        now: Time,
        change: &mut Change,
    ) -> Result<bool, StopError> {
        let known = self.stops.get_mut(&reference).ok_or(StopError::UnknownStop { number: reference.number })?;
        if known.acknowledged.contains(id) {
            return Ok(false);
        }
        known.acknowledged.insert_mut(id.clone());
        if let Some(host) = self.hosts.get_mut(id) {
            host.acknowledged = host.acknowledged.max(reference.number);
            change.hosts.insert(id.clone());
        }
        self.note(change, now, EventKind::Acknowledged, Some(id), format!("has stop {} on disk", reference.number));
        Ok(true)
    }

    /// Every stop, in the order in which they came to be known.
    pub fn stops(&self) -> impl DoubleEndedIterator<Item = &FleetStop> {
        self.stops.all()
    }

    /// The newest stop of this controller's own chain.
    pub fn newest_own_stop(&self) -> Option<StopRef> {
        self.stops.newest_own()
    }

    /// Whether a stop with this digest is known.
    pub fn knows_stop(&self, digest: &Digest) -> bool {
        self.stops.get(digest).is_some()
    }

    /// Whether a stop follows what is known, so that it can be taken over.
    pub fn can_take_stop(&self, stop: &Stop) -> bool {
        self.stops.is_followed_by(stop)
    }

    /// Stops that are news to the host, as far as it has told, oldest first.
    pub fn stops_for(&self, id: &HostId) -> Vec<Digest> {
        let named = self.hosts.get(id).map_or(&[][..], |host| &host.record.stops_named);
        self.stops.missing(named)
    }

    /// Stops that the host named and has not acknowledged: what was acknowledged before this controller was set
    /// back, or to another one, is not known here.
    pub fn unacknowledged_by(&self, id: &HostId) -> Vec<Digest> {
        let missing: HashSet<Digest> = self.stops_for(id).into_iter().collect();
        let lacks = |known: &&FleetStop| !known.acknowledged.contains(id) && !missing.contains(&known.reference.digest);
        self.stops.all().filter(lacks).map(|known| known.reference.digest).collect()
    }

    /// Stops that the host names and that nobody here knows.
    pub fn unknown_to_us(&self, id: &HostId) -> Vec<StopRef> {
        let named = self.hosts.get(id).map_or(&[][..], |host| &host.record.stops_named);
        named.iter().filter(|named| !self.stops.has(named)).copied().collect()
    }

    /// Every lift in force.
    pub fn lifts(&self) -> &[Lift] {
        self.policy.as_ref().map_or(&[], |policy| &policy.lifts)
    }

    /// Whether a stop of `scope` would stop a site that is not stopped.
    pub fn would_close(&self, scope: &Scope) -> bool {
        self.sites.keys().any(|code| scope.covers(code) && !self.is_stopped(code))
    }

    /// Whether a stop without its lift covers the site.
    pub(super) fn is_stopped(&self, code: &SiteCode) -> bool {
        let lifts = self.lifts();
        self.stops.all().any(|known| {
            known.stop.scope.covers(code) && !lifts.iter().any(|lift| lift.frees(&known.reference.digest, code))
        })
    }
}
