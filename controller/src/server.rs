//! Connections: TLS, time-outs and limits, and what is cut.
//!
//! A client gets the handshake's time, the head's time, the body's time ([`crate::body`]), and is cut
//! when no byte moved either way for a while. Streams move a byte every few seconds by themselves.

mod idle;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use idle::Watched;

/// Connections at once. More wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16_384;
/// For a whole TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For a request's head, and for the next one on a kept HTTP/1.1 connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection on which no byte moves for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Streams at once on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 64;
/// Largest head of a request over HTTP/2.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// The same over HTTP/1.1, where it is what is buffered of a connection.
const HTTP1_HEAD_BYTES_MAX: usize = 16 << 10;
/// Open requests get this long when the controller stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until `shutdown`, then lets open requests end.
pub(crate) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, router: Router, shutdown: CancellationToken) {
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let slot = tokio::select! {
            () = shutdown.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let served = connection(stream, acceptor.clone(), router.clone(), shutdown.clone(), slot);
                connections.spawn(served);
            }
            Err(error) => {
                // Out of descriptors: closing others needs a moment, asking again at once does not help.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(STOP_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut");
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    shutdown: CancellationToken,
    slot: OwnedSemaphorePermit,
) {
    // Permits are small and urgent.
    let _ = stream.set_nodelay(true);
    let result = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, router, shutdown).await,
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    };
    if let Err(error) = result {
        // Clients come and go; who they are is not known yet.
        tracing::debug!(%error, "a connection broke off");
    }
    drop(slot);
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

async fn requests(stream: TlsStream<TcpStream>, router: Router, shutdown: CancellationToken) -> Result<(), Broken> {
    // The protocol was agreed on in the handshake; looking for HTTP/2's preface would wait without end.
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(Watched::new(stream, IDLE_TIMEOUT));
    let service = TowerToHyperService::new(router.map_request(|request: Request<Incoming>| request.map(Body::new)));
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(HTTP2_STREAMS_MAX).max_header_list_size(HEAD_BYTES_MAX);
        let connection = builder.serve_connection(io, service);
        tokio::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return Ok(result?),
            () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HTTP1_HEAD_BYTES_MAX);
        let connection = builder.serve_connection(io, service);
        tokio::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return Ok(result?),
            () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }
}
