//! Somebody whom a real agent takes for its controller: answers as a test says, and tells what was asked.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use manifests::api::{self, DocumentVersions, Next, Receipt};
use manifests::envelope::Sealed;
use manifests::evidence::{Cover, EVIDENCE_VERSION, Evidence, Heartbeat};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::signed_set::Served;

/// How long a question may be waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// What was said of who asks.
    pub(crate) bearer: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// The cover, if it is a document.
    pub(crate) fn cover(&self) -> Option<Cover> {
        match self.path.as_str() {
            api::EVIDENCE => {
                let sealed: Sealed<Evidence> = serde_json::from_slice(&self.body).ok()?;
                sealed.claimed().ok().map(|document| document.cover)
            }
            api::HEARTBEATS => {
                let sealed: Sealed<Heartbeat> = serde_json::from_slice(&self.body).ok()?;
                sealed.claimed().ok().map(|document| document.cover)
            }
            _ => None,
        }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Said {
    pub(crate) fn receipt(receipt: &Receipt) -> Self {
        Self { status: 200, retry_after: None, body: serde_json::to_vec(receipt).unwrap() }
    }

    pub(crate) fn nothing() -> Self {
        Self { status: 204, retry_after: None, body: Vec::new() }
    }

    pub(crate) fn refusal(status: u16, code: &str, sequence: Option<u64>) -> Self {
        let mut body = serde_json::json!({ "code": code, "message": "as the test says" });
        if let Some(sequence) = sequence {
            body["sequence"] = sequence.into();
        }
        Self { status, retry_after: None, body: serde_json::to_vec(&body).unwrap() }
    }

    pub(crate) fn retry_after(self, value: &str) -> Self {
        Self { retry_after: Some(value.to_owned()), ..self }
    }
}

/// A receipt that asks for nothing.
pub(crate) fn receipt(cover: &Cover, session: &str) -> Receipt {
    Receipt {
        sequence: cover.sequence,
        next: Next::Nothing,
        permit: None,
        unsigned: None,
        stops: Vec::new(),
        wanted: Vec::new(),
        unknown_stops: Vec::new(),
        unknown_permit: None,
        enrolment: None,
        session: session.to_owned(),
        timestamp: 0,
        evidence: Some(EVIDENCE_VERSION),
    }
}

type Answers = dyn FnMut(&Asked) -> Said + Send;

/// A certificate for 127.0.0.1, of several controllers.
pub(crate) struct Certificate(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Certificate {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap())
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.0.cert.pem()).unwrap();
    }

    fn tls(&self) -> TlsAcceptor {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der()));
        let tls = rustls::ServerConfig::builder().with_no_client_auth();
        let mut tls = tls.with_single_cert(vec![self.0.cert.der().clone()], key).unwrap();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(tls))
    }
}

/// Ends when dropped.
pub(crate) struct Controller {
    address: SocketAddr,
    answers: Arc<Mutex<Box<Answers>>>,
    asked: UnboundedReceiver<Asked>,
    task: JoinHandle<()>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Controller {
    /// Serves the repository and says which versions it takes. Everything else is told, and answered by `answers`, but
    /// for the stream, which it does not have.
    pub(crate) async fn start(
        certificate: &Certificate,
        served: Served,
        answers: impl FnMut(&Asked) -> Said + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tls) = (listener.local_addr().unwrap(), certificate.tls());
        let answers: Arc<Mutex<Box<Answers>>> = Arc::new(Mutex::new(Box::new(answers)));
        let (tell, asked) = unbounded_channel();
        let (served, shared) = (Arc::new(served), Arc::clone(&answers));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, served, answers, tell) =
                    (tls.clone(), Arc::clone(&served), Arc::clone(&shared), tell.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service = hyper::service::service_fn(|request| {
                        let (served, answers, tell) = (Arc::clone(&served), Arc::clone(&answers), tell.clone());
                        async move { Ok::<_, Infallible>(answer(request, &served, &answers, &tell).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, answers, asked, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What is answered from now on.
    pub(crate) fn answers(&self, answers: impl FnMut(&Asked) -> Said + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    /// The next question that `is_it` takes; others before it are passed over.
    pub(crate) async fn hears(&mut self, what: &str, is_it: impl Fn(&Asked) -> bool) -> Asked {
        let heard = async {
            loop {
                let asked = self.asked.recv().await.unwrap();
                if is_it(&asked) {
                    return asked;
                }
            }
        };
        match tokio::time::timeout(DEADLINE, heard).await {
            Ok(asked) => asked,
            Err(_) => panic!("never heard: {what}"),
        }
    }

    /// The next document.
    pub(crate) async fn hears_document(&mut self) -> (Asked, Cover) {
        let asked = self.hears("a document", |asked| asked.cover().is_some()).await;
        let cover = asked.cover().unwrap();
        (asked, cover)
    }

    /// All questions so far.
    pub(crate) fn heard(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

/// Reads so many bytes of the first request in pieces of 1 MiB, each after a pause as a slow line makes it, and answers
/// then; where to send them.
pub(crate) async fn slow_line(certificate: &Certificate, bytes: usize, pause: Duration) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, tls) = (listener.local_addr().unwrap(), certificate.tls());
    let task = tokio::spawn(async move {
        let mut stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
        let (mut piece, mut read) = (vec![0; 1 << 20], 0);
        while read <= bytes {
            tokio::time::sleep(pause).await;
            let mut filled = 0;
            while filled < piece.len() && read <= bytes {
                let length = stream.read(&mut piece[filled..]).await.unwrap();
                (filled, read) = (filled + length, read + length);
                if length == 0 || piece[..filled].ends_with(b"\r\n0\r\n\r\n") {
                    read = bytes + 1;
                }
            }
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        let _ = stream.read(&mut piece).await; // Until the other side has its answer.
    });
    (format!("https://{address}/"), task)
}

async fn answer(
    request: Request<Incoming>,
    served: &Served,
    answers: &Mutex<Box<Answers>>,
    tell: &UnboundedSender<Asked>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let under = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
    let file = |files: &BTreeMap<String, Vec<u8>>, name: String| match files.get(&name) {
        Some(bytes) => Said { status: 200, retry_after: None, body: bytes.clone() },
        None => Said::refusal(404, "not-found", None),
    };
    let said = if let Some(name) = under(api::TUF_TARGETS) {
        file(&served.targets, name)
    } else if let Some(name) = under(api::TUF) {
        file(&served.metadata, name)
    } else if path == api::VERSIONS {
        let body = serde_json::to_vec(&DocumentVersions { evidence: EVIDENCE_VERSION }).unwrap();
        Said { status: 200, retry_after: None, body }
    } else {
        let bearer = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Ok(body) = body.collect().await else {
            return Response::new(Full::default()); // It broke off: nobody reads the answer.
        };
        let asked = Asked { method: head.method.to_string(), path, bearer, body: body.to_bytes().to_vec() };
        let said = match asked.path.as_str() {
            api::STREAM => Said::refusal(503, "unavailable", None),
            _ => answers.lock().unwrap()(&asked),
        };
        let _ = tell.send(asked);
        said
    };
    let mut response = Response::builder().status(said.status);
    if let Some(value) = said.retry_after {
        response = response.header("retry-after", value);
    }
    response.body(Full::new(said.body.into())).unwrap()
}
