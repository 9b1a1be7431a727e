//! Documents, trust and appraisal of Sekisho: the library that every program shares.
//!
//! Pure: no network, no database, no terminal, no asynchronous code and no clock of its own; `now`
//! is handed in. The groups stand in reading order; callers name a module without its group.

pub mod words;

pub mod authored;

pub mod reported;

pub mod trust;

pub mod judge;

// The wire, and the words for people.
pub mod api;
pub mod text;

pub use authored::{baseline, condition, registry, source};
pub use judge::{appraise, fleet, gate, reference};
pub use reported::{controller, enrolment, envelope, evidence, outcome, permit, reason, stop, warning};
pub use trust::{set, succession, tuf, units};
pub use words::{canonical, chain, digest, durable, exclude, id, key, strict, time, tree, value, version};
