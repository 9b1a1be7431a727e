//! Asks over HTTP/1.1: one connection, kept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

/// The longest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Loopback TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = anyhow::Error;

    /// `http://127.0.0.1:8080` or `unix:/run/gate.sock`.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Address::Unix(path.into()));
        }
        let Some(address) = text.strip_prefix("http://") else {
            bail!("{text:?} is neither http://ADDRESS:PORT nor unix:PATH")
        };
        let address: SocketAddr = address.trim_end_matches('/').parse().with_context(|| format!("in {text:?}"))?;
        if !address.ip().is_loopback() {
            bail!("{address} is not a loopback address");
        }
        Ok(Address::Tcp(address))
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A kept connection.
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn open(address: &Address) -> Result<Self> {
        let sender = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                handshake(TokioIo::new(stream)).await?
            }
            Address::Unix(path) => handshake(TokioIo::new(UnixStream::connect(path).await?)).await?,
        };
        Ok(Self { sender })
    }

    /// One question without a body.
    ///
    /// # Errors
    /// If the connection breaks, or no answer comes within `deadline`.
    pub async fn ask(
        &mut self,
        method: &Method,
        path: &str,
        headers: &[(&'static str, &str)],
        deadline: Duration,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new())?;
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(anyhow::Error::from_boxed)?;
            anyhow::Ok(Answer { status: head.status, body: body.to_bytes() })
        };
        tokio::time::timeout(deadline, exchange).await.with_context(|| format!("no answer within {deadline:?}"))?
    }
}

/// One question over a connection of its own.
///
/// # Errors
/// If nobody listens, or no answer comes within `deadline`.
pub async fn ask(
    address: &Address,
    method: &Method,
    path: &str,
    headers: &[(&'static str, &str)],
    deadline: Duration,
) -> Result<Answer> {
    let connected = tokio::time::timeout(deadline, Connection::open(address)).await;
    connected.context("not connected in time")??.ask(method, path, headers, deadline).await
}

async fn handshake<I>(io: TokioIo<I>) -> Result<SendRequest<Empty<Bytes>>>
where
    TokioIo<I>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(io).await?;
    // It ends with the sender; its errors come back through the sender.
    tokio::spawn(connection);
    Ok(sender)
}
