//! The agent of one municipal host: shows evidence of its programs and settings, and keeps the gate
//! that lets certificates out or holds them.
//!
//! The edge of the host. What decides is in `manifests`: `appraise` judges, `gate` decides; here are
//! the collectors, the clocks, the files and the network that feed them.

pub mod acknowledge;
pub mod backoff;
pub mod check;
pub mod client;
pub mod clock;
pub mod collect;
pub mod config;
pub mod dry_run;
pub mod enrol;
pub mod follow;
pub mod gate_question;
pub mod gate_server;
pub mod hand_in;
pub mod identity;
pub mod keeper;
pub mod listen;
pub mod look;
pub mod parts;
pub mod report;
mod restore;
pub mod run;
pub mod state;
pub mod status;
pub mod troubles;
pub mod trust;
pub mod watch;
pub mod writer;
