//! What is mounted where, as the kernel tells it of this process's mount namespace.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::collect::{WatchSet, wildcard};

/// Where the table is read.
pub(super) const MOUNT_TABLE: &str = "/proc/self/mountinfo";

/// File systems whose every change is made by this host's kernel, through the mount that is watched, so
/// that there is an event for it. All others may change without one, those that nobody has heard of
/// included: network file systems, FUSE, overlays (whose layers can be written beside them), `/proc`.
const LOCAL: &[&str] = &[
    "autofs",
    "bcachefs",
    "btrfs",
    "cramfs",
    "devtmpfs",
    "erofs",
    "exfat",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "hfs",
    "hfsplus",
    "hugetlbfs",
    "iso9660",
    "jffs2",
    "jfs",
    "minix",
    "msdos",
    "nilfs2",
    "ntfs",
    "ntfs3",
    "ramfs",
    "reiserfs",
    "romfs",
    "rootfs",
    "squashfs",
    "tmpfs",
    "ubifs",
    "udf",
    "ufs",
    "vfat",
    "xfs",
    "zfs",
];

/// The mounts of a namespace, in the order in which they lie on each other.
#[derive(Debug, Default)]
pub(super) struct MountTable(Vec<Mount>);

#[derive(Debug)]
struct Mount {
    number: u64,
    point: PathBuf,
    file_system: String,
    line: Vec<u8>,
}

impl MountTable {
    /// Reads it now.
    ///
    /// # Errors
    /// The system's; `InvalidData` for a line of another form.
    pub(super) fn read() -> io::Result<Self> {
        Self::parse(&std::fs::read(MOUNT_TABLE)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// From the lines of proc_pid_mountinfo(5): `number parent major:minor root point options tags… - type …`.
    fn parse(table: &[u8]) -> Option<Self> {
        let mount = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b' ');
            let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let point = unescape(fields.nth(3)?);
            let file_system = fields.skip_while(|field| *field != b"-").nth(1)?;
            let file_system = String::from_utf8_lossy(file_system).into_owned();
            Some(Mount { number, point, file_system, line: line.to_vec() })
        };
        table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(mount).collect::<Option<_>>().map(Self)
    }

    /// The lines of what is mounted at, above or below something that is watched. As long as they are the
    /// same, and no watch was told of an unmounting, what is watched is still what is there.
    pub(super) fn lines_for(&self, set: &WatchSet) -> Vec<Vec<u8>> {
        let matters = |mount: &&Mount| {
            let mut ways = set.components.iter().chain(set.entries.keys()).chain(set.trees.keys());
            ways.any(|path| path.starts_with(&mount.point)) || is_entry(set, &mount.point)
        };
        self.0.iter().filter(matters).map(|mount| mount.line.clone()).collect()
    }

    /// Files, not directories, on which another one is mounted and that are watched by the directory they
    /// lie in: what happens to the other one is told elsewhere.
    pub(super) fn files_for(&self, set: &WatchSet) -> Vec<PathBuf> {
        let points = self.0.iter().map(|mount| &mount.point).filter(|point| is_entry(set, point));
        points.filter(|point| point.metadata().is_ok_and(|metadata| !metadata.is_dir())).cloned().collect()
    }

    /// The file system at `path`, a link itself, if it is one that may change without an event.
    pub(super) fn silent_at(&self, path: &Path) -> Option<&str> {
        let number = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID)
            .ok()
            .filter(|stat| StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID))
            .map(|stat| stat.stx_mnt_id);
        let mount = match number {
            // Not in the table: mounted since, which is an event of its own.
            Some(number) => self.0.iter().find(|mount| mount.number == number),
            // Before Linux 5.8. Of two at one place the later lies on top.
            None => {
                let above = self.0.iter().filter(|mount| path.starts_with(&mount.point));
                above.max_by_key(|mount| mount.point.as_os_str().len())
            }
        };
        mount.map(|mount| mount.file_system.as_str()).filter(|file_system| !LOCAL.contains(file_system))
    }
}

/// Whether a path is an entry that counts: of a tree, or by its name.
fn is_entry(set: &WatchSet, path: &Path) -> bool {
    let in_tree = set.trees.iter().any(|(root, scope)| {
        path.strip_prefix(root).is_ok_and(|below| !below.as_os_str().is_empty() && !scope.excludes_below(below, true))
    });
    let by_name = || {
        let (directory, name) = (path.parent()?, path.file_name()?);
        let names = set.entries.get(directory)?;
        Some(names.iter().any(|wanted| wildcard::matches_name(wanted.as_bytes(), name.as_bytes())))
    };
    in_tree || by_name().unwrap_or(false)
}

/// Three octal digits behind a backslash are a byte.
fn unescape(text: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) if *byte == b'\\' => {
                plain.push(digits.iter().fold(0, |value: u8, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = behind.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push(*byte);
                rest = behind;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Scope;
    use manifests::exclude::Globs;

    const TABLE: &str = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw shared:2 master:3 - proc proc rw
30 22 0:40 / /opt/issuing rw - overlay overlay rw,lowerdir=/a - b,upperdir=/c
31 22 0:41 / /srv/a\\040b rw - nfs4 server:/a rw
";

    fn set() -> WatchSet {
        let exclude = Globs::new(vec!["logs/**".to_owned()]).unwrap();
        let mut set = WatchSet::default();
        set.trees.insert("/opt/issuing".into(), Scope::new(&exclude));
        set.entries.entry("/etc/issuing".into()).or_default().insert("*.ini".into());
        set.components.extend(["/opt", "/opt/issuing", "/etc", "/etc/issuing"].map(PathBuf::from));
        set
    }

    #[test]
    fn a_line_gives_number_place_and_file_system() {
        let table = MountTable::parse(TABLE.as_bytes()).unwrap();
        let mounts: Vec<_> = table.0.iter().map(|m| (m.number, m.point.to_str().unwrap(), &*m.file_system)).collect();
        let expected =
            [(22, "/", "ext4"), (23, "/proc", "proc"), (30, "/opt/issuing", "overlay"), (31, "/srv/a b", "nfs4")];
        assert_eq!(mounts, expected);
        for bad in ["22 1 254:1 / / rw\n", "x 1 254:1 / / rw - ext4 a b\n", "22\n"] {
            assert!(MountTable::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_a_mount_at_above_or_below_what_is_watched_matters() {
        let lines = |more: &str| MountTable::parse(format!("{TABLE}{more}").as_bytes()).unwrap().lines_for(&set());
        let before = lines("");
        for point in [
            "/mnt",
            "/var/lib/containers/x",
            "/opt/issuing2",
            "/opt/issuing/logs/x",
            "/etc/issuing/other",
            "/etc/x.ini",
        ] {
            assert_eq!(lines(&format!("40 22 0:50 / {point} rw - tmpfs tmpfs rw\n")), before, "{point}");
        }
        for point in ["/", "/opt", "/opt/issuing", "/opt/issuing/lib/m", "/etc", "/etc/issuing", "/etc/issuing/x.ini"] {
            assert_ne!(lines(&format!("40 22 0:50 / {point} rw - tmpfs tmpfs rw\n")), before, "{point}");
        }
    }
}
