//! The cover: when evidence was made, by whom and in which order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{HostId, ItemId, ProductId};
use crate::stop::StopRef;
use crate::time::Time;

/// When evidence was made, by whom, in which order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cover {
    /// The product.
    pub product: ProductId,
    /// The host.
    pub host: HostId,
    /// Grows by at least one with every document of the host; from 1.
    pub sequence: u64,
    /// Set once by a host whose stored sequence was behind the controller's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// The kernel's boot id (a UUID in lower case).
    pub boot_id: String,
    /// Wall clock when it was made.
    pub wall: Time,
    /// Boot clock when it was made: milliseconds since boot, sleep included.
    pub boot_ms: u64,
    /// Wall clock when the complete pass that produced the state began: the evidence's age.
    pub pass_started: Time,
    /// The agent.
    pub agent: Agent,
    /// The baseline it was collected under: SHA-256 of the baseline's bytes.
    pub baseline: Digest,
    /// Number of the last permit received; 0 before the first.
    pub permit: u64,
    /// The newest stop of each chain that is known with all before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<StopRef>,
    /// Digest of the payload of the controller's word for this host's key that the host keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Digest>,
    /// The newest log checkpoint seen (C2SP signed note).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Configurations: every change shows as drift, also of keys nobody listed.
    pub configs: BTreeMap<ItemId, ConfigPrint>,
    /// File lists behind the tree digests of the state that no release of the baseline has: what
    /// a controller may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<Digest>,
}

/// The agent that made the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its version.
    pub version: semver::Version,
    /// SHA-256 of its executable.
    pub digest: Digest,
}

/// Fingerprints of one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigPrint {
    /// Each layer that is there, lowest first.
    pub layers: Vec<Layer>,
    /// Digest of the normalised keys and values; none where a layer could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Digest>,
}

/// One file of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Absolute path.
    pub file: String,
    /// SHA-256 of its bytes, of a sensitive configuration that digest's HMAC-SHA-256 with a key that
    /// only the host has; none if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The cover in documents of versions 1 and 2: it names one stop, of several chains the one with the highest
/// number.
pub mod one_stop {
    use serde::{Deserializer, Serializer};

    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OneStop {
        product: ProductId,
        host: HostId,
        sequence: u64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resumed: bool,
        boot_id: String,
        wall: Time,
        boot_ms: u64,
        pass_started: Time,
        agent: Agent,
        baseline: Digest,
        permit: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop: Option<StopRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<String>,
        configs: BTreeMap<ItemId, ConfigPrint>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lists: Vec<Digest>,
    }

    /// Writes a cover in that form.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(cover: &Cover, serializer: S) -> Result<S::Ok, S::Error> {
        let Cover { product, host, sequence, resumed, boot_id, wall, boot_ms, pass_started, agent, .. } = cover.clone();
        let Cover { baseline, permit, stops, enrolment: _, checkpoint, configs, lists, .. } = cover.clone();
        let stop = stops.into_iter().max();
        let before = OneStop {
            product,
            host,
            sequence,
            resumed,
            boot_id,
            wall,
            boot_ms,
            pass_started,
            agent,
            baseline,
            permit,
            stop,
            checkpoint,
            configs,
            lists,
        };
        before.serialize(serializer)
    }

    /// Reads a cover of that form.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cover, D::Error> {
        let before = OneStop::deserialize(deserializer)?;
        Ok(Cover {
            product: before.product,
            host: before.host,
            sequence: before.sequence,
            resumed: before.resumed,
            boot_id: before.boot_id,
            wall: before.wall,
            boot_ms: before.boot_ms,
            pass_started: before.pass_started,
            agent: before.agent,
            baseline: before.baseline,
            permit: before.permit,
            stops: before.stop.into_iter().collect(),
            enrolment: None,
            checkpoint: before.checkpoint,
            configs: before.configs,
            lists: before.lists,
        })
    }
}
