//! Permits: a controller's short-lived signed word that a host may issue, or must hold.
//!
//! [`Permit`] is the document of version 2. One of version 1 ([`v1`]) names one stop alone: hosts that send
//! documents of before get it, and controllers of before make it.

pub mod v1;

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::{EitherVersion, EnvelopeError, Sealed, Verified};
use crate::evidence::PERMIT_V2_SINCE;
use crate::id::{HostId, ProductId};
use crate::key::{KeyId, PublicKey, SigningKey};
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
    /// The host's key that it is for; version 1 does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
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
    /// The newest stop of each chain that the controller knows: whoever has these and all before them has all.
    pub stops: Vec<StopRef>,
}

/// A permit of either version, as received.
pub type SealedPermit = EitherVersion<v1::Permit, Permit>;

impl Permit {
    /// Signs it in the version that a host takes which sends documents of `version`.
    ///
    /// # Errors
    /// As [`Sealed::seal`].
    pub fn seal(&self, version: u64, key: &SigningKey) -> Result<SealedPermit, EnvelopeError> {
        if version < PERMIT_V2_SINCE {
            Sealed::seal(&v1::Permit::from(self), key).map(EitherVersion::Old)
        } else {
            Sealed::seal(self, key).map(EitherVersion::New)
        }
    }
}

impl SealedPermit {
    /// The only way to a permit to be acted on: a valid signature by one of `keys`.
    ///
    /// # Errors
    /// As [`Sealed::verify`].
    pub fn verify<'k>(self, keys: impl IntoIterator<Item = &'k PublicKey>) -> Result<VerifiedPermit, EnvelopeError> {
        match self {
            EitherVersion::Old(sealed) => sealed.verify(keys).map(VerifiedPermit::from),
            EitherVersion::New(sealed) => sealed.verify(keys).map(VerifiedPermit::from),
        }
    }

    /// What it claims, **unverified**.
    ///
    /// # Errors
    /// [`EnvelopeError::Payload`] if it does not parse.
    pub fn claimed(&self) -> Result<Permit, EnvelopeError> {
        match self {
            EitherVersion::Old(sealed) => sealed.claimed().map(Permit::from),
            EitherVersion::New(sealed) => sealed.claimed(),
        }
    }
}

/// A permit whose signature was checked, whichever version it came in.
#[derive(Clone, Debug)]
pub struct VerifiedPermit {
    permit: Permit,
    signer: KeyId,
    sealed: SealedPermit,
}

impl VerifiedPermit {
    /// The key whose signature was checked.
    pub fn signer(&self) -> &KeyId {
        &self.signer
    }

    /// The envelope, to be kept or passed on.
    pub fn sealed(&self) -> &SealedPermit {
        &self.sealed
    }

    /// The permit without its proof.
    pub fn into_document(self) -> Permit {
        self.permit
    }
}

impl From<Verified<Permit>> for VerifiedPermit {
    fn from(verified: Verified<Permit>) -> Self {
        let (signer, sealed) = (verified.signer().clone(), EitherVersion::New(verified.sealed().clone()));
        Self { permit: verified.into_document(), signer, sealed }
    }
}

impl From<Verified<v1::Permit>> for VerifiedPermit {
    fn from(verified: Verified<v1::Permit>) -> Self {
        let (signer, sealed) = (verified.signer().clone(), EitherVersion::Old(verified.sealed().clone()));
        Self { permit: verified.into_document().into(), signer, sealed }
    }
}

impl Deref for VerifiedPermit {
    type Target = Permit;

    fn deref(&self) -> &Permit {
        &self.permit
    }
}
