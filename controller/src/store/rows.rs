//! Rows in and out. One SQL text with `$n` for every database to come.

use std::collections::BTreeSet;

use manifests::api::{FleetEvent, Standing, Versions};
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::evidence::{Cover, Evidence, State};
use manifests::fleet::{Host, HostRecord, KnownStop, Site};
use manifests::id::{HostId, ProductId, SiteCode};
use manifests::key::PublicKey;
use manifests::set::VerifiedSet;
use manifests::stop::{Stop, StopRef};
use manifests::time::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqliteExecutor};

use super::StoreError;

type Done = Result<(), StoreError>;

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| damaged("none", error.to_string()))
}

fn read<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(table, error.to_string()))
}

fn integer(table: &'static str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| damaged(table, format!("{value} does not fit")))
}

fn unsigned(table: &'static str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| damaged(table, format!("{value} is below zero")))
}

fn digest(table: &'static str, bytes: &[u8]) -> Result<Digest, StoreError> {
    let bytes = <[u8; 32]>::try_from(bytes);
    bytes.map(Digest::from_bytes).map_err(|_| damaged(table, "a digest has 32 bytes"))
}

fn id<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| damaged(table, format!("{text:?} is no id")))
}

fn time(table: &'static str, value: i64) -> Result<Time, StoreError> {
    let time = Time::from_unix_ms(value);
    if time.unix_ms() == value { Ok(time) } else { Err(damaged(table, format!("{value} is no time"))) }
}

fn damaged(table: &'static str, why: impl Into<String>) -> StoreError {
    StoreError::Damaged { table, why: why.into() }
}

/// Says whose database it is.
///
/// # Errors
/// [`StoreError`].
pub async fn save_controller(connection: &mut SqliteConnection, id: &str, product: &ProductId) -> Done {
    let query = sqlx::query("INSERT INTO controller (id, product) VALUES ($1, $2)");
    query.bind(id).bind(product.as_str()).execute(connection).await?;
    Ok(())
}

/// Whose database it is: id and product.
///
/// # Errors
/// [`StoreError`].
pub async fn controller(connection: &mut SqliteConnection) -> Result<(String, ProductId), StoreError> {
    let row: (String, String) = sqlx::query_as("SELECT id, product FROM controller").fetch_one(connection).await?;
    Ok((row.0, id("controller", &row.1)?))
}

/// Writes all that is stored of a host but its key.
///
/// # Errors
/// [`StoreError`].
pub async fn save_host(connection: &mut SqliteConnection, id: &HostId, host: &Host) -> Done {
    const SQL: &str = "INSERT INTO hosts (id, sequence, document, heard, resumed_at, boot_id, boot_ms, permit_named, \
        stop_named, clone_suspected, skewed_wall, cover, state, unshown, permit, issue_until, acknowledged) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
        ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, document = excluded.document, \
        heard = excluded.heard, resumed_at = excluded.resumed_at, boot_id = excluded.boot_id, \
        boot_ms = excluded.boot_ms, permit_named = excluded.permit_named, stop_named = excluded.stop_named, \
        clone_suspected = excluded.clone_suspected, skewed_wall = excluded.skewed_wall, cover = excluded.cover, \
        state = excluded.state, unshown = excluded.unshown, permit = excluded.permit, \
        issue_until = excluded.issue_until, acknowledged = excluded.acknowledged";
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
        .bind(record.stop_named.as_ref().map(json).transpose()?)
        .bind(record.clone_suspected)
        .bind(record.skewed_wall.map(Time::unix_ms))
        .bind(host.evidence.as_ref().map(|evidence| json(&evidence.cover)).transpose()?)
        .bind(host.state.map(|digest| digest.as_bytes().to_vec()))
        .bind(host.unshown)
        .bind(host.permit.as_ref().map(json).transpose()?)
        .bind(host.issue_until.map(Time::unix_ms))
        .bind(integer("hosts", host.acknowledged)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes a host's key. The host's row must be there.
///
/// # Errors
/// [`StoreError`].
pub async fn save_key(connection: &mut SqliteConnection, host: &HostId, key: &PublicKey) -> Done {
    sqlx::query("UPDATE hosts SET key_id = $2, key = $3 WHERE id = $1")
        .bind(host.as_str())
        .bind(key.id().as_str().to_owned())
        .bind(json(key)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Every host with its key, if it has one.
///
/// # Errors
/// [`StoreError`].
pub async fn hosts(connection: &mut SqliteConnection) -> Result<Vec<(HostId, Host, Option<PublicKey>)>, StoreError> {
    const SQL: &str = "SELECT h.*, s.body AS state_body FROM hosts h LEFT JOIN states s ON s.digest = h.state";
    let rows = sqlx::query(SQL).fetch_all(connection).await?;
    rows.iter().map(host).collect()
}

fn host(row: &SqliteRow) -> Result<(HostId, Host, Option<PublicKey>), StoreError> {
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
        stop_named: text("stop_named")?.map(|text| read(TABLE, &text)).transpose()?,
        clone_suspected: row.try_get("clone_suspected")?,
        skewed_wall: at("skewed_wall")?,
    };
    let cover: Option<Cover> = text("cover")?.map(|text| read(TABLE, &text)).transpose()?;
    let state: Option<State> = text("state_body")?.map(|text| read("states", &text)).transpose()?;
    let digest = blob("state")?;
    let id: HostId = id(TABLE, &row.try_get::<String, _>("id")?)?;
    // They are written together. One without the others would be a host that showed nothing.
    let evidence = match (cover, digest, state) {
        (Some(cover), Some(_), Some(state)) => Some(Evidence { cover, state }),
        (None, None, None) => None,
        (Some(_), Some(_), None) => return Err(damaged("states", format!("the state of {id} is missing"))),
        _ => return Err(damaged(TABLE, format!("{id} has a cover or a state without the other"))),
    };
    let mut host = Host::default();
    host.key = key.as_ref().map(PublicKey::id);
    host.record = record;
    host.state = digest;
    host.evidence = evidence;
    host.unshown = row.try_get("unshown")?;
    host.permit = text("permit")?.map(|text| read(TABLE, &text)).transpose()?;
    host.issue_until = at("issue_until")?;
    host.acknowledged = number("acknowledged")?;
    Ok((id, host, key))
}

/// Keeps the newest full evidence of a host, as it was signed.
///
/// # Errors
/// [`StoreError`].
pub async fn save_evidence(connection: &mut SqliteConnection, host: &HostId, received: Time, envelope: &str) -> Done {
    const SQL: &str = "INSERT INTO evidence (host, received, envelope) VALUES ($1, $2, $3) \
        ON CONFLICT (host) DO UPDATE SET received = excluded.received, envelope = excluded.envelope";
    sqlx::query(SQL).bind(host.as_str()).bind(received.unix_ms()).bind(envelope.to_owned()).execute(connection).await?;
    Ok(())
}

/// Keeps a state, once.
///
/// # Errors
/// [`StoreError`].
pub async fn save_state(connection: &mut SqliteConnection, digest: &Digest, first: Time, state: &State) -> Done {
    sqlx::query("INSERT INTO states (digest, first, body) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
        .bind(digest.as_bytes().to_vec())
        .bind(first.unix_ms())
        .bind(json(state)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps a file list, once.
///
/// # Errors
/// [`StoreError`].
pub async fn save_file_list(connection: &mut SqliteConnection, digest: &Digest, stored: Time, bytes: &[u8]) -> Done {
    sqlx::query("INSERT INTO file_lists (digest, stored, body) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
        .bind(digest.as_bytes().to_vec())
        .bind(stored.unix_ms())
        .bind(bytes.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

/// Digests of the file lists there are.
///
/// # Errors
/// [`StoreError`].
pub async fn stored_lists(connection: &mut SqliteConnection) -> Result<Vec<Digest>, StoreError> {
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as("SELECT digest FROM file_lists").fetch_all(connection).await?;
    rows.iter().map(|(bytes,)| digest("file_lists", bytes)).collect()
}

/// Writes how a site stands.
///
/// # Errors
/// [`StoreError`].
pub async fn save_site(connection: &mut SqliteConnection, code: &SiteCode, site: &Site) -> Done {
    const SQL: &str = "INSERT INTO sites (code, standing, since) VALUES ($1, $2, $3) \
        ON CONFLICT (code) DO UPDATE SET standing = excluded.standing, since = excluded.since";
    let query = sqlx::query(SQL).bind(code.as_str()).bind(json(&site.standing)?).bind(site.since.unix_ms());
    query.execute(connection).await?;
    Ok(())
}

/// How every site stood.
///
/// # Errors
/// [`StoreError`].
pub async fn sites(connection: &mut SqliteConnection) -> Result<Vec<(SiteCode, Standing, Time)>, StoreError> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT code, standing, since FROM sites").fetch_all(connection).await?;
    let site = |(code, standing, since): &(String, String, i64)| {
        Ok((id("sites", code)?, read("sites", standing)?, time("sites", *since)?))
    };
    rows.iter().map(site).collect()
}

/// Looks at a one-time token. By its hash, so that the time it takes tells nothing of the tokens
/// there are.
///
/// # Errors
/// [`StoreError`].
pub async fn peek_token(connection: &mut SqliteConnection, hash: &Digest, now: Time) -> Result<TokenUse, StoreError> {
    type Row = (String, bool, i64, Option<i64>);
    let row: Option<Row> = sqlx::query_as("SELECT host, replaces, expires, used FROM tokens WHERE hash = $1")
        .bind(hash.as_bytes().to_vec())
        .fetch_optional(connection)
        .await?;
    Ok(match row {
        None => TokenUse::Unknown,
        Some((host, _, _, Some(_))) => TokenUse::UsedBefore { host: id("tokens", &host)? },
        Some((_, _, expires, None)) if time("tokens", expires)? <= now => TokenUse::Expired,
        Some((host, replaces, _, None)) => TokenUse::Usable { host: id("tokens", &host)?, replaces },
    })
}

/// Uses a one-time token up.
///
/// # Errors
/// [`StoreError::Damaged`] if it is used up already: whoever calls this has looked in the same
/// transaction.
pub async fn use_token(connection: &mut SqliteConnection, hash: &Digest, now: Time) -> Done {
    let query = sqlx::query("UPDATE tokens SET used = $2 WHERE hash = $1 AND used IS NULL");
    let used = query.bind(hash.as_bytes().to_vec()).bind(now.unix_ms()).execute(connection).await?;
    if used.rows_affected() == 1 { Ok(()) } else { Err(damaged("tokens", "a token changed inside a transaction")) }
}

/// How a one-time token stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// It is good.
    Usable {
        /// The host that it is for.
        host: HostId,
        /// Whether the host may have a key already.
        replaces: bool,
    },
    /// It was used.
    UsedBefore {
        /// The host that it was for.
        host: HostId,
    },
    /// Its time is over.
    Expired,
    /// There is no such token.
    Unknown,
}

/// Appends a stop to the chain.
///
/// # Errors
/// [`StoreError`].
pub async fn save_stop(connection: &mut SqliteConnection, stop: &StopRef, envelope: &Sealed<Stop>) -> Done {
    sqlx::query("INSERT INTO stops (number, digest, envelope) VALUES ($1, $2, $3)")
        .bind(integer("stops", stop.number)?)
        .bind(stop.digest.as_bytes().to_vec())
        .bind(json(envelope)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Every stop, oldest first, with its envelope.
///
/// `key` is this controller's permit key: what it does not verify is not a stop of ours.
///
/// # Errors
/// [`StoreError`].
pub async fn stops(
    connection: &mut SqliteConnection,
    key: &PublicKey,
) -> Result<Vec<(KnownStop, Sealed<Stop>)>, StoreError> {
    const TABLE: &str = "stops";
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT number, envelope FROM stops ORDER BY number").fetch_all(&mut *connection).await?;
    let mut stops = Vec::new();
    for (number, envelope) in rows {
        let sealed: Sealed<Stop> = read(TABLE, &envelope)?;
        let verified = sealed.clone().verify([key]);
        let verified = verified.map_err(|error| damaged(TABLE, format!("{number}: {error}")))?;
        let reference = StopRef { number: verified.number, digest: verified.digest() };
        // Numbered from 1 without gaps, each naming the one before: a stop that is lost stops nobody.
        let before = stops.last().map(|(known, _): &(KnownStop, _)| known.reference);
        let follows = before.map_or(1, |before| before.number.saturating_add(1)) == verified.number
            && before.map(|before| before.digest) == verified.previous;
        if !follows || unsigned(TABLE, number)? != verified.number {
            return Err(damaged(TABLE, format!("{number} does not follow the one before it")));
        }
        let hosts: Vec<(String,)> = sqlx::query_as("SELECT host FROM acknowledgements WHERE stop = $1")
            .bind(number)
            .fetch_all(&mut *connection)
            .await?;
        let acknowledged =
            hosts.iter().map(|(host,)| id("acknowledgements", host)).collect::<Result<BTreeSet<HostId>, _>>()?;
        stops.push((KnownStop { reference, stop: verified.into_document(), acknowledged }, sealed));
    }
    Ok(stops)
}

/// Keeps an acknowledgement, as it was signed.
///
/// # Errors
/// [`StoreError`].
pub async fn acknowledge(
    connection: &mut SqliteConnection,
    stop: u64,
    host: &HostId,
    received: Time,
    envelope: &str,
) -> Done {
    const SQL: &str = "INSERT INTO acknowledgements (stop, host, received, envelope) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (stop, host) DO NOTHING";
    sqlx::query(SQL)
        .bind(integer("acknowledgements", stop)?)
        .bind(host.as_str())
        .bind(received.unix_ms())
        .bind(envelope.to_owned())
        .execute(connection)
        .await?;
    Ok(())
}

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

/// Appends a publish.
///
/// # Errors
/// [`StoreError`].
pub async fn publish(connection: &mut SqliteConnection, row: &PublishRow) -> Done {
    sqlx::query("INSERT INTO publishes (time, operator, baseline, version, versions) VALUES ($1, $2, $3, $4, $5)")
        .bind(row.time.unix_ms())
        .bind(row.operator.clone())
        .bind(row.baseline.as_bytes().to_vec())
        .bind(row.version.clone())
        .bind(json(&row.versions)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Every publish, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn publishes(connection: &mut SqliteConnection) -> Result<Vec<PublishRow>, StoreError> {
    const TABLE: &str = "publishes";
    const SQL: &str = "SELECT time, operator, baseline, version, versions FROM publishes ORDER BY id DESC";
    let rows: Vec<(i64, String, Vec<u8>, String, String)> = sqlx::query_as(SQL).fetch_all(connection).await?;
    let publish = |(time, operator, baseline, version, versions): (i64, String, Vec<u8>, String, String)| {
        let (time, baseline) = (self::time(TABLE, time)?, digest(TABLE, &baseline)?);
        Ok(PublishRow { time, operator, baseline, version, versions: read(TABLE, &versions)? })
    };
    rows.into_iter().map(publish).collect()
}

/// Appends an event, and drops the one that is `kept` older.
///
/// # Errors
/// [`StoreError`].
pub async fn event(connection: &mut SqliteConnection, event: &FleetEvent, kept: u64) -> Done {
    let query = sqlx::query("INSERT INTO events (id, body) VALUES ($1, $2)");
    query.bind(integer("events", event.id)?).bind(json(event)?).execute(&mut *connection).await?;
    if let Some(old) = event.id.checked_sub(kept) {
        sqlx::query("DELETE FROM events WHERE id = $1").bind(integer("events", old)?).execute(connection).await?;
    }
    Ok(())
}

/// Up to `most` events behind `id`, oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn events_after(
    executor: impl SqliteExecutor<'_>,
    id: u64,
    most: u32,
) -> Result<Vec<FleetEvent>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT body FROM events WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(integer("events", id)?)
        .bind(most)
        .fetch_all(executor)
        .await?;
    rows.iter().map(|(body,)| read("events", body)).collect()
}

/// Id of the newest event; 0 for none.
///
/// # Errors
/// [`StoreError`].
pub async fn newest_event(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let row: (Option<i64>,) = sqlx::query_as("SELECT MAX(id) FROM events").fetch_one(connection).await?;
    row.0.map_or(Ok(0), |id| unsigned("events", id))
}

/// Changes one row, to see that it can be done.
///
/// # Errors
/// [`StoreError`].
pub async fn probe(connection: &mut SqliteConnection, now: Time) -> Done {
    sqlx::query("INSERT INTO health (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at")
        .bind(now.unix_ms())
        .execute(connection)
        .await?;
    Ok(())
}
