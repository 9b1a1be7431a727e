//! Endpoints: decode, ask, encode.

pub mod events;
pub mod handover;
pub mod host;
pub mod page;
pub mod preview;
pub mod publish;
pub mod set_back;
pub mod stops;
pub mod tuf;
pub mod views;
