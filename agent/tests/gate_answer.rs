//! The gate's answer has the status, headers and members that `docs/protocol.md` gives it.
#![expect(clippy::unwrap_used, reason = "an answer that cannot be read is a test that fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use agent::clock;
use agent::gate_server::{GATE_PATH, GateServer};
use agent::keeper::Keeper;
use manifests::gate::Gate;
use manifests::time::Time;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a gate answers that knows nothing, hence holds.
async fn answer(request: &str) -> (String, String) {
    let gate = Gate::new("p".parse().unwrap(), "402206-ap1".parse().unwrap(), clock::now(), Time::MIN);
    let server = GateServer::new(Arc::new(Keeper::new(gate, None)), || Value::Null);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(server.serve_tcp(listener));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    serving.abort();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_hold_looks_as_the_protocol_shows_it() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, shown) = page.split_once("```json gate-hold\n").unwrap();
    let shown: Value = serde_json::from_str(shown.split_once("\n```").unwrap().0).unwrap();

    let request = format!(
        "GET {GATE_PATH}/any/../where?x=1 HTTP/1.0\r\nX-Sekisho-Entry: store\r\nX-Sekisho-Transaction: 7f3a\r\n\r\n"
    );
    let (head, body) = answer(&request).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(members(&body), members(&shown));
    assert_eq!(members(&body["reasons"][0]), members(&shown["reasons"][0]));
    assert_eq!((&body["entry"], &body["transaction"]), (&shown["entry"], &shown["transaction"]));
    assert!(head.starts_with("HTTP/1.0 403 "), "{head}");
    let head = head.to_ascii_lowercase();
    for line in ["cache-control: no-store", "x-sekisho-verdict: hold", "x-sekisho-reason: no-baseline"] {
        assert!(head.contains(line), "{head}");
    }
    for name in ["Cache-Control: no-store", "X-Sekisho-Verdict", "X-Sekisho-Reason", "X-Sekisho-Decision"] {
        assert!(page.contains(&format!("`{name}`")), "docs/protocol.md lacks {name}");
    }
}

#[tokio::test]
async fn every_method_gets_the_same_answer() {
    for method in ["POST", "HEAD", "DELETE", "OPTIONS", "PROPFIND"] {
        let (head, _) = answer(&format!("{method} {GATE_PATH} HTTP/1.0\r\n\r\n")).await;
        assert!(head.starts_with("HTTP/1.0 403 "), "{method}: {head}");
    }
}

#[tokio::test]
async fn connections_that_ask_nothing_delay_no_question() {
    let gate = Gate::new("p".parse().unwrap(), "402206-ap1".parse().unwrap(), clock::now(), Time::MIN);
    let server = GateServer::new(Arc::new(Keeper::new(gate, None)), || Value::Null);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(server.serve_tcp(listener));
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(format!("GET {GATE_PATH} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 403");
    };
    // A proxy keeps its connection between two questions.
    let mut kept = TcpStream::connect(address).await.unwrap();
    ask(&mut kept).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let mut one = TcpStream::connect(address).await.unwrap();
    // Less than an idle connection may last by itself.
    let soon = std::time::Duration::from_secs(4);
    tokio::time::timeout(soon, ask(&mut one)).await.unwrap();
    drop(idle);
    serving.abort();
}
