//! Reads single files: opened beneath a root, and read in full or not at all.

mod open;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use manifests::digest::{Digest, Hasher};
use manifests::evidence::Why;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::time::ClockId;

use crate::collect::stamp::Stamp;

pub(crate) use open::{open_beneath, open_file, open_in_root, real_path_in_root};

/// How much is read at a time.
const BUFFER_BYTES: usize = 128 << 10;

/// The wall clock, in nanoseconds.
pub(crate) fn wall_ns() -> i128 {
    clock_ns(ClockId::Realtime)
}

/// The boot clock, sleep included, in nanoseconds.
pub(crate) fn boot_ns() -> i128 {
    clock_ns(ClockId::Boottime)
}

fn clock_ns(clock: ClockId) -> i128 {
    let time = rustix::time::clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// Bounds of one reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The largest file read.
    pub(crate) bytes_max: u64,
    /// No reading goes on after this.
    pub(crate) deadline: Instant,
}

/// One file's content, read in full from one descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digested {
    pub(crate) digest: Digest,
    pub(crate) stamp: Stamp,
    /// When the reading began: nanoseconds of the wall clock.
    pub(crate) began_ns: i128,
    /// The same on a clock that nobody sets.
    pub(crate) began: Instant,
}

/// Why something could not be opened or read.
pub(crate) fn why(errno: Errno) -> Why {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Why::FileAbsent,
        Errno::ACCESS | Errno::PERM => Why::Unreadable,
        Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV => Why::NotAFile,
        Errno::NAMETOOLONG => Why::TooLarge,
        _ => Why::IoError,
    }
}

fn why_io(error: &std::io::Error) -> Why {
    Errno::from_io_error(error).map_or(Why::IoError, why)
}

/// Digests an open file: what is read is the content of one descriptor at one moment, or an error.
///
/// # Errors
/// [`Why::Changing`] if it changed meanwhile: try once more.
pub(crate) fn digest(file: OwnedFd, bounds: Bounds) -> Result<Digested, Why> {
    let mut hasher = Hasher::new();
    let began = Instant::now();
    let (stamp, began_ns) = stream(file, bounds, |bytes| hasher.update(bytes))?;
    Ok(Digested { digest: hasher.finish(), stamp, began_ns, began })
}

/// The content of an open file, as [`digest`].
pub(crate) fn content(file: OwnedFd, bounds: Bounds) -> Result<(Vec<u8>, Stamp), Why> {
    let mut content = Vec::new();
    let (stamp, _) = stream(file, bounds, |bytes| content.extend_from_slice(bytes))?;
    Ok((content, stamp))
}

fn stream(file: OwnedFd, bounds: Bounds, mut take: impl FnMut(&[u8])) -> Result<(Stamp, i128), Why> {
    let began_ns = wall_ns();
    let stat = rustix::fs::fstat(&file).map_err(why)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Why::NotAFile);
    }
    let before = Stamp::from(&stat);
    if before.size() > bounds.bytes_max {
        return Err(Why::TooLarge);
    }
    let mut file = File::from(file);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut read: u64 = 0;
    loop {
        if Instant::now() > bounds.deadline {
            return Err(Why::TimedOut);
        }
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(why_io(&error)),
        };
        read += count as u64;
        // A file that grows while it is read must not be followed for ever.
        if read > before.size() {
            return Err(Why::Changing);
        }
        take(buffer.get(..count).unwrap_or_default());
    }
    let after = rustix::fs::fstat(&file).map_err(why)?;
    if Stamp::from(&after) != before || read != before.size() {
        return Err(Why::Changing);
    }
    Ok((before, began_ns))
}

/// Does `attempt` once more if the file changed while it was read.
pub(crate) fn twice<T>(mut attempt: impl FnMut() -> Result<T, Why>) -> Result<T, Why> {
    match attempt() {
        Err(Why::Changing) => attempt(),
        other => other,
    }
}

/// A deadline from now.
pub(crate) fn deadline(after: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(after).unwrap_or(now)
}
