//! Somebody between an agent or an operator and the controller, who is taken for the controller: passes
//! everything on, but for what a test wants answered otherwise.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow};
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use manifests::api::{self, DocumentVersions, Receipt, StopRequest};
use manifests::envelope::{EitherVersion, Sealed};
use manifests::evidence::EVIDENCE_VERSION;
use manifests::key::SigningKey;
use manifests::permit::Permit;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::operator::Controller;
use crate::world::World;

/// The longest request passed on, in bytes.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// What a permit becomes on its way.
pub type Change = Box<dyn Fn(Permit) -> Result<Sealed<Permit>> + Send>;

/// What becomes of a request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopFate {
    /// It is passed on, and so is the answer.
    PassedOn,
    /// It is passed on, and the connection breaks before the answer.
    AnswerLost,
    /// The connection breaks before it is passed on.
    Cut,
    /// It is answered with this status, and not passed on.
    Answered(StatusCode),
}

/// What becomes of each request to stop.
pub type OnStop = Box<dyn FnMut(&StopRequest) -> StopFate + Send>;

/// What is answered otherwise.
#[derive(Default)]
pub struct Script {
    /// Every permit.
    pub permit: Option<Change>,
    /// Paths answered with these bytes.
    pub serve: BTreeMap<String, Vec<u8>>,
    /// Nothing is answered at all.
    pub cut: bool,
    /// What the controller answers to documents is lost on its way.
    pub lose: bool,
    /// What becomes of requests to stop; all are passed on where nothing is said.
    pub on_stop: Option<OnStop>,
    /// It stands for a controller of before, which takes evidence up to this version: what it does not know it
    /// refuses. One of before version 2 does not say what it takes.
    pub takes: Option<u64>,
    /// Questions that reached it.
    pub asked: u64,
    /// The sequence of each document and the status that the controller answered, oldest first.
    pub answered: Vec<(u64, u16)>,
    /// Payload types of the documents that were taken, oldest first.
    pub taken: Vec<String>,
}

/// The one between. Ends when dropped.
pub struct Between {
    address: SocketAddr,
    ca: PathBuf,
    script: Arc<Mutex<Script>>,
    permit_key: Arc<SigningKey>,
    task: JoinHandle<()>,
}

struct Shared {
    client: reqwest::Client,
    controller: String,
    script: Arc<Mutex<Script>>,
    permit_key: Arc<SigningKey>,
}

impl Between {
    /// Listens, with a certificate of its own, before `controller`.
    ///
    /// # Errors
    /// If it cannot listen, or the controller's permit key cannot be read.
    pub async fn start(world: &World, controller: &Controller) -> Result<Self> {
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let ca = world.path().join("between.pem");
        std::fs::write(&ca, certified.cert.pem())?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let mut tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Mutex::new(Script::default()));
        let permit_key = Arc::new(controller.permit_key()?);
        let shared = Arc::new(Shared {
            client: controller.client().clone(),
            controller: controller.url(),
            script: Arc::clone(&script),
            permit_key: Arc::clone(&permit_key),
        });
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(|request| {
                        let shared = Arc::clone(&shared);
                        async move { shared.answer(request).await.ok_or_else(|| std::io::Error::other("lost")) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, ca, script, permit_key, task })
    }

    /// Its address, as agents are told a controller's.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its certificate.
    pub fn ca(&self) -> PathBuf {
        self.ca.clone()
    }

    /// The controller's own key for permits: what a controller taken over would sign with.
    pub fn permit_key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.permit_key)
    }

    /// Changes what is answered.
    ///
    /// # Errors
    /// If a thread that held the script has panicked.
    pub fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> Result<T> {
        self.script.lock().map(|mut script| change(&mut script)).map_err(|_| anyhow!("the script is poisoned"))
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Nothing where the answer is lost on its way, as if the connection had broken.
    async fn answer(&self, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        self.pass_on(request).await.unwrap_or_else(|_| Some(plain(StatusCode::BAD_GATEWAY, Bytes::new())))
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Result<Option<Response<Full<Bytes>>>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let served = {
            let mut script = self.script.lock().map_err(|_| anyhow!("poisoned"))?;
            script.asked += 1;
            // Streams are not passed on: what is pushed would go round the script.
            if script.cut || path == api::STREAM {
                return Ok(Some(plain(StatusCode::SERVICE_UNAVAILABLE, Bytes::new())));
            }
            match script.takes.filter(|_| path == api::VERSIONS) {
                Some(..=1) => return Ok(Some(refusal(StatusCode::NOT_FOUND, "not-found"))),
                Some(evidence) => {
                    let versions = serde_json::to_vec(&DocumentVersions { evidence })?;
                    return Ok(Some(plain(StatusCode::OK, versions.into())));
                }
                None => {}
            }
            script.serve.get(&path).cloned()
        };
        if let Some(bytes) = served {
            return Ok(Some(plain(StatusCode::OK, bytes.into())));
        }
        let body = Limited::new(body, REQUEST_BYTES_MAX).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
        let mut fate = StopFate::PassedOn;
        if head.method == Method::POST && path == api::STOPS {
            let request: StopRequest = serde_json::from_slice(&body)?;
            let mut script = self.script.lock().map_err(|_| anyhow!("poisoned"))?;
            fate = script.on_stop.as_mut().map_or(fate, |on_stop| on_stop(&request));
        }
        match fate {
            StopFate::PassedOn | StopFate::AnswerLost => {}
            StopFate::Cut => return Ok(None),
            StopFate::Answered(status) => return Ok(Some(plain(status, Bytes::new()))),
        }
        let (kind, sequence) = said_of(&body);
        let takes = self.script.lock().map_err(|_| anyhow!("poisoned"))?.takes;
        let is_of = |version: u64| kind.ends_with(&format!(".v{version}+json"));
        if path != api::ACKNOWLEDGEMENTS && takes.is_some_and(|newest| (newest + 1..=EVIDENCE_VERSION).any(is_of)) {
            return Ok(Some(refusal(StatusCode::BAD_REQUEST, "malformed")));
        }
        let mut onward = self.client.request(head.method, format!("{}{path}", self.controller)).body(body);
        for name in [AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static(api::REQUEST_HEADER)] {
            if let Some(value) = head.headers.get(&name) {
                onward = onward.header(&name, value);
            }
        }
        let answer = onward.send().await?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        if fate == StopFate::AnswerLost {
            return Ok(None);
        }
        let is_document = path == api::EVIDENCE || path == api::HEARTBEATS;
        if is_document {
            let mut script = self.script.lock().map_err(|_| anyhow!("poisoned"))?;
            script.answered.push((sequence, status.as_u16()));
            if script.lose {
                return Ok(None);
            }
        }
        if status == StatusCode::OK && is_document {
            return Ok(Some(plain(status, self.receipt(&bytes, kind)?.into())));
        }
        Ok(Some(plain(status, bytes)))
    }

    fn receipt(&self, bytes: &[u8], taken: String) -> Result<Vec<u8>> {
        let mut receipt: Receipt = serde_json::from_slice(bytes)?;
        let mut script = self.script.lock().map_err(|_| anyhow!("poisoned"))?;
        // The script first: what is taken and not changed would be lost on its way.
        if let Some(change) = &script.permit
            && let Some(sealed) = receipt.permit.take()
        {
            let permit = sealed.verify([self.permit_key.public()]).context("the controller's permit")?;
            receipt.permit = Some(EitherVersion::New(change(permit.into_document())?));
        }
        if let Some(newest) = script.takes {
            receipt.evidence = Some(newest).filter(|newest| *newest > 1);
            receipt.unknown_stops.clear();
            receipt.unknown_permit = None;
            receipt.enrolment = None;
        }
        script.taken.push(taken);
        Ok(serde_json::to_vec(&receipt)?)
    }
}

/// Payload type of an envelope, and the sequence in its cover; nothing of anything else.
fn said_of(body: &[u8]) -> (String, u64) {
    let envelope: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| envelope.get(name).and_then(Value::as_str).unwrap_or_default();
    let payload = BASE64.decode(text("payload").as_bytes()).unwrap_or_default();
    let document: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let sequence = document.pointer("/cover/sequence").and_then(Value::as_u64).unwrap_or_default();
    (text("payloadType").to_owned(), sequence)
}

fn refusal(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    plain(status, format!("{{\"code\":\"{code}\",\"message\":\"not known here\"}}").into())
}

fn plain(status: StatusCode, bytes: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    response
}
