//! A store that fails: what a serving controller writes is refused, at a statement or at the commit.

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::World;

/// What fails of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The last step: all statements were good.
    Commit,
    /// A statement, in the midst of the others.
    Statement,
}

impl Fault {
    fn id(self) -> i64 {
        match self {
            Fault::Commit => 1,
            Fault::Statement => 2,
        }
    }
}

/// Makes a controller's transactions fail while it serves.
///
/// The database does it: triggers, of this test alone, refuse a statement, or break a foreign key, which is looked
/// at when all is to be committed.
pub struct Faults(SqlitePool);

/// Tables that every change writes to one of.
const TABLES: [&str; 9] =
    ["hosts", "sites", "events", "evidence", "file_lists", "stops", "stop_acknowledgements", "publishes", "health"];

impl Faults {
    pub async fn of(world: &World) -> Self {
        let path = world.data().join("controller.db");
        let options = SqliteConnectOptions::new().filename(path);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let mut sql = "CREATE TABLE fault_armed (id INTEGER PRIMARY KEY); \
            CREATE TABLE fault_parent (id INTEGER PRIMARY KEY); \
            CREATE TABLE fault (parent INTEGER REFERENCES fault_parent (id) DEFERRABLE INITIALLY DEFERRED);"
            .to_owned();
        let (commit, statement) = (Fault::Commit.id(), Fault::Statement.id());
        for table in TABLES {
            for event in ["INSERT", "UPDATE"] {
                sql += &format!(
                    "CREATE TRIGGER fault_{table}_{event} AFTER {event} ON {table} \
                     WHEN EXISTS (SELECT 1 FROM fault_armed) BEGIN \
                     SELECT RAISE(ABORT, 'synthetic: refused') WHERE EXISTS (SELECT 1 FROM fault_armed WHERE id = {statement}); \
                     INSERT INTO fault (parent) SELECT 1 FROM fault_armed WHERE id = {commit}; END;"
                );
            }
        }
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        Self(pool)
    }

    /// From now on everything that is written fails.
    pub async fn arm(&self, fault: Fault) {
        sqlx::query("INSERT INTO fault_armed (id) VALUES ($1)").bind(fault.id()).execute(&self.0).await.unwrap();
    }

    /// From now on nothing fails.
    pub async fn disarm(&self) {
        sqlx::query("DELETE FROM fault_armed").execute(&self.0).await.unwrap();
    }

    pub async fn close(self) {
        self.0.close().await;
    }
}
