//! The five kinds of TUF metadata (TUF 1.0.34, 4.3 to 4.6), as types that hold only what can be
//! relied on once it is signed. Members that the specification does not define are ignored here; they
//! count in the signature, which is over the value as received.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::key::{KeyId, PublicKey};
use crate::time::Time;
use crate::tuf::error::Listing;
use crate::tuf::{ROLE_NAME_BYTES_MAX, ROOT, SNAPSHOT, TARGETS, TIMESTAMP};
use crate::value::INTEGER_MAX;

/// The specification that this library writes. Any 1.x is read (4.3, `SPEC_VERSION`).
pub(crate) const SPEC_VERSION: &str = "1.0.34";
/// Name of the one file that a timestamp lists.
pub(crate) const SNAPSHOT_FILE: &str = "snapshot.json";

/// The member of a root that names units.
const UNITS: &str = "x-sekisho-units";
/// Longest name of a unit, in bytes.
const UNIT_BYTES_MAX: usize = 1000;

/// What the four kinds have in common.
pub trait Signed: Serialize + DeserializeOwned {
    /// Value of `_type`.
    const TYPE: &'static str;

    /// Version, at least 1.
    fn version(&self) -> u64;

    /// End of its life: at this moment it is expired.
    fn expires(&self) -> Time;

    /// Rules that a parser cannot state.
    ///
    /// # Errors
    /// The rule broken, as a sentence for a release manager.
    fn check(&self) -> Result<(), String>;
}

/// Which keys speak for which role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// One more than the root before.
    #[serde(deserialize_with = "version")]
    pub version: u64,
    /// End of its life.
    #[serde(with = "expires")]
    pub expires: Time,
    /// Whether file names bear versions and digests (6.2). Absent means no.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// All keys, by id.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// Keys and threshold of `root`, `targets`, `snapshot`, `timestamp`, and of roles unknown here.
    pub roles: BTreeMap<String, RoleKeys>,
    /// Units of the organisation by key id, for every key of `root` and `targets`. The specification does
    /// not define the member; other clients keep it and pass it over. Empty: not written.
    #[serde(rename = "x-sekisho-units", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<KeyId, String>,
}

/// Who speaks for a role, and how many of them must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Ids of the keys; each once.
    pub keyids: Vec<KeyId>,
    /// Distinct keys that must sign; at least 1.
    #[serde(deserialize_with = "threshold")]
    pub threshold: u64,
}

/// Which snapshot is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Grows with every one made.
    #[serde(deserialize_with = "version")]
    pub version: u64,
    /// End of its life.
    #[serde(with = "expires")]
    pub expires: Time,
    /// `snapshot.json` alone.
    pub meta: BTreeMap<String, MetaFile>,
}

/// Which versions of all targets metadata belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows with every one made.
    #[serde(deserialize_with = "version")]
    pub version: u64,
    /// End of its life.
    #[serde(with = "expires")]
    pub expires: Time,
    /// `targets.json` and one file per delegated role, by name without version.
    pub meta: BTreeMap<String, MetaFile>,
}

/// A metadata file as timestamp and snapshot list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Version it must have.
    #[serde(deserialize_with = "version")]
    pub version: u64,
    /// Bytes it has, if listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests, if listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

/// Which target files there are, and whom else to ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Grows with every change.
    #[serde(deserialize_with = "version")]
    pub version: u64,
    /// End of its life.
    #[serde(with = "expires")]
    pub expires: Time,
    /// Target files by path.
    pub targets: BTreeMap<String, TargetFile>,
    /// Roles that may speak for some paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// One target file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// Anything more that its signers said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
}

/// Roles that targets metadata hands paths to, first come, first trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    /// Their keys, by id.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// The roles in order of trust.
    pub roles: Vec<Delegation>,
}

/// One delegated role. Exactly one of `paths` and `path_hash_prefixes` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// Name, at most 80 bytes, none of the four top-level names.
    pub name: String,
    /// Keys and threshold.
    #[serde(flatten)]
    pub keys: RoleKeys,
    /// Patterns of the paths it may speak for; `*` and `?` stay within one directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Beginnings of the hexadecimal SHA-256 of the paths it may speak for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Whether nobody behind it is asked for its paths.
    #[serde(default)]
    pub terminating: bool,
}

/// Hexadecimal digests by algorithm. `sha256` and `sha512` are known; others are not relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

impl Hashes {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(BTreeMap::from([("sha256".to_owned(), Digest::of(bytes).hex())]))
    }

    /// The SHA-256, if listed and well written.
    pub fn sha256(&self) -> Option<Digest> {
        self.0.get("sha256").and_then(|hex| Digest::from_hex(hex).ok())
    }

    /// The digest that names the file on a repository with consistent snapshots. It becomes part of a
    /// path, so it is one only if it is well written.
    pub(crate) fn known(&self) -> Option<&str> {
        let well_written = |name, digits| {
            let hex = self.0.get(name).map(String::as_str)?;
            (hex.len() == digits && HEXLOWER.decode(hex.as_bytes()).is_ok()).then_some(hex)
        };
        well_written("sha256", 64).or_else(|| well_written("sha512", 128))
    }

    // All known digests must match: one that does not is a contradiction, not a second opinion.
    fn verify(&self, bytes: &[u8]) -> Result<(), Listing> {
        if self.known().is_none() {
            return Err(Listing::NoKnownDigest);
        }
        let sha256 = self.0.get("sha256").is_none_or(|hex| *hex == Digest::of(bytes).hex());
        let sha512 = self
            .0
            .get("sha512")
            .is_none_or(|hex| *hex == HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA512, bytes).as_ref()));
        if sha256 && sha512 { Ok(()) } else { Err(Listing::Digest) }
    }
}

impl MetaFile {
    /// Lists a metadata file with version, length and SHA-256.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        Self { version, length: Some(length(bytes)), hashes: Some(Hashes::of(bytes)) }
    }

    /// Checks length and digests, as far as they are listed.
    ///
    /// # Errors
    /// [`Listing`]: what differs.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Listing> {
        // A limit, not an equality, as 5.5.1 has it: the digest is the equality.
        if let Some(listed) = self.length.filter(|listed| length(bytes) > *listed) {
            return Err(Listing::Length { listed, found: length(bytes) });
        }
        self.hashes.as_ref().map_or(Ok(()), |hashes| hashes.verify(bytes))
    }
}

impl TargetFile {
    /// Lists a target file with length and SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self { length: length(bytes), hashes: Hashes::of(bytes), custom: None }
    }

    /// Checks length and digests (5.7.3).
    ///
    /// # Errors
    /// [`Listing`]: what differs.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Listing> {
        if length(bytes) != self.length {
            return Err(Listing::Length { listed: self.length, found: length(bytes) });
        }
        self.hashes.verify(bytes)
    }
}

impl Signed for Root {
    const TYPE: &'static str = ROOT;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn check(&self) -> Result<(), String> {
        for role in [ROOT, TIMESTAMP, SNAPSHOT, TARGETS] {
            if !self.roles.contains_key(role) {
                return Err(format!("no keys for {role}"));
            }
        }
        // A threshold above the number of keys is let through: it can only never be met.
        self.roles.iter().try_for_each(|(name, keys)| keys.check(name))?;
        if self.units.is_empty() { Ok(()) } else { self.check_units() }
    }
}

impl Root {
    // Every key whose signature may count has one unit, under whichever ids it stands.
    fn check_units(&self) -> Result<(), String> {
        let mut seen: Vec<(&KeyId, &PublicKey)> = Vec::new();
        let mut ids: BTreeSet<&KeyId> = self.units.keys().collect();
        ids.extend([ROOT, TARGETS].into_iter().filter_map(|role| self.roles.get(role)).flat_map(|role| &role.keyids));
        for id in ids {
            let (Some(unit), Some(key)) = (self.units.get(id), self.keys.get(id)) else {
                return Err(format!("key {id} has no unit in {UNITS}, or is not among the keys"));
            };
            if unit.trim().is_empty() || unit.len() > UNIT_BYTES_MAX || unit.contains(char::is_control) {
                return Err(format!("the unit of key {id} is not one line of 1 to {UNIT_BYTES_MAX} bytes"));
            }
            if let Some((twin, _)) = seen.iter().find(|(_, other)| other.is_same_key(key)) {
                return Err(format!("{twin} and {id} are one key, and it would have a unit twice"));
            }
            seen.push((id, key));
        }
        Ok(())
    }
}

impl Signed for Timestamp {
    const TYPE: &'static str = TIMESTAMP;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn check(&self) -> Result<(), String> {
        // 4.6: it "MUST only include a description of the snapshot.json file".
        if self.meta.len() == 1 && self.meta.contains_key(SNAPSHOT_FILE) {
            Ok(())
        } else {
            Err("a timestamp lists snapshot.json and nothing else".to_owned())
        }
    }
}

impl Timestamp {
    /// The snapshot it lists.
    pub fn snapshot(&self) -> Option<&MetaFile> {
        self.meta.get(SNAPSHOT_FILE)
    }
}

impl Signed for Snapshot {
    const TYPE: &'static str = SNAPSHOT;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn check(&self) -> Result<(), String> {
        if self.meta.contains_key("targets.json") { Ok(()) } else { Err("targets.json is not listed".to_owned()) }
    }
}

impl Signed for Targets {
    const TYPE: &'static str = TARGETS;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn check(&self) -> Result<(), String> {
        if let Some(path) = self.targets.keys().find(|path| !is_plain_path(path)) {
            return Err(format!("target path {path:?} is not a plain relative path"));
        }
        let mut names = BTreeSet::new();
        for role in self.delegations.iter().flat_map(|delegations| &delegations.roles) {
            let name = &role.name;
            if name.is_empty() || name.len() > ROLE_NAME_BYTES_MAX {
                return Err(format!("a role's name has 1 to {ROLE_NAME_BYTES_MAX} bytes"));
            }
            // It would be stored and listed under the name of a role with other keys.
            if [ROOT, TIMESTAMP, SNAPSHOT, TARGETS].contains(&name.as_str()) {
                return Err(format!("{name} cannot be delegated"));
            }
            if !names.insert(name) {
                return Err(format!("{name} is delegated twice"));
            }
            if role.paths.is_some() == role.path_hash_prefixes.is_some() {
                return Err(format!("{name} needs either paths or path_hash_prefixes"));
            }
            role.keys.check(name)?;
        }
        Ok(())
    }
}

impl RoleKeys {
    fn check(&self, name: &str) -> Result<(), String> {
        let distinct: BTreeSet<_> = self.keyids.iter().collect();
        if distinct.len() == self.keyids.len() { Ok(()) } else { Err(format!("{name} lists a key id twice")) }
    }
}

// 4.5 recommends paths relative to the targets' address, with forward slashes. Here others are refused,
// as files are served and kept under these names.
fn is_plain_path(path: &str) -> bool {
    let plain = !path.contains(|letter: char| letter.is_control() || letter == '\\');
    plain && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Length of a slice as metadata counts it.
pub(crate) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let version = u64::deserialize(deserializer)?;
    if (1..=INTEGER_MAX).contains(&version) {
        Ok(version)
    } else {
        Err(D::Error::custom(format!("a version is an integer from 1 to {INTEGER_MAX}")))
    }
}

fn threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let threshold = u64::deserialize(deserializer)?;
    if threshold >= 1 { Ok(threshold) } else { Err(D::Error::custom("a threshold is at least 1")) }
}

/// `YYYY-MM-DDTHH:MM:SSZ` and nothing else (4.2.2).
mod expires {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Time;

    pub(super) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_seconds())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        Time::from_rfc3339(&text)
            .ok()
            .filter(|time| time.to_rfc3339_seconds() == text)
            .ok_or_else(|| D::Error::custom("expires is a UTC time such as 2030-01-01T00:00:00Z"))
    }
}
