//! `POST /v1/preview`: whom a draft would hold. Nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use data_encoding::BASE64;
use manifests::api::{Preview, PreviewRequest};
use manifests::set;

use super::publish::BYTES_MAX;
use crate::app::App;
use crate::auth::Operator;
use crate::body::Payer;
use crate::error::HttpError;
use crate::repository::RepositoryError;
use crate::{body, clock};

/// Judges the fleet's present evidence by the draft, one draft after the other.
///
/// # Errors
/// 400 for what is no draft; 422 with every problem of one that has mistakes; 503 while another one is judged.
pub async fn preview(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<Json<Preview>, HttpError> {
    let bytes = body::read(request, &app.bodies, Payer::Operator(operator.name), BYTES_MAX).await?;
    // Taken once the body is whole: who sends slowly keeps nobody waiting.
    let turn = Arc::clone(&app.previews).try_acquire_owned();
    let turn = turn.map_err(|_| HttpError::unavailable("another draft is being previewed; ask again"))?;
    let product = app.fleet().product().clone();
    let work = tokio::task::spawn_blocking(move || {
        // Given back when the work ends, whether or not somebody still waits for the answer.
        let _turn = turn;
        let draft = set::read_draft(&product, &targets(&bytes)?).map_err(RepositoryError::from)?;
        drop(bytes);
        let standings = app.fleet().standings(clock::now());
        Ok::<_, HttpError>(standings.preview(&draft.reference, &draft.registry, draft.registry_digest))
    });
    work.await.map_err(|_| HttpError::unavailable("the preview broke off"))?.map(Json)
}

fn targets(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, HttpError> {
    // Not by way of `strict`, which keeps every key: this reader refuses a second one itself, and counts.
    let request: PreviewRequest =
        serde_json::from_slice(bytes).map_err(|error| HttpError::malformed(error.to_string()))?;
    let decoded = |(path, text): (String, String)| match BASE64.decode(text.as_bytes()) {
        Ok(bytes) => Ok((path, bytes)),
        Err(_) => Err(HttpError::malformed(format!("{path}: it is not base64"))),
    };
    request.targets.into_iter().map(decoded).collect()
}
