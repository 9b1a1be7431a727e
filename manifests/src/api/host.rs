//! What hosts and controllers tell each other beside signed documents.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::enrolment::Enrolled;
use crate::envelope::Sealed;
use crate::key::PublicKey;
use crate::permit::SealedPermit;
use crate::stop::{Stop, StopRef};

/// Answer to evidence and heartbeats: it is on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// The stored sequence: the one sent.
    pub sequence: u64,
    /// What the host should do next.
    pub next: Next,
    /// The permit that answers, issue or hold. None if the controller signs none; `unsigned` says why.
    pub permit: Option<SealedPermit>,
    /// Why no permit is signed: `freeze`, `no-baseline`, `set-back`, `permit-unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
    /// Stops newer than the newest one the document named, oldest first, [`STOPS_PER_RECEIPT_MAX`](super::STOPS_PER_RECEIPT_MAX) at most.
    pub stops: Vec<Sealed<Stop>>,
    /// File lists that the controller does not have, of those the document named.
    pub wanted: Vec<Digest>,
    /// Stops that the document named and the controller does not know: the host hands them in with their chains
    /// ([`HANDED`](super::HANDED)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_stops: Vec<StopRef>,
    /// Number of the permit that the document named and the controller does not know: the host hands it in
    /// ([`HANDED`](super::HANDED)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_permit: Option<u64>,
    /// The controller's word for the host's key, where the document does not name it: the host keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Sealed<Enrolled>>,
    /// Bearer for the stream and file lists, valid for an hour.
    pub session: String,
    /// Version of the current `timestamp.json`: a higher one than the host's means refresh.
    pub timestamp: u64,
    /// [`DocumentVersions::evidence`]; a controller of before version 2 does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<u64>,
}

/// What a host hands in that its controller does not know, as it was signed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handed {
    /// Stops, each behind the one that it follows, [`HANDED_STOPS_MAX`](super::HANDED_STOPS_MAX) at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<HandedStop>,
    /// Number of the permit that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_number: Option<u64>,
    /// The newest permit of each controller that the host has, that one among them if it has it still;
    /// [`HANDED_PERMITS_MAX`](super::HANDED_PERMITS_MAX) at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permits: Vec<SealedPermit>,
}

/// What a controller takes over from another one as long as that one answers: all of it is signed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handover {
    /// The controller's word for each host's key.
    pub enrolments: Vec<Sealed<Enrolled>>,
    /// Every stop, each behind the one that it follows.
    pub stops: Vec<Sealed<Stop>>,
}

/// A stop with the key that signed it, which may have left the registry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedStop {
    /// The key.
    pub key: PublicKey,
    /// The stop.
    pub stop: Sealed<Stop>,
}

/// What a controller takes of documents that have several versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentVersions {
    /// The newest version of evidence and heartbeats that it takes; it takes every earlier one, too.
    pub evidence: u64,
}

/// What a host should do after a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    /// Nothing until the next heartbeat.
    Nothing,
    /// Send full evidence: the state's digest is not known.
    SendFull,
}

/// An event of a host's stream. The SSE event name is the variant's in kebab case, the data its content.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "kebab-case")]
pub enum HostEvent {
    /// A permit, most often a hold that cannot wait.
    Permit(SealedPermit),
    /// A stop.
    Stop(Sealed<Stop>),
    /// Metadata changed: refresh from `/tuf`. The new version of `timestamp.json`.
    Refresh(u64),
}
