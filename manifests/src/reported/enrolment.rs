//! Enrolment: a host shows a one-time token and proves that it holds the key it wants to speak with.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::id::{ControllerId, HostId, ProductId};
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
    /// The host's new key: Ed25519, in its plain form.
    #[serde(deserialize_with = "host_key")]
    pub key: PublicKey,
    /// SHA-256 of the token's text: binds this envelope to it.
    pub token: Digest,
    /// The host's wall clock.
    pub time: Time,
}

/// Payload of a controller's word for a host's key, signed with its permit key. The host keeps it and shows it to a
/// controller that does not know the key: so an enrolment outlives its controller without anybody visiting the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// The product.
    pub product: ProductId,
    /// The host.
    pub host: HostId,
    /// Its key.
    #[serde(deserialize_with = "host_key")]
    pub key: PublicKey,
    /// max(last + 1, Unix milliseconds at the enrolment): a higher one ends a lower one at once.
    pub generation: u64,
    /// The controller that says so, by its id in the registry.
    pub controller: ControllerId,
}

impl Enrolled {
    /// SHA-256 of the payload, by which the host names it.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

// Hosts are found by the ids of their keys, so a host's key has one id.
fn host_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
    let key = PublicKey::deserialize(deserializer)?;
    if key.is_plain_ed25519() {
        Ok(key)
    } else {
        Err(D::Error::custom("a host's key is an Ed25519 key object without further members, in lower case"))
    }
}
