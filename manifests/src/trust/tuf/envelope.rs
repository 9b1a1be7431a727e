//! Metadata as received: a signed value and signatures. Here, and only here, signatures are counted.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical;
use crate::key::{KeyId, PublicKey};
use crate::tuf::error::{Ignored, IgnoredWhy, Listing, TufError};
use crate::tuf::metadata::{MetaFile, RoleKeys, Signed};

/// Parsed as JSON and no further. Nothing in it may be acted on.
pub(crate) struct Envelope {
    file: String,
    pub(crate) signed: Value,
    pub(crate) signatures: Vec<TufSignature>,
    /// The bytes that signatures are over.
    pub(crate) message: Vec<u8>,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct TufSignature {
    pub(crate) keyid: KeyId,
    /// Hexadecimal, if its maker was in order. What is not does not count, and does no harm: one bad
    /// signature must not spoil a threshold of good ones.
    pub(crate) sig: String,
}

impl Envelope {
    pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Self, TufError> {
        #[derive(Deserialize)]
        struct Raw {
            signed: Value,
            signatures: Vec<TufSignature>,
        }
        let format = |reason: String| TufError::Format { file: file.to_owned(), reason };
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format(error.to_string()))?;
        let message = canonical::to_vec(&raw.signed).map_err(|error| format(error.to_string()))?;
        let mut seen = BTreeSet::new();
        for signature in &raw.signatures {
            // 4.1: "multiple signatures with the same keyid are not allowed".
            if !seen.insert(&signature.keyid) {
                let keyid = signature.keyid.to_string();
                return Err(TufError::DuplicateSignature { file: file.to_owned(), keyid });
            }
        }
        Ok(Self { file: file.to_owned(), signed: raw.signed, signatures: raw.signatures, message })
    }

    /// Counts the distinct keys of a role that signed.
    pub(crate) fn tally(&self, keys: &BTreeMap<KeyId, PublicKey>, role: &RoleKeys) -> Tally {
        let mut counted: Vec<(&KeyId, &PublicKey)> = Vec::new();
        let mut ignored = Vec::new();
        for TufSignature { keyid, sig } in &self.signatures {
            let why = match keys.get(keyid).filter(|_| role.keyids.contains(keyid)) {
                None => IgnoredWhy::NotOfThisRole,
                Some(key) if !key.is_usable() => IgnoredWhy::UnknownKeyType,
                Some(key) => {
                    let bytes = HEXLOWER_PERMISSIVE.decode(sig.as_bytes()).unwrap_or_default();
                    // Compared by what they verify: one key under two ids is one signer.
                    let twin = counted.iter().find(|(_, other)| other.is_same_key(key));
                    match (key.verify(&self.message, &bytes), twin) {
                        (Err(_), _) => IgnoredWhy::Invalid,
                        (Ok(()), Some((twin, _))) => IgnoredWhy::SameKeyAs((*twin).clone()),
                        (Ok(()), None) => {
                            counted.push((keyid, key));
                            continue;
                        }
                    }
                }
            };
            ignored.push(Ignored { keyid: keyid.clone(), why });
        }
        let valid: Vec<KeyId> = counted.into_iter().map(|(keyid, _)| keyid.clone()).collect();
        let missing = role.keyids.iter().filter(|keyid| !valid.contains(keyid)).cloned().collect();
        Tally { threshold: role.threshold, valid, missing, ignored }
    }

    /// Demands a threshold of distinct keys (TUF 1.0.34, 5.3.4 and its like in every role); tells which.
    pub(crate) fn verify(
        &self,
        role: &str,
        keys: &BTreeMap<KeyId, PublicKey>,
        who: Option<&RoleKeys>,
    ) -> Result<Tally, TufError> {
        let Some(who) = who else {
            return Err(TufError::Format { file: self.file.clone(), reason: format!("no keys are named for {role}") });
        };
        let tally = self.tally(keys, who);
        if tally.is_met() {
            return Ok(tally);
        }
        Err(TufError::Threshold {
            file: self.file.clone(),
            role: role.to_owned(),
            needed: tally.threshold,
            valid: tally.count(),
            ignored: tally.ignored,
        })
    }

    /// Reads the signed value as metadata of one kind.
    ///
    /// Call after [`Envelope::verify`]; only a root has to be read to know who may sign it.
    pub(crate) fn decode<T: Signed>(&self) -> Result<T, TufError> {
        let format = |reason: String| TufError::Format { file: self.file.clone(), reason };
        let text = |name| self.signed.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("_type") != T::TYPE {
            return Err(format(format!("it is {:?} metadata, not {:?}", text("_type"), T::TYPE)));
        }
        if !is_spec_version_1(text("spec_version")) {
            return Err(format(format!("spec_version {:?} is not 1.x", text("spec_version"))));
        }
        self.check_thresholds()?;
        let value = T::deserialize(&self.signed).map_err(|error| format(error.to_string()))?;
        value.check().map_err(format)?;
        Ok(value)
    }

    // Before the parser meets them, so that "no signature needed" is told from a slip in the format
    // (go-tuf CVE-2026-23992 let it through).
    fn check_thresholds(&self) -> Result<(), TufError> {
        let top = self.signed.get("roles").and_then(Value::as_object).into_iter().flat_map(|roles| roles.values());
        let delegated = self.signed.pointer("/delegations/roles").and_then(Value::as_array).into_iter().flatten();
        for role in top.chain(delegated) {
            if let Some(threshold) = role.get("threshold").and_then(Value::as_i64).filter(|threshold| *threshold < 1) {
                return Err(TufError::NoThreshold { file: self.file.clone(), threshold });
            }
        }
        Ok(())
    }
}

// "1.0.34", and "1.0" as older repositories write.
fn is_spec_version_1(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    numbers && (2..=3).contains(&parts.len()) && parts.first() == Some(&"1")
}

/// Who of a role signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Distinct keys demanded.
    pub threshold: u64,
    /// One id per distinct key whose signature verifies.
    pub valid: Vec<KeyId>,
    /// Ids of the role that are not among them.
    pub missing: Vec<KeyId>,
    /// Signatures that do not count.
    pub ignored: Vec<Ignored>,
}

impl Tally {
    /// Distinct keys that signed.
    pub fn count(&self) -> u64 {
        u64::try_from(self.valid.len()).unwrap_or(u64::MAX)
    }

    /// Whether the threshold is reached. A threshold of nothing never is.
    pub fn is_met(&self) -> bool {
        self.threshold >= 1 && self.count() >= self.threshold
    }
}

/// Opens a file that other metadata lists: digests first, then signatures, then content, then version
/// (5.5.2 to 5.5.4, 5.6.2 to 5.6.4).
pub(crate) fn open_listed<T: Signed>(
    file: &str,
    bytes: &[u8],
    listed: &MetaFile,
    (role, keys, who): (&str, &BTreeMap<KeyId, PublicKey>, Option<&RoleKeys>),
) -> Result<T, TufError> {
    let mismatch = |listing| TufError::Mismatch { file: file.to_owned(), listing };
    listed.verify(bytes).map_err(mismatch)?;
    let envelope = Envelope::parse(file, bytes)?;
    envelope.verify(role, keys, who)?;
    let value: T = envelope.decode()?;
    if value.version() == listed.version {
        Ok(value)
    } else {
        Err(mismatch(Listing::Version { listed: listed.version, found: value.version() }))
    }
}

/// Bytes that a file of this length may at most have, given what is listed.
pub(crate) fn limit(listed: Option<u64>, max: u64) -> u64 {
    listed.map_or(max, |length| length.min(max))
}
