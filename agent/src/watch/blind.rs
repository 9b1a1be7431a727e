//! Where things may change without an event.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The most places told apart; what is beyond them is counted.
const PLACES_MAX: usize = 8;

/// Places where things may change without an event: one for each file system of that kind, and each
/// directory that may not be watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blind {
    places: BTreeMap<PathBuf, Blindness>,
    more: usize,
}

/// Why nobody hears of every change at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blindness {
    /// It lies on a file system of this type, where changes made elsewhere give no event.
    Silent(String),
    /// It may be entered or listed, and not watched.
    Refused,
}

impl fmt::Display for Blindness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(file_system) => {
                write!(f, "lies on {file_system}, which does not tell of changes made elsewhere")
            }
            Self::Refused => f.write_str("may be entered, but not watched"),
        }
    }
}

impl Blind {
    pub(super) fn add(&mut self, path: &Path, why: Blindness) {
        // What lies below a place of the same kind is the same place to a person.
        let is_known = path.ancestors().any(|above| self.places.get(above) == Some(&why));
        if is_known && why != Blindness::Refused {
            return;
        }
        if self.places.len() < PLACES_MAX {
            self.places.insert(path.to_owned(), why);
        } else if !self.places.contains_key(path) {
            self.more += 1;
        }
    }

    /// Whether there is an event for every change.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The places, in order of their paths, and why.
    pub fn places(&self) -> impl Iterator<Item = (&Path, &Blindness)> {
        self.places.iter().map(|(path, why)| (path.as_path(), why))
    }

    pub(super) fn has_refused(&self) -> bool {
        self.more > 0 || self.places.values().any(|why| *why == Blindness::Refused)
    }
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (path, why)) in self.places.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            // Escaped: a name comes from outside.
            write!(f, "{separator}{path:?} {why}")?;
        }
        if self.more > 0 {
            write!(f, "; {} more", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_told_once_and_what_is_too_much_is_counted() {
        let mut blind = Blind::default();
        assert!(blind.is_empty());
        let overlay = || Blindness::Silent("overlay".to_owned());
        blind.add(Path::new("/opt/issuing"), overlay());
        blind.add(Path::new("/opt/issuing/lib/deep"), overlay());
        blind.add(Path::new("/opt/issuing/closed"), Blindness::Refused);
        let said = blind.to_string();
        assert_eq!(
            said,
            "\"/opt/issuing\" lies on overlay, which does not tell of changes made elsewhere; \
             \"/opt/issuing/closed\" may be entered, but not watched"
        );
        assert!(blind.has_refused());
        for at in 0..10 {
            blind.add(Path::new(&format!("/srv/{at}")), Blindness::Refused);
        }
        assert!(blind.to_string().ends_with("; 4 more"), "{blind}");
    }
}
