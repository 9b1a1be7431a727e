//! Connections: TLS, time-outs and limits, and what is cut.
//!
//! A client gets the handshake's time, the head's time, the body's time ([`crate::body`]), and is cut
//! when no byte moved either way for a while, when it asks nothing, and when it does not take what it
//! asked for ([`connection`]). Streams move a byte every few seconds by themselves.
//!
//! Who has shown nothing yet is in a pool of its own, whose oldest connection gives way to the next.

pub mod connection;
mod idle;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use connection::{Connection, Health, Pools};
use idle::Watched;

/// For a whole TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For a request's head, and for the next one on a kept HTTP/1.1 connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection on which no byte moves for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked whether a connection is used.
const LOOK: Duration = Duration::from_secs(5);
/// A connection that is ended in order gets this long.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that gave way, and are not gone yet.
const GOING: usize = 64;
/// Streams at once on one HTTP/2 connection: each takes memory, asked for much or little. An agent has one stream that
/// stays and a few questions beside it; what is more waits at the client.
const HTTP2_STREAMS_MAX: u32 = 8;
/// What an HTTP/2 client may send on a stream, and on all of a connection, before somebody reads it: it is
/// held in memory until then. The protocol allows no smaller one for the connection.
const HTTP2_WINDOW: u32 = (64 << 10) - 1;
/// The same on the operators' own listener: a publish is large.
const HTTP2_OPERATORS_WINDOW: u32 = 1 << 20;
/// What is held of one HTTP/2 stream's answer before the client takes it.
const HTTP2_SEND_BYTES_MAX: usize = 16 << 10;
/// Largest head of a request over HTTP/2.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// The same over HTTP/1.1, where it is what is buffered of a connection.
const HTTP1_HEAD_BYTES_MAX: usize = 16 << 10;
/// Open requests get this long when the controller stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where connections come in.
pub(crate) struct Entrance {
    /// What is listened on.
    pub(crate) listener: TcpListener,
    /// What connections share.
    pub(crate) pools: Pools,
    /// Connections at once.
    pub(crate) most: usize,
    /// Whether it is the operators' own.
    pub(crate) operators: bool,
}

/// Serves until `shutdown`, then lets open requests end.
pub(crate) async fn serve(entrance: Entrance, tls: Arc<ServerConfig>, router: Router, shutdown: CancellationToken) {
    let Entrance { listener, pools, most, operators } = entrance;
    let window = if operators { HTTP2_OPERATORS_WINDOW } else { HTTP2_WINDOW };
    let acceptor = TlsAcceptor::from(tls);
    // Above what the pools take: who gave way has a moment to go.
    let slots = Arc::new(Semaphore::new(most + GOING));
    let connections = TaskTracker::new();
    let all = CancellationToken::new();
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
            Ok((stream, address)) => {
                let cut = all.child_token();
                let connection = Connection::new(address.ip(), pools.clone(), cut.clone());
                let served = Served { connection, window, router: router.clone(), shutdown: shutdown.clone() };
                let served = served.run(stream, acceptor.clone());
                connections.spawn(async move {
                    let result = tokio::select! {
                        result = served => result,
                        () = cut.cancelled() => Err("it was cut".into()),
                    };
                    if let Err(error) = result {
                        // Clients come and go; who they are is not known yet.
                        tracing::debug!(%error, "a connection broke off");
                    }
                    drop(slot);
                });
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
        tracing::warn!(open = connections.len(), "connections are cut");
        all.cancel();
        connections.wait().await;
    }
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A connection that is served.
struct Served {
    connection: Arc<Connection>,
    window: u32,
    router: Router,
    shutdown: CancellationToken,
}

/// A connection can be told to take no more requests. Both protocols' are one to whoever ends them.
trait Ends: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Ends for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Broken>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Ends for http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Broken>,
    TokioExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, Body>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Served {
    async fn run(self, stream: TcpStream, acceptor: TlsAcceptor) -> Result<(), Broken> {
        // Permits are small and urgent.
        let _ = stream.set_nodelay(true);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(stream) => self.requests(stream?).await,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    async fn requests(self, stream: TlsStream<TcpStream>) -> Result<(), Broken> {
        // The protocol was agreed on in the handshake; looking for HTTP/2's preface would wait without end.
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(Watched::new(stream, IDLE_TIMEOUT));
        let (router, connection) = (self.router.clone(), Arc::clone(&self.connection));
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let under_way = connection.begin();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Arc::clone(&connection));
            let answer = router.clone().oneshot(request);
            async move { answer.await.map(|answer| under_way.answer(answer)) }
        });
        if http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(HTTP2_STREAMS_MAX)
                .max_header_list_size(HEAD_BYTES_MAX)
                .initial_stream_window_size(self.window)
                .initial_connection_window_size(self.window)
                .max_send_buf_size(HTTP2_SEND_BYTES_MAX);
            self.drive(Box::pin(builder.serve_connection(io, service))).await
        } else {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HTTP1_HEAD_BYTES_MAX);
            self.drive(Box::pin(builder.serve_connection(io, service))).await
        }
    }

    /// Serves until the client goes, the controller stops, nothing is asked, or an answer is not read.
    async fn drive(self, mut served: Pin<Box<impl Ends>>) -> Result<(), Broken> {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                result = served.as_mut() => return Ok(result?),
                () = self.shutdown.cancelled() => {
                    served.as_mut().end();
                    return Ok(served.await?);
                }
                _ = looks.tick() => match self.connection.health(Instant::now()) {
                    Health::Used => {}
                    Health::Unread => return Err("an answer was not read".into()),
                    Health::Idle => {
                        served.as_mut().end();
                        return Ok(tokio::time::timeout(END_TIMEOUT, served).await??);
                    }
                }
            }
        }
    }
}
