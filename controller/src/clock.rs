//! The one place that reads the clock.

use std::time::SystemTime;

use manifests::time::Time;

/// Now, by the system's wall clock.
pub fn now() -> Time {
    Time::from(SystemTime::now())
}
