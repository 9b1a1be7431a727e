//! Where trusted metadata is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::durable::{self, DurableError};
use crate::tuf::TARGETS_BYTES_MAX;

/// Keeps files by name. Names are `root.json`, `lifts.json`, `root_history/2.root.json`, `progress`;
/// each part of one is a safe file name.
///
/// A store promises that [`MetadataStore::save`] replaces a file as a whole and that a file saved is there
/// after a crash, in the order of the calls. It need not notice damage: every file is verified when
/// it is read.
pub trait MetadataStore {
    /// The file's bytes, `None` if it was never saved.
    ///
    /// # Errors
    /// [`MetadataStoreError`] if it cannot be told.
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, MetadataStoreError>;

    /// Puts a file there, replacing it as a whole.
    ///
    /// # Errors
    /// [`MetadataStoreError`]; the old file may then still be there, never a part of the new one.
    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), MetadataStoreError>;

    /// Removes a file. Only recovery from a fast-forward attack does (TUF 1.0.34, 5.3.11).
    ///
    /// # Errors
    /// [`MetadataStoreError`] if it may still be there.
    fn remove(&mut self, name: &str) -> Result<(), MetadataStoreError>;
}

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("stored file {name}")]
pub struct MetadataStoreError {
    /// Name in the store.
    pub name: String,
    /// What failed.
    #[source]
    pub source: DurableError,
}

/// A directory, one file per name, readable by its owner only.
#[derive(Clone, Debug)]
pub struct FileStore {
    directory: PathBuf,
}

impl FileStore {
    /// A store in `directory`, which is created at the first save if it is missing.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl MetadataStore for FileStore {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, MetadataStoreError> {
        match durable::read_limited(&self.directory.join(name), TARGETS_BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(source) => Err(MetadataStoreError { name: name.to_owned(), source }),
        }
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), MetadataStoreError> {
        let path = self.directory.join(name);
        path.parent()
            .map_or(Ok(()), durable::create_directory)
            .and_then(|()| durable::replace(&path, bytes, durable::PRIVATE))
            .map_err(|source| MetadataStoreError { name: name.to_owned(), source })
    }

    fn remove(&mut self, name: &str) -> Result<(), MetadataStoreError> {
        durable::remove(&self.directory.join(name))
            .map_err(|source| MetadataStoreError { name: name.to_owned(), source })
    }
}

/// Files in memory: to look at a set before it is kept, and for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    /// The files by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl MetadataStore for MemoryStore {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, MetadataStoreError> {
        Ok(self.files.get(name).cloned())
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), MetadataStoreError> {
        self.files.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), MetadataStoreError> {
        self.files.remove(name);
        Ok(())
    }
}

impl<S: MetadataStore> MetadataStore for &mut S {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, MetadataStoreError> {
        (**self).load(name)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), MetadataStoreError> {
        (**self).save(name, bytes)
    }

    fn remove(&mut self, name: &str) -> Result<(), MetadataStoreError> {
        (**self).remove(name)
    }
}
