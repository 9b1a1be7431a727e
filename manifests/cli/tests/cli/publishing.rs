//! `publish`: what is sent, what stays, and what the controller says to it.

use data_encoding::BASE64;
use manifests::api::Publish;
use serde_json::{Value, json};

use crate::controller::{Asked, Controller};
use crate::desk::{BASELINE, Desk, check, run};

fn published() -> Value {
    json!({ "baseline": { "version": "1.0.0",
        "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        "versions": { "root": 1, "targets": 1, "lifts": 1, "snapshot": 7, "timestamp": 8 } })
}

/// Serves the metadata named and takes everything.
fn taking(desk: &Desk, served: &'static [&'static str]) -> Controller {
    Controller::start(desk, move |asked: &Asked| match asked.line.strip_prefix("GET /tuf/") {
        Some(name) if served.contains(&name) => (200, json!({})),
        Some(_) => (404, json!({ "code": "not-found", "message": "no such file" })),
        None => (200, published()),
    })
}

fn sent(controller: &Controller) -> Vec<Publish> {
    let asked = controller.asked();
    assert!(asked.iter().all(|asked| asked.token == "Bearer operator-token"), "{asked:?}");
    let posts = asked.iter().filter(|asked| asked.line == "POST /v1/publish");
    posts.map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
}

#[test]
fn everything_signed_that_the_controller_lacks_is_sent_with_its_files() {
    let desk = Desk::signed();
    let controller = taking(&desk, &[]);
    let output = controller.run(&desk, &["publish", &desk.text("d")]);
    check(&output, 0, &["baseline 1.0.0", "targets 1", "timestamp 8"]);
    let [body] = sent(&controller).try_into().unwrap();
    assert_eq!(body.metadata.keys().collect::<Vec<_>>(), ["1.lifts.json", "1.root.json", "1.targets.json"]);
    assert_eq!(body.targets.keys().collect::<Vec<_>>(), ["convenience-issuance/baseline.toml", "registry.toml"]);
    assert_eq!(body.targets["convenience-issuance/baseline.toml"], BASE64.encode(BASELINE.as_bytes()));
}

#[test]
fn a_draft_stays_as_long_as_something_signed_can_be_sent() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("a"), 0, &["2.targets.json"]);
    // Targets 1 is served already: its file, which has changed here, is not needed.
    let controller = taking(&desk, &["1.root.json", "1.targets.json"]);
    check(&controller.run(&desk, &["publish", &desk.text("d")]), 0, &["2.targets.json is not sent: 1 of 2"]);
    let [body] = sent(&controller).try_into().unwrap();
    assert_eq!(body.metadata.keys().collect::<Vec<_>>(), ["1.lifts.json"]);
    assert!(body.targets.is_empty());
}

#[test]
fn a_draft_alone_is_sent_with_a_warning_and_the_refusal_is_shown() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("a"), 0, &["2.targets.json"]);
    let controller = Controller::start(&desk, |asked| match asked.line.strip_prefix("GET /tuf/1.") {
        Some(_) => (200, json!({})),
        None => (422, json!({ "code": "threshold", "message": "signed by 1 of 2\u{1b}[2J" })),
    });
    let output = controller.run(&desk, &["publish", &desk.text("d")]);
    let text = check(&output, 1, &["warning: 2.targets.json has 1 of 2", "422", "threshold: signed by 1 of 2"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(sent(&controller).len(), 1);
}

#[test]
fn nothing_is_sent_when_there_is_nothing_new_or_the_files_have_changed() {
    let desk = Desk::signed();
    let controller = taking(&desk, &["1.root.json", "1.targets.json", "1.lifts.json"]);
    check(&controller.run(&desk, &["publish", &desk.text("d")]), 0, &["has everything"]);
    assert!(sent(&controller).is_empty());
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    let controller = taking(&desk, &[]);
    check(&controller.run(&desk, &["publish", &desk.text("d")]), 1, &["baseline.toml is not the one"]);
    assert!(sent(&controller).is_empty());
}

#[test]
fn only_a_controller_of_the_ca_is_spoken_to() {
    let desk = Desk::signed();
    let controller = taking(&desk, &[]);
    // Another one puts its CA in place of the first's.
    let _other = taking(&desk, &[]);
    check(&controller.run(&desk, &["publish", &desk.text("d")]), 69, &["cannot be reached"]);
    assert!(controller.asked().is_empty());
    let publish = |url: &str, ca: &str| {
        let (directory, token, ca) = (desk.text("d"), desk.text("token"), desk.text(ca));
        run(&["publish", &directory, "--controller", url, "--ca", &ca, "--token-file", &token])
    };
    // Port 1 of the loopback: nobody listens.
    check(&publish("https://127.0.0.1:1", "ca.pem"), 69, &["127.0.0.1:1", "cannot be reached"]);
    check(&publish("http://127.0.0.1:1", "ca.pem"), 1, &["no https address"]);
    check(&publish("https://127.0.0.1:1", "token"), 1, &["no certificate"]);
    check(&publish("https://127.0.0.1:1", "none.pem"), 74, &["none.pem"]);
}
