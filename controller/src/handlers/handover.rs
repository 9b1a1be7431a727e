//! `GET /v1/handover`: what another controller takes over while this one answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use manifests::api::Handover;
use manifests::envelope::Sealed;
use manifests::id::HostId;

use crate::app::App;
use crate::error::HttpError;

/// This controller's word for each host's key, and every stop.
///
/// # Errors
/// 503 if it cannot be put together.
pub async fn handover(State(app): State<Arc<App>>) -> Result<Json<Handover>, HttpError> {
    // Signing for a whole fleet takes a moment, in which others are to be answered.
    let work = tokio::task::spawn_blocking(move || {
        let (hosts, digests): (Vec<HostId>, Vec<_>) = {
            let fleet = app.fleet();
            let hosts = fleet.enrolled().map(|(id, _)| id.clone()).collect();
            (hosts, fleet.stops().iter().map(|known| known.reference.digest).collect())
        };
        let words = hosts.iter().filter_map(|host| app.enrolled(host));
        let enrolments = words.map(|word| Sealed::seal(&word, &app.permit_key)).collect::<Result<_, _>>()?;
        let stops = app.stops();
        Ok(Handover {
            enrolments,
            stops: digests.iter().filter_map(|digest| stops.get(digest).map(|stop| stop.sealed.clone())).collect(),
        })
    });
    work.await.map_err(|_| HttpError::unavailable("the handover broke off"))?.map(Json)
}
