//! The controller: takes evidence, appraises it, signs permits and stops, serves the TUF repository,
//! and tells operators how the fleet stands.
//!
//! Invariants:
//! - An answer 2xx means that what it answers is on disk.
//! - All rules are [`manifests::fleet`]'s; here is what carries them: store, wire and time.
//! - While it serves, one task changes the fleet and what is stored of it ([`writer`]); everybody else asks it.

pub mod app;
pub mod auth;
pub mod backup;
pub mod body;
pub mod clock;
pub mod data;
pub mod descriptors;
pub mod doctor;
pub mod error;
pub mod expiry;
pub mod follow;
pub mod handlers;
pub mod health;
pub mod init;
pub mod load;
pub mod origins;
pub mod queue;
pub mod repository;
mod reserve;
pub mod role;
pub mod router;
pub mod serve;
pub mod server;
pub mod session;
pub mod shares;
pub mod store;
pub mod streams;
pub mod tls;
pub mod token;
pub mod tokens;
pub mod unlisted;
pub mod writer;

use manifests::chain;
