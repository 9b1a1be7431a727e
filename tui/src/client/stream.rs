//! The controller's stream of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eventsource_stream::Eventsource as _;
use futures_util::StreamExt as _;
use manifests::api;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::{ClientError, LIMITS, OperatorClient};
use crate::event::Event;

/// The most bytes from one event to the next; an event has a few hundred. Comments that keep the
/// connection alive count too: after days without an event the stream is opened anew.
const EVENT_BYTES_MAX: usize = 256 << 10;

impl OperatorClient {
    /// Follows the stream behind event `after` and reports each event, until it fails: always an error.
    pub async fn follow(&self, after: Option<u64>, events: &Sender<Event>) -> ClientError {
        match self.follow_on(after, events).await {
            Ok(()) => ClientError::Ended { url: self.address.url(api::EVENTS) },
            Err(error) => error,
        }
    }

    async fn follow_on(&self, after: Option<u64>, events: &Sender<Event>) -> Result<(), ClientError> {
        let url = self.address.url(api::EVENTS);
        let mut request = self.client.get(url.clone()).token(&self.token).header("accept", "text/event-stream");
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        // No time limit on the whole: a stream has no end. Only its beginning must come in time.
        let ended = || ClientError::Ended { url: url.clone() };
        let answer = timeout(LIMITS.answer, self.client.open(request)).await.map_err(|_| ended())??;
        send(events, Event::StreamOpened).await;
        let unread = Arc::new(AtomicUsize::new(0));
        let counter = unread.clone();
        let bytes = answer.chunks().take_while(move |chunk| {
            let length = chunk.as_ref().map_or(0, |bytes| bytes.as_ref().len());
            std::future::ready(counter.fetch_add(length, Ordering::Relaxed) + length <= EVENT_BYTES_MAX)
        });
        let mut stream = std::pin::pin!(bytes.eventsource());
        while let Some(event) = stream.next().await {
            let event = event.map_err(|_| ended())?;
            unread.store(0, Ordering::Relaxed);
            send(events, Event::Changed { id: event.id.parse().ok() }).await;
        }
        Ok(())
    }
}

async fn send(events: &Sender<Event>, event: Event) {
    // Nobody listens any more only when the program is ending.
    let _ = events.send(event).await;
}
