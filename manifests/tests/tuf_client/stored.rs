//! Damage to what is stored: an error that names the file, never a new start.

use manifests::tuf::repository::LIFTS;
use manifests::tuf::{FileStore, MemoryStore, MetadataStore, Trusted, TufClient};

use crate::repo::Repo;

// A store that has seen a root rotation, a second publication, and the lifts.
fn grown() -> (Repo, MemoryStore) {
    let mut repo = Repo::new();
    repo.root = repo.root.next(repo.root.expires);
    let bytes = crate::repo::signed_by(&repo.root, &repo.managers);
    repo.serve("root", 2, bytes);
    let mut store = repo.refreshed();
    repo.later(60);
    repo.targets.version = 2;
    repo.publish();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    client.delegated(LIFTS).unwrap();
    (repo, store)
}

#[test]
fn a_damaged_file_is_named_and_nothing_is_replaced() {
    let (mut repo, store) = grown();
    repo.later(60);
    repo.publish();
    for name in store.files.keys() {
        let whole = &store.files[name];
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let nonsense = b"{\"signed\": {}, \"signatures\": []}".to_vec();
        for bytes in [Vec::new(), whole[..middle].to_vec(), flipped, nonsense] {
            let mut damaged = store.clone();
            damaged.files.insert(name.clone(), bytes);
            assert!(Trusted::load(&damaged, &repo.first_root).is_err(), "{name} was loaded");
            if name == "lifts.json" {
                continue; // Read on demand: below.
            }
            let error = repo.refused(&mut damaged, "store-damaged", &[]);
            assert!(error.to_string().contains(name.as_str()), "{name}: {error}");
        }
    }
}

#[test]
fn a_lost_file_is_a_loss_and_not_a_new_start() {
    let (mut repo, store) = grown();
    repo.later(60);
    repo.publish();
    for name in ["root.json", "root_history/2.root.json", "timestamp.json", "snapshot.json", "targets.json"] {
        let mut lost = store.clone();
        lost.files.remove(name);
        assert_eq!(Trusted::load(&lost, &repo.first_root).unwrap_err().code(), "store-damaged", "{name}");
        let error = repo.refused(&mut lost, "store-damaged", &[]);
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    // All that rollback is judged by.
    let mut lost = store.clone();
    for name in ["timestamp.json", "snapshot.json", "targets.json"] {
        lost.files.remove(name);
    }
    repo.refused(&mut lost, "store-damaged", &[]);
    // A first refresh that stopped behind the snapshot.
    let mut partial = store.clone();
    for name in ["progress", "targets.json", "timestamp.json"] {
        partial.files.remove(name);
    }
    repo.refused(&mut partial, "store-damaged", &[]);
    // The mark alone: what is there still counts, and it is set again.
    let mut lost = store.clone();
    lost.files.remove("progress");
    repo.refresh(&mut lost);
    assert_eq!(lost.files["progress"], store.files["progress"]);
    // Everything: that is a new installation, and whoever removed it decided so.
    assert_eq!(Trusted::load(&MemoryStore::default(), &repo.first_root).unwrap_err().code(), "nothing-trusted");
}

#[test]
fn an_older_timestamp_put_beside_a_newer_snapshot_is_noticed() {
    let mut repo = Repo::new();
    let older = repo.refreshed();
    repo.later(60);
    repo.publish();
    let mut store = repo.refreshed();
    store.files.insert("timestamp.json".to_owned(), older.files["timestamp.json"].clone());
    let error = repo.refused(&mut store, "store-damaged", &[]);
    assert!(error.to_string().contains("timestamp.json"), "{error}");
    assert_eq!(Trusted::load(&store, &repo.first_root).unwrap_err().code(), "incomplete");
}

#[test]
fn a_damaged_delegated_role_is_named() {
    let (repo, store) = grown();
    for bytes in [&b""[..], b"{", &store.files["lifts.json"].to_ascii_uppercase()] {
        let mut damaged = store.clone();
        damaged.files.insert("lifts.json".to_owned(), bytes.to_vec());
        let mut client = repo.client(&mut damaged);
        client.refresh(repo.now).unwrap();
        let error = client.delegated(LIFTS).unwrap_err();
        assert_eq!(error.code(), "store-damaged", "{error}");
        assert!(error.to_string().contains("lifts.json"), "{error}");
    }
    // Its version is pinned by the snapshot, so a lost one is fetched again.
    let mut lost = store.clone();
    lost.files.remove("lifts.json");
    let mut client = repo.client(&mut lost);
    client.refresh(repo.now).unwrap();
    client.delegated(LIFTS).unwrap();
    assert_eq!(lost, store);
}

#[test]
fn a_set_does_not_silently_lack_its_lifts() {
    let (mut repo, mut store) = grown();
    repo.lifts.version = 2;
    repo.later(60);
    repo.publish();
    repo.refresh(&mut store);
    let error = Trusted::load(&store, &repo.first_root).unwrap_err();
    assert_eq!(error.code(), "incomplete");
    assert!(error.to_string().contains("lifts.json"), "{error}");
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    client.delegated(LIFTS).unwrap();
    assert_eq!(Trusted::load(&store, &repo.first_root).unwrap().delegated(LIFTS), Some(&repo.lifts));
}

#[test]
fn a_delegated_role_signed_once_more_is_fetched_anew() {
    let (mut repo, mut store) = grown();
    let lifts = repo.served.metadata["1.lifts.json"].clone();
    let third = manifests::tuf::repository::sign(&lifts, &repo.managers[2]).unwrap();
    repo.list(LIFTS, 1, third.clone());
    repo.later(60);
    repo.publish_online();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    client.delegated(LIFTS).unwrap();
    assert_eq!(store.files["lifts.json"], third);
}

#[test]
fn a_store_of_another_root_is_not_taken_over() {
    let (repo, store) = grown();
    let other = Repo::new();
    let error = Trusted::load(&store, &other.first_root).unwrap_err();
    assert_eq!(error.code(), "store-damaged", "{error}");
    other.refused(&mut store.clone(), "store-damaged", &[]);
    // Also if the store never got beyond the version of the first root.
    let (first, second) = (Repo::new(), Repo::new());
    let error = second.refused(&mut first.refreshed(), "store-damaged", &[]);
    assert!(error.to_string().contains("root.json"), "{error}");
    // The same first root, laid out differently, is the same root.
    let compact: serde_json::Value = serde_json::from_slice(&repo.first_root).unwrap();
    assert!(Trusted::load(&store, &serde_json::to_vec(&compact).unwrap()).is_ok());
}

#[test]
fn a_directory_keeps_what_memory_keeps() {
    let (repo, store) = grown();
    let directory = std::env::temp_dir().join(format!("tuf-store-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let mut files = FileStore::new(&directory);
    let mut client = TufClient::new(&repo.first_root, files.clone(), repo.served.clone()).unwrap();
    client.refresh(repo.now).unwrap();
    client.delegated(LIFTS).unwrap();
    for (name, bytes) in &store.files {
        assert_eq!(files.load(name).unwrap().as_ref(), Some(bytes), "{name}");
    }
    assert!(Trusted::load(&files, &repo.first_root).is_ok());
    files.remove("timestamp.json").unwrap();
    assert_eq!(client.refresh(repo.now).unwrap_err().code(), "store-damaged");
    // A file that cannot be read is not one that is missing.
    std::fs::create_dir(directory.join("timestamp.json")).unwrap();
    assert_eq!(client.refresh(repo.now).unwrap_err().code(), "store");
    std::fs::remove_dir_all(&directory).unwrap();
}
