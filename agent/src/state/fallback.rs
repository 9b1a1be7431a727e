//! Where that goes which a disk does not take as a file of its own: first into the room on that disk, then
//! into one in the runtime directory, which lasts until the machine ends.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use manifests::digest::Digest;
use manifests::envelope::{EnvelopeError, Sealed};
use manifests::key::PublicKey;
use manifests::stop::Stop;
use manifests::time::Time;
use serde::{Deserialize, Serialize};

use super::room::{Content, Lasting, Part, Room};
use super::{KeptStop, StateError, StoredPermit};

/// What is short and changes often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notes {
    /// The highest sequence that a document may have had.
    pub(super) sequence: u64,
    /// The highest number of a permit that was received and may have been named.
    pub(super) permit: u64,
    /// A wall clock time that has passed.
    pub(super) floor: Time,
    /// What could not be written, or was damaged: this host waits for a controller before it issues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<String>,
}

/// A stop as stored, with the key that signed it: a stop outlives its key's place in the registry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredStop {
    pub(super) key: PublicKey,
    pub(super) stop: Sealed<Stop>,
    pub(super) acknowledged: bool,
}

impl StoredStop {
    pub(super) fn verified(self, on_disk: bool) -> Result<KeptStop, EnvelopeError> {
        let stop = self.stop.verify([&self.key])?;
        Ok(KeptStop { stop, key: self.key, acknowledged: self.acknowledged, on_disk })
    }

    /// Its number and digest, for the name of its file alone.
    pub(super) fn reference(&self) -> Result<(u64, Digest), StateError> {
        let claimed = self.stop.claimed().map_err(|error| StateError::NotOnDisk { why: error.to_string() })?;
        Ok((claimed.number, self.stop.digest()))
    }
}

/// Both rooms, and what is in them.
#[derive(Debug)]
pub(super) struct Fallback {
    disk: Room,
    runtime: Room,
    pub(super) notes: Notes,
    /// The permit number that the notes on the disk have.
    pub(super) permit_on_disk: u64,
    /// The newest permit that has no file.
    permit: Option<Vec<u8>>,
    /// Stops that have no file of their own.
    pub(super) stops: Vec<StoredStop>,
    /// Those of them that the room on the disk has.
    on_disk: BTreeSet<Digest>,
    /// Parts that the room on the disk does not have as they are here.
    behind: [bool; 3],
    /// The notes on the disk were damaged as a whole: what documents said is not known.
    pub(super) notes_lost: bool,
    /// Something was missing or damaged when this agent started: a controller alone can tell what.
    missed_at_start: bool,
}

impl Fallback {
    /// What the two rooms hold. Nothing is written.
    pub(super) fn read(disk: PathBuf, runtime: PathBuf) -> Self {
        let (disk, on_disk) = Room::read(disk, Lasting::Disk);
        let (runtime, in_memory) = Room::read(runtime, Lasting::Runtime);
        let notes = Notes { sequence: 0, permit: 0, floor: Time::MIN, missing: None };
        let mut fallback = Self {
            disk,
            runtime,
            notes,
            permit_on_disk: 0,
            permit: None,
            stops: Vec::new(),
            on_disk: BTreeSet::new(),
            behind: [false; 3],
            notes_lost: on_disk.damaged.is_some() && on_disk.part(Part::Notes).is_none(),
            missed_at_start: false,
        };
        fallback.merge(&on_disk, Lasting::Disk);
        fallback.permit_on_disk = fallback.notes.permit;
        fallback.merge(&in_memory, Lasting::Runtime);
        fallback.missed_at_start = fallback.notes.missing.is_some();
        fallback
    }

    // Everything in a room only closes or goes up, so that nothing depends on which of two is newer.
    fn merge(&mut self, content: &Content, from: Lasting) {
        let path = if from == Lasting::Disk { self.disk.path() } else { self.runtime.path() }.display().to_string();
        let mut damaged = content.damaged.clone();
        if let Some(bytes) = content.part(Part::Notes) {
            match serde_json::from_slice::<Notes>(bytes) {
                Ok(notes) => {
                    self.notes.sequence = self.notes.sequence.max(notes.sequence);
                    self.notes.permit = self.notes.permit.max(notes.permit);
                    self.notes.floor = self.notes.floor.max(notes.floor);
                    self.notes.missing = self.notes.missing.take().or(notes.missing);
                }
                Err(error) => damaged = Some(error.to_string()),
            }
        }
        if let Some(bytes) = content.part(Part::Permit) {
            match serde_json::from_slice::<StoredPermit>(bytes) {
                Ok(new) => {
                    let before = self.permit.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
                    if before.is_none_or(|before: StoredPermit| before.claimed_number() < new.claimed_number()) {
                        self.permit = Some(bytes.to_vec());
                    }
                }
                Err(error) => damaged = Some(error.to_string()),
            }
        }
        if let Some(bytes) = content.part(Part::Stops) {
            match serde_json::from_slice::<Vec<StoredStop>>(bytes) {
                Ok(stops) => {
                    for stop in stops {
                        let digest = stop.stop.digest();
                        if from == Lasting::Disk {
                            self.on_disk.insert(digest);
                        }
                        if self.stops.iter().all(|other| other.stop.digest() != digest) {
                            self.stops.push(stop);
                        }
                    }
                }
                Err(error) => damaged = Some(error.to_string()),
            }
        }
        if from == Lasting::Runtime && self.runtime.is_usable() {
            self.behind = [true; 3];
        }
        if let Some(why) = damaged {
            self.behind = [true; 3];
            self.notes.missing = Some(format!("{path} is damaged: {why}"));
        }
    }

    /// What is missing since before this agent started.
    pub(super) fn missing(&self) -> Vec<String> {
        self.notes.missing.iter().filter(|_| self.missed_at_start).cloned().collect()
    }

    /// All is known now: what had been missing or damaged has come again from a controller.
    pub(super) fn nothing_is_missing(&mut self) {
        if self.behind == [false; 3] {
            self.missed_at_start = false;
            self.notes.missing = None;
        }
    }

    pub(super) fn permits(&self) -> Result<Vec<StoredPermit>, StateError> {
        let damaged = |error: serde_json::Error| StateError::Damaged {
            path: self.disk.path().to_owned(),
            why: error.to_string(),
        };
        self.permit.iter().map(|bytes| serde_json::from_slice(bytes).map_err(damaged)).collect()
    }

    pub(super) fn kept_stops(&self) -> impl Iterator<Item = (&StoredStop, bool)> {
        self.stops.iter().map(|stop| (stop, self.on_disk.contains(&stop.stop.digest())))
    }

    /// At start: takes the room, or shows that this disk can be written.
    pub(super) fn take_room(&mut self) -> Result<(), StateError> {
        if !self.disk.is_usable() {
            self.behind = [true; 3];
        }
        self.behind[Part::Notes as usize] = true;
        self.mend_room()
    }

    /// Brings the room on the disk up to date, and gives up the one in memory then.
    pub(super) fn mend_room(&mut self) -> Result<(), StateError> {
        if self.behind == [false; 3] {
            return Ok(());
        }
        let parts = self.parts()?;
        let made =
            if self.disk.is_usable() && self.behind != [true; 3] { Err(None) } else { self.make(&parts).map_err(Some) };
        let written = made.or_else(|why| {
            // In place: a full disk has no room for a second one.
            let write = |fallback: &mut Self, part: Part| fallback.disk.write(part, part_of(&parts, part));
            let each = [Part::Notes, Part::Stops, Part::Permit].into_iter().try_for_each(|part| write(self, part));
            each.map_err(|error| why.unwrap_or(error))
        });
        match written {
            Ok(()) => {
                self.on_disk = self.stops.iter().map(|stop| stop.stop.digest()).collect();
                self.behind = [false; 3];
                self.permit_on_disk = self.notes.permit;
                if !self.missed_at_start && self.notes.missing.take().is_some() {
                    self.save_notes()?;
                }
                self.runtime.remove();
                Ok(())
            }
            Err(error) => Err(self.keep_in_memory(&parts, &error)),
        }
    }

    fn make(&mut self, parts: &[Vec<u8>; 3]) -> io::Result<()> {
        self.disk.make(parts.each_ref().map(|part| Some(part.as_slice())))
    }

    /// Notes what changed in [`Fallback::notes`].
    pub(super) fn save_notes(&mut self) -> Result<(), StateError> {
        self.save(Part::Notes)
    }

    /// Keeps a permit that has no file.
    pub(super) fn save_permit(&mut self, permit: &StoredPermit) -> Result<(), StateError> {
        self.permit = Some(json(permit)?);
        self.save(Part::Permit)
    }

    /// Keeps a stop that has no file.
    pub(super) fn save_stop(&mut self, stop: StoredStop) -> Result<(), StateError> {
        let digest = stop.stop.digest();
        self.stops.retain(|other| other.stop.digest() != digest);
        self.stops.push(stop);
        self.save_stops()
    }

    /// A stop has its file now.
    pub(super) fn has_file(&mut self, stop: &StoredStop) -> Result<(), StateError> {
        let (before, digest) = (self.stops.len(), stop.stop.digest());
        self.stops.retain(|other| other.stop.digest() != digest);
        // What stays in the room as well is harmless: the same stop twice is one.
        if self.stops.len() < before { self.save_stops().or(Ok(())) } else { Ok(()) }
    }

    pub(super) fn save_stops(&mut self) -> Result<(), StateError> {
        self.save(Part::Stops)?;
        self.on_disk = self.stops.iter().map(|stop| stop.stop.digest()).collect();
        Ok(())
    }

    fn save(&mut self, part: Part) -> Result<(), StateError> {
        let parts = self.parts()?;
        match self.disk.write(part, part_of(&parts, part)) {
            Ok(()) => {
                self.behind[part as usize] = false;
                if part == Part::Notes {
                    self.permit_on_disk = self.notes.permit;
                }
                Ok(())
            }
            Err(error) => {
                self.behind[part as usize] = true;
                if part != Part::Notes && self.notes.missing.is_none() {
                    let what = if part == Part::Stops { "a stop" } else { "a permit" };
                    self.notes.missing = Some(format!("{what} could not be written: {error}"));
                    // It may be that this part alone does not find room.
                    let _ = self.save(Part::Notes);
                }
                let parts = self.parts()?;
                Err(self.keep_in_memory(&parts, &error))
            }
        }
    }

    // The error of the disk, after what it did not take was put into memory.
    fn keep_in_memory(&mut self, parts: &[Vec<u8>; 3], error: &io::Error) -> StateError {
        let kept = self.runtime.make(parts.each_ref().map(|part| Some(part.as_slice()))).or_else(|_| {
            // What is too large for its part must not keep the others out.
            self.runtime.make([Some(part_of(parts, Part::Notes)), None, None])
        });
        let lost = kept.err().map(|error| format!("; the runtime directory neither: {error}")).unwrap_or_default();
        StateError::NotOnDisk { why: format!("{}{lost}", manifests::chain::chain(error)) }
    }

    fn parts(&self) -> Result<[Vec<u8>; 3], StateError> {
        let stops = if self.stops.is_empty() { Vec::new() } else { json(&self.stops)? };
        Ok([json(&self.notes)?, self.permit.clone().unwrap_or_default(), stops])
    }
}

fn part_of(parts: &[Vec<u8>; 3], part: Part) -> &[u8] {
    parts.get(part as usize).map_or(&[], Vec::as_slice)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(value).map_err(|error| StateError::NotOnDisk { why: error.to_string() })
}
