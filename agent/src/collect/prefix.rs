//! Where a baseline's absolute paths begin on this host.

use std::path::{Path, PathBuf};

/// Put before every absolute path of a baseline, and taken off again in evidence. Absolute links
/// below it are still followed from `/`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefix(Option<PathBuf>);

impl Prefix {
    /// Nothing, or a directory.
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self(directory)
    }

    /// The directory, if there is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// A baseline's path on this host.
    pub(crate) fn on_host(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        match &self.0 {
            Some(prefix) => prefix.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// A path of this host as a baseline would have it.
    pub(crate) fn in_baseline(&self, path: &Path) -> PathBuf {
        let below = self.0.as_ref().and_then(|prefix| path.strip_prefix(prefix).ok());
        below.map_or_else(|| path.to_owned(), |below| Path::new("/").join(below))
    }

    /// The same for people and evidence: bytes that are not UTF-8 replaced.
    pub(crate) fn shown(&self, path: &Path) -> String {
        self.in_baseline(path).to_string_lossy().into_owned()
    }
}
