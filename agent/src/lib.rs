//! The agent of one municipal host.

pub mod collect;
pub mod watch;
