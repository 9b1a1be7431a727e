//! Running processes: which image each runs, whose the images are, and which files they hold.
//!
//! Reading another user's process needs CAP_SYS_PTRACE, reading what it maps CAP_CHECKPOINT_RESTORE.
//! `docs/processes.md` states the rules.

mod command;
mod held;
mod image;
mod java;
mod maps;
mod owner;
mod probe;
mod shadow;
mod sockets;
pub(crate) mod stat;
mod table;
mod view;

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::io::Errno;

pub(crate) use held::{HeldFile, Outside, Target, digest, holding};
pub(crate) use image::{Executed, Identity, Inspected, Key, interpreters};
pub(crate) use owner::{Executable, Owner, Spec, Tie};
pub(crate) use probe::Probe;
pub(crate) use shadow::{Names, Shadows, called, shadowed};
pub(crate) use sockets::{addresses, listening};
pub(crate) use stat::Layout;
pub(crate) use table::{Image, Member, Recalled, Sightings, Table};
pub use table::{Processes, Unseen};
pub(crate) use view::{Views, unescape as unescape_mount};

/// Nanoseconds in a clock tick of `/proc`: fixed at a hundredth of a second for programs on every
/// architecture we build for.
pub(crate) const TICK_NS: i128 = 10_000_000;
/// The most that is read of one file below `/proc` (16 MiB): maps of a process with very many libraries.
pub(crate) const PROC_BYTES_MAX: u64 = 16 << 20;
/// What most files below `/proc` are shorter than (4 KiB): the kernel gives them a page at a time.
const PAGE: usize = 4 << 10;
/// The most that is read of a command line (128 KiB).
const COMMAND_BYTES_MAX: u64 = 128 << 10;

pub(crate) fn read_proc(path: &str, bytes_max: u64) -> Result<Vec<u8>, Errno> {
    let error = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    // The kernel tells no length of these files: without room from the start they are read in small pieces.
    let mut bytes = Vec::with_capacity(PAGE);
    File::open(path).map_err(error)?.take(bytes_max).read_to_end(&mut bytes).map_err(error)?;
    Ok(bytes)
}

pub(crate) fn link(path: &str) -> Result<Vec<u8>, Errno> {
    match std::fs::read_link(path) {
        Ok(target) => Ok(target.into_os_string().into_vec()),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// The path without the mark that the kernel puts behind names of removed files, and whether it was there.
pub(crate) fn without_deleted(path: &[u8]) -> (&[u8], bool) {
    path.strip_suffix(b" (deleted)").map_or((path, false), |path| (path, true))
}

/// The last component of a path as the kernel tells it; of a file that lies in memory alone (memfd_create(2))
/// the name that it was given.
pub(crate) fn given_name(path: &[u8]) -> &[u8] {
    let name = command::base_name(path);
    if is_memory(path) { name.strip_prefix(b"memfd:").unwrap_or(name) } else { name }
}

/// Whether the kernel tells by this path that the file lies in memory alone.
pub(crate) fn is_memory(path: &[u8]) -> bool {
    path.starts_with(b"/memfd:")
}

/// What of `path` lies below `root`; nothing for the root itself.
pub(crate) fn below<'a>(path: &'a [u8], root: &std::path::Path) -> Option<&'a [u8]> {
    let root = root.as_os_str().as_bytes();
    let root = root.strip_suffix(b"/").unwrap_or(root);
    path.strip_prefix(root)?.strip_prefix(b"/").filter(|rest| !rest.is_empty())
}

/// The image that a process runs now, if it is the one that started then.
pub(crate) fn running_image(pid: i32, start: u64) -> Option<Key> {
    table::key_of(pid, start)
}
