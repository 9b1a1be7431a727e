//! That this controller was set back, and who looked at it.

use manifests::api::SetBack;
use manifests::time::Time;

use super::columns::{json, read, time};
use super::{Connection, StoreError, Transaction};

const TABLE: &str = "set_back";

impl Connection {
    /// What was noticed and nobody has looked at, and when somebody looked last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_back(&mut self) -> Result<(Option<SetBack>, Option<Time>), StoreError> {
        const SQL: &str = "SELECT body FROM set_back WHERE looked_at IS NULL ORDER BY noticed DESC LIMIT 1";
        let open: Option<(String,)> = sqlx::query_as(SQL).fetch_optional(&mut self.0).await?;
        let looked: (Option<i64>,) =
            sqlx::query_as("SELECT MAX(looked_at) FROM set_back").fetch_one(&mut self.0).await?;
        let open = open.map(|(body,)| read(TABLE, &body)).transpose()?;
        Ok((open, looked.0.map(|at| time(TABLE, at)).transpose()?))
    }
}

impl Transaction<'_> {
    /// Keeps what was noticed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_set_back(&mut self, set_back: &SetBack) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO set_back (noticed, body) VALUES ($1, $2)")
            .bind(set_back.noticed.unix_ms())
            .bind(json(set_back)?)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Keeps that an operator looked at it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look_at_set_back(&mut self, operator: &str, note: &str, now: Time) -> Result<(), StoreError> {
        sqlx::query("UPDATE set_back SET looked_at = $1, operator = $2, note = $3 WHERE looked_at IS NULL")
            .bind(now.unix_ms())
            .bind(operator.to_owned())
            .bind(note.to_owned())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
