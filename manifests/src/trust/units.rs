//! Units of the organisation: two people who share a desk are one, so a threshold met within one unit
//! counts for nothing.
//!
//! The unit stands with its key in the root, and [`may_be_followed`] and [`may_follow`] alone say which
//! root may follow another. Whoever walks the chain of roots asks nothing else, so that a host that slept
//! for a year decides as one that was awake. Roots from before units were written there are followed by
//! the registry of the set before ([`UnitsBefore`]).

use unicode_normalization::UnicodeNormalization;

use crate::key::{KeyId, PublicKey};
use crate::registry::Registry;
use crate::tuf::{Root, Tally};

/// Fewest units whose people must have signed.
const UNITS_MIN: usize = 2;

/// Whose key is of which unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units(Vec<(PublicKey, String)>);

/// By whose word a root is followed that does not name its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitsBefore {
    /// By TUF's rules alone: another product's repository, or what was decided when it was stored.
    NotAsked,
    /// Nobody can say where its signers belong: no root follows it.
    Unknown,
    /// By the registry of the set before.
    Known(Units),
}

/// Why signatures do not count, though they verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitsError {
    /// The threshold was met within one unit of the organisation.
    #[error("signed by {unit} alone; the signatures must come from two units at least")]
    OneUnit {
        /// The unit.
        unit: String,
    },
    /// Nobody can say which unit a key that signed belongs to, and without it too few have signed.
    #[error("signed with key {key}, of which {by} does not say whose it is")]
    UnknownSigner {
        /// The key.
        key: KeyId,
        /// Root or registry, whichever decides.
        by: &'static str,
    },
    /// From a root with units on, every root has them.
    #[error("it does not name the units of its signers, the root before it does")]
    Lost,
    /// Neither the root nor a registry says of which units its signers are.
    #[error(
        "the root before it does not name the units of its signers, and no set was verified here that would tell: \
         begin with a newer first root, one that names them (x-sekisho-units)"
    )]
    Unknown,
}

impl UnitsError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OneUnit { .. } | Self::UnknownSigner { .. } => "one-unit",
            Self::Lost | Self::Unknown => "no-units",
        }
    }
}

impl Units {
    /// As somebody else tells.
    pub fn new(units: impl IntoIterator<Item = (PublicKey, String)>) -> Self {
        Self(units.into_iter().collect())
    }

    /// As a root names them; none if it names none.
    pub fn of_root(root: &Root) -> Option<Self> {
        let unit = |(id, unit): (&KeyId, &String)| Some((root.keys.get(id)?.clone(), unit.clone()));
        (!root.units.is_empty()).then(|| Self(root.units.iter().filter_map(unit).collect()))
    }

    /// As a registry names them.
    pub fn of_registry(registry: &Registry) -> Self {
        Self(registry.signers.iter().map(|signer| (signer.key.clone(), signer.unit.clone())).collect())
    }

    /// A key's unit. Compared by what the key verifies: metadata may spell it in another way.
    pub fn of(&self, key: &PublicKey) -> Option<&str> {
        self.0.iter().find(|(other, _)| other.is_same_key(key)).map(|(_, unit)| unit.as_str())
    }

    /// Demands that of `signers`, keys whose signatures verify, `threshold` are known here, and of two
    /// units at least. Who is not known does not count, and does no harm.
    ///
    /// # Errors
    /// [`UnitsError::OneUnit`], [`UnitsError::UnknownSigner`].
    pub fn require_two<'a>(
        &self,
        by: &'static str,
        threshold: u64,
        signers: impl IntoIterator<Item = &'a PublicKey>,
    ) -> Result<(), UnitsError> {
        let (mut units, mut stranger) = (Vec::new(), None);
        for key in signers {
            match self.of(key) {
                Some(unit) => units.push(unit),
                None => stranger = Some(key),
            }
        }
        let is_met = u64::try_from(units.len()).is_ok_and(|count| count >= threshold) && !units.is_empty();
        match (stranger, only_unit(units.iter().copied())) {
            (_, None) if is_met => Ok(()),
            (Some(key), _) => Err(UnitsError::UnknownSigner { key: key.id(), by }),
            (None, unit) => Err(UnitsError::OneUnit { unit: unit.unwrap_or("nobody").to_owned() }),
        }
    }
}

/// Whether the root after `before` is signed by two units as `before` has them; `signed` are those keys of
/// `before` that signed, a threshold of them. Asked before the new root is read.
///
/// # Errors
/// [`UnitsError`].
pub fn may_be_followed(before: &Root, signed: &Tally, without: &UnitsBefore) -> Result<(), UnitsError> {
    let (by, units) = match (Units::of_root(before), without) {
        (Some(units), _) => ("the root before it", units),
        (None, UnitsBefore::NotAsked) => return Ok(()),
        (None, UnitsBefore::Unknown) => return Err(UnitsError::Unknown),
        (None, UnitsBefore::Known(units)) => ("the registry before it", units.clone()),
    };
    units.require_two(by, signed.threshold, signers(before, signed))
}

/// Whether `next`, which may follow `before`, can be followed itself: it names units if `before` does, and
/// those of its own people who signed it, `signed`, are of two.
///
/// # Errors
/// [`UnitsError`].
pub fn may_follow(before: &Root, next: &Root, signed: &Tally) -> Result<(), UnitsError> {
    match (Units::of_root(before), Units::of_root(next)) {
        (_, Some(units)) => units.require_two("the root", signed.threshold, signers(next, signed)),
        (Some(_), None) => Err(UnitsError::Lost),
        (None, None) => Ok(()),
    }
}

fn signers<'a>(root: &'a Root, tally: &'a Tally) -> impl Iterator<Item = &'a PublicKey> {
    tally.valid.iter().filter_map(|id| root.keys.get(id))
}

/// The unit of the organisation that all of `units` are, where they are one. None if there are no units.
///
/// Upper and lower case of ASCII, full and half width (Unicode's NFKC) and white space do not tell two units apart:
/// a slip of the pen, or an input method that was left on, must not make two of one.
pub fn only_unit<'a>(units: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut units = units.into_iter();
    let first = units.next()?;
    units.all(|unit| is_same_unit(unit, first)).then_some(first)
}

/// Whether two names are of one unit, as [`only_unit`] compares them.
pub fn is_same_unit(one: &str, other: &str) -> bool {
    let words = |text: &str| {
        let text = text.nfkc().collect::<String>().to_ascii_lowercase();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    words(one) == words(other)
}

/// How many units there are among these.
pub fn count<'a>(units: impl IntoIterator<Item = &'a str>) -> usize {
    let mut distinct: Vec<&str> = Vec::new();
    for unit in units {
        if !distinct.iter().any(|other| is_same_unit(other, unit)) {
            distinct.push(unit);
        }
    }
    distinct.len()
}

/// What the loss of one of these people, name, unit and key each, would leave too little of: a line
/// for each person without whom fewer than `threshold` keys, or less than two units, would be left.
pub fn frailties<'a>(people: &[(&'a str, &'a str)], threshold: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, (name, _)) in people.iter().enumerate() {
        let left: Vec<_> = people.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, p)| p.1).collect();
        if u64::try_from(left.len()).is_ok_and(|keys| keys < threshold) {
            lines.push(format!(
                "without {name} {} of {threshold} keys are left; nobody could sign any more",
                left.len()
            ));
        } else if count(left.iter().copied()) < UNITS_MIN {
            let unit = left.first().copied().unwrap_or_default();
            lines.push(format!("without {name} one unit is left, {unit}; nobody could sign any more"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    #[test]
    fn one_unit_is_one_however_many_of_it_sign() {
        assert_eq!(only_unit([]), None);
        assert_eq!(only_unit(["quality"]), Some("quality"));
        assert_eq!(only_unit(["quality", "quality"]), Some("quality"));
        assert_eq!(only_unit(["quality", " Quality "]), Some("quality"));
        assert_eq!(only_unit(["quality", "operations", "quality"]), None);
        assert_eq!(only_unit(["ABC", "ＡＢＣ", "\u{3000}ａｂｃ"]), Some("ABC"));
        assert_eq!(only_unit(["システム", "ｼｽﾃﾑ", "システム "]), Some("システム"));
        // The mark of a voiced sound is a character of its own in half width, and with some keyboards in full.
        assert_eq!(only_unit(["デジタル課", "ﾃﾞｼﾞﾀﾙ課", "テ\u{3099}シ\u{3099}タル課"]), Some("デジタル課"));
        assert_eq!(only_unit(["デジタル課", "テシタル課"]), None);
        assert_eq!(only_unit(["品質 2（本部）", "品質\u{3000}２(本部)"]), Some("品質 2（本部）"));
        assert_eq!(only_unit(["品質", "運用"]), None);
        assert_eq!(count(["quality", "QUALITY", "operations"]), 2);
    }

    #[test]
    fn who_is_not_known_does_not_count_and_does_no_harm() {
        let keys: Vec<PublicKey> = (0..4).map(|_| SigningKey::generate().unwrap().public().clone()).collect();
        let named =
            [(0, "q"), (1, "q"), (2, "o")].map(|(index, unit): (usize, &str)| (keys[index].clone(), unit.to_owned()));
        let units = Units(named.to_vec());
        let check = |signers: &[usize], expected: Option<&str>| {
            let signers: Vec<_> = signers.iter().map(|index| &keys[*index]).collect();
            let words = units.require_two("the root", 2, signers).err().map(|error| error.to_string());
            match (&words, expected) {
                (None, None) => {}
                (Some(words), Some(expected)) => assert!(words.contains(expected), "{words}"),
                _ => panic!("{words:?} is not {expected:?}"),
            }
        };
        check(&[0, 2], None);
        check(&[0, 2, 3], None);
        check(&[0, 1], Some("signed by q alone"));
        check(&[0, 1, 3], Some("does not say whose it is"));
        check(&[0, 3], Some("does not say whose it is"));
        check(&[], Some("nobody"));
    }

    #[test]
    fn the_loss_of_one_person_is_told_where_it_would_end_signing() {
        let check = |people: &[(&str, &str)], threshold, words: &[&str]| {
            let found = frailties(people, threshold);
            assert_eq!(found.len(), words.len(), "{found:?}");
            assert!(found.iter().zip(words).all(|(line, word)| line.contains(word)), "{found:?}");
        };
        check(&[("a", "q"), ("b", "o"), ("c", "d")], 2, &[]);
        check(&[("a", "q"), ("b", "q"), ("c", "o")], 2, &["without c one unit is left, q"]);
        check(&[("a", "q"), ("b", "q"), ("c", "o"), ("d", "o")], 2, &[]);
        check(&[("a", "q"), ("b", "o")], 2, &["without a 1 of 2 keys", "without b 1 of 2 keys"]);
        check(&[("a", "q"), ("b", "o"), ("c", "d")], 3, &["without a", "without b", "without c"]);
    }
}
