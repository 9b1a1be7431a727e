//! Permits of version 1, closed: they name one stop, where a controller may know several chains.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{HostId, ProductId};
use crate::outcome::Verdict;
use crate::reason::Reason;
use crate::stop::StopRef;
use crate::time::Time;

/// Payload of a permit envelope of version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// The product.
    pub product: ProductId,
    /// The host that it is for.
    pub host: HostId,
    /// As of version 2.
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
    /// The newest stop that the controller knows: of several chains, the one with the highest number.
    pub stop: Option<StopRef>,
}

impl From<&super::Permit> for Permit {
    fn from(permit: &super::Permit) -> Self {
        let super::Permit { product, host, number, baseline, state, answers, verdict, .. } = permit.clone();
        let super::Permit { reasons, issued, until, .. } = permit.clone();
        let stop = permit.stops.iter().max().copied();
        Self { product, host, number, baseline, state, answers, verdict, reasons, issued, until, stop }
    }
}

impl From<Permit> for super::Permit {
    fn from(permit: Permit) -> Self {
        let Permit { product, host, number, baseline, state, answers, verdict, reasons, issued, until, stop } = permit;
        let stops = stop.into_iter().collect();
        Self { product, host, key: None, number, baseline, state, answers, verdict, reasons, issued, until, stops }
    }
}
