//! `publish`: what is sent, what stays, and what the controller says to it.

use std::collections::BTreeMap;
use std::fs;

use data_encoding::BASE64;
use manifests::api::Publish;
use manifests::digest::Digest;
use manifests::time::Time;
use manifests::tuf::MetaFile;
use manifests::tuf::repository;
use serde_json::{Value, json};

use crate::controller::{Asked, CUT, Controller};
use crate::desk::{BASELINE, Desk, FILE_LIST, check, run};

fn published() -> Value {
    json!({ "baseline": { "version": "1.0.0",
        "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        "versions": { "root": 1, "targets": 1, "lifts": 1, "snapshot": 7, "timestamp": 8 } })
}

/// What a controller would serve after the desk's metadata of these versions was published there.
fn served(desk: &Desk, targets: u64, lifts: u64) -> BTreeMap<String, Value> {
    let read = |name: &str| fs::read(desk.path(&format!("d/metadata/{name}"))).unwrap();
    let mut served = BTreeMap::new();
    let mut serve = |name: String, bytes: &[u8]| {
        served.insert(name, serde_json::from_slice(bytes).unwrap());
    };
    serve("1.root.json".to_owned(), &read("1.root.json"));
    let mut metas = BTreeMap::new();
    for (role, newest) in [("targets", targets), ("lifts", lifts)] {
        for version in 1..=newest {
            let bytes = read(&format!("{version}.{role}.json"));
            metas.insert(format!("{role}.json"), MetaFile::of(version, &bytes));
            serve(format!("{version}.{role}.json"), &bytes);
        }
    }
    let now = Time::from_unix_ms(1_700_000_000_000);
    let snapshot = repository::snapshot(now, None, metas);
    let bytes = repository::unsigned(&snapshot).unwrap();
    serve(format!("{}.snapshot.json", snapshot.version), &bytes);
    let timestamp = repository::timestamp(now, None, snapshot.version, &bytes);
    serve("timestamp.json".to_owned(), &repository::unsigned(&timestamp).unwrap());
    served
}

/// Serves these files and takes everything.
fn taking(desk: &Desk, served: BTreeMap<String, Value>) -> Controller {
    Controller::start(desk, move |asked: &Asked| match asked.line.strip_prefix("GET /tuf/") {
        Some(name) => match served.get(name) {
            Some(file) => (200, file.clone()),
            None => (404, json!({ "code": "not-found", "message": "no such file" })),
        },
        None => (200, published()),
    })
}

fn publish(desk: &Desk, controller: &Controller, code: i32, words: &[&str]) -> String {
    check(&controller.run(desk, &["publish", &desk.text("d")]), code, words)
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
    let controller = taking(&desk, BTreeMap::new());
    let output = controller.run(&desk, &["publish", &desk.text("d")]);
    check(&output, 0, &["baseline 1.0.0", "targets 1", "timestamp 8"]);
    let [body] = sent(&controller).try_into().unwrap();
    assert_eq!(body.metadata.keys().collect::<Vec<_>>(), ["1.lifts.json", "1.root.json", "1.targets.json"]);
    let list = FILE_LIST.strip_prefix("d/").unwrap();
    assert_eq!(body.targets.keys().collect::<Vec<_>>(), ["convenience-issuance/baseline.toml", list, "registry.toml"]);
    assert_eq!(body.targets["convenience-issuance/baseline.toml"], BASE64.encode(BASELINE.as_bytes()));
}

#[test]
fn what_is_served_and_not_in_force_is_sent_again() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("a"), 0, &[]);
    check(&desk.sign("b"), 0, &["2.targets.json: signed; 2 of 2"]);
    // The controller ended between the file and the timestamp that would have brought it into force.
    let mut served = served(&desk, 1, 1);
    let second = fs::read(desk.path("d/metadata/2.targets.json")).unwrap();
    served.insert("2.targets.json".to_owned(), serde_json::from_slice(&second).unwrap());
    let controller = taking(&desk, served);
    publish(&desk, &controller, 0, &[]);
    let [body] = sent(&controller).try_into().unwrap();
    assert_eq!(body.metadata.keys().collect::<Vec<_>>(), ["2.targets.json"]);
}

#[test]
fn a_draft_stays_as_long_as_something_signed_can_be_sent() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("a"), 0, &["2.targets.json"]);
    // Targets 1 is served already: its file, which has changed here, is not needed.
    let mut served = served(&desk, 1, 1);
    served.remove("1.lifts.json");
    let controller = taking(&desk, served);
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
    let served = served(&desk, 1, 1);
    let controller = Controller::start(&desk, move |asked| match asked.line.strip_prefix("GET /tuf/") {
        Some(name) => served.get(name).map_or((404, Value::Null), |file| (200, file.clone())),
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
    let controller = taking(&desk, served(&desk, 1, 1));
    let text = publish(&desk, &controller, 0, &["has everything", "in force: baseline 1.0.0 (sha256:", "targets 1"]);
    assert!(!text.contains("note") && !text.contains("warning"), "{text}");
    assert!(sent(&controller).is_empty());
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    let controller = taking(&desk, BTreeMap::new());
    check(&controller.run(&desk, &["publish", &desk.text("d")]), 1, &["baseline.toml is not the one"]);
    assert!(sent(&controller).is_empty());
}

#[test]
fn another_file_under_the_same_name_is_a_conflict_and_nothing_is_sent() {
    let desk = Desk::signed();
    let theirs = served(&desk, 1, 1);
    // A third signature is no other content.
    let mut more = theirs.clone();
    more.get_mut("1.targets.json").unwrap()["signatures"].as_array_mut().unwrap().pop();
    publish(&desk, &taking(&desk, more), 0, &["has everything"]);
    // The same version with another baseline, signed by the same two.
    let other = desk.copy();
    fs::remove_file(other.path("d/metadata/1.targets.json")).unwrap();
    other.replace("d/baseline.toml", "permit_ttl = \"30m\"", "permit_ttl = \"20m\"");
    for who in ["a", "b"] {
        check(&other.sign(who), 0, &[]);
    }
    let controller = taking(&desk, served(&other, 1, 1));
    let digest = Digest::of(served(&other, 1, 1)["1.targets.json"].to_string().as_bytes());
    let conflict = format!("conflict: the controller's 1.targets.json is another one ({digest})");
    publish(&desk, &controller, 1, &[&conflict, "in force: baseline 1.0.0", "nothing was sent"]);
    assert!(sent(&controller).is_empty());
    // Another first root: nothing else needs saying.
    let stranger = Desk::signed();
    let controller = taking(&desk, served(&stranger, 1, 1));
    let text = publish(&desk, &controller, 1, &["conflict: the controller's first root is another one (sha256:"]);
    assert_eq!(text.matches("conflict:").count(), 1, "{text}");
    assert!(sent(&controller).is_empty());
}

#[test]
fn a_controller_that_is_ahead_is_named_and_so_is_what_nobody_signed() {
    let desk = Desk::signed();
    let ahead = desk.copy();
    ahead.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    for who in ["a", "b"] {
        check(&ahead.sign(who), 0, &[]);
    }
    let stop = Digest::of(b"stop");
    fs::create_dir_all(desk.path(&format!("d/lifts/{}", stop.hex()))).unwrap();
    desk.write(&format!("d/lifts/{}/1.json", stop.hex()), "{}");
    desk.replace("d/registry.toml", "Munakata", "Munakata City");
    let controller = taking(&desk, served(&ahead, 2, 1));
    let lift = format!("lifts/{}/1.json is signed by nobody", stop.hex());
    let words =
        ["ahead: it has targets 2, the newest here is 1", "in force: baseline 1.0.1", &lift, "registry.toml has"];
    publish(&desk, &controller, 0, &words);
    assert!(sent(&controller).is_empty());
    // What went another way is older than what is in force, and not there under its name.
    let mut without = served(&ahead, 2, 1);
    without.remove("1.targets.json");
    let controller = taking(&desk, without);
    publish(&desk, &controller, 1, &["conflict: 1.targets.json is not the controller's, which is at targets 2"]);
    assert!(sent(&controller).is_empty());
}

#[test]
fn a_connection_cut_while_publishing_leaves_open_what_is_in_force() {
    let desk = Desk::signed();
    let cut = |after: fn(&str) -> bool| {
        let controller = Controller::start(&desk, move |asked| match asked.line.as_str() {
            line if after(line) => (CUT, Value::Null),
            _ => (404, Value::Null),
        });
        let text = publish(&desk, &controller, 69, &[]);
        text.contains("cut before the answer; whether it is in force is not known: publish again")
    };
    assert!(cut(|line| line == "POST /v1/publish"));
    // A question changes nothing.
    assert!(!cut(|line| line.starts_with("GET")));
}

#[test]
fn only_a_controller_of_the_ca_is_spoken_to() {
    let desk = Desk::signed();
    let controller = taking(&desk, BTreeMap::new());
    // Another one puts its CA in place of the first's.
    let _other = taking(&desk, BTreeMap::new());
    check(&controller.run(&desk, &["publish", &desk.text("d")]), 69, &["cannot be reached"]);
    assert!(controller.asked().is_empty());
    let publish = |url: &str, ca: &str| {
        let (directory, token, ca) = (desk.text("d"), desk.text("token"), desk.text(ca));
        run(&["publish", &directory, "--controller", url, "--ca", &ca, "--token-file", &token])
    };
    // Port 1 of the loopback: nobody listens.
    check(&publish("https://127.0.0.1:1", "ca.pem"), 69, &["127.0.0.1:1", "cannot be reached"]);
    check(&publish("http://127.0.0.1:1", "ca.pem"), 64, &["no https address"]);
    check(&publish("https://127.0.0.1:1", "token"), 1, &["no certificate"]);
    check(&publish("https://127.0.0.1:1", "none.pem"), 74, &["none.pem"]);
    desk.chmod("token", 0o644);
    check(&publish("https://127.0.0.1:1", "ca.pem"), 1, &["token is open to others (mode 644)", "chmod 600"]);
}

#[test]
fn several_controllers_are_published_to_in_one_command_and_each_answer_is_shown() {
    let desk = Desk::signed();
    let takes = taking(&desk, BTreeMap::new());
    let (url, ca, token) = (takes.url().to_owned(), desk.text("ca.pem"), desk.text("token"));
    let directory = desk.text("d");
    let nobody = "https://127.0.0.1:1";
    let remote = ["--controller", nobody, "--controller", &url, "--ca", &ca, "--token-file", &token];
    let output = run(&[&["publish", &directory][..], &remote].concat());
    let said = check(&output, 69, &[nobody, &url, "cannot be reached", "published: 1.lifts.json", "1 of 2 have not"]);
    assert!(said.find(nobody) < said.find(&url), "in their order: {said}");
    assert!(takes.asked().iter().any(|asked| asked.line.starts_with("POST ")), "the second one got it all the same");
    // Whose CA is whose must be clear.
    let unclear = ["--controller", nobody, "--controller", &url, "--controller", &url, "--ca", &ca, "--ca", &ca];
    let output = run(&[&["publish", &directory][..], &unclear, &["--token-file", &token]].concat());
    check(&output, 64, &["all 3 controllers"]);
}
