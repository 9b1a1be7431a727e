//! Stops: who stopped whom, and how far it has come.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use manifests::api::{StopRequest, StopView, UnlistedStop};
use manifests::digest::Digest;

use crate::app::App;
use crate::auth::Operator;
use crate::body::Payer;
use crate::error::HttpError;
use crate::{body, clock};

/// Largest request: every site by code.
const BYTES_MAX: usize = 64 << 10;
/// Stops of one operator in [`INTERVAL_MS`] at most, where they close nobody. Each is kept for ever by
/// every host.
const STOPS_MAX: usize = 30;
/// What [`STOPS_MAX`] counts in: a minute.
const INTERVAL_MS: i64 = 60_000;

/// `GET /v1/stops`
pub async fn list(State(app): State<Arc<App>>) -> Json<Vec<StopView>> {
    Json(app.fleet().stop_views(clock::now()))
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
/// 400 for a stop that stops nobody or says nothing; 429 after too many that close nobody more.
pub async fn make(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<(StatusCode, Json<StopView>), HttpError> {
    let StopRequest { scope, reason } = {
        let payer = Payer::Operator(operator.name.clone());
        body::json(request, &app.bodies, payer, BYTES_MAX).await?
    };
    let since = clock::now().unix_ms().saturating_sub(INTERVAL_MS);
    let too_many = {
        let fleet = app.fleet();
        // What was taken over came to be known later than it was made.
        let recent = fleet.stops().iter().filter(|known| known.is_own && known.stop.time.unix_ms() > since);
        // Closing somebody who is open is never refused, whoever made how many stops before.
        recent.filter(|known| known.stop.operator == operator.name).count() >= STOPS_MAX && !fleet.would_close(&scope)
    };
    if too_many {
        let message = format!("{STOPS_MAX} stops were made within a minute, and whoever this one names is stopped");
        return Err(HttpError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-stops", message));
    }
    let view = app.writer.stop(scope, reason, operator.name).await?;
    Ok((StatusCode::CREATED, Json(view)))
}
