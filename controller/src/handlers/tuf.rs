//! `GET /tuf/…`: the repository's files, for whoever asks. They prove themselves.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use manifests::durable;
use manifests::tuf::TARGET_FILE_BYTES_MAX;

use crate::app::App;
use crate::chain::chain;
use crate::error::HttpError;
use crate::repository::is_target_path;

/// Serves one file of the repository.
///
/// # Errors
/// 404 for any name that no file has.
pub async fn file(State(app): State<Arc<App>>, Path(path): Path<String>) -> Result<Response, HttpError> {
    let missing = || HttpError::not_found("no such file in the repository");
    // No segment begins with a dot: neither `..` nor a file that is just being written.
    if !is_target_path(&path) {
        return Err(missing());
    }
    let timestamp = path == "timestamp.json";
    let file = app.tuf_directory.join(&path);
    // A directory is no file that went bad: whoever asks for one finds nothing.
    let read = move || match file.is_dir() {
        true => Ok(None),
        false => durable::read_limited(&file, TARGET_FILE_BYTES_MAX).map(Some),
    };
    let bytes = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(bytes)) => bytes.ok_or_else(missing)?,
        Ok(Err(error)) => {
            if !error.is_not_found() {
                tracing::warn!(path, error = chain(&error), "a file of the repository cannot be read");
            }
            return Err(missing());
        }
        Err(_) => return Err(HttpError::unavailable("the file could not be read")),
    };
    // Every other name bears a version or a digest, so what it names never changes.
    let cache = if timestamp { "no-store" } else { "public, max-age=31536000, immutable" };
    let kind = if path.ends_with(".json") { "application/json" } else { "application/octet-stream" };
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
    ];
    Ok((headers, bytes).into_response())
}
