//! Release managers who come and go, and hosts that follow them.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use manifests::key::{KeyId, PublicKey};
use manifests::registry::Registry;
use manifests::set::{self, VerifiedSet};
use manifests::time::{Span, Time};
use manifests::tuf::repository::{self, LIFTS, REGISTRY, baseline_path, file_path};
use manifests::tuf::{
    MemoryStore, MetaFile, Root, Signed, Targets, Trusted, TufClient, TufError, metadata_path, target_path,
};

use crate::keys::test_key;
use crate::signed_set::{PRODUCT, Served, SignedSet, list};

/// Online keys.
const SNAPSHOT: u8 = 201;
const TIMESTAMP: u8 = 202;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) key: u8,
    pub(crate) unit: String,
}

pub(crate) fn people(people: &[(u8, &str)]) -> Vec<Person> {
    people.iter().map(|(key, unit)| Person { key: *key, unit: (*unit).to_owned() }).collect()
}

fn public(key: u8) -> PublicKey {
    test_key(key).public().clone()
}

fn signed<T: Signed>(metadata: &T, signers: &[u8]) -> Vec<u8> {
    let unsigned = repository::unsigned(metadata).unwrap();
    signers.iter().fold(unsigned, |bytes, key| repository::sign(&bytes, &test_key(*key)).unwrap())
}

/// What is served, and who is in it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) served: Served,
    /// As the next publish has them in its registry, and the newest root in its roles.
    pub(crate) people: Vec<Person>,
    pub(crate) names_units: bool,
    pub(crate) root: Root,
    pub(crate) version: u64,
}

impl World {
    /// Root and set of version 1, signed by everybody.
    pub(crate) fn new(people: Vec<Person>, names_units: bool) -> Self {
        let now = Time::from_rfc3339("2026-10-01T00:00:00Z").unwrap();
        let mut root = Root::new(now.after(repository::ROOT_LIFE));
        root.set_role("snapshot", &[public(SNAPSHOT)], 1);
        root.set_role("timestamp", &[public(TIMESTAMP)], 1);
        root.version = 0;
        let mut world = Self { now, served: Served::default(), people: Vec::new(), names_units, root, version: 0 };
        let everybody: Vec<_> = people.iter().map(|person| person.key).collect();
        world.follow(people, &everybody);
        world.publish(&everybody);
        world
    }

    pub(crate) fn keys(&self) -> Vec<u8> {
        self.people.iter().map(|person| person.key).collect()
    }

    /// The next root, with these people, signed by those.
    pub(crate) fn follow(&mut self, people: Vec<Person>, signers: &[u8]) {
        self.root = self.root.next(self.root.expires);
        self.people = people;
        let keys: Vec<_> = self.people.iter().map(|person| public(person.key)).collect();
        for role in ["root", "targets"] {
            self.root.set_role(role, &keys, 2);
        }
        self.root.units.clear();
        if self.names_units {
            for person in &self.people {
                self.root.set_unit(&public(person.key), &person.unit);
            }
        }
        self.serve_root(signers);
    }

    /// The next root, in which one key stands twice, spelled differently and with another unit.
    pub(crate) fn follow_with_a_twin_of(&mut self, key: u8, unit: &str, signers: &[u8]) -> KeyId {
        let mut object = serde_json::to_value(public(key)).unwrap();
        object["x-note"] = "spare".into();
        let twin: PublicKey = serde_json::from_value(object).unwrap();
        self.root = self.root.next(self.root.expires);
        self.root.keys.insert(twin.id(), twin.clone());
        self.root.roles.get_mut("root").unwrap().keyids.push(twin.id());
        // What no tool of ours makes.
        let mut file: serde_json::Value = serde_json::to_value(&self.root).unwrap();
        file["x-sekisho-units"][twin.id().as_str()] = unit.into();
        file["_type"] = "root".into();
        file["spec_version"] = "1.0.34".into();
        let bytes = serde_json::to_vec(&serde_json::json!({ "signatures": [], "signed": file })).unwrap();
        let bytes = signers.iter().fold(bytes, |bytes, key| repository::sign(&bytes, &test_key(*key)).unwrap());
        self.served.metadata.insert(metadata_path("root", self.root.version), bytes);
        twin.id()
    }

    pub(crate) fn serve_root(&mut self, signers: &[u8]) {
        self.served.metadata.insert(metadata_path("root", self.root.version), signed(&self.root, signers));
    }

    fn registry(&self) -> String {
        let hex = |key: u8| HEXLOWER.encode(public(key).ed25519_bytes().unwrap());
        let mut text = format!("schema = 1\nproduct = \"{PRODUCT}\"\n");
        for Person { key, unit } in &self.people {
            let key_text = hex(*key);
            text += &format!("[[signer]]\nname = \"manager {key}\"\nunit = \"{unit}\"\nkey = \"ed25519:{key_text}\"\n");
        }
        let rest = SignedSet::new().registry();
        text + rest.split_at(rest.find("[[controller]]").unwrap()).1
    }

    /// The next targets and lifts, signed by these; whoever does this has the online keys as well.
    pub(crate) fn publish(&mut self, signers: &[u8]) {
        self.version += 1;
        self.now = self.now.after(Span::from_s(60));
        let expires = self.now.after(repository::TARGETS_LIFE);
        let baseline = SignedSet::new().baseline.replace("2026.10.1", &format!("2026.10.{}", self.version));
        let files = [
            (REGISTRY.to_owned(), self.registry().into_bytes()),
            (baseline_path(PRODUCT), baseline.into_bytes()),
            (file_path(&list().digest()), list().to_bytes()),
        ];
        let mut targets = Targets::new(self.version, expires);
        for (path, bytes) in files {
            targets.add(&path, &bytes);
            self.served.targets.insert(target_path(&path, &targets.targets[&path]).unwrap(), bytes);
        }
        let managers: Vec<_> = self.people.iter().map(|person| public(person.key)).collect();
        targets.delegate_lifts(&managers, 2);
        let mut metas = BTreeMap::new();
        for (role, metadata) in [("targets", targets), (LIFTS, Targets::new(self.version, expires))] {
            let bytes = signed(&metadata, signers);
            metas.insert(format!("{role}.json"), MetaFile::of(self.version, &bytes));
            self.served.metadata.insert(metadata_path(role, self.version), bytes);
        }
        let snapshot = repository::snapshot(self.now, None, metas);
        let bytes = signed(&snapshot, &[SNAPSHOT]);
        let timestamp = repository::timestamp(self.now, None, snapshot.version, &bytes);
        self.served.metadata.insert(metadata_path("snapshot", snapshot.version), bytes);
        self.served.metadata.insert(metadata_path("timestamp", 0), signed(&timestamp, &[TIMESTAMP]));
    }
}

/// A host, or a controller: what it began with, what it stored, and the registry of its newest set.
#[derive(Clone)]
pub(crate) struct Walker {
    first_root: Vec<u8>,
    store: MemoryStore,
    pub(crate) registry: Option<Registry>,
}

impl Walker {
    pub(crate) fn new(world: &World) -> Self {
        Self::beginning_with(world, 1)
    }

    pub(crate) fn beginning_with(world: &World, root: u64) -> Self {
        let first_root = world.served.metadata[&metadata_path("root", root)].clone();
        Self { first_root, store: MemoryStore::default(), registry: None }
    }

    /// Follows what is served, as agent and controller do. The error is its code.
    pub(crate) fn walk(&mut self, world: &World) -> Result<VerifiedSet, String> {
        let registry = self.registry.clone();
        let code = |error: TufError| error.code().to_owned();
        let client = TufClient::new(&self.first_root, &mut self.store, world.served.clone()).map_err(code)?;
        let mut client = client.by_units(registry.as_ref());
        client.refresh(world.now).map_err(code)?;
        client.delegated(LIFTS).map_err(code)?;
        let trusted = client.trusted().unwrap().clone();
        let set = set::read(&trusted, &PRODUCT.parse().unwrap(), registry.as_ref(), |path, file| {
            world.served.targets.get(&target_path(path, file).unwrap()).cloned().ok_or("not served")
        });
        let set = set.map_err(|error| error.code().to_owned())?;
        self.registry = Some(set.registry.clone());
        Ok(set)
    }

    pub(crate) fn load(&self) -> Result<Trusted, TufError> {
        Trusted::load(&self.store, &self.first_root)
    }

    /// The root in its store.
    pub(crate) fn stored_root(&self) -> Root {
        let bytes = self.store.files.get("root.json").unwrap_or(&self.first_root);
        repository::read_unverified(bytes).unwrap()
    }

    pub(crate) fn root(&self) -> u64 {
        self.stored_root().version
    }
}
