//! Stops, each in a file of its own, or in the room where the disk takes none.

use manifests::durable;
use manifests::envelope::Verified;
use manifests::key::PublicKey;
use manifests::stop::Stop;

use super::fallback::StoredStop;
use super::{KeptStops, StateDirectory, StateError};

/// The most stops kept.
const STOPS_MAX: usize = 100_000;

impl StateDirectory {
    /// All stops kept, by number.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn stops(&self) -> Result<KeptStops, StateError> {
        let mut kept = self.stops_in_files()?;
        for (stored, on_disk) in self.fallback().kept_stops() {
            match stored.clone().verified(on_disk) {
                Ok(stop) if kept.stops.iter().any(|other| other.stop.digest() == stop.stop.digest()) => {}
                Ok(stop) => kept.stops.push(stop),
                Err(error) => kept.damaged.push(self.damaged("room", &error.to_string())),
            }
        }
        kept.stops.sort_by_key(|kept| kept.stop.number);
        Ok(kept)
    }

    fn stops_in_files(&self) -> Result<KeptStops, StateError> {
        let directory = self.path.join("stops");
        let mut kept = KeptStops::default();
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(kept),
            Err(source) => return Err(StateError::Open { path: directory, source }),
        };
        for entry in entries {
            let entry = entry.map_err(|source| StateError::Open { path: directory.clone(), source })?;
            let file = entry.file_name();
            let Some(file) = file.to_str().filter(|name| name.ends_with(".json")) else { continue };
            let name = format!("stops/{file}");
            if kept.stops.len() >= STOPS_MAX {
                // A stop that is not read would not stop.
                kept.damaged.push(self.damaged(&name, "there are more stops than an agent keeps"));
                break;
            }
            let read = self.read_json::<StoredStop>(&name).and_then(|stored| {
                let stored = stored.ok_or_else(|| self.damaged(&name, "it is gone"))?;
                stored.verified(true).map_err(|error| self.damaged(&name, &error.to_string()))
            });
            match read {
                Ok(stop) => kept.stops.push(stop),
                Err(error @ StateError::Damaged { .. }) => kept.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    /// Stores a stop.
    ///
    /// # Errors
    /// [`StateError::NotOnDisk`]: it may be in the runtime directory, and may not be acknowledged.
    pub fn store_stop(&self, stop: &Verified<Stop>, key: &PublicKey, acknowledged: bool) -> Result<(), StateError> {
        let stored = StoredStop { key: key.clone(), stop: stop.sealed().clone(), acknowledged };
        let written = self.write_stop(&stored);
        let mut fallback = self.fallback();
        match written {
            Ok(()) => fallback.has_file(&stored),
            Err(_) => fallback.save_stop(stored),
        }
    }

    pub(super) fn write_stop(&self, stored: &StoredStop) -> Result<(), StateError> {
        durable::create_directory(&self.path.join("stops")).map_err(StateError::Io)?;
        let (number, digest) = stored.reference()?;
        // The digest keeps apart two stops that claim one number.
        self.write_json(&format!("stops/{number:010}-{}.json", &digest.hex()[..16]), stored)
    }
}
