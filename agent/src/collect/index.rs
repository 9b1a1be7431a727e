//! Digests of files that were read before, by what the kernel says of a file.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use manifests::digest::Digest;
use rustix::fs::Stat;

use crate::collect::read::Digested;

/// A change within this before a reading may carry the time stamps of the content before it.
const SETTLED_NS: i128 = 2_000_000_000;
/// The most digests kept; about 100 bytes each.
const INDEX_ENTRIES_MAX: usize = 4_000_000;
/// Digests not asked for in this many passes are dropped. More than one, because two baselines may
/// be looked at in turn.
const INDEX_PASSES: u32 = 4;

/// One of so many files is read again in each pass, whatever its stamp says.
const READ_AGAIN_SHARE: u64 = 100;

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

    /// When the content, or of a directory its entries, last changed, unless somebody set it: nanoseconds of the
    /// wall clock.
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

/// Digests of files that were read before.
#[derive(Debug, Default)]
pub(crate) struct Index {
    digests: HashMap<Stamp, (Digest, u32)>,
    pass: u32,
    /// Chooses the files that a pass reads again; nobody outside can tell which.
    chance: RandomState,
}

impl Index {
    /// The digest of the content that a file with this stamp had when it was read. Not for every file
    /// in every pass: a write through a mapping, or a failing disk, need not change the stamp.
    pub(crate) fn digest(&mut self, stamp: &Stamp) -> Option<Digest> {
        if self.chance.hash_one((stamp, self.pass)).is_multiple_of(READ_AGAIN_SHARE) {
            return None;
        }
        let (digest, used) = self.digests.get_mut(stamp)?;
        *used = self.pass;
        Some(*digest)
    }

    /// Keeps what was read, unless the file changed too shortly before for its stamp to say so.
    pub(crate) fn keep(&mut self, read: &Digested) {
        if read.began_ns - read.stamp.ctime_ns >= SETTLED_NS && self.digests.len() < INDEX_ENTRIES_MAX {
            self.digests.insert(read.stamp, (read.digest, self.pass));
        }
    }

    /// Ends a pass: what was not asked for lately goes.
    pub(crate) fn end_pass(&mut self) {
        let pass = self.pass;
        self.digests.retain(|_, (_, used)| pass.wrapping_sub(*used) < INDEX_PASSES);
        self.pass = pass.wrapping_add(1);
    }
}
