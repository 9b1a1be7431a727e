//! Request bodies: bounded in size and time before anything looks at them.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::error::Failure;

/// A whole body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a body of at most `max` bytes.
///
/// # Errors
/// 413 at once if its announced length is too large, or as soon as more arrives; 415 for an encoded
/// body; 408 if it comes too slowly.
pub async fn read(request: Request, max: usize) -> Result<Bytes, Failure> {
    let (parts, body) = request.into_parts();
    check_head(&parts.headers, max)?;
    collect(body, max).await
}

/// Reads a JSON body of at most `max` bytes.
///
/// # Errors
/// As [`read`], and 400.
pub async fn json<T: DeserializeOwned>(request: Request, max: usize) -> Result<T, Failure> {
    parse(&read(request, max).await?)
}

/// JSON from bytes.
///
/// # Errors
/// 400 with the parser's words, also for an envelope whose payload is refused, as one that is too large.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::malformed(error.to_string()))
}

fn check_head(headers: &HeaderMap, max: usize) -> Result<(), Failure> {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    if encoded {
        // A small body that unpacks to a large one would pass the limit.
        let message = "bodies are sent as they are, without Content-Encoding";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", message));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max)) {
        return Err(Failure::too_large(max));
    }
    Ok(())
}

async fn collect(body: Body, max: usize) -> Result<Bytes, Failure> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::too_large(max)),
        Ok(Err(error)) => Err(Failure::malformed(format!("the body broke off: {error}"))),
        Err(_) => Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly")),
    }
}
