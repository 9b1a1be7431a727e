//! What one process holds of a program's tree: its executable, what it maps, what it has open.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use manifests::digest::Digest;
use manifests::evidence::Why;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::view::{Other, Views};
use super::{Kind, PROC_BYTES_MAX, Running, below, link, read_proc, stat, without_deleted};
use crate::collect::Limits;
use crate::collect::index::{Index, Stamp};
use crate::collect::read::{self, Bounds};
use crate::collect::tree::{Scope, Tree};

/// The most open files of one process that are looked at.
const OPEN_FILES_MAX: usize = 100_000;

/// The program that a process is to be compared with.
pub(crate) struct Target<'a> {
    /// The tree's root as the baseline has it, and with links followed.
    pub(crate) roots: [&'a Path; 2],
    /// The executable's path as the baseline has it, and with links followed.
    pub(crate) exe: [&'a Path; 2],
    pub(crate) root: &'a OwnedFd,
    pub(crate) tree: &'a Tree,
    pub(crate) scope: &'a Scope,
    /// Files outside of the tree that count: configuration files that the program reads, and those
    /// that fixes require. As we see them.
    pub(crate) files: &'a BTreeMap<&'a Path, Digest>,
    /// The paths and patterns by which its configuration files are found.
    pub(crate) patterns: &'a [PathBuf],
    pub(crate) limits: &'a Limits,
    pub(crate) deadline: Instant,
}

impl Target<'_> {
    /// Everything of which a process must see what we see.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let outside = self.files.keys().copied().chain(self.patterns.iter().map(PathBuf::as_path)).chain(self.exe);
        self.roots.into_iter().chain(outside.filter_map(Path::parent)).collect()
    }
}

/// What looking into one process showed. Paths are relative to the tree's root, or absolute outside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Files it holds that are no longer the ones on disk.
    pub(crate) older: BTreeSet<Vec<u8>>,
    /// Files it holds that are the ones on disk.
    pub(crate) current: BTreeMap<Vec<u8>, HeldFile>,
    /// What it sees otherwise than we do.
    pub(crate) other: Other,
    /// Why something could not be told.
    pub(crate) unknown: Option<Why>,
}

/// The file that a process holds at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldFile {
    /// Device and inode.
    pub(crate) file: (u64, u64),
    /// Whether nobody can have written into it since the process took it up: an executable in use, or
    /// no longer the file on disk.
    pub(crate) is_settled: bool,
}

/// A file that a process holds.
struct Held {
    /// Its path as the kernel tells it.
    path: Vec<u8>,
    /// A link to its content, readable where the process may be looked into.
    content: String,
    /// Device and inode as `/proc/PID/maps` has them.
    mapped: Option<(u64, u64)>,
    is_exe: bool,
}

/// Looks into one process; nothing if it ended meanwhile.
pub(crate) fn look(running: &Running, target: &Target<'_>, views: &mut Views, index: &mut Index) -> Option<Look> {
    let mut look = Look::default();
    let Kind::Readable { exe, .. } = &running.kind else {
        look.unknown = Some(Why::ProcessUnreadable);
        return Some(look);
    };
    match held(running.pid, exe) {
        Ok(files) => {
            // A process started before a release was switched by a link holds files below the old one.
            let own = own_root(exe, target);
            let roots: Vec<&Path> = target.roots.iter().copied().chain(own.as_deref()).collect();
            for file in files.into_values() {
                let (path, deleted) = without_deleted(&file.path);
                // A name may end like the kernel's mark; then the file is there by its full name.
                let whole = relative(&file.path, &roots).filter(|whole| target.tree.list.digest_of(whole).is_some());
                let Some(relative) = whole.or_else(|| relative(path, &roots)) else {
                    compare_outside(&file, path, target, index, &mut look);
                    continue;
                };
                if !target.scope.excludes_below(Path::new(OsStr::from_bytes(relative)), false) {
                    compare(&file, relative, deleted, target, index, &mut look);
                }
            }
        }
        Err(why) => look.unknown = Some(why),
    }
    match views.other(running.pid, target, index) {
        Ok(other) => look.other = other,
        Err(why) => _ = look.unknown.get_or_insert(why),
    }
    // What was found of a process that is gone, or of another under its number, says nothing.
    let still = stat(running.pid).is_ok_and(|(state, start)| start == running.start && !matches!(state, b'Z' | b'X'));
    still.then_some(look)
}

fn relative<'a>(path: &'a [u8], roots: &[&Path]) -> Option<&'a [u8]> {
    roots.iter().find_map(|root| below(path, root))
}

/// The root that an executable at another path would have if its release were laid out alike.
fn own_root(exe: &[u8], target: &Target<'_>) -> Option<PathBuf> {
    let [written, _] = target.roots;
    let [exe_written, _] = target.exe;
    let inside = exe_written.strip_prefix(written).ok()?.as_os_str().as_bytes();
    let root = without_deleted(exe).0.strip_suffix(inside)?.strip_suffix(b"/")?;
    (!root.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(root)))
}

pub(super) fn why(errno: Errno) -> Why {
    match errno {
        Errno::ACCESS | Errno::PERM => Why::ProcessUnreadable,
        other => read::why(other),
    }
}

/// Everything with a path that the process holds, once for each path and file.
fn held(pid: i32, exe: &[u8]) -> Result<BTreeMap<(Vec<u8>, u64), Held>, Why> {
    let mut files = BTreeMap::new();
    let content = format!("/proc/{pid}/exe");
    files.insert((exe.to_vec(), 0), Held { path: exe.to_vec(), content, mapped: None, is_exe: true });

    let maps = read_proc(&format!("/proc/{pid}/maps"), PROC_BYTES_MAX).map_err(why)?;
    if maps.len() as u64 == PROC_BYTES_MAX {
        return Err(Why::TooLarge);
    }
    for line in maps.split(|byte| *byte == b'\n') {
        // The executable is looked at through its own link, which takes no capability to follow.
        if let Some(map) = Map::parse(line).filter(|map| map.path != exe) {
            let content = format!("/proc/{pid}/map_files/{}", map.range);
            files.entry((map.path.clone(), map.identity.1)).or_insert(Held {
                path: map.path,
                content,
                mapped: Some(map.identity),
                is_exe: false,
            });
        }
    }

    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .map_err(|error| why(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    for (count, entry) in open.enumerate() {
        if count >= OPEN_FILES_MAX {
            return Err(Why::TooLarge);
        }
        let Ok(entry) = entry else { continue };
        let content = format!("/proc/{pid}/fd/{}", entry.file_name().to_string_lossy());
        // Closed meanwhile, if it cannot be read; then it is held no longer.
        let Ok(path) = link(&content) else { continue };
        if path.starts_with(b"/") {
            let Ok(stat) = rustix::fs::stat(&content) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                files.entry((path.clone(), stat.st_ino)).or_insert(Held { path, content, mapped: None, is_exe: false });
            }
        }
    }
    Ok(files)
}

/// One line of `/proc/PID/maps` that names a file.
struct Map {
    range: String,
    identity: (u64, u64),
    path: Vec<u8>,
}

impl Map {
    /// `start-end perms offset major:minor inode      path`; a line end in the path is `\012`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            let start = rest.iter().position(|byte| *byte != b' ')?;
            let text = rest.get(start..)?;
            let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
            let (field, behind) = text.split_at_checked(end)?;
            rest = behind;
            std::str::from_utf8(field).ok()
        };
        let range = field()?.to_owned();
        let (_, _) = (field()?, field()?);
        let (major, minor) = field()?.split_once(':')?;
        let device = rustix::fs::makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        let inode = field()?.parse().ok()?;
        let path = rest.get(rest.iter().position(|byte| *byte != b' ')?..)?;
        if inode == 0 || !path.starts_with(b"/") {
            return None;
        }
        Some(Self { range, identity: (device, inode), path: unescape(path) })
    }
}

fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, behind)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"\\012") {
            plain.push(b'\n');
            rest = after;
        } else {
            plain.push(*byte);
            rest = behind;
        }
    }
    plain
}

/// Compares one held file with the one on disk at its path.
fn compare(file: &Held, relative: &[u8], deleted: bool, target: &Target<'_>, index: &mut Index, look: &mut Look) {
    let path = Path::new(OsStr::from_bytes(relative));
    let on_disk = read::open_beneath(target.root, path, OFlags::PATH).and_then(rustix::fs::fstat).ok();
    let on_disk = on_disk.as_ref().map(Stamp::from);
    let held = match rustix::fs::stat(&file.content) {
        Ok(stat) => Stamp::from(&stat),
        Err(Errno::ACCESS | Errno::PERM) => {
            // Without the capability the kernel's numbers still tell equal files from others.
            match file.mapped {
                Some(mapped) if on_disk.is_some_and(|stamp| stamp.identity() == mapped) => {
                    look.current.insert(relative.to_vec(), HeldFile { file: mapped, is_settled: false });
                }
                _ if deleted => _ = look.older.insert(relative.to_vec()),
                _ => _ = look.unknown.get_or_insert(Why::ProcessUnreadable),
            }
            return;
        }
        // Unmapped or closed meanwhile, or the process has ended.
        Err(_) => return,
    };
    if on_disk.is_some_and(|stamp| stamp.identity() == held.identity()) {
        look.current.insert(relative.to_vec(), HeldFile { file: held.identity(), is_settled: file.is_exe });
        return;
    }
    let Some(wanted) = target.tree.list.digest_of(relative) else {
        // Not in the tree as it was read: removed, or it could not be read, which is a gap already.
        look.older.insert(relative.to_vec());
        return;
    };
    match held_digest(Path::new(&file.content), &held, target, index) {
        Ok(digest) if digest == *wanted => {
            look.current.insert(relative.to_vec(), HeldFile { file: held.identity(), is_settled: true });
        }
        Ok(_) => _ = look.older.insert(relative.to_vec()),
        Err(Why::FileAbsent) => {}
        Err(why) => _ = look.unknown.get_or_insert(why),
    }
}

/// Compares a held file that lies outside of the tree, if it counts: the program's own executable, and
/// files that fixes require.
fn compare_outside(file: &Held, path: &[u8], target: &Target<'_>, index: &mut Index, look: &mut Look) {
    let path = Path::new(OsStr::from_bytes(path));
    let is_exe = target.exe.contains(&path);
    let wanted = target.files.get(path).copied();
    if !is_exe && wanted.is_none() {
        return;
    }
    let name = path.as_os_str().as_bytes().to_vec();
    let held = match rustix::fs::stat(&file.content) {
        Ok(stat) => Stamp::from(&stat),
        Err(Errno::ACCESS | Errno::PERM) => {
            look.unknown.get_or_insert(Why::ProcessUnreadable);
            return;
        }
        Err(_) => return,
    };
    let on_disk = rustix::fs::stat(path).ok().map(|stat| Stamp::from(&stat));
    if on_disk.is_some_and(|stamp| stamp.identity() == held.identity()) {
        look.current.insert(name, HeldFile { file: held.identity(), is_settled: file.is_exe });
        return;
    }
    let on_disk = match (wanted, on_disk) {
        (Some(digest), _) => Ok(digest),
        (None, Some(stamp)) => held_digest(path, &stamp, target, index),
        (None, None) => Err(Why::FileAbsent),
    };
    match (on_disk, held_digest(Path::new(&file.content), &held, target, index)) {
        (Ok(wanted), Ok(digest)) if digest == wanted => {
            look.current.insert(name, HeldFile { file: held.identity(), is_settled: true });
        }
        (Ok(_), Ok(_)) | (Err(Why::FileAbsent), Ok(_)) => _ = look.older.insert(name),
        (_, Err(Why::FileAbsent)) => {}
        (Err(why), _) | (_, Err(why)) => _ = look.unknown.get_or_insert(why),
    }
}

fn held_digest(content: &Path, stamp: &Stamp, target: &Target<'_>, index: &mut Index) -> Result<Digest, Why> {
    if let Some(digest) = index.digest(stamp) {
        return Ok(digest);
    }
    let bounds = Bounds { bytes_max: target.limits.file_bytes_max, deadline: target.deadline };
    let digested = read::twice(|| {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(content, flags, Mode::empty()).map_err(why)?;
        index.meet(&file);
        read::digest(file, bounds)
    })?;
    index.keep(&digested);
    Ok(digested.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_gives_path_and_file() {
        let line = b"7f00-7f01 r-xp 00000000 fd:01 1234                       /opt/is suing/li\\012b.so (deleted)";
        let map = Map::parse(line).unwrap();
        assert_eq!(map.range, "7f00-7f01");
        assert_eq!(map.identity, (rustix::fs::makedev(0xfd, 1), 1234));
        assert_eq!(map.path, b"/opt/is suing/li\nb.so (deleted)");
        for line in ["7f00-7f01 rw-p 00000000 00:00 0                [heap]", "7f00-7f01 rw-p 0 00:00 0", "", "x"] {
            assert!(Map::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
