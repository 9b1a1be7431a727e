//! DSSE envelopes: payload bytes are signed as they are and verified before they are parsed, with
//! the payload's type inside the signed bytes (Dead Simple Signing Envelope 1.0).
//!
//! A [`Sealed`] document is as received: nothing in it may be acted on. A [`Verified`] one came
//! through [`Sealed::verify`] and has no other constructor.

use std::marker::PhantomData;
use std::ops::Deref;

use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::enrolment::{Enrolled, Enrolment};
use crate::evidence::{EVIDENCE_BYTES_MAX, Evidence, Heartbeat, v1, v2};
use crate::key::{KeyId, PublicKey, SigningKey};
use crate::permit::{self, Permit};
use crate::stop::{Acknowledgement, Stop};
use crate::strict;

/// The most signatures read in one envelope. Documents of ours carry one.
pub const SIGNATURES_MAX: usize = 4;

/// A document that is signed in an envelope.
pub trait Document: Clone + Serialize + DeserializeOwned {
    /// The DSSE payload type.
    const PAYLOAD_TYPE: &'static str;
    /// The largest payload accepted, in bytes.
    const BYTES_MAX: usize;
}

macro_rules! documents {
    ($($document:ty, $name:literal, $bytes_max:expr;)*) => {
        $(impl Document for $document {
            const PAYLOAD_TYPE: &'static str = concat!("application/vnd.sekisho.", $name, "+json");
            const BYTES_MAX: usize = $bytes_max;
        })*

        /// Payload types of every envelope: the table of `docs/protocol.md`.
        pub const PAYLOAD_TYPES: &[&str] = &[$(<$document as Document>::PAYLOAD_TYPE),*];
    };
}

documents! {
    v1::Evidence, "evidence.v1", EVIDENCE_BYTES_MAX;
    v2::Evidence, "evidence.v2", EVIDENCE_BYTES_MAX;
    Evidence, "evidence.v3", EVIDENCE_BYTES_MAX;
    v1::Heartbeat, "heartbeat.v1", 1 << 20;
    v2::Heartbeat, "heartbeat.v2", 1 << 20;
    Heartbeat, "heartbeat.v3", 1 << 20;
    permit::v1::Permit, "permit.v1", 64 << 10;
    Permit, "permit.v2", 64 << 10;
    Stop, "stop.v1", 256 << 10;
    Acknowledgement, "acknowledgement.v1", 4 << 10;
    Enrolment, "enrolment.v1", 4 << 10;
    Enrolled, "enrolled.v1", 4 << 10;
}

/// An envelope as received. Nothing in it may be acted on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire", bound = "T: Document")]
pub struct Sealed<T> {
    payload: Vec<u8>,
    signatures: Vec<Signature>,
    claims: PhantomData<T>,
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.payload == other.payload && self.signatures == other.signatures
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key: KeyId,
    bytes: Vec<u8>,
}

/// The JSON form of an envelope.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

/// Why an envelope is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Another document's type, or an unknown one.
    #[error("payload type {found:?}, expected {expected:?}")]
    PayloadType {
        /// The type found, at most 100 characters of it.
        found: String,
        /// The type asked for.
        expected: &'static str,
    },
    /// Payload or signature are not base64 with padding.
    #[error("payload or signature is not base64 (RFC 4648, section 4, with padding)")]
    Base64,
    /// Longer than the document may be.
    #[error("payload of {bytes} bytes, at most {max} are accepted")]
    TooLarge {
        /// The payload's length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// No signature, or more than [`SIGNATURES_MAX`].
    #[error("an envelope carries 1 to {SIGNATURES_MAX} signatures, this one {found}")]
    SignatureCount {
        /// How many.
        found: usize,
    },
    /// No signature by any of the keys that may sign it.
    #[error("no valid signature by a key that may sign it")]
    Signature,
    /// Signed, but not a document of its type.
    #[error("payload is not a {payload_type}: {why}")]
    Payload {
        /// Its type.
        payload_type: &'static str,
        /// The parser's words.
        why: String,
    },
}

impl EnvelopeError {
    /// The stable code of the refusal: `signature`, `too-large` or `malformed`.
    pub const fn code(&self) -> &'static str {
        match self {
            EnvelopeError::Signature => "signature",
            EnvelopeError::TooLarge { .. } => "too-large",
            _ => "malformed",
        }
    }
}

/// DSSE's pre-authentication encoding: what is signed.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl<T: Document> Sealed<T> {
    /// Signs a document.
    ///
    /// # Errors
    /// [`EnvelopeError::Payload`] if it has no JSON form or one that the other side would refuse, as
    /// with a number beyond 2^53; [`EnvelopeError::TooLarge`] if it would refuse its length.
    pub fn seal(document: &T, key: &SigningKey) -> Result<Self, EnvelopeError> {
        let payload = serde_json::to_vec(document).map_err(payload_error::<T>)?;
        check_length::<T>(payload.len())?;
        strict::check(&payload).map_err(payload_error::<T>)?;
        let bytes = key.sign(&pre_authentication_encoding(T::PAYLOAD_TYPE, &payload));
        let signatures = vec![Signature { key: key.public().id(), bytes }];
        Ok(Self { payload, signatures, claims: PhantomData })
    }

    /// The same document with one more signature. The payload, and so its identity, stays as it is; of too many
    /// signatures the oldest goes.
    #[must_use]
    pub fn signed_also(mut self, key: &SigningKey) -> Self {
        let id = key.public().id();
        self.signatures.retain(|signature| signature.key != id);
        let bytes = key.sign(&pre_authentication_encoding(T::PAYLOAD_TYPE, &self.payload));
        self.signatures.push(Signature { key: id, bytes });
        let spare = self.signatures.len().saturating_sub(SIGNATURES_MAX);
        self.signatures.drain(..spare);
        self
    }

    /// The key ids that it claims to be signed with: where to look for a key, nothing more.
    pub fn claimed_keys(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|signature| &signature.key)
    }

    /// SHA-256 of the payload: the document's identity.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// The payload's length.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// What it claims, **unverified**: for an enrolment, which names the key that must have signed it.
    ///
    /// # Errors
    /// [`EnvelopeError::Payload`] if it does not parse.
    pub fn claimed(&self) -> Result<T, EnvelopeError> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| EnvelopeError::Payload { payload_type: T::PAYLOAD_TYPE, why: error.to_string() })
    }

    /// The only way to a document to be acted on: a valid signature by one of `keys`, then a payload of its type.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`] without such a signature, [`EnvelopeError::Payload`] if what
    /// is signed does not parse, names a key of one object twice, or has a number that is not a whole
    /// one below 2^53.
    pub fn verify<'k>(self, keys: impl IntoIterator<Item = &'k PublicKey>) -> Result<Verified<T>, EnvelopeError> {
        let encoding = pre_authentication_encoding(T::PAYLOAD_TYPE, &self.payload);
        let signer = keys
            .into_iter()
            .find_map(|key| {
                let id = key.id();
                let claimed = self.signatures.iter().filter(|signature| signature.key == id);
                claimed.into_iter().any(|s| key.verify(&encoding, &s.bytes).is_ok()).then_some(id)
            })
            .ok_or(EnvelopeError::Signature)?;
        // Verified first, parsed then: a parser's bug is not within reach without a key.
        let document = strict::from_slice(&self.payload).map_err(payload_error::<T>)?;
        Ok(Verified { document, signer, sealed: self })
    }
}

fn payload_error<T: Document>(error: serde_json::Error) -> EnvelopeError {
    EnvelopeError::Payload { payload_type: T::PAYLOAD_TYPE, why: error.to_string() }
}

fn check_length<T: Document>(bytes: usize) -> Result<(), EnvelopeError> {
    if bytes > T::BYTES_MAX { Err(EnvelopeError::TooLarge { bytes, max: T::BYTES_MAX }) } else { Ok(()) }
}

impl<T: Document> TryFrom<Wire> for Sealed<T> {
    type Error = EnvelopeError;

    fn try_from(wire: Wire) -> Result<Self, EnvelopeError> {
        if wire.payload_type != T::PAYLOAD_TYPE {
            let found = wire.payload_type.chars().take(100).collect();
            return Err(EnvelopeError::PayloadType { found, expected: T::PAYLOAD_TYPE });
        }
        if wire.signatures.is_empty() || wire.signatures.len() > SIGNATURES_MAX {
            return Err(EnvelopeError::SignatureCount { found: wire.signatures.len() });
        }
        // Up to two of these bytes are padding; what is left of them is counted below.
        check_length::<T>((wire.payload.len() / 4 * 3).saturating_sub(2))?;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| EnvelopeError::Base64);
        let signatures = wire
            .signatures
            .into_iter()
            .map(|signature| Ok(Signature { bytes: decode(&signature.sig)?, key: signature.keyid }))
            .collect::<Result<_, EnvelopeError>>()?;
        let payload = decode(&wire.payload)?;
        check_length::<T>(payload.len())?;
        Ok(Self { payload, signatures, claims: PhantomData })
    }
}

/// An envelope with a document of one of two versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire", bound = "Old: Document, New: Document")]
pub enum EitherVersion<Old, New> {
    /// Of the version before.
    Old(Sealed<Old>),
    /// Of the newest version.
    New(Sealed<New>),
}

impl<Old: Document, New: Document> TryFrom<Wire> for EitherVersion<Old, New> {
    type Error = EnvelopeError;

    fn try_from(wire: Wire) -> Result<Self, EnvelopeError> {
        if wire.payload_type == Old::PAYLOAD_TYPE {
            wire.try_into().map(Self::Old)
        } else {
            wire.try_into().map(Self::New)
        }
    }
}

impl<Old: Document, New: Document> From<EitherVersion<Old, New>> for Wire {
    fn from(either: EitherVersion<Old, New>) -> Self {
        match either {
            EitherVersion::Old(sealed) => sealed.into(),
            EitherVersion::New(sealed) => sealed.into(),
        }
    }
}

/// An envelope with a document of one of three versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire", bound = "V1: Document, V2: Document, V3: Document")]
pub enum AnyVersion<V1, V2, V3> {
    /// Of version 1.
    V1(Sealed<V1>),
    /// Of version 2.
    V2(Sealed<V2>),
    /// Of version 3.
    V3(Sealed<V3>),
}

impl<V1: Document, V2: Document, V3: Document> TryFrom<Wire> for AnyVersion<V1, V2, V3> {
    type Error = EnvelopeError;

    fn try_from(wire: Wire) -> Result<Self, EnvelopeError> {
        match wire.payload_type.as_str() {
            name if name == V1::PAYLOAD_TYPE => wire.try_into().map(Self::V1),
            name if name == V2::PAYLOAD_TYPE => wire.try_into().map(Self::V2),
            _ => wire.try_into().map(Self::V3),
        }
    }
}

impl<V1: Document, V2: Document, V3: Document> From<AnyVersion<V1, V2, V3>> for Wire {
    fn from(any: AnyVersion<V1, V2, V3>) -> Self {
        match any {
            AnyVersion::V1(sealed) => sealed.into(),
            AnyVersion::V2(sealed) => sealed.into(),
            AnyVersion::V3(sealed) => sealed.into(),
        }
    }
}

impl<T: Document> From<Sealed<T>> for Wire {
    fn from(sealed: Sealed<T>) -> Self {
        let signatures = sealed
            .signatures
            .into_iter()
            .map(|signature| WireSignature { keyid: signature.key, sig: BASE64.encode(&signature.bytes) })
            .collect();
        Wire { payload_type: T::PAYLOAD_TYPE.to_owned(), payload: BASE64.encode(&sealed.payload), signatures }
    }
}

/// A document whose signature was checked, with the envelope it came in.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    document: T,
    signer: KeyId,
    sealed: Sealed<T>,
}

impl<T> Verified<T> {
    /// The key whose signature was checked.
    pub fn signer(&self) -> &KeyId {
        &self.signer
    }

    /// SHA-256 of the payload: the document's identity.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.sealed.payload)
    }

    /// The envelope, to be kept or passed on.
    pub fn sealed(&self) -> &Sealed<T> {
        &self.sealed
    }

    /// The document without its proof.
    pub fn into_document(self) -> T {
        self.document
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.document
    }
}
