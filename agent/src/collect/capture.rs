//! The file list of a tree as it stands, for the release manager who makes a release of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use manifests::evidence::{FindingKind, Why};
use manifests::tree::FileList;

use crate::collect::Limits;
use crate::collect::index::Index;
use crate::collect::read;
use crate::collect::tree::{self, Root, Scope, Tree};

/// Why a tree cannot be captured as a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// An entry, or the root itself, could not be read.
    #[error("{} could not be read: {}", path.display(), code(why))]
    Unread {
        /// The entry.
        path: PathBuf,
        /// Why.
        why: Why,
    },
    /// An entry is a FIFO, socket or device, which no release has.
    #[error("{} is a FIFO, socket or device: remove or exclude it", path.display())]
    Special {
        /// The entry.
        path: PathBuf,
    },
}

/// A tree as it was captured.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Its file list.
    pub list: FileList,
    /// Symbolic links that lead out of the tree and are not followed, relative to the root, and where they
    /// lead: what lies there does not count.
    pub out: BTreeMap<PathBuf, PathBuf>,
}

/// A reason's code, as evidence writes it.
fn code(why: &Why) -> String {
    serde_json::to_value(why).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Captures the tree at `path`, for a release manager: all that `scope` leaves of it or an error. Takes as
/// long as it takes.
///
/// # Errors
/// [`CaptureError`] names the first entry in byte order that is special or could not be read.
pub fn capture(path: &Path, scope: &Scope) -> Result<Captured, CaptureError> {
    let (root, limits) = begin(path)?;
    let deadline = read::deadline(limits.pass_time);
    let Tree { list, out, .. } = whole(path, tree::look(&root, scope, &mut Index::default(), &limits, deadline))?;
    Ok(Captured { list: Arc::unwrap_or_clone(list), out })
}

/// The symbolic links of [`Captured::out`] alone. No file is read.
///
/// # Errors
/// As [`capture`].
pub fn links_out(path: &Path, scope: &Scope) -> Result<BTreeMap<PathBuf, PathBuf>, CaptureError> {
    let (root, limits) = begin(path)?;
    let deadline = read::deadline(limits.pass_time);
    Ok(whole(path, tree::look_at_names(&root, scope, &limits, deadline))?.out)
}

fn begin(path: &Path) -> Result<(Root, Limits), CaptureError> {
    const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let unread = |errno| CaptureError::Unread { path: path.to_owned(), why: read::why(errno) };
    let root = tree::open_root(path).map_err(unread)?;
    Ok((root, Limits { file_bytes_max: u64::MAX, pass_time: A_DAY, ..Limits::default() }))
}

fn whole(path: &Path, seen: Tree) -> Result<Tree, CaptureError> {
    if let Some((entry, why)) = seen.gaps.first_key_value() {
        return Err(CaptureError::Unread { path: path.join(OsStr::from_bytes(entry)), why: *why });
    }
    if let Some(finding) = seen.findings.iter().find(|finding| finding.kind == FindingKind::SpecialFile) {
        return Err(CaptureError::Special { path: path.join(&finding.path) });
    }
    Ok(seen)
}
