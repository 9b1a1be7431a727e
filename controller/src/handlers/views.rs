//! What operators look at.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use manifests::api::{FleetView, HOSTS_PAGE, ITEMS_PAGE, ItemRow, SITES_PAGE};
use manifests::id::{HostId, ItemId, SiteCode};
use manifests::time::Time;

use super::page::{self, Asked, Page};
use super::stops::STOPS_OF_SITE_MAX;
use crate::app::App;
use crate::clock;
use crate::error::HttpError;

type PageQuery = Result<Query<Asked>, QueryRejection>;

/// `GET /v1/sites`: all, worst first, or a page by code.
///
/// # Errors
/// 400 for a page that is none.
pub async fn sites(State(app): State<Arc<App>>, headers: HeaderMap, query: PageQuery) -> Result<Response, HttpError> {
    let asked = page::asked(query)?;
    let mut view = FleetView { expiring: app.expiring(), ..app.fleet().overview(clock::now()) };
    if asked.is_page() {
        let Page { limit, after } = asked.page(SITES_PAGE, |text| text.parse::<SiteCode>().ok())?;
        // By code: how a site stands may change between two pages.
        view.sites.sort_by(|a, b| a.code.cmp(&b.code));
        view.sites.retain(|row| after.as_ref().is_none_or(|after| row.code > *after));
        view.sites.truncate(limit);
    }
    let compared = FleetView { time: Time::MIN, ..view.clone() };
    Ok(page::answer(&headers, &view, Some(&compared)))
}

/// `GET /v1/sites/{code}`
///
/// # Errors
/// 404 for a site that the registry does not have.
pub async fn site(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(code): Path<String>,
) -> Result<Response, HttpError> {
    let missing = || HttpError::not_found("no such site in the registry");
    let code = code.parse().map_err(|_| missing())?;
    let view = app.fleet().site_view(&code, STOPS_OF_SITE_MAX, clock::now()).ok_or_else(missing)?;
    Ok(page::answer(&headers, &view, None::<&()>))
}

/// `GET /v1/hosts`: a page, by id.
///
/// # Errors
/// 400 for a page that is none.
pub async fn hosts(State(app): State<Arc<App>>, headers: HeaderMap, query: PageQuery) -> Result<Response, HttpError> {
    let Page { limit, after } = page::asked(query)?.page(HOSTS_PAGE, |text| text.parse::<HostId>().ok())?;
    let rows = app.fleet().host_rows(after.as_ref(), limit, clock::now());
    Ok(page::answer(&headers, &rows, None::<&()>))
}

/// `GET /v1/hosts/{id}`
///
/// # Errors
/// 404 for a host that the registry does not list.
pub async fn host(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, HttpError> {
    let missing = || HttpError::not_found("no such host in the registry");
    let id = id.parse().map_err(|_| missing())?;
    let view = app.fleet().host_view(&id, clock::now()).ok_or_else(missing)?;
    Ok(page::answer(&headers, &view, None::<&()>))
}

/// `GET /v1/items`: a page, in the baseline's order.
///
/// # Errors
/// 400 for a page that is none; 404 for one behind an item that the baseline does not have.
pub async fn items(State(app): State<Arc<App>>, headers: HeaderMap, query: PageQuery) -> Result<Response, HttpError> {
    let Page { limit, after } = page::asked(query)?.page(ITEMS_PAGE, |text| text.parse::<ItemId>().ok())?;
    let rows = app.fleet().item_rows(clock::now());
    let from = match after {
        None => 0,
        // A baseline that was published between two pages may not have it.
        Some(after) => rows.iter().position(|row| row.item == after).ok_or_else(HttpError::no_such_row)? + 1,
    };
    let rows: Vec<ItemRow> = rows.into_iter().skip(from).take(limit).collect();
    Ok(page::answer(&headers, &rows, None::<&()>))
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
