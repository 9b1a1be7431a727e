//! What a controller tells of its own ends, and a certificate that is exchanged while it serves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::process::Command;
use std::time::Duration;

use manifests::api::{self, EventKind, FleetView};
use manifests::time::Span;
use support::{OTHER, World, soon};

#[tokio::test]
async fn what_ends_within_a_month_is_in_the_fleet_and_among_the_events() {
    let mut world = World::new().await;
    world.token(OTHER, false, Span::from_s(3600)).await;
    // It looks once a minute, and at its start.
    world.stop().await;
    world.start().await;
    let expiring = soon("the announcement", async {
        loop {
            let fleet: FleetView = world.see(api::SITES).await;
            if fleet.expiring.iter().any(|end| end.what == "token") {
                return fleet.expiring;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let expiring = expiring.await;
    let token = expiring.iter().find(|end| end.what == "token").unwrap();
    assert_eq!(token.name.as_deref(), Some(OTHER));
    assert!(expiring.iter().all(|end| end.what != "ca"), "it has ten years: {expiring:?}");
    world.stop().await;
    let store = controller::store::Store::open(&world.data()).await.unwrap();
    let events = store.events_after(0, 1000).await.unwrap();
    let told = events.iter().find(|event| event.kind == EventKind::Expiry).unwrap();
    assert!(told.note.contains(OTHER), "{}", told.note);
}

#[tokio::test]
async fn another_certificate_is_served_without_a_restart_and_a_damaged_one_is_not() {
    let world = World::new().await;
    let (data, url) = (world.data(), world.url.clone());
    let served = || {
        let (data, url) = (data.clone(), url.clone());
        async move {
            let ca = reqwest::Certificate::from_pem(&std::fs::read(data.join("ca.pem")).unwrap()).unwrap();
            let client = reqwest::Client::builder().tls_certs_only([ca]);
            let client = client.tls_info(true).build().unwrap();
            let answer = client.get(format!("{url}{}", api::HEALTH)).send().await.unwrap();
            answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
        }
    };
    let before = served().await;
    let program = env!("CARGO_BIN_EXE_sekisho-controller");
    let renewed = Command::new(program).args(["tls", "renew", "--data"]).arg(&data).output().unwrap();
    assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    soon("the new certificate", async {
        while served().await == before {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let end = controller::expiry::certificate_end(&std::fs::read(data.join("tls.pem")).unwrap()).unwrap();
    assert!(end > controller::clock::now().after(Span::from_s(700 * 86_400)), "{end}");
    // Of a file that is none the one before goes on.
    let after = served().await;
    std::fs::write(data.join("tls.pem"), "damaged").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(served().await, after);
}

fn program(words: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-controller"));
    let output = command.args(words).env("SEKISHO_PASSPHRASE", "for tests only").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn path(path: &std::path::Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_backup_taken_while_serving_restores_what_was_acknowledged_and_has_no_key_in_clear() {
    let mut world = World::new().await;
    let mut host = world.host(OTHER).await;
    let receipt = world.receipt(&host.evidence("exclusive")).await;
    let directory = tempfile::tempdir().unwrap();
    let (backup, restored) = (path(&directory.path().join("backup")), path(&directory.path().join("restored")));
    let data = path(&world.data());
    assert!(program(&["backup", "--data", &data, "--to", &backup, "--with-keys"]).0);
    for name in ["keys/permit.pem", "keys/snapshot.pem", "tls.key", "ca.key"] {
        let text = std::fs::read_to_string(directory.path().join("backup").join(name)).unwrap();
        assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{name}");
    }
    let (is_restored, said) = program(&["restore", "--from", &backup, "--data", &restored]);
    assert!(is_restored, "{said}");
    // What it is said to contain: nothing that came after its time is missing from a copy begun before.
    let whole = std::fs::read(directory.path().join("backup/backup.json")).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let time: manifests::time::Time = serde_json::from_value(whole["time"].clone()).unwrap();
    let copied = std::fs::metadata(directory.path().join("backup/controller.db")).unwrap().modified().unwrap();
    assert!(time <= manifests::time::Time::from(copied), "{time}");
    assert!(said.contains("serves no more"), "{said}");
    let (again, said) = program(&["restore", "--from", &backup, "--data", &restored]);
    assert!(!again && said.contains("holds a controller already"), "{said}");
    // The restored one takes the place of the first.
    world.stop().await;
    let before = world.data();
    std::fs::rename(&before, before.with_extension("before")).unwrap();
    std::fs::rename(&restored, &before).unwrap();
    world.start().await;
    let fleet: FleetView = world.see(api::SITES).await;
    assert!(fleet.baseline.is_some(), "what was published is there");
    let next = world.receipt(&host.heartbeat("exclusive")).await;
    assert!(next.sequence > receipt.sequence, "its documents are known");
}

#[tokio::test]
async fn a_backup_without_keys_is_restored_with_those_kept_elsewhere_and_no_others() {
    let mut world = World::new().await;
    world.stop().await;
    let directory = tempfile::tempdir().unwrap();
    let (backup, restored) = (path(&directory.path().join("backup")), path(&directory.path().join("restored")));
    let data = path(&world.data());
    assert!(program(&["backup", "--data", &data, "--to", &backup]).0);
    assert!(!directory.path().join("backup/keys").exists() && !directory.path().join("backup/ca.key").exists());
    let (done, said) = program(&["restore", "--from", &backup, "--data", &restored]);
    assert!(!done && said.contains("--keys"), "{said}");
    let other = path(&directory.path().join("other"));
    assert!(program(&["init", "--id", "main", "--product", support::PRODUCT, "--data", &other]).0);
    let (done, said) = program(&["restore", "--from", &backup, "--data", &restored, "--keys", &other]);
    assert!(!done && said.contains("another key"), "{said}");
    assert!(!std::path::Path::new(&restored).exists(), "nothing is left of it");
    let (done, said) = program(&["restore", "--from", &backup, "--data", &restored, "--keys", &data]);
    assert!(done, "{said}");
    // Half a backup is none.
    std::fs::remove_file(directory.path().join("backup/backup.json")).unwrap();
    let (done, said) = program(&["restore", "--from", &backup, "--data", &other, "--keys", &data]);
    assert!(!done && said.contains("no whole backup"), "{said}");
}

#[tokio::test]
async fn the_doctor_finds_nothing_in_a_sound_controller_and_names_what_is_wrong() {
    let mut world = World::new().await;
    let data = path(&world.data());
    let (is_sound, said) = program(&["doctor", "--data", &data]);
    assert!(is_sound && !said.contains("BAD"), "beside a serving one: {said}");
    for of in ["store", "disk", "clock", "keys", "ends", "descriptors"] {
        assert!(said.contains(&format!("{of}: ")), "{of}: {said}");
    }
    world.stop().await;
    let finds = |what: &str| {
        let (is_sound, said) = program(&["doctor", "--data", &data]);
        assert!(!is_sound && said.lines().any(|line| line.starts_with("BAD") && line.contains(what)), "{what}: {said}");
    };
    let exchange = |name: &str, bytes: &[u8], what: &str| {
        let file = world.data().join(name);
        let before = std::fs::read(&file).unwrap();
        std::fs::write(&file, bytes).unwrap();
        finds(what);
        std::fs::write(&file, before).unwrap();
    };
    let log = std::fs::read(world.data().join("keys/log.pem")).unwrap();
    exchange("keys/permit.pem", &log, "keys/permit.pem is another key");
    exchange("tls.key", &log, "tls.key");
    exchange("controller.json", b"{", "controller.json");
    exchange("controller.db", b"not a database at all, but long enough to be read as one", "store: ");
    exchange("ca.pem", b"no certificate", "ca.pem");
    let snapshot = newest(&world, ".snapshot.json");
    let targets = newest(&world, ".targets.json");
    exchange("tuf/timestamp.json", b"{", "repository: timestamp.json");
    exchange(&format!("tuf/{snapshot}"), b"{}", &snapshot);
    exchange(&format!("tuf/{targets}"), b"{}", &targets);
    std::fs::rename(world.data().join("tuf"), world.data().join("gone")).unwrap();
    finds("repository: ");
    std::fs::rename(world.data().join("gone"), world.data().join("tuf")).unwrap();
    for target in std::fs::read_dir(world.data().join("tuf/targets")).unwrap() {
        if let Ok(name) = target.unwrap().file_name().into_string()
            && name.ends_with(".registry.toml")
        {
            exchange(&format!("tuf/targets/{name}"), b"damaged", "registry.toml");
        }
    }
    assert!(program(&["doctor", "--data", &data]).0);
}

/// The newest file of the repository with this end of its name.
fn newest(world: &World, end: &str) -> String {
    let names = std::fs::read_dir(world.data().join("tuf")).unwrap();
    let names = names.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let version = |name: &String| name.strip_suffix(end).and_then(|version| version.parse::<u64>().ok());
    names.filter(|name| version(name).is_some()).max_by_key(version).unwrap()
}

#[tokio::test]
async fn the_doctor_says_that_a_controller_was_set_back_until_somebody_has_looked() {
    let world = World::new().await;
    let data = path(&world.data());
    // Its own word for a key that it does not know.
    let word = manifests::enrolment::Enrolled {
        product: support::product(),
        host: support::host(OTHER),
        key: manifests::key::SigningKey::generate().unwrap().public().clone(),
        generation: 1_900_000_000_000,
        controller: "main".parse().unwrap(),
    };
    let own = controller::data::Data::new(world.data()).key("permit").unwrap();
    let word = manifests::envelope::Sealed::seal(&word, &own).unwrap();
    let shown = world.ask(reqwest::Method::POST, api::CARRIED, "", Some(&word)).await;
    assert!(shown.status().is_success());
    let (is_sound, said) = program(&["doctor", "--data", &data]);
    let line = said.lines().find(|line| line.starts_with("BAD  set-back: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(!is_sound && line.contains(OTHER) && line.contains("sekisho looked-at"), "{said}");
    let note = api::LookedAt { note: "A test.".to_owned() };
    let looked = world.ask(reqwest::Method::POST, api::SET_BACK, &world.admin, Some(&note)).await;
    assert!(looked.status().is_success());
    let (is_sound, said) = program(&["doctor", "--data", &data]);
    assert!(is_sound && said.contains("ok   set-back: "), "{said}");
}
