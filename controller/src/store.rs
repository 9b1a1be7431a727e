//! The store: what must outlive the process.
//!
//! One SQLite file: write-ahead log, `synchronous=FULL`, so that a commit is on disk when it
//! returns. One connection writes ([`crate::writer`]), a few read. Every writing transaction begins
//! with `BEGIN IMMEDIATE`: one that reads first and then asks for the write lock loses to any other.
//! A lock file beside it keeps a second controller out, and is held while migrations run, which take
//! no lock of their own.
//!
//! The database's library is named here and below only; one SQL text with `$n` serves every database
//! to come.

mod columns;
mod events;
mod hosts;
mod named;
mod publishes;
mod set_back;
mod stops;
mod tokens;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use manifests::id::ProductId;
use manifests::time::Time;
use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool};

pub use hosts::StateRow;
pub use named::LISTS_BYTES_MAX;
pub use publishes::PublishRow;
pub(crate) use stops::broken_chain;
pub use tokens::TokenUse;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a writer waits for another one, as the `token` command.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut to this many bytes once it is in the database: the thousand pages after which SQLite
/// puts it there.
const LOG_BYTES_KEPT: &str = "4096000";
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
    /// The lock file cannot be made, locked or released.
    #[error("cannot use {}", path.display())]
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
    /// For tokens alone: who reads long lists of events must not keep an operator out.
    tokens: SqlitePool,
    // Released by the system when the process ends, however it ends.
    lock: File,
}

impl Store {
    /// Opens the database of a data directory for serving, bringing its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process serves it; otherwise why it cannot be opened.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let lock_path = lock_path(directory);
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
        let tokens = SqlitePoolOptions::new().max_connections(1).connect_with(options(&path).read_only(true)).await?;
        Ok(Self { path, readers, tokens, lock })
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The connection that writes.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn writer(&self) -> Result<Connection, StoreError> {
        Connection::to(&self.path).await
    }

    /// Ends every connection, waiting for what is still being read, the `writer` last: only one that may write
    /// puts the log into the one file. Whoever asks the store afterwards gets an error.
    ///
    /// # Errors
    /// [`StoreError`] if the writer's connection broke off, or the lock cannot be released.
    pub async fn close(&self, writer: Connection) -> Result<(), StoreError> {
        self.close_readers().await;
        let closed = writer.close().await;
        // Not left to the last one who holds this store: the next one to open it need not wait.
        flock(&self.lock, FlockOperation::Unlock)
            .map_err(|source| StoreError::Lock { path: lock_path(self.directory()), source: source.into() })?;
        closed
    }

    async fn close_readers(&self) {
        self.readers.close().await;
        self.tokens.close().await;
    }
}

/// A connection of its own: the writer's, or that of a command beside a serving controller.
#[derive(Debug)]
pub struct Connection(SqliteConnection);

impl Connection {
    /// A connection for a command that works beside a serving controller.
    ///
    /// # Errors
    /// [`StoreError::Database`] if there is no database yet.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::to(&database(directory)).await
    }

    /// The same for a command that only reads.
    ///
    /// # Errors
    /// [`StoreError::Database`] if there is no database yet.
    pub async fn open_to_read(directory: &Path) -> Result<Self, StoreError> {
        let options = options(&database(directory)).read_only(true);
        Ok(Self(SqliteConnection::connect_with(&options).await?))
    }

    /// What is wrong with the database's file; nothing if it is whole.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn quick_check(&mut self) -> Result<Option<String>, StoreError> {
        let row: (String,) = sqlx::query_as("PRAGMA quick_check(1)").fetch_one(&mut self.0).await?;
        Ok(Some(row.0).filter(|found| found != "ok"))
    }

    /// When the newest publish was, or the newest document came; nothing before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_time(&mut self) -> Result<Option<Time>, StoreError> {
        const SQL: &str =
            "SELECT MAX(at) FROM (SELECT MAX(heard) AS at FROM hosts UNION SELECT MAX(time) FROM publishes)";
        let row: (Option<i64>,) = sqlx::query_as(SQL).fetch_one(&mut self.0).await?;
        row.0.map(|at| columns::time("hosts", at)).transpose()
    }

    /// Copies the whole database as it is at this moment into a new file, beside whoever writes.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn copy_to(&mut self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_str().ok_or_else(|| StoreError::Damaged {
            table: "controller",
            why: "a path that is not UTF-8 cannot be copied to".to_owned(),
        })?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(&mut self.0).await?;
        Ok(())
    }

    /// Ends it. The last connection of a database leaves all that was written in the one file.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.0.close().await?)
    }

    async fn to(path: &Path) -> Result<Self, StoreError> {
        Ok(Self(SqliteConnection::connect_with(&options(path)).await?))
    }

    /// Begins to write. Nobody else writes until it ends.
    ///
    /// # Errors
    /// [`StoreError::Database`] if another writer does not end in time.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(Transaction(self.0.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// Whose database it is: id and product.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn controller(&mut self) -> Result<(String, ProductId), StoreError> {
        let row: (String, String) = sqlx::query_as("SELECT id, product FROM controller").fetch_one(&mut self.0).await?;
        Ok((row.0, columns::id("controller", &row.1)?))
    }

    /// Says whose database it is.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn save_controller(&mut self, id: &str, product: &ProductId) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT INTO controller (id, product) VALUES ($1, $2)");
        query.bind(id).bind(product.as_str()).execute(&mut self.0).await?;
        Ok(())
    }
}

/// What is written together or not at all. Dropped without [`Transaction::commit`] it is rolled back.
#[derive(Debug)]
pub struct Transaction<'c>(sqlx::Transaction<'c, Sqlite>);

impl Transaction<'_> {
    /// Puts it on disk.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }

    /// Changes one row, to see that it can be done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn probe(&mut self, now: Time) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO health (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at")
            .bind(now.unix_ms())
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}

/// Makes the database of a new controller.
///
/// # Errors
/// [`StoreError`].
pub async fn create(directory: &Path, id: &str, product: &ProductId) -> Result<Connection, StoreError> {
    let store = Store::open(directory).await?;
    let mut connection = store.writer().await?;
    connection.save_controller(id, product).await?;
    // No reader may be left: the last connection that is closed puts everything into one file.
    store.close_readers().await;
    Ok(connection)
}

fn lock_path(directory: &Path) -> PathBuf {
    directory.join("controller.lock")
}

fn database(directory: &Path) -> PathBuf {
    directory.join("controller.db")
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What a large batch, or somebody who read for long, has made of the log is given back.
        .pragma("journal_size_limit", LOG_BYTES_KEPT)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
}

#[cfg(test)]
mod tests {
    use manifests::digest::Digest;

    use super::*;

    #[tokio::test]
    async fn the_log_gets_small_again_when_who_has_read_for_long_is_done() {
        let directory = tempfile::tempdir().unwrap();
        drop(create(directory.path(), "main", &"convenience-issuance".parse().unwrap()).await.unwrap());
        let store = Store::open(directory.path()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let host = "402206-ap1".parse().unwrap();
        let size = || std::fs::metadata(directory.path().join("controller.db-wal")).map_or(0, |file| file.len());
        let mut reader = store.readers.begin().await.unwrap();
        sqlx::query("SELECT count(*) FROM file_lists").execute(&mut *reader).await.unwrap();
        for number in 0_u8..8 {
            let mut transaction = writer.begin().await.unwrap();
            let (digest, body) = (Digest::of(&[number]), vec![number; 1 << 20]);
            transaction.save_file_list(&host, &digest, Time::from_unix_ms(0), &body).await.unwrap();
            transaction.commit().await.unwrap();
        }
        assert!(size() > 8 << 20, "the reader keeps it: {}", size());
        reader.rollback().await.unwrap();
        for at in 1..4 {
            let mut transaction = writer.begin().await.unwrap();
            transaction.probe(Time::from_unix_ms(at)).await.unwrap();
            transaction.commit().await.unwrap();
        }
        assert!(size() < 4_200_000, "{}", size());
    }
}
