//! Room that was taken on a disk before it was needed: a file of fixed size, overwritten in place.
//!
//! A full disk refuses new files, and longer ones. What was allocated, written and synced once can still be
//! overwritten, so that what must not be forgotten has its place from the agent's start on. Each part has two
//! slots with a checksum: a write that is cut off leaves the slot before it whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use manifests::digest::Digest;
use manifests::durable;
use rustix::fs::{Mode, OFlags};

/// What each slot begins with.
const MAGIC: &[u8; 8] = b"sekisho1";
/// Magic, generation, length of the payload (both 64 bits, little-endian), SHA-256 of part, generation and payload.
const HEAD_BYTES: usize = 8 + 8 + 8 + 32;
/// What is not used has some content all the same: a hole would be no room.
const UNUSED: u8 = 0x5a;

/// What a room keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Sequence, permit number, clock, and whether something was not written.
    Notes,
    /// The newest permit.
    Permit,
    /// Stops that have no file of their own.
    Stops,
}

impl Part {
    /// All, in the order of the file.
    const ALL: [Part; 3] = [Part::Notes, Part::Permit, Part::Stops];

    /// Bytes of one of its two slots. A permit's payload has at most 64 KiB and a stop's 256 KiB, both in base64.
    const fn slot_bytes(self) -> usize {
        match self {
            Part::Notes => 4 << 10,
            Part::Permit => 128 << 10,
            Part::Stops => 1 << 20,
        }
    }

    fn offset(self) -> usize {
        Part::ALL.iter().take_while(|part| **part != self).map(|part| 2 * part.slot_bytes()).sum()
    }
}

/// The size of a room, in bytes.
pub(super) fn room_bytes() -> usize {
    Part::ALL.iter().map(|part| 2 * part.slot_bytes()).sum()
}

/// Whether what is written must outlive the machine's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// It is on disk before success is told.
    Disk,
    /// The directory is in memory anyway: nothing is synced, so that no disk is waited for.
    Runtime,
}

/// A room, there or not.
#[derive(Debug)]
pub(super) struct Room {
    path: PathBuf,
    lasting: Lasting,
    /// Of each part: the newest generation, and which slot has it.
    newest: [(u64, usize); 3],
    /// The file is there, and a write to it has not failed since it was made.
    usable: bool,
}

/// What was read from a room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// The newest payload of each part that has one.
    pub(super) parts: [Option<Vec<u8>>; 3],
    /// What is wrong with it, in words.
    pub(super) damaged: Option<String>,
}

impl Content {
    /// The payload of one part.
    pub(super) fn part(&self, part: Part) -> Option<&[u8]> {
        self.parts.get(part as usize)?.as_deref()
    }
}

impl Room {
    /// The room at `path`, with what it holds; nothing if there is none.
    pub(super) fn read(path: PathBuf, lasting: Lasting) -> (Self, Content) {
        let mut room = Self { path, lasting, newest: [(0, 0); 3], usable: false };
        let mut content = Content::default();
        let bytes = match durable::read_limited(&room.path, room_bytes() as u64) {
            Ok(bytes) if bytes.len() == room_bytes() => bytes,
            Ok(bytes) => {
                content.damaged = Some(format!("it has {} bytes in place of {}", bytes.len(), room_bytes()));
                return (room, content);
            }
            Err(error) if error.is_not_found() => return (room, content),
            Err(error) => {
                content.damaged = Some(manifests::chain::chain(&error));
                return (room, content);
            }
        };
        room.usable = true;
        for (part, (newest, payload)) in Part::ALL.iter().zip(room.newest.iter_mut().zip(&mut content.parts)) {
            for slot in 0..2 {
                let from = part.offset() + slot * part.slot_bytes();
                match bytes.get(from..from + part.slot_bytes()).and_then(|bytes| decode(*part, bytes)) {
                    Some((generation, kept)) if generation >= newest.0 => {
                        *newest = (generation, slot);
                        *payload = (!kept.is_empty()).then(|| kept.to_vec());
                    }
                    Some(_) => {}
                    // Either the power went during a write, or what was written has changed: nobody can tell.
                    None => content.damaged = Some(format!("{part:?}: a slot was changed or not written whole")),
                }
            }
        }
        (room, content)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there and took the last write.
    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Takes the room anew, with `parts` in it.
    ///
    /// # Errors
    /// The system's; what was there is as it was.
    pub(super) fn make(&mut self, parts: [Option<&[u8]>; 3]) -> io::Result<()> {
        let mut bytes = vec![UNUSED; room_bytes()];
        for (part, payload) in Part::ALL.iter().zip(parts) {
            for slot in 0..2 {
                let encoded = encode(*part, 1 + slot as u64, payload.unwrap_or_default())?;
                let from = part.offset() + slot * part.slot_bytes();
                if let Some(place) = bytes.get_mut(from..from + encoded.len()) {
                    place.copy_from_slice(&encoded);
                }
            }
        }
        match self.lasting {
            Lasting::Disk => durable::replace(&self.path, &bytes, durable::PRIVATE).map_err(io::Error::other)?,
            Lasting::Runtime => replace_in_memory(&self.path, &bytes)?,
        }
        self.newest = [(2, 1); 3];
        self.usable = true;
        Ok(())
    }

    /// Overwrites one part in place.
    ///
    /// # Errors
    /// The system's, or that it is too large; the payload of before is still there.
    pub(super) fn write(&mut self, part: Part, payload: &[u8]) -> io::Result<()> {
        let Some((generation, slot)) = self.newest.get(part as usize).copied() else { return Ok(()) };
        let (next, other) = (generation + 1, 1 - slot);
        let encoded = encode(part, next, payload)?;
        let offset = part.offset() + other * part.slot_bytes();
        match self.overwrite(&encoded, offset as u64) {
            Ok(()) => {
                self.usable = true;
                if let Some(newest) = self.newest.get_mut(part as usize) {
                    *newest = (next, other);
                }
                Ok(())
            }
            Err(error) => {
                self.usable = false;
                Err(error)
            }
        }
    }

    // Opened for each write: a descriptor whose sync failed once proves nothing any more, and a file that is open
    // for writing keeps an operator from remounting a disk that is about to fail.
    fn overwrite(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        file.write_all_at(bytes, offset)?;
        if self.lasting == Lasting::Disk { file.sync_data() } else { Ok(()) }
    }

    /// Gives it up, and all that it holds.
    pub(super) fn remove(&mut self) {
        self.usable = false;
        let _ = fs::remove_file(&self.path); // What stays is merged again at the next start, without harm.
    }
}

fn checksum(part: Part, generation: u64, payload: &[u8]) -> Digest {
    let mut bytes = vec![part as u8];
    bytes.extend(generation.to_le_bytes());
    bytes.extend(payload);
    Digest::of(&bytes)
}

fn encode(part: Part, generation: u64, payload: &[u8]) -> io::Result<Vec<u8>> {
    if payload.len() > part.slot_bytes() - HEAD_BYTES {
        let why = format!("{part:?}: {} bytes are more than the room has", payload.len());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(generation.to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(checksum(part, generation, payload).as_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

fn decode(part: Part, slot: &[u8]) -> Option<(u64, &[u8])> {
    let (head, rest) = slot.split_at_checked(HEAD_BYTES)?;
    let number = |from: usize| Some(u64::from_le_bytes(head.get(from..from + 8)?.try_into().ok()?));
    let (generation, length) = (number(8)?, usize::try_from(number(16)?).ok()?);
    let payload = rest.get(..length)?;
    let is_whole = head.starts_with(MAGIC) && head.get(24..)? == checksum(part, generation, payload).as_bytes();
    is_whole.then_some((generation, payload))
}

pub(super) fn replace_in_memory(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let _ = fs::remove_file(&temporary); // Of a process that was killed: one agent alone writes here.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(durable::PRIVATE).open(&temporary)?;
    io::Write::write_all(&mut file, bytes).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reread(room: &Room) -> Content {
        Room::read(room.path.clone(), Lasting::Disk).1
    }

    fn made() -> (tempfile::TempDir, Room) {
        let directory = tempfile::tempdir().unwrap();
        let (mut room, content) = Room::read(directory.path().join("room"), Lasting::Disk);
        assert_eq!(content, Content::default());
        room.make([Some(b"notes"), None, None]).unwrap();
        (directory, room)
    }

    #[test]
    fn what_was_written_last_is_read_of_each_part() {
        let (_directory, mut room) = made();
        for round in 0..5_u8 {
            room.write(Part::Stops, &[round; 300]).unwrap();
            room.write(Part::Notes, &[round; 30]).unwrap();
            let content = reread(&room);
            assert_eq!(
                (content.part(Part::Stops), content.part(Part::Notes)),
                (Some(&[round; 300][..]), Some(&[round; 30][..]))
            );
            assert_eq!((content.part(Part::Permit), &content.damaged), (None, &None));
        }
        room.write(Part::Stops, b"").unwrap();
        assert_eq!(reread(&room).part(Part::Stops), None);
        assert!(room.write(Part::Notes, &[0; 4 << 10]).is_err(), "more than a slot has");
        assert_eq!(reread(&room).part(Part::Notes), Some(&[4; 30][..]));
    }

    #[test]
    fn a_write_cut_off_at_any_byte_leaves_the_payload_before_it_and_is_told() {
        let (_directory, mut room) = made();
        room.write(Part::Notes, b"before").unwrap();
        let old = fs::read(&room.path).unwrap();
        room.write(Part::Notes, b"after, and longer").unwrap();
        let new = fs::read(&room.path).unwrap();
        let changed: Vec<_> = (0..old.len()).filter(|at| old.get(*at) != new.get(*at)).collect();
        let (first, last) = (*changed.first().unwrap(), *changed.last().unwrap());
        for cut in first..=last {
            let mut torn = new.clone();
            torn[cut..=last].copy_from_slice(&old[cut..=last]);
            fs::write(&room.path, &torn).unwrap();
            let content = reread(&room);
            let kept = content.part(Part::Notes);
            assert!(kept == Some(b"before") || torn == new, "cut at {cut}: {kept:?}");
            assert!(content.damaged.is_some() || torn == old || torn == new, "cut at {cut}");
        }
    }

    #[test]
    fn no_changed_bit_of_what_is_in_use_goes_unseen_and_a_short_room_is_damage() {
        let (_directory, mut room) = made();
        room.write(Part::Notes, b"one").unwrap();
        let whole = fs::read(&room.path).unwrap();
        for byte in 0..HEAD_BYTES + 3 {
            let mut changed = whole.clone();
            changed[byte] ^= 1;
            fs::write(&room.path, changed).unwrap();
            assert!(reread(&room).damaged.is_some(), "byte {byte}");
        }
        for bytes in [0, 1, whole.len() - 1] {
            fs::write(&room.path, &whole[..bytes]).unwrap();
            assert!(reread(&room).damaged.is_some(), "{bytes} bytes");
        }
        fs::remove_file(&room.path).unwrap();
        fs::create_dir(&room.path).unwrap();
        assert!(reread(&room).damaged.is_some());
    }
}
