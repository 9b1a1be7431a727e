//! Why what release managers wrote is believed: TUF, what a trusted set of documents is, and what may follow it.

pub mod set;
pub mod succession;
pub mod tuf;
pub mod units;
