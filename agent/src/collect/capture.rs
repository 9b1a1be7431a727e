//! The file list of a tree as it stands, for the release manager who makes a release of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use manifests::evidence::{FindingKind, Why};
use manifests::exclude::Globs;
use manifests::tree::FileList;

use crate::collect::Limits;
use crate::collect::index::Index;
use crate::collect::read;
use crate::collect::tree::{self, Scope};

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

/// A reason's code, as evidence writes it.
fn code(why: &Why) -> String {
    serde_json::to_value(why).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The file list of the tree at `path`, for a release manager: all of it or an error. Takes as long
/// as it takes.
///
/// # Errors
/// [`CaptureError`] names the first entry in byte order that is special or could not be read.
pub fn capture(path: &Path, exclude: &Globs) -> Result<FileList, CaptureError> {
    const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let unread = |why| CaptureError::Unread { path: path.to_owned(), why };
    let root = tree::open_root(path).map_err(|errno| unread(read::why(errno)))?;
    let limits = Limits { file_bytes_max: u64::MAX, pass_time: A_DAY, ..Limits::default() };
    let deadline = read::deadline(limits.pass_time);
    let seen = tree::look(&root, &Scope::new(exclude), &mut Index::default(), &limits, deadline);
    if let Some((entry, why)) = seen.gaps.first_key_value() {
        let entry: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(entry);
        return Err(CaptureError::Unread { path: path.join(entry), why: *why });
    }
    if let Some(finding) = seen.findings.iter().find(|finding| finding.kind == FindingKind::SpecialFile) {
        return Err(CaptureError::Special { path: path.join(&finding.path) });
    }
    Ok(seen.list)
}
