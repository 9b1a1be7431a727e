//! What is kept of running processes, and the file lists that it names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use manifests::digest::Digest;
use manifests::durable;
use manifests::tree::FileList;

use super::{StateDirectory, StateError, read_if_there};

/// What is known of running processes.
const PROCESSES: &str = "processes.json";
/// The largest such file, and the largest file list, in bytes.
const PROCESSES_BYTES_MAX: u64 = 256 << 20;

impl StateDirectory {
    /// What was known of running processes; none if nothing was kept. See [`crate::collect::Collector::recall`].
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn processes(&self) -> Result<Option<Vec<u8>>, StateError> {
        read_if_there(&self.path.join(PROCESSES), PROCESSES_BYTES_MAX)
    }

    /// A file list that [`StateDirectory::processes`] names.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn loaded_list(&self, digest: &Digest) -> Result<Vec<u8>, StateError> {
        durable::read_limited(&self.loaded_path(digest), PROCESSES_BYTES_MAX).map_err(StateError::Io)
    }

    fn loaded_path(&self, digest: &Digest) -> PathBuf {
        self.path.join("loaded").join(digest.hex())
    }

    /// Keeps what is known of running processes, and the file lists that it names; others go. A list that
    /// was there when this agent started is written anew, for it may be damaged.
    ///
    /// # Errors
    /// [`StateError::Io`]; what was kept before still is.
    pub fn store_processes(&self, json: &[u8], lists: &BTreeMap<Digest, Arc<FileList>>) -> Result<(), StateError> {
        durable::create_directory(&self.path.join("loaded")).map_err(StateError::Io)?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, list) in lists {
            let path = self.loaded_path(digest);
            if !written.contains(digest) || !path.exists() {
                durable::replace(&path, &list.to_bytes(), durable::PRIVATE).map_err(StateError::Io)?;
                written.insert(*digest);
            }
        }
        written.retain(|digest| lists.contains_key(digest));
        self.write(PROCESSES, json)?;
        // Room is all that is lost if this fails, and the next change tries again.
        for entry in std::fs::read_dir(self.path.join("loaded")).into_iter().flatten().flatten() {
            let is_used = |name: &str| lists.keys().any(|digest| digest.hex() == name);
            if !entry.file_name().to_str().is_some_and(is_used) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> Result<StateDirectory, StateError> {
        StateDirectory::open(path, &path.join("gate.sock"))
    }

    #[test]
    fn a_kept_file_list_that_is_damaged_is_written_anew_under_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut list = FileList::new();
        list.insert_file(b"lib/module", Digest::of(b"one"));
        let (digest, list) = (list.digest(), Arc::new(list));
        let lists = BTreeMap::from([(digest, Arc::clone(&list))]);
        let path = directory.path().join("loaded").join(digest.hex());
        for damage in [None, Some("damaged"), Some("")] {
            let state = open(directory.path()).unwrap();
            if let Some(damage) = damage {
                std::fs::write(&path, damage).unwrap();
            }
            state.store_processes(b"{}", &lists).unwrap();
            assert_eq!(state.loaded_list(&digest).unwrap(), list.to_bytes());
            // Not again and again: a list may be large, and processes come and go.
            let before = std::fs::metadata(&path).unwrap();
            state.store_processes(b"{ }", &lists).unwrap();
            use std::os::unix::fs::MetadataExt;
            assert_eq!(std::fs::metadata(&path).unwrap().ino(), before.ino());
            std::fs::remove_file(&path).unwrap();
            state.store_processes(b"{}", &lists).unwrap();
            assert_eq!(state.loaded_list(&digest).unwrap(), list.to_bytes());
        }
        // What is no longer named goes, and comes back whole.
        let state = open(directory.path()).unwrap();
        state.store_processes(b"{}", &BTreeMap::new()).unwrap();
        assert!(!path.exists());
        state.store_processes(b"{}", &lists).unwrap();
        assert_eq!(state.loaded_list(&digest).unwrap(), list.to_bytes());
    }
}
