//! Code that an image takes from outside of its program's tree under a name of the tree: from a directory
//! that its command line or environment names, or as an archive of its class path.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use manifests::digest::Digest;
use manifests::tree::FileList;

use super::command::base_name;
use super::held::digest;
use super::image::{Executed, Inspected};
use super::maps::Mapped;
use crate::collect::index::{Index, Stamp};
use crate::collect::read::Bounds;

/// The most entries of one directory, and below it, that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// How deep a directory is looked into.
const DEPTH_MAX: usize = 6;
/// The largest file that is compared (256 MiB).
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Endings of files that hold code which is looked for by name: of other files a directory may have any.
const CODE: [&str; 14] =
    ["py", "pyc", "pm", "pl", "rb", "class", "jar", "js", "mjs", "cjs", "node", "lua", "php", "ph"];

fn is_code(name: &[u8]) -> bool {
    let ending = Path::new(OsStr::from_bytes(name)).extension();
    ending.is_some_and(|ending| CODE.iter().any(|code| ending == *code)) || name.windows(3).any(|part| part == b".so")
}

/// Paths of a tree by their last component.
pub(crate) type Names = HashMap<Vec<u8>, Vec<Vec<u8>>>;

/// What is looked for, and where it was found already: directories of several images are the same ones.
pub(crate) struct Shadows<'a> {
    pub(crate) roots: [&'a Path; 2],
    pub(crate) list: &'a FileList,
    pub(crate) names: &'a Names,
    pub(crate) deadline: Instant,
    pub(crate) known: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// Files outside of the tree that the image takes, or may take, in place of one of the tree's.
pub(crate) fn shadowed(inspected: &Inspected, shadows: &mut Shadows<'_>, index: &mut Index) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in &inspected.search {
        if shadows.is_in_tree(directory) || !directory.is_dir() {
            continue;
        }
        if !shadows.known.contains_key(directory) {
            let files = shadows.in_directory(directory, index);
            shadows.known.insert(directory.clone(), files);
        }
        found.extend(shadows.known.get(directory).into_iter().flatten().cloned());
    }
    for Executed { path, .. } in &inspected.scripts {
        let path = Path::new(OsStr::from_bytes(path));
        let is_archive = path.extension().is_some_and(|ending| ending == "jar" || ending == "pyz" || ending == "zip");
        if is_archive
            && !shadows.is_in_tree(path)
            && shadows.is_other(path, path.file_name().unwrap_or_default(), index)
        {
            found.push(path.to_owned());
        }
    }
    found
}

/// Files outside of the tree that an image maps, and that a directory of its library path calls by a name of the
/// tree: a link there that leads to the file of another name.
pub(crate) fn called(
    directories: &[PathBuf],
    mapped: &Mapped,
    shadows: &Shadows<'_>,
    index: &mut Index,
) -> Vec<PathBuf> {
    let maps = |file: (u64, u64)| mapped.executable.iter().any(|(mapped, _)| *mapped == file);
    let mut found = Vec::new();
    for directory in directories.iter().filter(|directory| !shadows.is_in_tree(directory)) {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().take(ENTRIES_MAX);
        for name in entries.map(|entry| entry.file_name()).filter(|name| shadows.names.contains_key(name.as_bytes())) {
            let path = directory.join(&name);
            let is_mapped = rustix::fs::stat(&path).is_ok_and(|stat| maps((stat.st_dev, stat.st_ino)));
            if is_mapped && shadows.is_other(&path, &name, index) {
                found.push(path);
            }
        }
    }
    found
}

impl Shadows<'_> {
    fn is_in_tree(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    fn in_directory(&self, directory: &Path, index: &mut Index) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut rest = vec![(PathBuf::new(), 0)];
        let mut entries = 0;
        while let Some((below, depth)) = rest.pop() {
            for entry in std::fs::read_dir(directory.join(&below)).into_iter().flatten().flatten() {
                entries += 1;
                if entries > ENTRIES_MAX || Instant::now() > self.deadline {
                    return found;
                }
                let path = below.join(entry.file_name());
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() && depth < DEPTH_MAX {
                    rest.push((path, depth + 1));
                } else if !kind.is_dir() && self.is_other(&directory.join(&path), path.as_os_str(), index) {
                    found.push(directory.join(&path));
                }
            }
        }
        found
    }

    /// Whether the tree has a file that is found by the same name, and none of these has the same bytes.
    fn is_other(&self, path: &Path, name: &OsStr, index: &mut Index) -> bool {
        let name = name.as_bytes();
        if !is_code(base_name(name)) {
            return false;
        }
        let candidates = self.names.get(base_name(name)).into_iter().flatten();
        let same_name = |candidate: &&Vec<u8>| {
            candidate.as_slice() == name || candidate.strip_suffix(name).is_some_and(|above| above.ends_with(b"/"))
        };
        let wanted: Vec<&Digest> =
            candidates.filter(same_name).filter_map(|candidate| self.list.digest_of(candidate)).collect();
        if wanted.is_empty() {
            return false;
        }
        let Ok(stat) = rustix::fs::stat(path) else { return false };
        let bounds = Bounds { bytes_max: FILE_BYTES_MAX, deadline: self.deadline };
        // What cannot be read by us may be read by the program.
        digest(path, &Stamp::from(&stat), bounds, index).map_or(true, |digest| !wanted.contains(&&digest))
    }
}
