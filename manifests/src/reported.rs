//! What hosts and controllers write.

pub mod controller;
pub mod enrolment;
pub mod envelope;
pub mod evidence;
pub mod outcome;
pub mod permit;
pub mod reason;
pub mod stop;
pub mod warning;
