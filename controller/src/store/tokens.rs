//! One-time tokens of hosts, lasting ones of operators. Kept and looked up by hash: who reads the
//! database has none, and the time that a look takes tells nothing of the tokens there are.

use manifests::digest::Digest;
use manifests::id::HostId;
use manifests::time::Time;

use super::columns::{damaged, digest, id, time, unsigned};
use super::{Connection, Store, StoreError, Transaction};
use crate::role::Role;
use crate::tokens::KnownTokens;

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

impl Transaction<'_> {
    /// Looks at a one-time token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn peek_token(&mut self, hash: &Digest, now: Time) -> Result<TokenUse, StoreError> {
        type Row = (String, bool, i64, Option<i64>);
        let row: Option<Row> = sqlx::query_as("SELECT host, replaces, expires, used FROM tokens WHERE hash = $1")
            .bind(hash.as_bytes().to_vec())
            .fetch_optional(&mut *self.0)
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
    pub async fn use_token(&mut self, hash: &Digest, now: Time) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE tokens SET used = $2 WHERE hash = $1 AND used IS NULL");
        let used = query.bind(hash.as_bytes().to_vec()).bind(now.unix_ms()).execute(&mut *self.0).await?;
        if used.rows_affected() == 1 { Ok(()) } else { Err(damaged("tokens", "a token changed inside a transaction")) }
    }
}

impl Connection {
    /// Stores a one-time token's hash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_token(
        &mut self,
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
            .execute(&mut self.0)
            .await?;
        Ok(())
    }

    /// Stores an operator's token hash; an operator of that name gets the new token and role.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_operator(&mut self, token: &str, name: &str, role: Role, made: Time) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO operators (hash, name, role, made) VALUES ($1, $2, $3, $4) \
                           ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, role = excluded.role, made = excluded.made";
        sqlx::query(SQL)
            .bind(Digest::of(token.as_bytes()).as_bytes().to_vec())
            .bind(name)
            .bind(role.as_str())
            .bind(made.unix_ms())
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}

impl Connection {
    /// Forgets an operator: the token is not good any more. Says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_operator(&mut self, name: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM operators WHERE name = $1").bind(name);
        Ok(query.execute(&mut self.0).await?.rows_affected() > 0)
    }
}

impl Store {
    /// How often tokens of operators and hosts were made or ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn token_changes(&self) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT number FROM token_changes";
        let (number,): (i64,) = sqlx::query_as(SQL).fetch_one(&self.tokens).await?;
        unsigned("token_changes", number)
    }

    /// Every token, by its digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens(&self) -> Result<KnownTokens, StoreError> {
        let mut known = KnownTokens::default();
        let operators: Vec<(Vec<u8>, String, String)> =
            sqlx::query_as("SELECT hash, name, role FROM operators").fetch_all(&self.tokens).await?;
        for (hash, name, role) in operators {
            let role = role.parse().map_err(|_| damaged("operators", format!("{name} has no role")))?;
            known.operators.insert(digest("operators", &hash)?, (name, role));
        }
        let hosts: Vec<(Vec<u8>,)> = sqlx::query_as("SELECT hash FROM tokens").fetch_all(&self.tokens).await?;
        for (hash,) in hosts {
            known.hosts.insert(digest("tokens", &hash)?);
        }
        Ok(known)
    }
}
