//! Program trees: real files, made once, linked into every host.
//!
//! A new hard link changes the ctime of the file behind it, which makes every agent read it again:
//! all links of a fleet are made before the first agent starts, and moved into place by rename.
//! Nothing ever writes through a linked file.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use manifests::digest::Digest;

/// Files of each tree besides the few that releases differ in.
const COMMON_FILES: usize = 210;
/// Bytes of each of them: with [`COMMON_FILES`] above 20 MB.
const COMMON_FILE_BYTES: usize = 98_304;
/// Where the common files' content starts from.
const SEED: u64 = 0x5e41_5100;

/// A release of a program that hosts may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// Has the fix, for one server.
    Fixed,
    /// Has the fix, for several servers.
    FixedSplit,
    /// The release before the fix, for one server.
    Unfixed,
    /// The release before the fix, for several servers.
    UnfixedSplit,
    /// Known bad.
    Denied,
    /// The database server's program.
    Register,
}

impl Release {
    /// Every one.
    pub const ALL: [Release; 6] = [
        Release::Fixed,
        Release::FixedSplit,
        Release::Unfixed,
        Release::UnfixedSplit,
        Release::Denied,
        Release::Register,
    ];

    /// The program it is a release of.
    pub fn program(self) -> &'static str {
        if self == Release::Register { "register-db" } else { "issuing-server" }
    }

    /// Its version.
    pub fn version(self) -> &'static str {
        match self {
            Release::Fixed | Release::FixedSplit => "3.4.2",
            Release::Unfixed | Release::UnfixedSplit => "3.4.1",
            Release::Denied => "3.3.0",
            Release::Register => "2.1.0",
        }
    }

    /// Its build.
    pub fn variant(self) -> Option<&'static str> {
        match self {
            Release::Fixed | Release::Unfixed => Some("single"),
            Release::FixedSplit | Release::UnfixedSplit => Some("split"),
            Release::Denied | Release::Register => None,
        }
    }

    fn name(self) -> String {
        format!("{}-{}-{}", self.program(), self.version(), self.variant().unwrap_or("any"))
    }
}

/// The one copy of every release.
pub struct Masters {
    directory: PathBuf,
}

impl Masters {
    /// Writes them below `directory`. `issuingd` becomes the executable of the issuing server.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn make(directory: &Path, issuingd: &Path) -> Result<Self> {
        let masters = Self { directory: directory.to_owned() };
        let common = directory.join("common");
        for index in 0..COMMON_FILES {
            let kind = ["lib", "share/forms", "share/fonts", "share/messages", "web/pages", "web/scripts"][index % 6];
            write_file(
                &common.join(kind).join(format!("part-{index:03}.bin")),
                &noise(SEED + index as u64, COMMON_FILE_BYTES),
                0o644,
            )?;
        }
        let program = fs::read(issuingd).with_context(|| format!("cannot read {}", issuingd.display()))?;
        for release in Release::ALL {
            let root = masters.root(release);
            link_tree(&common, &root)?;
            let label = release.name();
            write_file(&root.join("VERSION"), format!("{label}\n").as_bytes(), 0o644)?;
            let mut library = noise(seed_of(&label)?, COMMON_FILE_BYTES);
            library.extend_from_slice(label.as_bytes());
            write_file(&root.join("lib/print_queue.so"), &library, 0o644)?;
            if release != Release::Register {
                // Bytes behind the end of an executable change its digest and nothing else.
                let mut executable = program.clone();
                executable.extend_from_slice(label.as_bytes());
                write_file(&root.join("bin/issuingd"), &executable, 0o755)?;
            }
        }
        Ok(masters)
    }

    /// Where a release's files are. To be read and linked, never written.
    pub fn root(&self, release: Release) -> PathBuf {
        self.directory.join(release.name())
    }
}

/// The files in which two releases of one program differ.
pub const CHANGING_FILES: [&str; 3] = ["VERSION", "lib/print_queue.so", "bin/issuingd"];

/// Makes `to` a tree of hard links to the files of `from`.
///
/// # Errors
/// If the two are on different file systems, or `to` has one of the files.
pub fn link_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_tree(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), &target).with_context(|| format!("cannot link {}", target.display()))?;
        }
    }
    Ok(())
}

/// Puts `bytes` at `path` by rename: the file that was there stays what it was for whoever holds it.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let beside = path.with_extension("new");
    write_file(&beside, bytes, mode)?;
    fs::rename(&beside, path).with_context(|| format!("cannot replace {}", path.display()))
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let write = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = fs::File::create(path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

// SplitMix64: the same content on every machine, which nothing compresses or shares.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

// The first eight bytes of the name's digest.
fn seed_of(name: &str) -> Result<u64> {
    let hex = Digest::of(name.as_bytes()).hex();
    Ok(u64::from_str_radix(hex.get(..16).context("a digest has 64 digits")?, 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(directory: &Path) -> (usize, u64) {
        fs::read_dir(directory).unwrap().map(Result::unwrap).fold((0, 0), |(files, bytes), entry| {
            let metadata = entry.metadata().unwrap();
            let (more, size) = if metadata.is_dir() { count(&entry.path()) } else { (1, metadata.len()) };
            (files + more, bytes + size)
        })
    }

    #[test]
    fn every_release_has_200_files_and_20_megabytes_and_differs_only_where_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let masters = Masters::make(directory.path(), Path::new("/proc/self/exe")).unwrap();
        for release in Release::ALL {
            let (files, bytes) = count(&masters.root(release));
            assert!(files >= 200 && bytes >= 20_000_000, "{release:?}: {files} files, {bytes} bytes");
        }
        let read = |release, file| fs::read(masters.root(release).join(file)).unwrap();
        for file in CHANGING_FILES {
            assert_ne!(read(Release::Fixed, file), read(Release::Unfixed, file), "{file}");
            assert_ne!(read(Release::Fixed, file), read(Release::FixedSplit, file), "{file}");
        }
    }
}
