//! Why what release managers wrote is believed: TUF, and what a trusted set of documents is.

pub mod set;
pub mod tuf;
