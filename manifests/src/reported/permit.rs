//! Permits: a controller's short-lived signed word that a host may issue, or must hold.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{HostId, ProductId};
use crate::outcome::Verdict;
use crate::reason::Reason;
use crate::stop::StopRef;
use crate::time::Time;

/// Payload of a permit envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// The product.
    pub product: ProductId,
    /// The host that it is for.
    pub host: HostId,
    /// max(last + 1, Unix microseconds): the highest number counts alone.
    pub number: u64,
    /// The baseline that was appraised under.
    pub baseline: Digest,
    /// The state that was appraised; none in a hold for a host that never reported.
    pub state: Option<Digest>,
    /// The sequence of the document that it answers; 0 in a hold that answers none.
    pub answers: u64,
    /// Issue or hold.
    pub verdict: Verdict,
    /// Why hold; empty for issue.
    pub reasons: Vec<Reason>,
    /// When it was signed.
    pub issued: Time,
    /// Its end.
    pub until: Time,
    /// The newest stop that the controller knows.
    pub stop: Option<StopRef>,
}
