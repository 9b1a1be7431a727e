//! The host's own keys: the one it speaks with, the next one while it enrols, and the one that seals values.

use std::os::unix::fs::MetadataExt;

use manifests::durable;
use manifests::key::SigningKey;
use ring::rand::{SecureRandom, SystemRandom};

use super::{ENROLMENT, StateDirectory, StateError};

/// Permission bits of anybody but the owner.
const OTHERS: u32 = 0o077;
/// Those of them by which files of a directory can be replaced.
const OTHERS_WRITE: u32 = 0o022;
/// Every key, and what to do where others could read it.
const KEYS: [(&str, &str); 3] = [
    ("host.key", "enrol this host anew with a token made with --replace"),
    ("enrolling.key", "remove it and enrol again with another token"),
    ("sealing.key", "remove it: the agent makes another, and sealed values show as changed once"),
];

impl StateDirectory {
    /// Refuses keys that others than their owner can read or replace, as release managers' are refused.
    ///
    /// # Errors
    /// [`StateError::KeyMode`], [`StateError::DirectoryMode`], [`StateError::Open`].
    pub fn check_key_modes(&self) -> Result<(), StateError> {
        let open = |source| StateError::Open { path: self.path.clone(), source };
        let mode = std::fs::metadata(&self.path).map_err(open)?.mode() & 0o777;
        // Sticky or not: who may write to it can put a key there before the agent makes one.
        if mode & OTHERS_WRITE != 0 {
            return Err(StateError::DirectoryMode { path: self.path.clone(), mode });
        }
        for (name, instead) in KEYS {
            let path = self.path.join(name);
            let mode = match std::fs::metadata(&path) {
                Ok(metadata) => metadata.mode() & 0o777,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(StateError::Open { path, source }),
            };
            if mode & OTHERS != 0 {
                return Err(StateError::KeyMode { path, mode, instead });
            }
        }
        Ok(())
    }

    /// The host's key; none before enrolment.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn host_key(&self) -> Result<Option<SigningKey>, StateError> {
        self.key("host.key")
    }

    fn key(&self, name: &str) -> Result<Option<SigningKey>, StateError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| self.damaged(name, "not a PEM file"))?;
        SigningKey::from_pkcs8_pem(text).map(Some).map_err(|error| self.damaged(name, &error.to_string()))
    }

    /// The key of an enrolment that was begun and not answered.
    ///
    /// # Errors
    /// As [`StateDirectory::host_key`].
    pub fn enrolling_key(&self) -> Result<Option<SigningKey>, StateError> {
        self.key("enrolling.key")
    }

    /// Makes the key of a new enrolment and stores it beside the host's key.
    ///
    /// # Errors
    /// [`StateError::Key`], [`StateError::Io`].
    pub fn make_enrolling_key(&self) -> Result<SigningKey, StateError> {
        let key = SigningKey::generate().map_err(StateError::Key)?;
        self.write("enrolling.key", key.to_pkcs8_v1_pem().as_bytes())?;
        Ok(key)
    }

    /// The enrolment was accepted: its key is the host's from now on.
    ///
    /// What was permitted and acknowledged with the key before does not count for it: the permit goes, and every
    /// stop on disk is acknowledged again. First of all that, so that a crash in between leaves no such thing
    /// behind.
    ///
    /// # Errors
    /// [`StateError::Open`], [`StateError::Io`].
    pub fn adopt_enrolling_key(&self) -> Result<(), StateError> {
        durable::remove(&self.path.join("permit.json")).map_err(StateError::Io)?;
        self.fallback().forget_permit()?;
        durable::remove(&self.path.join(ENROLMENT)).map_err(StateError::Io)?;
        for kept in self.stops()?.stops.iter().filter(|kept| kept.acknowledged) {
            self.store_stop(&kept.stop, &kept.key, false)?;
        }
        let open = |source| StateError::Open { path: self.path.clone(), source };
        std::fs::rename(self.path.join("enrolling.key"), self.path.join("host.key")).map_err(open)?;
        durable::sync_directory(&self.path).map_err(open)
    }

    /// The key under which sensitive values leave the host as digests; none before its first use.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Io`].
    pub fn sealing_key(&self) -> Result<Option<[u8; 32]>, StateError> {
        let name = "sealing.key";
        let damaged = |_| self.damaged(name, "it does not have 32 bytes");
        self.read(name)?.map(|bytes| bytes.try_into().map_err(damaged)).transpose()
    }

    /// Makes that key, in place of one that is not there or damaged, and stores it.
    ///
    /// # Errors
    /// [`StateError::Random`], [`StateError::Io`].
    pub fn make_sealing_key(&self) -> Result<[u8; 32], StateError> {
        let key = random_key()?;
        self.write("sealing.key", &key)?;
        Ok(key)
    }
}

/// 32 random bytes.
///
/// # Errors
/// [`StateError::Random`].
pub fn random_key() -> Result<[u8; 32], StateError> {
    let mut key = [0; 32];
    SystemRandom::new().fill(&mut key).map_err(|_| StateError::Random)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use manifests::envelope::Sealed;
    use manifests::stop::Stop;
    use manifests::time::Time;

    use super::*;
    use crate::state::Sent;

    fn open(path: &Path) -> Result<StateDirectory, StateError> {
        StateDirectory::open(path, &path.join("gate.sock"))
    }

    #[test]
    fn a_key_that_others_can_replace_is_not_the_hosts_own() {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path()).unwrap();
        let set = |mode| std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        for mode in [0o720, 0o702, 0o1777] {
            set(mode);
            let error = state.check_key_modes().unwrap_err();
            assert!(matches!(&error, StateError::DirectoryMode { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.starts_with("directory-mode: ") && text.contains("chmod go-w"), "{text}");
        }
        set(0o755);
        state.check_key_modes().unwrap();
    }

    #[test]
    fn a_new_key_has_no_permit_and_has_acknowledged_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path()).unwrap();
        state.take_room(Sent::default()).unwrap();
        let controller = SigningKey::generate().unwrap();
        let stop = Stop {
            product: "p".parse().unwrap(),
            number: 1,
            previous: None,
            scope: manifests::stop::Scope::All,
            reason: "drill".to_owned(),
            operator: "duty".to_owned(),
            time: Time::MIN,
        };
        let stop = Sealed::seal(&stop, &controller).unwrap().verify([controller.public()]).unwrap();
        state.store_stop(&stop, controller.public(), true).unwrap();
        state.write("permit.json", b"{}").unwrap();
        state.store_sequence(7).unwrap();
        state.fallback().notes.permit = 3;
        state.fallback().save_notes().unwrap();
        let key = state.make_enrolling_key().unwrap();
        state.adopt_enrolling_key().unwrap();
        assert_eq!(state.host_key().unwrap().unwrap().public(), key.public());
        assert!(state.permits().unwrap().is_empty());
        let kept = state.stops().unwrap().stops;
        assert_eq!(kept.iter().map(|kept| kept.acknowledged).collect::<Vec<_>>(), [false], "it still stops");
    }
}
