//! Whatever strangers do, operators and enrolled hosts are heard.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use manifests::api;
use manifests::time::{Span, Time};
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

#[tokio::test]
async fn lists_come_by_pages_and_one_stop_comes_whole() {
    let world = World::new().await;
    for number in 0..3 {
        let body = serde_json::json!({ "scope": { "kind": "all" }, "reason": format!("Stop {number}.") });
        assert_eq!(world.ask(Method::POST, api::STOPS, &world.admin, Some(&body)).await.status(), 201);
    }
    let first: Vec<api::StopView> = world.see("/v1/stops?limit=2").await;
    assert_eq!(first.iter().map(|stop| stop.stop.number).collect::<Vec<_>>(), [3, 2]);
    let rest: Vec<api::StopView> = world.see(&format!("/v1/stops?limit=2&after={}", first[1].stop.digest)).await;
    assert_eq!(rest.iter().map(|stop| stop.stop.number).collect::<Vec<_>>(), [1]);
    let one: api::StopView = world.see(&format!("/v1/stops/{}", rest[0].stop.digest)).await;
    let counts = one.counts.unwrap();
    assert_eq!((one.stop.number, counts.outstanding, counts.stopped), (1, 3, 2));

    let hosts: Vec<api::HostRow> = world.see("/v1/hosts?limit=2").await;
    let more: Vec<api::HostRow> = world.see(&format!("/v1/hosts?limit=2&after={}", hosts[1].host)).await;
    assert_eq!((hosts.len(), more.len()), (2, 1));
    let sites: api::FleetView = world.see("/v1/sites?limit=1").await;
    assert_eq!((sites.sites.len(), sites.counts.sites), (1, 2), "counts are the whole fleet's");
    let answer = world.ask(Method::GET, "/v1/stops?after=x", &world.admin, None::<&()>).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_has_the_fleet_already_is_not_sent_it_again() {
    let world = World::new().await;
    let ask = |tag: Option<String>| {
        let mut request = world.client.get(format!("{}{}", world.url, api::SITES)).bearer_auth(&world.admin);
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        async move { request.send().await.unwrap() }
    };
    let first = ask(None).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let again = ask(Some(tag.clone())).await;
    // Without its own time the answer says when it was by this alone.
    let date = Time::from_http_date(again.headers()["date"].to_str().unwrap()).unwrap();
    assert!(controller::clock::now().since(date) < Span::from_s(60), "{date}");
    assert_eq!((again.status(), again.bytes().await.unwrap().len()), (StatusCode::NOT_MODIFIED, 0));
    let body = serde_json::json!({ "scope": { "kind": "all" }, "reason": "A test." });
    assert_eq!(world.ask(Method::POST, api::STOPS, &world.admin, Some(&body)).await.status(), 201);
    assert_eq!(ask(Some(tag)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_stop_that_is_sent_again_is_one_stop() {
    let mut world = World::new().await;
    let stop = async |world: &World, token: &str, id: &str, reason: &str| {
        let body = serde_json::json!({ "scope": { "kind": "all" }, "reason": reason });
        let request = world.client.post(format!("{}{}", world.url, api::STOPS)).bearer_auth(token);
        let answer = request.header(api::REQUEST_HEADER, id).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<serde_json::Value>().await.unwrap())
    };
    let number = |(status, view): &(u16, serde_json::Value)| (*status, view["stop"]["number"].as_u64());
    let admin = world.admin.clone();
    let many: Vec<_> = futures_util::future::join_all((0..8).map(|_| stop(&world, &admin, "one", "A test."))).await;
    assert!(many.iter().all(|answer| number(answer) == (201, Some(1))), "{many:?}");
    let other = stop(&world, &admin, "one", "Another reason.").await;
    assert_eq!((other.0, other.1["code"].as_str()), (409, Some("request-used")));
    assert_eq!(stop(&world, &admin, "two words", "A test.").await.0, 400);
    world.stop().await;
    world.start().await;
    assert_eq!(number(&stop(&world, &admin, "one", "A test.").await), (201, Some(1)), "after a restart, too");
    // Somebody else's request of that name is another one.
    let duty = world.operator("duty", controller::role::Role::Operator).await;
    assert_eq!(number(&stop(&world, &duty, "one", "A test.").await), (201, Some(2)));
    assert_eq!(world.see::<Vec<api::StopView>>(api::STOPS).await.len(), 2);
}

#[tokio::test]
async fn a_request_names_one_host_as_its_version_asks() {
    let world = World::new().await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"),
        ("GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "HTTP/1.1 400"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        ("GET /healthz HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.0 400"),
    ] {
        let mut stream = connect(&world).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), status, "{head:?}");
    }
}
