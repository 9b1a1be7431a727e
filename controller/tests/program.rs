//! The program itself: what it prints, and how it stops.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::process::Stdio;

use manifests::api;
use reqwest::{Method, StatusCode};
use support::{OTHER, World, soon};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-controller"));
    command.kill_on_drop(true);
    command
}

async fn serve(world: &mut World) -> Child {
    let args = world.args();
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&args.data)
        .arg("--root")
        .arg(&args.root)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon("the first line", lines.next_line()).await.unwrap().unwrap();
    world.url = line.strip_prefix("listening on ").unwrap().to_owned();
    child
}

#[tokio::test]
async fn it_says_where_it_listens_takes_tokens_meanwhile_and_stops_when_told() {
    let mut world = World::new().await;
    world.stop().await;
    let mut child = serve(&mut world).await;
    let health = world.ask(Method::GET, api::HEALTH, "", None::<&()>).await;
    assert_eq!(health.status(), StatusCode::OK);
    let made = program().args(["token", "host", OTHER, "--data"]).arg(world.data()).output().await.unwrap();
    assert_eq!(String::from_utf8(made.stderr).unwrap(), "");
    let line = String::from_utf8(made.stdout).unwrap();
    let token = line.trim().strip_prefix(&format!("{OTHER} ")).unwrap().to_owned();
    let key = manifests::key::SigningKey::generate().unwrap();
    assert_eq!(world.enrol(OTHER, &key, &token).await.status(), StatusCode::CREATED);
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(soon("the stop", child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn what_it_acknowledged_is_there_after_kill_9() {
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.stop().await;
    for round in 0..5 {
        let mut child = serve(&mut world).await;
        let sealed = other.evidence("exclusive");
        let receipt = world.receipt(&sealed).await;
        child.kill().await.unwrap();
        let mut child = serve(&mut world).await;
        let again = world.receipt(&sealed).await;
        assert_eq!((again.sequence, again.permit), (receipt.sequence, receipt.permit), "round {round}");
        child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_token_for_a_host_that_nobody_listed_is_made_with_a_warning() {
    let world = World::new().await;
    let made =
        program().args(["token", "host", OTHER, "131016-ap1", "--data"]).arg(world.data()).output().await.unwrap();
    assert!(made.status.success());
    let (tokens, warning) = (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    assert_eq!((tokens.lines().count(), warning.lines().count()), (2, 1), "{warning}");
    assert!(warning.starts_with("warning: 131016-ap1 is not in the registry"), "{warning}");
}

#[tokio::test]
async fn an_operator_has_a_name_that_can_be_printed() {
    let world = World::new().await;
    for (name, status) in
        [("duty", 0), ("当番", 0), ("", 64), (" ", 64), ("a\nb", 64), ("\u{1b}[2J", 64), (&"a".repeat(65), 64)]
    {
        let mut command = program();
        let command = command.args(["token", "operator", name, "--role", "viewer", "--data"]).arg(world.data());
        let made = command.stdout(Stdio::null()).stderr(Stdio::null()).status().await.unwrap();
        assert_eq!(made.code(), Some(status), "{name:?}");
    }
}

#[tokio::test]
async fn files_are_the_owners_alone_and_a_log_in_a_file_is_plain() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = program().args(["init", "--id", "main", "--product", support::PRODUCT, "--data"]).arg(&data).status();
    assert!(made.await.unwrap().success());
    let mut world = World::empty().await;
    world.stop().await;
    let args = world.args();
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .arg("--root")
        .arg(&args.root)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(directory.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    soon("the first line", BufReader::new(child.stdout.take().unwrap()).lines().next_line()).await.unwrap().unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
        names.push(entry.file_name().into_string().unwrap());
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.file_name());
    }
    for name in ["controller.db", "controller.db-wal", "controller.lock"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    child.kill().await.unwrap();
    let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
    assert!(log.contains("serving") && !log.contains('\u{1b}'), "{log:?}");
}

#[tokio::test]
async fn wrong_usage_is_told_from_failure() {
    let usage = program().arg("serve").stderr(Stdio::null()).status().await.unwrap();
    assert_eq!(usage.code(), Some(64));
    let nowhere = ["token", "host", OTHER, "--data", "/nonexistent"];
    let failed = program().args(nowhere).stderr(Stdio::null()).status().await.unwrap();
    assert_eq!(failed.code(), Some(1));
}
