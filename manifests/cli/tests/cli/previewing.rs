//! `preview`, and what `sign` makes of it.

use manifests::digest::Digest;
use serde_json::{Value, json};

use crate::controller::{Asked, Controller};
use crate::desk::{BASELINE, Desk, check, run};

/// An answer for the draft that was sent: so many of two sites would be newly held.
fn answer(desk: &Desk, held: u32) -> Value {
    let site = json!({ "code": "402206", "name": { "en": "Munakata", "ja": "宗像市" }, "hosts": [{
        "host": "402206-ap1", "reasons": [{ "code": "altered", "item": "issuing-server" }] }] });
    let other = json!({ "code": "372013", "name": { "en": "Takamatsu" }, "hosts": [{
        "host": "372013-ap1", "reasons": [], "not_collected": ["lock.print-wait"] }] });
    let digest = |name: &str| Digest::of(desk.read(name).as_bytes());
    let newly_held: Vec<Value> = (0..held).map(|_| site.clone()).collect();
    json!({
        "time": "2026-10-01T09:00:10.000Z", "in_force": null,
        "baseline": { "version": "1.0.0", "digest": digest("d/baseline.toml") },
        "registry": { "digest": digest("d/registry.toml"), "joining": ["131016"], "leaving": [] },
        "counts": { "sites": 3, "newly_held": held, "not_collected": 1, "opened": 0, "unchanged": 0 },
        "newly_held": newly_held, "not_collected": [other], "opened": [],
    })
}

fn controller(desk: &Desk, body: Value) -> Controller {
    Controller::start(desk, move |asked: &Asked| match asked.line.as_str() {
        "POST /v1/preview" => (200, body.clone()),
        _ => (404, json!({ "code": "not-found", "message": "made up" })),
    })
}

#[test]
fn a_signer_sees_whom_the_draft_would_hold_before_signing_it() {
    let desk = Desk::new();
    let controller = controller(&desk, answer(&desk, 1));
    let text = check(
        &controller.run(&desk, &["preview", &desk.text("d")]),
        0,
        &[
            "1 of 3 sites would be newly held",
            "prefecture 40: 1",
            "402206 Munakata (宗像市)",
            "402206-ap1: altered issuing-server",
            "1 of 3 sites cannot be told",
            "372013-ap1: not collected: lock.print-wait",
            "131016 joins",
        ],
    );
    assert!(text.find("newly held") < text.find("cannot be told"), "{text}");
    let sent: Value = serde_json::from_slice(&controller.asked()[0].body).unwrap();
    let names: Vec<&String> = sent["targets"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["convenience-issuance/baseline.toml", "registry.toml"], "no list is needed without patches");
    assert_eq!(desk.read("d/.gitignore"), "/preview.json\n");
    let json = controller.run(&desk, &["preview", &desk.text("d"), "--output", "json"]);
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap()["counts"]["newly_held"], 1);

    // Nobody is at a terminal: it is said, and nobody is asked.
    check(
        &desk.sign("a"),
        0,
        &["previewed at ", "1 of 3 sites would be newly held, 1 cannot be told", "1.targets.json"],
    );
    check(&desk.sign("b"), 0, &["would be newly held", "complete"]);
}

#[test]
fn a_preview_is_of_its_draft_alone_and_signing_goes_on_without_one() {
    let desk = Desk::new();
    let controller = controller(&desk, answer(&desk, 1));
    check(&controller.run(&desk, &["preview", &desk.text("d")]), 0, &[]);
    desk.replace("d/baseline.toml", "reviewed on Fridays", "reviewed on Mondays");
    // The controller still answers for the draft before.
    check(&controller.run(&desk, &["preview", &desk.text("d")]), 1, &["another draft"]);
    let text = check(&desk.sign("a"), 0, &["nobody has previewed this draft", "made and signed"]);
    assert!(!text.contains("newly held"), "{text}");
    let arguments = ["sign", &desk.text("d"), "--key", &desk.text("b.pem"), "--yes"];
    check(&run(&arguments), 0, &["nobody has previewed this draft", "complete"]);
    // What is renewed changes nobody's verdict.
    let text = check(&run(&["renew", &desk.text("d"), "--key", &desk.text("a.pem")]), 0, &["renewed and signed"]);
    assert!(!text.contains("previewed"), "{text}");
}

#[test]
fn a_draft_with_mistakes_is_not_asked_about() {
    let desk = Desk::new();
    let controller = controller(&desk, answer(&desk, 1));
    desk.write("d/baseline.toml", &BASELINE.replace("schema = 1", "schema = 1\nsurprise = 1"));
    check(&controller.run(&desk, &["preview", &desk.text("d")]), 1, &["surprise"]);
    assert!(controller.asked().is_empty() && !desk.exists("d/preview.json"));
}
