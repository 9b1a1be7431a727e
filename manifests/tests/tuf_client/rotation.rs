//! Root rotation (TUF 1.0.34, 5.3) and the way out of a fast-forward attack (5.3.11).

use manifests::key::SigningKey;
use manifests::tuf::{MemoryStore, MetadataStore, Trusted};

use crate::repo::{Repo, edited, key, publics};

impl Repo {
    // The next root with these managers, signed by those.
    fn rotate(&mut self, managers: &[&SigningKey], signers: &[&SigningKey]) {
        self.root = self.root.next(self.root.expires);
        let publics: Vec<_> = managers.iter().map(|key| key.public().clone()).collect();
        self.root.set_role("root", &publics, 2);
        self.publish_root(signers);
    }
}

#[test]
fn a_host_that_was_away_follows_root_by_root() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    let [a, b, c, d, e] = [key(), key(), key(), key(), key()];
    let first: Vec<_> = std::mem::take(&mut repo.managers);
    repo.rotate(&[&first[2], &a, &b], &[&first[0], &first[2], &a]);
    repo.rotate(&[&a, &b, &c], &[&a, &b]);
    repo.rotate(&[&c, &d, &e], &[&b, &c, &a, &d]);
    repo.managers = first;
    repo.refresh(&mut store);
    let trusted = Trusted::load(&store, &repo.first_root).unwrap();
    assert_eq!(trusted.root(), &repo.root);
    assert_eq!(trusted.root().version, 4);
    // A first refresh follows the same way.
    repo.refresh(&mut MemoryStore::default());
}

#[test]
fn a_root_signed_by_one_side_only_is_refused_where_it_stands() {
    let refused_at_3 = |signers: fn(&[SigningKey], &[SigningKey]) -> Vec<SigningKey>, code: &str| {
        let mut repo = Repo::new();
        let mut store = repo.refreshed();
        let old = [key(), key()];
        let new = [key(), key()];
        let first = std::mem::take(&mut repo.managers);
        repo.rotate(&[&old[0], &old[1]], &[&first[0], &first[1], &old[0], &old[1]]);
        let signers = signers(&old, &new);
        repo.rotate(&[&new[0], &new[1]], &signers.iter().collect::<Vec<_>>());
        repo.rotate(&[&new[0], &new[1]], &[&new[0], &new[1]]);
        let error = repo.refused(&mut store, code, &["root.json", "root_history/2.root.json"]);
        assert!(error.to_string().starts_with("3.root.json"), "{error}");
        assert!(error.to_string().contains("of 2 keys"), "{error}");
    };
    refused_at_3(|_, new| new.iter().map(clone).collect(), "threshold");
    refused_at_3(|old, _| old.iter().map(clone).collect(), "threshold");
    refused_at_3(|old, new| vec![clone(&old[0]), clone(&new[0]), clone(&new[1])], "threshold");
}

fn clone(key: &SigningKey) -> SigningKey {
    SigningKey::from_pkcs8_der(key.to_pkcs8_v1_der().as_slice()).unwrap()
}

#[test]
fn no_root_may_be_left_out() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    let signers: Vec<_> = repo.managers.iter().map(clone).collect();
    for _ in 0..2 {
        repo.root = repo.root.next(repo.root.expires);
        repo.publish_root(&signers.iter().collect::<Vec<_>>());
    }
    // Version 3 under the name of version 2, which its signatures would allow.
    let third = repo.served.metadata["3.root.json"].clone();
    let second = repo.served.metadata.insert("2.root.json".to_owned(), third).unwrap();
    repo.refused(&mut store, "mismatch", &[]);
    // Version 1 again.
    let first = edited(&repo.first_root, &signers, |_| ());
    repo.served.metadata.insert("2.root.json".to_owned(), first);
    repo.refused(&mut store, "rollback", &[]);
    // Left out altogether, version 3 is never asked for.
    repo.served.metadata.remove("2.root.json");
    repo.refresh(&mut store);
    assert_eq!(Trusted::load(&store, &repo.first_root).unwrap().root().version, 1);
    repo.served.metadata.insert("2.root.json".to_owned(), second);
    repo.refresh(&mut store);
    assert_eq!(Trusted::load(&store, &repo.first_root).unwrap().root().version, 3);
}

#[test]
fn a_refresh_follows_256_roots_and_the_next_the_rest() {
    let mut repo = Repo::new();
    let signers: Vec<_> = repo.managers.iter().take(2).map(clone).collect();
    for _ in 0..258 {
        repo.root = repo.root.next(repo.root.expires);
        repo.publish_root(&signers.iter().collect::<Vec<_>>());
    }
    let mut store = MemoryStore::default();
    for version in [257, 259] {
        repo.refresh(&mut store);
        assert_eq!(Trusted::load(&store, &repo.first_root).unwrap().root().version, version);
    }
}

// The attacker had the timestamp and snapshot keys and used them; then the managers rotate.
fn attacked() -> (Repo, MemoryStore) {
    let mut repo = Repo::new();
    repo.targets.version = 900;
    repo.publish_role("targets", &repo.targets.clone());
    repo.snapshot.version = 9_000_000_000;
    repo.timestamp.version = 9_000_000_000;
    repo.publish_online();
    let store = repo.refreshed();
    repo.targets.version = 2;
    repo.snapshot.version = 1;
    repo.timestamp.version = 1;
    (repo, store)
}

fn rotate_online(repo: &mut Repo, snapshot: bool, timestamp: bool) {
    repo.root = repo.root.next(repo.root.expires);
    if snapshot {
        repo.snapshot_key = key();
        repo.root.set_role("snapshot", &publics(std::slice::from_ref(&repo.snapshot_key)), 1);
    }
    if timestamp {
        repo.timestamp_key = key();
        repo.root.set_role("timestamp", &publics(std::slice::from_ref(&repo.timestamp_key)), 1);
    }
    let signers: Vec<_> = repo.managers.iter().map(clone).collect();
    repo.publish_root(&signers.iter().collect::<Vec<_>>());
}

#[test]
fn rotated_keys_end_a_fast_forward_attack() {
    for (snapshot, timestamp) in [(true, false), (false, true), (true, true)] {
        let (mut repo, mut store) = attacked();
        repo.publish();
        repo.refused(&mut store.clone(), "rollback", &[]);
        rotate_online(&mut repo, snapshot, timestamp);
        repo.publish();
        repo.refresh(&mut store);
        let trusted = Trusted::load(&store, &repo.first_root).unwrap();
        assert_eq!(trusted.targets().version, 2);
        assert_eq!(trusted.snapshot(), &repo.snapshot);
    }
}

#[test]
fn a_set_signed_under_an_earlier_root_is_incomplete() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    rotate_online(&mut repo, false, true);
    let timestamp = repo.served.metadata.remove("timestamp.json").unwrap();
    let removed = ["progress", "root.json", "root_history/2.root.json", "snapshot.json", "timestamp.json"];
    let before = store.clone();
    repo.refused(&mut store, "not-found", &removed);
    assert_eq!(Trusted::load(&store, &repo.first_root).unwrap_err().code(), "nothing-trusted");
    // A crash after the root was stored.
    let mut cut = before;
    cut.files.insert("root_history/2.root.json".to_owned(), store.files["root_history/2.root.json"].clone());
    assert_eq!(Trusted::load(&cut, &repo.first_root).unwrap_err().code(), "incomplete");
    // The old timestamp is of no use under the new root.
    repo.served.metadata.insert("timestamp.json".to_owned(), timestamp);
    repo.refused(&mut cut, "threshold", &["progress", "root.json", "snapshot.json", "timestamp.json"]);
}

#[test]
fn a_key_added_beside_the_old_one_ends_nothing() {
    let (mut repo, mut store) = attacked();
    repo.root = repo.root.next(repo.root.expires);
    let second = key();
    for role in ["snapshot", "timestamp"] {
        let old = if role == "snapshot" { &repo.snapshot_key } else { &repo.timestamp_key };
        let keys = [old.public().clone(), second.public().clone()];
        repo.root.set_role(role, &keys, 1);
    }
    let signers: Vec<_> = repo.managers.iter().map(clone).collect();
    repo.publish_root(&signers.iter().collect::<Vec<_>>());
    (repo.snapshot_key, repo.timestamp_key) = (clone(&second), second);
    repo.publish();
    repo.refused(&mut store, "rollback", &["root.json", "root_history/2.root.json"]);
}

/// Fails from the nth write on, as a full disk or a crash would.
struct Failing<'a> {
    inner: &'a mut MemoryStore,
    left: usize,
}

impl Failing<'_> {
    fn count(&mut self, name: &str) -> Result<(), manifests::tuf::MetadataStoreError> {
        let path = std::path::PathBuf::from(name);
        let source = manifests::durable::DurableError::Remove { path, source: std::io::ErrorKind::StorageFull.into() };
        self.left =
            self.left.checked_sub(1).ok_or(manifests::tuf::MetadataStoreError { name: name.to_owned(), source })?;
        Ok(())
    }
}

impl MetadataStore for Failing<'_> {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, manifests::tuf::MetadataStoreError> {
        self.inner.load(name)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), manifests::tuf::MetadataStoreError> {
        self.count(name)?;
        self.inner.save(name, bytes)
    }

    fn remove(&mut self, name: &str) -> Result<(), manifests::tuf::MetadataStoreError> {
        self.count(name)?;
        self.inner.remove(name)
    }
}

#[test]
fn a_refresh_cut_off_anywhere_is_finished_by_the_next() {
    let (mut repo, store) = attacked();
    rotate_online(&mut repo, false, true);
    repo.publish();
    let mut cuts = 0;
    loop {
        let mut cut = store.clone();
        let failing = Failing { inner: &mut cut, left: cuts };
        let mut client = manifests::tuf::TufClient::new(&repo.first_root, failing, repo.served.clone()).unwrap();
        let result = client.refresh(repo.now);
        repo.refresh(&mut cut);
        assert_eq!(Trusted::load(&cut, &repo.first_root).unwrap().targets().version, 2, "cut {cuts}");
        if result.is_ok() {
            break;
        }
        assert_eq!(result.unwrap_err().code(), "store");
        cuts += 1;
    }
    // Two files of the new root, four of the reset, three of metadata, one for being complete.
    assert_eq!(cuts, 10);
}

#[test]
fn a_newer_first_root_takes_over_an_older_store() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    let before = repo.refreshed();
    rotate_online(&mut repo, true, true);
    repo.later(60);
    repo.publish();
    let older = repo.first_root.clone();
    repo.first_root = repo.served.metadata["2.root.json"].clone();
    repo.refresh(&mut store);
    let trusted = Trusted::load(&store, &repo.first_root).unwrap();
    assert_eq!(trusted.root().version, 2);
    assert_eq!(trusted.snapshot(), &repo.snapshot);
    // The store is now the newer root's; one that was not refreshed is still the older one's.
    assert!(Trusted::load(&before, &older).is_ok());
}
