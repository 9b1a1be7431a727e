//! What a text without quotes is: the rules of three readers.

use std::sync::LazyLock;

use manifests::value::{INTEGER_MAX, Regex};

use super::build::Scalar;

/// The rules of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// PyYAML's `SafeLoader`: YAML 1.1.
    Pyyaml,
    /// SnakeYAML's `SafeConstructor`: YAML 1.1.
    Snakeyaml,
    /// The core schema of YAML 1.2.
    Core,
}

/// A type with what makes two values of it the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Type {
    Null,
    Boolean(bool),
    Integer(i64),
    /// A whole number beyond ours.
    Large(String),
    Float,
    Time,
    Text,
}

struct Patterns {
    boolean: Option<Regex>,
    null: Option<Regex>,
    integer: Option<Regex>,
    float: Option<Regex>,
    time: Option<Regex>,
}

fn pattern(source: &str) -> Option<Regex> {
    Regex::new(source).ok()
}

const BOOLEAN_1_1: &str = "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF";
const NULL: &str = "~|null|Null|NULL|";
const INTEGER_1_1: &str =
    "[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+";
const TIME_1_1: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \\t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]*)?(?:[ \\t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?";

static PYYAML: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    boolean: pattern(BOOLEAN_1_1),
    null: pattern(NULL),
    integer: pattern(INTEGER_1_1),
    float: pattern(
        "[-+]?[0-9][0-9_]*\\.[0-9_]*(?:[eE][-+][0-9]+)?|\\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|\
         [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)",
    ),
    time: pattern(TIME_1_1),
});

static SNAKEYAML: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    boolean: pattern(BOOLEAN_1_1),
    null: pattern(NULL),
    integer: pattern(INTEGER_1_1),
    float: pattern(
        "[-+]?[0-9][0-9_]*\\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|\
         \\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*|\
         [-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)",
    ),
    time: pattern(TIME_1_1),
});

// YAML 1.2.2, 10.3.2.
static CORE: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    boolean: pattern("true|True|TRUE|false|False|FALSE"),
    null: pattern(NULL),
    integer: pattern("[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    float: pattern(
        "[-+]?(?:\\.[0-9]+|[0-9]+(?:\\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)",
    ),
    time: None,
});

impl Rules {
    pub(super) const ALL: [Rules; 3] = [Rules::Pyyaml, Rules::Snakeyaml, Rules::Core];

    /// Whether `<<` merges mappings.
    pub(super) fn merges(self) -> bool {
        self != Rules::Core
    }

    /// What a scalar is; none where the reader answers an error.
    pub(super) fn type_of(self, scalar: &Scalar) -> Option<Type> {
        if !scalar.is_plain {
            return Some(Type::Text);
        }
        let patterns = match self {
            Rules::Pyyaml => &*PYYAML,
            Rules::Snakeyaml => &*SNAKEYAML,
            Rules::Core => &*CORE,
        };
        let text = scalar.text.as_str();
        let is = |pattern: &Option<Regex>| pattern.as_ref().is_some_and(|pattern| pattern.accepts(text));
        // PyYAML has a type for it that it cannot make; to SnakeYAML it is a text.
        if text == "=" && self == Rules::Pyyaml {
            return None;
        }
        if is(&patterns.null) {
            Some(Type::Null)
        } else if is(&patterns.boolean) {
            Some(Type::Boolean(matches!(text.to_ascii_lowercase().as_str(), "yes" | "true" | "on")))
        } else if is(&patterns.integer) {
            match self {
                Rules::Core => core_integer(text),
                Rules::Pyyaml | Rules::Snakeyaml => integer_1_1(text),
            }
        } else if is(&patterns.float) {
            Some(Type::Float)
        } else if is(&patterns.time) {
            is_day(text).then_some(Type::Time)
        } else {
            Some(Type::Text)
        }
    }
}

fn bounded(number: Option<i64>, text: &str) -> Type {
    match number {
        Some(number) if number.unsigned_abs() <= INTEGER_MAX => Type::Integer(number),
        _ => Type::Large(text.to_owned()),
    }
}

fn core_integer(text: &str) -> Option<Type> {
    let number = match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(digits), _) => i64::from_str_radix(digits, 8).ok(),
        (None, Some(digits)) => i64::from_str_radix(digits, 16).ok(),
        (None, None) => text.parse().ok(),
    };
    Some(bounded(number, text))
}

/// With `_` anywhere, `0b`, `0x` and `0` before another base, and `:` between sixtieths.
fn integer_1_1(text: &str) -> Option<Type> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let radix = |digits: &str, radix| -> Option<Option<i64>> {
        // Nothing but `_` behind the prefix is an error to Python and Java.
        (!digits.is_empty()).then(|| i64::from_str_radix(digits, radix).ok())
    };
    let number = if digits == "0" {
        Some(0)
    } else if let Some(digits) = digits.strip_prefix("0b") {
        radix(digits, 2)?
    } else if let Some(digits) = digits.strip_prefix("0x") {
        radix(digits, 16)?
    } else if let Some(digits) = digits.strip_prefix('0').filter(|_| !digits.contains(':')) {
        radix(digits, 8)?
    } else {
        digits.split(':').try_fold(0_i64, |number, part| number.checked_mul(60)?.checked_add(part.parse().ok()?))
    };
    Some(bounded(number.map(|number| sign * number), text))
}

/// Whether a date's month and day, and a time's parts, are ones that there are.
fn is_day(text: &str) -> bool {
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map_while(|part| part.parse().ok())
        .collect();
    let [year, month, day, time @ ..] = numbers.as_slice() else { return false };
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    let within = |at: usize, most: u32| time.get(at).is_none_or(|part| *part <= most);
    *year > 0 && (1..=days).contains(day) && within(0, 23) && within(1, 59) && within(2, 59)
}
