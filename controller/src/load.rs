//! The fleet as the store remembers it.

use manifests::envelope::Sealed;
use manifests::fleet::{Fleet, Previous};
use manifests::id::ProductId;
use manifests::key::PublicKey;
use manifests::set::VerifiedSet;
use manifests::stop::Stop;
use manifests::time::Time;
use sqlx::SqliteConnection;
use std::sync::Arc;

use crate::app::Keys;
use crate::repository::{Repository, RepositoryError};
use crate::store::{self, PublishRow, StoreError};

/// What a restart needs.
#[derive(Debug)]
pub struct Loaded {
    /// Without a policy yet.
    pub fleet: Fleet,
    /// Keys of enrolled hosts.
    pub keys: Keys,
    /// Stops as they were signed.
    pub stops: Vec<Sealed<Stop>>,
}

/// Reads everything but what is published.
///
/// # Errors
/// [`StoreError`]: a damaged row is an error, never a host less.
pub async fn load(
    connection: &mut SqliteConnection,
    product: ProductId,
    permit_key: &PublicKey,
) -> Result<Loaded, StoreError> {
    let mut fleet = Fleet::new(product, store::newest_event(connection).await?);
    let mut keys = Keys::new();
    for (id, host, key) in store::hosts(connection).await? {
        if let Some(key) = key {
            keys.insert(key.id(), (id.clone(), key));
        }
        fleet.restore_host(id, host);
    }
    for (code, standing, since) in store::sites(connection).await? {
        fleet.restore_site(code, standing, since);
    }
    let mut stops = Vec::new();
    for (known, sealed) in store::stops(connection, permit_key).await? {
        fleet.restore_stop(known);
        stops.push(sealed);
    }
    for digest in store::stored_lists(connection).await? {
        fleet.list_stored(digest);
    }
    Ok(Loaded { fleet, keys, stops })
}

/// The baseline that the one in force replaced, if hosts may still report under it.
///
/// # Errors
/// [`RepositoryError`] if its files are damaged.
pub fn previous(
    repository: &Repository,
    set: &VerifiedSet,
    publishes: &[PublishRow],
    now: Time,
) -> Result<Option<Previous>, RepositoryError> {
    let current = set.reference.digest();
    // Newest first: those of the baseline in force, then the one before it.
    let Some(at) = publishes.iter().position(|row| row.baseline != current) else { return Ok(None) };
    let Some(replaced) = at.checked_sub(1).and_then(|first| publishes.get(first)) else { return Ok(None) };
    let until = replaced.time.after(set.reference.baseline().gate.evidence_max_age);
    let Some(before) = publishes.get(at).filter(|_| now < until) else { return Ok(None) };
    let reference = Arc::new(repository.earlier_baseline(&before.baseline)?);
    Ok(Some(Previous { reference, until }))
}
