//! Files that survive a crash: replaced as a whole, on disk before success is reported.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Permission bits of a file that nobody but its owner reads.
pub const PRIVATE: u32 = 0o600;

/// What could not be done, and to which file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The old file, if any, is still there, whole; no temporary file is.
    #[error("cannot replace {}", path.display())]
    Replace {
        /// The file that was to be replaced.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The change was made, but a power loss may undo it. A second attempt proves nothing: the
    /// kernel reports a lost write once. The process should stop and start again from the disk.
    #[error("cannot make sure that {} is on disk", path.display())]
    Sync {
        /// The file replaced or removed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Missing, or unreadable; [`DurableError::is_not_found`] tells which.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file that was to be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than its reader allows.
    #[error("{} is larger than {max} bytes", path.display())]
    TooLarge {
        /// The file that was to be read.
        path: PathBuf,
        /// Most bytes allowed.
        max: u64,
    },
    /// The file is still there.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// The file that was to be removed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DurableError {
    /// Whether the file to be read does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Puts `bytes` at `path` with the permission bits `mode` ([`PRIVATE`] unless others must read it),
/// replacing what was there in one step: a reader and a crash see the old file or the new one.
///
/// Costs two fsyncs. The directory must exist.
///
/// # Errors
/// [`DurableError::Replace`] with the old file untouched; [`DurableError::Sync`] with the new file
/// in place but perhaps not yet on disk.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    let failed = |source| DurableError::Replace { path: path.to_owned(), source };
    let directory = parent(path);
    let (temporary, mut file) = create_beside(path, mode).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // Best effort: the first error is the one worth telling.
        let _ = fs::remove_file(&temporary);
        return Err(failed(source));
    }
    sync_directory(directory).map_err(|source| DurableError::Sync { path: path.to_owned(), source })
}

/// Creates the directory `path`, with those above it, for its owner only (mode 0700); nothing to do if
/// it is there.
///
/// # Errors
/// [`DurableError::Replace`] if it cannot be created, [`DurableError::Sync`] if it may vanish again.
pub fn create_directory(path: &Path) -> Result<(), DurableError> {
    if path.is_dir() {
        return Ok(());
    }
    // One level at a time: each new entry is on disk only once the directory above it is.
    create_directory(parent(path))?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(source) if !path.is_dir() => Err(DurableError::Replace { path: path.to_owned(), source }),
        _ => sync_directory(parent(path)).map_err(|source| DurableError::Sync { path: path.to_owned(), source }),
    }
}

/// Removes `path`; nothing to do if it is not there.
///
/// # Errors
/// [`DurableError::Remove`] if it is still there, [`DurableError::Sync`] if it may come back.
pub fn remove(path: &Path) -> Result<(), DurableError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(parent(path)).map_err(|source| DurableError::Sync { path: path.to_owned(), source }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(DurableError::Remove { path: path.to_owned(), source }),
    }
}

/// Removes what [`replace`] left half-written below `directory` when its process was killed, and
/// returns how many files that were. Links are not followed.
///
/// Only for the one process that writes there, before it writes: another's file would be lost.
///
/// # Errors
/// [`DurableError::Remove`] if a directory cannot be read or a file stays.
pub fn remove_temporaries(directory: &Path) -> Result<u64, DurableError> {
    let failed = |path: &Path, source| DurableError::Remove { path: path.to_owned(), source };
    let mut removed = 0;
    for entry in fs::read_dir(directory).map_err(|source| failed(directory, source))? {
        let entry = entry.map_err(|source| failed(directory, source))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|source| failed(&path, source))?;
        if kind.is_dir() {
            removed += remove_temporaries(&path)?;
        } else if kind.is_file() && is_temporary(&entry.file_name()) {
            fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Reads the whole of the regular file at `path`, refusing more than `max` bytes without reading them.
/// Anything else there, a pipe say, is refused: nobody may write to it, and a service would never start.
///
/// # Errors
/// [`DurableError::Read`] or [`DurableError::TooLarge`].
pub fn read_limited(path: &Path, max: u64) -> Result<Vec<u8>, DurableError> {
    let failed = |source| DurableError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    read_input(path, max)
}

/// The same of what a person hands to a command, which may be a pipe (`<(pass show token)` of a shell).
///
/// # Errors
/// [`DurableError::Read`] or [`DurableError::TooLarge`].
pub fn read_input(path: &Path, max: u64) -> Result<Vec<u8>, DurableError> {
    let failed = |source| DurableError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max) {
        Ok(bytes)
    } else {
        Err(DurableError::TooLarge { path: path.to_owned(), max })
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

// The name is new each time: with a fixed one, two writers could rename each other's half-written
// file into place.
fn create_beside(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    loop {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(temporary);
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary) {
            // A crashed process of the same id left it; its number is not ours.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => return Ok((temporary, file)),
        }
    }
}

// `.NAME.PID-NUMBER.tmp`, as `create_beside` makes them.
fn is_temporary(name: &OsStr) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = || {
        let (name, numbers) = name.to_str()?.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
        let (process, number) = numbers.split_once('-')?;
        Some(!name.is_empty() && digits(process) && digits(number))
    };
    parts().unwrap_or(false)
}

/// Syncs a directory: a rename is on disk only once its directory is.
///
/// # Errors
/// The system's.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    // Tests only: a directory of our own under the system's, gone at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("durable-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_with_its_mode() {
        let directory = Directory::new("whole");
        let path = directory.0.join("a.json");
        replace(&path, b"first, longer", PRIVATE).unwrap();
        replace(&path, b"second", 0o640).unwrap();
        assert_eq!(read_limited(&path, 6).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(directory.names(), ["a.json"]);
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_state_and_nothing_else() {
        let directory = Directory::new("failed");
        // A rename onto a directory with something in it fails after the bytes were written.
        let path = directory.0.join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"old").unwrap();
        let error = replace(&path, b"new", PRIVATE).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(directory.names(), ["taken"]);
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"old");
        assert!(replace(&directory.0.join("no/where"), b"new", PRIVATE).is_err());
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_removed_and_nothing_else() {
        let directory = Directory::new("left");
        let inner = directory.0.join("inner");
        fs::create_dir(&inner).unwrap();
        let (left, _) = create_beside(&inner.join("sequence.json"), PRIVATE).unwrap();
        create_beside(&directory.0.join("a.b"), PRIVATE).unwrap();
        let kept = ["a.json", ".tmp", ".a.tmp", ".a.1-x.tmp", ".a.-1.tmp", "a.1-2.tmp", "..1-2.tmp"];
        for name in kept {
            fs::write(inner.join(name), b"").unwrap();
        }
        std::os::unix::fs::symlink(&inner, directory.0.join("link")).unwrap();
        assert_eq!(remove_temporaries(&directory.0).unwrap(), 2);
        assert!(!left.exists());
        assert_eq!(fs::read_dir(&inner).unwrap().count(), kept.len());
        assert!(remove_temporaries(&directory.0.join("none")).is_err());
    }

    #[test]
    fn directories_are_created_for_their_owner_only() {
        let directory = Directory::new("create");
        let deep = directory.0.join("a/b");
        create_directory(&deep).unwrap();
        create_directory(&deep).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o700);
        replace(&deep.join("file"), b"", PRIVATE).unwrap();
        assert!(create_directory(&deep.join("file/c")).is_err());
    }

    #[test]
    fn reading_stops_at_the_limit_and_tells_missing_from_unreadable() {
        let directory = Directory::new("limit");
        let path = directory.0.join("a");
        assert!(read_limited(&path, 9).unwrap_err().is_not_found());
        replace(&path, b"1234567890", PRIVATE).unwrap();
        assert!(matches!(read_limited(&path, 9), Err(DurableError::TooLarge { max: 9, .. })));
        assert!(!read_limited(&directory.0, 9).unwrap_err().is_not_found());
        // Nobody writes to it: whoever opens it waits.
        let pipe = directory.0.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = read_limited(&pipe, 9).unwrap_err();
        assert!(matches!(error, DurableError::Read { .. }) && !error.is_not_found(), "{error}");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(read_limited(&path, 9).unwrap_err().is_not_found());
    }
}
