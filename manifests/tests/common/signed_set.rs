//! A whole signed set, small enough to read: what the release managers and one controller publish.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use manifests::digest::Digest;
use manifests::key::PublicKey;
use manifests::registry::Registry;
use manifests::set::{self, SetError, VerifiedSet};
use manifests::stop::{LIFT_TYPE, Lift};
use manifests::time::{Span, Time};
use manifests::tree::FileList;
use manifests::tuf::repository::{self, LIFTS, REGISTRY, baseline_path, file_path, lift_path};
use manifests::tuf::{
    Fetch, FetchError, MemoryStore, MetaFile, Root, Signed, TargetFile, Targets, TufClient, metadata_path, target_path,
};

use crate::keys::test_key;

pub(crate) const PRODUCT: &str = "convenience-issuance";

/// Files by the name under which they are served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) metadata: BTreeMap<String, Vec<u8>>,
    pub(crate) targets: BTreeMap<String, Vec<u8>>,
}

impl Fetch for Served {
    fn fetch(&mut self, path: &str, _: u64) -> Result<Vec<u8>, FetchError> {
        self.metadata.get(path).cloned().ok_or(FetchError::NotFound)
    }

    fn fetch_target(&mut self, path: &str, _: u64) -> Result<Vec<u8>, FetchError> {
        self.targets.get(path).cloned().ok_or(FetchError::NotFound)
    }
}

/// What is signed, and by whom. Tests change a part and read.
pub(crate) struct SignedSet {
    pub(crate) now: Time,
    /// Keys 1, 2 and 3 of `units[0]`, `units[1]`, `units[2]`.
    pub(crate) units: [&'static str; 3],
    /// Which managers sign root, targets and lifts.
    pub(crate) signers: BTreeMap<&'static str, Vec<u8>>,
    pub(crate) baseline: String,
    /// In place of the registry made of `units`.
    pub(crate) registry: Option<String>,
    /// Target files by path, besides baseline and registry.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) lifts: BTreeMap<String, Vec<u8>>,
    /// Root names the managers' keys with a comment in them: the same keys under other ids.
    pub(crate) respelled: bool,
    /// Somebody to whom targets delegates before lifts, with what is listed there.
    pub(crate) delegate: Option<BTreeMap<String, Vec<u8>>>,
}

pub(crate) fn list() -> FileList {
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"issuingd 3.4.1"));
    list.insert_file(b"lib/print_queue.so", Digest::of(b"print queue 3.4.1"));
    list.insert_file(b"share/a name\nof two lines", Digest::of(b""));
    list.insert_link(b"bin/current", b"issuingd");
    list
}

pub(crate) fn stop_digest() -> Digest {
    Digest::of(b"a stop")
}

pub(crate) fn lift() -> Lift {
    Lift {
        kind: LIFT_TYPE.to_owned(),
        product: PRODUCT.parse().unwrap(),
        stop: stop_digest(),
        sites: vec!["402206".parse().unwrap()],
        reason: "the fix is in force".to_owned(),
        time: Time::from_rfc3339("2026-10-01T00:00:00Z").unwrap(),
    }
}

pub(crate) fn lift_bytes(lift: &Lift) -> Vec<u8> {
    serde_json::to_vec(lift).unwrap()
}

impl SignedSet {
    pub(crate) fn new() -> Self {
        let baseline = format!(
            "schema = 1\nproduct = \"{PRODUCT}\"\nversion = \"2026.10.1\"\n\n[[program]]\nid = \"issuing-server\"\n\
             root = \"/opt/issuing\"\n[[program.release]]\nversion = \"3.4.1\"\ntree = \"{}\"\n[[program.patch]]\n\
             id = \"HF-0042\"\nover = [\"3.4.1\"]\nreplaces = {{ \"lib/print_queue.so\" = \"{}\" }}\n",
            list().digest(),
            Digest::of(b"print queue HF-0042"),
        );
        Self {
            now: Time::from_rfc3339("2026-10-01T00:00:00Z").unwrap(),
            units: ["release management", "quality assurance", "operations"],
            signers: [("root", vec![1, 2]), ("targets", vec![1, 2]), ("lifts", vec![2, 3])].into(),
            baseline,
            registry: None,
            files: [(file_path(&list().digest()), list().to_bytes())].into(),
            lifts: [(lift_path(&stop_digest(), 1), lift_bytes(&lift()))].into(),
            respelled: false,
            delegate: None,
        }
    }

    pub(crate) fn registry(&self) -> String {
        let hex = |number| HEXLOWER.encode(test_key(number).public().ed25519_bytes().unwrap());
        let mut text = format!("schema = 1\nproduct = \"{PRODUCT}\"\n");
        for (number, unit) in (1..).zip(self.units) {
            text += &format!(
                "[[signer]]\nname = \"manager {number}\"\nunit = \"{unit}\"\nkey = \"ed25519:{}\"\n",
                hex(number)
            );
        }
        for (id, standby, permit, log) in [("main", false, 4, 5), ("standby", true, 8, 9)] {
            text += &format!(
                "[[controller]]\nid = \"{id}\"\nstandby = {standby}\npermit_key = \"ed25519:{}\"\nlog_key = \"ed25519:{}\"\n",
                hex(permit),
                hex(log)
            );
        }
        text + "[[site]]\ncode = \"402206\"\nname = { ja = \"福岡県宗像市\", en = \"Munakata\" }\n\
                [[host]]\nid = \"402206-ap1\"\nroles = [\"ap\"]\njoined = 2021-04-01T00:00:00+09:00\n"
    }

    fn managers(&self) -> Vec<PublicKey> {
        let key = |number| {
            let key = test_key(number).public().clone();
            if !self.respelled {
                return key;
            }
            let mut object = serde_json::to_value(key).unwrap();
            object["x-note"] = "spare".into();
            serde_json::from_value(object).unwrap()
        };
        [1, 2, 3].map(key).to_vec()
    }

    fn signed<T: Signed>(&self, role: &str, metadata: &T) -> Vec<u8> {
        let managers = self.managers();
        let message = repository::unsigned(metadata).unwrap();
        self.signers[role].iter().fold(message, |bytes, number| {
            let signature = test_key(*number).sign(&repository::signable_bytes(&bytes).unwrap());
            repository::attach(&bytes, &managers[usize::from(*number) - 1].id(), &signature).unwrap()
        })
    }

    /// Everything that is served, and the first root.
    pub(crate) fn publish(&self) -> (Served, Vec<u8>) {
        let mut served = Served::default();
        let online = |number: u8| test_key(number).public().clone();
        let mut root = Root::new(self.now.after(repository::ROOT_LIFE));
        for role in ["root", "targets"] {
            root.set_role(role, &self.managers(), 2);
        }
        root.set_role("snapshot", &[online(6)], 1);
        root.set_role("timestamp", &[online(7)], 1);
        let root_bytes = self.signed("root", &root);
        served.metadata.insert(metadata_path("root", 1), root_bytes.clone());

        let mut targets = Targets::new(1, self.now.after(repository::TARGETS_LIFE));
        let registry = self.registry.clone().unwrap_or_else(|| self.registry());
        let mut files = self.files.clone();
        files.entry(REGISTRY.to_owned()).or_insert(registry.into_bytes());
        files.entry(baseline_path(PRODUCT)).or_insert(self.baseline.clone().into_bytes());
        files.retain(|_, bytes| bytes != b"not listed");
        let mut metas = BTreeMap::new();
        let mut list = |served: &mut Served, name: &str, bytes: Vec<u8>| {
            metas.insert(format!("{name}.json"), MetaFile::of(1, &bytes));
            served.metadata.insert(metadata_path(name, 1), bytes);
        };
        let fill = |served: &mut Served, targets: &mut Targets, files: &BTreeMap<String, Vec<u8>>| {
            for (path, bytes) in files {
                targets.add(path, bytes);
                let file: &TargetFile = &targets.targets[path];
                served.targets.insert(target_path(path, file).unwrap(), bytes.clone());
            }
        };
        fill(&mut served, &mut targets, &files);
        targets.delegate_lifts(&self.managers(), 2);
        if let Some(delegated) = &self.delegate {
            let delegations = targets.delegations.as_mut().unwrap();
            let mut other = delegations.roles[0].clone();
            other.name = "other".to_owned();
            other.paths = Some(vec!["*".to_owned(), "*/*".to_owned(), "*/*/*".to_owned()]);
            other.terminating = false;
            delegations.roles.insert(0, other);
            let mut targets = Targets::new(1, self.now.after(repository::TARGETS_LIFE));
            fill(&mut served, &mut targets, delegated);
            let bytes = self.signed("lifts", &targets);
            list(&mut served, "other", bytes);
        }
        let bytes = self.signed("targets", &targets);
        list(&mut served, "targets", bytes);
        let mut lifts = Targets::new(1, self.now.after(repository::TARGETS_LIFE));
        fill(&mut served, &mut lifts, &self.lifts);
        let bytes = self.signed("lifts", &lifts);
        list(&mut served, LIFTS, bytes);

        let sign = |bytes: Vec<u8>, number| repository::sign(&bytes, &test_key(number)).unwrap();
        let snapshot = repository::snapshot(self.now, None, metas);
        let snapshot_bytes = sign(repository::unsigned(&snapshot).unwrap(), 6);
        let timestamp = repository::timestamp(self.now, None, snapshot.version, &snapshot_bytes);
        served.metadata.insert(metadata_path("snapshot", snapshot.version), snapshot_bytes);
        let timestamp_bytes = sign(repository::unsigned(&timestamp).unwrap(), 7);
        served.metadata.insert(metadata_path("timestamp", 0), timestamp_bytes);
        (served, root_bytes)
    }

    /// The root after the first, which names units and puts key 11 in the place of key 2.
    pub(crate) fn second_root(&self, first: &[u8]) -> Vec<u8> {
        let first: Root = repository::read_unverified(first).unwrap();
        let mut root = first.next(first.expires);
        let people = [(1, self.units[0]), (11, self.units[1]), (3, self.units[2])];
        let keys = people.map(|(number, _)| test_key(number).public().clone());
        for role in ["root", "targets"] {
            root.set_role(role, &keys, 2);
        }
        for (key, (_, unit)) in keys.iter().zip(people) {
            root.set_unit(key, unit);
        }
        let unsigned = repository::unsigned(&root).unwrap();
        [1, 3].iter().fold(unsigned, |bytes, number| repository::sign(&bytes, &test_key(*number)).unwrap())
    }

    pub(crate) fn read(&self) -> Result<VerifiedSet, SetError> {
        let (served, root) = self.publish();
        read(served, &root, self.now)
    }

    /// As somebody reads it who has a registry already.
    pub(crate) fn read_after(&self, before: &VerifiedSet) -> Result<VerifiedSet, SetError> {
        let (served, root) = self.publish();
        follow(served, &root, self.now, Some(&before.registry))
    }
}

/// Refreshes from `served`, asks for lifts, and reads the set as agent and controller do.
pub(crate) fn read(served: Served, first_root: &[u8], now: Time) -> Result<VerifiedSet, SetError> {
    follow(served, first_root, now, None)
}

fn follow(served: Served, first_root: &[u8], now: Time, before: Option<&Registry>) -> Result<VerifiedSet, SetError> {
    let mut client = TufClient::new(first_root, MemoryStore::default(), served.clone()).unwrap();
    client.refresh(now.after(Span::from_s(60))).unwrap();
    client.delegated(LIFTS).unwrap();
    // Whoever else may speak for a path has been read as well: it must not count all the same.
    for path in ["nowhere", "no/where", "lifts/no/where"] {
        assert!(client.target(path).is_err());
    }
    let trusted = client.trusted().unwrap().clone();
    set::read(&trusted, &PRODUCT.parse().unwrap(), before, |path, file| {
        served.targets.get(&target_path(path, file).unwrap()).cloned().ok_or_else(|| format!("{path} is not served"))
    })
}
