//! Opens paths below a directory that must not be left.
//!
//! The kernel does this at once, with `openat2`. Kernels before 5.6 do not have it, and sandboxes that
//! do not know it refuse it, each with an error of its own choice (`ENOSYS`, `EPERM`, `EACCES`): then the
//! same is done by hand, one component after the other.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use manifests::evidence::Why;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::why;

/// Symbolic links followed on one path, as the kernel bounds them.
const LINKS_MAX: usize = 40;
/// A component on the way: never opened for reading, never a link.
const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens `path` beneath `root`: no `..`, no symbolic link on the way or at its end, nothing that
/// waits for the other end of a pipe.
///
/// # Errors
/// `ELOOP` for a link, `EXDEV` for a path that leads out, otherwise the kernel's.
pub(crate) fn open_beneath(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = without_waiting(flags) | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match open_at_once(root, path, flags, resolve) {
        Err(errno) if may_be_refused(errno) => beneath_by_hand(root, path, flags),
        other => other,
    }
}

/// Opens `path` with `root` as the root directory: absolute links and `..` stay below it. This is how a
/// process sees a path whose root that is. Nothing waits for the other end of a pipe.
///
/// # Errors
/// The kernel's.
pub(crate) fn open_in_root(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = without_waiting(flags);
    match open_at_once(root, path, flags, ResolveFlags::IN_ROOT) {
        Err(errno) if may_be_refused(errno) => in_root_by_hand(root, path, flags),
        other => other,
    }
}

/// The path without links of what `path` leads to with `root` as the root directory.
///
/// # Errors
/// As [`open_in_root`].
pub(crate) fn real_path_in_root(root: &OwnedFd, path: &Path) -> Result<PathBuf, Errno> {
    let mut real = PathBuf::from("/");
    let mut rest = names(path.as_os_str());
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        match name.as_bytes() {
            b"." => {}
            b".." => _ = real.pop(),
            _ => {
                let next = real.join(&name);
                let step = open_beneath(root, next.strip_prefix("/").unwrap_or(&next), OFlags::PATH)?;
                if FileType::from_raw_mode(rustix::fs::fstat(&step)?.st_mode) != FileType::Symlink {
                    real = next;
                    continue;
                }
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&step, "", Vec::new())?;
                if target.as_bytes().starts_with(b"/") {
                    real = PathBuf::from("/");
                }
                for name in names(OsStr::from_bytes(target.as_bytes())).into_iter().rev() {
                    rest.push_front(name);
                }
            }
        }
    }
    Ok(real)
}

/// Opens the file at `path`, links followed, without ever opening what is no regular file.
pub(crate) fn open_file(path: &Path) -> Result<OwnedFd, Why> {
    let stat = rustix::fs::stat(path).map_err(why)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Why::NotAFile);
    }
    // Not blocking, should a pipe have taken its place since; the descriptor is asked again later.
    rustix::fs::open(path, without_waiting(OFlags::RDONLY), Mode::empty()).map_err(why)
}

fn without_waiting(flags: OFlags) -> OFlags {
    // openat2 takes no flag beside PATH that means nothing there.
    let waits = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK | OFlags::NOCTTY };
    flags | waits | OFlags::CLOEXEC
}

/// Whether it may be the call that was refused. Asked again by hand, what is truly unreadable stays so.
fn may_be_refused(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::PERM | Errno::ACCESS)
}

fn open_at_once(root: &OwnedFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        // The kernel asks to try again when a rename crossed its way.
        Err(Errno::AGAIN) => rustix::fs::openat2(root, path, flags, Mode::empty(), resolve),
        other => other,
    }
}

fn beneath_by_hand(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    if path.is_absolute() {
        return Err(Errno::XDEV);
    }
    let mut rest = names(path.as_os_str());
    let mut current: Option<OwnedFd> = None;
    while let Some(name) = rest.pop_front() {
        if name.as_bytes() == b".." {
            return Err(Errno::XDEV);
        }
        let flags = if rest.is_empty() { flags } else { STEP | OFlags::DIRECTORY };
        let at = current.as_ref().unwrap_or(root);
        current = Some(rustix::fs::openat(at, &name, flags, Mode::empty())?);
    }
    current.ok_or(Errno::NOENT)
}

fn in_root_by_hand(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    // Directories from the root down to where the way has come, the root itself left out. A step up takes
    // one away: nobody can lead out by moving a directory meanwhile, for `..` is never asked of the kernel.
    let mut way: Vec<OwnedFd> = Vec::new();
    let mut rest = names(path.as_os_str());
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        match name.as_bytes() {
            b"." => continue,
            b".." => {
                way.pop();
                continue;
            }
            _ => {}
        }
        let at = way.last().unwrap_or(root);
        let step = rustix::fs::openat(at, &name, STEP, Mode::empty())?;
        match FileType::from_raw_mode(rustix::fs::fstat(&step)?.st_mode) {
            FileType::Symlink if rest.is_empty() && flags.contains(OFlags::NOFOLLOW) => {
                return if flags.contains(OFlags::PATH) { Ok(step) } else { Err(Errno::LOOP) };
            }
            FileType::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&step, "", Vec::new())?;
                if target.as_bytes().starts_with(b"/") {
                    way.clear();
                }
                for name in names(OsStr::from_bytes(target.as_bytes())).into_iter().rev() {
                    rest.push_front(name);
                }
            }
            // By its name once more: a descriptor that stands for a path cannot be read from.
            _ if rest.is_empty() => return rustix::fs::openat(at, &name, flags | OFlags::NOFOLLOW, Mode::empty()),
            FileType::Directory => way.push(step),
            _ => return Err(Errno::NOTDIR),
        }
    }
    rustix::fs::openat(way.last().unwrap_or(root), ".", flags, Mode::empty())
}

/// A path's names. A slash at its end asks for a directory, as `.` does.
fn names(path: &OsStr) -> VecDeque<OsString> {
    let bytes = path.as_bytes();
    let all = bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    let end = bytes.ends_with(b"/").then_some(&b"."[..]);
    all.chain(end).map(|name| OsStr::from_bytes(name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A root with everything in it that leads somewhere else.
    fn root(base: &Path) -> OwnedFd {
        let root = base.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(base.join("outside"), "outside").unwrap();
        fs::write(root.join("etc/file"), "inside").unwrap();
        fs::write(root.join("a/b/file"), "deep").unwrap();
        for (link, target) in [
            ("to-file", "etc/file"),
            ("absolute", "/etc/file"),
            ("up", "../../../etc/file"),
            ("a/b/up", "../../etc"),
            ("out", "../outside"),
            ("self", "self"),
            ("one", "two"),
            ("two", "one"),
            ("dangling", "nowhere"),
            ("slashed", "etc/"),
            ("file-slashed", "etc/file/"),
            ("dot", "."),
            ("top", "/"),
            ("long-way", "a/b/up/../a/./b//file"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        // Forty links are followed, and no more.
        for at in 0..42 {
            symlink(
                if at == 0 { "etc/file".to_owned() } else { format!("chain{}", at - 1) },
                root.join(format!("chain{at}")),
            )
            .unwrap();
        }
        rustix::fs::open(&root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    const PATHS: &[&str] = &[
        "etc/file",
        "/etc/file",
        "./etc/./file",
        "etc//file",
        "etc",
        "etc/",
        "etc/file/",
        "etc/file/..",
        "etc/..",
        "..",
        "../../outside",
        "/",
        ".",
        "to-file",
        "absolute",
        "up",
        "a/b/up/file",
        "a/b/up/../a/b/file",
        "out",
        "self",
        "one",
        "dangling",
        "dangling/x",
        "slashed/file",
        "file-slashed",
        "dot/dot/etc/file",
        "top/top/etc/file",
        "long-way",
        "nowhere",
        "etc/file/x",
        "chain39",
        "chain40",
        "chain41",
    ];

    fn what(opened: Result<OwnedFd, Errno>) -> Result<(u64, u64), Errno> {
        let stat = rustix::fs::fstat(&opened?).unwrap();
        Ok((stat.st_dev, stat.st_ino))
    }

    #[test]
    fn by_hand_every_path_leads_where_the_kernel_leads_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(directory.path());
        let kinds = [
            OFlags::RDONLY,
            OFlags::RDONLY | OFlags::NOFOLLOW,
            OFlags::PATH,
            OFlags::PATH | OFlags::NOFOLLOW,
            OFlags::RDONLY | OFlags::DIRECTORY,
        ];
        for path in PATHS {
            for flags in kinds {
                let flags = without_waiting(flags);
                let kernel = open_at_once(&root, Path::new(path), flags, ResolveFlags::IN_ROOT);
                let by_hand = in_root_by_hand(&root, Path::new(path), flags);
                assert_eq!(what(by_hand), what(kernel), "{path} {flags:?}");
            }
            for flags in [OFlags::RDONLY | OFlags::NOFOLLOW, OFlags::PATH | OFlags::NOFOLLOW] {
                let flags = without_waiting(flags);
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let kernel = what(open_at_once(&root, Path::new(path), flags, resolve));
                let by_hand = what(beneath_by_hand(&root, Path::new(path), flags));
                // Which error it is does not matter. No `..` at all is what is asked for here.
                let kernel = kernel.ok().filter(|_| !path.split('/').any(|name| name == ".."));
                assert_eq!(by_hand.ok(), kernel, "beneath: {path} {flags:?}");
            }
        }
    }

    #[test]
    fn the_path_without_links_leads_to_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(directory.path());
        for path in PATHS {
            let whole = open_in_root(&root, Path::new(path), OFlags::PATH);
            let real = real_path_in_root(&root, Path::new(path));
            let Ok(whole) = whole else { continue };
            let real = real.unwrap();
            assert!(real.is_absolute() && real.components().all(|c| c != std::path::Component::ParentDir), "{real:?}");
            let below = real.strip_prefix("/").unwrap();
            let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
            let again = open_beneath(&root, below, OFlags::PATH);
            assert_eq!(what(again), what(Ok(whole)), "{path}: {real:?}");
        }
    }

    #[test]
    fn what_may_not_be_read_is_not_taken_for_a_call_that_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(directory.path());
        for errno in [Errno::NOSYS, Errno::PERM, Errno::ACCESS] {
            assert!(may_be_refused(errno), "{errno}");
        }
        for path in ["nowhere", "self", "etc/file/x"] {
            let errno = open_in_root(&root, Path::new(path), OFlags::RDONLY).unwrap_err();
            assert!(!may_be_refused(errno), "{path}: {errno}");
        }
    }
}
