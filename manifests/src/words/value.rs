//! Values of settings and facts, and what a baseline expects of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest text value kept, in bytes; a longer one is reported as unreadable.
pub const VALUE_BYTES_MAX: usize = 4096;

/// The highest integer in any document, and with a minus the lowest: below 2^53, which every JSON
/// reader keeps exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A value as a configuration file gives it. Formats without types (ini, properties, xml) give
/// only [`Value::Text`]; a number that is not a whole number stays the text it was written as.
///
/// In JSON: a boolean, an integer within ±[`INTEGER_MAX`], or a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Anything else.
    Text(String),
}

impl Value {
    /// A whole number, also one that an untyped format wrote as text, in the one spelling TOML has:
    /// `030` is 24 to some readers, and `+30` no number to others.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.parse().ok().filter(|number: &i64| number.to_string() == *text),
            Value::Boolean(_) => None,
        }
    }

    /// Whether `self`, found on a host, is the `expected` value of a baseline. An untyped format's
    /// text counts as the number or boolean that it spells, in the one spelling TOML has.
    pub fn is(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Value::Text(found), Value::Integer(_) | Value::Boolean(_)) => *found == expected.to_string(),
            (Value::Integer(_) | Value::Boolean(_), Value::Text(text)) => self.to_string() == *text,
            _ => self == expected,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(boolean) => write!(f, "{boolean}"),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// What a setting must be, or a condition asks of a fact.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Exactly this value.
    Equals(Value),
    /// One of these values.
    OneOf(Vec<Value>),
    /// A whole number not below this.
    AtLeast(i64),
    /// A whole number not above this.
    AtMost(i64),
    /// The whole text matches this regular expression.
    Matches(Regex),
    /// The key is there, whatever its value.
    Present,
    /// The key is not there.
    Absent,
}

impl Expect {
    /// Whether a value that is there fulfils it.
    pub fn accepts(&self, found: &Value) -> bool {
        match self {
            Expect::Equals(expected) => found.is(expected),
            Expect::OneOf(values) => values.iter().any(|expected| found.is(expected)),
            Expect::AtLeast(least) => found.as_integer().is_some_and(|number| number >= *least),
            Expect::AtMost(most) => found.as_integer().is_some_and(|number| number <= *most),
            Expect::Matches(regex) => regex.accepts(&found.to_string()),
            Expect::Present => true,
            Expect::Absent => false,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Equals(value) => write!(f, "= {value}"),
            Expect::OneOf(values) => {
                let values: Vec<_> = values.iter().map(Value::to_string).collect();
                write!(f, "one of {}", values.join(", "))
            }
            Expect::AtLeast(least) => write!(f, "≥ {least}"),
            Expect::AtMost(most) => write!(f, "≤ {most}"),
            Expect::Matches(regex) => write!(f, "matches {}", regex.source),
            Expect::Present => f.write_str("present"),
            Expect::Absent => f.write_str("absent"),
        }
    }
}

/// A regular expression that must match a whole value (crate `regex`: linear time, no
/// back-references).
#[derive(Clone, Debug)]
pub struct Regex {
    source: String,
    whole: regex::Regex,
}

impl Regex {
    /// The longest expression accepted, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Compiles `source`, anchored at both ends.
    ///
    /// # Errors
    /// The compiler's words if it is no regular expression, is too long or compiles to more than
    /// 256 KiB.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > Self::BYTES_MAX {
            return Err(format!("longer than {} bytes", Self::BYTES_MAX));
        }
        let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(256 << 10).build();
        // By itself first: `a)|(b` would close the group that anchors it, and match anywhere.
        compile(source)
            .and_then(|_| compile(&format!("^(?:{source})$")))
            .map(|whole| Self { source: source.to_owned(), whole })
            .map_err(|error| error.to_string())
    }

    /// Whether the whole of `text` matches.
    pub fn accepts(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untyped_text_counts_as_what_it_spells_and_nothing_else() {
        let text = |t: &str| Value::Text(t.to_owned());
        assert!(text("30").is(&Value::Integer(30)));
        assert!(text("true").is(&Value::Boolean(true)));
        assert!(Value::Integer(30).is(&text("30")));
        assert!(!text("030").is(&Value::Integer(30)));
        assert!(!text("TRUE").is(&Value::Boolean(true)));
        assert!(!text("exclusive ").is(&text("exclusive")));
    }

    #[test]
    fn a_regex_matches_whole_values_only() {
        let regex = Regex::new("ex|all").unwrap();
        assert!(regex.accepts("ex") && regex.accepts("all"));
        assert!(!regex.accepts("exclusive") && !regex.accepts("small"));
        assert!(Regex::new("(").is_err());
        assert!(Regex::new("ex)|(all").is_err());
    }
}
