//! A made-up controller: HTTPS on a port of its own, answers from a table, keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::desk::{Desk, run};

/// Status of an answer that never comes: the connection is cut.
pub(crate) const CUT: u16 = 0;

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) token: String,
    pub(crate) body: Vec<u8>,
}

type Answers = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

pub(crate) struct Controller {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Controller {
    /// Starts one whose CA and an operator's token are put on the desk.
    pub(crate) fn start(desk: &Desk, answers: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let config = Arc::new(config(desk));
        desk.write("token", "operator-token\n");
        desk.chmod("token", 0o600);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, kept): (Arc<Answers>, _) = (Arc::new(answers), Arc::clone(&asked));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                // A client that does not like the certificate goes away: nothing to tell it.
                let _ = answer(StreamOwned::new(session, stream.unwrap()), &*answers, &kept);
            }
        });
        Self { url, asked }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Runs a subcommand against it.
    pub(crate) fn run(&self, desk: &Desk, arguments: &[&str]) -> std::process::Output {
        let (ca, token) = (desk.text("ca.pem"), desk.text("token"));
        let remote = ["--controller", &self.url, "--ca", &ca, "--token-file", &token];
        run(&[arguments, &remote].concat())
    }
}

fn config(desk: &Desk) -> ServerConfig {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    desk.write("ca.pem", &params.self_signed(&key).unwrap().pem());
    let ca = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap()
}

fn answer(
    stream: StreamOwned<ServerConnection, TcpStream>,
    answers: &Answers,
    kept: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut asked = Asked { line: String::new(), token: String::new(), body: Vec::new() };
    reader.read_line(&mut asked.line)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => asked.token = value.to_owned(),
            Some(_) => {}
            None => break,
        }
    }
    asked.line = asked.line.trim_end_matches(" HTTP/1.1\r\n").to_owned();
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body)?;
    let (status, body) = answers(&asked);
    kept.lock().unwrap().push(asked);
    if status == CUT {
        return Ok(());
    }
    let body = body.to_string();
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    stream.conn.send_close_notify();
    stream.flush()
}
