//! Whether the store can be written, tried at most once a second however many ask: whoever asks needs
//! no token, and each try is a write to the disk.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How long one try answers for.
const INTERVAL: Duration = Duration::from_secs(1);

/// The newest try, and when it began.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<(Instant, bool)>>);

impl Health {
    /// Whether the store can be written, by a try that began less than a second before `now`. Whoever
    /// asks during a try waits for it.
    pub async fn is_good<E>(&self, now: Instant, attempt: impl Future<Output = Result<(), E>>) -> bool {
        let mut newest = self.0.lock().await;
        if let Some((began, good)) = *newest
            && now.saturating_duration_since(began) < INTERVAL
        {
            return good;
        }
        let good = attempt.await.is_ok();
        *newest = Some((now, good));
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_who_ask_cost_one_try_a_second() {
        let (health, tries) = (Health::default(), std::cell::Cell::new(0));
        let start = Instant::now();
        let ask = async |after_ms: u64, result: Result<(), ()>| {
            let attempt = async {
                tries.set(tries.get() + 1);
                result
            };
            let good = health.is_good(start + Duration::from_millis(after_ms), attempt).await;
            (good, tries.get())
        };
        assert_eq!(ask(0, Ok(())).await, (true, 1));
        assert_eq!(ask(999, Err(())).await, (true, 1));
        assert_eq!(ask(1000, Err(())).await, (false, 2));
        assert_eq!(ask(500, Ok(())).await, (false, 2), "whoever waited for the try of another");
        assert_eq!(ask(2000, Ok(())).await, (true, 3));
    }
}
