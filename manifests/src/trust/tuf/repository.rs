//! Makes and signs metadata: for the release managers' tool, which needs several machines and days
//! for one document, and for a controller, which signs snapshot and timestamp by itself.
//!
//! A metadata file on its way is just its bytes. Each signer adds a signature ([`sign`], or
//! [`signable_bytes`] and [`attach`] where the key cannot be reached from here), in any order, and
//! [`count_valid`] says who is missing.
//!
//! Served are, by [`metadata_path`](crate::tuf::metadata_path): every `N.root.json` ever made,
//! `N.targets.json`, `N.lifts.json`, `N.snapshot.json` and `timestamp.json`; and target files by
//! [`target_path`](crate::tuf::target_path).

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::key::{KeyId, PublicKey, SigningKey};
use crate::time::{Span, Time};
use crate::tuf::envelope::{Envelope, Tally, TufSignature};
use crate::tuf::error::TufError;
use crate::tuf::metadata::{
    Delegation, Delegations, MetaFile, RoleKeys, Root, SNAPSHOT_FILE, SPEC_VERSION, Signed, Snapshot, TargetFile,
    Targets, Timestamp,
};

/// The delegated role that ends stops; apart, so that a lift never collides with a draft of targets.
pub const LIFTS: &str = "lifts";
/// Paths that it speaks for: `lifts/<stop digest>/<n>.json`.
pub const LIFTS_PATHS: &str = "lifts/*/*";
/// Target path of the registry.
pub const REGISTRY: &str = "registry.toml";

const DAY_S: u64 = 86_400;
/// Life of a root.
pub const ROOT_LIFE: Span = Span::from_s(365 * DAY_S);
/// Life of targets and of lifts.
pub const TARGETS_LIFE: Span = Span::from_s(90 * DAY_S);
/// Life of a snapshot.
pub const SNAPSHOT_LIFE: Span = Span::from_s(7 * DAY_S);
/// Life of a timestamp.
pub const TIMESTAMP_LIFE: Span = Span::from_s(DAY_S);

/// Target path of a product's fix baseline.
pub fn baseline_path(product: &str) -> String {
    format!("{product}/baseline.toml")
}

/// Target path of a file that a baseline names by its digest, such as a file list.
pub fn file_path(digest: &Digest) -> String {
    format!("files/{}", digest.hex())
}

/// Target path of a lift of the stop with this digest; `number` counts from 1.
pub fn lift_path(stop: &Digest, number: u64) -> String {
    format!("lifts/{}/{number}.json", stop.hex())
}

impl Root {
    /// Version 1, with consistent snapshots and no keys yet.
    pub fn new(expires: Time) -> Self {
        Self {
            version: 1,
            expires,
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            units: BTreeMap::new(),
        }
    }

    /// The root that follows this one, with the same keys until they are changed. It must be signed by
    /// a threshold of both roots' keys.
    #[must_use]
    pub fn next(&self, expires: Time) -> Self {
        Self { version: self.version.saturating_add(1), expires, ..self.clone() }
    }

    /// Names the keys of a role; those that no role needs any more go.
    pub fn set_role(&mut self, role: &str, keys: &[PublicKey], threshold: u64) {
        self.roles.insert(role.to_owned(), role_keys(keys, threshold));
        self.keys.extend(keys.iter().map(|key| (key.id(), key.clone())));
        let used: BTreeSet<_> = self.roles.values().flat_map(|role| &role.keyids).collect();
        self.keys.retain(|keyid, _| used.contains(keyid));
        self.units.retain(|keyid, _| self.keys.contains_key(keyid));
    }

    /// Says of which unit the holder of a key is, in place of what was said before.
    pub fn set_unit(&mut self, key: &PublicKey, unit: &str) {
        self.units.insert(key.id(), unit.to_owned());
    }
}

impl Targets {
    /// Empty metadata of the given version.
    pub fn new(version: u64, expires: Time) -> Self {
        Self { version, expires, targets: BTreeMap::new(), delegations: None }
    }

    /// Lists a target file, replacing what was listed under `path`.
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        self.targets.insert(path.to_owned(), TargetFile::of(bytes));
    }

    /// Hands [`LIFTS_PATHS`] to the role [`LIFTS`], terminating: nobody else speaks for them.
    pub fn delegate_lifts(&mut self, keys: &[PublicKey], threshold: u64) {
        self.delegations = Some(Delegations {
            keys: keys.iter().map(|key| (key.id(), key.clone())).collect(),
            roles: vec![Delegation {
                name: LIFTS.to_owned(),
                keys: role_keys(keys, threshold),
                paths: Some(vec![LIFTS_PATHS.to_owned()]),
                path_hash_prefixes: None,
                terminating: true,
            }],
        });
    }
}

/// The next snapshot: `metas` lists `targets.json` and each delegated role's file ([`MetaFile::of`]).
///
/// `last_version` is the highest version made or seen so far. Unix seconds keep several controllers,
/// each with its own key and disk, above one another without asking.
pub fn snapshot(now: Time, last_version: Option<u64>, metas: BTreeMap<String, MetaFile>) -> Snapshot {
    Snapshot {
        version: online_version(now, last_version),
        expires: whole_seconds(now.after(SNAPSHOT_LIFE)),
        meta: metas,
    }
}

/// The next timestamp, naming the signed snapshot file `snapshot_bytes` of version `snapshot_version`.
pub fn timestamp(now: Time, last_version: Option<u64>, snapshot_version: u64, snapshot_bytes: &[u8]) -> Timestamp {
    Timestamp {
        version: online_version(now, last_version),
        expires: whole_seconds(now.after(TIMESTAMP_LIFE)),
        meta: BTreeMap::from([(SNAPSHOT_FILE.to_owned(), MetaFile::of(snapshot_version, snapshot_bytes))]),
    }
}

/// A metadata file that nobody signed yet.
///
/// # Errors
/// [`TufError::Format`] if a reader would refuse it, so that a mistake is met before it is signed.
pub fn unsigned<T: Signed>(metadata: &T) -> Result<Vec<u8>, TufError> {
    let format = |reason: String| TufError::Format { file: format!("{}.json", T::TYPE), reason };
    let mut signed = serde_json::to_value(metadata).map_err(|error| format(error.to_string()))?;
    if let Value::Object(members) = &mut signed {
        members.insert("_type".to_owned(), json!(T::TYPE));
        members.insert("spec_version".to_owned(), json!(SPEC_VERSION));
    }
    let bytes = write(&signed, &[]);
    Envelope::parse(T::TYPE, &bytes)?.decode::<T>()?;
    Ok(bytes)
}

/// Adds this key's signature, replacing an older one of the same key id.
///
/// # Errors
/// [`TufError::Format`] or [`TufError::DuplicateSignature`] if `metadata` is no metadata file.
pub fn sign(metadata: &[u8], key: &SigningKey) -> Result<Vec<u8>, TufError> {
    attach(metadata, &key.public().id(), &key.sign(&signable_bytes(metadata)?))
}

/// What a signature is over: the canonical JSON of the signed part.
///
/// # Errors
/// As [`sign`].
pub fn signable_bytes(metadata: &[u8]) -> Result<Vec<u8>, TufError> {
    Envelope::parse("the metadata", metadata).map(|envelope| envelope.message)
}

/// Adds a signature made elsewhere over [`signable_bytes`]. It is not verified here, as the keys are
/// not known here: [`count_valid`] does.
///
/// # Errors
/// As [`sign`].
pub fn attach(metadata: &[u8], keyid: &KeyId, signature: &[u8]) -> Result<Vec<u8>, TufError> {
    let Envelope { signed, mut signatures, .. } = Envelope::parse("the metadata", metadata)?;
    signatures.retain(|other| other.keyid != *keyid);
    signatures.push(TufSignature { keyid: keyid.clone(), sig: HEXLOWER.encode(signature) });
    Ok(write(&signed, &signatures))
}

/// Who of a role has signed validly, and who is missing, counted as every client counts.
///
/// # Errors
/// As [`sign`].
pub fn count_valid(metadata: &[u8], keys: &BTreeMap<KeyId, PublicKey>, role: &RoleKeys) -> Result<Tally, TufError> {
    Ok(Envelope::parse("the metadata", metadata)?.tally(keys, role))
}

/// Reads the signed part **without checking any signature**: to show a draft, or to make the next
/// version from one's own files.
///
/// # Errors
/// [`TufError::Format`] and its like.
pub fn read_unverified<T: Signed>(metadata: &[u8]) -> Result<T, TufError> {
    Envelope::parse(T::TYPE, metadata)?.decode()
}

fn role_keys(keys: &[PublicKey], threshold: u64) -> RoleKeys {
    RoleKeys { keyids: keys.iter().map(PublicKey::id).collect(), threshold }
}

fn online_version(now: Time, last: Option<u64>) -> u64 {
    let seconds = u64::try_from(now.unix_ms() / 1000).unwrap_or(0);
    last.map_or(1, |last| last.saturating_add(1)).max(seconds)
}

// As it will be read again: metadata has no fractions of a second.
fn whole_seconds(time: Time) -> Time {
    Time::from_unix_ms(time.unix_ms() / 1000 * 1000)
}

// Laid out for people: it is reviewed in git. Signatures are over the canonical form, whatever the
// layout.
fn write(signed: &Value, signatures: &[TufSignature]) -> Vec<u8> {
    let file = json!({ "signatures": signatures, "signed": signed });
    let mut text = format!("{file:#}");
    text.push('\n');
    text.into_bytes()
}
