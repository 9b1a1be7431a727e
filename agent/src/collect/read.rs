//! Reads single files: opened beneath a root, and read in full or not at all.

use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use manifests::digest::{Digest, Hasher};
use manifests::evidence::Why;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::time::ClockId;

use crate::collect::index::Stamp;

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

/// Opens `path` beneath `root`: no `..`, no symbolic link on the way or at its end, nothing that
/// waits for the other end of a pipe.
pub(crate) fn open_beneath(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    // openat2 takes no flag beside PATH that means nothing there.
    let waits = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | waits;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => open_by_components(root, path, flags),
        // The kernel asks to try again when a rename crossed its way.
        Err(Errno::AGAIN) => rustix::fs::openat2(root, path, flags, Mode::empty(), resolve),
        other => other,
    }
}

/// Opens `path` as a process with this root would: links on the way followed, none out of the root.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        // The kernel asks to try again when a rename crossed its way.
        Err(Errno::AGAIN) => rustix::fs::openat2(root, path, flags, Mode::empty(), resolve),
        other => other,
    }
}

/// What `openat2` does, for kernels before 5.6 and sandboxes that do not know it.
fn open_by_components(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut components = path.components().peekable();
    let mut current: Option<OwnedFd> = None;
    while let Some(component) = components.next() {
        if !matches!(component, std::path::Component::Normal(_) | std::path::Component::CurDir) {
            return Err(Errno::XDEV);
        }
        let flags = if components.peek().is_some() {
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
        } else {
            flags
        };
        let at = current.as_ref().unwrap_or(root);
        current = Some(rustix::fs::openat(at, component.as_os_str(), flags, Mode::empty())?);
    }
    current.ok_or(Errno::NOENT)
}

/// Digests an open file: what is read is the content of one descriptor at one moment, or an error.
///
/// # Errors
/// [`Why::Changing`] if it changed meanwhile: try once more.
pub(crate) fn digest(file: OwnedFd, bounds: Bounds) -> Result<Digested, Why> {
    let mut hasher = Hasher::new();
    let (stamp, began_ns) = stream(file, bounds, |bytes| hasher.update(bytes))?;
    Ok(Digested { digest: hasher.finish(), stamp, began_ns })
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

/// Opens the file at `path`, links followed, without ever opening what is no regular file.
pub(crate) fn open_file(path: &Path) -> Result<OwnedFd, Why> {
    let stat = rustix::fs::stat(path).map_err(why)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Why::NotAFile);
    }
    // Not blocking, should a pipe have taken its place since; the descriptor is asked again later.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(why)
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
