//! What operators look at.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use manifests::api::{FleetView, HostRow, HostView, ItemRow, SiteView};

use crate::app::App;
use crate::clock;
use crate::error::HttpError;

/// `GET /v1/sites`
pub async fn sites(State(app): State<Arc<App>>) -> Json<FleetView> {
    Json(FleetView { expiring: app.expiring(), ..app.fleet().overview(clock::now()) })
}

/// `GET /v1/sites/{code}`
///
/// # Errors
/// 404 for a site that the registry does not have.
pub async fn site(State(app): State<Arc<App>>, Path(code): Path<String>) -> Result<Json<SiteView>, HttpError> {
    let missing = || HttpError::not_found("no such site in the registry");
    let code = code.parse().map_err(|_| missing())?;
    app.fleet().site_view(&code, clock::now()).map(Json).ok_or_else(missing)
}

/// `GET /v1/hosts`
pub async fn hosts(State(app): State<Arc<App>>) -> Json<Vec<HostRow>> {
    Json(app.fleet().host_rows(clock::now()))
}

/// `GET /v1/hosts/{id}`
///
/// # Errors
/// 404 for a host that the registry does not list.
pub async fn host(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<HostView>, HttpError> {
    let missing = || HttpError::not_found("no such host in the registry");
    let id = id.parse().map_err(|_| missing())?;
    app.fleet().host_view(&id, clock::now()).map(Json).ok_or_else(missing)
}

/// `GET /v1/items`
pub async fn items(State(app): State<Arc<App>>) -> Json<Vec<ItemRow>> {
    Json(app.fleet().item_rows(clock::now()))
}

/// `GET /healthz`
///
/// # Errors
/// 503 while the store cannot be written.
pub async fn health(State(app): State<Arc<App>>) -> Result<&'static str, HttpError> {
    if app.health.is_good(Instant::now(), app.writer.probe()).await {
        Ok("ok\n")
    } else {
        Err(HttpError::unavailable("the store cannot be written"))
    }
}
