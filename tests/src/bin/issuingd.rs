//! A stand-in for a vendor's issuing program: it prints no certificate, but it is a real process
//! that runs from the files of a site, and it asks the gate before each one.
//!
//! Two entries, the store and the city-hall counter, each with an address of its own:
//! `POST /certificates` answers 200 or 403. Only a gate's 200 lets a certificate out; any other
//! answer, and none, is a refusal.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tests::http::{self, Address};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

/// How long the gate may take. It answers within its own `verify_hold`, which is at most 5 s.
const GATE_DEADLINE: Duration = Duration::from_secs(6);
/// How long a client may take for the head of a request, and idle between two.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Connections served at a time, over both entries.
const CONNECTIONS_MAX: usize = 128;
/// The longest configuration read, in bytes.
const CONFIG_BYTES_MAX: u64 = 64 << 10;

/// Demonstration of an issuing program: asks the gate before each certificate.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The gate: unix:PATH or http://127.0.0.1:PORT.
    #[arg(long)]
    gate: Address,
    /// The printing configuration, read once, at the start.
    #[arg(long)]
    print_ini: PathBuf,
}

/// What both entries share.
struct Issuer {
    gate: Address,
    /// The lock as it was at the start: what is in force until the next one.
    lock: Option<String>,
    printed: AtomicU64,
    connections: Semaphore,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("issuingd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(args: Args) -> Result<()> {
    // Held open as long as the process lives, as a loaded library is: replaced on disk, the old one
    // is still what runs here.
    let _library = open_library()?;
    let issuer = Arc::new(Issuer {
        gate: args.gate,
        lock: read_lock(&args.print_ini)?,
        printed: AtomicU64::new(0),
        connections: Semaphore::new(CONNECTIONS_MAX),
    });
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    for entry in ["store", "counter"] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on a loopback port")?;
        println!("{entry} on http://{}", listener.local_addr()?);
        tokio::spawn(accept(listener, Arc::clone(&issuer), entry));
    }
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

fn open_library() -> Result<File> {
    let exe = std::env::current_exe()?;
    let root = exe.parent().and_then(Path::parent).context("issuingd runs from bin/ below its root")?;
    let path = root.join("lib/print_queue.so");
    File::open(&path).with_context(|| format!("cannot open {}", path.display()))
}

/// `lock` of section `[queue]`, the last one given.
fn read_lock(path: &Path) -> Result<Option<String>> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(CONFIG_BYTES_MAX).read_to_string(&mut text))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut section = "";
    let mut lock = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let (true, Some((key, value))) = (section == "queue", line.split_once('='))
            && key.trim() == "lock"
        {
            lock = Some(value.trim().to_owned());
        }
    }
    Ok(lock)
}

async fn accept(listener: TcpListener, issuer: Arc<Issuer>, entry: &'static str) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most often: pause, so that it is not tried without end.
                eprintln!("issuingd: cannot accept at {entry}: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let issuer = Arc::clone(&issuer);
        tokio::spawn(async move {
            let Ok(_permit) = issuer.connections.acquire().await else { return };
            let _ = stream.set_nodelay(true);
            let service = service_fn(|request| {
                let issuer = Arc::clone(&issuer);
                async move { issuer.answer(request, entry).await }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .serve_connection(TokioIo::new(stream), service);
            // A client that went away concerns nobody.
            let _ = served.await;
        });
    }
}

impl Issuer {
    async fn answer(
        &self,
        request: Request<Incoming>,
        entry: &'static str,
    ) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/certificates") => {
                let (status, text) = self.certificate(entry).await;
                reply(status, text)
            }
            (&Method::GET, "/status/config") => {
                reply(StatusCode::OK, serde_json::json!({ "queue": { "lock": self.lock } }).to_string())
            }
            _ => reply(StatusCode::NOT_FOUND, String::new()),
        }
    }

    /// Exactly 200 from the gate prints; everything else does not.
    async fn certificate(&self, entry: &'static str) -> (StatusCode, String) {
        let headers = [("x-sekisho-entry", entry)];
        match http::ask(&self.gate, &Method::GET, "/v1/gate", &headers, GATE_DEADLINE).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                let number = self.printed.fetch_add(1, Ordering::Relaxed) + 1;
                (StatusCode::OK, format!("certificate {number} (DEMO)\n"))
            }
            Ok(answer) => (StatusCode::FORBIDDEN, answer.text()),
            Err(error) => {
                let refusal =
                    serde_json::json!({ "reasons": [{ "code": "no-gate" }], "message": format!("{error:#}") });
                (StatusCode::FORBIDDEN, refusal.to_string())
            }
        }
    }
}

fn reply(status: StatusCode, text: String) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    Response::builder().status(status).body(Full::new(Bytes::from(text)))
}
