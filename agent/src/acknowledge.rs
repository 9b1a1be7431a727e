//! The acknowledging task: hands in, for every stop on disk, that it is there.

use std::sync::Arc;
use std::time::Duration;

use manifests::api;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, RETRY_MAX};
use crate::parts::Parts;
use crate::state::envelope_json;

/// Hands in acknowledgements of stops until cancelled.
pub async fn run(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(RETRY_MAX);
    loop {
        let outstanding = parts.shared().unacknowledged.first().cloned();
        let wait = match outstanding {
            None if parts.shared().unstored.is_empty() => Duration::MAX,
            None => backoff.wait(),
            Some(kept) => {
                let Some(document) = parts.acknowledgement(&kept.stop) else {
                    shutdown.cancelled().await; // Without a key there is nothing to acknowledge with.
                    return;
                };
                match parts.client.post::<()>(api::ACKNOWLEDGEMENTS, envelope_json(&document)).await {
                    Ok(()) => {
                        backoff.reset();
                        let done = kept.stop.digest();
                        parts.shared().unacknowledged.retain(|other| other.stop.digest() != done);
                        parts.writer.acknowledged(kept);
                        continue;
                    }
                    Err(error) => {
                        parts.trouble("a stop's acknowledgement was not handed in", &error);
                        let mut shared = parts.shared();
                        let unknown = error.refusal().is_some_and(|refusal| refusal.code == "unknown-stop");
                        if unknown {
                            // A controller set back to before the stop. Sent again after the next start.
                            shared.unacknowledged.retain(|other| other.stop.digest() != kept.stop.digest());
                        } else if !shared.unacknowledged.is_empty() {
                            shared.unacknowledged.rotate_left(1); // The others must not wait for this one.
                        }
                        backoff.wait()
                    }
                }
            }
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
