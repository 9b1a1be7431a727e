//! What release managers write.

pub mod baseline;
pub mod condition;
pub mod registry;
pub mod source;
