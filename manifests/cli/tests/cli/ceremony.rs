//! From keys to a set that every client accepts, and what stops on the way there.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use manifests::time::{Span, Time};
use manifests::tuf::repository::{self, LIFTS};
use manifests::tuf::{
    Fetch, FetchError, MemoryStore, MetaFile, TARGETS, TufClient, TufError, metadata_path, target_path,
};

use crate::desk::{BASELINE, Desk, check, run};

fn now() -> Time {
    Time::from(SystemTime::now())
}

/// The highest version of a snapshot or timestamp that was served.
static VERSION: AtomicU64 = AtomicU64::new(0);

/// What a controller would serve.
#[derive(Debug)]
pub(crate) struct Served(BTreeMap<String, Vec<u8>>);

impl Served {
    pub(crate) fn of(desk: &Desk, targets: u64, lifts: u64) -> Self {
        let read = |name: String| fs::read(desk.path(&format!("d/{name}"))).unwrap();
        let mut files = BTreeMap::new();
        files.insert(metadata_path("root", 1), read("metadata/1.root.json".to_owned()));
        let mut metas = BTreeMap::new();
        for (role, version) in [(TARGETS, targets), (LIFTS, lifts)] {
            let bytes = read(format!("metadata/{version}.{role}.json"));
            metas.insert(format!("{role}.json"), MetaFile::of(version, &bytes));
            for (path, file) in desk.targets(&format!("{version}.{role}.json")).targets {
                let name = path.strip_prefix("convenience-issuance/").unwrap_or(&path);
                files.insert(target_path(&path, &file).unwrap(), read(name.to_owned()));
            }
            files.insert(metadata_path(role, version), bytes);
        }
        // Versions are seconds: two that are served within one must differ nevertheless.
        let before = Some(VERSION.load(Ordering::Relaxed)).filter(|version| *version > 0);
        let snapshot = repository::snapshot(now(), before, metas);
        let bytes = repository::sign(&repository::unsigned(&snapshot).unwrap(), &desk.online.snapshot).unwrap();
        let timestamp = repository::timestamp(now(), before, snapshot.version, &bytes);
        VERSION.fetch_max(snapshot.version.max(timestamp.version), Ordering::Relaxed);
        files.insert(metadata_path("snapshot", snapshot.version), bytes);
        let bytes = repository::sign(&repository::unsigned(&timestamp).unwrap(), &desk.online.timestamp).unwrap();
        files.insert("timestamp.json".to_owned(), bytes);
        Self(files)
    }
}

impl Fetch for Served {
    fn fetch(&mut self, path: &str, _: u64) -> Result<Vec<u8>, FetchError> {
        self.0.get(path).cloned().ok_or(FetchError::NotFound)
    }

    fn fetch_target(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.fetch(path, max_bytes)
    }
}

fn client(desk: &Desk, targets: u64, lifts: u64) -> Result<TufClient<MemoryStore, Served>, TufError> {
    let root = fs::read(desk.path("d/metadata/1.root.json")).unwrap();
    let mut client = TufClient::new(&root, MemoryStore::default(), Served::of(desk, targets, lifts))?;
    client.refresh(now())?;
    Ok(client)
}

#[test]
fn two_signers_on_one_directory_make_a_set_that_a_client_accepts() {
    let desk = Desk::new();
    check(&desk.check(), 0, &["no mistakes"]);
    check(&desk.sign("a"), 0, &["1.root.json: signed; 1 of 2", "1.targets.json: made and signed; 1 of 2"]);
    let first: Vec<_> = ["1.root.json", "1.targets.json", "1.lifts.json"].map(|name| desk.signatures(name)).into();
    assert!(first.iter().all(|signatures| signatures.len() == 1), "{first:?}");
    assert_eq!(client(&desk, 1, 1).unwrap_err().code(), "threshold");

    check(&desk.sign("a"), 0, &["1.root.json: signed by you before; 1 of 2"]);
    assert_eq!(desk.signatures("1.targets.json").len(), 1);

    check(&desk.sign("b"), 0, &["1.root.json: signed; 2 of 2", "1.lifts.json: signed; 2 of 2", "complete"]);
    let mut client = client(&desk, 1, 1).unwrap();
    assert_eq!(client.download("convenience-issuance/baseline.toml").unwrap(), BASELINE.as_bytes());
    assert_eq!(client.download("registry.toml").unwrap(), desk.read("d/registry.toml").into_bytes());
    assert!(client.delegated(LIFTS).unwrap().targets.is_empty());
    let info = client.target("convenience-issuance/baseline.toml").unwrap();
    assert_eq!(info.custom.unwrap()["version"], "1.0.0");

    let before = desk.read("d/metadata/1.targets.json");
    check(&desk.sign("c"), 0, &["1.root.json: nothing to sign", "1.targets.json: nothing to sign"]);
    assert_eq!(desk.read("d/metadata/1.targets.json"), before);
    assert!(!desk.exists("d/metadata/2.targets.json"));
}

#[test]
fn a_changed_directory_gets_a_new_version_once_the_last_is_complete() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("c"), 0, &["2.targets.json: made and signed; 1 of 2", "1.lifts.json: nothing to sign"]);
    check(&desk.sign("a"), 0, &["2.targets.json: signed; 2 of 2"]);
    assert!(client(&desk, 2, 1).is_ok());
    let life = desk.targets("2.targets.json").expires.since(now());
    assert!(life > Span::from_s(89 * 86_400) && life <= Span::from_s(90 * 86_400), "{life}");
}

#[test]
fn content_changed_between_two_signers_is_not_signed() {
    let desk = Desk::new();
    check(&desk.sign("a"), 0, &[]);
    let before = desk.read("d/metadata/1.targets.json");
    desk.replace("d/baseline.toml", "permit_ttl = \"30m\"", "permit_ttl = \"24h\"");
    check(&desk.sign("b"), 1, &["convenience-issuance/baseline.toml is another one here", "manager a", "remove"]);
    assert_eq!(desk.read("d/metadata/1.targets.json"), before);
    // Apart from targets, b has signed.
    assert_eq!(desk.signatures("1.root.json").len(), 2);
    assert_eq!(desk.signatures("1.lifts.json").len(), 2);
    // Whoever signed alone may begin again.
    check(&desk.sign("a"), 0, &["1.targets.json: made anew"]);
    assert_eq!(desk.signatures("1.targets.json").len(), 1);
    check(&desk.sign("b"), 0, &["1.targets.json: signed; 2 of 2"]);
    assert!(client(&desk, 1, 1).is_ok());
}

#[test]
fn a_draft_that_says_more_than_the_directory_is_not_signed() {
    for (from, to, words) in [
        ("\"_type\": \"targets\"", "\"_type\": \"targets\", \"x-note\": \"trust me\"", "members that this program"),
        ("\"terminating\": true", "\"terminating\": false", "delegates to other keys"),
        ("\"expires\": \"2", "\"expires\": \"3", "expires at 3"),
    ] {
        let desk = Desk::new();
        check(&desk.sign("a"), 0, &[]);
        desk.replace("d/metadata/1.targets.json", from, to);
        // The rogue signs what was changed, as the holder of a key can.
        let key = desk.read("a.pem");
        let bytes = resign(&fs::read(desk.path("d/metadata/1.targets.json")).unwrap(), &key);
        fs::write(desk.path("d/metadata/1.targets.json"), bytes).unwrap();
        check(&desk.sign("b"), 1, &[words]);
        assert_eq!(desk.signatures("1.targets.json").len(), 1);
    }
}

pub(crate) fn resign(metadata: &[u8], pem: &str) -> Vec<u8> {
    use pkcs8::{EncryptedPrivateKeyInfoOwned, SecretDocument};
    let (_, document) = SecretDocument::from_pem(pem).unwrap();
    let sealed = EncryptedPrivateKeyInfoOwned::try_from(document.as_bytes()).unwrap();
    let der = sealed.decrypt(crate::desk::PASSPHRASE).unwrap();
    repository::sign(metadata, &manifests::key::SigningKey::from_pkcs8_der(der.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_baseline_that_changed_must_have_a_higher_version() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "permit_ttl = \"30m\"", "permit_ttl = \"20m\"");
    for version in ["1.0.0", "0.9.9", "1.0.0-rc.1", "1.0.0+build"] {
        let text = desk.read("d/baseline.toml");
        desk.replace("d/baseline.toml", "version = \"1.0.0\"", &format!("version = \"{version}\""));
        check(&desk.sign("c"), 1, &["is not above 1.0.0"]);
        desk.write("d/baseline.toml", &text);
    }
    assert!(!desk.exists("d/metadata/2.targets.json"));
}

#[test]
fn a_draft_that_follows_nothing_complete_is_not_signed() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("a"), 0, &[]);
    fs::remove_file(desk.path("d/metadata/1.targets.json")).unwrap();
    check(&desk.sign("b"), 1, &["2.targets.json is a draft", "1.targets.json"]);
}

#[test]
fn a_threshold_met_within_one_unit_needs_another() {
    let desk = Desk::empty();
    check(&desk.init(&["a;Quality", "b;Quality", "c;Design"], true), 0, &[]);
    check(&desk.sign("a"), 1, &["empty-baseline"]);
    check(&desk.sign("b"), 1, &["all of the unit Quality"]);
    check(&desk.sign("c"), 1, &["1.root.json: signed; 3 of 2"]);
}

#[test]
fn a_waived_lock_is_refused_at_signing_and_lifts_are_signed_all_the_same() {
    let desk = Desk::new();
    let waiver = "\n[[waiver]]\nitem = \"lock.print-wait\"\nhosts = [\"402206-ap1\"]\nreason = \"x\"\n\
                  until = 2099-01-01T00:00:00Z\n";
    desk.write("d/baseline.toml", &format!("{BASELINE}{waiver}"));
    check(&desk.sign("a"), 1, &["baseline.toml:", "lock", "1.lifts.json: made and signed"]);
    assert!(!desk.exists("d/metadata/1.targets.json"));
    assert!(desk.exists("d/metadata/1.lifts.json"));
}

#[test]
fn a_root_that_the_registry_does_not_explain_is_not_signed() {
    for (from, to, words) in [
        ("\"threshold\": 2", "\"threshold\": 1", "less than two"),
        ("\"consistent_snapshot\": true", "\"consistent_snapshot\": false", "consistent_snapshot"),
        ("\"expires\": \"2", "\"expires\": \"3", "365 days"),
        ("\"_type\": \"root\"", "\"_type\": \"root\", \"x-note\": 1", "members"),
    ] {
        let desk = Desk::new();
        desk.replace("d/metadata/1.root.json", from, to);
        check(&desk.sign("a"), 1, &["1.root.json is not signed", words]);
        assert_eq!(desk.signatures("1.root.json").len(), 0);
    }
}

/// Lets a signed document end `days` from now, as if a and b had signed it so.
fn end_in(desk: &Desk, name: &str, days: i64) {
    let path = desk.path(&format!("d/metadata/{name}"));
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let expires = Time::from_unix_ms(now().unix_ms() + days * 86_400_000 - 60_000);
    file["signed"]["expires"] = expires.to_rfc3339_seconds().into();
    let bytes = ["a", "b"]
        .iter()
        .fold(file.to_string().into_bytes(), |bytes, who| resign(&bytes, &desk.read(&format!("{who}.pem"))));
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_end_that_is_near_or_past_is_told_by_check_and_sign() {
    let desk = Desk::signed();
    let text = check(&desk.check(), 0, &[]) + &check(&desk.sign("a"), 0, &[]);
    assert!(!text.contains("warning"), "{text}");
    end_in(&desk, "1.targets.json", 7);
    end_in(&desk, "1.root.json", 30);
    let words = ["warning: metadata/1.root.json expires within 30 days", "1.targets.json expires within 7 days"];
    check(&desk.check(), 0, &words);
    check(&desk.sign("a"), 0, &[words[0], words[1], "2.targets.json: renewed"]);
    // Complete again: nothing to warn of.
    let text = check(&desk.sign("b"), 0, &[words[0]]);
    assert!(!text.contains(words[1]), "{text}");

    end_in(&desk, "1.root.json", 0);
    check(&desk.check(), 0, &["warning: metadata/1.root.json HAS EXPIRED, at 2", "this machine's clock: 2"]);
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("a"), 0, &["3.targets.json: made", "under metadata/1.root.json, which has expired"]);
}

#[test]
fn what_expired_before_it_was_signed_is_said_to_have_expired() {
    let desk = Desk::new();
    end_in(&desk, "1.root.json", 0);
    check(&desk.sign("c"), 0, &["nothing to sign"]);
    desk.replace("d/metadata/1.root.json", "\"version\": 1", "\"x\": 1, \"version\": 1");
    check(&desk.sign("c"), 1, &["1.root.json is not signed: it expired at 2", "this machine's clock says 2"]);
}

#[test]
fn every_controller_but_the_first_stands_by_unless_it_is_said_otherwise() {
    let desk = Desk::empty();
    let (directory, main, standby) = (desk.text("d"), desk.text("main.json"), desk.text("standby.json"));
    let signers =
        ["a;Quality", "b;Design"].map(|who| format!("manager {who};{}", desk.text(&format!("{}.pem.pub", &who[..1]))));
    let init = |controllers: [&str; 4]| {
        let arguments = ["init", &directory, "--product", "p", "--signer", &signers[0], "--signer", &signers[1]];
        check(&run(&[&arguments[..], &controllers].concat()), 0, &[]);
        let registry = desk.read("d/registry.toml");
        check(&run(&["check", &desk.text("d/registry.toml")]), 0, &[]);
        fs::remove_dir_all(&directory).unwrap();
        let mut tables = registry.split("[[controller]]").filter(|table| table.contains("standby = true"));
        tables.next().unwrap().lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(init(["--controller", &main, "--controller", &standby]), "id = \"standby\"");
    assert_eq!(init(["--standby", &main, "--controller", &standby]), "id = \"main\"");
}

#[test]
fn an_init_that_runs_out_of_space_leaves_nothing_and_can_be_tried_again() {
    let desk = Desk::empty();
    // No file may be longer than a block: the first small one is written, the next one is not.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let mut arguments = vec!["-c".to_owned(), script.to_owned(), env!("CARGO_BIN_EXE_sekisho-baseline").to_owned()];
    arguments.extend(desk.init_arguments(&["a;Quality", "b;Design"], true));
    check(&std::process::Command::new("sh").args(&arguments).output().unwrap(), 74, &["cannot replace"]);
    assert!(!desk.exists("d"));
    fs::create_dir_all(desk.path("d/.git")).unwrap();
    check(&std::process::Command::new("sh").args(&arguments).output().unwrap(), 74, &["cannot replace"]);
    assert_eq!(fs::read_dir(desk.path("d")).unwrap().count(), 1);
    check(&desk.init(&["a;Quality", "b;Design"], true), 0, &[]);
}

#[test]
fn init_refuses_what_could_never_be_signed_safely() {
    let desk = Desk::empty();
    check(&desk.init(&["a;Quality"], true), 1, &["not enough"]);
    check(&desk.init(&["a;Quality", "b;Quality"], true), 1, &["Quality"]);
    check(&desk.init(&["a;Quality", "b;Design"], false), 1, &["no standby"]);
    check(&desk.init(&["a;Quality", "a;Design"], true), 1, &["two signers have the name"]);
    fs::copy(desk.path("a.pem.pub"), desk.path("c.pem.pub")).unwrap();
    check(&desk.init(&["a;Quality", "c;Design"], true), 1, &["same key"]);
    check(&desk.init(&["a"], true), 64, &[]);
    fs::copy(desk.path("main.json"), desk.path("standby.json")).unwrap();
    check(&desk.init(&["a;Quality", "b;Design"], true), 1, &["two controllers have the id main"]);
    assert!(!desk.exists("d"));
    fs::create_dir(desk.path("d")).unwrap();
    desk.write("d/notes.txt", "mine");
    let desk2 = Desk::empty();
    fs::copy(desk2.path("standby.json"), desk.path("standby.json")).unwrap();
    check(&desk.init(&["a;Quality", "b;Design"], true), 1, &["not empty"]);
    assert_eq!(fs::read_dir(desk.path("d")).unwrap().count(), 1);
    check(&run(&["sign", &desk.text("d"), "--key", &desk.text("a.pem")]), 1, &["init"]);
}
