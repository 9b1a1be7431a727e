//! Tokens, as they are known in memory: nobody waits for the store to say who an operator is, and whoever
//! brings a token that there is not costs the store nothing.
//!
//! Commands beside this process make tokens. A counter in the store, kept by triggers, says when there is
//! something new; it is looked at five times a second, and once more for a token that is not known.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use manifests::digest::Digest;
use tokio::sync::Mutex;

use crate::chain::chain;
use crate::role::Role;
use crate::store::{Store, StoreError};

/// How often the counter is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(200);
/// Looks for unknown tokens come at most this often, however many bring one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Every token, by its digest.
#[derive(Clone, Debug, Default)]
pub struct KnownTokens {
    /// Name and role.
    pub operators: HashMap<Digest, (String, Role)>,
    /// One-time tokens of hosts, used and expired ones as well: the store says how they stand.
    pub hosts: HashSet<Digest>,
}

/// The tokens, and when they were looked at.
#[derive(Debug)]
pub struct Tokens {
    known: RwLock<KnownTokens>,
    looked: Mutex<Looked>,
}

#[derive(Debug)]
struct Looked {
    changes: u64,
    began: Instant,
}

impl Tokens {
    /// As the store has them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let changes = store.token_changes().await?;
        let known = RwLock::new(store.tokens().await?);
        Ok(Self { known, looked: Mutex::new(Looked { changes, began: Instant::now() }) })
    }

    /// The operator with this token, as it is known at this moment.
    pub fn known_operator(&self, token: &Digest) -> Option<(String, Role)> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).operators.get(token).cloned()
    }

    fn knows_host(&self, token: &Digest) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).hosts.contains(token)
    }

    /// The operator with this token, which may have been made a moment ago.
    pub async fn operator(&self, store: &Store, token: &Digest) -> Option<(String, Role)> {
        if let Some(known) = self.known_operator(token) {
            return Some(known);
        }
        self.look_again(store).await;
        self.known_operator(token)
    }

    /// Whether there is such a one-time token; it may have been made a moment ago.
    pub async fn is_host_token(&self, store: &Store, token: &Digest) -> bool {
        if self.knows_host(token) {
            return true;
        }
        self.look_again(store).await;
        self.knows_host(token)
    }

    /// Looks unless somebody did after this was called: what was made before the call is known then.
    async fn look_again(&self, store: &Store) {
        let called = Instant::now();
        let mut looked = self.looked.lock().await;
        if looked.began >= called {
            return;
        }
        // Whoever comes meanwhile waits for the lock, and for the same look.
        let wait = (looked.began + LOOK_AGAIN).saturating_duration_since(Instant::now());
        tokio::time::sleep(wait).await;
        self.refresh(&mut looked, store).await;
    }

    /// Looks whether there is something new. Returns whether there was.
    pub async fn look(&self, store: &Store) -> bool {
        let mut looked = self.looked.lock().await;
        self.refresh(&mut looked, store).await
    }

    async fn refresh(&self, looked: &mut Looked, store: &Store) -> bool {
        looked.began = Instant::now();
        let read = async {
            let changes = store.token_changes().await?;
            if changes == looked.changes {
                return Ok(None);
            }
            Ok::<_, StoreError>(Some((changes, store.tokens().await?)))
        };
        match read.await {
            Ok(None) => false,
            Ok(Some((changes, known))) => {
                looked.changes = changes;
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                true
            }
            Err(error) => {
                // What was known stays known: a store that cannot be read must not keep a stop out.
                tracing::error!(error = chain(&error), "tokens cannot be read");
                false
            }
        }
    }
}
