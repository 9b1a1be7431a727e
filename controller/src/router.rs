//! Every route, a line each, with who may use it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Version, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::auth::{Access, require};
use crate::error::HttpError;
use crate::handlers::{events, handover, host, preview, publish, set_back, stops, tuf, views};
use crate::role::Role;

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// In lower case.
    pub method: &'static str,
    /// With `{parameters}`.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

const VIEWER: Access = Access::Operator(Role::Viewer);
const OPERATOR: Access = Access::Operator(Role::Operator);
const ADMIN: Access = Access::Operator(Role::Admin);

macro_rules! routes {
    ($($method:ident $path:literal $access:expr => $handler:expr;)*) => {
        /// All routes: the router is made from this table, and a test walks it with every role.
        pub const ROUTES: &[Route] =
            &[$(Route { method: stringify!($method), path: $path, access: $access }),*];

        fn table(app: &Arc<App>) -> Router<Arc<App>> {
            Router::new()$(.route($path, guarded(app, $access, routing::$method($handler))))*
        }
    };
}

routes! {
    post "/v1/enrolments"        Access::EnrolmentToken => host::enrol;
    post "/v1/evidence"          Access::HostKey        => host::evidence;
    post "/v1/heartbeats"        Access::HostKey        => host::heartbeat;
    post "/v1/acknowledgements"  Access::HostKey        => host::acknowledge;
    post "/v1/carried"           Access::HostKey        => host::carried;
    get  "/v1/versions"          Access::Public         => host::versions;
    get  "/v1/stream"            Access::Session        => host::stream;
    post "/v1/handed"            Access::Session        => host::handed;
    put  "/v1/files/{digest}"    Access::Session        => host::file_list;
    get  "/tuf/{*path}"          Access::Public         => tuf::file;
    get  "/healthz"              Access::Public         => views::health;
    get  "/v1/sites"             VIEWER                 => views::sites;
    get  "/v1/sites/{code}"      VIEWER                 => views::site;
    get  "/v1/hosts"             VIEWER                 => views::hosts;
    get  "/v1/hosts/{id}"        VIEWER                 => views::host;
    get  "/v1/items"             VIEWER                 => views::items;
    get  "/v1/events"            VIEWER                 => events::stream;
    get  "/v1/stops"             VIEWER                 => stops::list;
    get  "/v1/stops/{digest}"    VIEWER                 => stops::one;
    post "/v1/stops"             OPERATOR               => stops::make;
    get  "/v1/unlisted-stops"    VIEWER                 => stops::unlisted;
    post "/v1/unlisted-stops/{digest}" OPERATOR         => stops::take_over;
    get  "/v1/handover"          VIEWER                 => handover::handover;
    get  "/v1/set-back"          VIEWER                 => set_back::view;
    post "/v1/set-back"          ADMIN                  => set_back::looked_at;
    post "/v1/preview"           VIEWER                 => preview::preview;
    post "/v1/publish"           ADMIN                  => publish::publish;
}

/// The whole interface.
pub fn router(app: Arc<App>) -> Router {
    table(&app)
        .fallback(|| async { HttpError::not_found("there is nothing here") })
        .method_not_allowed_fallback(|| async { HttpError::method_not_allowed() })
        // Each handler names its own limit; this one would answer in plain text.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(one_host))
        .layer(map_response(in_json))
        .with_state(app)
}

// What is no operator's route checks its own documents and sessions: there is no default that lets in.
fn guarded(app: &Arc<App>, access: Access, handler: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    match access {
        Access::Operator(role) => handler.layer(from_fn_with_state((Arc::clone(app), role), require)),
        Access::Public | Access::HostKey | Access::EnrolmentToken | Access::Session => handler,
    }
}

// RFC 9112, 3.2: a request of HTTP/1.1 has one Host, and none has two. Two readers could follow two of them.
async fn one_host(request: Request, next: Next) -> Response {
    let named = request.headers().get_all(header::HOST).iter().count();
    if named > 1 || (named == 0 && request.version() == Version::HTTP_11) {
        return HttpError::malformed("a request of HTTP/1.1 has one Host header").into_response();
    }
    next.run(request).await
}

// What the framework refuses by itself, as a path that is no UTF-8, it says in plain text.
async fn in_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if status.is_success() || is_json || status == StatusCode::NOT_MODIFIED {
        return response;
    }
    let code = if status.is_server_error() { "internal" } else { "malformed" };
    HttpError::new(status, code, status.canonical_reason().unwrap_or_default()).into_response()
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a fault of this controller; its log has more")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::api;

    #[test]
    fn the_table_has_every_endpoint_of_the_interface() {
        let endpoints = [
            api::ENROLMENTS,
            api::EVIDENCE,
            api::HEARTBEATS,
            api::ACKNOWLEDGEMENTS,
            api::VERSIONS,
            api::STREAM,
            api::HANDED,
            api::CARRIED,
            api::HANDOVER,
            api::FILES,
            api::TUF,
            api::HEALTH,
            api::SITES,
            api::HOSTS,
            api::ITEMS,
            api::EVENTS,
            api::STOPS,
            api::UNLISTED_STOPS,
            api::SET_BACK,
            api::PREVIEW,
            api::PUBLISH,
        ];
        for endpoint in endpoints {
            assert!(ROUTES.iter().any(|route| route.path.starts_with(endpoint)), "{endpoint}");
        }
        for route in ROUTES {
            assert!(endpoints.iter().any(|endpoint| route.path.starts_with(endpoint)), "{}", route.path);
        }
    }
}
