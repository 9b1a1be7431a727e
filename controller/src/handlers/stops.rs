//! Stops: who stopped whom, and how far it has come.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use manifests::api::{self, StopRequest, StopView, UnlistedStop};
use manifests::digest::Digest;

use super::page::{self, Asked, Page};
use crate::app::App;
use crate::auth::Operator;
use crate::body::Payer;
use crate::error::HttpError;
use crate::queue::{AskedStop, WriteError};
use crate::{body, clock, writer};

/// Largest request: every site by code.
const BYTES_MAX: usize = 64 << 10;
/// Stops that are shown with a site.
pub(super) const STOPS_OF_SITE_MAX: usize = 50;

/// Longest name of a request, in bytes.
const REQUEST_BYTES_MAX: usize = 64;

/// `GET /v1/stops`: a page, newest first, each with a few of its hosts and their numbers.
///
/// # Errors
/// 400 for a page that is none; 404 for one behind a stop that is not known.
pub async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Page { limit, after } = page::asked(query)?.page(api::STOPS_PAGE, |text| text.parse::<Digest>().ok())?;
    let page = {
        let fleet = app.fleet();
        if after.is_some_and(|after| !fleet.knows_stop(&after)) {
            return Err(HttpError::no_such_row());
        }
        fleet.stop_views(after.as_ref(), limit, clock::now())
    };
    Ok(page::answer(&headers, &page, None::<&()>))
}

/// `GET /v1/stops/{digest}`: one, with all its hosts.
///
/// # Errors
/// 404 for one that is not known here.
pub async fn one(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(digest): Path<String>,
) -> Result<Response, HttpError> {
    let missing = || HttpError::not_found("no such stop");
    let digest = digest.parse().map_err(|_| missing())?;
    let view = app.fleet().stop_view_of(&digest, clock::now()).ok_or_else(missing)?;
    Ok(page::answer(&headers, &view, None::<&()>))
}

/// `GET /v1/unlisted-stops`
pub async fn unlisted(State(app): State<Arc<App>>) -> Json<Vec<UnlistedStop>> {
    Json(app.unlisted.views())
}

/// `POST /v1/unlisted-stops/{digest}`
///
/// # Errors
/// 404 for a stop that no host has handed in.
pub async fn take_over(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    Path(digest): Path<String>,
) -> Result<(StatusCode, Json<StopView>), HttpError> {
    let missing = || HttpError::not_found("no host has handed in such a stop");
    let digest = Digest::from_hex(&digest).or_else(|_| digest.parse()).map_err(|_| missing())?;
    if !app.unlisted.has(&digest) {
        return Err(missing());
    }
    Ok((StatusCode::CREATED, Json(app.writer.take_over(digest, operator.name).await?)))
}

/// `POST /v1/stops`
///
/// # Errors
/// 400 for a stop that stops nobody or says nothing; 409 for a request that made another stop; 429 after too many that close nobody more.
pub async fn make(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<(StatusCode, Json<StopView>), HttpError> {
    let request_id = request_id(request.headers())?;
    let StopRequest { scope, reason } = {
        let payer = Payer::Operator(operator.name.clone());
        body::json(request, &app.bodies, payer, BYTES_MAX).await?
    };
    // What has no name cannot have been taken before: it is refused without a turn of the writer.
    if request_id.is_none() && writer::has_made_enough(&app.fleet(), &operator.name, &scope, clock::now()) {
        return Err(WriteError::TooManyStops { max: writer::STOPS_MAX }.into());
    }
    let view = app.writer.stop(AskedStop { scope, reason, request: request_id }, operator.name).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Which request it is, in a header that whoever sends it again repeats.
fn request_id(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let Some(value) = headers.get(api::REQUEST_HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim_matches('"');
    let good = (1..=REQUEST_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    match good {
        true => Ok(Some(text.to_owned())),
        false => {
            let name = api::REQUEST_HEADER;
            Err(HttpError::malformed(format!("{name} is 1 to {REQUEST_BYTES_MAX} visible ASCII characters")))
        }
    }
}
