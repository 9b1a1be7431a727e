//! The working directory of the release managers, kept in git.
//!
//! `baseline.toml`, `registry.toml`, `files/<hex digest>`, `lifts/<stop hex>/<n>.json` and
//! `metadata/<n>.{root,targets,lifts}.json`. Names within it are written with `/`, relative to it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use manifests::digest::Digest;
use manifests::durable::{self, DurableError};
use manifests::id::ProductId;
use manifests::source::SOURCE_BYTES_MAX;
use manifests::stop::LIFT_BYTES_MAX;
use manifests::tuf::repository::baseline_path;
use manifests::tuf::{ROOT_BYTES_MAX, TARGET_FILE_BYTES_MAX, TARGETS_BYTES_MAX};
use manifests::value::INTEGER_MAX;

use crate::before::BEFORE;
use crate::exit::{Exit, Fatal};

/// Name of the fix baseline.
pub(crate) const BASELINE: &str = "baseline.toml";
/// Name of the registry.
pub(crate) const REGISTRY: &str = "registry.toml";
/// Name of the first root.
pub(crate) const FIRST_ROOT: &str = "metadata/1.root.json";
/// What lies in subdirectories: file lists, lifts, metadata.
const SUBDIRECTORIES: [&str; 3] = ["files", "lifts", "metadata"];
/// Permission bits of what is written: everything here is published or reviewed, nothing is secret.
const PUBLIC: u32 = 0o644;
/// Most entries looked at in one of the subdirectories.
const ENTRIES_MAX: usize = 100_000;

/// A working directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// What could not be read from or written to the working directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// No such directory, or one of something else.
    #[error("{} is no release managers' directory: it has no metadata/1.root.json; `init` makes one", path.display())]
    Foreign { path: PathBuf },
    /// There is something already.
    #[error("{} is not empty; name a new directory", path.display())]
    Taken { path: PathBuf },
    /// A directory could not be listed or made.
    #[error("cannot open the directory {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] DurableError),
    /// A pipe would be waited for, for ever; a directory is none either.
    #[error("{} is no regular file", path.display())]
    Irregular { path: PathBuf },
    /// A file that must be text.
    #[error("{} is not UTF-8 text: byte {valid_up_to} is the first that is not", path.display())]
    Utf8 { path: PathBuf, valid_up_to: usize },
    /// More entries than anybody can review.
    #[error("{} has more than {ENTRIES_MAX} entries", path.display())]
    TooMany { path: PathBuf },
    /// A file whose name says nothing that this program understands.
    #[error("{} does not belong there: {expected}", path.display())]
    Name { path: PathBuf, expected: &'static str },
}

impl Fatal for DirectoryError {
    fn exit(&self) -> Exit {
        match self {
            Self::Open { .. } => Exit::Io,
            Self::File(DurableError::TooLarge { .. }) => Exit::Refused,
            Self::File(_) => Exit::Io,
            Self::Foreign { .. }
            | Self::Taken { .. }
            | Self::Irregular { .. }
            | Self::Utf8 { .. }
            | Self::TooMany { .. }
            | Self::Name { .. } => Exit::Refused,
        }
    }
}

impl Directory {
    /// Opens a directory that `init` made.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let directory = Self { path: path.to_owned() };
        let first = match fs::metadata(directory.place(FIRST_ROOT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::metadata(directory.place(BEFORE)),
            found => found,
        };
        match first {
            Ok(_) => Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(DirectoryError::Foreign { path: path.to_owned() })
            }
            Err(source) => Err(DirectoryError::Open { path: path.to_owned(), source }),
        }
    }

    /// Takes a directory that does not exist or is empty but for `.git`, and makes its subdirectories.
    pub(crate) fn create(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |source| DirectoryError::Open { path: path.to_owned(), source };
        match fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != ".git")) {
                    return Err(DirectoryError::Taken { path: path.to_owned() });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed(source)),
        }
        let directory = Self { path: path.to_owned() };
        for name in SUBDIRECTORIES {
            if let Err(source) = fs::create_dir_all(directory.place(name)) {
                directory.remove();
                return Err(failed(source));
            }
        }
        Ok(directory)
    }

    /// Removes what `init` began and could not finish, so that it can be tried again in the same place.
    ///
    /// What anybody else put there stays. Best effort: what made `init` fail is the error to tell.
    pub(crate) fn remove(&self) {
        for name in [".gitattributes", BASELINE, REGISTRY, BEFORE, FIRST_ROOT] {
            let _ = fs::remove_file(self.place(name));
        }
        for name in SUBDIRECTORIES {
            let _ = fs::remove_dir(self.place(name));
        }
        // Only if nothing is in it, so not one that was there with its .git.
        let _ = fs::remove_dir(&self.path);
    }

    /// Where a name lies.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A whole file, as long as files of its kind may be.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, DirectoryError> {
        let max = match name.split_once('/') {
            Some(("metadata", file)) if file.ends_with(".root.json") => ROOT_BYTES_MAX,
            Some(("metadata", _)) => TARGETS_BYTES_MAX,
            Some(("files", _)) => TARGET_FILE_BYTES_MAX,
            Some(("lifts", _)) => LIFT_BYTES_MAX as u64,
            _ => SOURCE_BYTES_MAX as u64,
        };
        read_regular(&self.place(name), max)
    }

    /// As [`Directory::read`]; `None` if there is no such file.
    pub(crate) fn read_if_there(&self, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        match self.read(name) {
            Err(DirectoryError::File(error)) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// A file that metadata lists, by its [`target_name`]; `None` if there is no such file. A path out of somebody
    /// else's draft does not lead out of the directory.
    pub(crate) fn read_target(&self, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        let is_inside = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if is_inside { self.read_if_there(name) } else { Ok(None) }
    }

    /// A text file.
    pub(crate) fn text(&self, name: &str) -> Result<String, DirectoryError> {
        String::from_utf8(self.read(name)?).map_err(|error| DirectoryError::Utf8 {
            path: self.place(name),
            valid_up_to: error.utf8_error().valid_up_to(),
        })
    }

    /// Replaces a file as a whole; makes the directory it lies in.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DirectoryError> {
        let path = self.place(name);
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(|source| DirectoryError::Open { path: parent.to_owned(), source })?;
        }
        Ok(durable::replace(&path, bytes, PUBLIC)?)
    }

    /// Versions of a role's metadata, ascending.
    pub(crate) fn versions(&self, role: &str) -> Result<Vec<u64>, DirectoryError> {
        let suffix = format!(".{role}.json");
        let versions: BTreeSet<u64> =
            self.names("metadata")?.iter().filter_map(|name| number(name.strip_suffix(&suffix)?)).collect();
        Ok(versions.into_iter().collect())
    }

    /// Digests that name the files below `files/`. That each holds what its name says is not looked at.
    pub(crate) fn files(&self) -> Result<Vec<Digest>, DirectoryError> {
        let expected = "files are named by the 64 hexadecimal digits of their SHA-256; `capture` writes them";
        let digest = |name: &String| {
            let path = self.place("files").join(name);
            Digest::from_hex(name).map_err(|_| DirectoryError::Name { path, expected })
        };
        self.names("files")?.iter().map(digest).collect()
    }

    /// Lifts by stop and number.
    pub(crate) fn lifts(&self) -> Result<Vec<(Digest, u64)>, DirectoryError> {
        let mut lifts = Vec::new();
        for stop in self.names("lifts")? {
            let place = |name: &str| self.place("lifts").join(&stop).join(name);
            let expected = "lifts lie in a directory named by the 64 hexadecimal digits of the stop's digest";
            let digest = Digest::from_hex(&stop).map_err(|_| DirectoryError::Name { path: place(""), expected })?;
            for name in self.names(&format!("lifts/{stop}"))? {
                let expected = "lifts are named 1.json, 2.json, …; `lift` writes them";
                let count = name
                    .strip_suffix(".json")
                    .and_then(number)
                    .ok_or_else(|| DirectoryError::Name { path: place(&name), expected })?;
                lifts.push((digest, count));
            }
        }
        lifts.sort_unstable();
        Ok(lifts)
    }

    // Names in a subdirectory, sorted; none if it is missing, as git keeps no empty directory. Hidden
    // files (.gitkeep, an editor's) are nobody's documents.
    fn names(&self, subdirectory: &str) -> Result<Vec<String>, DirectoryError> {
        let path = self.place(subdirectory);
        let failed = |source| DirectoryError::Open { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                names.push(name);
            }
            if names.len() > ENTRIES_MAX {
                return Err(DirectoryError::TooMany { path });
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// The name in the directory of what metadata lists as `path`: the same, but for the product's baseline.
pub(crate) fn target_name<'a>(path: &'a str, product: &ProductId) -> &'a str {
    if path == baseline_path(product.as_str()) { BASELINE } else { path }
}

/// A whole file of at most `max` bytes, if it is a regular one or a link to one.
pub(crate) fn read_regular(path: &Path, max: u64) -> Result<Vec<u8>, DirectoryError> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(DirectoryError::Irregular { path: path.to_owned() }),
        // What is not there is for the reader to say.
        _ => Ok(durable::read_limited(path, max)?),
    }
}

// A version or count as file names write it: from 1, without leading zeros, up to [`INTEGER_MAX`].
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    ((1..=INTEGER_MAX).contains(&number) && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_odd_names_are_no_versions() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::create(&temporary.path().join("new")).unwrap();
        for name in ["10.targets", "9.targets", "010.targets", "+7.targets", "0.targets", "3.root", "x.targets"] {
            directory.write(&format!("metadata/{name}.json"), b"{}").unwrap();
        }
        assert_eq!(directory.versions("targets").unwrap(), [9, 10]);
    }

    #[test]
    fn a_path_out_of_metadata_does_not_lead_out_of_the_directory() {
        let temporary = tempfile::tempdir().unwrap();
        fs::write(temporary.path().join("outside"), b"secret").unwrap();
        let directory = Directory::create(&temporary.path().join("new")).unwrap();
        directory.write("files/a", b"a").unwrap();
        let product: ProductId = "p".parse().unwrap();
        let absolute = temporary.path().join("outside").to_str().unwrap().to_owned();
        for path in ["../outside", "files/../../outside", absolute.as_str(), "p/../../outside", ""] {
            let name = target_name(path, &product);
            assert_eq!(directory.read_target(name).unwrap(), None, "{path}");
        }
        assert_eq!(directory.read_target("files/a").unwrap(), Some(b"a".to_vec()));
        assert_eq!(target_name("p/baseline.toml", &product), BASELINE);
        assert_eq!(target_name("q/baseline.toml", &product), "q/baseline.toml");
    }

    #[test]
    fn a_file_that_is_not_named_by_a_digest_is_met() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::create(temporary.path()).unwrap();
        directory.write(&format!("files/{}", Digest::of(b"").hex()), b"").unwrap();
        directory.write("files/.gitkeep", b"").unwrap();
        assert_eq!(directory.files().unwrap(), [Digest::of(b"")]);
        directory.write("files/list.txt", b"").unwrap();
        assert!(matches!(directory.files(), Err(DirectoryError::Name { .. })));
        assert!(matches!(Directory::create(temporary.path()), Err(DirectoryError::Taken { .. })));
    }
}
