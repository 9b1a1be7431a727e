//! Documents, trust and appraisal of Sekisho.
pub mod canonical;
pub mod digest;
pub mod durable;
pub mod key;
pub mod time;
pub mod tuf;
