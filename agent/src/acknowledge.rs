//! The acknowledging task: hands in, for every stop on disk, that it is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use manifests::api;
use manifests::digest::Digest;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, RETRY_MAX};
use crate::parts::Parts;
use crate::state::envelope_json;

/// How often an acknowledgement is handed in that the controller does not know the stop of, before it waits for the next
/// start: about a quarter of an hour, in which the stop itself is handed in.
const UNKNOWN_TRIES: u32 = 40;

/// Hands in acknowledgements of stops until cancelled.
pub async fn run(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(RETRY_MAX);
    let mut unknown: BTreeMap<Digest, u32> = BTreeMap::new();
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
                        unknown.remove(&done);
                        parts.shared().unacknowledged.retain(|other| other.stop.digest() != done);
                        parts.writer.acknowledged(kept);
                        continue;
                    }
                    Err(error) => {
                        parts.trouble("a stop's acknowledgement was not handed in", &error);
                        let mut shared = parts.shared();
                        // A controller that was set back to before the stop knows it again once a host has handed it in.
                        let is_unknown = error.refusal().is_some_and(|refusal| refusal.code == "unknown-stop");
                        let tries = unknown.entry(kept.stop.digest()).or_default();
                        *tries = tries.saturating_add(u32::from(is_unknown));
                        if *tries >= UNKNOWN_TRIES {
                            unknown.remove(&kept.stop.digest());
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
