//! What happened.

use manifests::api::FleetEvent;

use super::columns::{integer, json, read, unsigned};
use super::{Connection, Store, StoreError, Transaction};

impl Connection {
    /// Id of the newest event; 0 for none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_event(&mut self) -> Result<u64, StoreError> {
        let row: (Option<i64>,) = sqlx::query_as("SELECT MAX(id) FROM events").fetch_one(&mut self.0).await?;
        row.0.map_or(Ok(0), |id| unsigned("events", id))
    }
}

impl Store {
    /// Id of the newest event; 0 for none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_event(&self) -> Result<u64, StoreError> {
        let row: (Option<i64>,) = sqlx::query_as("SELECT MAX(id) FROM events").fetch_one(&self.readers).await?;
        row.0.map_or(Ok(0), |id| unsigned("events", id))
    }

    /// Up to `most` events behind `id`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events_after(&self, id: u64, most: u32) -> Result<Vec<FleetEvent>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT body FROM events WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(integer("events", id)?)
            .bind(most)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|(body,)| read("events", body)).collect()
    }
}

impl Transaction<'_> {
    /// Appends an event, and drops the one that is `kept` older.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn event(&mut self, event: &FleetEvent, kept: u64) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT INTO events (id, body) VALUES ($1, $2)");
        query.bind(integer("events", event.id)?).bind(json(event)?).execute(&mut *self.0).await?;
        if let Some(old) = event.id.checked_sub(kept) {
            sqlx::query("DELETE FROM events WHERE id = $1").bind(integer("events", old)?).execute(&mut *self.0).await?;
        }
        Ok(())
    }
}
