//! An example of every document, with its keys: what `tests/data/vectors` holds, today's code reads.
//!
//! `UPDATE_VECTORS=1 cargo test -p manifests --test vectors` writes them anew. A vector of a version
//! that was released is never written anew: it is copied beside the new one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a vector that cannot be read is a test that fails")]

#[path = "common/keys.rs"]
mod keys;
#[path = "common/signed_set.rs"]
mod signed_set;

#[path = "vectors/make.rs"]
mod make;

use std::path::PathBuf;

use manifests::canonical;
use manifests::digest::Digest;
use manifests::enrolment::{Enrolled, Enrolment};
use manifests::envelope::{Document, Sealed, pre_authentication_encoding};
use manifests::evidence::{Evidence, FactSeen, Heartbeat, Odd, State, StateDigests, ValueSeen, v1, v2};
use manifests::key::{PublicKey, SigningKey};
use manifests::permit::{self, Permit};
use manifests::registry::Registry;
use manifests::source;
use manifests::stop::{Acknowledgement, LIFT_TYPE, Lift, Stop};
use manifests::tree::FileList;
use manifests::tuf::repository::{REGISTRY, baseline_path, read_unverified};
use manifests::tuf::{MemoryStore, Root, TufClient};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors")
}

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(directory().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(path: &str) -> String {
    String::from_utf8(bytes(path)).unwrap()
}

#[test]
fn the_vectors_are_written_anew_when_asked() {
    if std::env::var_os("UPDATE_VECTORS").is_none() {
        return;
    }
    for (path, bytes) in make::all() {
        let path = directory().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn today_s_code_writes_the_same_bytes() {
    for (path, made) in make::all() {
        assert!(bytes(&path) == made, "{path} is not what is written today");
    }
}

/// Reads one document, verifies it with the key beside it and nothing but it.
fn document<T: Document + PartialEq + std::fmt::Debug>(name: &str) -> T {
    let key = SigningKey::from_pkcs8_pem(&text(&format!("{name}/key.pem"))).unwrap();
    let sealed: Sealed<T> = serde_json::from_slice(&bytes(&format!("{name}/envelope.json"))).unwrap();
    let payload = bytes(&format!("{name}/payload.json"));
    assert_eq!(sealed.digest(), Digest::of(&payload), "{name}: the envelope carries another payload");
    let verified = sealed.clone().verify([key.public()]).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&payload).unwrap(), *verified, "{name}");
    assert!(sealed.clone().verify([keys::test_key(99).public()]).is_err());
    // What is signed, step by step.
    let wire = serde_json::to_value(&sealed).unwrap();
    let signature = wire["signatures"][0]["sig"].as_str().unwrap();
    let signature = data_encoding::BASE64.decode(signature.as_bytes()).unwrap();
    let encoding = pre_authentication_encoding(T::PAYLOAD_TYPE, &payload);
    assert_eq!(key.public().verify(&encoding, &signature), Ok(()));
    assert_eq!(wire["payloadType"], T::PAYLOAD_TYPE);
    // One byte changed, anywhere in the payload, is another document.
    for index in (0..payload.len()).step_by(17) {
        let mut changed = payload.clone();
        changed[index] ^= 1;
        let encoding = pre_authentication_encoding(T::PAYLOAD_TYPE, &changed);
        assert!(key.public().verify(&encoding, &signature).is_err(), "{name}, byte {index}");
    }
    verified.into_document()
}

#[test]
fn evidence_and_the_heartbeat_that_repeats_it() {
    let evidence: Evidence = document("evidence");
    let heartbeat: Heartbeat = document("heartbeat");
    assert_eq!(heartbeat.state, evidence.state.digest());
    assert!(heartbeat.cover.sequence > evidence.cover.sequence);
    assert_eq!(heartbeat.since, evidence.cover.sequence);
    assert_eq!(heartbeat.cover.host, evidence.cover.host);
    assert_eq!(evidence.state.check(), Ok(()));
}

#[test]
fn evidence_of_version_1_and_the_heartbeat_that_repeats_it_are_still_read() {
    let evidence: v1::Evidence = document("evidence-v1");
    let heartbeat: v1::Heartbeat = document("heartbeat-v1");
    assert_eq!(heartbeat.state, evidence.state.digest());
    assert!(heartbeat.cover.sequence > evidence.cover.sequence);
    assert_eq!(heartbeat.cover.host, evidence.cover.host);
    assert_eq!(evidence.state.check(), Ok(()));
    // Neither version's envelope passes for the other's.
    let envelope = bytes("evidence-v1/envelope.json");
    assert!(serde_json::from_slice::<Sealed<Evidence>>(&envelope).is_err());
    assert!(serde_json::from_slice::<Sealed<v1::Evidence>>(&bytes("evidence/envelope.json")).is_err());
}

#[test]
fn evidence_of_version_2_and_the_heartbeat_that_repeats_it_are_still_read() {
    let evidence: v2::Evidence = document("evidence-v2");
    let heartbeat: v2::Heartbeat = document("heartbeat-v2");
    assert_eq!(heartbeat.state, evidence.state.digest());
    assert_eq!(heartbeat.since, evidence.cover.sequence);
    // The cover names one stop; the state is the same in both versions.
    assert_eq!(evidence.cover.stops.len(), 1);
    assert_eq!(evidence.state, document::<Evidence>("evidence").state);
    let envelope = bytes("evidence-v2/envelope.json");
    assert!(serde_json::from_slice::<Sealed<Evidence>>(&envelope).is_err());
    assert!(serde_json::from_slice::<Sealed<v2::Evidence>>(&bytes("evidence/envelope.json")).is_err());
    // What names several stops is told to a controller of before as the one with the highest number.
    let cover = document::<Evidence>("evidence").cover;
    let told = v2::Evidence { cover: cover.clone(), state: State::default() };
    let told: v2::Evidence = serde_json::from_slice(&serde_json::to_vec(&told).unwrap()).unwrap();
    assert_eq!(told.cover.stops, cover.stops[1..]);
}

#[test]
fn a_document_of_version_2_has_no_codes_but_those_of_version_2() {
    let evidence: v2::Evidence = document("evidence-v2");
    assert_eq!(*v2::told(&evidence.state), evidence.state);
    // A fact and a setting of the vector's, ambiguous in every way there is.
    let with = |odd: Odd| {
        let (mut state, file, lines) = (evidence.state.clone(), "/etc/a.ini".to_owned(), vec![1]);
        let fact = FactSeen::Ambiguous { file: file.clone(), lines: lines.clone(), odd };
        state.facts.values_mut().for_each(|seen| *seen = fact.clone());
        let value = ValueSeen::Ambiguous { file, lines, odd };
        state.settings.values_mut().for_each(|seen| seen.value = value.clone());
        assert!(!state.facts.is_empty() && !state.settings.is_empty());
        state
    };
    for (code, odd) in Odd::ALL {
        let state = with(odd);
        let told = v2::Evidence::telling(evidence.cover.clone(), &state);
        let (own, other) = if code == "duplicate" { ("duplicate", "readers") } else { ("readers", "duplicate") };
        let text = serde_json::to_string(&told).unwrap();
        assert!(text.contains(&format!("\"odd\":{own:?}")) && !text.contains(&format!("\"odd\":{other:?}")));
        assert_eq!(text.matches("\"odd\":").count(), text.matches(&format!("\"odd\":{own:?}")).count());
        let digests = StateDigests::of(&state);
        assert_eq!([digests.of_version(2), digests.of_version(3)], [told.state.digest(), state.digest()]);
        assert!(digests.name(told.state.digest()) && digests.name(state.digest()));
    }
}

fn state_digest<S: serde::de::DeserializeOwned>(directory: &str, digest: impl Fn(&S) -> Digest) -> S {
    let state: S = serde_json::from_slice(&bytes(&format!("{directory}/state.json"))).unwrap();
    let canonical_bytes = bytes(&format!("{directory}/canonical.json"));
    let value = serde_json::from_slice(&bytes(&format!("{directory}/state.json"))).unwrap();
    assert_eq!(canonical::to_vec(&value).unwrap(), canonical_bytes);
    assert_eq!(text(&format!("{directory}/digest")).trim_end(), Digest::of(&canonical_bytes).to_string());
    assert_eq!(digest(&state), Digest::of(&canonical_bytes));
    state
}

#[test]
fn the_state_digest_is_that_of_its_canonical_json() {
    let state = state_digest("state-digest", State::digest);
    assert_eq!(document::<Evidence>("evidence").state, state);
    let state = state_digest("state-digest-v1", v1::State::digest);
    assert_eq!(document::<v1::Evidence>("evidence-v1").state, state);
}

#[test]
fn a_permit_that_issues_and_one_that_holds() {
    let (issue, hold): (Permit, Permit) = (document("permit"), document("permit-hold"));
    assert_eq!((issue.reasons.len(), hold.reasons.len()), (0, 1));
    let evidence: Evidence = document("evidence");
    assert_eq!((issue.state, issue.answers), (Some(evidence.state.digest()), evidence.cover.sequence));
    assert_eq!((issue.stops.len(), issue.key.is_some()), (2, true));
    assert!(hold.number > issue.number);
}

#[test]
fn permits_of_version_1_are_still_read() {
    let (issue, hold): (permit::v1::Permit, permit::v1::Permit) = (document("permit-v1"), document("permit-hold-v1"));
    assert_eq!((issue.reasons.len(), hold.reasons.len()), (0, 1));
    let evidence: v1::Evidence = document("evidence-v1");
    assert_eq!((issue.state, issue.answers), (Some(evidence.state.digest()), evidence.cover.sequence));
    let read = Permit::from(issue.clone());
    assert_eq!((permit::v1::Permit::from(&read), read.stops.len()), (issue, 0));
}

#[test]
fn a_stop_its_acknowledgement_and_its_lift() {
    let (first, second): (Stop, Stop) = (document("stop"), document("stop-second"));
    let digest = Digest::of(&bytes("stop/payload.json"));
    assert_eq!((first.previous, second.previous), (None, Some(digest)));
    let acknowledgement: Acknowledgement = document("acknowledgement");
    assert_eq!((acknowledgement.stop.number, acknowledgement.stop.digest), (1, digest));
    let lift: Lift = serde_json::from_slice(&bytes("lift/payload.json")).unwrap();
    assert_eq!((lift.kind.as_str(), lift.stop), (LIFT_TYPE, digest));
    assert!(lift.frees(&digest, &"402206".parse().unwrap()));
}

#[test]
fn an_enrolment_is_signed_with_the_key_it_names() {
    let enrolment: Enrolment = document("enrolment");
    let key = SigningKey::from_pkcs8_pem(&text("enrolment/key.pem")).unwrap();
    assert_eq!(enrolment.key, *key.public());
    assert_eq!(enrolment.token, Digest::of(text("enrolment/token").trim_end().as_bytes()));
}

#[test]
fn a_controller_s_word_names_the_key_that_was_enrolled() {
    let (enrolled, enrolment): (Enrolled, Enrolment) = (document("enrolled"), document("enrolment"));
    assert_eq!((&enrolled.host, &enrolled.key), (&enrolment.host, &enrolment.key));
    assert_eq!(enrolled.digest(), Digest::of(&bytes("enrolled/payload.json")));
    // The registry of this directory lists that controller with that key.
    let registry = source::registry(&text("registry/registry.toml")).unwrap();
    let word: Sealed<Enrolled> = serde_json::from_slice(&bytes("enrolled/envelope.json")).unwrap();
    let listed = registry.controllers.iter().find(|controller| controller.id == enrolled.controller).unwrap();
    let key = SigningKey::from_pkcs8_pem(&text("enrolled/key.pem")).unwrap();
    assert_eq!(listed.permit_key, *key.public());
    assert!(registry.verify_enrolled(word).is_ok());
}

#[test]
fn a_key_has_the_id_that_tuf_gives_it() {
    let key: PublicKey = serde_json::from_slice(&bytes("key/public.json")).unwrap();
    let private = SigningKey::from_pkcs8_pem(&text("key/key.pem")).unwrap();
    assert_eq!(key, *private.public());
    assert_eq!(key.id().as_str(), text("key/id").trim_end());
}

#[test]
fn a_file_list_has_the_digest_of_its_bytes() {
    for name in ["file-list", "file-list-followed"] {
        let bytes = bytes(&format!("{name}/list"));
        let list = FileList::parse(&bytes).unwrap();
        assert_eq!(list.to_bytes(), bytes);
        assert_eq!(text(&format!("{name}/digest")).trim_end(), list.digest().to_string());
        assert_eq!(list.digest(), Digest::of(&bytes));
    }
}

#[test]
fn a_baseline_and_a_registry_are_read() {
    let baseline = source::baseline(&text("baseline/baseline.toml")).unwrap();
    let registry = source::registry(&text("registry/registry.toml")).unwrap();
    assert_eq!(baseline.product, registry.product);
}

/// A whole repository as it is served, read from files.
fn served() -> signed_set::Served {
    let mut served = signed_set::Served::default();
    for (kind, files) in [("metadata", &mut served.metadata), ("targets", &mut served.targets)] {
        let root = directory().join("tuf").join(kind);
        let mut ahead = vec![root.clone()];
        while let Some(directory) = ahead.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    ahead.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
    }
    served
}

#[test]
fn a_repository_is_refreshed_from_and_makes_a_set() {
    let set = signed_set::read(served(), &bytes("tuf/metadata/1.root.json"), make::now()).unwrap();
    assert_eq!(set.reference.baseline().product.as_str(), signed_set::PRODUCT);
    assert_eq!(set.lifts.len(), 1);
    assert_eq!(set.registry.signers.len(), 3);
    for number in 1..=3 {
        let key = SigningKey::from_pkcs8_pem(&text(&format!("tuf/keys/manager-{number}.pem"))).unwrap();
        assert!(set.registry.signers.iter().any(|signer| signer.key == *key.public()));
    }
    let names: Vec<_> = served().targets.into_keys().collect();
    let ends = |end: &str| names.iter().any(|name| name.ends_with(end));
    assert!(ends(REGISTRY) && ends("baseline.toml") && baseline_path(signed_set::PRODUCT).ends_with("baseline.toml"));
}

#[test]
fn a_root_that_names_units_follows_one_that_does_not_by_the_word_of_a_registry() {
    let mut served = served();
    served.metadata.insert("2.root.json".to_owned(), bytes("tuf-units/metadata/2.root.json"));
    let first = bytes("tuf-units/metadata/1.root.json");
    let registry = source::registry_from_bytes(&bytes("registry/registry.toml")).unwrap();
    let walk = |registry: Option<&Registry>| {
        let client = TufClient::new(&first, MemoryStore::default(), served.clone()).unwrap();
        let mut client = client.by_units(registry);
        // Targets bear the signatures of managers 1 and 2, and 2 is nobody any more.
        (client.refresh(make::now()).unwrap_err().code(), client)
    };
    assert_eq!(walk(Some(&registry)).0, "threshold");
    assert_eq!(walk(None).0, "no-units");
    let second: Root = read_unverified(&bytes("tuf-units/metadata/2.root.json")).unwrap();
    let mut units: Vec<_> = second.units.values().map(String::as_str).collect();
    units.sort_unstable();
    assert_eq!(units, ["operations", "quality assurance", "release management"]);
}

#[test]
fn every_vector_is_described_and_every_key_is_marked() {
    let readme = text("README.md");
    for (path, bytes) in make::all() {
        let name = path.split('/').next().unwrap();
        assert!(readme.contains(&format!("`{name}/")), "{name} is not described");
        if path.ends_with(".pem") {
            assert!(bytes.starts_with(b"TEST KEY"), "{path}");
        }
    }
}
