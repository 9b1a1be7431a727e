//! The listening task: the host's stream, on which comes what cannot wait for the next receipt.

use std::sync::Arc;
use std::time::Duration;

use manifests::api::HostEvent;
use manifests::chain::chain;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::backoff::{Backoff, RETRY_MAX};
use crate::client::Session;
use crate::parts::Parts;

/// A stream that lasted longer than this ended by itself, not because it cannot last.
const STREAM_LASTS: Duration = Duration::from_secs(10);

/// Listens to the host's stream until cancelled.
pub async fn run(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut sessions = parts.session.subscribe();
    let mut backoff = Backoff::new(RETRY_MAX);
    loop {
        let session = sessions.borrow_and_update().clone();
        if let Some(session) = session {
            let mut opened = false;
            let on_open = || {
                opened = true;
                parts.report.notify_one(); // What was pushed while nobody listened comes with the next receipt.
            };
            let listening = parts.client.listen(&session, on_open, |event| parts.host_event(event));
            let began = Instant::now();
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = listening => Some(ended),
                // Another controller has this host now: what cannot wait comes from there.
                () = moved(&mut sessions, &session.address) => None,
            };
            match ended {
                Some(Err(error)) => debug!("the stream ended: {}", chain(&error)),
                Some(Ok(())) => {}
                None => {
                    backoff.reset();
                    continue;
                }
            }
            // A stream that ends as soon as it opens is no sign that the next one will not.
            if opened && began.elapsed() > STREAM_LASTS {
                backoff.reset();
            }
            if opened {
                parts.report.notify_one();
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(backoff.wait()) => {}
            }
        } else {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = sessions.changed() => {}
            }
        }
    }
}

/// Returns when there is a session of another controller than that at `address`.
async fn moved(sessions: &mut watch::Receiver<Option<Session>>, address: &str) {
    let is_another = |session: &Option<Session>| session.as_ref().is_some_and(|session| session.address != address);
    if sessions.wait_for(is_another).await.is_err() {
        std::future::pending::<()>().await; // Nobody gives sessions any more: the agent ends.
    }
}

impl Parts {
    fn host_event(&self, event: HostEvent) {
        match event {
            HostEvent::Permit(permit) => self.permit(permit),
            HostEvent::Stop(stop) => self.stop(stop),
            HostEvent::Refresh(timestamp) => {
                if self.newest_timestamp() < timestamp {
                    self.follow.notify_one();
                }
            }
        }
    }
}
