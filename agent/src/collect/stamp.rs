//! What the kernel says of a file, by which an unchanged one is known again.

use rustix::fs::Stat;

/// Which file it is and which content it has, as far as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime_ns: i128,
    ctime_ns: i128,
}

impl Stamp {
    /// Device and inode: the same file, whatever its content.
    pub(crate) fn identity(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Its size, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// When the content, or of a directory its entries, last changed, unless somebody set it: nanoseconds of
    /// the wall clock.
    pub(crate) fn mtime_ns(&self) -> i128 {
        self.mtime_ns
    }

    /// When content, owner, mode or links last changed: nanoseconds of the wall clock.
    pub(crate) fn ctime_ns(&self) -> i128 {
        self.ctime_ns
    }
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Self {
        let ns = |seconds: i64, nanos: u64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        // The types of these fields differ between architectures, which is what the casts are for.
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            mtime_ns: ns(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: ns(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}
