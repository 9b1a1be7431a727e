//! What was acknowledged is on disk, and is there after a restart.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::path::Path;

use controller::clock;
use controller::data::Data;
use controller::repository::{ControllerIdentity, Repository};
use controller::store::Connection;
use data_encoding::BASE64;
use manifests::api::{self, FleetView};
use manifests::outcome::Verdict;
use manifests::reason::{Code, Reason};
use manifests::stop::Scope;
use manifests::time::Span;
use manifests::tuf::Timestamp;
use manifests::tuf::repository::read_unverified;
use reqwest::Method;
use support::{AP, OTHER, World, baseline, code, failure};

#[tokio::test]
async fn a_document_is_in_the_store_before_it_is_acknowledged() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    // Another connection sees only what was committed.
    let mut connection = Connection::open(&world.data()).await.unwrap();
    for round in 1..=50 {
        let receipt = if round == 1 {
            world.receipt(&other.evidence("exclusive")).await
        } else {
            world.receipt(&other.heartbeat("exclusive")).await
        };
        let stored = connection.hosts().await.unwrap();
        let (_, host, key) = stored.into_iter().find(|(id, ..)| id.as_str() == OTHER).unwrap();
        assert_eq!(key.unwrap(), *other.key.public());
        assert_eq!((host.record.sequence, receipt.sequence), (round, round));
        let permit = receipt.permit.unwrap();
        assert_eq!(host.permit.unwrap(), permit.claimed().unwrap());
        assert_eq!(host.evidence.unwrap().cover().sequence, round);
    }
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    let first = other.evidence("exclusive");
    let before = world.receipt(&first).await.permit.unwrap().claimed().unwrap();
    let request = api::StopRequest { scope: Scope::Prefecture { prefecture: 40 }, reason: "drill".to_owned() };
    world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await;
    let seen: FleetView = world.see(api::SITES).await;

    world.stop().await;
    world.start().await;
    let mut again: FleetView = world.see(api::SITES).await;
    again.time = seen.time;
    assert_eq!(seen, again);
    assert_eq!(world.receipt(&first).await.permit.unwrap().claimed().unwrap(), before, "the same bytes, once more");
    let receipt = world.receipt(&other.heartbeat("exclusive")).await;
    let after = receipt.permit.unwrap().claimed().unwrap();
    assert!(after.number > before.number);
    assert_eq!(after.verdict, Verdict::Issue);
    assert_eq!(receipt.stops.len(), 1);
    assert_eq!(code(world.send(&first).await).await, (409, "sequence".to_owned()));
    let stops: Vec<api::StopView> = world.see(api::STOPS).await;
    assert_eq!(stops.len(), 1);
}

#[tokio::test]
async fn after_a_stop_one_file_holds_everything_and_nothing_is_open() {
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    // Readers of every kind: a stream, and lists that are asked for without a pause.
    let events = world.ask(Method::GET, api::EVENTS, &world.admin, None::<&()>).await;
    let reading: Vec<_> = (0..8)
        .map(|_| {
            let request = world.client.get(format!("{}{}", world.url, api::HANDOVER)).bearer_auth(&world.admin);
            tokio::spawn(async move { while request.try_clone().unwrap().send().await.is_ok() {} })
        })
        .collect();
    for _ in 0..20 {
        world.receipt(&other.heartbeat("exclusive")).await;
    }
    world.stop().await;
    let data = std::fs::canonicalize(world.data()).unwrap();
    let names = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let database: Vec<String> = names.filter(|name| name.starts_with("controller.db")).collect();
    assert_eq!(database, ["controller.db"], "whoever copies the directory now has all of it");
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    let open: Vec<_> = open.filter(|path| path.starts_with(&data) && !path.ends_with("controller.lock")).collect();
    assert_eq!(open, [""; 0].map(std::path::PathBuf::from));
    // At once, in this process, whatever still ends of the one before.
    drop(controller::store::Store::open(&data).await.unwrap());
    drop(events);
    for one in reading {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_row_stops_the_start_and_names_its_table() {
    use sqlx::{ConnectOptions, Connection as _, sqlite::SqliteConnectOptions};
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    for _ in 0..2 {
        let request = api::StopRequest { scope: Scope::All, reason: "drill".to_owned() };
        world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await;
    }
    world.stop().await;
    let path = world.data().join("controller.db");
    let kept = world.data().join("kept.db");
    let options = SqliteConnectOptions::new().filename(&path);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("VACUUM INTO $1").bind(kept.to_str().unwrap()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let damages = [
        ("hosts", "UPDATE hosts SET sequence = -1"),
        ("hosts", "UPDATE hosts SET permit_named = -1"),
        ("hosts", "UPDATE hosts SET acknowledged = -1"),
        ("hosts", "UPDATE hosts SET heard = -1"),
        ("hosts", "UPDATE hosts SET issue_until = 9223372036854775807"),
        ("hosts", "UPDATE hosts SET cover = NULL"),
        ("hosts", "UPDATE hosts SET state = NULL"),
        ("hosts", "UPDATE hosts SET permit = '{}'"),
        ("states", "DELETE FROM states"),
        ("states", "UPDATE states SET version = 3"),
        ("states", "UPDATE states SET version = 1"),
        ("sites", "UPDATE sites SET since = -1"),
        ("stops", "DELETE FROM stops WHERE number = 1"),
        ("stops", "UPDATE stops SET number = 3 WHERE number = 2"),
        ("publishes", "UPDATE publishes SET time = -1"),
        ("events", "UPDATE events SET id = -1 - id"),
    ];
    for (table, damage) in damages {
        for file in ["controller.db-wal", "controller.db-shm"] {
            let _ = std::fs::remove_file(world.data().join(file));
        }
        std::fs::copy(&kept, &path).unwrap();
        let mut connection = options.connect().await.unwrap();
        let rows = sqlx::query(damage).execute(&mut connection).await.unwrap().rows_affected();
        assert!(rows > 0, "{damage}");
        connection.close().await.unwrap();
        let started = controller::serve::run(world.args(), |_| panic!("{damage}"), std::future::pending());
        let error = format!("{:#}", started.await.unwrap_err());
        assert!(error.contains(&format!("table {table} is damaged")), "{damage}: {error}");
    }
}

#[tokio::test]
async fn evidence_under_baselines_replaced_a_moment_ago_counts_across_a_restart() {
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    for (version, number) in [("2.0.0", 2), ("3.0.0", 3)] {
        let mut draft = world.draft();
        (draft.targets_version, draft.baseline) = (number, baseline(version));
        assert_eq!(world.publish(&draft).await.status(), 200);
    }
    for restarted in [false, true] {
        if restarted {
            world.stop().await;
            world.start().await;
        }
        // It has not heard of either publish yet.
        let permit = world.receipt(&other.heartbeat("exclusive")).await.permit.unwrap().claimed().unwrap();
        assert_eq!((permit.verdict, permit.reasons), (Verdict::Issue, Vec::new()), "restarted: {restarted}");
    }
    other.baseline = baseline("0.9.0");
    let permit = world.receipt(&other.evidence("exclusive")).await.permit.unwrap().claimed().unwrap();
    assert_eq!(permit.reasons, [Reason::of(Code::BaselineOutdated)], "it was never in force here");
}

#[tokio::test]
async fn a_lost_or_older_repository_brings_back_nothing_older() {
    let mut world = World::new().await;
    let tuf = world.data().join("tuf");
    let kept = world.data().join("kept");
    let next = |world: &World, number: u64| {
        let mut draft = world.draft();
        (draft.targets_version, draft.baseline) = (number, baseline(&format!("{number}.0.0")));
        draft
    };
    world.stop().await;
    copy(&tuf, &kept);
    world.start().await;
    let draft = next(&world, 2);
    assert_eq!(world.publish(&draft).await.status(), 200);
    let timestamp = world.ask(Method::GET, "/tuf/timestamp.json", "", None::<&()>).await.bytes().await.unwrap();
    let before: Timestamp = read_unverified(&timestamp).unwrap();

    // Set back to what was there before the last publish.
    world.stop().await;
    std::fs::remove_dir_all(&tuf).unwrap();
    std::fs::rename(&kept, &tuf).unwrap();
    let error = controller::serve::run(world.args(), |_| (), std::future::pending()).await.unwrap_err();
    assert!(format!("{error:#}").contains("targets 1 is older than targets 2"), "{error:#}");

    // Lost: nothing is in force, and nothing older comes to be.
    std::fs::remove_dir_all(&tuf).unwrap();
    world.start().await;
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.baseline, None);
    let (status, body) = failure(world.publish(&world.draft()).await).await;
    assert_eq!(status, 422, "{body:?}");
    assert!(body.message.contains("targets 1 is older than targets 2"), "{body:?}");
    let answer = world.publish(&draft).await;
    assert_eq!(answer.status(), 200, "what was in force: {:?}", answer.text().await);
    // Hosts have seen the timestamps of before.
    let timestamp = world.ask(Method::GET, "/tuf/timestamp.json", "", None::<&()>).await.bytes().await.unwrap();
    let after: Timestamp = read_unverified(&timestamp).unwrap();
    assert!(after.version > before.version, "{} {}", after.version, before.version);
    assert!(after.snapshot().unwrap().version > before.snapshot().unwrap().version);
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.baseline.unwrap().version, "2.0.0");
}

#[tokio::test]
async fn what_is_lost_while_it_serves_is_mended_by_the_next_publish_and_nothing_older_comes_back() {
    let mut world = World::new().await;
    let tuf = world.data().join("tuf");
    // Each once: what is published again is the same.
    let mut draft = world.draft();
    let signed = [1, 2, 3, 4].map(|number| {
        (draft.targets_version, draft.lifts_version) = (number, 1);
        draft.baseline = baseline(&format!("{number}.0.0"));
        world.signed(&draft)
    });
    // All that release managers have, as their tool sends it to somebody who has nothing.
    let publish = async |world: &World, number: usize| {
        let mut publish = signed[number - 1].clone();
        let first = std::fs::read(world.args().root).unwrap();
        publish.metadata.insert("1.root.json".to_owned(), BASE64.encode(&first));
        world.ask(Method::POST, api::PUBLISH, &world.admin, Some(&publish)).await
    };
    assert_eq!(world.ask(Method::POST, api::PUBLISH, &world.admin, Some(&signed[1])).await.status(), 200);
    for (is_lost, next) in [(true, 2), (true, 3), (false, 3)] {
        let targets = tuf.join(format!("{next}.targets.json"));
        match is_lost {
            true => std::fs::remove_dir_all(&tuf).unwrap(),
            false => std::fs::write(targets, "{").unwrap(),
        }
        let (status, body) = failure(publish(&world, 1).await).await;
        assert_eq!((status, body.code.as_str()), (422, "rollback"), "{body:?}");
        let answer = publish(&world, next).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        assert_eq!(world.ask(Method::GET, "/tuf/1.root.json", "", None::<&()>).await.status(), 200);
        // A start verifies all of it.
        world.stop().await;
        world.start().await;
        let fleet: FleetView = world.see(api::SITES).await;
        assert_eq!(fleet.baseline.unwrap().version, format!("{next}.0.0"));
    }
    // A file that is neither sent nor there is asked for by name.
    std::fs::remove_dir_all(&tuf).unwrap();
    let mut part = signed[3].clone();
    part.targets.remove("registry.toml");
    let (status, body) = failure(world.ask(Method::POST, api::PUBLISH, &world.admin, Some(&part)).await).await;
    assert_eq!((status, body.code.as_str()), (422, "not-found"), "{body:?}");
    assert!(body.message.contains("registry.toml"), "{body:?}");
}

#[tokio::test]
async fn nothing_is_signed_over_a_repository_that_is_lost() {
    let mut world = World::new().await;
    world.stop().await;
    let data = Data::new(world.data());
    let public = data.public().unwrap();
    let identity = ControllerIdentity {
        id: public.id,
        product: support::product(),
        permit_key: public.permit_key,
        snapshot_key: data.key("snapshot").unwrap(),
        timestamp_key: data.key("timestamp").unwrap(),
    };
    let root = std::fs::read(world.args().root).unwrap();
    let (mut repository, set) = Repository::open(data.repository(), root, identity).unwrap();
    assert!(set.is_some());
    let later = clock::now().after(Span::from_s(3600));
    assert!(repository.renew(later).unwrap());
    std::fs::remove_dir_all(data.repository()).unwrap();
    let error = repository.renew(later.after(Span::from_s(3600))).unwrap_err();
    assert_eq!(error.code(), "store-damaged", "{error}");
    // The tool of the release managers sends everything to whoever has no timestamp.
    assert!(!data.repository().join("timestamp.json").exists());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[tokio::test]
async fn a_second_controller_on_the_same_directory_is_refused() {
    let world = World::new().await;
    let error = controller::serve::run(world.args(), |_| (), std::future::pending()).await.unwrap_err();
    assert!(format!("{error:#}").contains("held by another controller"), "{error:#}");
    let mut ap = world.host(AP).await;
    world.receipt(&ap.evidence("exclusive")).await;
}

#[tokio::test]
async fn what_cannot_be_written_is_not_acknowledged_and_is_taken_later() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    let sealed = other.evidence("shared");
    let mut connection = Connection::open(&world.data()).await.unwrap();
    let lock = connection.begin().await.unwrap();
    let answer = world.send(&sealed).await;
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(code(answer).await, (503, "unavailable".to_owned()));
    let health = world.ask(Method::GET, api::HEALTH, "", None::<&()>).await;
    assert_eq!(health.status().as_u16(), 503);
    drop(lock);
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.counts.verified, 1, "it had no effect");
    world.receipt(&sealed).await;
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.counts.verified, 0);
}
