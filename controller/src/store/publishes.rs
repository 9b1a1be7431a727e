//! What was published, and by whom.

use manifests::api::Versions;
use manifests::digest::Digest;
use manifests::set::VerifiedSet;
use manifests::time::Time;

use super::columns::{digest, json, read, time};
use super::{Connection, Store, StoreError, Transaction};

/// One publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRow {
    /// When it was put in force.
    pub time: Time,
    /// Who published.
    pub operator: String,
    /// Digest of the baseline.
    pub baseline: Digest,
    /// Its version.
    pub version: String,
    /// Versions of the metadata.
    pub versions: Versions,
}

impl PublishRow {
    /// `operator` put `set`, with metadata of these versions, in force at `time`.
    pub fn new(set: &VerifiedSet, versions: Versions, operator: String, time: Time) -> Self {
        let baseline = set.reference.digest();
        Self { time, operator, baseline, version: set.reference.baseline().version.to_string(), versions }
    }
}

impl Store {
    /// Every publish, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn publishes(&self) -> Result<Vec<PublishRow>, StoreError> {
        const TABLE: &str = "publishes";
        const SQL: &str = "SELECT time, operator, baseline, version, versions FROM publishes ORDER BY id DESC";
        let rows: Vec<(i64, String, Vec<u8>, String, String)> = sqlx::query_as(SQL).fetch_all(&self.readers).await?;
        let publish = |(time, operator, baseline, version, versions): (i64, String, Vec<u8>, String, String)| {
            let (time, baseline) = (self::time(TABLE, time)?, digest(TABLE, &baseline)?);
            Ok(PublishRow { time, operator, baseline, version, versions: read(TABLE, &versions)? })
        };
        rows.into_iter().map(publish).collect()
    }
}

impl Connection {
    /// Whether anything was ever published.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_published(&mut self) -> Result<bool, StoreError> {
        let (any,): (bool,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM publishes)").fetch_one(&mut self.0).await?;
        Ok(any)
    }
}

impl Transaction<'_> {
    /// Appends a publish.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn publish(&mut self, row: &PublishRow) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO publishes (time, operator, baseline, version, versions) VALUES ($1, $2, $3, $4, $5)")
            .bind(row.time.unix_ms())
            .bind(row.operator.clone())
            .bind(row.baseline.as_bytes().to_vec())
            .bind(row.version.clone())
            .bind(json(&row.versions)?)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
