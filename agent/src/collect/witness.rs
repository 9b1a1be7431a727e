//! Proof that a file system has stayed mounted.
//!
//! What is remembered of a file goes by its device number, and device numbers are used again: that of a
//! loop device, a tmpfs or an overlay as soon as it is unmounted, and an image may hold files of the same
//! inodes, sizes and times with other contents. So a number counts only for as long as a witness vouches
//! for it. Two kinds are known:
//!
//! - An inotify watch somewhere in the file system. The kernel tells it (`IN_UNMOUNT`) before the number is
//!   free, of this file system alone, and it keeps nobody from unmounting. What is mounted elsewhere is
//!   not heard of.
//! - Where no watch can be had, the mount's unique number (`STATX_MNT_ID_UNIQUE`, Linux 6.8), which is never
//!   given twice. It is asked for anew in each pass.
//!
//! Where neither can be had nothing vouches, and files are read again.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

/// Steps up from a directory to the top of its file system.
const STEPS_MAX: usize = 256;
/// Directories and files of one device that are asked in a pass, should none of them vouch.
const ASKED_MAX: u32 = 8;
/// `STATX_MNT_ID_UNIQUE` of `linux/stat.h`.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// A witness, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WitnessId(u32);

/// Whoever vouches for the file systems that were met.
#[derive(Debug)]
pub(crate) struct Witnesses {
    /// None where the user has no inotify instance left.
    queue: Option<OwnedFd>,
    of_device: HashMap<u64, Witness>,
    /// How often this pass asked in vain.
    asked: HashMap<u64, u32>,
    next: u32,
}

#[derive(Debug)]
struct Witness {
    id: WitnessId,
    since: Instant,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Watches of which none has been told of an end.
    Watches(Vec<i32>),
    /// The number of a mount, and whether this pass has met it.
    Mount { number: u64, is_met: bool },
}

impl Default for Witnesses {
    fn default() -> Self {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        Self { queue: inotify::init(flags).ok(), of_device: HashMap::new(), asked: HashMap::new(), next: 0 }
    }
}

impl Witnesses {
    /// Begins a pass: hears what became of the file systems until now. True if some are no longer
    /// vouched for.
    pub(crate) fn begin_pass(&mut self) -> bool {
        self.asked.clear();
        let before = self.of_device.len();
        for (wd, flags) in self.events() {
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.of_device.retain(|_, witness| !matches!(witness.kind, Kind::Watches(_)));
            }
            // The directory was removed: one witness less. The last one leaves a time of which nobody tells.
            let is_left = |witness: &mut Witness| match &mut witness.kind {
                Kind::Watches(watches) if watches.contains(&wd) => {
                    watches.retain(|other| *other != wd);
                    !flags.contains(ReadFlags::UNMOUNT) && !watches.is_empty()
                }
                _ => true,
            };
            if flags.intersects(ReadFlags::UNMOUNT | ReadFlags::IGNORED) {
                self.of_device.retain(|_, witness| is_left(witness));
            }
        }
        for witness in self.of_device.values_mut() {
            if let Kind::Mount { is_met, .. } = &mut witness.kind {
                *is_met = false;
            }
        }
        self.of_device.len() != before
    }

    /// Who vouches for the device in this pass, and since when.
    pub(crate) fn of(&self, device: u64) -> Option<(WitnessId, Instant)> {
        let witness = self.of_device.get(&device)?;
        let vouches = !matches!(witness.kind, Kind::Mount { is_met: false, .. });
        vouches.then_some((witness.id, witness.since))
    }

    /// Whether the witness still vouches, or may when its mount is met.
    pub(crate) fn is_there(&self, id: WitnessId) -> bool {
        self.of_device.values().any(|witness| witness.id == id)
    }

    /// Looks for a witness for the device of an open directory or file, if nobody vouches for it yet.
    /// From its return on what is read there may be remembered.
    pub(crate) fn call(&mut self, device: u64, fd: impl AsFd) {
        if self.of(device).is_some() {
            return;
        }
        let asked = self.asked.entry(device).or_default();
        *asked += 1;
        // Another device than was listed, if something was mounted there meanwhile.
        if *asked > ASKED_MAX || !rustix::fs::fstat(&fd).is_ok_and(|stat| stat.st_dev == device) {
            return;
        }
        let watches = self.watch(device, fd.as_fd());
        let kind = if !watches.is_empty() {
            Kind::Watches(watches)
        } else if let Some(number) = unique_mount(fd.as_fd()) {
            match self.of_device.get_mut(&device).map(|witness| &mut witness.kind) {
                Some(Kind::Mount { number: before, is_met }) if *before == number => {
                    *is_met = true;
                    return;
                }
                _ => Kind::Mount { number, is_met: true },
            }
        } else {
            return;
        };
        let id = WitnessId(self.next);
        self.next = self.next.wrapping_add(1);
        self.of_device.insert(device, Witness { id, since: Instant::now(), kind });
    }

    /// Watches the directory or file, and the topmost directory of its file system that can be reached:
    /// the first may be removed by an upgrade.
    fn watch(&self, device: u64, fd: BorrowedFd<'_>) -> Vec<i32> {
        let Some(queue) = &self.queue else { return Vec::new() };
        let add = |fd: BorrowedFd<'_>| {
            // Of some event it must be; those that are waited for are told in any case.
            inotify::add_watch(queue, format!("/proc/self/fd/{}", fd.as_raw_fd()), WatchFlags::DELETE_SELF).ok()
        };
        let mut watches: Vec<i32> = add(fd).into_iter().collect();
        if let Some(wd) = top(device, fd).and_then(|top| add(top.as_fd()))
            && !watches.contains(&wd)
        {
            watches.push(wd);
        }
        watches
    }

    fn events(&self) -> Vec<(i32, ReadFlags)> {
        let Some(queue) = &self.queue else { return Vec::new() };
        let mut events = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(queue, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => events.push((event.wd(), event.events())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return events,
                Err(_) => {
                    // Nothing can be told any more.
                    events.push((-1, ReadFlags::QUEUE_OVERFLOW));
                    return events;
                }
            }
        }
    }
}

/// The topmost directory on the way up from `fd` that lies on `device`; none where there is no way up.
fn top(device: u64, fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut top: Option<(OwnedFd, u64)> = None;
    for _ in 0..STEPS_MAX {
        let at = top.as_ref().map_or(fd, |(top, _)| top.as_fd());
        // Of a file there is no way up.
        let above = rustix::fs::openat(at, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let Ok(above) = above else { break };
        let Ok(stat) = rustix::fs::fstat(&above) else { break };
        // The root directory is above itself.
        if stat.st_dev != device || top.as_ref().is_some_and(|(_, inode)| *inode == stat.st_ino) {
            break;
        }
        top = Some((above, stat.st_ino));
    }
    top.map(|(top, _)| top)
}

/// The number of the mount by which `fd` was opened, which is never given to another one; none before
/// Linux 6.8.
fn unique_mount(fd: BorrowedFd<'_>) -> Option<u64> {
    let seen = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, MNT_ID_UNIQUE).ok()?;
    StatxFlags::from_bits_retain(seen.stx_mask).contains(MNT_ID_UNIQUE).then_some(seen.stx_mnt_id)
}

#[cfg(test)]
impl Witnesses {
    /// As where no inotify instance is left.
    pub(super) fn without_watches() -> Self {
        Self { queue: None, of_device: HashMap::new(), asked: HashMap::new(), next: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    fn open(path: &std::path::Path) -> (u64, File) {
        let file = File::open(path).unwrap();
        (file.metadata().unwrap().dev(), file)
    }

    #[test]
    fn a_directory_that_is_removed_takes_no_witness_away_while_another_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let mut witnesses = Witnesses::default();
        let (device, fd) = open(&inner);
        witnesses.call(device, &fd);
        let before = witnesses.of(device).unwrap();
        drop(fd);
        std::fs::remove_dir(&inner).unwrap();
        assert!(!witnesses.begin_pass());
        assert_eq!(witnesses.of(device), Some(before));
    }

    #[test]
    fn a_file_that_is_removed_leaves_its_device_without_a_witness() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "").unwrap();
        let mut witnesses = Witnesses::default();
        let (device, fd) = open(&path);
        witnesses.call(device, &fd);
        let (before, _) = witnesses.of(device).unwrap();
        drop(fd);
        std::fs::remove_file(&path).unwrap();
        assert!(witnesses.begin_pass());
        assert_eq!(witnesses.of(device), None);
        assert!(!witnesses.is_there(before));
        // Another one is another one.
        let (device, fd) = open(directory.path());
        witnesses.call(device, &fd);
        assert_ne!(witnesses.of(device).unwrap().0, before);
    }

    #[test]
    fn without_watches_a_mount_vouches_when_it_is_met_again() {
        let directory = tempfile::tempdir().unwrap();
        let (device, fd) = open(directory.path());
        if unique_mount(fd.as_fd()).is_none() {
            eprintln!("skipped: this kernel has no unique numbers of mounts");
            return;
        }
        let mut witnesses = Witnesses::without_watches();
        witnesses.call(device, &fd);
        let before = witnesses.of(device).unwrap();
        assert!(!witnesses.begin_pass());
        assert_eq!(witnesses.of(device), None, "not met in this pass yet");
        assert!(witnesses.is_there(before.0));
        witnesses.call(device, &fd);
        assert_eq!(witnesses.of(device), Some(before));
    }
}
