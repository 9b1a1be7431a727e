//! Whatever strangers do, operators and enrolled hosts are heard.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use manifests::api;
use reqwest::{Method, StatusCode};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A connection below HTTP.
async fn connect(world: &World) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(world.data().join("ca.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let address = world.url.strip_prefix("https://").unwrap().to_owned();
    let stream = TcpStream::connect(&address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn a_key_that_nobody_has_is_refused_before_its_document_is_read() {
    let world = World::new().await;
    let mut stream = connect(&world).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\n{}: {}\r\nContent-Length: 1000000\r\n\r\n",
        api::EVIDENCE,
        api::KEY_HEADER,
        "a".repeat(64)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
}

#[tokio::test]
async fn an_enrolment_with_a_token_that_there_is_not_is_refused_before_it_is_read() {
    let world = World::new().await;
    let mut stream = connect(&world).await;
    let head = "POST /v1/enrolments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer none\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_token_made_a_moment_ago_counts_and_one_that_was_replaced_ends_its_streams() {
    let world = World::new().await;
    let token = world.operator("duty", controller::role::Role::Operator).await;
    let mut stream = connect(&world).await;
    let head = format!("GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    world.operator("duty", controller::role::Role::Operator).await;
    let mut rest = Vec::new();
    // A cut connection ends in whatever way; what counts is that it does.
    let _ = soon("the end of the stream", stream.read_to_end(&mut rest)).await;
    let answer = world.ask(Method::GET, api::SITES, &token, None::<&()>).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn operators_have_an_entrance_of_their_own() {
    let mut world = World::new().await;
    world.stop().await;
    world.own_entrance = true;
    world.start().await;
    let own = world.operators_url.clone().unwrap();
    assert_ne!(own, world.url);
    let request = world.client.request(Method::POST, format!("{own}{}", api::STOPS)).bearer_auth(&world.admin);
    let body = serde_json::json!({ "scope": { "kind": "all" }, "reason": "A test." });
    let answer = request.json(&body).timeout(Duration::from_secs(20)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}
