//! Answers the issuing application: every method and every path at or below `/v1/gate` gets exactly
//! 200 or exactly 403, also when the agent is in trouble.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use manifests::api::{GateAnswer, GateReason};
use manifests::outcome::Verdict;
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::clock;
use crate::keeper::{Answer, Keeper};
use crate::places::{Place, Places};

/// Where questions go; `controller` conventions end here, proxies' begin.
pub const GATE_PATH: &str = "/v1/gate";
/// Where `sekisho-agent status` asks, on the Unix socket alone.
pub const STATUS_PATH: &str = "/v1/status";
/// Connections open at once, on each of the two ways in. When all places are taken, one on which nothing
/// is asked gives way.
const CONNECTIONS_MAX: usize = 256;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// What gives way has this long for what it was just answered.
const CUT_TIMEOUT: Duration = Duration::from_millis(50);
/// The longest head read, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest transaction id echoed, in bytes.
const TRANSACTION_BYTES_MAX: usize = 64;
/// The longest name of an entry echoed, in bytes.
const ENTRY_BYTES_MAX: usize = 32;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Face {
    /// Somebody on the Unix socket.
    Host,
    /// Somebody on the loopback address, which proxies use: a path that answers 200 whatever the gate
    /// says would be an open gate for a proxy pointed at it.
    Proxies,
}

/// Answers questions until dropped.
pub struct GateServer {
    keeper: Arc<Keeper>,
    status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Each way in has its own: what proxies keep open delays nobody on the socket, nor the reverse.
    proxies: Arc<Places>,
    host: Arc<Places>,
    started_ms: i64,
    answered: AtomicU64,
}

impl GateServer {
    /// A server of `keeper`'s answers; `status` makes the body of [`STATUS_PATH`].
    pub fn new(keeper: Arc<Keeper>, status: impl Fn() -> serde_json::Value + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            keeper,
            status: Box::new(status),
            proxies: Places::new(CONNECTIONS_MAX),
            host: Places::new(CONNECTIONS_MAX),
            started_ms: clock::now().wall.unix_ms(),
            answered: AtomicU64::new(0),
        })
    }

    /// Accepts on a loopback listener.
    pub async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let Some(place) = self.proxies.enter().await else { return };
                    tokio::spawn(Arc::clone(&self).serve_connection(stream, Face::Proxies, place));
                }
                // Out of descriptors, most often: those that are open must end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Accepts on a Unix socket.
    pub async fn serve_unix(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let Some(place) = self.host.enter().await else { return };
                    tokio::spawn(Arc::clone(&self).serve_connection(stream, Face::Host, place));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn serve_connection(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        face: Face,
        place: Place,
    ) {
        let place = Arc::new(place);
        let asked = Arc::clone(&place);
        let service = hyper::service::service_fn(move |request| {
            let (server, answering) = (Arc::clone(&self), asked.answering());
            async move {
                let answer = server.answer(request, face).await;
                drop(answering);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            // A client that broke off has no answer to lose.
            _ = connection.as_mut() => {}
            () = place.cut() => {
                // An answer that was just made is still sent.
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(CUT_TIMEOUT, connection).await;
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, face: Face) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let below = path.strip_prefix(GATE_PATH);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let echo = |name: &str, bytes_max: usize| {
                let value = request.headers().get(name)?.to_str().ok()?;
                (!value.is_empty() && value.len() <= bytes_max).then(|| value.to_owned())
            };
            let entry = echo("x-sekisho-entry", ENTRY_BYTES_MAX);
            let transaction = echo("x-sekisho-transaction", TRANSACTION_BYTES_MAX);
            let has_body = !hyper::body::Body::is_end_stream(request.body());
            let mut response = self.gate(entry, transaction).await;
            if has_body {
                // The body is never read; the connection cannot be used for a second question.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        } else if path == STATUS_PATH && face == Face::Host {
            json_response(StatusCode::OK, &(self.status)())
        } else {
            json_response(StatusCode::NOT_FOUND, &json!({ "code": "not-found", "message": "ask /v1/gate" }))
        }
    }

    async fn gate(&self, entry: Option<String>, transaction: Option<String>) -> Response<Full<Bytes>> {
        let Answer { decision, baseline } = self.keeper.ask().await;
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        let body = GateAnswer {
            verdict: decision.verdict,
            reasons: decision.reasons.iter().map(GateReason::from).collect(),
            baseline,
            until: decision.until,
            decision: format!("{:x}-{number}", self.started_ms),
            entry,
            transaction,
        };
        let status = match decision.verdict {
            Verdict::Issue => StatusCode::OK,
            Verdict::Hold => StatusCode::FORBIDDEN,
        };
        let mut response = json_response(status, &body);
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("x-sekisho-verdict", if decision.verdict == Verdict::Issue { "issue" } else { "hold" });
        if !decision.reasons.is_empty() {
            set("x-sekisho-reason", &Keeper::codes(&decision.reasons));
        }
        if let Some(version) = &body.baseline {
            set("x-sekisho-baseline", version);
        }
        if let Some(until) = decision.until {
            set("x-sekisho-expires", &until.to_string());
        }
        set("x-sekisho-decision", &body.decision);
        response
    }
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    // Cannot fail for what is answered here.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Why the gate's addresses cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Something is there that is no socket, or somebody answers on it.
    #[error("cannot take the gate's socket {path}: {why}")]
    Taken {
        /// The path.
        path: String,
        /// What is there.
        why: &'static str,
    },
    /// The system refuses.
    #[error("cannot take the gate's address {address}")]
    Io {
        /// Path or address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Takes the Unix socket; a socket that nobody answers on is one left by an agent that died.
///
/// # Errors
/// [`BindError`]; what is not a socket is never removed.
pub async fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let address = || path.display().to_string();
    let io = |source| BindError::Io { address: address(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::Taken { path: address(), why: "something that is no socket is there" });
        }
        Ok(_) => {
            if tokio::net::UnixStream::connect(path).await.is_ok() {
                return Err(BindError::Taken { path: address(), why: "somebody answers on it" });
            }
            std::fs::remove_file(path).map_err(io)?;
        }
    }
    let listener = UnixListener::bind(path).map_err(io)?;
    // Whoever issues may ask; the answer is the same for everybody and changes nothing.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(io)?;
    Ok(listener)
}
