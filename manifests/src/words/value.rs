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

    /// Whether `self`, found on a host, is the `expected` value of a baseline.
    ///
    /// A number and a boolean are compared with what an untyped format's text spells as TOML does; any other
    /// text is neither one nor another number: programs may read one in it.
    pub fn compared(&self, expected: &Value) -> Truth {
        match (self, expected) {
            (_, Value::Integer(expected)) => match self.as_integer() {
                Some(found) => Truth::from(found == *expected),
                None => Truth::Unknown,
            },
            (Value::Boolean(found), Value::Boolean(expected)) => Truth::from(found == expected),
            (Value::Text(found), Value::Boolean(expected)) => match found.as_str() {
                "true" => Truth::from(*expected),
                "false" => Truth::from(!*expected),
                _ => Truth::Unknown,
            },
            (Value::Integer(_), Value::Boolean(_)) => Truth::Unknown,
            (_, Value::Text(expected)) => Truth::from(self.to_string() == *expected),
        }
    }

    /// Whether it is known to be the `expected` value.
    pub fn is(&self, expected: &Value) -> bool {
        self.compared(expected) == Truth::True
    }
}

/// A truth value of Kleene's strong three-valued logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Known to be false.
    False,
    /// Cannot be told from what is known.
    Unknown,
    /// Known to be true.
    True,
}

impl From<bool> for Truth {
    fn from(known: bool) -> Self {
        if known { Truth::True } else { Truth::False }
    }
}

impl std::ops::Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}

/// Whether a program may read the same in two texts: they are the same but for the blanks around them, the width
/// and the case of their letters; or both say yes, or both no; or both spell the same number.
pub fn reads_alike(one: &str, other: &str) -> bool {
    let (one, other) = (plain(one), plain(other));
    let says = |text: &str| match text {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    };
    one == other
        || says(&one).is_some_and(|said| says(&other) == Some(said))
        || numbers(&one).iter().any(|number| numbers(&other).contains(number))
}

/// Without blanks at its ends (U+0009 to U+000D, U+0020, U+0085, U+00A0, U+3000), full-width characters (U+FF01 to
/// U+FF5E) as those of ASCII, `A` to `Z` in lower case.
fn plain(text: &str) -> String {
    let is_blank = |c: char| matches!(c, '\u{9}'..='\u{d}' | ' ' | '\u{85}' | '\u{a0}' | '\u{3000}');
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    text.trim_matches(is_blank).chars().map(|c| narrow(c).to_ascii_lowercase()).collect()
}

/// A number as the digits from its first to its last that is not 0, and the power of ten that they are multiplied
/// by; 0 has no digits.
#[derive(PartialEq, Eq)]
struct Number {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    fn new(is_negative: bool, digits: &str, exponent: i64) -> Self {
        let short = digits.trim_end_matches('0');
        let dropped = i64::try_from(digits.len() - short.len()).unwrap_or(i64::MAX);
        let digits = short.trim_start_matches('0').to_owned();
        match digits.is_empty() {
            true => Self { is_negative: false, digits, exponent: 0 },
            false => Self { is_negative, digits, exponent: exponent.saturating_add(dropped) },
        }
    }
}

/// The numbers that readers may see in a text without blanks, in lower case: with `_` between digits, a sign, a
/// fraction, an exponent, `0x`, `0o`, `0b`, and with a 0 before it one of base 8.
fn numbers(text: &str) -> Vec<Number> {
    let text = text.replace('_', "");
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let mut numbers = Vec::new();
    let mut in_base = |digits: &str, radix| {
        // `from_str_radix` takes a sign of its own.
        if let Some(number) = u128::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+')) {
            numbers.push(Number::new(is_negative, &number.to_string(), 0));
        }
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            in_base(digits, radix);
        }
    }
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()),
        None => (text, Some(0)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(exponent) = exponent.filter(|_| is_decimal) {
        let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        numbers.push(Number::new(is_negative, &digits, exponent.saturating_sub(places)));
    }
    numbers
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
    /// Whether a value that is there fulfils it. Where a number is compared, what is none is unknown.
    pub fn fulfilled(&self, found: &Value) -> Truth {
        let number = |fits: &dyn Fn(i64) -> bool| match found.as_integer() {
            Some(number) => Truth::from(fits(number)),
            None => Truth::Unknown,
        };
        match self {
            Expect::Equals(expected) => found.compared(expected),
            Expect::OneOf(values) => {
                values.iter().map(|expected| found.compared(expected)).fold(Truth::False, |one, other| {
                    match (one, other) {
                        (Truth::True, _) | (_, Truth::True) => Truth::True,
                        (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                        (Truth::False, Truth::False) => Truth::False,
                    }
                })
            }
            Expect::AtLeast(least) => number(&|number| number >= *least),
            Expect::AtMost(most) => number(&|number| number <= *most),
            Expect::Matches(regex) => Truth::from(regex.accepts(&found.to_string())),
            Expect::Present => Truth::True,
            Expect::Absent => Truth::False,
        }
    }

    /// What a condition may make of a value that is there: it is not false while a program may read in the value
    /// what is expected ([`reads_alike`]).
    pub fn holds(&self, found: &Value) -> Truth {
        let is_like = |expected: &Value| matches!(expected, Value::Text(text) if reads_alike(&found.to_string(), text));
        let may_be = match self {
            Expect::Equals(expected) => is_like(expected),
            Expect::OneOf(values) => values.iter().any(is_like),
            _ => false,
        };
        match self.fulfilled(found) {
            Truth::False if may_be => Truth::Unknown,
            truth => truth,
        }
    }

    /// Whether a value that is there is known to fulfil it.
    pub fn accepts(&self, found: &Value) -> bool {
        self.fulfilled(found) == Truth::True
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
    fn a_number_and_a_boolean_are_what_is_spelled_as_toml_does_and_nothing_else_is_known() {
        let text = |t: &str| Value::Text(t.to_owned());
        assert_eq!(text("30").compared(&Value::Integer(30)), Truth::True);
        assert_eq!(text("31").compared(&Value::Integer(30)), Truth::False);
        assert_eq!(text("-4").compared(&Value::Integer(-4)), Truth::True);
        assert_eq!(text("true").compared(&Value::Boolean(true)), Truth::True);
        assert_eq!(text("false").compared(&Value::Boolean(true)), Truth::False);
        for odd in ["030", "+30", "30 ", "3e1", "0x1E", "３０", "", "exclusive", "30.0", "-0", "99999999999999999999"]
        {
            assert_eq!(text(odd).compared(&Value::Integer(30)), Truth::Unknown, "{odd}");
            for bound in [Expect::AtLeast(1), Expect::AtMost(100), Expect::Equals(Value::Integer(4))] {
                assert_eq!(bound.fulfilled(&text(odd)), Truth::Unknown, "{odd} {bound}");
            }
        }
        for odd in ["TRUE", "yes", "on", "1", "", "off", " false"] {
            assert_eq!(text(odd).compared(&Value::Boolean(true)), Truth::Unknown, "{odd}");
        }
        assert_eq!(Value::Boolean(true).compared(&Value::Integer(1)), Truth::Unknown);
        assert_eq!(Value::Integer(1).compared(&Value::Boolean(true)), Truth::Unknown);
    }

    #[test]
    fn a_condition_is_not_false_of_a_text_that_a_program_may_read_alike() {
        let text = |t: &str| Value::Text(t.to_owned());
        let holds = |found: &Value, expected: &str| {
            let all = [Expect::Equals(text(expected)), Expect::OneOf(vec![text("no such"), text(expected)])];
            let [one, other] = all.map(|expect| expect.holds(found));
            assert_eq!(one, other, "{found} {expected}");
            one
        };
        let compared = |found: &str, expected: &str| holds(&text(found), expected);
        assert_eq!(compared("exclusive", "exclusive"), Truth::True);
        // A setting is as it is written, or it has drifted.
        assert_eq!(Expect::Equals(text("exclusive")).fulfilled(&text("Exclusive")), Truth::False);
        for (found, expected) in [
            ("exclusive ", "exclusive"),
            ("Exclusive", "exclusive"),
            ("ｅｘｃｌｕｓｉｖｅ", "exclusive"),
            ("\u{3000}batch", "batch"),
            ("04", "4"),
            ("010", "8"),
            ("010", "10"),
            ("0x1f", "31"),
            ("1_000", "1000"),
            ("1.50", "1.5"),
            ("15e-1", "1.5"),
            ("４", "4"),
            ("+0", "-0.0"),
            ("yes", "true"),
            ("0", "off"),
        ] {
            assert_eq!(compared(found, expected), Truth::Unknown, "{found} {expected}");
            assert_eq!(compared(expected, found), Truth::Unknown, "{expected} {found}");
        }
        for (found, expected) in [
            ("batch", "on-demand"),
            ("5", "4"),
            ("1.5", "2.5"),
            ("off", "on"),
            ("", "4"),
            ("1.5.0", "1.5"),
            ("e", "0e0"),
        ] {
            assert_eq!(compared(found, expected), Truth::False, "{found} {expected}");
        }
        assert_eq!(holds(&Value::Integer(4), "4"), Truth::True);
        assert_eq!(holds(&Value::Integer(4), "04"), Truth::Unknown);
        assert_eq!(holds(&Value::Integer(4), "batch"), Truth::False);
        assert_eq!(holds(&Value::Boolean(true), "yes"), Truth::Unknown);
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
