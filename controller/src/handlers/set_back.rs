//! That this controller was set back, and that somebody looked at it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use manifests::api::{LookedAt, SetBackView};
use manifests::stop::{REASON_BYTES_MAX, is_reason};

use crate::app::App;
use crate::auth::Operator;
use crate::body;
use crate::body::Payer;
use crate::error::HttpError;

/// Largest request.
const BYTES_MAX: usize = 8 << 10;

/// `GET /v1/set-back`
pub async fn view(State(app): State<Arc<App>>) -> Json<SetBackView> {
    Json(SetBackView { set_back: app.fleet().set_back().cloned() })
}

/// `POST /v1/set-back`
///
/// # Errors
/// 400 without a note; 404 if there is nothing to look at.
pub async fn looked_at(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<StatusCode, HttpError> {
    let payer = Payer::Operator(operator.name.clone());
    let LookedAt { note } = body::json(request, &app.bodies, payer, BYTES_MAX).await?;
    if !is_reason(&note) {
        return Err(HttpError::malformed(format!("a note is one line of 1 to {REASON_BYTES_MAX} bytes")));
    }
    if app.writer.looked_at(operator.name, note).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(HttpError::not_found("this controller knows of nothing to look at"))
    }
}
