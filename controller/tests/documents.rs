//! Which documents count, over the wire: replayed, somebody else's, unreadable, too large.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use data_encoding::BASE64;
use manifests::api::{self, FleetView, HostView, Next};
use manifests::digest::Digest;
use manifests::envelope::{Document, Sealed, pre_authentication_encoding};
use manifests::evidence::{Evidence, Held, ProcessesSeen, ProgramSeen, TreeSeen};
use manifests::key::SigningKey;
use manifests::outcome::Verdict;
use reqwest::Method;
use support::{AP, DB, OTHER, World, code, failure, state};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn evidence_is_answered_with_a_permit_that_its_key_verifies() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    let receipt = world.receipt(&other.evidence("exclusive")).await;
    let key = controller::data::Data::new(world.data()).public().unwrap().permit_key;
    let permit = receipt.permit.unwrap().verify([&key]).unwrap();
    assert_eq!((permit.verdict, permit.answers, permit.state), (Verdict::Issue, 1, Some(state("exclusive").digest())));
    assert_eq!((receipt.sequence, receipt.next), (1, Next::Nothing));
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!((fleet.counts.sites, fleet.counts.verified, fleet.counts.silent), (2, 1, 1));
    let drifted = world.receipt(&other.evidence("shared")).await.permit.unwrap().verify([&key]).unwrap();
    assert_eq!(drifted.verdict, Verdict::Hold);
    let view: HostView = world.see(&format!("{}/{OTHER}", api::HOSTS)).await;
    assert_eq!(view.appraisal.items[0].details[0].line, Some(3));
}

#[tokio::test]
async fn what_should_run_and_does_not_is_told_of_host_and_site_and_holds_nobody() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    let mut draft = world.draft();
    draft.targets_version = 2;
    let tree = Digest::of(b"a file list");
    draft.baseline = support::baseline("2.0.0").replace("schema = 1", "schema = 2")
        + &format!(
            "\n[[program]]\nid = \"server\"\nroot = \"/opt/server\"\nprocess = {{ exe = \"bin/server\" }}\n\
             expect_running = true\nroles = [\"ap\"]\nenforce = \"hold\"\nowner = \"o\"\nremediation = {{ en = \"r\" }}\n\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"{tree}\"\n"
        );
    assert_eq!(world.publish(&draft).await.status(), 200);
    other.baseline.clone_from(&draft.baseline);
    let mut shown = async |processes| {
        let mut evidence = Evidence { cover: other.cover(), state: state("exclusive") };
        let (loaded, tree) = (Held::default(), TreeSeen::Digest(tree));
        let program = ProgramSeen { tree, processes, loaded, trees: vec![], findings: vec![] };
        evidence.state.programs.insert("server".parse().unwrap(), program);
        let receipt = world.receipt(&Sealed::seal(&evidence, &other.key).unwrap()).await;
        let fleet: FleetView = world.see(api::SITES).await;
        let row = fleet.sites.into_iter().find(|row| row.code == *other.id.site()).unwrap();
        let view: HostView = world.see(&format!("{}/{OTHER}", api::HOSTS)).await;
        assert_eq!((&row.warnings, &view.host.warnings), (&view.appraisal.warnings, &view.appraisal.warnings));
        let warnings: Vec<String> = row.warnings.iter().map(ToString::to_string).collect();
        (receipt.permit.unwrap().claimed().unwrap().verdict, warnings)
    };
    let warning = vec!["not-running server".to_owned()];
    assert_eq!(shown(ProcessesSeen::NotRunning).await, (Verdict::Issue, warning));
    assert_eq!(shown(ProcessesSeen::Running).await, (Verdict::Issue, vec![]));
}

#[tokio::test]
async fn the_same_bytes_have_the_effect_of_once_and_older_ones_none() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    let first = other.evidence("exclusive");
    let receipt = world.receipt(&first).await;
    let again = world.receipt(&first).await;
    assert_eq!(receipt.permit, again.permit);
    world.receipt(&other.heartbeat("exclusive")).await;
    let (status, body) = failure(world.send(&first).await).await;
    assert_eq!((status, body.code.as_str(), body.sequence), (409, "sequence", Some(2)));
    other.sequence += 1_000_000;
    assert_eq!(code(world.send(&other.heartbeat("exclusive")).await).await, (409, "sequence-jump".to_owned()));
}

#[tokio::test]
async fn documents_count_only_from_the_hosts_own_key() {
    let world = World::new().await;
    let (mut ap, other) = (world.host(AP).await, world.host(OTHER).await);
    // Another site's host, with a key that is enrolled.
    let mut cover = ap.cover();
    cover.host = other.id.clone();
    let forged = Sealed::seal(&Evidence { cover, state: state("exclusive") }, &ap.key).unwrap();
    assert_eq!(code(world.send(&forged).await).await, (403, "wrong-host".to_owned()));
    // A key that nobody enrolled.
    let stranger = SigningKey::generate().unwrap();
    let unknown = Sealed::seal(&Evidence { cover: ap.cover(), state: state("exclusive") }, &stranger).unwrap();
    assert_eq!(code(world.send(&unknown).await).await, (403, "not-enrolled".to_owned()));
    // An enrolled key's name under another key's signature, and a changed payload.
    let mut wire = serde_json::to_value(ap.evidence("exclusive")).unwrap();
    wire["signatures"][0]["sig"] = serde_json::to_value(&unknown).unwrap()["signatures"][0]["sig"].clone();
    let answer = world.ask(Method::POST, api::EVIDENCE, "", Some(&wire)).await;
    assert_eq!(code(answer).await, (401, "signature".to_owned()));
    // A document of one kind sent as the other.
    let answer = world.ask(Method::POST, api::HEARTBEATS, "", Some(&ap.evidence("exclusive"))).await;
    assert_eq!(code(answer).await, (400, "malformed".to_owned()));
    for id in [AP, OTHER] {
        let view: HostView = world.see(&format!("{}/{id}", api::HOSTS)).await;
        assert_eq!(view.host.heard, None, "nothing of it had an effect");
    }
}

#[tokio::test]
async fn a_host_that_left_the_registry_is_refused() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    let mut draft = world.draft();
    draft.targets_version = 2;
    draft.registry = world.registry(&[AP, DB]);
    assert!(world.publish(&draft).await.status().is_success());
    assert_eq!(code(world.send(&other.heartbeat("exclusive")).await).await, (403, "not-listed".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_code() {
    let world = World::new().await;
    let deep = format!("{{\"payloadType\":{}", "[".repeat(100_000));
    for body in ["", "{", "null", "[]", "{\"payloadType\":1e400}", "\u{0}", deep.as_str()] {
        let answer = world.client.post(format!("{}{}", world.url, api::EVIDENCE)).body(body.to_owned()).send().await;
        assert_eq!(code(answer.unwrap()).await, (400, "malformed".to_owned()));
    }
    // An envelope as arrays: what a lenient parser takes for the same.
    let mut host = world.host(AP).await;
    let sealed = serde_json::to_value(host.evidence("exclusive")).unwrap();
    let (mut arrays, signature) = (sealed.clone(), &sealed["signatures"][0]);
    arrays["signatures"] = serde_json::json!([[signature["keyid"], signature["sig"]]]);
    let all = serde_json::json!([sealed["payloadType"], sealed["payload"], sealed["signatures"]]);
    for body in [arrays, all] {
        let answer = world.ask(Method::POST, api::EVIDENCE, "", Some(&body)).await;
        assert_eq!(code(answer).await, (400, "malformed".to_owned()), "{body}");
    }
    let post = world.client.post(format!("{}{}", world.url, api::EVIDENCE));
    let encoded = post.header("content-encoding", "gzip").body("x").send().await.unwrap();
    assert_eq!(code(encoded).await, (415, "unsupported-encoding".to_owned()));
    let large = world.client.post(format!("{}{}", world.url, api::HEARTBEATS)).body(vec![b' '; 3 << 20]).send().await;
    assert_eq!(code(large.unwrap()).await, (413, "too-large".to_owned()));
    let nowhere = world.ask(Method::GET, "/v2/nothing", "", None::<&()>).await;
    assert_eq!(code(nowhere).await, (404, "not-found".to_owned()));
    let method = world.ask(Method::DELETE, api::EVIDENCE, "", None::<&()>).await;
    assert_eq!(code(method).await, (405, "method-not-allowed".to_owned()));
    for path in ["/tuf/%ff", "/v1/sites/%ff", "/v1/hosts/%c3%28"] {
        let no_text = world.ask(Method::GET, path, &world.admin, None::<&()>).await;
        assert_eq!(code(no_text).await, (400, "malformed".to_owned()), "{path}");
    }
    let repeated = world.ask(Method::GET, &format!("/v1/sites/{}", "9".repeat(8000)), &world.admin, None::<&()>).await;
    let (status, body) = failure(repeated).await;
    assert!((400..500).contains(&status) && body.message.len() <= 1024, "{status} {body:?}");
    let long = serde_json::json!({ "scope": { "kind": "all" }, "reason": "r", "x".repeat(8000): 1 });
    let (status, body) = failure(world.ask(Method::POST, api::STOPS, &world.admin, Some(&long)).await).await;
    assert_eq!((status, body.message.len() <= 1024), (400, true), "{body:?}");
    let directory = world.ask(Method::GET, "/tuf/targets", "", None::<&()>).await;
    assert_eq!(code(directory).await, (404, "not-found".to_owned()));
    let escape = world.ask(Method::GET, "/tuf/%2e%2e/controller.json", "", None::<&()>).await;
    assert_eq!(code(escape).await, (404, "not-found".to_owned()));
}

#[tokio::test]
async fn the_head_of_a_request_is_bounded_over_both_versions() {
    let world = World::new().await;
    let ca = std::fs::read(world.data().join("ca.pem")).unwrap();
    let client = || reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()]);
    for client in [client().http1_only().build().unwrap(), client().build().unwrap()] {
        for (length, refused) in [(10_000, false), (20_000, true)] {
            let answer =
                client.get(format!("{}{}", world.url, api::HEALTH)).header("x-filler", "x".repeat(length)).send().await;
            // HTTP/2 refuses before there is an answer, or with 431.
            let is_refused = answer.as_ref().map_or(true, |answer| answer.status() == 431);
            assert_eq!(is_refused, refused, "{length}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_gigabyte_is_refused_before_it_is_sent() {
    let world = World::new().await;
    let address = world.url.strip_prefix("https://").unwrap();
    let ca = std::fs::read(world.data().join("ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(&ca).unwrap();
    roots.add(certificate).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", api::EVIDENCE);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    support::soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_payload_in_another_form_is_refused_though_it_is_signed() {
    let world = World::new().await;
    let mut host = world.host(AP).await;
    let sealed = serde_json::to_value(host.evidence("exclusive")).unwrap();
    let payload = BASE64.decode(sealed["payload"].as_str().unwrap().as_bytes()).unwrap();
    let good: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let mut resumed = good.clone();
    resumed["cover"]["resumed"] = false.into();
    let mut null = good.clone();
    null["cover"]["checkpoint"] = serde_json::Value::Null;
    let mut array = good.clone();
    array["cover"]["agent"] = serde_json::json!([good["cover"]["agent"]["version"], good["cover"]["agent"]["digest"]]);
    let mut in_force = good.clone();
    in_force["state"]["settings"]["lock.print-wait"]["in_force"] = serde_json::Value::Null;
    let mut line = good.clone();
    line["state"]["settings"]["lock.print-wait"]["value"]["value"]["line"] = 0.into();
    let send = async |payload: &serde_json::Value| {
        let payload = serde_json::to_vec_pretty(payload).unwrap();
        let bytes = host.key.sign(&pre_authentication_encoding(Evidence::PAYLOAD_TYPE, &payload));
        let mut sealed = sealed.clone();
        sealed["payload"] = BASE64.encode(&payload).into();
        sealed["signatures"][0]["sig"] = BASE64.encode(&bytes).into();
        world.ask(Method::POST, api::EVIDENCE, "", Some(&sealed)).await
    };
    for (what, payload) in [
        ("/cover/resumed", resumed),
        ("/cover/checkpoint", null),
        ("/cover/agent", array),
        ("in_force", in_force),
        ("a line from 1", line),
    ] {
        let (status, body) = failure(send(&payload).await).await;
        assert_eq!((status, body.code.as_str()), (400, "malformed"), "{what}");
        assert!(body.message.contains(what), "{what}: {}", body.message);
    }
    // White space and the order of members are the writer's own.
    assert!(send(&good).await.status().is_success());
}
