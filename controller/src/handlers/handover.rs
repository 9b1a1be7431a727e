//! `GET /v1/handover`: what another controller takes over while this one answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use manifests::api::Handover;
use manifests::digest::Digest;
use manifests::enrolment::Enrolled;
use manifests::envelope::Sealed;
use manifests::id::HostId;

use super::page::Tag;
use crate::app::App;
use crate::error::HttpError;

/// This controller's word for each host's key, and every stop. Signed only for whoever does not have it yet.
///
/// # Errors
/// 503 if it cannot be put together.
pub async fn handover(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    // Signing for a whole fleet takes a moment, in which others are to be answered.
    let work = tokio::task::spawn_blocking(move || {
        let (hosts, stops): (Vec<HostId>, Vec<Digest>) = {
            let (fleet, served) = (app.fleet(), app.stops());
            let hosts = fleet.enrolled().map(|(id, _)| id.clone()).collect();
            // The tag is of what is handed over: a stop is seen a moment before it can be served.
            let stops = fleet.stops().map(|known| known.reference.digest).filter(|digest| served.contains_key(digest));
            (hosts, stops.collect())
        };
        let words: Vec<Enrolled> = hosts.iter().filter_map(|host| app.enrolled(host)).collect();
        let told = words.iter().map(Enrolled::digest).chain(stops.iter().copied());
        let tag = Tag::of(&told.flat_map(|digest| *digest.as_bytes()).collect::<Vec<u8>>());
        if tag.is_named_in(&headers) {
            return Ok(tag.not_modified());
        }
        let enrolments = words.iter().map(|word| Sealed::seal(word, &app.permit_key)).collect::<Result<_, _>>()?;
        let stops = {
            let served = app.stops();
            stops.iter().filter_map(|digest| served.get(digest).map(|stop| stop.sealed.clone())).collect()
        };
        Ok(tag.on(Json(Handover { enrolments, stops }).into_response()))
    });
    work.await.map_err(|_| HttpError::unavailable("the handover broke off"))?
}
