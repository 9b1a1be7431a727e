//! What an agent knows of running processes, kept across its own restart: which image they run, whose it
//! is and what it has loaded. Without it, whatever was touched since a program began would count as not
//! loaded after every upgrade of the agent.
//!
//! The form has a version, and the one before it is taken up: an upgrade is such a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use manifests::digest::Digest;
use manifests::evidence::OlderWhy;
use manifests::id::ItemId;
use manifests::tree::FileList;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::collect::process::{Key, Layout};

/// The version that is written.
pub(crate) const VERSION: u32 = 2;

/// Everything of one boot.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    pub(crate) version: u32,
    pub(crate) boot_id: String,
    pub(crate) images: Vec<KnownImage>,
    /// Mounts: id, device, root, point, and boot clock since when they are known.
    pub(crate) mounts: Vec<(u32, u64, Name, Name, i64)>,
    /// Where something was mounted that has gone, and boot clock by which it had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gone: Vec<(Name, i64)>,
    /// Boot clock by which others had gone of which the place is not known any more.
    #[serde(default)]
    pub(crate) gone_lost: i64,
    /// Boot clock and wall clock minus boot clock, at each step of the wall clock.
    pub(crate) offsets: Vec<(i64, i64)>,
}

/// An image, whose it is and what it has loaded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownImage {
    pub(crate) key: KeyRecord,
    /// Boot clock before which it cannot have read anything, in nanoseconds.
    pub(crate) since_ns: i64,
    pub(crate) owners: Vec<OwnerRecord>,
    pub(crate) loaded: ImageRecord,
}

/// Which image it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum KeyRecord {
    Layout(Layout),
    Process { pid: i32, start: u64 },
}

impl From<Key> for KeyRecord {
    fn from(key: Key) -> Self {
        match key {
            Key::Layout(layout) => Self::Layout(layout),
            Key::Process(pid, start) => Self::Process { pid, start },
        }
    }
}

impl From<KeyRecord> for Key {
    fn from(record: KeyRecord) -> Self {
        match record {
            KeyRecord::Layout(layout) => Key::Layout(layout),
            KeyRecord::Process { pid, start } => Key::Process(pid, start),
        }
    }
}

/// Whose an image is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerRecord {
    pub(crate) program: ItemId,
    pub(crate) root: Name,
    /// The interpreter that the baseline names outside of the tree, and its arguments.
    #[serde(default)]
    pub(crate) interpreter: Option<(Name, Option<String>)>,
    pub(crate) is_copy: bool,
}

/// What one image has loaded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageRecord {
    pub(crate) files: Vec<FileRecord>,
    pub(crate) patterns: Vec<(Name, Option<OlderWhy>)>,
    pub(crate) trees: Vec<TreeRecord>,
}

/// A file that it has read: its content, or why that is not known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    pub(crate) path: Name,
    pub(crate) content: Option<Digest>,
    pub(crate) why: Option<OlderWhy>,
}

/// A program's tree: its list is kept beside, by its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TreeRecord {
    pub(crate) root: Name,
    pub(crate) scopes: Vec<Vec<String>>,
    pub(crate) list: Digest,
    pub(crate) uncertain: Vec<(Name, OlderWhy)>,
    pub(crate) held: BTreeMap<Name, HeldRecord>,
}

/// A file that it holds: device and inode, and its content when it was first seen to hold it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldRecord {
    pub(crate) file: (u64, u64),
    pub(crate) content: Option<Digest>,
}

/// File lists by digest.
pub(crate) type Lists = BTreeMap<Digest, Arc<FileList>>;

impl Remembered {
    /// Reads what this version or the one before it wrote. Of that one `layout` tells the image that a
    /// process runs now: process id and start in ticks since boot.
    ///
    /// # Errors
    /// If it is damaged, or of a version that is not known here.
    pub(crate) fn read(kept: &[u8], layout: impl Fn(i32, u64) -> Option<Key>) -> Result<Self, String> {
        /// The version alone.
        #[derive(Deserialize)]
        struct Versioned {
            #[serde(default)]
            version: u32,
        }
        let error = |error: serde_json::Error| error.to_string();
        match serde_json::from_slice::<Versioned>(kept).map_err(error)?.version {
            0 => Ok(serde_json::from_slice::<first::Remembered>(kept).map_err(error)?.into_current(layout)),
            VERSION => serde_json::from_slice(kept).map_err(error),
            other => Err(format!("version {other} is not known to this agent")),
        }
    }

    /// The file lists that it names.
    pub(crate) fn lists(&self) -> BTreeSet<Digest> {
        self.images.iter().flat_map(|image| &image.loaded.trees).map(|tree| tree.list).collect()
    }
}

/// The form of the first version, which did not say its number: what a process has loaded stood with the
/// list of a configuration's files, and with a tree's exclusions.
mod first {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Remembered {
        boot_id: String,
        running: Vec<RunningRecord>,
        processes: Vec<ProcessRecord>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RunningRecord {
        program: ItemId,
        pid: i32,
        start: u64,
        #[serde(rename = "file")]
        _file: (u64, u64),
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ProcessRecord {
        pid: i32,
        start: u64,
        configs: Vec<ConfigRecord>,
        trees: Vec<OldTree>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ConfigRecord {
        files: Vec<String>,
        layers: BTreeMap<Name, Option<Digest>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OldTree {
        root: Name,
        exclude: Vec<String>,
        list: Digest,
        uncertain: BTreeSet<Name>,
        held: BTreeMap<Name, HeldRecord>,
    }

    impl Remembered {
        pub(super) fn into_current(self, layout: impl Fn(i32, u64) -> Option<Key>) -> super::Remembered {
            let mut images = Vec::new();
            for process in self.processes {
                // Gone since, if it runs no image.
                let Some(key) = layout(process.pid, process.start) else { continue };
                let running = self.running.iter().filter(|r| (r.pid, r.start) == (process.pid, process.start));
                let programs: Vec<&ItemId> = running.map(|running| &running.program).collect();
                let roots = process.trees.iter().map(|tree| tree.root.clone());
                let owners = roots.flat_map(|root| {
                    let owner = |program: &&ItemId| OwnerRecord {
                        program: (*program).clone(),
                        root: root.clone(),
                        interpreter: None,
                        is_copy: false,
                    };
                    programs.iter().map(owner).collect::<Vec<_>>()
                });
                let owners = owners.collect();
                let since_ns = i64::try_from(process.start).unwrap_or(i64::MAX).saturating_mul(10_000_000);
                let loaded = ImageRecord {
                    files: process.configs.iter().flat_map(|config| &config.layers).map(file).collect(),
                    patterns: process
                        .configs
                        .iter()
                        .flat_map(|config| &config.files)
                        .map(|path| pattern(path))
                        .collect(),
                    trees: process.trees.into_iter().map(tree).collect(),
                };
                images.push(KnownImage { key: key.into(), since_ns, owners, loaded });
            }
            super::Remembered { version: VERSION, boot_id: self.boot_id, images, ..super::Remembered::default() }
        }
    }

    fn file((path, content): (&Name, &Option<Digest>)) -> FileRecord {
        let why = content.is_none().then_some(OlderWhy::BeforeFirstLook);
        FileRecord { path: path.clone(), content: *content, why }
    }

    fn pattern(path: &str) -> (Name, Option<OlderWhy>) {
        (Name(path.as_bytes().to_vec()), None)
    }

    fn tree(tree: OldTree) -> TreeRecord {
        TreeRecord {
            root: tree.root,
            scopes: vec![tree.exclude],
            list: tree.list,
            uncertain: tree.uncertain.into_iter().map(|path| (path, OlderWhy::BeforeFirstLook)).collect(),
            held: tree.held,
        }
    }
}

/// A path: any bytes, in base64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) Vec<u8>);

impl Name {
    pub(crate) fn of(path: &Path) -> Self {
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
