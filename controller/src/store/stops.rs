//! Stops, and which hosts have them.

use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::fleet::{FleetStop, StopError};
use manifests::id::HostId;
use manifests::key::PublicKey;
use manifests::stop::{Stop, StopRef};
use manifests::time::Time;

use super::columns::{damaged, digest, id, integer, json, read, unsigned};
use super::{Connection, StoreError, Transaction};

impl Connection {
    /// Every stop, none before the one that it follows, with its envelope.
    ///
    /// `key` is this controller's permit key: what it does not verify is neither made nor taken over here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stops(&mut self, key: &PublicKey) -> Result<Vec<(FleetStop, Sealed<Stop>)>, StoreError> {
        let mut stops = Vec::new();
        for (table, sql) in [
            ("stops", "SELECT number, 1, envelope FROM stops"),
            ("taken_stops", "SELECT number, own, envelope FROM taken_stops"),
        ] {
            let rows: Vec<(i64, bool, String)> = sqlx::query_as(sql).fetch_all(&mut self.0).await?;
            for (number, is_own, envelope) in rows {
                let sealed: Sealed<Stop> = read(table, &envelope)?;
                let verified = sealed.clone().verify([key]);
                let verified = verified.map_err(|error| damaged(table, format!("{number}: {error}")))?;
                if unsigned(table, number)? != verified.number {
                    return Err(damaged(table, format!("{number} is stop {}", verified.number)));
                }
                let reference = StopRef { number: verified.number, digest: verified.digest() };
                let hosts: Vec<(String,)> = sqlx::query_as("SELECT host FROM stop_acknowledgements WHERE stop = $1")
                    .bind(reference.digest.as_bytes().to_vec())
                    .fetch_all(&mut self.0)
                    .await?;
                let acknowledged =
                    hosts.iter().map(|(host,)| id("stop_acknowledgements", host)).collect::<Result<_, StoreError>>()?;
                stops.push((FleetStop { reference, stop: verified.into_document(), is_own, acknowledged }, sealed));
            }
        }
        // Each follows one with the number before its own.
        stops.sort_by_key(|(known, _)| known.reference);
        Ok(stops)
    }
}

/// A stop that follows none that is stored: a stop that is lost stops nobody.
pub(crate) fn broken_chain(error: &StopError) -> StoreError {
    damaged("stops", error.to_string())
}

impl Transaction<'_> {
    /// Appends a stop to this controller's chain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_stop(&mut self, stop: &StopRef, envelope: &Sealed<Stop>) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO stops (number, digest, envelope) VALUES ($1, $2, $3)")
            .bind(integer("stops", stop.number)?)
            .bind(stop.digest.as_bytes().to_vec())
            .bind(json(envelope)?)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Keeps a stop that was taken over from `origin`, a host or an operator.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_taken_stop(
        &mut self,
        stop: &StopRef,
        is_own: bool,
        envelope: &Sealed<Stop>,
        taken: Time,
        origin: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO taken_stops (digest, number, own, envelope, taken, origin) \
            VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(SQL)
            .bind(stop.digest.as_bytes().to_vec())
            .bind(integer("taken_stops", stop.number)?)
            .bind(is_own)
            .bind(json(envelope)?)
            .bind(taken.unix_ms())
            .bind(origin.to_owned())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Forgets what a host acknowledged: it was said with a key that was replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_acknowledgements(&mut self, host: &HostId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM stop_acknowledgements WHERE host = $1")
            .bind(host.as_str())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Keeps an acknowledgement, as it was signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acknowledge(
        &mut self,
        stop: &Digest,
        host: &HostId,
        received: Time,
        envelope: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO stop_acknowledgements (stop, host, received, envelope) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (stop, host) DO NOTHING";
        sqlx::query(SQL)
            .bind(stop.as_bytes().to_vec())
            .bind(host.as_str())
            .bind(received.unix_ms())
            .bind(envelope.to_owned())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// The stop that this request of an operator made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stop_of_request(&mut self, operator: &str, id: &str) -> Result<Option<Digest>, StoreError> {
        const SQL: &str = "SELECT digest FROM stop_requests WHERE operator = $1 AND id = $2";
        let row: Option<(Vec<u8>,)> =
            sqlx::query_as(SQL).bind(operator.to_owned()).bind(id.to_owned()).fetch_optional(&mut *self.0).await?;
        row.map(|(bytes,)| digest("stop_requests", &bytes)).transpose()
    }

    /// Remembers which stop a request made.
    ///
    /// # Errors
    /// [`StoreError`], also if the request made one already.
    pub async fn save_stop_request(&mut self, operator: &str, id: &str, stop: &Digest) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO stop_requests (operator, id, digest) VALUES ($1, $2, $3)")
            .bind(operator.to_owned())
            .bind(id.to_owned())
            .bind(stop.as_bytes().to_vec())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
