//! Documents, trust and appraisal of Sekisho: the library that every program shares.
//!
//! Pure: no network, no database, no terminal, no asynchronous code and no clock of its own; `now`
//! is handed in. Modules in reading order: what documents are written in, the documents, trust,
//! judgement, and the wire.

// What documents are written in, and how they are kept.
pub mod canonical;
pub mod chain;
pub mod digest;
pub mod durable;
pub mod exclude;
pub mod id;
pub mod key;
pub mod strict;
pub mod time;
pub mod tree;
pub mod value;
pub mod version;

// What release managers write.
pub mod baseline;
pub mod condition;
pub mod registry;
pub mod source;

// What hosts and controllers write.
pub mod controller;
pub mod enrolment;
pub mod envelope;
pub mod evidence;
pub mod outcome;
pub mod permit;
pub mod reason;
pub mod stop;

// Trust.
pub mod set;
pub mod tuf;

// Judgement.
pub mod appraise;
pub mod fleet;
pub mod gate;
pub mod reference;

// The wire, and the words for people.
pub mod api;
pub mod text;
