//! Rollback, freeze, mix-and-match (TUF 1.0.34, 5.3 to 5.6): versions, listings and ends of life.

use manifests::time::{Span, Time};
use manifests::tuf::repository::{self, LIFTS, unsigned};
use manifests::tuf::{Hashes, MemoryStore, MetaFile, Signed, Trusted};
use serde_json::{Value, json};

use crate::repo::{BASELINE, Repo, edited, signed_by};

#[test]
fn a_published_set_is_found_downloaded_and_loaded_again() {
    let mut repo = Repo::new();
    let stop = manifests::digest::Digest::of(b"stop");
    let path = repository::lift_path(&stop, 1);
    repo.lifts.version = 2;
    repo.lifts.add(&path, b"{}");
    repo.serve_target(&path, b"{}", &repo.lifts.targets[&path].clone());
    repo.publish();
    let mut store = MemoryStore::default();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    assert_eq!(client.download(BASELINE).unwrap(), b"schema = 1\n");
    assert_eq!(client.download(&path).unwrap(), b"{}");
    assert_eq!(client.delegated(LIFTS).unwrap(), &repo.lifts);
    assert_eq!(client.target("nothing").unwrap_err().code(), "not-found");

    let trusted = Trusted::load(&store, &repo.first_root).unwrap();
    assert_eq!(trusted.targets(), &repo.targets);
    assert_eq!(trusted.delegated(LIFTS), Some(&repo.lifts));
    assert_eq!(trusted.target(&path).unwrap().length, 2);
    let mut copy = MemoryStore::default();
    trusted.save(&mut copy).unwrap();
    assert_eq!(copy, store);
}

#[test]
fn an_older_timestamp_is_a_rollback() {
    let mut repo = Repo::new();
    let old = repo.served.clone();
    repo.later(60);
    repo.publish();
    let mut store = repo.refreshed();
    repo.served = old;
    repo.refused(&mut store, "rollback", &[]);
    // The snapshot it lists need not be older for it to be one.
    let mut repo = Repo::new();
    repo.timestamp.version += 5;
    repo.publish_timestamp();
    let mut store = repo.refreshed();
    repo.timestamp.version -= 1;
    repo.publish_timestamp();
    let error = repo.refused(&mut store, "rollback", &[]);
    assert!(error.to_string().contains("timestamp.json"), "{error}");
}

#[test]
fn a_newer_timestamp_with_an_older_snapshot_is_a_rollback() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    repo.snapshot.version -= 1;
    repo.publish_snapshot();
    repo.refused(&mut store, "rollback", &[]);
}

#[test]
fn a_newer_snapshot_with_older_targets_is_a_rollback() {
    for role in ["targets", LIFTS] {
        let mut repo = Repo::new();
        repo.targets.version = 5;
        repo.lifts.version = 5;
        repo.publish();
        let mut store = repo.refreshed();
        match role {
            LIFTS => repo.lifts.version = 4,
            _ => repo.targets.version = 4,
        }
        repo.publish();
        repo.refused(&mut store, "rollback", &["timestamp.json"]);
        // And again, now that the timestamp is the newest there is.
        repo.refused(&mut store, "rollback", &[]);
    }
}

#[test]
fn a_role_once_listed_stays_listed() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    repo.metas.remove("lifts.json");
    repo.publish_online();
    let error = repo.refused(&mut store, "rollback", &["timestamp.json"]);
    assert!(error.to_string().contains("lifts.json"), "{error}");
}

#[test]
fn a_timestamp_of_the_same_version_changes_nothing() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    let before = store.clone();
    // The same version, other content, validly signed.
    repo.timestamp.meta.insert("snapshot.json".to_owned(), MetaFile::of(repo.snapshot.version + 9, b""));
    repo.publish_timestamp();
    repo.refresh(&mut store);
    assert_eq!(store, before);
}

#[test]
fn an_interrupted_refresh_goes_on_where_it_stopped() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    repo.targets.version = 2;
    repo.publish();
    let missing = repo.served.metadata.remove("2.targets.json").unwrap();
    repo.refused(&mut store, "not-found", &["snapshot.json", "timestamp.json"]);
    assert_eq!(Trusted::load(&store, &repo.first_root).unwrap_err().code(), "incomplete");
    repo.served.metadata.insert("2.targets.json".to_owned(), missing);
    repo.refresh(&mut store);
    assert_eq!(Trusted::load(&store, &repo.first_root).unwrap().targets().version, 2);
}

#[test]
fn each_role_expires_at_the_moment_it_names() {
    for (role, code, changed) in [
        ("timestamp", "freeze", &[][..]),
        ("snapshot", "freeze", &["timestamp.json"]),
        ("targets", "expired", &["snapshot.json", "timestamp.json"]),
        ("root", "expired", &["root.json", "root_history/2.root.json"]),
    ] {
        let mut repo = Repo::new();
        let mut store = repo.refreshed();
        repo.later(60);
        // Kept in seconds, so that the moment itself can be asked for.
        let end = repo.now.after(Span::from_s(30));
        repo.targets.version = 2;
        match role {
            "targets" => repo.targets.expires = end,
            "root" => {
                repo.root = repo.root.next(end);
                let signers: Vec<_> = repo.managers.iter().collect();
                let bytes = signed_by(&repo.root, signers);
                repo.serve("root", 2, bytes);
            }
            _ => {}
        }
        repo.publish();
        if role == "snapshot" {
            repo.snapshot.expires = end;
            repo.publish_snapshot();
        }
        if role == "timestamp" {
            repo.timestamp.expires = end;
            repo.publish_timestamp();
        }
        let mut in_time = store.clone();
        repo.now = Time::from_unix_ms(end.unix_ms() - 1);
        repo.refresh(&mut in_time);
        repo.now = end;
        let error = repo.refused(&mut store, code, changed);
        assert!(error.to_string().contains(&format!("{role} expired")), "{error}");
        // Once stored, it is judged again at every refresh.
        repo.refused(&mut in_time, code, &[]);
    }
}

#[test]
fn an_expired_set_is_loaded_and_says_so() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    repo.now = repo.now.after(Span::from_s(400 * 86_400));
    repo.refused(&mut store, "expired", &[]);
    let trusted = Trusted::load(&store, &repo.first_root).unwrap();
    assert_eq!(trusted.targets(), &repo.targets);
    assert!(trusted.root().expires <= repo.now && trusted.targets().expires <= repo.now);
}

#[test]
fn a_delegated_role_expires_too() {
    let mut repo = Repo::new();
    repo.lifts.version = 2;
    repo.lifts.expires = repo.now;
    repo.publish();
    let mut store = repo.refreshed();
    let before = store.clone();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    assert_eq!(client.delegated(LIFTS).unwrap_err().code(), "expired");
    assert_eq!(store, before);
    // And once it is stored.
    repo.lifts.version = 3;
    repo.lifts.expires = repo.now.after(Span::from_s(30));
    repo.publish();
    for (seconds, expected) in [(0, None), (30, Some("expired"))] {
        repo.later(seconds);
        let mut client = repo.client(&mut store);
        client.refresh(repo.now).unwrap();
        assert_eq!(client.delegated(LIFTS).err().map(|error| error.code()), expected);
    }
}

#[test]
fn files_of_different_publications_do_not_mix() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    let old = repo.served.clone();
    repo.later(60);
    repo.targets.version = 2;
    repo.add_file(BASELINE, b"schema = 1 # newer\n");
    repo.publish();
    let new = repo.served.clone();
    let snapshot = format!("{}.snapshot.json", repo.snapshot.version);
    let old_snapshot = old.metadata.keys().find(|name| name.ends_with("snapshot.json")).unwrap().clone();
    // Validly signed, but the one before.
    repo.served.metadata.insert(snapshot, old.metadata[&old_snapshot].clone());
    repo.refused(&mut store.clone(), "mismatch", &["timestamp.json"]);
    repo.served = new.clone();
    repo.served.metadata.insert("2.targets.json".to_owned(), old.metadata["1.targets.json"].clone());
    repo.refused(&mut store, "mismatch", &["snapshot.json", "timestamp.json"]);
    // Target files: another of the same name, and one byte more.
    repo.served = new;
    let baseline = repo.targets.targets[BASELINE].clone();
    for other in [&b"schema = 1 # other\n"[..], b"schema = 1 # newer\n\n"] {
        repo.serve_target(BASELINE, other, &baseline);
        let mut client = repo.client(&mut store);
        client.refresh(repo.now).unwrap();
        let code = client.download(BASELINE).unwrap_err().code();
        assert_eq!(code, if other.len() == 19 { "mismatch" } else { "too-large" });
    }
}

#[test]
fn without_digests_the_version_alone_must_match() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    repo.targets.version = 2;
    repo.publish_role("targets", &repo.targets.clone());
    let listed = MetaFile { version: 3, length: None, hashes: None };
    repo.metas.insert("targets.json".to_owned(), listed);
    repo.served.metadata.insert("3.targets.json".to_owned(), repo.served.metadata["2.targets.json"].clone());
    repo.publish_online();
    let error = repo.refused(&mut store, "mismatch", &["snapshot.json", "timestamp.json"]);
    assert!(error.to_string().contains("version 3 is listed, it is version 2"), "{error}");
}

#[test]
fn what_is_larger_than_allowed_is_not_read() {
    let mut repo = Repo::new();
    let mut store = MemoryStore::default();
    let timestamp = repo.served.metadata["timestamp.json"].clone();
    repo.served.metadata.insert("timestamp.json".to_owned(), [timestamp, vec![b' '; 20_000]].concat());
    repo.refused(&mut store.clone(), "too-large", &["root.json"]);
    // A transport that does not keep to the limit changes nothing.
    repo.served.ignores_limits = true;
    repo.refused(&mut store, "too-large", &["root.json"]);
}

#[test]
fn without_consistent_snapshots_names_are_plain() {
    let mut repo = Repo::new();
    let mut root = repo.root.next(repo.root.expires);
    root.consistent_snapshot = false;
    repo.root = root;
    let bytes = signed_by(&repo.root, &repo.managers);
    repo.serve("root", 2, bytes);
    let mut store = MemoryStore::default();
    repo.refused(&mut store, "not-found", &["root.json", "root_history/2.root.json", "timestamp.json"]);
    let metadata = repo.served.metadata.clone();
    for (name, bytes) in &metadata {
        let plain = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        repo.served.metadata.insert(plain.to_owned(), bytes.clone());
    }
    repo.served.targets = [(BASELINE.to_owned(), b"schema = 1\n".to_vec())].into();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    assert_eq!(client.download(BASELINE).unwrap(), b"schema = 1\n");
    client.delegated(LIFTS).unwrap();
}

#[test]
fn signed_nonsense_is_a_format_error() {
    type Edit = fn(&mut Value);
    let cases: [(&str, Edit); 14] = [
        ("wrong type", |signed| signed["_type"] = json!("snapshot")),
        ("no type", |signed| drop(signed.as_object_mut().unwrap().remove("_type"))),
        ("spec 2", |signed| signed["spec_version"] = json!("2.0.0")),
        ("spec 10", |signed| signed["spec_version"] = json!("10.0.0")),
        ("version zero", |signed| signed["version"] = json!(0)),
        ("version negative", |signed| signed["version"] = json!(-1)),
        ("version text", |signed| signed["version"] = json!("9999999999")),
        ("version too large", |signed| signed["version"] = json!(1_u64 << 53)),
        ("expires with an offset", |signed| signed["expires"] = json!("2030-01-01T00:00:00+00:00")),
        ("expires with a fraction", |signed| signed["expires"] = json!("2030-01-01T00:00:00.5Z")),
        ("no expiry", |signed| drop(signed.as_object_mut().unwrap().remove("expires"))),
        ("two files", |signed| signed["meta"]["targets.json"] = json!({ "version": 1 })),
        ("listed version zero", |signed| signed["meta"]["snapshot.json"]["version"] = json!(0)),
        ("no list", |signed| signed["meta"] = json!({})),
    ];
    for (name, edit) in cases {
        let mut repo = Repo::new();
        let mut store = repo.refreshed();
        repo.later(60);
        repo.publish();
        let good = repo.served.metadata["timestamp.json"].clone();
        let bad = edited(&good, [&repo.timestamp_key], edit);
        repo.serve("timestamp", 0, bad);
        let error = repo.refused(&mut store, "format", &[]);
        repo.serve("timestamp", 0, good);
        repo.refresh(&mut store);
        assert!(error.to_string().starts_with("timestamp.json"), "{name}: {error}");
    }
    // A fraction has no canonical form, so it cannot even be signed.
    let text = String::from_utf8(Repo::new().served.metadata["timestamp.json"].clone()).unwrap();
    let fraction = text.replace("\"version\": ", "\"version\": 1.5, \"old\": ");
    assert_eq!(repository::signable_bytes(fraction.as_bytes()).unwrap_err().code(), "format");
}

#[test]
fn a_digest_of_an_unknown_kind_proves_nothing() {
    let mut repo = Repo::new();
    let hashes: Hashes = serde_json::from_value(json!({ "md5": "00" })).unwrap();
    repo.targets.version = 2;
    repo.targets.targets.get_mut(BASELINE).unwrap().hashes = hashes;
    repo.publish();
    let mut store = MemoryStore::default();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    assert_eq!(client.download(BASELINE).unwrap_err().code(), "mismatch");
}

#[test]
fn names_that_leave_their_directory_are_refused() {
    for path in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "a\nb"] {
        let mut repo = Repo::new();
        repo.targets.add(path, b"");
        assert_eq!(unsigned(&repo.targets).unwrap_err().code(), "format", "{path:?}");
    }
    let digest: Hashes = serde_json::from_value(json!({ "sha256": "../../etc/passwd" })).unwrap();
    let file = manifests::tuf::TargetFile { length: 0, hashes: digest, custom: None };
    assert_eq!(manifests::tuf::target_path("a", &file), None);
    assert!(file.verify(b"").is_err());
}

#[test]
fn either_known_digest_will_do_and_both_must_match() {
    let sha512 = data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA512, b"x").as_ref());
    let sha256 = manifests::digest::Digest::of(b"x").hex();
    let other = manifests::digest::Digest::of(b"y").hex();
    let verify = |hashes: Value| {
        let file = json!({ "length": 1, "hashes": hashes });
        serde_json::from_value::<manifests::tuf::TargetFile>(file).unwrap().verify(b"x").is_ok()
    };
    assert!(verify(json!({ "sha512": sha512 })));
    assert!(verify(json!({ "sha256": sha256, "sha512": sha512, "md5": "00" })));
    assert!(!verify(json!({ "md5": "00" })));
    assert!(!verify(json!({})));
    assert!(!verify(json!({ "sha256": other, "sha512": sha512 })));
    assert!(!verify(json!({ "sha256": sha256, "sha512": other })));
}

#[test]
fn online_versions_never_fall_back() {
    let now = Time::from_rfc3339("2026-10-01T00:00:00Z").unwrap();
    let version = |last| repository::snapshot(now, last, Default::default()).version;
    assert_eq!(version(None), 1_790_812_800);
    assert_eq!(version(Some(5)), 1_790_812_800);
    assert_eq!(version(Some(1_790_812_800)), 1_790_812_801);
    assert_eq!(version(Some(2_000_000_000)), 2_000_000_001);
    let timestamp = repository::timestamp(now.after(Span::from_ms(999)), None, 3, b"snapshot");
    assert_eq!(timestamp.expires, now.after(Span::from_s(86_400)));
    assert_eq!(timestamp.snapshot().unwrap(), &MetaFile::of(3, b"snapshot"));
    assert_eq!(unsigned(&timestamp).unwrap().last(), Some(&b'\n'));
    assert_eq!(timestamp.version(), 1_790_812_800);
}
