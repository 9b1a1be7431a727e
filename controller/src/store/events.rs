//! What happened.

use manifests::api::{EventKind, FleetEvent};

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

/// Events kept of one kind: those of hosts push nothing out that people did.
fn kept(kind: &EventKind) -> i64 {
    match kind {
        EventKind::Verdict => 500_000,
        EventKind::Acknowledged | EventKind::Refused => 200_000,
        EventKind::Publish
        | EventKind::Stop
        | EventKind::Lift
        | EventKind::Enrolled
        | EventKind::SetBack
        | EventKind::Unrecognized(_) => 100_000,
    }
}

impl Transaction<'_> {
    /// Appends an event, and drops the oldest of its kind beyond those that are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn event(&mut self, event: &FleetEvent) -> Result<(), StoreError> {
        self.event_of(event, kept(&event.kind)).await
    }

    async fn event_of(&mut self, event: &FleetEvent, kept: i64) -> Result<(), StoreError> {
        const ADD: &str = "INSERT INTO events (id, body, kind, number) VALUES ($1, $2, $3, \
            (SELECT COALESCE(MAX(number), 0) + 1 FROM events WHERE kind = $3))";
        const DROP: &str = "DELETE FROM events WHERE kind = $1 \
            AND number <= (SELECT MAX(number) FROM events WHERE kind = $1) - $2";
        let (id, kind) = (integer("events", event.id)?, event.kind.as_str());
        sqlx::query(ADD).bind(id).bind(json(event)?).bind(kind.to_owned()).execute(&mut *self.0).await?;
        sqlx::query(DROP).bind(kind.to_owned()).bind(kept).execute(&mut *self.0).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;
    use manifests::time::Time;

    #[tokio::test]
    async fn events_of_one_kind_push_none_of_another_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = store::create(directory.path(), "main", &"p".parse().unwrap()).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        for id in 1..=20 {
            let kind = if id == 2 || id == 5 { EventKind::Stop } else { EventKind::Verdict };
            let (site, host, verdict, reasons) = (None, None, None, Vec::new());
            let time = Time::from_unix_ms(1_700_000_000_000);
            let event = FleetEvent { id, time, kind, site, host, verdict, reasons, note: String::new() };
            transaction.event_of(&event, 3).await.unwrap();
        }
        let rows: Vec<(i64,)> =
            sqlx::query_as("SELECT id FROM events ORDER BY id").fetch_all(&mut *transaction.0).await.unwrap();
        let ids: Vec<i64> = rows.into_iter().map(|(id,)| id).collect();
        assert_eq!(ids, [2, 5, 18, 19, 20]);
    }
}
