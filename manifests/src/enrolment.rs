//! Enrolment: a host shows a one-time token and proves that it holds the key it wants to speak with.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{HostId, ProductId};
use crate::key::PublicKey;
use crate::time::Time;

/// Payload of an enrolment envelope, signed with the key that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The product.
    pub product: ProductId,
    /// The host, which the token must be for.
    pub host: HostId,
    /// The host's new key.
    pub key: PublicKey,
    /// SHA-256 of the token's text: binds this envelope to it.
    pub token: Digest,
    /// The host's wall clock.
    pub time: Time,
}
