//! Digests of files that were read before, by what the kernel says of a file.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use manifests::digest::Digest;

use crate::collect::read::Digested;
pub(crate) use crate::collect::stamp::Stamp;
use crate::collect::witness::{WitnessId, Witnesses};

/// A change within this before a reading may carry the time stamps of the content before it.
const SETTLED_NS: i128 = 2_000_000_000;
/// The most digests kept; about 110 bytes each.
const INDEX_ENTRIES_MAX: usize = 4_000_000;
/// Digests not asked for in this many passes are dropped. More than one, because two baselines may
/// be looked at in turn.
const INDEX_PASSES: u32 = 4;

/// One of so many files is read again in each pass, whatever its stamp says.
const READ_AGAIN_SHARE: u64 = 100;

/// Digests of files that were read before.
#[derive(Debug, Default)]
pub(crate) struct Index {
    digests: HashMap<Stamp, Known>,
    /// Locked, as several threads read files.
    witnesses: Mutex<Witnesses>,
    pass: u32,
    /// Chooses the files that a pass reads again; nobody outside can tell which.
    chance: RandomState,
    /// Inodes of files whose stamps say nothing in this pass.
    distrusted: HashSet<u64>,
}

#[derive(Debug)]
struct Known {
    digest: Digest,
    /// The last pass that asked for it.
    used: u32,
    /// Who vouched for the file system when it was read.
    witness: WitnessId,
}

impl Index {
    /// Begins a pass: what was read of file systems that may have been unmounted since is forgotten.
    pub(crate) fn begin_pass(&mut self) {
        let witnesses = self.witnesses.get_mut().unwrap_or_else(PoisonError::into_inner);
        if witnesses.begin_pass() {
            self.digests.retain(|_, known| witnesses.is_there(known.witness));
        }
    }

    /// To be called with an open file, or its directory, before the file is read: only what is read of
    /// devices that were met is kept.
    pub(crate) fn meet(&self, fd: impl AsFd) {
        if let Ok(stat) = rustix::fs::fstat(&fd) {
            self.meet_device(stat.st_dev, fd);
        }
    }

    /// The same where the device is known. Costs a few system calls for one that was not met yet, else nothing.
    pub(crate) fn meet_device(&self, device: u64, fd: impl AsFd) {
        self.witnesses.lock().unwrap_or_else(PoisonError::into_inner).call(device, fd);
    }

    /// Files that a process may be changing without a trace, by device and inode: until the end of the
    /// pass their stamps say nothing, and they are read again. A shared writable mapping changes the
    /// content at once and the times of the file only at the next writeback.
    #[allow(dead_code, reason = "for whoever reads the maps of processes")]
    pub(crate) fn distrust(&mut self, files: impl IntoIterator<Item = (u64, u64)>) {
        // By the inode alone: `/proc/PID/maps` and stat(2) differ in the device on btrfs and overlays. A
        // file that has the same number on another device is read once more than it need be.
        self.distrusted.extend(files.into_iter().map(|(_, inode)| inode));
    }

    /// The digest of the content that a file with this stamp had when it was read. Not for every file
    /// in every pass: a write through a mapping, or a failing disk, need not change the stamp.
    pub(crate) fn digest(&mut self, stamp: &Stamp) -> Option<Digest> {
        if self.chance.hash_one((stamp, self.pass)).is_multiple_of(READ_AGAIN_SHARE) {
            return None;
        }
        let (device, inode) = stamp.identity();
        if self.distrusted.contains(&inode) {
            return None;
        }
        let known = self.digests.get_mut(stamp)?;
        let witnesses = self.witnesses.get_mut().unwrap_or_else(PoisonError::into_inner);
        // While the one that vouched then lives, the number belongs to the same file system.
        if witnesses.of(device).is_none_or(|(witness, _)| witness != known.witness) {
            return None;
        }
        known.used = self.pass;
        Some(known.digest)
    }

    /// Keeps what was read, unless the file changed too shortly before for its stamp to say so, or nobody
    /// vouched for its file system when the reading began.
    pub(crate) fn keep(&mut self, read: &Digested) {
        let is_settled = read.began_ns - read.stamp.ctime_ns() >= SETTLED_NS;
        let witnesses = self.witnesses.get_mut().unwrap_or_else(PoisonError::into_inner);
        let witness = witnesses.of(read.stamp.identity().0).filter(|(_, since)| *since <= read.began);
        if let Some((witness, _)) = witness
            && is_settled
            && self.digests.len() < INDEX_ENTRIES_MAX
        {
            self.digests.insert(read.stamp, Known { digest: read.digest, used: self.pass, witness });
        }
    }

    /// A mark of some files, whatever their order: another pass that finds the same mark found the same files
    /// under the same names.
    pub(crate) fn mark<'a>(&self, files: impl Iterator<Item = ((u64, u64), &'a [u8])>) -> u64 {
        files.fold(0, |mark, file| mark.wrapping_add(self.chance.hash_one(file)))
    }

    /// Ends a pass: what was not asked for lately goes.
    pub(crate) fn end_pass(&mut self) {
        let pass = self.pass;
        self.digests.retain(|_, known| pass.wrapping_sub(known.used) < INDEX_PASSES);
        self.pass = pass.wrapping_add(1);
        self.distrusted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::read::{self, Bounds};
    use std::time::Duration;

    /// A file that was read and kept, long settled.
    fn kept(index: &mut Index, path: &std::path::Path) -> Stamp {
        let file = read::open_file(path).unwrap();
        index.meet(&file);
        let bounds = Bounds { bytes_max: 10, deadline: read::deadline(Duration::from_secs(60)) };
        let mut digested = read::digest(file, bounds).unwrap();
        digested.began_ns += SETTLED_NS;
        index.keep(&digested);
        digested.stamp
    }

    /// Begins passes until one comes that does not read the file again by chance.
    fn begin(index: &mut Index, stamp: &Stamp) {
        loop {
            index.end_pass();
            index.begin_pass();
            if !index.chance.hash_one((stamp, index.pass)).is_multiple_of(READ_AGAIN_SHARE) {
                return;
            }
            index.digests.get_mut(stamp).unwrap().used = index.pass;
        }
    }

    #[test]
    fn a_file_that_a_process_may_be_changing_is_read_again_in_that_pass_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let mut index = Index::default();
        let stamp = kept(&mut index, &path);
        begin(&mut index, &stamp);
        assert_eq!(index.digest(&stamp), Some(Digest::of(b"content")));
        // The device is another one, as the kernel tells it of some file systems.
        index.distrust([(0, stamp.identity().1)]);
        assert_eq!(index.digest(&stamp), None);
        begin(&mut index, &stamp);
        assert_eq!(index.digest(&stamp), Some(Digest::of(b"content")));
    }

    #[test]
    fn what_was_read_before_anybody_vouched_for_its_device_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let mut index = Index::default();
        let bounds = Bounds { bytes_max: 10, deadline: read::deadline(Duration::from_secs(60)) };
        let mut digested = read::digest(read::open_file(&path).unwrap(), bounds).unwrap();
        digested.began_ns += SETTLED_NS;
        index.meet(std::fs::File::open(directory.path()).unwrap());
        index.keep(&digested);
        assert!(index.digests.is_empty());
    }
}
