//! A controller that follows another one: what it takes, what proves that it was set back, and what it refuses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use controller::role::Role;
use manifests::api::{self, Handover};
use manifests::key::SigningKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{AP, World, soon};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Copies the whole directory of a controller that does not run.
fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A second process with a copy of the world's controller as it was, which follows the world's.
struct Copy {
    url: String,
    log: PathBuf,
    _directory: tempfile::TempDir,
    _child: Child,
}

impl Copy {
    fn of(world: &World) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        copy_directory(&world.data(), &directory.path().join("data"));
        directory
    }

    async fn follow(world: &World, directory: tempfile::TempDir) -> Self {
        let (token, log) = (directory.path().join("token"), directory.path().join("log"));
        std::fs::write(&token, world.operator("standby", Role::Viewer).await).unwrap();
        std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sekisho-controller"))
            .args(["serve", "--listen", "127.0.0.1:0", "--follow", &world.url, "--follow-ca"])
            .arg(world.data().join("ca.pem"))
            .arg("--follow-token-file")
            .arg(&token)
            .arg("--root")
            .arg(world.args().root)
            .arg("--data")
            .arg(directory.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the first line", lines.next_line()).await.unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self { url, log, _directory: directory, _child: child }
    }

    async fn see(&self, world: &World, path: &str) -> Value {
        let answer = world.client.get(format!("{}{path}", self.url)).bearer_auth(&world.admin).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }
}

async fn stop(world: &World) -> Value {
    let body = json!({ "scope": { "kind": "all" }, "reason": "drill" });
    world.ask(Method::POST, api::STOPS, &world.admin, Some(&body)).await.json().await.unwrap()
}

#[tokio::test]
async fn its_own_stop_that_it_has_forgotten_proves_that_it_was_set_back_also_where_a_controller_has_it() {
    let mut world = World::new().await;
    world.stop().await;
    let copy = Copy::of(&world);
    world.start().await;
    let lost = stop(&world).await;
    let copy = Copy::follow(&world, copy).await;
    let taken = async {
        loop {
            let stops = copy.see(&world, api::STOPS).await;
            if stops.as_array().is_some_and(|stops| stops.len() == 1) {
                return stops[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert_eq!(soon("the stop", taken).await["stop"], lost["stop"]);
    let noticed = copy.see(&world, api::SET_BACK).await["set_back"].clone();
    assert_eq!((&noticed["proof"], &noticed["number"]), (&json!("stop"), &json!(1)), "{noticed}");
    assert_eq!((&noticed["controller"], noticed.get("host")), (&json!(world.url), None), "who has it");
}

#[tokio::test]
async fn a_word_that_is_refused_is_told_once_with_its_reason() {
    let mut world = World::new().await;
    world.stop().await;
    let copy = Copy::of(&world);
    world.start().await;
    // The copy's registry does not have this host.
    let mut draft = world.draft();
    draft.targets_version = 2;
    draft.registry = world.registry(&[AP, "131016-ap1"]);
    assert!(world.publish(&draft).await.status().is_success());
    world.host("131016-ap1").await;
    let copy = Copy::follow(&world, copy).await;
    let told = || std::fs::read_to_string(&copy.log).unwrap();
    soon("the refusal", async {
        while !told().contains("131016-ap1") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // Another fetch, which says that it came: a host enrolled since is carried over.
    world.host(AP).await;
    soon("the other word", async {
        while copy.see(&world, api::HANDOVER).await["enrolments"].as_array().is_none_or(Vec::is_empty) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let log = told();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("131016-ap1")).collect();
    assert!(lines.len() == 1 && lines[0].contains("not listed"), "{log}");
}

#[tokio::test]
async fn a_handover_that_has_not_changed_is_not_signed_again() {
    let world = World::new().await;
    world.host(AP).await;
    let ask = async |tag: Option<&str>| {
        let request = world.client.get(format!("{}{}", world.url, api::HANDOVER)).bearer_auth(&world.admin);
        let request = tag.into_iter().fold(request, |request, tag| request.header("if-none-match", tag));
        request.send().await.unwrap()
    };
    let first = ask(None).await;
    let tag = first.headers().get("etag").expect("a tag").to_str().unwrap().to_owned();
    let first: Handover = first.json().await.unwrap();
    assert_eq!(first.enrolments.len(), 1);
    assert_eq!(ask(Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
    // Another key of the same host, and a stop, are news.
    world.host(AP).await;
    let second = ask(Some(&tag)).await;
    assert_eq!(second.status(), StatusCode::OK);
    let tag = second.headers()["etag"].to_str().unwrap().to_owned();
    stop(&world).await;
    let third: Handover = ask(Some(&tag)).await.json().await.unwrap();
    assert_eq!((third.enrolments.len(), third.stops.len()), (1, 1));
    let key = SigningKey::generate().unwrap();
    assert!(third.enrolments[0].clone().verify([key.public()]).is_err());
}

#[tokio::test]
async fn two_controllers_with_one_key_are_told_from_one_that_was_set_back() {
    let mut world = World::new().await;
    world.stop().await;
    let directory = Copy::of(&world);
    let data = directory.path().join("data");
    world.start().await;
    let copy = Copy::follow(&world, directory).await;
    let cause = async || copy.see(&world, api::SET_BACK).await["set_back"]["cause"].clone();
    // The first goes on with its key while the copy serves.
    let noticed = tokio::time::timeout(Duration::from_secs(120), async {
        while cause().await != json!("key-used-twice") {
            stop(&world).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    noticed.await.expect("the copy notices that its key is used twice");
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_sekisho-controller"));
    let said = doctor.args(["doctor", "--data"]).arg(&data).output();
    let said = String::from_utf8(said.await.unwrap().stdout).unwrap();
    assert!(said.contains("BAD  set-back: another controller signs with this one's key"), "{said}");
    let log = std::fs::read_to_string(&copy.log).unwrap();
    assert!(log.contains("another controller signs with this one's key"), "{log}");
    assert!(world.see::<Value>(api::SET_BACK).await["set_back"].is_null(), "the first was shown nothing");
}
