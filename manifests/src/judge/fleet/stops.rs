//! Stops: their chain, whom they stop, who has them, and their end.

use std::collections::BTreeSet;

use super::{Change, Fleet};
use crate::api::{EventKind, StopView};
use crate::digest::Digest;
use crate::id::{HostId, SiteCode};
use crate::stop::{Lift, REASON_BYTES_MAX, Scope, Stop, StopRef, is_reason};
use crate::time::Time;

/// A stop of the chain.
#[derive(Clone, Debug)]
pub struct FleetStop {
    /// Number and digest.
    pub reference: StopRef,
    /// The stop.
    pub stop: Stop,
    /// Hosts that have it on disk.
    pub acknowledged: BTreeSet<HostId>,
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
    /// Not the next one of the chain.
    #[error("stop {number} does not follow the newest one")]
    Chain {
        /// Its number.
        number: u64,
    },
    /// The acknowledgement names a stop that this controller did not make.
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
        let newest = self.newest_stop();
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

    /// Takes up a stored stop. Oldest first, before the first [`Fleet::put_in_force`].
    pub fn restore_stop(&mut self, stop: FleetStop) {
        self.stops.push(stop);
    }

    /// Adds a stop: it acts from here on. `digest` is its payload's. How far it has come is answered.
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
        let newest = self.newest_stop();
        let follows = stop.number == newest.map_or(1, |newest| newest.number.saturating_add(1))
            && stop.previous == newest.map(|newest| newest.digest);
        if !follows {
            return Err(StopError::Chain { number: stop.number });
        }
        let scope = stop.scope.clone();
        let note = format!("stop {} by {}: {}", stop.number, stop.operator, stop.reason);
        let reference = StopRef { number: stop.number, digest };
        let known = FleetStop { reference, stop, acknowledged: BTreeSet::new() };
        self.stops.push(known.clone());
        self.note(change, now, EventKind::Stop, None, note);
        let covered: Vec<SiteCode> = self.sites.keys().filter(|site| scope.covers(site)).cloned().collect();
        for code in &covered {
            self.judge_site(code, now, change);
            self.settle(code, None, now, change);
        }
        Ok(self.stop_view(&known, now))
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
        let known = self.stops.iter_mut().find(|known| known.reference == reference);
        let known = known.ok_or(StopError::UnknownStop { number: reference.number })?;
        if !known.acknowledged.insert(id.clone()) {
            return Ok(false);
        }
        if let Some(host) = self.hosts.get_mut(id) {
            host.acknowledged = host.acknowledged.max(reference.number);
            change.hosts.insert(id.clone());
        }
        self.note(change, now, EventKind::Acknowledged, Some(id), format!("has stop {} on disk", reference.number));
        Ok(true)
    }

    /// Every stop, oldest first.
    pub fn stops(&self) -> &[FleetStop] {
        &self.stops
    }

    /// The newest stop.
    pub fn newest_stop(&self) -> Option<StopRef> {
        self.stops.last().map(|known| known.reference)
    }

    /// Whether the stop that a host names is one of this controller's.
    pub(super) fn knows(&self, named: &StopRef) -> bool {
        self.stops.iter().any(|known| known.reference == *named)
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
        self.stops.iter().any(|known| {
            known.stop.scope.covers(code) && !lifts.iter().any(|lift| lift.frees(&known.reference.digest, code))
        })
    }
}
