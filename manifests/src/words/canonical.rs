//! Canonical JSON: the one text of a value, so that a signature or a digest has one input.
//!
//! The OLPC dialect that TUF 1.0.34 (4.1) names and securesystemslib's `encode_canonical` writes:
//! object keys sorted by code point, no white space, integers only, and in strings only `"` and
//! `\` escaped, every other character (control characters too) written as itself. It differs from
//! RFC 8785 in the strings, and therefore must never be replaced by it.

use serde_json::Value;

use crate::digest::Digest;

/// Writes `value` in canonical form, UTF-8.
///
/// # Errors
/// [`CanonicalError::Float`] for a number with a fraction, an exponent, a minus zero, or beyond 64
/// bits: the dialect has no text for it.
pub fn to_vec(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

/// SHA-256 of the canonical text of a document of strings, booleans, integers, arrays and objects.
pub fn digest(document: &impl serde::Serialize) -> Digest {
    // Of such a document this cannot fail, and a digest of nothing equals no document's.
    let bytes = serde_json::to_value(document).ok().and_then(|value| to_vec(&value).ok());
    Digest::of(&bytes.unwrap_or_default())
}

/// Why a value has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// Not an integer.
    #[error("canonical JSON has no number {number}, only integers of at most 64 bits")]
    Float {
        /// The number as written.
        number: String,
    },
}

// Recursion is bounded by serde_json's own limit of 128 levels on anything it parsed.
fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Number(number) => return Err(CanonicalError::Float { number: number.to_string() }),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // Sorted here and not left to the map, whose order is a feature flag of serde_json.
            // The bytes of UTF-8 sort as code points do.
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out.push(b'{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, canonical: &str) {
        let value = serde_json::from_str(json).unwrap();
        assert_eq!(String::from_utf8(to_vec(&value).unwrap()).unwrap(), canonical);
    }

    #[test]
    fn a_value_has_one_text() {
        check(r#" { "b" : [ 1 , -2, true, null ] , "a" : {} } "#, r#"{"a":{},"b":[1,-2,true,null]}"#);
        check(r#"{"ｚ":0,"Z":1,"a":2,"😀":3,"é":4}"#, r#"{"Z":1,"a":2,"é":4,"ｚ":0,"😀":3}"#);
        check("18446744073709551615", "18446744073709551615");
    }

    #[test]
    fn strings_escape_the_quote_and_the_backslash_only() {
        check(r#""a\"b\\c\n\u0001\u007f\/é""#, "\"a\\\"b\\\\c\n\u{1}\u{7f}/é\"");
    }

    #[test]
    fn what_is_no_integer_has_no_text() {
        for json in ["1.0", "1e3", "-0", "18446744073709551616", r#"{"a":[0.5]}"#] {
            let value = serde_json::from_str(json).unwrap();
            assert!(matches!(to_vec(&value), Err(CanonicalError::Float { .. })), "{json}");
        }
    }
}
