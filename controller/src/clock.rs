//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use manifests::time::Time;

/// Now, by the system's wall clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
