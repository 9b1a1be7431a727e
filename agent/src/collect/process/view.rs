//! What a process sees at a path, where its file system tree is not ours: a container, a service with
//! mounts of its own, a changed root.
//!
//! Services with a mount namespace of their own are common, this agent's unit is one, and most of
//! them see the same files as everybody. So it is compared what is mounted where the program and its
//! configuration lie; only where that differs are the files themselves read through the process's root.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use manifests::evidence::Why;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::held::{Target, why};
use super::{PROC_BYTES_MAX, link, read_proc};
use crate::collect::index::Index;
use crate::collect::read::{self, Bounds};
use crate::collect::{tree, wildcard};

/// What a process sees otherwise than we do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Other {
    /// Files of the tree, relative to the root.
    pub(crate) tree: BTreeSet<Vec<u8>>,
    /// Configuration files and other files that count, by their path on this host.
    pub(crate) files: BTreeSet<PathBuf>,
}

/// Views of one program in one pass: processes of one namespace and root see the same.
#[derive(Default)]
pub(crate) struct Views(HashMap<Key, Result<Other, Why>>);

/// Mount namespace and root directory, as the kernel names them.
type Key = (Vec<u8>, Vec<u8>);

fn key(process: &str) -> Result<Key, Errno> {
    Ok((link(&format!("/proc/{process}/ns/mnt"))?, link(&format!("/proc/{process}/root"))?))
}

impl Views {
    /// What the process sees otherwise. Found out once for each namespace and root: two links are all
    /// that another worker of the same service costs.
    pub(super) fn other(&mut self, pid: i32, target: &Target<'_>, index: &mut Index) -> Result<Other, Why> {
        let theirs = key(&pid.to_string()).map_err(why)?;
        if let Some(known) = self.0.get(&theirs) {
            return known.clone();
        }
        let is_ours = sees_the_same(pid, target);
        let other = if is_ours { Ok(Other::default()) } else { compare(pid, target, index) };
        // A process that has ended meanwhile says nothing of those that go on.
        if key(&pid.to_string()).is_ok_and(|still| still == theirs) {
            self.0.insert(theirs, other.clone());
        }
        other
    }
}

/// Whether the process sees what we see: in trees and in directories that patterns look through, mounts
/// below them included, and at every step on the way to other files.
fn sees_the_same(pid: i32, target: &Target<'_>) -> bool {
    let (Ok(theirs), Ok(ours)) = (key(&pid.to_string()), key("self")) else { return false };
    if theirs == ours {
        return true;
    }
    let exe = target.spec.exe.iter().flat_map(|exe| [exe.written.as_path(), exe.resolved.as_path()]);
    let around = exe.chain(target.outside.patterns.iter().map(PathBuf::as_path)).filter_map(Path::parent);
    let whole: Vec<&Path> =
        [target.spec.root.as_path(), target.spec.resolved_root.as_path()].into_iter().chain(around).collect();
    let mounts = |process: &str| Mounts::of(&read_proc(&format!("/proc/{process}/mountinfo"), PROC_BYTES_MAX).ok()?);
    match (mounts(&pid.to_string()), mounts("self")) {
        (Some(theirs_mounts), Some(ours_mounts)) if theirs.1 == ours.1 => {
            whole.iter().all(|path| theirs_mounts.view(path) == ours_mounts.view(path))
                && target.outside.ways.iter().all(|path| theirs_mounts.source(path) == ours_mounts.source(path))
        }
        _ => false,
    }
}

/// What is mounted where.
#[derive(Debug)]
struct Mounts(BTreeMap<PathBuf, Source>);

/// A directory or file of a file system: its device, and the path within it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    device: Vec<u8>,
    path: PathBuf,
}

impl Mounts {
    /// From `/proc/PID/mountinfo` (proc_pid_mountinfo(5)): `id parent major:minor root mount-point …`.
    /// Nothing if a line is not of that form.
    fn of(mountinfo: &[u8]) -> Option<Self> {
        let mut mounts = BTreeMap::new();
        for line in mountinfo.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            let device = fields.next()?.to_vec();
            let path = |text| PathBuf::from(OsString::from_vec(unescape(text)));
            let (path, point) = (path(fields.next()?), path(fields.next()?));
            // Of two at one place the later lies on top.
            mounts.insert(point, Source { device, path });
        }
        Some(Self(mounts))
    }

    /// Where the content of `path` lies.
    fn source(&self, path: &Path) -> Option<Source> {
        let (point, source) = path.ancestors().find_map(|above| self.0.get_key_value(above))?;
        let rest = path.strip_prefix(point).ok()?;
        // Joining nothing would add a slash.
        let path = if rest.as_os_str().is_empty() { source.path.clone() } else { source.path.join(rest) };
        Some(Source { device: source.device.clone(), path })
    }

    /// Where the content of `path` lies, and what is mounted below it that is not just more of it.
    fn view(&self, path: &Path) -> (Option<Source>, Vec<(&Path, &Source)>) {
        let below = self.0.iter().filter(|(point, _)| point.starts_with(path) && *point != path);
        let of_its_own = below.filter(|(point, source)| {
            let around = point.parent().and_then(|parent| self.source(parent));
            let name = point.file_name().unwrap_or_default();
            !around.is_some_and(|around| around.device == source.device && around.path.join(name) == source.path)
        });
        (self.source(path), of_its_own.map(|(point, source)| (point.as_path(), source)).collect())
    }
}

/// Three octal digits behind a backslash are a byte.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        let digits =
            behind.get(..3).filter(|digits| *byte == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match digits {
            Some(digits) => {
                plain.push(digits.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*byte);
                rest = behind;
            }
        }
    }
    plain
}

/// Compares the tree and the files as the process sees them with ours. The same file costs a stat, not
/// a reading.
fn compare(pid: i32, target: &Target<'_>, index: &mut Index) -> Result<Other, Why> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).map_err(why)?;
    let written = target.spec.root.as_path();
    let list = match tree::open_root_in(&theirs, written) {
        Ok(root) => {
            let seen = tree::look(&root, &target.spec.scope, index, target.limits, target.deadline);
            seen.whole()?;
            seen.list
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Arc::default(),
        Err(errno) => return Err(why(errno)),
    };
    let ours = target.tree.map(|(_, tree)| Arc::clone(&tree.list)).unwrap_or_default();
    let mut other = Other { tree: tree::differing(&ours, &list), files: BTreeSet::new() };
    // What the process finds by a pattern, though we do not, counts as well.
    let mut files: BTreeSet<PathBuf> = target.outside.files.keys().cloned().collect();
    for pattern in &target.outside.patterns {
        files.extend(expand(&theirs, pattern)?);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let bounds = Bounds { bytes_max: target.limits.file_bytes_max, deadline: target.deadline };
    for path in files {
        let read = read::twice(|| {
            let file = read::open_in_root(&theirs, &path, flags);
            read::digest(file.map_err(read::why)?, bounds)
        });
        let theirs = match read {
            Ok(seen) => Some(seen.digest),
            Err(Why::FileAbsent) => None,
            Err(why) => return Err(why),
        };
        if theirs.as_ref() != target.outside.files.get(path.as_path()) {
            other.files.insert(path);
        }
    }
    Ok(other)
}

/// The files that a path of a baseline names below a process's root: itself, or the matches of its
/// last component.
fn expand(root: &OwnedFd, pattern: &Path) -> Result<Vec<PathBuf>, Why> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name()) else { return Ok(vec![]) };
    if !wildcard::is_pattern(name.as_bytes()) {
        return Ok(vec![pattern.to_owned()]);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut listing = match read::open_in_root(root, directory, flags) {
        Ok(fd) => Dir::read_from(&fd).map_err(why)?,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(vec![]),
        Err(errno) => return Err(why(errno)),
    };
    let mut paths = Vec::new();
    while let Some(entry) = listing.read() {
        let entry = entry.map_err(why)?;
        if wildcard::matches_name(name.as_bytes(), entry.file_name().to_bytes()) {
            paths.push(directory.join(OsStr::from_bytes(entry.file_name().to_bytes())));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 254:2 / /srv rw - ext4 /dev/vdb1 rw
";

    fn same(theirs: &str, path: &str) -> bool {
        let ours = Mounts::of(HOST.as_bytes()).unwrap();
        let theirs = Mounts::of(theirs.as_bytes()).unwrap();
        theirs.view(Path::new(path)) == ours.view(Path::new(path))
    }

    #[test]
    fn the_same_directory_mounted_in_another_way_is_the_same() {
        // As ProtectSystem=strict and ReadWritePaths= leave it.
        let strict = format!(
            "{HOST}40 22 254:1 /opt /opt ro - ext4 /dev/vda1 rw\n\
             41 40 254:1 /opt/issuing/logs /opt/issuing/logs rw - ext4 /dev/vda1 rw\n"
        );
        assert!(same(&strict, "/opt/issuing"));
        assert!(same(&strict, "/etc/issuing"));
        assert!(same(&format!("{HOST}40 22 0:50 / /tmp rw - tmpfs tmpfs rw\n"), "/opt/issuing"));
    }

    #[test]
    fn another_directory_at_above_or_below_the_path_is_another() {
        for mount in [
            "40 22 254:1 /srv/evil /opt/issuing rw - ext4 /dev/vda1 rw",
            "40 22 254:2 /opt/issuing /opt/issuing rw - ext4 /dev/vdb1 rw",
            "40 22 0:60 / / rw - overlay overlay rw",
            "40 22 0:60 / /opt rw - tmpfs tmpfs rw",
            "40 22 254:2 /lib /opt/issuing/lib rw - ext4 /dev/vdb1 rw",
            "40 22 254:1 /srv/a\\040b /opt/issuing/etc/x.d rw - ext4 /dev/vda1 rw",
        ] {
            assert!(!same(&format!("{HOST}{mount}\n"), "/opt/issuing"), "{mount}");
        }
        assert!(Mounts::of(b"40 22\n").is_none());
    }
}
