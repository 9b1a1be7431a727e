//! Documents, trust and appraisal of Sekisho.
pub mod digest;
pub mod time;
