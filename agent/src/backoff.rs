//! How long to wait before asking again.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// The longest wait before a controller that does not answer is asked again.
pub const RETRY_MAX: Duration = Duration::from_secs(30);

/// The first wait, before it is spread.
const FIRST: Duration = Duration::from_millis(500);

/// Waits that double up to a cap. The spread comes after the cap: spread before it, everybody asks
/// again at exactly the cap.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    cap: Duration,
}

impl Backoff {
    /// No failure yet.
    pub fn new(cap: Duration) -> Self {
        Self { failures: 0, cap }
    }

    /// It went well.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed: how long to wait, between a half and the whole of the doubled time.
    pub fn wait(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let mut byte = [0];
        let share = SystemRandom::new().fill(&mut byte).map_or(255, |()| u32::from(byte[0]));
        whole / 2 + whole / 2 * share / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_at_the_cap_are_spread_too() {
        let mut backoff = Backoff::new(Duration::from_secs(8));
        let waits: Vec<_> = (0..200).map(|_| backoff.wait()).skip(10).collect();
        assert!(waits.iter().all(|wait| (4..=8).contains(&wait.as_secs())));
        let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
        assert!(distinct.len() > 50, "{} distinct waits of {}", distinct.len(), waits.len());
    }
}
