//! `GET /tuf/…`: the repository's files, for whoever asks. They prove themselves.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use manifests::tuf::TARGET_FILE_BYTES_MAX;

use crate::app::App;
use crate::body;
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
    let read = move || {
        let metadata = match std::fs::metadata(&file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A directory is no file that went bad: whoever asks for one finds nothing.
        if !metadata.is_file() || metadata.len() > TARGET_FILE_BYTES_MAX {
            return Ok(None);
        }
        if timestamp {
            // Replaced each time it is signed anew: read at once, so that it is one of them.
            return std::fs::read(&file).map(|bytes| Some((bytes.len() as u64, Body::from(bytes))));
        }
        Ok(Some((metadata.len(), body::file(file, metadata.len()))))
    };
    let (length, body) = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => found.ok_or_else(missing)?,
        Ok(Err(error)) => {
            tracing::warn!(path, %error, "a file of the repository cannot be read");
            return Err(missing());
        }
        Err(_) => return Err(HttpError::unavailable("the file could not be read")),
    };
    // Every other name bears a version or a digest, so what it names never changes.
    let cache = if timestamp { "no-store" } else { "public, max-age=31536000, immutable" };
    let kind = if path.ends_with(".json") { "application/json" } else { "application/octet-stream" };
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
    ];
    Ok((headers, body).into_response())
}
