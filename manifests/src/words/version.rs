//! Vendor versions and how they compare.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest version or range, in bytes.
pub const VERSION_BYTES_MAX: usize = 128;

/// How a program's versions are written and ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Semantic Versioning 2.0.0; ranges as in Cargo (`>=3.4.2, <4`).
    #[default]
    Semver,
    /// `V` + version + `L` + level, as `V01L20` for 1.20.0; a trailing letter is a revision, `V01L20A`.
    Vl,
    /// Debian package versions (deb-version(7)).
    Dpkg,
    /// RPM versions (`epoch:version-release`, rpmvercmp).
    Rpm,
}

/// A version under its [`Scheme`].
#[derive(Clone, Debug)]
pub enum Version {
    /// Under [`Scheme::Semver`].
    Semver(semver::Version),
    /// Under [`Scheme::Vl`], with the text it was written as.
    Vl {
        /// Version, level and revision (0 for none, 1 for `A`), in that order of weight.
        parts: (u32, u32, u32),
        /// As written.
        text: String,
    },
    /// Under [`Scheme::Dpkg`].
    Dpkg(debversion::Version),
    /// Under [`Scheme::Rpm`], as written.
    Rpm(String),
}

/// Why a text is not a version or range of its scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what} of scheme {scheme:?}: {why}")]
pub struct VersionError {
    /// What was read.
    pub text: String,
    /// `version` or `range`.
    pub what: &'static str,
    /// The scheme it was read under.
    pub scheme: Scheme,
    /// The reason.
    pub why: String,
}

impl Version {
    /// Reads `text` under `scheme`.
    ///
    /// # Errors
    /// [`VersionError`] if it does not have the scheme's form, or is longer than [`VERSION_BYTES_MAX`].
    pub fn parse(text: &str, scheme: Scheme) -> Result<Self, VersionError> {
        let error = |why: String| VersionError {
            text: text.chars().take(VERSION_BYTES_MAX).collect(),
            what: "version",
            scheme,
            why,
        };
        if text.is_empty() || text.len() > VERSION_BYTES_MAX {
            return Err(error(format!("1 to {VERSION_BYTES_MAX} bytes")));
        }
        match scheme {
            Scheme::Semver => semver::Version::parse(text).map(Version::Semver).map_err(|e| error(e.to_string())),
            Scheme::Vl => vl_parts(text)
                .map(|parts| Version::Vl { parts, text: text.to_owned() })
                .ok_or_else(|| error("V, digits, L, digits, perhaps a letter, as V01L20".to_owned())),
            Scheme::Dpkg => text.parse().map(Version::Dpkg).map_err(|_| error("see deb-version(7)".to_owned())),
            Scheme::Rpm if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(Version::Rpm(text.to_owned())),
            Scheme::Rpm => Err(error("printable ASCII without spaces".to_owned())),
        }
    }

    /// The order of two versions of one scheme; none between schemes.
    pub fn order(&self, other: &Version) -> Option<Ordering> {
        match (self, other) {
            (Version::Semver(a), Version::Semver(b)) => Some(a.cmp_precedence(b)),
            (Version::Vl { parts: a, .. }, Version::Vl { parts: b, .. }) => Some(a.cmp(b)),
            (Version::Dpkg(a), Version::Dpkg(b)) => Some(a.cmp(b)),
            (Version::Rpm(a), Version::Rpm(b)) => Some(rpm_version::rpm_evr_compare(a, b)),
            _ => None,
        }
    }
}

/// `V01L20` to (1, 20, 0), `V01L20A` to (1, 20, 1).
fn vl_parts(text: &str) -> Option<(u32, u32, u32)> {
    let (version, level) = text.strip_prefix('V')?.split_once('L')?;
    let digits = level.trim_end_matches(|c: char| c.is_ascii_uppercase());
    let revision = match &level.as_bytes()[digits.len()..] {
        [] => 0,
        [letter] => u32::from(letter - b'A') + 1,
        _ => return None,
    };
    let number = |text: &str| (text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten();
    Some((number(version)?, number(digits)?, revision))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Semver(version) => write!(f, "{version}"),
            Version::Vl { text, .. } | Version::Rpm(text) => f.write_str(text),
            Version::Dpkg(version) => write!(f, "{version}"),
        }
    }
}

/// Two versions are equal if their scheme orders them so (`V01L20` and `V1L20` are).
impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Some(Ordering::Equal)
    }
}

/// The versions that carry a fix: comparisons joined by commas, all of which must hold, as
/// `>=3.4.2` or `>=V01L20, <V02L00`.
///
/// Each is plain comparison in the scheme's order. Cargo's caret and wildcard forms are refused:
/// they leave pre-releases out, and a fix has reached `3.4.3-hotfix.1` or it has not.
#[derive(Clone, Debug)]
pub struct Range {
    comparisons: Vec<(Comparison, Version)>,
    text: String,
}

/// One comparison of a [`Range`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    GreaterOrEqual,
    LessOrEqual,
    Greater,
    Less,
    Equal,
}

impl Comparison {
    // Longer signs first, so that `>=` is not read as `>`.
    const SIGNS: [(&'static str, Comparison); 5] = [
        (">=", Comparison::GreaterOrEqual),
        ("<=", Comparison::LessOrEqual),
        (">", Comparison::Greater),
        ("<", Comparison::Less),
        ("=", Comparison::Equal),
    ];

    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::GreaterOrEqual => order != Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::Less => order == Ordering::Less,
            Comparison::Equal => order == Ordering::Equal,
        }
    }
}

impl Range {
    /// Reads `text` under `scheme`.
    ///
    /// # Errors
    /// [`VersionError`] if a comparison has no sign, or its version is none of the scheme.
    pub fn parse(text: &str, scheme: Scheme) -> Result<Self, VersionError> {
        let error = |why: String| VersionError {
            text: text.chars().take(VERSION_BYTES_MAX).collect(),
            what: "range",
            scheme,
            why,
        };
        if text.len() > 256 {
            return Err(error("longer than 256 bytes".to_owned()));
        }
        let mut comparisons = Vec::new();
        for part in text.split(',').map(str::trim) {
            let found = Comparison::SIGNS.into_iter().find_map(|(sign, c)| Some((c, part.strip_prefix(sign)?)));
            let (comparison, version) =
                found.ok_or_else(|| error("each comparison begins with one of >= <= > < =".to_owned()))?;
            let version = Version::parse(version.trim(), scheme).map_err(|e| error(e.why))?;
            comparisons.push((comparison, version));
        }
        Ok(Self { comparisons, text: text.to_owned() })
    }

    /// Whether two of the comparisons exclude each other, so that no version can lie in the range.
    pub fn is_empty(&self) -> bool {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let above = self.comparisons.iter().filter(|(c, _)| matches!(c, Greater | GreaterOrEqual | Equal));
        let mut pairs = above.flat_map(|low| self.comparisons.iter().map(move |high| (low, high)));
        pairs.any(|((low, least), (high, most))| match (high, least.order(most)) {
            (Less | LessOrEqual | Equal, Some(Ordering::Greater)) => true,
            (Less | LessOrEqual | Equal, Some(Ordering::Equal)) => *low == Greater || *high == Less,
            _ => false,
        })
    }

    /// Whether `version` lies in the range; never, if it is of another scheme.
    pub fn contains(&self, version: &Version) -> bool {
        self.comparisons
            .iter()
            .all(|(comparison, bound)| version.order(bound).is_some_and(|order| comparison.holds(order)))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scheme: Scheme, range: &str, inside: &[&str], outside: &[&str]) {
        let range = Range::parse(range, scheme).unwrap();
        for version in inside {
            assert!(range.contains(&Version::parse(version, scheme).unwrap()), "{version} in {range}");
        }
        for version in outside {
            assert!(!range.contains(&Version::parse(version, scheme).unwrap()), "{version} in {range}");
        }
    }

    #[test]
    fn each_scheme_has_its_own_order() {
        check(Scheme::Semver, ">=3.4.2", &["3.4.2", "3.4.2+b1", "3.10.0", "4.0.0-rc.1"], &["3.4.2-rc.1", "3.4.1"]);
        check(Scheme::Vl, ">=V01L20, <V02L00", &["V01L20", "V1L20", "V01L20A", "V01L100"], &["V01L19Z", "V02L00"]);
        check(Scheme::Dpkg, ">=1:2.0-1", &["1:2.0-1", "1:2.0-1+b1", "2:0"], &["3.0", "1:2.0~rc1-1"]);
        check(Scheme::Rpm, ">=1.0-10", &["1.0-10", "1.0-10.el9", "1:0"], &["1.0-9", "1.0~rc1-99"]);
    }

    #[test]
    fn a_range_that_excludes_itself_is_empty() {
        let empty = |range: &str| Range::parse(range, Scheme::Semver).unwrap().is_empty();
        for range in [">=4.0.0, <3.0.0", "<3.0.0,>=3.0.0", ">3.0.0, <=3.0.0", "=1.0.0, =2.0.0", "=3.0.0, <3.0.0"] {
            assert!(empty(range), "{range}");
        }
        for range in [">=3.0.0", ">=3.0.0, <=3.0.0", ">=3.0.0, <4.0.0", "=1.0.0, =1.0.0", "<3.0.0, <1.0.0", ">1.0.0"] {
            assert!(!empty(range), "{range}");
        }
    }

    #[test]
    fn a_version_of_another_form_is_an_error() {
        for (text, scheme) in [
            ("3.4", Scheme::Semver),
            ("", Scheme::Semver),
            ("V01", Scheme::Vl),
            ("VL", Scheme::Vl),
            ("V01L2AB", Scheme::Vl),
            ("v01l20", Scheme::Vl),
            ("V+1L2", Scheme::Vl),
            ("1 0", Scheme::Rpm),
        ] {
            assert!(Version::parse(text, scheme).is_err(), "{text}");
        }
        for range in ["3.4.2", "^3.4.2", "", ">=", ">=3.4.2 <4.0.0", ">=3.4.2,"] {
            assert!(Range::parse(range, Scheme::Semver).is_err(), "{range}");
        }
    }
}
