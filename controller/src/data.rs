//! The data directory: where everything of one controller lies.

use std::path::{Path, PathBuf};

use manifests::controller::PublicHalf;
use manifests::durable::{self, DurableError};
use manifests::key::{KeyError, SigningKey};

/// Longest file read from the directory: keys, certificates and `controller.json` are far shorter.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file is missing, unreadable or cannot be written.
    #[error(transparent)]
    File(#[from] DurableError),
    /// Not the key that it should be.
    #[error("{} is no key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Not JSON of the expected shape.
    #[error("{} is damaged", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Not text.
    #[error("{} is not text", path.display())]
    Text {
        /// The file.
        path: PathBuf,
    },
}

/// Paths of one controller.
#[derive(Clone, Debug)]
pub struct Data {
    directory: PathBuf,
}

impl Data {
    /// A data directory, there or not.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The TUF repository.
    pub fn repository(&self) -> PathBuf {
        self.path("tuf")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`DataError::File`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>, DataError> {
        Ok(durable::read_limited(&self.path(name), FILE_BYTES_MAX)?)
    }

    /// Writes a file that only its owner reads.
    ///
    /// # Errors
    /// [`DataError::File`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        Ok(durable::replace(&self.path(name), bytes, durable::PRIVATE)?)
    }

    /// Reads one of `keys/{permit,log,snapshot,timestamp}.pem`.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn key(&self, name: &str) -> Result<SigningKey, DataError> {
        let file = format!("keys/{name}.pem");
        let path = self.path(&file);
        let text = String::from_utf8(self.read(&file)?).map_err(|_| DataError::Text { path: path.clone() })?;
        SigningKey::from_pkcs8_pem(&text).map_err(|source| DataError::Key { path, source })
    }

    /// Reads `controller.json`.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn public(&self) -> Result<PublicHalf, DataError> {
        let json = |source| DataError::Json { path: self.path("controller.json"), source };
        serde_json::from_slice(&self.read("controller.json")?).map_err(json)
    }
}
