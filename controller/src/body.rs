//! Request bodies: bounded in size and time before anything looks at them.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use manifests::strict;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::HttpError;

/// A whole body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of bodies held at once, of all who have not shown an operator's token.
const BUFFERED_BYTES_MAX: usize = 256 << 20;

/// What bodies may take of memory. Each is bounded by itself, but anybody may send many at once.
#[derive(Debug)]
pub struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(BUFFERED_BYTES_MAX)
    }
}

impl Budget {
    fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    // Taken as bytes arrive, not as they are announced: who announces much and sends nothing would
    // keep others out for nothing.
    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, HttpError> {
        let share = u32::try_from(bytes).ok().and_then(|n| Arc::clone(&self.0).try_acquire_many_owned(n).ok());
        share.ok_or_else(|| HttpError::unavailable("too many requests are being received"))
    }
}

/// Who pays for a body.
#[derive(Clone, Copy, Debug)]
pub enum Payer<'a> {
    /// Whoever sends it: it counts against the budget.
    Anybody(&'a Budget),
    /// An operator, whose token was checked. Others must not be able to keep a stop or a publish out.
    Operator,
}

/// A body, and its share of the budget for as long as it is held.
#[derive(Debug)]
pub struct Buffered {
    bytes: Vec<u8>,
    share: Option<OwnedSemaphorePermit>,
}

impl Deref for Buffered {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Buffered {
    /// The bytes alone; they count no more.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads a body of at most `max` bytes.
///
/// # Errors
/// 413 at once if its announced length is too large, or as soon as more arrives; 415 for an encoded
/// body; 408 if it comes too slowly; 503 if the budget is spent.
pub async fn read(request: Request, source: Payer<'_>, max: usize) -> Result<Buffered, HttpError> {
    let (parts, body) = request.into_parts();
    check_head(&parts.headers, max)?;
    let collected = tokio::time::timeout(BODY_TIMEOUT, collect(body, source, max)).await;
    collected
        .unwrap_or_else(|_| Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly")))
}

/// Reads a JSON body of at most `max` bytes, in the one form in which it is written.
///
/// # Errors
/// As [`read`], and 400 with the parser's words.
pub async fn json<T: DeserializeOwned + Serialize>(
    request: Request,
    source: Payer<'_>,
    max: usize,
) -> Result<T, HttpError> {
    let body = read(request, source, max).await?;
    strict::from_slice(&body).map_err(|error| HttpError::malformed(error.to_string()))
}

fn check_head(headers: &HeaderMap, max: usize) -> Result<(), HttpError> {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    if encoded {
        // A small body that unpacks to a large one would pass the limit.
        let message = "bodies are sent as they are, without Content-Encoding";
        return Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", message));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max)) {
        return Err(HttpError::too_large(max));
    }
    Ok(())
}

async fn collect(mut body: Body, source: Payer<'_>, max: usize) -> Result<Buffered, HttpError> {
    let mut buffered = Buffered { bytes: Vec::new(), share: None };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| HttpError::malformed(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue }; // Trailers say nothing here.
        if data.len() > max - buffered.bytes.len() {
            return Err(HttpError::too_large(max));
        }
        if let Payer::Anybody(budget) = source {
            let share = budget.take(data.len())?;
            match &mut buffered.share {
                Some(held) => held.merge(share),
                held @ None => *held = Some(share),
            }
        }
        buffered.bytes.extend_from_slice(&data);
    }
    Ok(buffered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[tokio::test]
    async fn what_is_held_at_once_is_bounded_for_all_together() {
        let budget = Budget::of(10);
        let send = async |bytes: usize, source| read(Request::new(Body::from(vec![b'x'; bytes])), source, 100).await;
        let first = send(8, Payer::Anybody(&budget)).await.unwrap();
        let refused = send(8, Payer::Anybody(&budget)).await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(send(80, Payer::Operator).await.unwrap().len(), 80, "an operator is not kept out");
        assert_eq!(send(2, Payer::Anybody(&budget)).await.unwrap().len(), 2, "what fits is taken");
        drop(first);
        assert_eq!(send(8, Payer::Anybody(&budget)).await.unwrap().into_bytes(), b"xxxxxxxx");
        assert_eq!(send(10, Payer::Anybody(&budget)).await.unwrap().len(), 10, "what was read is given back");
    }
}
