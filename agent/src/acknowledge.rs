//! The acknowledging task: hands in, for every stop on disk, that it is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use manifests::api;
use manifests::digest::Digest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, RETRY_MAX};
use crate::parts::Parts;
use crate::state::{KeptStop, envelope_json};

/// The longest pause before an acknowledgement is handed in again whose stop the controller did not know.
const UNKNOWN_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Stops that the controller did not know when they were acknowledged, and when each is tried again.
///
/// It may know one later: a controller that was set back has it handed in, and an operator may take one over. Then it
/// sends the stop to every host, and the pause is over; the tries are for a host that was not reached.
#[derive(Debug, Default)]
pub struct Unknown(BTreeMap<Digest, (Backoff, Instant)>);

impl Unknown {
    /// The controller did not know this stop.
    fn refused(&mut self, stop: Digest, now: Instant) {
        let (backoff, again) = self.0.entry(stop).or_insert_with(|| (Backoff::new(UNKNOWN_PAUSE_MAX), now));
        *again = now + backoff.wait();
    }

    /// A controller knows this stop. Says whether it did not before.
    pub fn is_known(&mut self, stop: &Digest) -> bool {
        self.0.remove(stop).is_some()
    }

    /// The stop to be acknowledged next, and when. Those that were not refused come first: a new stop waits for none
    /// that the controller does not know.
    fn next<'a>(&self, unacknowledged: &'a [KeptStop], now: Instant) -> Option<(&'a KeptStop, Instant)> {
        let again = |kept: &KeptStop| self.0.get(&kept.stop.digest()).map(|(_, again)| *again);
        let (again, kept) = unacknowledged.iter().map(|kept| (again(kept), kept)).min_by_key(|(again, _)| *again)?;
        Some((kept, again.unwrap_or(now)))
    }
}

/// Hands in acknowledgements of stops until cancelled.
pub async fn run(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(RETRY_MAX);
    loop {
        let now = Instant::now();
        let (next, is_unstored) = {
            let shared = parts.shared();
            let next = shared.unknown.next(&shared.unacknowledged, now).map(|(kept, at)| (kept.clone(), at));
            (next, !shared.unstored.is_empty())
        };
        let wait = match next {
            Some((kept, at)) if at <= now => {
                let Some(document) = parts.acknowledgement(&kept.stop) else {
                    shutdown.cancelled().await; // Without a key there is nothing to acknowledge with.
                    return;
                };
                match parts.client.post::<()>(api::ACKNOWLEDGEMENTS, envelope_json(&document)).await {
                    Ok(()) => {
                        backoff.reset();
                        let done = kept.stop.digest();
                        {
                            let mut shared = parts.shared();
                            shared.unknown.is_known(&done);
                            shared.unacknowledged.retain(|other| other.stop.digest() != done);
                        }
                        parts.writer.acknowledged(kept);
                        continue;
                    }
                    Err(error) => {
                        parts.trouble("a stop's acknowledgement was not handed in", &error);
                        let mut shared = parts.shared();
                        if error.refusal().is_some_and(|refusal| refusal.code == "unknown-stop") {
                            shared.unknown.refused(kept.stop.digest(), Instant::now());
                            continue;
                        }
                        if !shared.unacknowledged.is_empty() {
                            shared.unacknowledged.rotate_left(1); // The others must not wait for this one.
                        }
                        backoff.wait()
                    }
                }
            }
            Some((_, at)) if is_unstored => backoff.wait().min(at - now),
            Some((_, at)) => at - now,
            None if is_unstored => backoff.wait(),
            None => Duration::MAX,
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = parts.acknowledge.notified() => {}
            () = sleep(wait) => {
                // Not at once: a disk that took nothing a moment ago takes nothing now.
                let unstored = std::mem::take(&mut parts.shared().unstored);
                unstored.into_iter().for_each(|kept| parts.writer.stop(kept.stop, kept.key));
            }
        }
    }
}

async fn sleep(wait: Duration) {
    if wait == Duration::MAX { std::future::pending().await } else { tokio::time::sleep(wait).await }
}

#[cfg(test)]
mod tests {
    use manifests::envelope::Sealed;
    use manifests::key::SigningKey;
    use manifests::stop::{Scope, Stop};
    use manifests::time::Time;

    use super::*;

    fn kept(key: &SigningKey, number: u64) -> KeptStop {
        let stop = Stop {
            product: "p".parse().unwrap(),
            number,
            previous: None,
            scope: Scope::All,
            reason: "drill".to_owned(),
            operator: "duty".to_owned(),
            time: Time::MIN,
        };
        let stop = Sealed::seal(&stop, key).unwrap().verify([key.public()]).unwrap();
        KeptStop { stop, key: key.public().clone(), acknowledged: false, on_disk: true }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_stop_waits_for_none_that_the_controller_does_not_know() {
        let key = SigningKey::generate().unwrap();
        let stops: Vec<_> = (1..=3).map(|number| kept(&key, number)).collect();
        let mut unknown = Unknown::default();
        let next = |unknown: &Unknown| unknown.next(&stops, Instant::now()).map(|(kept, at)| (kept.stop.number, at));
        for stop in &stops[..2] {
            unknown.refused(stop.stop.digest(), Instant::now());
        }
        // Though both are due again by now.
        tokio::time::advance(RETRY_MAX).await;
        assert_eq!(next(&unknown), Some((3, Instant::now())));
        unknown.refused(stops[2].stop.digest(), Instant::now());
        assert!(next(&unknown).is_some_and(|(number, at)| number < 3 && at <= Instant::now()));
        // However often it was refused, it is tried again, and at once when a controller knows it.
        for _ in 0..100 {
            stops.iter().for_each(|stop| unknown.refused(stop.stop.digest(), Instant::now()));
        }
        let (_, at) = next(&unknown).unwrap();
        assert!(at > Instant::now() + RETRY_MAX && at <= Instant::now() + UNKNOWN_PAUSE_MAX);
        assert!(unknown.is_known(&stops[1].stop.digest()));
        assert_eq!(next(&unknown), Some((2, Instant::now())));
    }
}
