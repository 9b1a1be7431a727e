//! The TUF client against repositories that lie: one test per rule, each repository made with the
//! writer and each refused for exactly the reason under test.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a test that fails")]

#[path = "tuf_client/delegations.rs"]
mod delegations;
#[path = "tuf_client/flipped.rs"]
mod flipped;
#[path = "tuf_client/freshness.rs"]
mod freshness;
#[path = "tuf_client/repo.rs"]
mod repo;
#[path = "tuf_client/rotation.rs"]
mod rotation;
#[path = "tuf_client/signatures.rs"]
mod signatures;
#[path = "tuf_client/stored.rs"]
mod stored;
