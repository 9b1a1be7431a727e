//! JSON of documents, read without leniency: what two readers could read differently is refused.
//!
//! JSON leaves open what an object with one key twice means, and readers disagree: a signed state
//! that names a program twice would be good for one and bad for the other. Numbers beyond 2^53 and
//! fractions are not the same number everywhere either.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::value::INTEGER_MAX;

/// Parses a document.
///
/// # Errors
/// The parser's words, if `bytes` are no JSON of `T`, name a key of one object twice, have a number
/// that is not a whole one within ±[`INTEGER_MAX`], or are nested more than 127 deep.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<Checked>(bytes)?;
    serde_json::from_slice(bytes)
}

/// Checks what [`from_slice`] asks of any document.
///
/// # Errors
/// As [`from_slice`].
pub(crate) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Checked>(bytes).map(|Checked| ())
}

/// A value that was looked at and not kept.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Check)
    }
}

struct Check;

impl<'de> Visitor<'de> for Check {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Checked, E> {
        if number <= INTEGER_MAX { Ok(Checked) } else { Err(E::custom(format!("{number} is beyond {INTEGER_MAX}"))) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Checked, E> {
        if number.unsigned_abs() <= INTEGER_MAX {
            Ok(Checked)
        } else {
            Err(E::custom(format!("{number} is beyond -{INTEGER_MAX}")))
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Checked, E> {
        Err(E::custom(format!("{number} is not written as a whole number")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Checked, A::Error> {
        while elements.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Checked, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = members.next_key::<String>()? {
            members.next_value::<Checked>()?;
            if let Some(key) = keys.replace(key) {
                let key: String = key.chars().take(100).collect();
                return Err(A::Error::custom(format!("key {key:?} stands twice in one object")));
            }
        }
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> bool {
        check(text.as_bytes()).is_err()
    }

    #[test]
    fn what_readers_could_read_differently_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"b":{"a":1,"c":2,"a":3}}]"#,
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
            "1.0",
            "1e3",
            "-0",
            "[1]]",
            "nul",
        ] {
            assert!(refused(text), "{text}");
        }
        for text in [r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#, "9007199254740991", "-9007199254740991", "null", "true"]
        {
            assert!(!refused(text), "{text}");
        }
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        assert!(!refused(&format!("{}{}", "[".repeat(100), "]".repeat(100))));
        assert!(refused(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))));
        assert!(refused(&"{\"a\":".repeat(100_000)));
    }
}
