//! What a controller tells release managers of itself.

use serde::{Deserialize, Serialize};

use crate::id::ControllerId;
use crate::key::PublicKey;

/// Public half of a controller, `controller.json`: what release managers write into root and registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicHalf {
    /// Its id.
    pub id: ControllerId,
    /// Signs permits and stops.
    pub permit_key: PublicKey,
    /// Signs log checkpoints.
    pub log_key: PublicKey,
    /// Signs TUF snapshots.
    pub snapshot_key: PublicKey,
    /// Signs TUF timestamps.
    pub timestamp_key: PublicKey,
}
