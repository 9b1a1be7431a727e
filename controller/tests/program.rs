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
async fn wrong_usage_is_told_from_failure() {
    let usage = program().arg("serve").stderr(Stdio::null()).status().await.unwrap();
    assert_eq!(usage.code(), Some(64));
    let nowhere = ["token", "host", OTHER, "--data", "/nonexistent"];
    let failed = program().args(nowhere).stderr(Stdio::null()).status().await.unwrap();
    assert_eq!(failed.code(), Some(1));
}
