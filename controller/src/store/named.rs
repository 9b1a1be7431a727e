//! States and file lists: kept while somebody names them, and a day longer; of one host up to a budget.

use manifests::digest::Digest;
use manifests::id::HostId;
use manifests::time::{Span, Time};

use super::columns::{digest, unsigned};
use super::hosts::StateRow;
use super::{Store, StoreError, Transaction};

/// What nobody has named for so long is dropped.
const UNNAMED_KEPT: Span = Span::from_s(86_400);
/// Bytes of the states that one host showed first. Beyond it the oldest that nobody names are dropped.
const STATES_BYTES_MAX: u64 = 64 << 20;
/// And how many they are.
const STATES_MAX: u64 = 1024;
/// The same of file lists.
pub const LISTS_BYTES_MAX: u64 = 256 << 20;

impl Store {
    /// Bytes of the file lists that a host handed in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_bytes(&self, host: &HostId) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT COALESCE(SUM(bytes), 0) FROM file_lists WHERE host = $1";
        let (bytes,): (i64,) = sqlx::query_as(SQL).bind(host.as_str().to_owned()).fetch_one(&self.readers).await?;
        unsigned("file_lists", bytes)
    }
}

impl Transaction<'_> {
    /// Keeps a state, once: `host` names it now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_state(
        &mut self,
        host: &HostId,
        digest: &Digest,
        now: Time,
        state: StateRow,
        is_named: impl Fn(&Digest) -> bool,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO states (digest, first, version, body, host, bytes, named) \
            VALUES ($1, $2, $3, $4, $5, $6, $2) ON CONFLICT (digest) DO UPDATE SET named = excluded.named";
        let bytes = i64::try_from(state.body.len()).unwrap_or(i64::MAX);
        sqlx::query(SQL)
            .bind(digest.as_bytes().to_vec())
            .bind(now.unix_ms())
            .bind(state.version)
            .bind(state.body)
            .bind(host.as_str().to_owned())
            .bind(bytes)
            .execute(&mut *self.0)
            .await?;
        let sum = sqlx::query_as("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM states WHERE host = $1");
        let (count, sum): (i64, i64) = sum.bind(host.as_str().to_owned()).fetch_one(&mut *self.0).await?;
        let (mut count, mut sum) = (unsigned("states", count)?, unsigned("states", sum)?);
        if count <= STATES_MAX && sum <= STATES_BYTES_MAX {
            return Ok(());
        }
        let rows = sqlx::query_as("SELECT digest, bytes FROM states WHERE host = $1 ORDER BY named");
        let rows: Vec<(Vec<u8>, i64)> = rows.bind(host.as_str().to_owned()).fetch_all(&mut *self.0).await?;
        for (hash, bytes) in rows {
            // Down to a half, so that the next ones do not have to look again.
            if count <= STATES_MAX / 2 && sum <= STATES_BYTES_MAX / 2 {
                break;
            }
            let known = self::digest("states", &hash)?;
            if known == *digest || is_named(&known) {
                continue;
            }
            sqlx::query("DELETE FROM states WHERE digest = $1").bind(hash).execute(&mut *self.0).await?;
            count = count.saturating_sub(1);
            sum = sum.saturating_sub(unsigned("states", bytes)?);
        }
        Ok(())
    }

    /// Keeps a file list, once: `host` handed it in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_file_list(
        &mut self,
        host: &HostId,
        digest: &Digest,
        now: Time,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO file_lists (digest, stored, body, host, bytes, named) \
            VALUES ($1, $2, $3, $4, $5, $2) ON CONFLICT (digest) DO UPDATE SET named = excluded.named";
        sqlx::query(SQL)
            .bind(digest.as_bytes().to_vec())
            .bind(now.unix_ms())
            .bind(bytes.to_vec())
            .bind(host.as_str().to_owned())
            .bind(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Drops states and file lists that nobody has named for a day. `lists` are those that hosts name now.
    /// Returns the lists that are gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn collect(&mut self, lists: &[Digest], now: Time) -> Result<Vec<Digest>, StoreError> {
        const NAMED: &str = "SELECT state FROM hosts WHERE state IS NOT NULL";
        let before = now.before(UNNAMED_KEPT).unix_ms();
        let states = format!("UPDATE states SET named = $1 WHERE digest IN ({NAMED})");
        sqlx::query(sqlx::AssertSqlSafe(states)).bind(now.unix_ms()).execute(&mut *self.0).await?;
        let states = format!("DELETE FROM states WHERE named < $1 AND digest NOT IN ({NAMED})");
        sqlx::query(sqlx::AssertSqlSafe(states)).bind(before).execute(&mut *self.0).await?;
        for list in lists {
            let query = sqlx::query("UPDATE file_lists SET named = $2 WHERE digest = $1");
            query.bind(list.as_bytes().to_vec()).bind(now.unix_ms()).execute(&mut *self.0).await?;
        }
        let gone = sqlx::query_as("DELETE FROM file_lists WHERE named < $1 RETURNING digest");
        let gone: Vec<(Vec<u8>,)> = gone.bind(before).fetch_all(&mut *self.0).await?;
        gone.iter().map(|(bytes,)| digest("file_lists", bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    fn digest_of(number: usize) -> Digest {
        Digest::of(number.to_string().as_bytes())
    }

    fn state(bytes: usize) -> StateRow {
        StateRow { version: 2, body: "x".repeat(bytes) }
    }

    #[tokio::test]
    async fn what_nobody_has_named_for_a_day_is_dropped_and_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = store::create(directory.path(), "main", &"p".parse().unwrap()).await.unwrap();
        let (host, start) = ("402206-ap1".parse().unwrap(), Time::from_unix_ms(1_700_000_000_000));
        let mut transaction = connection.begin().await.unwrap();
        for number in 0..3 {
            transaction.save_state(&host, &digest_of(number), start, state(10), |_| false).await.unwrap();
            transaction.save_file_list(&host, &digest_of(number), start, b"x").await.unwrap();
        }
        let mut row = manifests::fleet::FleetHost::default();
        row.state = Some(digest_of(0));
        transaction.save_host(&host, &row).await.unwrap();
        let later = start.after(UNNAMED_KEPT);
        assert_eq!(transaction.collect(&[digest_of(1)], later).await.unwrap(), []);
        transaction.save_state(&host, &digest_of(2), later, state(10), |_| false).await.unwrap();
        let gone = transaction.collect(&[digest_of(1)], later.after(Span::from_ms(1))).await.unwrap();
        assert_eq!(gone.len(), 2, "lists that no host names");
        let left: Vec<(Vec<u8>,)> =
            sqlx::query_as("SELECT digest FROM states").fetch_all(&mut *transaction.0).await.unwrap();
        let left: Vec<Digest> = left.iter().map(|(bytes,)| digest("states", bytes).unwrap()).collect();
        assert!(left.len() == 2 && left.contains(&digest_of(0)) && left.contains(&digest_of(2)), "{left:?}");
    }

    #[tokio::test]
    async fn a_host_with_ever_new_states_has_a_budget() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = store::create(directory.path(), "main", &"p".parse().unwrap()).await.unwrap();
        let (host, now) = ("402206-ap1".parse().unwrap(), Time::from_unix_ms(1_700_000_000_000));
        let mut transaction = connection.begin().await.unwrap();
        for number in 0..3000_usize {
            let at = now.after(Span::from_ms(number as u64));
            let first = digest_of(0);
            transaction.save_state(&host, &digest_of(number), at, state(10), |named| *named == first).await.unwrap();
        }
        let (left,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM states").fetch_one(&mut *transaction.0).await.unwrap();
        assert!(left <= 1024, "{left}");
        for kept in [0, 2999] {
            let found: Vec<(i64,)> = sqlx::query_as("SELECT first FROM states WHERE digest = $1")
                .bind(digest_of(kept).as_bytes().to_vec())
                .fetch_all(&mut *transaction.0)
                .await
                .unwrap();
            assert_eq!(found.len(), 1, "{kept}: the newest, and what a host names");
        }
    }
}
