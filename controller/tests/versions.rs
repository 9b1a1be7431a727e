//! Evidence of version 1 and of version 2, over the wire, across publishes and restarts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use manifests::api::{self, HostView, Next};
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::evidence::{Heartbeat, TreeSeen, v1};
use manifests::outcome::Verdict;
use manifests::permit::Permit;
use manifests::reason::{Code, Reason};
use sqlx::{ConnectOptions, Connection as _, sqlite::SqliteConnectOptions};
use support::{OTHER, World, baseline, code, failure, state};

fn state_v1(lock: &str) -> v1::State {
    v1::State::from(&state(lock))
}

fn tree() -> Digest {
    Digest::of(b"a file list")
}

fn permit(receipt: api::Receipt) -> Permit {
    receipt.permit.unwrap().claimed().unwrap()
}

#[tokio::test]
async fn a_state_of_version_1_is_bound_repeated_and_judged_as_before() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    let shown = state_v1("exclusive");
    assert_ne!(shown.digest(), state("exclusive").digest());
    let first = permit(world.receipt(&other.evidence_v1(shown.clone())).await);
    // The permit binds what was sent.
    assert_eq!((first.verdict, first.state), (Verdict::Issue, Some(shown.digest())));
    let receipt = world.receipt(&other.heartbeat_v1(shown.digest())).await;
    assert_eq!(receipt.next, Next::Nothing);
    let again = permit(receipt);
    assert_eq!((again.verdict, again.state), (Verdict::Issue, Some(shown.digest())));
    let drifted = permit(world.receipt(&other.evidence_v1(state_v1("shared"))).await);
    assert_eq!((drifted.verdict, drifted.state), (Verdict::Hold, Some(state_v1("shared").digest())));
}

#[tokio::test]
async fn a_host_changes_the_version_whenever_it_likes() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence_v1(state_v1("exclusive"))).await;
    // The digest of the other version was not shown.
    let receipt = world.receipt(&other.heartbeat("exclusive")).await;
    assert_eq!(receipt.next, Next::SendFull);
    assert_eq!(permit(receipt).reasons, [Reason::of(Code::PermitMismatch)]);
    let current = permit(world.receipt(&other.evidence("exclusive")).await);
    assert_eq!((current.verdict, current.state), (Verdict::Issue, Some(state("exclusive").digest())));
    assert_eq!(permit(world.receipt(&other.heartbeat("exclusive")).await).verdict, Verdict::Issue);
    let receipt = world.receipt(&other.heartbeat_v1(state_v1("exclusive").digest())).await;
    assert_eq!(receipt.next, Next::SendFull);
    assert_eq!(permit(world.receipt(&other.evidence_v1(state_v1("exclusive"))).await).verdict, Verdict::Issue);
}

/// The baseline with a program that reads the lock's file at its start.
fn read_at_start(version: &str) -> String {
    let text = baseline(version).replace("reload = \"live\"", "reload = \"restart\"\nprogram = \"server\"");
    format!(
        "{text}\n[[program]]\nid = \"server\"\nroot = \"/opt/server\"\nroles = [\"ap\"]\nenforce = \"warn\"\nowner = \"o\"\n\
         remediation = {{ en = \"r\" }}\n[[program.release]]\nversion = \"1.0.0\"\ntree = \"{}\"\n",
        tree()
    )
}

#[tokio::test]
async fn what_version_1_told_of_a_program_counts_for_what_it_reads_after_a_publish_and_a_restart() {
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    let with = |loaded: v1::Loaded| {
        let mut shown = state_v1("exclusive");
        let tree = TreeSeen::Digest(tree());
        let program = v1::ProgramSeen { tree, loaded, findings: Vec::new() };
        shown.programs.insert("server".parse().unwrap(), program);
        shown
    };
    let older = with(v1::Loaded::Older { file: "lib/a".to_owned() });
    let current = with(v1::Loaded::Current);
    // Under a baseline that reads nothing at start an older library is nothing to the lock.
    assert_eq!(permit(world.receipt(&other.evidence_v1(older.clone())).await).verdict, Verdict::Issue);
    let mut draft = world.draft();
    (draft.targets_version, draft.baseline) = (2, read_at_start("2.0.0"));
    assert_eq!(world.publish(&draft).await.status(), 200);
    other.baseline.clone_from(&draft.baseline);
    for restarted in [false, true] {
        if restarted {
            world.stop().await;
            world.start().await;
        }
        let held = permit(world.receipt(&other.evidence_v1(older.clone())).await);
        assert_eq!(held.reasons, [Reason::item(Code::NotLoaded, &"lock.print-wait".parse().unwrap())], "{restarted}");
        let again = permit(world.receipt(&other.heartbeat_v1(older.digest())).await);
        assert_eq!(again.reasons, held.reasons, "restarted: {restarted}");
        let missing = permit(world.receipt(&other.evidence_v1(state_v1("exclusive"))).await);
        assert_eq!(missing.reasons, [Reason::item(Code::Unknown, &"lock.print-wait".parse().unwrap())]);
        assert_eq!(permit(world.receipt(&other.evidence_v1(current.clone())).await).verdict, Verdict::Issue);
        world.stop().await;
        world.start().await;
        let again = permit(world.receipt(&other.heartbeat_v1(current.digest())).await);
        assert_eq!((again.verdict, again.state), (Verdict::Issue, Some(current.digest())));
    }
}

#[tokio::test]
async fn a_database_of_a_controller_before_version_2_is_taken_up() {
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    let shown = state_v1("exclusive");
    world.receipt(&other.evidence_v1(shown.clone())).await;
    world.stop().await;
    // As the controller before left it.
    let mut before = SqliteConnectOptions::new().filename(world.data().join("controller.db")).connect().await.unwrap();
    for change in ["ALTER TABLE states DROP COLUMN version", "DELETE FROM _sqlx_migrations WHERE version = 2"] {
        sqlx::query(change).execute(&mut before).await.unwrap();
    }
    before.close().await.unwrap();
    world.start().await;
    let receipt = world.receipt(&other.heartbeat_v1(shown.digest())).await;
    assert_eq!(receipt.next, Next::Nothing);
    let permit = permit(receipt);
    assert_eq!((permit.verdict, permit.state), (Verdict::Issue, Some(shown.digest())));
    let view: HostView = world.see(&format!("{}/{OTHER}", api::HOSTS)).await;
    assert_eq!(view.host.state, Some(shown.digest()));
}

#[tokio::test]
async fn a_run_of_an_unchanged_state_does_not_begin_after_the_heartbeat_that_tells_it() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    let mut send = async |since: i64| {
        let cover = other.cover();
        let since = cover.sequence.checked_add_signed(since).unwrap();
        let heartbeat = Heartbeat { cover, state: state("exclusive").digest(), since };
        let answer = world.send(&Sealed::seal(&heartbeat, &other.key).unwrap()).await;
        if !answer.status().is_success() {
            other.sequence -= 1; // It did not count.
        }
        answer
    };
    for since in [0, -1, -2] {
        assert_eq!(send(since).await.status(), 200, "{since}");
    }
    // Behind itself, and before the first.
    for since in [1, -5] {
        let (status, body) = failure(send(since).await).await;
        assert_eq!((status, body.code.as_str()), (400, "malformed"), "{since}");
        assert!(body.message.contains("run of an unchanged state"), "{}", body.message);
    }
}

#[tokio::test]
async fn a_version_that_nobody_knows_is_refused() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    for (path, sealed) in [
        (api::EVIDENCE, serde_json::to_value(other.evidence("exclusive")).unwrap()),
        (api::HEARTBEATS, serde_json::to_value(other.heartbeat("exclusive")).unwrap()),
    ] {
        let mut newer = sealed.clone();
        let name = sealed["payloadType"].as_str().unwrap().replace(".v3", ".v4");
        newer["payloadType"] = name.into();
        let answer = world.ask(reqwest::Method::POST, path, "", Some(&newer)).await;
        assert_eq!(code(answer).await, (400, "malformed".to_owned()), "{path}");
        // Signed as version 2 and named as version 1.
        newer["payloadType"] = sealed["payloadType"].as_str().unwrap().replace(".v3", ".v1").into();
        let answer = world.ask(reqwest::Method::POST, path, "", Some(&newer)).await;
        assert_eq!(code(answer).await, (401, "signature".to_owned()), "{path}");
    }
}
