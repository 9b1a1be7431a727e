//! Where a walk goes, and where the symbolic links it meets lead to.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use manifests::tree::FOLLOWED;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::collect::read;

/// How to open a directory that is to be listed.
const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A tree's root, open, and where it lies.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    /// The directory by which absolute paths go: `/`, or the root directory of the process that looks.
    pub(super) base: Arc<OwnedFd>,
    /// As the baseline has it.
    written: PathBuf,
    /// Links followed.
    resolved: PathBuf,
}

impl Deref for Root {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.fd
    }
}

/// Opens a tree's root, links on the way followed.
pub(crate) fn open_root(path: &Path) -> Result<Root, Errno> {
    let base = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let fd = rustix::fs::open(path, LISTED, Mode::empty())?;
    let written = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let resolved = std::fs::canonicalize(path).unwrap_or_else(|_| written.clone());
    Ok(Root { fd, base: Arc::new(base), written, resolved })
}

/// Opens the root of the tree that a process whose root directory is `base` sees at `path`.
pub(crate) fn open_root_in(base: &OwnedFd, path: &Path) -> Result<Root, Errno> {
    let fd = read::open_in_root(base, path, LISTED)?;
    let resolved = read::real_path_in_root(base, path)?;
    Ok(Root { fd, base: Arc::new(base.try_clone().map_err(|_| Errno::MFILE)?), written: path.to_owned(), resolved })
}

/// The tree itself, or a directory that a link of it leads to.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) fd: OwnedFd,
    pub(super) device: u64,
    inode: u64,
    /// Before a path in the file list.
    prefix: Vec<u8>,
    /// The link by which it is seen, relative to the tree's root; empty for the tree itself.
    pub(super) seen: PathBuf,
    /// Its paths below the base: the first without links, the other one as the baseline has it.
    paths: Vec<PathBuf>,
    /// The place where the link stands.
    from: Option<Arc<Place>>,
}

impl Place {
    pub(super) fn of_tree(root: &Root) -> Result<Self, Errno> {
        let fd = root.fd.try_clone().map_err(|_| Errno::MFILE)?;
        let stat = rustix::fs::fstat(&fd)?;
        let paths = vec![root.resolved.clone(), root.written.clone()];
        let (device, inode) = (stat.st_dev, stat.st_ino);
        Ok(Self { fd, device, inode, prefix: Vec::new(), seen: PathBuf::new(), paths, from: None })
    }

    /// The directory that `lead` leads to.
    pub(super) fn behind(lead: &Lead, base: &OwnedFd) -> Result<Self, Errno> {
        let fd = read::open_in_root(base, &lead.target, LISTED)?;
        let stat = rustix::fs::fstat(&fd)?;
        let paths = vec![read::real_path_in_root(base, &lead.target)?];
        let from = Some(Arc::clone(&lead.place));
        let (device, inode) = (stat.st_dev, stat.st_ino);
        Ok(Self { fd, device, inode, prefix: lead.listed(), seen: lead.seen(), paths, from })
    }

    /// Where it lies below the base, without links.
    pub(super) fn path(&self) -> &Path {
        self.paths.first().map_or(Path::new("/"), PathBuf::as_path)
    }

    /// Whether it is the tree itself.
    pub(super) fn is_tree(&self) -> bool {
        self.from.is_none()
    }

    /// How many links lead to it.
    pub(super) fn depth(&self) -> usize {
        self.chain().count() - 1
    }

    /// Itself, and the places through which it was reached.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |place| place.from.as_deref())
    }

    /// Whether a directory is it, or one of those through which it was reached.
    pub(super) fn is_entered(&self, device: u64, inode: u64) -> bool {
        self.chain().any(|place| (place.device, place.inode) == (device, inode))
    }

    /// How the file list names a path of the place.
    pub(super) fn listed<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        if self.prefix.is_empty() { path.into() } else { [self.prefix.as_slice(), path].concat().into() }
    }

    /// How people, and globs, name it.
    pub(super) fn shown<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        if self.seen.as_os_str().is_empty() { path.into() } else { self.seen.join(path).into() }
    }

    /// Where the link at `link` leads out of the place, as a path below the base; nothing where it leads to
    /// something in the place.
    ///
    /// A link is led by its own text alone. Where that passes another link of the tree, the other one
    /// answers for what lies behind it, for its text counts as well. What lies outside counts as outside even
    /// if it leads back through a link there: somebody may turn that link.
    pub(super) fn leads_out(&self, link: &Path, target: &OsStr) -> Option<PathBuf> {
        let target = Path::new(target);
        let directory = link.parent().unwrap_or(Path::new(""));
        let mut at = if target.is_absolute() {
            At::outside(PathBuf::from("/"), true, self)
        } else {
            At::Inside { place: self, path: directory.to_owned(), passed: Vec::new() }
        };
        for component in target.components() {
            at = match component {
                Component::ParentDir => at.up(),
                Component::Normal(name) => at.down(name, self),
                _ => at,
            };
        }
        match at {
            At::Outside { .. } => {
                let [path, ..] = self.paths.as_slice() else { return None };
                Some(path.join(directory).join(target)) // An absolute target takes the place of the rest.
            }
            At::Inside { .. } | At::Link => None,
        }
    }
}

/// Where the text of a link has led so far.
enum At<'a> {
    /// In a place, at a path of it; which paths of it were passed since the link's own directory.
    Inside { place: &'a Place, path: PathBuf, passed: Vec<PathBuf> },
    /// At another link of the tree, or at something of it that is not there.
    Link,
    /// Outside, at a path below the base. It is sure as long as no step up followed a step down: nobody
    /// knows what is a link there.
    Outside { path: PathBuf, is_sure: bool },
}

impl<'a> At<'a> {
    fn up(self) -> Self {
        match self {
            Self::Inside { place, mut path, passed } => {
                if path.pop() {
                    return Self::Inside { place, path, passed };
                }
                // Out, unless a link was passed on the way up, which leads somewhere else.
                let is_link = |path: &PathBuf| {
                    let step = read::open_beneath(&place.fd, path, OFlags::PATH).and_then(rustix::fs::fstat);
                    !step.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
                };
                match place.paths.first().and_then(|path| path.parent()) {
                    _ if passed.iter().any(is_link) => Self::Link,
                    Some(above) => Self::Outside { path: above.to_owned(), is_sure: true },
                    None => Self::Inside { place, path, passed }, // Nothing is above the root directory.
                }
            }
            Self::Outside { mut path, .. } => {
                path.pop();
                Self::Outside { path, is_sure: false }
            }
            Self::Link => Self::Link,
        }
    }

    fn down(self, name: &OsStr, from: &'a Place) -> Self {
        match self {
            Self::Inside { place, path, mut passed } => {
                let path = path.join(name);
                passed.push(path.clone());
                Self::Inside { place, path, passed }
            }
            Self::Outside { path, is_sure } => Self::outside(path.join(name), is_sure, from),
            Self::Link => Self::Link,
        }
    }

    fn outside(path: PathBuf, is_sure: bool, from: &'a Place) -> Self {
        // Back in the tree, or in a directory that it was reached through.
        match from.chain().find(|place| is_sure && place.paths.contains(&path)) {
            Some(place) => Self::Inside { place, path: PathBuf::new(), passed: Vec::new() },
            None => Self::Outside { path, is_sure },
        }
    }
}

/// A link that leads out of a place, and is followed.
#[derive(Debug)]
pub(super) struct Lead {
    pub(super) place: Arc<Place>,
    /// Relative to the place.
    pub(super) link: PathBuf,
    /// What it leads to, as a path below the base.
    pub(super) target: PathBuf,
}

impl Lead {
    /// How the file list names what lies behind it.
    pub(super) fn listed(&self) -> Vec<u8> {
        [&self.place.listed(self.link.as_os_str().as_bytes()), FOLLOWED].concat()
    }

    /// How people, and globs, name it.
    pub(super) fn seen(&self) -> PathBuf {
        self.place.shown(&self.link).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_leads_out_by_its_own_text() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let root = base.join("releases/1");
        std::fs::create_dir_all(root.join("lib/deep")).unwrap();
        symlink("releases/1", base.join("current")).unwrap();
        symlink("../../shared", root.join("other")).unwrap();
        std::fs::write(root.join("lib/x"), "").unwrap();
        let opened = open_root(&base.join("current")).unwrap();
        let place = Place::of_tree(&opened).unwrap();
        let at = |path: &str| base.join(path).display().to_string();
        for (link, target, out) in [
            ("a", "lib/x".to_owned(), None),
            ("lib/a", "..".to_owned(), None),
            ("lib/deep/a", "../../lib/x".to_owned(), None),
            ("lib/deep/a", "./.././x".to_owned(), None),
            ("a", "nowhere".to_owned(), None),
            ("a", "..".to_owned(), Some("..")),
            ("lib/a", "../../2/lib/x".to_owned(), Some("lib/../../2/lib/x")),
            ("a", "/".to_owned(), Some("/")),
            ("a", "/etc/passwd".to_owned(), Some("/etc/passwd")),
            // Into the tree by its own path, as written and as it is.
            ("a", at("current/lib/x"), None),
            ("a", at("releases/1/lib/x"), None),
            ("a", "../1/lib/x".to_owned(), None),
            ("a", "../1".to_owned(), None),
            // Into it and out again.
            ("a", "../1/../2".to_owned(), Some("../1/../2")),
            // Nobody knows what is a link out there.
            ("a", at("releases/../current/lib/x"), Some("releases/../current/lib/x")),
            ("a", at("releases/11"), Some("releases/11")),
            // Another link of the tree answers for itself.
            ("a", "other/x".to_owned(), None),
            ("a", "other/../x".to_owned(), None),
            ("a", "other/../../x".to_owned(), None),
            ("a", "lib/../../x".to_owned(), Some("lib/../../x")),
            ("a", "nowhere/../../x".to_owned(), None),
        ] {
            let led = place.leads_out(Path::new(link), OsStr::new(&target));
            let expected = out.map(|out| match Path::new(out) {
                out if target.starts_with("/") && !out.is_absolute() => base.join(out),
                out => root.join(out),
            });
            assert_eq!(led, expected, "{link} -> {target}");
        }
    }
}
