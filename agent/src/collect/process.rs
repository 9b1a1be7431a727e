//! Running processes of the baseline's programs: which there are, and which files they hold.
//!
//! Reading another user's process needs CAP_SYS_PTRACE, reading what it maps CAP_CHECKPOINT_RESTORE.

mod held;
mod table;
mod view;

pub(crate) use held::{HeldFile, Target, look};
pub use table::Processes;
pub(crate) use table::{Kind, Running, Spec, Table};
pub(crate) use view::Views;

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::io::Errno;

/// Clock ticks of `/proc` in a second: fixed at 100 for programs on every architecture we build for.
pub(crate) const TICKS_PER_SECOND: u64 = 100;
/// The most that is read of one file below `/proc` (16 MiB): maps of a process with very many libraries.
const PROC_BYTES_MAX: u64 = 16 << 20;
/// The most that is read of a command line (128 KiB).
const COMMAND_BYTES_MAX: u64 = 128 << 10;

fn read_proc(path: &str, bytes_max: u64) -> Result<Vec<u8>, Errno> {
    let error = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut bytes = Vec::new();
    File::open(path).map_err(error)?.take(bytes_max).read_to_end(&mut bytes).map_err(error)?;
    Ok(bytes)
}

fn link(path: &str) -> Result<Vec<u8>, Errno> {
    match std::fs::read_link(path) {
        Ok(target) => Ok(target.into_os_string().into_vec()),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// The path without the mark that the kernel puts behind names of removed files, and whether it was there.
fn without_deleted(path: &[u8]) -> (&[u8], bool) {
    path.strip_suffix(b" (deleted)").map_or((path, false), |path| (path, true))
}

/// What of `path` lies below `root`; nothing for the root itself.
fn below<'a>(path: &'a [u8], root: &std::path::Path) -> Option<&'a [u8]> {
    let root = root.as_os_str().as_bytes();
    let root = root.strip_suffix(b"/").unwrap_or(root);
    path.strip_prefix(root)?.strip_prefix(b"/").filter(|rest| !rest.is_empty())
}

/// State letter and start in ticks since boot, from `/proc/PID/stat` (proc(5), fields 3 and 22).
fn stat(pid: i32) -> Result<(u8, u64), Errno> {
    let bytes = read_proc(&format!("/proc/{pid}/stat"), 4096)?;
    // The name in parentheses may hold anything, parentheses and line ends too: fields count from
    // behind the last one.
    let behind = bytes.iter().rposition(|byte| *byte == b')').and_then(|at| bytes.get(at + 1..));
    let text = std::str::from_utf8(behind.unwrap_or_default()).map_err(|_| Errno::IO)?;
    let mut fields = text.split_ascii_whitespace();
    let state = fields.next().and_then(|state| state.bytes().next()).ok_or(Errno::IO)?;
    let start = fields.nth(18).and_then(|start| start.parse().ok()).ok_or(Errno::IO)?;
    Ok((state, start))
}
