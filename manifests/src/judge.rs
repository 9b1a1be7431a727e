//! What follows from the documents: appraisal, the gate of one host, the fleet of one controller.

pub mod appraise;
pub mod fleet;
pub mod gate;
pub mod reference;
