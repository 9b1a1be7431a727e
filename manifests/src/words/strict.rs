//! JSON of documents, read without leniency: what two readers could read differently is refused.
//!
//! JSON leaves open what an object with one key twice means, and readers disagree: a signed state
//! that names a program twice would be good for one and bad for the other. Numbers beyond 2^53 and
//! fractions are not the same number everywhere either.
//!
//! A type's reader takes more than its writer writes: an array for an object, `null` for an optional
//! member. Whoever hashes what it read would then hash something else than was sent. So what was read
//! is written again, and must say the same.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use serde_json::Value;

use crate::value::INTEGER_MAX;

/// Longest pointer shown, in characters.
const POINTER_CHARS_MAX: usize = 200;

/// Parses a document.
///
/// # Errors
/// The parser's words, if `bytes` are no JSON of `T`, name a key of one object twice, have a number
/// that is not a whole one within ±[`INTEGER_MAX`], are nested more than 127 deep, or are not in the form
/// in which `T` is written; then with a JSON pointer to where they first differ.
pub fn from_slice<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<Visited>(bytes)?;
    let document: T = serde_json::from_slice(bytes)?;
    let (read, written) = (serde_json::from_slice(bytes)?, serde_json::to_value(&document)?);
    match difference(&read, &written) {
        None => Ok(document),
        Some(pointer) => {
            let pointer: String = pointer.chars().take(POINTER_CHARS_MAX).collect();
            Err(serde_json::Error::custom(format!("at {pointer:?}: not in the form in which it is written")))
        }
    }
}

/// Where two values first differ, as a JSON pointer (RFC 6901).
fn difference(one: &Value, other: &Value) -> Option<String> {
    let below = |key: &str, below: String| format!("/{}{below}", key.replace('~', "~0").replace('/', "~1"));
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let differs = |(key, value): (&String, &Value)| match other.get(key) {
                Some(against) => difference(value, against).map(|pointer| below(key, pointer)),
                None => Some(below(key, String::new())),
            };
            let missing = || other.keys().find(|key| !one.contains_key(*key)).map(|key| below(key, String::new()));
            one.iter().find_map(differs).or_else(missing)
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let differs = |(index, (one, other)): (usize, (&Value, &Value))| {
                difference(one, other).map(|pointer| below(&index.to_string(), pointer))
            };
            one.iter().zip(other).enumerate().find_map(differs)
        }
        _ => (one != other).then(String::new),
    }
}

/// Checks what [`from_slice`] asks of any document.
///
/// # Errors
/// As [`from_slice`].
pub fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Visited>(bytes).map(|Visited| ())
}

/// A value that was looked at and not kept.
struct Visited;

impl<'de> Deserialize<'de> for Visited {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Visited;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Visited, E> {
        Ok(Visited)
    }

    fn visit_unit<E>(self) -> Result<Visited, E> {
        Ok(Visited)
    }

    fn visit_str<E>(self, _: &str) -> Result<Visited, E> {
        Ok(Visited)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Visited, E> {
        if number <= INTEGER_MAX { Ok(Visited) } else { Err(E::custom(format!("{number} is beyond {INTEGER_MAX}"))) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Visited, E> {
        if number.unsigned_abs() <= INTEGER_MAX {
            Ok(Visited)
        } else {
            Err(E::custom(format!("{number} is beyond -{INTEGER_MAX}")))
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Visited, E> {
        Err(E::custom(format!("{number} is not written as a whole number")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Visited, A::Error> {
        while elements.next_element::<Visited>()?.is_some() {}
        Ok(Visited)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Visited, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = members.next_key::<String>()? {
            members.next_value::<Visited>()?;
            if let Some(key) = keys.replace(key) {
                let key: String = key.chars().take(100).collect();
                return Err(A::Error::custom(format!("key {key:?} stands twice in one object")));
            }
        }
        Ok(Visited)
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
    fn another_form_than_the_one_written_is_refused_with_its_place() {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        struct Document {
            name: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            note: Option<String>,
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            again: bool,
            list: Vec<Option<Box<Document>>>,
        }
        let at = |text: &str| match from_slice::<Document>(text.as_bytes()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string().split('"').nth(1).unwrap().to_owned(),
        };
        assert_eq!(at(r#"{ "list": [null], "note": "n", "again": true, "name": "\u0061" }"#), "");
        assert_eq!(at(r#"{"name":"a","note":null,"list":[]}"#), "/note");
        assert_eq!(at(r#"{"name":"a","again":false,"list":[]}"#), "/again");
        assert_eq!(at(r#"{"name":"a","list":[null,["b",null,false,[]]]}"#), "/list/1");
        assert_eq!(at(r#"{"name":"a","list":[{"name":"b","note":null,"list":[]}]}"#), "/list/0/note");
        // Read over by a type that allows it, as answers do.
        assert_eq!(at(r#"{"name":"a","list":[],"x/y":1}"#), "/x~1y");
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        assert!(!refused(&format!("{}{}", "[".repeat(100), "]".repeat(100))));
        assert!(refused(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))));
        assert!(refused(&"{\"a\":".repeat(100_000)));
    }
}
