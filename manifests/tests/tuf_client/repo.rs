//! A small repository with the roles of the product, and the questions the tests ask of a client.

use std::collections::BTreeMap;

use manifests::key::{PublicKey, SigningKey};
use manifests::time::{Span, Time};
use manifests::tuf::repository::{self, LIFTS};
use manifests::tuf::{
    Fetch, FetchError, MemoryStore, MetaFile, Root, Signed, Snapshot, Targets, Timestamp, TufClient, TufError,
    metadata_path, target_path,
};
use serde_json::Value;

pub(crate) const BASELINE: &str = "convenience-issuance/baseline.toml";

/// Served files; a fetch from it never fails for another reason than absence or size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) metadata: BTreeMap<String, Vec<u8>>,
    pub(crate) targets: BTreeMap<String, Vec<u8>>,
    /// Stands for a transport that ignores the limit it is given.
    pub(crate) ignores_limits: bool,
}

impl Served {
    fn read(&self, files: &BTreeMap<String, Vec<u8>>, path: &str, max: u64) -> Result<Vec<u8>, FetchError> {
        let bytes = files.get(path).ok_or(FetchError::NotFound)?;
        let fits = bytes.len() as u64 <= max || self.ignores_limits;
        if fits { Ok(bytes.clone()) } else { Err(FetchError::TooLarge) }
    }
}

impl Fetch for Served {
    fn fetch(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.read(&self.metadata, path, max_bytes)
    }

    fn fetch_target(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        self.read(&self.targets, path, max_bytes)
    }
}

/// What is published next, and everything published so far. Tests change the parts and publish.
pub(crate) struct Repo {
    pub(crate) now: Time,
    pub(crate) managers: Vec<SigningKey>,
    pub(crate) snapshot_key: SigningKey,
    pub(crate) timestamp_key: SigningKey,
    pub(crate) root: Root,
    pub(crate) targets: Targets,
    pub(crate) lifts: Targets,
    pub(crate) metas: BTreeMap<String, MetaFile>,
    pub(crate) snapshot: Snapshot,
    pub(crate) timestamp: Timestamp,
    pub(crate) first_root: Vec<u8>,
    pub(crate) served: Served,
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

pub(crate) fn publics(keys: &[SigningKey]) -> Vec<PublicKey> {
    keys.iter().map(|key| key.public().clone()).collect()
}

pub(crate) fn signed_by<'a>(metadata: &impl Signed, keys: impl IntoIterator<Item = &'a SigningKey>) -> Vec<u8> {
    let unsigned = repository::unsigned(metadata).unwrap();
    keys.into_iter().fold(unsigned, |bytes, key| repository::sign(&bytes, key).unwrap())
}

/// Changes the signed part as a careless or hostile writer would, and signs the result.
pub(crate) fn edited<'a>(
    metadata: &[u8],
    keys: impl IntoIterator<Item = &'a SigningKey>,
    edit: impl FnOnce(&mut Value),
) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(metadata).unwrap();
    edit(&mut file["signed"]);
    file["signatures"] = serde_json::json!([]);
    let bytes = serde_json::to_vec(&file).unwrap();
    keys.into_iter().fold(bytes, |bytes, key| repository::sign(&bytes, key).unwrap())
}

impl Repo {
    /// Version 1 of everything, all of it served: three managers of whom two must sign.
    pub(crate) fn new() -> Self {
        let now = Time::from_rfc3339("2026-10-01T00:00:00Z").unwrap();
        let managers = vec![key(), key(), key()];
        let (snapshot_key, timestamp_key) = (key(), key());
        let mut root = Root::new(now.after(repository::ROOT_LIFE));
        for role in ["root", "targets"] {
            root.set_role(role, &publics(&managers), 2);
        }
        root.set_role("snapshot", &[snapshot_key.public().clone()], 1);
        root.set_role("timestamp", &[timestamp_key.public().clone()], 1);
        let mut targets = Targets::new(1, now.after(repository::TARGETS_LIFE));
        targets.delegate_lifts(&publics(&managers), 2);
        let lifts = Targets::new(1, now.after(repository::TARGETS_LIFE));
        let snapshot = repository::snapshot(now, None, BTreeMap::new());
        let timestamp = repository::timestamp(now, None, 1, b"");
        let mut repo = Self {
            now,
            managers,
            snapshot_key,
            timestamp_key,
            root,
            targets,
            lifts,
            metas: BTreeMap::new(),
            snapshot,
            timestamp,
            first_root: Vec::new(),
            served: Served::default(),
        };
        repo.add_file(BASELINE, b"schema = 1\n");
        repo.first_root = signed_by(&repo.root, repo.managers.iter().take(2));
        repo.serve("root", 1, repo.first_root.clone());
        repo.publish();
        repo
    }

    pub(crate) fn add_file(&mut self, path: &str, bytes: &[u8]) {
        self.targets.add(path, bytes);
        self.serve_target(path, bytes, &self.targets.targets[path].clone());
    }

    pub(crate) fn serve_target(&mut self, path: &str, bytes: &[u8], file: &manifests::tuf::TargetFile) {
        self.served.targets.insert(target_path(path, file).unwrap(), bytes.to_vec());
    }

    pub(crate) fn serve(&mut self, role: &str, version: u64, bytes: Vec<u8>) {
        self.served.metadata.insert(metadata_path(role, version), bytes);
    }

    /// Signs and serves targets and lifts as they stand, then snapshot and timestamp.
    pub(crate) fn publish(&mut self) {
        self.publish_role("targets", &self.targets.clone());
        self.publish_role(LIFTS, &self.lifts.clone());
        self.publish_online();
    }

    pub(crate) fn publish_role(&mut self, name: &str, targets: &Targets) {
        let bytes = signed_by(targets, self.managers.iter().take(2));
        self.list(name, targets.version, bytes);
    }

    pub(crate) fn list(&mut self, name: &str, version: u64, bytes: Vec<u8>) {
        self.metas.insert(format!("{name}.json"), MetaFile::of(version, &bytes));
        self.serve(name, version, bytes);
    }

    pub(crate) fn publish_online(&mut self) {
        self.snapshot = repository::snapshot(self.now, Some(self.snapshot.version), self.metas.clone());
        self.publish_snapshot();
    }

    /// Signs and serves the snapshot as it stands and a new timestamp for it.
    pub(crate) fn publish_snapshot(&mut self) {
        let bytes = signed_by(&self.snapshot, [&self.snapshot_key]);
        self.list_snapshot(bytes);
    }

    pub(crate) fn list_snapshot(&mut self, bytes: Vec<u8>) {
        let version = self.snapshot.version;
        self.timestamp = repository::timestamp(self.now, Some(self.timestamp.version), version, &bytes);
        self.serve("snapshot", version, bytes);
        self.publish_timestamp();
    }

    pub(crate) fn publish_timestamp(&mut self) {
        let bytes = signed_by(&self.timestamp, [&self.timestamp_key]);
        self.serve("timestamp", 0, bytes);
    }

    pub(crate) fn publish_root(&mut self, signers: &[&SigningKey]) {
        let bytes = signed_by(&self.root, signers.iter().copied());
        self.serve("root", self.root.version, bytes);
    }

    pub(crate) fn client<'a>(&self, store: &'a mut MemoryStore) -> TufClient<&'a mut MemoryStore, Served> {
        TufClient::new(&self.first_root, store, self.served.clone()).unwrap()
    }

    /// A refresh that must succeed.
    pub(crate) fn refresh(&self, store: &mut MemoryStore) {
        self.client(store).refresh(self.now).unwrap();
    }

    /// A store after one refresh.
    pub(crate) fn refreshed(&self) -> MemoryStore {
        let mut store = MemoryStore::default();
        self.refresh(&mut store);
        store
    }

    /// A refresh that must fail with this code and leave all stored files alone but those named.
    pub(crate) fn refused(&self, store: &mut MemoryStore, code: &str, changed: &[&str]) -> TufError {
        let before = store.clone();
        let error = self.client(store).refresh(self.now).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let names = before.files.keys().chain(store.files.keys());
        let mut differ: Vec<_> =
            names.filter(|name| before.files.get(*name) != store.files.get(*name)).map(String::as_str).collect();
        differ.sort_unstable();
        differ.dedup();
        assert_eq!(differ, changed, "{error}");
        error
    }

    pub(crate) fn later(&mut self, seconds: u64) {
        self.now = self.now.after(Span::from_s(seconds));
    }
}
