//! What documents are written in, and how they are kept.

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
