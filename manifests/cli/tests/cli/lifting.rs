//! `lift`: what stands in its way, and what comes of it.

use std::fs;
use std::process::Output;
use std::sync::Arc;

use manifests::digest::Digest;
use manifests::stop::Lift;
use serde_json::{Value, json};

use crate::controller::Controller;
use crate::desk::{Desk, check, run};

const SITE: &str = "402206";

fn stop() -> Digest {
    Digest::of(b"stop")
}

/// A stopped site with nothing else open, and the stop.
fn quiet() -> (Value, Value) {
    let stopped = json!([{ "code": "stopped" }]);
    let time = "2026-10-01T00:00:00.000Z";
    let later = "2999-10-01T00:00:00.000Z";
    let host = json!({ "host": "402206-ap1", "roles": ["ap"], "verdict": "issue", "reasons": stopped,
        "allowed": { "verdict": "hold", "reasons": stopped }, "heard": time,
        "evidence": time, "agent": "0.1.0", "baseline": null, "state": null, "permit": null, "acknowledged": 1 });
    let appraisal = json!({ "verdict": "issue", "reasons": [], "items": [], "changes_at": null });
    let site = json!({ "code": SITE, "name": { "en": "Munakata" }, "standing": "stopped", "verdict": "hold",
        "reasons": stopped, "hosts": 1, "since": time, "verified_at": time, "verified_until": later });
    let stop = json!({ "stop": { "number": 1, "digest": stop() }, "scope": { "kind": "sites", "sites": [SITE] },
        "reason": "wrong prints", "operator": "ops", "time": time, "acknowledged": ["402206-ap1"], "outstanding": [],
        "lifted": [] });
    (json!({ "site": site, "hosts": [{ "host": host, "appraisal": appraisal }], "stops": [stop] }), stop)
}

fn lift(desk: &Desk, view: Value, stops: Value, site: &str, digest: Digest) -> Output {
    let answers = Arc::new((view, stops));
    let controller = Controller::start(desk, move |asked| match asked.line.as_str() {
        "GET /v1/stops" => (200, answers.1.clone()),
        "GET /v1/sites/402206" => (200, answers.0.clone()),
        _ => (404, json!({ "code": "not-found", "message": "no such site" })),
    });
    let (directory, digest) = (desk.text("d"), digest.to_string());
    controller.run(desk, &["lift", &directory, "--stop", &digest, "--site", site, "--reason", "repaired"])
}

#[test]
fn a_lift_is_written_once_and_signed_by_two() {
    let desk = Desk::signed();
    let (view, stop_view) = quiet();
    check(
        &lift(&desk, view.clone(), json!([stop_view]), SITE, stop()),
        0,
        &["1.json", "(\"wrong prints\") for 1 site\n"],
    );
    let name = format!("lifts/{}/1.json", stop().hex());
    let written: Lift = serde_json::from_str(&desk.read(&format!("d/{name}"))).unwrap();
    assert!(written.frees(&stop(), &SITE.parse().unwrap()));
    check(&lift(&desk, view, json!([stop_view]), SITE, stop()), 1, &["lifts the stop there"]);

    check(&desk.sign("b"), 0, &["1.targets.json: nothing to sign", "2.lifts.json: made and signed; 1 of 2"]);
    check(&desk.sign("c"), 0, &["2.lifts.json: signed; 2 of 2"]);
    assert!(desk.targets("2.lifts.json").targets.contains_key(&name));

    let bytes = fs::read(desk.path(&format!("d/{name}"))).unwrap();
    fs::remove_file(desk.path(&format!("d/{name}"))).unwrap();
    check(&desk.sign("a"), 1, &["lifts are never removed"]);
    fs::write(desk.path(&format!("d/{name}")), [&bytes[..], b"\n"].concat()).unwrap();
    check(&desk.sign("a"), 1, &["not canonical"]);
    assert!(!desk.exists("d/metadata/3.lifts.json"));
}

#[test]
fn whatever_is_open_at_a_site_is_named_and_nothing_is_written() {
    let desk = Desk::new();
    let case = |change: &dyn Fn(&mut Value, &mut Value), words: &[&str]| {
        let (mut view, mut stop_view) = quiet();
        change(&mut view, &mut stop_view);
        check(&lift(&desk, view, json!([stop_view]), SITE, stop()), 1, words);
    };
    case(
        &|view, _| view["hosts"][0]["appraisal"]["reasons"] = json!([{ "code": "lock-drifted", "item": "lock" }]),
        &["402206-ap1: lock-drifted lock"],
    );
    case(
        &|view, _| view["hosts"][0]["host"]["reasons"] = json!([{ "code": "clone-suspected" }]),
        &["402206-ap1: clone-suspected"],
    );
    case(&|view, _| view["hosts"][0]["appraisal"]["verdict"] = json!("hold"), &["402206-ap1: its evidence"]);
    case(&|view, _| view["site"]["verified_until"] = json!("2026-10-01T00:00:00.000Z"), &["402206: evidence counted"]);
    case(&|view, _| view["site"]["verified_until"] = Value::Null, &["not all hosts have shown evidence"]);
    case(&|view, _| view["hosts"][0]["host"]["evidence"] = Value::Null, &["402206-ap1: no evidence"]);
    case(&|view, _| view["hosts"] = json!([]), &["no host is listed"]);
    case(&|_, stop| stop["acknowledged"] = json!([]), &["402206-ap1: has not acknowledged stop 1"]);
    case(&|_, stop| stop["scope"]["sites"] = json!(["372013"]), &["not in the scope"]);
    case(&|_, stop| stop["lifted"] = json!([SITE]), &["lifted already"]);
    case(&|view, _| view["site"]["code"] = json!("372013"), &["answers for 372013"]);
    let (view, stop_view) = quiet();
    let stops = json!([stop_view]);
    check(&lift(&desk, view.clone(), stops.clone(), SITE, Digest::of(b"x")), 1, &["knows no stop"]);
    check(&lift(&desk, view.clone(), stops.clone(), "372013", stop()), 1, &["not-found: no such site"]);
    check(&lift(&desk, view, stops, "402207", stop()), 64, &["check digit"]);
    assert_eq!(fs::read_dir(desk.path("d/lifts")).unwrap().count(), 0);
}

#[test]
fn a_lift_is_held_against_the_controller_again_when_it_is_signed() {
    let desk = Desk::signed();
    let (view, stop_view) = quiet();
    check(&lift(&desk, view.clone(), json!([stop_view]), SITE, stop()), 0, &[]);
    let sign = |view: Value, stops: Value| {
        let answers = Arc::new((view, stops));
        let controller = Controller::start(&desk, move |asked| match asked.line.as_str() {
            "GET /v1/stops" => (200, answers.1.clone()),
            "GET /v1/sites/402206" => (200, answers.0.clone()),
            _ => (404, json!({ "code": "not-found", "message": "no such site" })),
        });
        let (directory, key) = (desk.text("d"), desk.text("b.pem"));
        controller.run(&desk, &["sign", &directory, "--key", &key, "--only", "lifts"])
    };
    // Since it was written a lock was lost there.
    let mut open = view.clone();
    open["hosts"][0]["appraisal"]["verdict"] = "hold".into();
    open["hosts"][0]["appraisal"]["reasons"] = json!([{ "code": "lock-drifted", "item": "lock.print-wait" }]);
    check(&sign(open, json!([stop_view])), 1, &["no lift is signed", "reason: repaired", "lock-drifted"]);
    check(&sign(view.clone(), json!([])), 1, &["the controller knows no stop"]);
    assert!(!desk.exists("d/metadata/2.lifts.json"));
    check(
        &sign(view, json!([stop_view])),
        0,
        &["the stop: number 1, \"wrong prints\"", "2.lifts.json: made and signed"],
    );
}

#[test]
fn a_controller_that_cannot_be_asked_is_not_passed_over() {
    let desk = Desk::signed();
    desk.write_lift(1, SITE, "by hand");
    let (directory, key, ca) = (desk.text("d"), desk.text("a.pem"), desk.text("ca.pem"));
    let sign = |more: &[&str]| {
        let named = ["sign", &directory, "--key", &key, "--only", "lifts", "--controller", "https://127.0.0.1:1"];
        run(&[&named, more].concat())
    };
    check(&sign(&["--ca", &ca]), 64, &["https://127.0.0.1:1 is named, and --token-file (SEKISHO_TOKEN_FILE) is not"]);
    check(&sign(&["--token-file", &ca]), 64, &["--ca (SEKISHO_CA)"]);
    assert!(!desk.exists("d/metadata/2.lifts.json"));
}
