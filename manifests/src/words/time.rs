//! Points in time and lengths of time, as documents write them.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Written RFC 3339 in UTC with exactly three decimals, `2026-10-01T00:00:00.000Z`, so that the
/// same moment has one text. Years 0000 to 9999. The library reads no clock: `now` is handed in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(i64);

impl Time {
    /// The last moment that can be written: 9999-12-30T22:00:00.000Z.
    pub const MAX: Time = Time(253_402_207_200_000);
    /// The first moment a document may name: 1970-01-01T00:00:00.000Z.
    pub const MIN: Time = Time(0);

    /// From milliseconds since 1970, held within [`Time::MIN`] and [`Time::MAX`].
    pub fn from_unix_ms(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since 1970.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Later by `span`; [`Time::MAX`] where that cannot be written.
    #[must_use]
    pub fn after(self, span: Span) -> Self {
        Self::from_unix_ms(self.0.saturating_add(span.as_ms_i64()))
    }

    /// Earlier by `span`; [`Time::MIN`] where that cannot be written.
    #[must_use]
    pub fn before(self, span: Span) -> Self {
        Self::from_unix_ms(self.0.saturating_sub(span.as_ms_i64()))
    }

    /// How long ago `earlier` was, zero if it lies ahead.
    pub fn since(self, earlier: Time) -> Span {
        Span::from_ms(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads any RFC 3339 text, with any offset and precision, as people write times in a baseline.
    ///
    /// # Errors
    /// [`TimeError::Rfc3339`] if it is none, or lies before 1970.
    pub fn from_rfc3339(text: &str) -> Result<Self, TimeError> {
        let stamp: jiff::Timestamp = text.parse().map_err(|_| TimeError::Rfc3339)?;
        let milliseconds = stamp.as_millisecond();
        if (Self::MIN.0..=Self::MAX.0).contains(&milliseconds) {
            Ok(Self(milliseconds))
        } else {
            Err(TimeError::Rfc3339)
        }
    }

    /// Reads what a `Date` header says, which has no fraction: `Thu, 01 Oct 2026 00:00:00 GMT` (RFC 9110, 5.6.7).
    ///
    /// # Errors
    /// [`TimeError::Http`] if it is none, or lies before 1970.
    pub fn from_http_date(text: &str) -> Result<Self, TimeError> {
        let stamp = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).map_err(|_| TimeError::Http)?;
        let milliseconds = stamp.as_millisecond();
        (Self::MIN.0..=Self::MAX.0).contains(&milliseconds).then_some(Self(milliseconds)).ok_or(TimeError::Http)
    }

    /// `2026-10-01T00:00:00Z`, the form of TUF metadata, which has no fraction.
    pub fn to_rfc3339_seconds(self) -> String {
        let text = self.to_string();
        format!("{}Z", text.get(..19).unwrap_or_default())
    }
}

impl From<SystemTime> for Time {
    /// A system's wall clock, held within [`Time::MIN`] and [`Time::MAX`].
    fn from(clock: SystemTime) -> Self {
        let since = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => Err(fmt::Error), // Unreachable: MIN and MAX lie inside jiff's range.
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Time {
    type Error = TimeError;

    /// Reads only what [`Time`]'s own `Display` writes, so that equal documents have equal bytes.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let time = Self::from_rfc3339(&text)?;
        if time.to_string() == text { Ok(time) } else { Err(TimeError::NotCanonical) }
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

/// A length of time in whole milliseconds, written `250ms`, `30s`, `10m`, `24h`, `14d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    const UNITS: [(&'static str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

    /// From whole milliseconds.
    pub const fn from_ms(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// From whole seconds.
    pub const fn from_s(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// For timers.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    fn as_ms_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl std::ops::Div<u64> for Span {
    type Output = Span;

    /// A share of it, rounded down. Division by zero gives zero.
    fn div(self, parts: u64) -> Span {
        Span(self.0.checked_div(parts).unwrap_or(0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, milliseconds) in Self::UNITS {
            if self.0 >= milliseconds && self.0.is_multiple_of(milliseconds) {
                return write!(f, "{}{unit}", self.0 / milliseconds);
            }
        }
        write!(f, "0ms")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Span {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let (_, milliseconds) = Self::UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(TimeError::Span)?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TimeError::Span);
        }
        let count: u64 = digits.parse().map_err(|_| TimeError::Span)?;
        count.checked_mul(milliseconds).filter(|ms| *ms <= 1 << 52).map(Self).ok_or(TimeError::Span)
    }
}

impl TryFrom<String> for Span {
    type Error = TimeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// Why a text is not a time or a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not RFC 3339, or before 1970.
    #[error("not an RFC 3339 time such as 2026-10-01T09:00:00+09:00")]
    Rfc3339,
    /// Not the date of an HTTP header, or before 1970.
    #[error("not an HTTP date such as Thu, 01 Oct 2026 00:00:00 GMT")]
    Http,
    /// RFC 3339, but another text of the same moment.
    #[error("times in documents are UTC with three decimals, such as 2026-10-01T00:00:00.000Z")]
    NotCanonical,
    /// Not a whole number with a unit.
    #[error("a length of time is a whole number and one of ms, s, m, h, d, such as 30m")]
    Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_text() {
        let time = Time::from_rfc3339("2023-05-01T00:00:00+09:00").unwrap();
        assert_eq!(time.to_string(), "2023-04-30T15:00:00.000Z");
        assert_eq!(Time::try_from("2023-04-30T15:00:00.000Z".to_owned()), Ok(time));
        assert_eq!(Time::try_from("2023-04-30T15:00:00Z".to_owned()), Err(TimeError::NotCanonical));
        assert_eq!(Time::MIN.to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Time::MAX.to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(time.to_rfc3339_seconds(), "2023-04-30T15:00:00Z");
    }

    #[test]
    fn the_date_of_an_answer_is_a_moment() {
        let date = Time::from_http_date("Sun, 30 Apr 2023 15:00:00 GMT");
        assert_eq!(date, Time::from_rfc3339("2023-05-01T00:00:00+09:00"));
        for text in ["", "soon", "2023-04-30T15:00:00Z", "Wed, 31 Dec 1969 23:59:59 GMT", "1682866800"] {
            assert_eq!(Time::from_http_date(text), Err(TimeError::Http), "{text}");
        }
    }

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for text in ["250ms", "30s", "30m", "23h", "14d"] {
            assert_eq!(text.parse::<Span>().map(|s| s.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "30", "m", "1.5h", "-1s", "+1s", "1 s", "1w", "99999999999999999999d", "213503982334601d"] {
            assert_eq!(text.parse::<Span>(), Err(TimeError::Span), "{text}");
        }
    }
}
