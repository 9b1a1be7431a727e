//! Hosts and sites: how they stand, and what hosts have shown.

use manifests::api::Standing;
use manifests::digest::Digest;
use manifests::evidence::cover::one_stop;
use manifests::evidence::{AnyEvidence, AnyState, Cover, Evidence, v1};
use manifests::fleet::{FleetHost, FleetSite, HostRecord};
use manifests::id::{HostId, SiteCode};
use manifests::key::PublicKey;
use manifests::permit::{self, Permit};
use manifests::stop::StopRef;
use manifests::time::Time;
use serde::Deserialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::columns::{damaged, digest, id, integer, json, read, time, unsigned};
use super::{Connection, StoreError, Transaction};

/// A state as it is stored: as it was sent.
#[derive(Clone, Debug)]
pub struct StateRow {
    pub(super) version: i64,
    pub(super) body: String,
}

impl StateRow {
    /// The row of the state of `evidence`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it has no JSON form.
    pub fn of(evidence: &AnyEvidence) -> Result<Self, StoreError> {
        Ok(match &*evidence.state {
            AnyState::V1(state) => Self { version: 1, body: json(state)? },
            AnyState::V2(state) => Self { version: 2, body: json(state)? },
        })
    }

    fn with(self, cover: Cover) -> Result<AnyEvidence, StoreError> {
        const TABLE: &str = "states";
        match self.version {
            1 => Ok(v1::Evidence { cover, state: read(TABLE, &self.body)? }.into()),
            2 => Ok(Evidence { cover, state: read(TABLE, &self.body)? }.into()),
            version => Err(damaged(TABLE, format!("a state has version {version}; this controller knows 1 and 2"))),
        }
    }
}

/// The stops that a host named, as this controller stores them or one of before did.
#[derive(Deserialize)]
#[serde(untagged)]
enum StopsNamed {
    Several(Vec<StopRef>),
    One(StopRef),
}

impl From<StopsNamed> for Vec<StopRef> {
    fn from(named: StopsNamed) -> Self {
        match named {
            StopsNamed::Several(stops) => stops,
            StopsNamed::One(stop) => vec![stop],
        }
    }
}

/// A cover, as this controller stores it or one of before did.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredCover {
    Present(Cover),
    Before(#[serde(with = "one_stop")] Cover),
}

impl From<StoredCover> for Cover {
    fn from(stored: StoredCover) -> Self {
        match stored {
            StoredCover::Present(cover) | StoredCover::Before(cover) => cover,
        }
    }
}

/// A permit, as this controller stores it or one of before did.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredPermit {
    Present(Permit),
    Before(permit::v1::Permit),
}

impl From<StoredPermit> for Permit {
    fn from(stored: StoredPermit) -> Self {
        match stored {
            StoredPermit::Present(permit) => permit,
            StoredPermit::Before(permit) => permit.into(),
        }
    }
}

impl Connection {
    /// Every host with its key, if it has one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hosts(&mut self) -> Result<Vec<(HostId, FleetHost, Option<PublicKey>)>, StoreError> {
        const SQL: &str = "SELECT h.*, s.version AS state_version, s.body AS state_body FROM hosts h \
            LEFT JOIN states s ON s.digest = h.state";
        let rows = sqlx::query(SQL).fetch_all(&mut self.0).await?;
        rows.iter().map(host).collect()
    }

    /// How every site stood.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sites(&mut self) -> Result<Vec<(SiteCode, Standing, Time)>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT code, standing, since FROM sites").fetch_all(&mut self.0).await?;
        let site = |(code, standing, since): &(String, String, i64)| {
            Ok((id("sites", code)?, read("sites", standing)?, time("sites", *since)?))
        };
        rows.iter().map(site).collect()
    }

    /// Digests of the file lists there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stored_lists(&mut self) -> Result<Vec<Digest>, StoreError> {
        let rows: Vec<(Vec<u8>,)> = sqlx::query_as("SELECT digest FROM file_lists").fetch_all(&mut self.0).await?;
        rows.iter().map(|(bytes,)| digest("file_lists", bytes)).collect()
    }
}

impl Transaction<'_> {
    /// Writes all that is stored of a host but its key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_host(&mut self, id: &HostId, host: &FleetHost) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO hosts (id, sequence, document, heard, resumed_at, boot_id, boot_ms, permit_named, \
            stop_named, clone_suspected, skewed_wall, cover, state, unshown, permit, issue_until, acknowledged, permit_floor, \
            document_version, generation) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) \
            ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, document = excluded.document, \
            heard = excluded.heard, resumed_at = excluded.resumed_at, boot_id = excluded.boot_id, \
            boot_ms = excluded.boot_ms, permit_named = excluded.permit_named, stop_named = excluded.stop_named, \
            clone_suspected = excluded.clone_suspected, skewed_wall = excluded.skewed_wall, cover = excluded.cover, \
            state = excluded.state, unshown = excluded.unshown, permit = excluded.permit, \
            issue_until = excluded.issue_until, acknowledged = excluded.acknowledged, \
            permit_floor = excluded.permit_floor, document_version = excluded.document_version, \
            generation = excluded.generation";
        let record = &host.record;
        sqlx::query(SQL)
            .bind(id.as_str())
            .bind(integer("hosts", record.sequence)?)
            .bind(record.document.map(|digest| digest.as_bytes().to_vec()))
            .bind(record.heard.map(Time::unix_ms))
            .bind(record.resumed_at.map(Time::unix_ms))
            .bind(record.boot_id.clone())
            .bind(integer("hosts", record.boot_ms)?)
            .bind(integer("hosts", record.permit_named)?)
            .bind(json(&record.stops_named)?)
            .bind(record.clone_suspected)
            .bind(record.skewed_wall.map(Time::unix_ms))
            .bind(host.evidence.as_ref().map(|evidence| json(evidence.cover())).transpose()?)
            .bind(host.state.map(|digest| digest.as_bytes().to_vec()))
            .bind(host.unshown)
            .bind(host.permit.as_ref().map(json).transpose()?)
            .bind(host.issue_until.map(Time::unix_ms))
            .bind(integer("hosts", host.acknowledged)?)
            .bind(integer("hosts", host.permit_floor)?)
            .bind(integer("hosts", host.version)?)
            .bind(integer("hosts", host.generation)?)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Writes a host's key. The host's row must be there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_key(&mut self, host: &HostId, key: &PublicKey) -> Result<(), StoreError> {
        sqlx::query("UPDATE hosts SET key_id = $2, key = $3 WHERE id = $1")
            .bind(host.as_str())
            .bind(key.id().as_str().to_owned())
            .bind(json(key)?)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Keeps the newest full evidence of a host, as it was signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_evidence(&mut self, host: &HostId, received: Time, envelope: &str) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO evidence (host, received, envelope) VALUES ($1, $2, $3) \
            ON CONFLICT (host) DO UPDATE SET received = excluded.received, envelope = excluded.envelope";
        sqlx::query(SQL)
            .bind(host.as_str())
            .bind(received.unix_ms())
            .bind(envelope.to_owned())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Writes how a site stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_site(&mut self, code: &SiteCode, site: &FleetSite) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO sites (code, standing, since) VALUES ($1, $2, $3) \
            ON CONFLICT (code) DO UPDATE SET standing = excluded.standing, since = excluded.since";
        let query = sqlx::query(SQL).bind(code.as_str()).bind(json(&site.standing)?).bind(site.since.unix_ms());
        query.execute(&mut *self.0).await?;
        Ok(())
    }
}

fn host(row: &SqliteRow) -> Result<(HostId, FleetHost, Option<PublicKey>), StoreError> {
    const TABLE: &str = "hosts";
    let key = row.try_get::<Option<String>, _>("key")?.map(|text| read::<PublicKey>(TABLE, &text)).transpose()?;
    let blob = |column: &str| -> Result<Option<Digest>, StoreError> {
        row.try_get::<Option<Vec<u8>>, _>(column)?.map(|bytes| digest(TABLE, &bytes)).transpose()
    };
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    let number = |column: &str| -> Result<u64, StoreError> { unsigned(TABLE, row.try_get(column)?) };
    let at = |column: &str| -> Result<Option<Time>, StoreError> {
        row.try_get::<Option<i64>, _>(column)?.map(|value| time(TABLE, value)).transpose()
    };
    let record = HostRecord {
        sequence: number("sequence")?,
        document: blob("document")?,
        heard: at("heard")?,
        resumed_at: at("resumed_at")?,
        boot_id: row.try_get("boot_id")?,
        boot_ms: number("boot_ms")?,
        permit_named: number("permit_named")?,
        stops_named: text("stop_named")?
            .map(|text| read(TABLE, &text))
            .transpose()?
            .map_or_else(Vec::new, StopsNamed::into),
        clone_suspected: row.try_get("clone_suspected")?,
        skewed_wall: at("skewed_wall")?,
    };
    let cover = text("cover")?.map(|text| read::<StoredCover>(TABLE, &text)).transpose()?.map(Cover::from);
    let version: Option<i64> = row.try_get("state_version")?;
    let state = version.zip(text("state_body")?).map(|(version, body)| StateRow { version, body });
    let digest = blob("state")?;
    let id: HostId = id(TABLE, &row.try_get::<String, _>("id")?)?;
    // They are written together. One without the others would be a host that showed nothing.
    let evidence = match (cover, digest, state) {
        (Some(cover), Some(_), Some(state)) => Some(state.with(cover)?),
        (None, None, None) => None,
        (Some(_), Some(_), None) => return Err(damaged("states", format!("the state of {id} is missing"))),
        _ => return Err(damaged(TABLE, format!("{id} has a cover or a state without the other"))),
    };
    let mut host = FleetHost::default();
    host.key = key.as_ref().map(PublicKey::id);
    host.record = record;
    host.state = digest;
    host.evidence = evidence;
    host.unshown = row.try_get("unshown")?;
    host.permit = text("permit")?.map(|text| read::<StoredPermit>(TABLE, &text)).transpose()?.map(Permit::from);
    host.issue_until = at("issue_until")?;
    host.acknowledged = number("acknowledged")?;
    host.permit_floor = number("permit_floor")?;
    host.version = number("document_version")?;
    host.generation = number("generation")?;
    Ok((id, host, key))
}
