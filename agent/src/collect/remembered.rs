//! What an agent knows of running processes, kept across its own restart: which program's they are and
//! what they have loaded. Without it, whatever was touched since a program began would count as not
//! loaded after every upgrade of the agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::BASE64;
use manifests::digest::Digest;
use manifests::id::ItemId;
use manifests::tree::FileList;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything of one boot.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    pub(crate) boot_id: String,
    /// Of programs of the baseline.
    pub(crate) running: Vec<RunningRecord>,
    /// With what they have loaded.
    pub(crate) processes: Vec<ProcessRecord>,
}

/// A process, whose it is and which file it executes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunningRecord {
    pub(crate) program: ItemId,
    pub(crate) pid: i32,
    /// Ticks since boot.
    pub(crate) start: u64,
    /// Device and inode of the executable.
    pub(crate) file: (u64, u64),
}

/// What one process has loaded.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessRecord {
    pub(crate) pid: i32,
    /// Ticks since boot.
    pub(crate) start: u64,
    pub(crate) configs: Vec<ConfigRecord>,
    pub(crate) trees: Vec<TreeRecord>,
}

/// A configuration: its files as the baseline has them, and the layers with their content.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigRecord {
    pub(crate) files: Vec<String>,
    pub(crate) layers: BTreeMap<Name, Option<Digest>>,
}

/// A program's tree: its list is kept beside, by its digest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TreeRecord {
    pub(crate) root: Name,
    pub(crate) exclude: Vec<String>,
    pub(crate) list: Digest,
    pub(crate) uncertain: BTreeSet<Name>,
    pub(crate) held: BTreeMap<Name, HeldRecord>,
}

/// A file that it holds: device and inode, and its content when it was first seen to hold it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldRecord {
    pub(crate) file: (u64, u64),
    pub(crate) content: Option<Digest>,
}

/// File lists by digest.
pub(crate) type Lists = BTreeMap<Digest, Arc<FileList>>;

/// A path: any bytes, in base64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) Vec<u8>);

impl Name {
    pub(crate) fn of(path: &std::path::Path) -> Self {
        Self(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec())
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(self.0.clone()))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}
