//! Identifiers, each checked once, where it is read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Does not have the kind's shape.
    #[error("{text:?} is not {expected}")]
    Shape {
        /// What was read, at most 80 characters of it and `…` for the rest.
        text: String,
        /// The shape in words.
        expected: &'static str,
    },
    /// Six digits whose last does not follow from the first five.
    #[error("{code} is not a local government code: its check digit would be {check}")]
    CheckDigit {
        /// The six digits.
        code: String,
        /// The digit that the first five ask for.
        check: u8,
    },
}

fn shape_error(text: &str, expected: &'static str) -> IdError {
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    IdError::Shape { text: shown, expected }
}

/// Text identifiers: a shape, its words, and the conversions that keep every value checked.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.to_owned())) } else { Err(shape_error(text, $expected)) }
            }
        }

        text_conversions!($name);
    };
}

macro_rules! text_conversions {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

fn is_word(text: &str, length_max: usize, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= length_max
        && ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || inner(*b))
}

fn is_lower_word(text: &str, length_max: usize) -> bool {
    is_word(text, length_max, |b| b == b'-') && !text.bytes().any(|b| b.is_ascii_uppercase())
}

text_id!(
    /// A product that fixes are issued for, as `convenience-issuance`; it stands in every document.
    ///
    /// Shape: 1 to 64 of `a-z 0-9 -`, first and last a letter or digit.
    ProductId,
    "a product id (1 to 64 of a-z 0-9 -)",
    |text| is_lower_word(text, 64)
);

text_id!(
    /// A fix, setting, program or configuration, as `FIX-2019-0007` or `lock.print-wait`, and
    /// likewise a fact or a patch.
    ///
    /// Shape: 1 to 64 of `A-Z a-z 0-9 . _ -`, first and last a letter or digit.
    ItemId,
    "an id (1 to 64 of A-Z a-z 0-9 . _ -, first and last a letter or digit)",
    |text| is_word(text, 64, |b| matches!(b, b'.' | b'_' | b'-'))
);

text_id!(
    /// What a host does in its site, as `ap` or `db`.
    ///
    /// Shape: 1 to 16 of `a-z 0-9 -`, first and last a letter or digit.
    Role,
    "a role (1 to 16 of a-z 0-9 -)",
    |text| is_lower_word(text, 16)
);

text_id!(
    /// A controller, as `main` or `standby`.
    ///
    /// Shape: 1 to 32 of `a-z 0-9 -`, first and last a letter or digit.
    ControllerId,
    "a controller id (1 to 32 of a-z 0-9 -)",
    |text| is_lower_word(text, 32)
);

/// One municipality's issuing system: its 6-digit local government code
/// (全国地方公共団体コード), kept as text because the first digit may be zero.
///
/// The first two digits are the prefecture (01 to 47, JIS X 0401), the next three the municipality
/// (JIS X 0402), the last follows from the five before it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteCode(String);

impl SiteCode {
    /// The six digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefecture's number, 1 to 47.
    pub fn prefecture(&self) -> u8 {
        self.0.bytes().take(2).fold(0, |number, digit| number * 10 + (digit - b'0'))
    }
}

/// `check = (11 − S mod 11) mod 10`, `S = 6·d1 + 5·d2 + 4·d3 + 3·d4 + 2·d5`.
fn check_digit(digits: &[u8]) -> u8 {
    let sum: u32 = digits.iter().zip([6, 5, 4, 3, 2]).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    u8::try_from((11 - sum % 11) % 10).unwrap_or_default()
}

impl FromStr for SiteCode {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const EXPECTED: &str = "a local government code (6 digits, the first two a prefecture 01 to 47)";
        if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(shape_error(text, EXPECTED));
        }
        let code = Self(text.to_owned());
        if !(1..=47).contains(&code.prefecture()) {
            return Err(shape_error(text, EXPECTED));
        }
        let (digits, last) = text.as_bytes().split_at(5);
        let check = check_digit(digits);
        if last == [b'0' + check] { Ok(code) } else { Err(IdError::CheckDigit { code: code.0, check }) }
    }
}

text_conversions!(SiteCode);

/// One machine of a site, as `402206-ap1`: the site's code, a hyphen, and a name of 1 to 16 of
/// `a-z 0-9 -`, first and last a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostId {
    text: String,
    site: SiteCode,
}

impl HostId {
    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The site that the host belongs to.
    pub fn site(&self) -> &SiteCode {
        &self.site
    }
}

impl FromStr for HostId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let expected = "a host id (a site's code, a hyphen, and 1 to 16 of a-z 0-9 -, as 402206-ap1)";
        let (code, name) = text.split_once('-').ok_or_else(|| shape_error(text, expected))?;
        let site = code.parse()?;
        if is_lower_word(name, 16) {
            Ok(Self { text: text.to_owned(), site })
        } else {
            Err(shape_error(text, expected))
        }
    }
}

text_conversions!(HostId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_code_carries_its_check_digit() {
        // The last two have remainder 0 and 1, where the digit is 1 and 0.
        for code in ["011002", "131016", "402206", "372013", "052141", "173240"] {
            assert!(code.parse::<SiteCode>().is_ok(), "{code}");
        }
        assert_eq!("402207".parse::<SiteCode>(), Err(IdError::CheckDigit { code: "402207".to_owned(), check: 6 }));
        for code in ["40220", "4022066", "4O2206", "002206", "482206", "４０２２０６", ""] {
            assert!(matches!(code.parse::<SiteCode>(), Err(IdError::Shape { .. })), "{code}");
        }
    }

    #[test]
    fn a_host_id_names_its_site() {
        let host: HostId = "402206-ap1".parse().unwrap();
        assert_eq!(host.site().as_str(), "402206");
        assert_eq!(host.site().prefecture(), 40);
        for text in ["402206", "402206-", "402206-AP1", "402207-ap1", "402206-ap1 ", "402206-a_b", "402206--a"] {
            assert!(text.parse::<HostId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_word_has_no_odd_characters() {
        for text in ["FIX-2019-0007", "lock.print-wait", "a"] {
            assert!(text.parse::<ItemId>().is_ok(), "{text}");
        }
        for text in ["", ".a", "a.", "a b", "a/b", "a\u{202e}b", &"a".repeat(65)] {
            assert!(text.parse::<ItemId>().is_err(), "{text}");
        }
    }
}
