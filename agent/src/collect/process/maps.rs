//! What a process maps: `/proc/PID/maps`, see proc_pid_maps(5).

use std::collections::BTreeSet;

use manifests::evidence::Why;

use super::{PROC_BYTES_MAX, read_proc};
use crate::collect::process::held::why;

/// One mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    /// Its addresses, as the name of its link in `/proc/PID/map_files`.
    pub(crate) range: String,
    /// Whether what it maps may be executed.
    pub(crate) is_executable: bool,
    /// Whether writing into it changes the file.
    pub(crate) writes_file: bool,
    /// Device and inode.
    pub(crate) file: (u64, u64),
    /// The path as the kernel tells it.
    pub(crate) path: Vec<u8>,
}

impl Map {
    /// `start-end perms offset major:minor inode      path`; a line end in the path is `\012`.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
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
        let permissions = field()?.as_bytes();
        let (is_writable, is_executable, is_shared) =
            (permissions.get(1) == Some(&b'w'), permissions.get(2) == Some(&b'x'), permissions.get(3) == Some(&b's'));
        field()?;
        let (major, minor) = field()?.split_once(':')?;
        let device = rustix::fs::makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        let inode = field()?.parse().ok()?;
        let path = rest.get(rest.iter().position(|byte| *byte != b' ')?..)?;
        if inode == 0 || !path.starts_with(b"/") {
            return None;
        }
        let path = unescape(path);
        Some(Self { range, is_executable, writes_file: is_writable && is_shared, file: (device, inode), path })
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

/// All mappings of files of a process.
///
/// # Errors
/// Why they cannot be read; too many of them are [`Why::TooLarge`].
pub(crate) fn maps(pid: i32) -> Result<Vec<Map>, Why> {
    let bytes = read_proc(&format!("/proc/{pid}/maps"), PROC_BYTES_MAX).map_err(why)?;
    if bytes.len() as u64 == PROC_BYTES_MAX {
        return Err(Why::TooLarge);
    }
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(Map::parse).collect())
}

/// What of a process's mappings says whose it is, and which files it may change unseen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// Files of which something may be executed, with their paths as the kernel tells them.
    pub(crate) executable: BTreeSet<((u64, u64), Vec<u8>)>,
    /// Files that it can change by writing into its memory.
    pub(crate) writable: BTreeSet<(u64, u64)>,
}

impl Mapped {
    pub(crate) fn of(maps: &[Map]) -> Self {
        let executable = || maps.iter().filter(|map| map.is_executable);
        Self {
            executable: executable().map(|map| (map.file, map.path.clone())).collect(),
            writable: maps.iter().filter(|map| map.writes_file).map(|map| map.file).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_gives_path_file_and_rights() {
        let line = b"7f00-7f01 r-xp 00000000 fd:01 1234                       /opt/is suing/li\\012b.so (deleted)";
        let map = Map::parse(line).unwrap();
        assert_eq!(map.range, "7f00-7f01");
        assert_eq!(map.file, (rustix::fs::makedev(0xfd, 1), 1234));
        assert_eq!(map.path, b"/opt/is suing/li\nb.so (deleted)");
        assert!(map.is_executable && !map.writes_file);
        assert!(Map::parse(b"7f00-7f01 rw-s 0 fd:01 12 /a").unwrap().writes_file);
        assert!(!Map::parse(b"7f00-7f01 rw-p 0 fd:01 12 /a").unwrap().writes_file);
        for line in ["7f00-7f01 rw-p 00000000 00:00 0                [heap]", "7f00-7f01 rw-p 0 00:00 0", "", "x"] {
            assert!(Map::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
