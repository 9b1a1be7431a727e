//! What one process holds of a program's tree, and of files outside of it that count: its executable,
//! what it maps, what it has open.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use manifests::digest::Digest;
use manifests::evidence::{OlderWhy, Why};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::image::Identity;
use super::maps::{self, Map};
use super::owner::Spec;
use super::probe::Probe;
use super::shadow::Names;
use super::table::Member;
use super::view::{Other, Views};
use super::{below, given_name, link, stat, without_deleted};
use crate::collect::Limits;
use crate::collect::index::{Index, Stamp};
use crate::collect::read::{self, Bounds};
use crate::collect::tree::{Root, Tree};

/// The most open files of one process that are looked at.
const OPEN_FILES_MAX: usize = 100_000;

/// What a process is to be compared with.
pub(crate) struct Target<'a> {
    pub(crate) spec: &'a Spec,
    /// The tree; nothing where it is not there or cannot be read.
    pub(crate) tree: Option<(&'a Root, &'a Tree)>,
    /// Paths in the tree by their last component.
    pub(crate) names: &'a Names,
    pub(crate) outside: &'a Outside,
    pub(crate) limits: &'a Limits,
    pub(crate) deadline: Instant,
}

/// Files outside of trees that count: configuration files that are read at start, and files that fixes
/// require. Paths are those on this host.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Content of those that are there.
    pub(crate) files: BTreeMap<PathBuf, Digest>,
    /// Where they lead, links followed, with the path as the baseline has it.
    pub(crate) leads: BTreeMap<PathBuf, PathBuf>,
    /// Files that fixes require.
    pub(crate) required: BTreeSet<PathBuf>,
    /// The paths and patterns by which configuration files are found.
    pub(crate) patterns: Vec<PathBuf>,
    /// Those that programs reread by themselves: what was open before does not count.
    pub(crate) live: BTreeSet<PathBuf>,
    /// Every directory, link and file on the way to any of them.
    pub(crate) ways: BTreeSet<PathBuf>,
}

/// What looking into one process showed. Paths are relative to the tree's root, or absolute outside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Files it holds that are not the ones on disk.
    pub(crate) older: BTreeMap<Vec<u8>, OlderWhy>,
    /// Files it holds that are the ones on disk.
    pub(crate) current: BTreeMap<Vec<u8>, HeldFile>,
    /// What it sees otherwise than we do.
    pub(crate) other: Other,
    /// Why something could not be told.
    pub(crate) unknown: BTreeSet<Why>,
}

/// The file that a process holds at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldFile {
    /// Device and inode.
    pub(crate) file: Identity,
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
    mapped: Option<Identity>,
    is_exe: bool,
}

/// Looks into one process; nothing if it ended meanwhile.
pub(crate) fn holding(
    member: &Member,
    target: &Target<'_>,
    views: &mut Views,
    index: &mut Index,
    probe: &mut Probe,
) -> Option<Holding> {
    let mut holding = Holding::default();
    // Asked anew: it, or a directory above it, may have been moved.
    let exe = link(&format!("/proc/{}/exe", member.thread)).map_err(why);
    match exe.and_then(|exe| Ok((held(member.thread, &exe, probe)?, exe))) {
        Ok((files, exe)) => {
            let mut comparing = Comparing { target, index, holding: &mut holding };
            // A process started before a release was switched by a link holds files below the old one.
            let own = own_root(&exe, target.spec);
            for file in files.into_values() {
                comparing.file(&file, own.as_deref());
            }
        }
        Err(why) => _ = holding.unknown.insert(why),
    }
    match views.other(member.thread, target, index) {
        Ok(other) => holding.other = other,
        Err(why) => _ = holding.unknown.insert(why),
    }
    // What was found of a process that is gone, or of another under its number, says nothing.
    let still = stat::stat(member.pid).is_ok_and(|stat| stat.start == member.start && !stat.has_ended);
    still.then_some(holding)
}

/// The root that an executable at another path would have if its release were laid out alike.
fn own_root(exe: &[u8], spec: &Spec) -> Option<PathBuf> {
    let inside = spec.exe.as_ref()?.inside.as_ref()?;
    let root = without_deleted(exe).0.strip_suffix(inside.as_slice())?.strip_suffix(b"/")?;
    (!root.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(root)))
}

pub(super) fn why(errno: Errno) -> Why {
    match errno {
        Errno::ACCESS | Errno::PERM => Why::ProcessUnreadable,
        other => read::why(other),
    }
}

/// Everything with a path that the process holds, once for each path and file.
fn held(pid: i32, exe: &[u8], probe: &mut Probe) -> Result<BTreeMap<(Vec<u8>, u64), Held>, Why> {
    let mut files = BTreeMap::new();
    let content = format!("/proc/{pid}/exe");
    files.insert((exe.to_vec(), 0), Held { path: exe.to_vec(), content, mapped: None, is_exe: true });

    let maps: Vec<Map> = probe.ask(move || maps::maps(pid)).unwrap_or(Err(Why::TimedOut))?;
    for map in maps.into_iter().filter(|map| map.path != exe) {
        // The executable is looked at through its own link, which takes no capability to follow.
        let content = format!("/proc/{pid}/map_files/{}", map.range);
        files.entry((map.path.clone(), map.file.1)).or_insert(Held {
            path: map.path,
            content,
            mapped: Some(map.file),
            is_exe: false,
        });
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

/// Compares held files with those on disk.
struct Comparing<'a, 't> {
    target: &'a Target<'t>,
    index: &'a mut Index,
    holding: &'a mut Holding,
}

impl Comparing<'_, '_> {
    fn file(&mut self, file: &Held, own_root: Option<&Path>) {
        let spec = self.target.spec;
        let roots = [Some(spec.root.as_path()), Some(spec.resolved_root.as_path()), own_root];
        let relative = |path: &[u8]| roots.into_iter().flatten().find_map(|root| below(path, root).map(<[u8]>::to_vec));
        let (path, deleted) = without_deleted(&file.path);
        // A name may end like the kernel's mark; then the file is there by its full name.
        let list = self.target.tree.map(|(_, tree)| &tree.list);
        let whole = relative(&file.path).filter(|whole| list.is_some_and(|list| list.digest_of(whole).is_some()));
        match whole.or_else(|| relative(path)) {
            Some(relative) => {
                if !spec.scope.excludes_below(Path::new(OsStr::from_bytes(&relative)), false) {
                    self.inside(file, &relative, deleted);
                }
            }
            None => self.outside(file, path),
        }
    }

    /// What the held file is, or nothing where it is gone or that may not be asked.
    fn stamp(&mut self, file: &Held) -> Result<Stamp, Option<Why>> {
        match rustix::fs::stat(&file.content) {
            Ok(stat) => Ok(Stamp::from(&stat)),
            Err(Errno::ACCESS | Errno::PERM) => Err(Some(Why::ProcessUnreadable)),
            // Unmapped or closed meanwhile, or the process has ended.
            Err(_) => Err(None),
        }
    }

    fn older(&mut self, path: &[u8], why: OlderWhy) {
        self.holding.older.insert(path.to_vec(), why);
    }

    fn current(&mut self, path: &[u8], file: Identity, is_settled: bool) {
        self.holding.current.insert(path.to_vec(), HeldFile { file, is_settled });
    }

    /// Compares one held file with the one on disk at its path in the tree.
    fn inside(&mut self, file: &Held, relative: &[u8], deleted: bool) {
        let Some((root, tree)) = self.target.tree else {
            // It runs and its tree is not there any more, or cannot be read.
            return self.older(relative, OlderWhy::Held);
        };
        let path = Path::new(OsStr::from_bytes(relative));
        let on_disk = read::open_beneath(root, path, OFlags::PATH).and_then(rustix::fs::fstat).ok();
        let on_disk = on_disk.as_ref().map(Stamp::from);
        let held = match self.stamp(file) {
            Ok(held) => held,
            Err(None) => return,
            Err(Some(why)) => {
                // Without the capability the kernel's numbers still tell equal files from others.
                return match file.mapped {
                    Some(mapped) if on_disk.is_some_and(|stamp| stamp.identity() == mapped) => {
                        self.current(relative, mapped, false);
                    }
                    _ if deleted => self.older(relative, OlderWhy::Held),
                    _ => _ = self.holding.unknown.insert(why),
                };
            }
        };
        if on_disk.is_some_and(|stamp| stamp.identity() == held.identity()) {
            return self.current(relative, held.identity(), file.is_exe);
        }
        let Some(wanted) = tree.list.digest_of(relative).copied() else {
            // Not in the tree as it was read: removed, or it could not be read, which is a gap already.
            return self.older(relative, OlderWhy::Held);
        };
        match self.digest(Path::new(&file.content), &held) {
            Ok(digest) if digest == wanted => self.current(relative, held.identity(), true),
            Ok(_) => self.older(relative, OlderWhy::Held),
            Err(Why::FileAbsent) => {}
            Err(why) => _ = self.holding.unknown.insert(why),
        }
    }

    /// Compares a held file that lies outside of the tree, if it counts: the program's own executable,
    /// configuration files and files that fixes require, by what they lead to; and files that bear the
    /// name of one of the tree's.
    fn outside(&mut self, file: &Held, path: &[u8]) {
        let at = Path::new(OsStr::from_bytes(path));
        let outside = self.target.outside;
        if let Some(written) = outside.leads.get(at).or_else(|| outside.files.get_key_value(at).map(|(at, _)| at)) {
            let wanted = outside.files.get(written).copied();
            if !outside.live.contains(written) {
                self.compare(file, written, wanted, OlderWhy::Held);
            }
            return;
        }
        if let Some(exe) = self.target.spec.exe.as_ref().filter(|exe| exe.written == at || exe.resolved == at) {
            return self.compare(file, &exe.written, None, OlderWhy::Held);
        }
        if file.mapped.is_none() {
            return;
        }
        // A library that a fix requires, under another of its names or from another directory.
        let stem = stem(given_name(path));
        let same_stem = |required: &&PathBuf| {
            let name = required.file_name().map(OsStr::as_bytes).unwrap_or_default();
            stem.is_some() && self::stem(name) == stem
        };
        if let Some(required) = outside.required.iter().find(same_stem) {
            let wanted = outside.files.get(required).copied();
            self.compare(file, required, wanted, OlderWhy::Held);
        }
        if self.target.names.contains_key(given_name(path)) {
            self.shadow(file, path);
        }
    }

    /// Compares a held file with the content `wanted`, or with the file at `path` on disk.
    fn compare(&mut self, file: &Held, path: &Path, wanted: Option<Digest>, older: OlderWhy) {
        let name = path.as_os_str().as_bytes();
        let held = match self.stamp(file) {
            Ok(held) => held,
            Err(why) => return self.holding.unknown.extend(why),
        };
        let on_disk = rustix::fs::stat(path).ok().map(|stat| Stamp::from(&stat));
        if on_disk.is_some_and(|stamp| stamp.identity() == held.identity()) {
            return self.current(name, held.identity(), file.is_exe);
        }
        let on_disk = match (wanted, on_disk) {
            (Some(digest), _) => Ok(digest),
            (None, Some(stamp)) => self.digest(path, &stamp),
            (None, None) => Err(Why::FileAbsent),
        };
        match (on_disk, self.digest(Path::new(&file.content), &held)) {
            (Ok(wanted), Ok(digest)) if digest == wanted => self.current(name, held.identity(), true),
            (Ok(_), Ok(_)) | (Err(Why::FileAbsent), Ok(_)) => self.older(name, older),
            (_, Err(Why::FileAbsent)) => {}
            (Err(why), _) | (_, Err(why)) => _ = self.holding.unknown.insert(why),
        }
    }

    /// A mapped file from outside of the tree that bears the name of one of its files, with other bytes.
    fn shadow(&mut self, file: &Held, path: &[u8]) {
        let Ok(held) = self.stamp(file) else { return };
        match self.digest(Path::new(&file.content), &held) {
            Ok(digest) if self.is_of_tree(given_name(path), &digest) => {}
            Ok(_) => self.older(path, OlderWhy::Shadowed),
            Err(Why::FileAbsent) => {}
            Err(why) => _ = self.holding.unknown.insert(why),
        }
    }

    fn is_of_tree(&self, name: &[u8], digest: &Digest) -> bool {
        let paths = self.target.names.get(name).into_iter().flatten();
        self.target
            .tree
            .is_some_and(|(_, tree)| paths.into_iter().any(|path| tree.list.digest_of(path) == Some(digest)))
    }

    fn digest(&mut self, content: &Path, stamp: &Stamp) -> Result<Digest, Why> {
        let bounds = Bounds { bytes_max: self.target.limits.file_bytes_max, deadline: self.target.deadline };
        digest(content, stamp, bounds, self.index)
    }
}

/// The digest of the file behind a path, which has this stamp; from the index where it is known.
pub(crate) fn digest(content: &Path, stamp: &Stamp, bounds: Bounds, index: &mut Index) -> Result<Digest, Why> {
    if let Some(digest) = index.digest(stamp) {
        return Ok(digest);
    }
    let digested = read::twice(|| {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(content, flags, Mode::empty()).map_err(why)?;
        index.meet(&file);
        read::digest(file, bounds)
    })?;
    index.keep(&digested);
    Ok(digested.digest)
}

/// A library's name without its version: `libp.so` of `libp.so.1.2`.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let at = name.windows(3).position(|part| part == b".so")?;
    name.get(..at + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_has_one_name_whatever_its_version() {
        assert_eq!(stem(b"libp.so.1"), Some(&b"libp.so"[..]));
        assert_eq!(stem(b"libp.so.1.2.3"), stem(b"libp.so"));
        assert_eq!(stem(b"print.ini"), None);
    }
}
