//! What must hold whatever the bytes of a configuration file are.

use agent::collect::{Heard, Said};
use manifests::baseline::{Encoding, Format, Reader};

/// The most keys of one file that are asked for.
const ASKED_MAX: usize = 64;

/// Reads `bytes` by every reader of the format, and asks each for the keys that it gave.
pub fn read(bytes: &[u8], format: Format) {
    for reader in format.readers() {
        read_as(bytes, format, *reader, None);
    }
}

/// Reads `bytes`, and asks for the keys that they give.
pub fn read_as(bytes: &[u8], format: Format, reader: Reader, encoding: Option<Encoding>) {
    let Ok(said) = Said::of(bytes, format, reader, encoding) else { return };
    let lines = 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    for key in said.keys().into_iter().take(ASKED_MAX) {
        let heard = said.find_alone(&key);
        said.find(&key);
        let within = |line: &u32| (1..=lines).contains(&(*line as usize));
        match &heard {
            Heard::Value(_, line) | Heard::NoValue(line) => assert!(within(line), "{key}: {heard:?} of {lines} lines"),
            Heard::Unclear(at, _) => assert!(at.iter().all(within), "{key}: {heard:?} of {lines} lines"),
            Heard::Unknown(_) => {}
            Heard::Absent => panic!("{key:?} is among the keys, and is not there"),
        }
        // Clear is only what every reader that takes the file says.
        for (reader, other) in said.by_reader(&key) {
            let is_same = match (&heard, &other) {
                (Heard::Value(ours, _), Heard::Value(theirs, _)) => ours == theirs,
                (Heard::Value(..), Heard::Unknown(_))
                | (Heard::Unclear(..) | Heard::Unknown(_) | Heard::NoValue(_), _) => true,
                _ => false,
            };
            assert!(is_same, "{key:?}: {heard:?}, but {reader}: {other:?}");
        }
    }
    for key in ["queue.lock", "list.0", "root/a/@b", "a.\"b.c\"", "\"", "'", ".", "", "A.B.C", "\u{0}", "x.."] {
        said.find(key);
        said.find_alone(key);
    }
}
