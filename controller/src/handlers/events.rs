//! `GET /v1/events`: the fleet's events as they happen, from wherever the reader left off.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use manifests::api::FleetEvent;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use super::host::KEEP_ALIVE;
use crate::app::App;
use crate::auth::Operator;
use crate::chain::chain;
use crate::error::HttpError;

/// Events read from the store at once.
const PAGE: u32 = 500;
/// Events that may wait for one reader.
const WAITING_MAX: usize = 256;
/// A reader that takes nothing for this long is cut; it comes back with its last id.
const SLOW: Duration = Duration::from_secs(10);

/// How often it is asked whether the reader's token is still good.
const TOKEN_CHECKED: Duration = Duration::from_secs(1);

/// Streams events behind `Last-Event-ID`, or from now on without one or with one above the newest.
///
/// # Errors
/// 400 for an id that is none.
pub async fn stream(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, HttpError> {
    let last = headers.get("last-event-id").map(|value| value.to_str().ok().and_then(|text| text.parse::<u64>().ok()));
    // Listening begins before the store is read, so that nothing falls between.
    let live = app.events.subscribe();
    let last = match last {
        Some(None) => return Err(HttpError::malformed("Last-Event-ID is the id of an event")),
        // An id that was never given (another controller's, or from before a restore) would wait for
        // events that may not come for years.
        Some(Some(id)) => Some(id.min(app.store.newest_event().await?)),
        None => None,
    };
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        tokio::select! {
            () = feed(&app, live, last, &sender) => {}
            () = token_ends(&app, &operator) => {}
            () = app.shutdown.cancelled() => {}
        }
    });
    let events = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Arc<FleetEvent>>| async move {
        let event = receiver.recv().await?;
        let data = serde_json::to_string(event.as_ref()).unwrap_or_default();
        Some((Ok(Event::default().event("change").id(event.id.to_string()).data(data)), receiver))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Returns when the operator's token was replaced or revoked, or got a lower role.
async fn token_ends(app: &App, operator: &Operator) {
    let mut checks = tokio::time::interval(TOKEN_CHECKED);
    checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        if !operator.is_still_known(app) {
            return;
        }
    }
}

/// Feeds one reader until it goes, or takes too long.
async fn feed(
    app: &App,
    mut live: broadcast::Receiver<Arc<FleetEvent>>,
    from: Option<u64>,
    to: &mpsc::Sender<Arc<FleetEvent>>,
) {
    let mut last = from;
    let mut behind = from.is_some();
    loop {
        while let (true, Some(id)) = (behind, last) {
            let page = match app.store.events_after(id, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(error = chain(&error), "events cannot be read");
                    return;
                }
            };
            behind = !page.is_empty();
            for event in page {
                last = Some(event.id);
                if to.send_timeout(Arc::new(event), SLOW).await.is_err() {
                    return;
                }
            }
        }
        match live.recv().await {
            Ok(event) if last.is_some_and(|last| event.id <= last) => {}
            Ok(event) => {
                last = Some(event.id);
                if to.send_timeout(event, SLOW).await.is_err() {
                    return;
                }
            }
            // Too many at once: what was missed is read from the store. A reader without a last id
            // has seen nothing yet and misses nothing.
            Err(RecvError::Lagged(_)) => behind = last.is_some(),
            Err(RecvError::Closed) => return,
        }
    }
}
