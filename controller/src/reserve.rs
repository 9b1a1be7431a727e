//! Room on the disk that is kept for stops: a file without content, given up when a stop has no other room.
//!
//! While it is given up nothing else is written: whatever is freed becomes the reserve again first.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// The largest reserve: a stop of 10,000 hosts writes a row for each.
const RESERVE_BYTES_MAX: u64 = 32 << 20;
/// Below it there is no use in one.
const RESERVE_BYTES_MIN: u64 = 128 << 10;
/// Of the room that is free, one part in so many becomes the reserve.
const PART: u64 = 8;
/// With less room than this a stop is written into the reserve.
const ROOM_BYTES_MIN: u64 = 256 << 10;

/// The reserve of one data directory.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    /// The reserve below `directory`, taken if there is room for it.
    pub(crate) fn new(directory: &Path) -> Self {
        let path = directory.join("reserve");
        let held = path.exists();
        let mut reserve = Self { path, held };
        reserve.take();
        reserve
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn room(&self) -> io::Result<u64> {
        let stat = statvfs(self.directory())?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Takes the reserve, if it is not held. Returns whether it is.
    pub(crate) fn take(&mut self) -> bool {
        if self.held {
            return true;
        }
        let taken = (|| {
            let bytes = (self.room()? / PART).min(RESERVE_BYTES_MAX);
            if bytes < RESERVE_BYTES_MIN {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let file = File::create(&self.path)?;
            fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
            file.sync_all()
        })();
        match taken {
            Ok(()) => self.held = true,
            Err(error) => {
                // Half of one is none.
                let _ = std::fs::remove_file(&self.path);
                // Where it cannot be had at all, as on a file system that knows no such thing, all goes on without.
                self.held = error.kind() == io::ErrorKind::Unsupported;
            }
        }
        self.held
    }

    /// Gives the reserve up if a stop has no other room.
    pub(crate) fn give_up_for_a_stop(&mut self) {
        if !self.held || self.room().is_ok_and(|room| room >= ROOM_BYTES_MIN) {
            return;
        }
        tracing::warn!(
            "the disk is full: a stop is written into the room kept for it; nothing else is until there is more"
        );
        if std::fs::remove_file(&self.path).is_ok() {
            self.held = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_while_there_is_room_and_given_up_only_without() {
        let directory = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::new(directory.path());
        assert!(reserve.take() && directory.path().join("reserve").exists());
        reserve.give_up_for_a_stop();
        assert!(directory.path().join("reserve").exists(), "there is other room");
        assert!(Reserve::new(directory.path()).held, "a restart finds it");
    }
}
