//! The store: what must outlive the process.
//!
//! One SQLite file: write-ahead log, `synchronous=FULL`, so that a commit is on disk when it
//! returns. One connection writes ([`crate::writer`]), a few read. Every writing transaction begins
//! with `BEGIN IMMEDIATE`: one that reads first and then asks for the write lock loses to any other.
//! A lock file beside it keeps a second controller out, and is held while migrations run, which take
//! no lock of their own.

mod rows;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use manifests::digest::Digest;
use manifests::id::{HostId, ProductId};
use manifests::time::Time;
use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};

pub use rows::{
    PublishRow, TokenUse, acknowledge, controller, event, events_after, hosts, newest_event, peek_token, probe,
    publish, publishes, save_controller, save_evidence, save_file_list, save_host, save_key, save_site, save_state,
    save_stop, sites, stops, stored_lists, use_token,
};

use crate::role::Role;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a writer waits for another one, as the `token` command.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read.
const READERS: u32 = 4;

/// Why the store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process serves the same directory.
    #[error("{} is held by another controller", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be made.
    #[error("cannot open {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database's schema cannot be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored row cannot be read.
    #[error("table {table} is damaged: {why}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong with which row.
        why: String,
    },
}

impl StoreError {
    /// Whether the disk failed under the database. A write that was lost is reported once: whether
    /// another attempt is on disk, nobody can tell any more but a new process that reads it again.
    pub fn is_disk_failure(&self) -> bool {
        const SQLITE_IOERR: i32 = 10;
        match self {
            StoreError::Database(sqlx::Error::Io(_)) => true,
            StoreError::Database(sqlx::Error::Database(error)) => {
                // The lowest byte of SQLite's extended code is the kind.
                error.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == SQLITE_IOERR)
            }
            _ => false,
        }
    }
}

/// Connections to one controller's database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    readers: SqlitePool,
    // Released by the system when the process ends, however it ends.
    _lock: File,
}

impl Store {
    /// Opens the database of a data directory for serving, bringing its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process serves it; otherwise why it cannot be opened.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let lock_path = directory.join("controller.lock");
        let lock = File::options().create(true).append(true).open(&lock_path);
        let lock = lock.map_err(|source| StoreError::Lock { path: lock_path.clone(), source })?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StoreError::Locked { path: lock_path.clone() })?;
        let path = database(directory);
        let migrating = SqlitePoolOptions::new().max_connections(1);
        let migrating = migrating.connect_with(options(&path).create_if_missing(true)).await?;
        MIGRATOR.run(&migrating).await?;
        migrating.close().await;
        let readers =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options(&path).read_only(true)).await?;
        Ok(Self { path, readers, _lock: lock })
    }

    /// The connection that writes.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn writer(&self) -> Result<SqliteConnection, StoreError> {
        Ok(SqliteConnection::connect_with(&options(&self.path)).await?)
    }

    /// Connections that only read.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Whose token this is; none for an unknown one. Looked up by hash, so that the time it takes
    /// tells nothing of the tokens there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn operator(&self, token: &str) -> Result<Option<(String, Role)>, StoreError> {
        let hash = Digest::of(token.as_bytes());
        let row: Option<(String, String)> = sqlx::query_as("SELECT name, role FROM operators WHERE hash = $1")
            .bind(hash.as_bytes().to_vec())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|(name, role)| {
            let role = role.parse().map_err(|_| StoreError::Damaged { table: "operators", why: name.clone() })?;
            Ok((name, role))
        })
        .transpose()
    }
}

/// A connection for a command that works beside a serving controller.
///
/// # Errors
/// [`StoreError::Database`] if there is no database yet.
pub async fn connect(directory: &Path) -> Result<SqliteConnection, StoreError> {
    Ok(SqliteConnection::connect_with(&options(&database(directory))).await?)
}

/// Stores a one-time token's hash.
///
/// # Errors
/// [`StoreError`].
pub async fn add_token(
    connection: &mut SqliteConnection,
    token: &str,
    host: &HostId,
    replaces: bool,
    made: Time,
    expires: Time,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO tokens (hash, host, replaces, made, expires) VALUES ($1, $2, $3, $4, $5)")
        .bind(Digest::of(token.as_bytes()).as_bytes().to_vec())
        .bind(host.as_str())
        .bind(replaces)
        .bind(made.unix_ms())
        .bind(expires.unix_ms())
        .execute(connection)
        .await?;
    Ok(())
}

/// Stores an operator's token hash; an operator of that name gets the new token and role.
///
/// # Errors
/// [`StoreError`].
pub async fn add_operator(
    connection: &mut SqliteConnection,
    token: &str,
    name: &str,
    role: Role,
    made: Time,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO operators (hash, name, role, made) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, role = excluded.role, made = excluded.made";
    sqlx::query(SQL)
        .bind(Digest::of(token.as_bytes()).as_bytes().to_vec())
        .bind(name)
        .bind(role.as_str())
        .bind(made.unix_ms())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the database of a new controller.
///
/// # Errors
/// [`StoreError`].
pub async fn create(directory: &Path, id: &str, product: &ProductId) -> Result<SqliteConnection, StoreError> {
    let store = Store::open(directory).await?;
    let mut connection = store.writer().await?;
    save_controller(&mut connection, id, product).await?;
    Ok(connection)
}

fn database(directory: &Path) -> PathBuf {
    directory.join("controller.db")
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
}
