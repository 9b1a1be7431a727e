//! Stops, and which hosts have them.

use std::collections::BTreeSet;

use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::fleet::FleetStop;
use manifests::id::HostId;
use manifests::key::PublicKey;
use manifests::stop::{Stop, StopRef};
use manifests::time::Time;

use super::columns::{damaged, digest, id, integer, json, read, unsigned};
use super::{Connection, StoreError, Transaction};

impl Connection {
    /// Every stop, oldest first, with its envelope.
    ///
    /// `key` is this controller's permit key: what it does not verify is not a stop of ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stops(&mut self, key: &PublicKey) -> Result<Vec<(FleetStop, Sealed<Stop>)>, StoreError> {
        const TABLE: &str = "stops";
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT number, envelope FROM stops ORDER BY number").fetch_all(&mut self.0).await?;
        let mut stops = Vec::new();
        for (number, envelope) in rows {
            let sealed: Sealed<Stop> = read(TABLE, &envelope)?;
            let verified = sealed.clone().verify([key]);
            let verified = verified.map_err(|error| damaged(TABLE, format!("{number}: {error}")))?;
            let reference = StopRef { number: verified.number, digest: verified.digest() };
            // Numbered from 1 without gaps, each naming the one before: a stop that is lost stops nobody.
            let before = stops.last().map(|(known, _): &(FleetStop, _)| known.reference);
            let follows = before.map_or(1, |before| before.number.saturating_add(1)) == verified.number
                && before.map(|before| before.digest) == verified.previous;
            if !follows || unsigned(TABLE, number)? != verified.number {
                return Err(damaged(TABLE, format!("{number} does not follow the one before it")));
            }
            let hosts: Vec<(String,)> = sqlx::query_as("SELECT host FROM acknowledgements WHERE stop = $1")
                .bind(number)
                .fetch_all(&mut self.0)
                .await?;
            let acknowledged =
                hosts.iter().map(|(host,)| id("acknowledgements", host)).collect::<Result<BTreeSet<HostId>, _>>()?;
            stops.push((FleetStop { reference, stop: verified.into_document(), acknowledged }, sealed));
        }
        Ok(stops)
    }
}

impl Transaction<'_> {
    /// Appends a stop to the chain.
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

    /// Keeps an acknowledgement, as it was signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acknowledge(
        &mut self,
        stop: u64,
        host: &HostId,
        received: Time,
        envelope: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO acknowledgements (stop, host, received, envelope) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (stop, host) DO NOTHING";
        sqlx::query(SQL)
            .bind(integer("acknowledgements", stop)?)
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
