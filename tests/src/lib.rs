//! Whole-system tests and the demo: what starts the real programs on one machine.
//!
//! Nothing depends on this package. Nothing here takes part in a decision: it plants states, asks,
//! and compares the answers.

pub mod baseline_text;
pub mod between;
pub mod case;
pub mod clock;
pub mod demo;
pub mod disks;
pub mod fleet;
pub mod flood;
pub mod host;
pub mod http;
pub mod installation;
pub mod limits;
pub mod managers;
pub mod operator;
pub mod simulated;
pub mod sites;
pub mod trees;
pub mod world;
