//! The fleet as the store remembers it.

use std::sync::Arc;

use manifests::fleet::{Fleet, Policy, Previous};
use manifests::id::ProductId;
use manifests::key::PublicKey;
use manifests::set::VerifiedSet;
use manifests::time::Time;

use crate::app::{Keys, ServedStop, Stops};
use crate::chain::chain;
use crate::repository::Repository;
use crate::store::{Connection, PublishRow, StoreError, broken_chain};

/// What a restart needs.
#[derive(Debug)]
pub struct LoadedFleet {
    /// Without a policy yet.
    pub fleet: Fleet,
    /// Keys of enrolled hosts.
    pub keys: Keys,
    /// Stops as they were signed, by digest.
    pub stops: Stops,
}

/// Reads everything but what is published.
///
/// # Errors
/// [`StoreError`]: a damaged row is an error, never a host less.
pub async fn load(
    connection: &mut Connection,
    product: ProductId,
    permit_key: &PublicKey,
) -> Result<LoadedFleet, StoreError> {
    let mut fleet = Fleet::new(product, connection.newest_event().await?);
    let mut keys = Keys::new();
    for (id, host, key) in connection.hosts().await? {
        if let Some(key) = key {
            keys.insert(key.id(), (id.clone(), key));
        }
        fleet.restore_host(id, host);
    }
    for (code, standing, since) in connection.sites().await? {
        fleet.restore_site(code, standing, since);
    }
    let mut stops = Stops::new();
    for (known, sealed) in connection.stops(permit_key).await? {
        stops.insert(known.reference.digest, ServedStop::from(sealed));
        fleet.restore_stop(known).map_err(|error| broken_chain(&error))?;
    }
    let (set_back, looked_at) = connection.set_back().await?;
    fleet.restore_set_back(set_back, looked_at);
    for digest in connection.stored_lists().await? {
        fleet.list_stored(digest);
    }
    Ok(LoadedFleet { fleet, keys, stops })
}

/// As the fleet is judged by a set.
pub fn policy(set: VerifiedSet, previous: Vec<Previous>) -> Policy {
    Policy {
        current: Arc::new(set.reference),
        previous,
        registry: set.registry,
        expires: set.expires,
        lifts: set.lifts,
    }
}

/// The most baselines before the one in force under which hosts may report: nobody publishes so
/// often in earnest.
const PREVIOUS_MAX: usize = 8;

/// Baselines that were in force before that of `set` and under which hosts may still report, newest
/// first. `publishes` has the newest first, which put `set` in force. One whose files are lost or
/// damaged is left out: hosts that still report under it are outdated.
pub fn previous(repository: &Repository, set: &VerifiedSet, publishes: &[PublishRow], now: Time) -> Vec<Previous> {
    let age = set.reference.baseline().gate.evidence_max_age;
    let mut previous = Vec::new();
    for (after, before) in publishes.iter().zip(publishes.iter().skip(1)) {
        if after.baseline == before.baseline {
            continue;
        }
        let until = after.time.after(age);
        if now >= until || previous.len() == PREVIOUS_MAX {
            break;
        }
        match repository.earlier_baseline(&before.baseline) {
            Ok(reference) => previous.push(Previous { reference: Arc::new(reference), until }),
            Err(error) => tracing::warn!(version = before.version, error = chain(&error), "a baseline before is lost"),
        }
    }
    previous
}
