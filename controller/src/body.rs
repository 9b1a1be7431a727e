//! Bodies of requests, bounded in size and time before anything looks at them; and of answers that are large.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::stream;
use http_body_util::BodyExt;
use manifests::id::HostId;
use manifests::strict;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::HttpError;
use crate::server::connection::{Network, PIECE_BYTES};
use crate::shares::{Share, Shares};

/// A whole body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// One of a host or an operator who is known gets more time the more has come, at this rate.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;

/// Bytes of bodies held at once, of those who have shown nothing.
const STRANGERS_BYTES_MAX: usize = 64 << 20;
/// The same of those who name an enrolled key and have not signed with it yet.
const NAMED_BYTES_MAX: usize = 128 << 20;
/// The same of those who have shown a host's key or session.
const HOSTS_BYTES_MAX: usize = 256 << 20;
/// The same of one host: its largest file list, and documents beside it.
const HOST_BYTES_MAX: usize = 144 << 20;
/// The same of one name: its largest evidence twice.
const NAME_BYTES_MAX: usize = 12 << 20;
/// The same of operators.
const OPERATORS_BYTES_MAX: usize = 768 << 20;
/// The same of one operator: the largest publish, once.
const OPERATOR_BYTES_MAX: usize = 288 << 20;
/// What a body counts at least: what is held beside its bytes.
const BODY_BYTES_MIN: usize = 4 << 10;

/// What bodies may take of memory, each crowd by itself. Within one, who takes most gives way with what is
/// oldest; so a small body always gets in.
#[derive(Debug)]
pub struct Budgets {
    strangers: Arc<Shares<Option<Network>>>,
    named: Arc<Shares<HostId>>,
    hosts: Arc<Shares<HostId>>,
    operators: Arc<Shares<String>>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            strangers: Shares::new(STRANGERS_BYTES_MAX, STRANGERS_BYTES_MAX),
            named: Shares::new(NAMED_BYTES_MAX, NAME_BYTES_MAX),
            hosts: Shares::new(HOSTS_BYTES_MAX, HOST_BYTES_MAX),
            operators: Shares::new(OPERATORS_BYTES_MAX, OPERATOR_BYTES_MAX),
        }
    }
}

/// Who pays for a body.
#[derive(Clone, Debug)]
pub enum Payer {
    /// Somebody who has shown nothing; where from, if it is known.
    Stranger(Option<Network>),
    /// Somebody who says that a document of this host comes.
    Named(HostId),
    /// A host that has shown its key or its session over the same connection.
    Host(HostId),
    /// An operator, whose token was checked.
    Operator(String),
}

/// What somebody holds of a budget.
#[derive(Debug)]
enum Held {
    Stranger(Share<Option<Network>>),
    Host(Share<HostId>),
    Operator(Share<String>),
}

impl Held {
    fn open(budgets: &Budgets, payer: Payer, cut: CancellationToken) -> Self {
        match payer {
            Payer::Stranger(network) => Held::Stranger(budgets.strangers.open(network, cut)),
            Payer::Named(host) => Held::Host(budgets.named.open(host, cut)),
            Payer::Host(host) => Held::Host(budgets.hosts.open(host, cut)),
            Payer::Operator(name) => Held::Operator(budgets.operators.open(name, cut)),
        }
    }

    // Taken as bytes arrive, not as they are announced: who announces much and sends nothing would
    // keep others out for nothing.
    fn grow(&self, bytes: usize) -> Result<(), HttpError> {
        let held = match self {
            Held::Stranger(share) => share.grow(bytes),
            Held::Host(share) => share.grow(bytes),
            Held::Operator(share) => share.grow(bytes),
        };
        if held { Ok(()) } else { Err(gave_way()) }
    }
}

fn gave_way() -> HttpError {
    HttpError::unavailable("too much is being received; this gave way to others")
}

/// A body, and its share of the budget for as long as it is held.
#[derive(Debug)]
pub struct Buffered {
    bytes: Vec<u8>,
    _share: Held,
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
/// body; 408 if it comes too slowly; 503 if it gave way to others.
pub async fn read(request: Request, budgets: &Budgets, payer: Payer, max: usize) -> Result<Buffered, HttpError> {
    let (parts, body) = request.into_parts();
    check_head(&parts.headers, max)?;
    // The whole must come in time, but for what is large and of somebody known: that must not stop coming.
    let by_progress = matches!(payer, Payer::Host(_) | Payer::Operator(_));
    let cut = CancellationToken::new();
    let held = Held::open(budgets, payer, cut.clone());
    let collecting = collect(body, held, max, by_progress);
    tokio::select! {
        collected = collecting => collected,
        () = cut.cancelled() => Err(gave_way()),
    }
}

/// Reads a JSON body of at most `max` bytes, in the one form in which it is written.
///
/// # Errors
/// As [`read`], and 400 with the parser's words.
pub async fn json<T: DeserializeOwned + Serialize>(
    request: Request,
    budgets: &Budgets,
    payer: Payer,
    max: usize,
) -> Result<T, HttpError> {
    let body = read(request, budgets, payer, max).await?;
    strict::from_slice(&body).map_err(|error| HttpError::malformed(error.to_string()))
}

/// An answer's body that holds something until it is sent or given up.
pub(crate) fn held_with<T: Send + Unpin + 'static>(body: Body, held: T) -> Body {
    let held = Some(held);
    Body::new(body.map_frame(move |frame| {
        let _ = &held;
        frame
    }))
}

/// A file of `length` bytes that never changes, read as it is asked for: it is opened for each piece, so
/// that whoever stops reading holds no descriptor.
pub(crate) fn file(path: PathBuf, length: u64) -> Body {
    let pieces = stream::try_unfold((path, 0), move |(path, at): (PathBuf, u64)| async move {
        let most = PIECE_BYTES.min(usize::try_from(length - at).unwrap_or(PIECE_BYTES));
        if most == 0 {
            return Ok::<_, io::Error>(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; most];
            File::open(&path)?.read_exact_at(&mut piece, at)?;
            Ok::<_, io::Error>((Bytes::from(piece), path))
        });
        let (piece, path) = read.await.map_err(io::Error::other)??;
        let next = at + piece.len() as u64;
        Ok(Some((piece, (path, next))))
    });
    Body::from_stream(pieces)
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

async fn collect(mut body: Body, held: Held, max: usize, by_progress: bool) -> Result<Buffered, HttpError> {
    let mut bytes = Vec::new();
    let mut counted = 0;
    let begun = Instant::now();
    let mut end = begun + BODY_TIMEOUT;
    loop {
        let frame = tokio::time::timeout_at(end, body.frame()).await;
        let frame =
            frame.map_err(|_| HttpError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| HttpError::malformed(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue }; // Trailers say nothing here.
        if data.len() > max - bytes.len() {
            return Err(HttpError::too_large(max));
        }
        bytes.extend_from_slice(&data);
        let counts = bytes.len().max(BODY_BYTES_MIN);
        held.grow(counts - counted)?;
        counted = counts;
        if by_progress {
            let seconds = bytes.len() as u64 / BYTES_PER_SECOND_MIN;
            end = begun + BODY_TIMEOUT + Duration::from_secs(seconds);
        }
    }
    Ok(Buffered { bytes, _share: held })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    fn budgets(bytes: usize) -> Budgets {
        Budgets {
            strangers: Shares::new(bytes, bytes),
            named: Shares::new(bytes, bytes / 2),
            hosts: Shares::new(bytes, bytes / 2),
            operators: Shares::new(bytes, bytes),
        }
    }

    fn stranger() -> Payer {
        Payer::Stranger(None)
    }

    async fn send(budgets: &Budgets, payer: Payer, bytes: usize) -> Result<Buffered, HttpError> {
        read(Request::new(Body::from(vec![b'x'; bytes])), budgets, payer, 1 << 20).await
    }

    #[tokio::test]
    async fn a_body_always_gets_in_and_the_oldest_that_stalls_gives_way() {
        let budgets = Arc::new(budgets(40 << 10));
        let (begun, mut started) = tokio::sync::mpsc::channel(1);
        let stalled = tokio::spawn({
            let budgets = Arc::clone(&budgets);
            async move {
                let first = futures_util::stream::once(async { Ok::<_, std::io::Error>(vec![b'x'; 38 << 10]) });
                let rest = futures_util::stream::once(async move {
                    begun.send(()).await.unwrap();
                    std::future::pending().await
                });
                let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
                read(Request::new(body), &budgets, stranger(), 1 << 20).await
            }
        });
        started.recv().await.unwrap();
        assert_eq!(send(&budgets, stranger(), 3 << 10).await.unwrap().len(), 3 << 10, "a newcomer gets in");
        let refused = stalled.await.unwrap().unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(budgets.strangers.used(), 0, "what was read is given back");
    }

    #[tokio::test]
    async fn nobody_takes_what_is_kept_for_others() {
        let budgets = budgets(40 << 10);
        let host = |name: &str| Payer::Host(name.parse().unwrap());
        let _full = send(&budgets, stranger(), 40 << 10).await.unwrap();
        let _one = send(&budgets, host("402206-ap1"), 20 << 10).await.unwrap();
        let operator = Payer::Operator("duty".to_owned());
        assert_eq!(send(&budgets, operator, 40 << 10).await.unwrap().len(), 40 << 10, "an operator is not kept out");
        assert_eq!(send(&budgets, host("372013-ap1"), 20 << 10).await.unwrap().len(), 20 << 10);
        assert!(send(&budgets, host("372013-ap1"), 21 << 10).await.is_err(), "one host has a part of it");
        let named = Payer::Named("402206-ap1".parse().unwrap());
        assert_eq!(send(&budgets, named, 20 << 10).await.unwrap().into_bytes().len(), 20 << 10);
    }
}
