//! Who signed, and how many: the place where other TUF clients broke.

use manifests::tuf::repository::{self, count_valid, sign, unsigned};
use manifests::tuf::{Ignored, IgnoredWhy, MemoryStore, TufError};
use serde_json::{Value, json};

use crate::repo::{Repo, edited, key, publics, signed_by};

// Publishes version 2 of targets as the case makes it, and refreshes a client that trusts version 1.
fn served(code: &str, make: impl FnOnce(&mut Repo) -> Vec<u8>) -> TufError {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    repo.targets.version = 2;
    let bytes = make(&mut repo);
    repo.list("targets", 2, bytes);
    repo.publish_online();
    repo.refused(&mut store, code, &["snapshot.json", "timestamp.json"])
}

fn with_signatures(metadata: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(metadata).unwrap();
    change(file["signatures"].as_array_mut().unwrap());
    serde_json::to_vec(&file).unwrap()
}

#[test]
fn one_of_two_is_too_few() {
    let error = served("threshold", |repo| signed_by(&repo.targets, &repo.managers[..1]));
    assert!(error.to_string().contains("signed by 1 of 2"), "{error}");
    served("threshold", |repo| signed_by(&repo.targets, &repo.managers[..0]));
}

#[test]
fn one_key_twice_is_refused() {
    served("signature", |repo| {
        with_signatures(&signed_by(&repo.targets, &repo.managers[..1]), |signatures| {
            signatures.push(signatures[0].clone());
        })
    });
    // Even beside a threshold of others (4.1).
    served("signature", |repo| {
        with_signatures(&signed_by(&repo.targets, &repo.managers), |signatures| {
            signatures.push(signatures[0].clone());
        })
    });
}

#[test]
fn one_key_under_two_ids_is_one_signer() {
    let mut repo = Repo::new();
    let mut store = repo.refreshed();
    // A root that names one manager's key twice: with a comment, it has another id.
    repo.root = repo.root.next(repo.root.expires);
    let plain = repo.managers[0].public().clone();
    let mut object = serde_json::to_value(&plain).unwrap();
    object["x-comment"] = json!("spare");
    let again = manifests::key::PublicKey::try_from(object).unwrap();
    repo.root.set_role("targets", &[plain, again.clone()], 2);
    let bytes = signed_by(&repo.root, &repo.managers);
    repo.serve("root", 2, bytes);
    repo.targets.version = 2;
    let bytes = unsigned(&repo.targets).unwrap();
    let signature = repo.managers[0].sign(&repository::signable_bytes(&bytes).unwrap());
    let bytes = sign(&bytes, &repo.managers[0]).unwrap();
    let bytes = repository::attach(&bytes, &again.id(), &signature).unwrap();
    repo.list("targets", 2, bytes);
    repo.publish_online();
    let changed = ["root.json", "root_history/2.root.json", "snapshot.json", "timestamp.json"];
    let error = repo.refused(&mut store, "threshold", &changed);
    assert!(error.to_string().contains("under another id"), "{error}");
}

#[test]
fn a_key_of_another_role_does_not_count() {
    let stranger = served("threshold", |repo| signed_by(&repo.targets, [&repo.managers[0], &key()]));
    assert!(stranger.to_string().contains("does not speak for this role"), "{stranger}");
    served("threshold", |repo| signed_by(&repo.targets, [&repo.managers[0], &repo.snapshot_key]));
    // A signature under a good id by another key.
    served("signature", |repo| {
        let bytes = signed_by(&repo.targets, &repo.managers[..1]);
        let forged = key().sign(&repository::signable_bytes(&bytes).unwrap());
        repository::attach(&bytes, &repo.managers[1].public().id(), &forged).unwrap()
    });
}

#[test]
fn a_signature_is_over_the_canonical_form_only() {
    served("signature", |repo| {
        let bytes = signed_by(&repo.targets, &repo.managers[..1]);
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        let pretty = serde_json::to_vec_pretty(&file["signed"]).unwrap();
        let manager = &repo.managers[1];
        repository::attach(&bytes, &manager.public().id(), &manager.sign(&pretty)).unwrap()
    });
}

#[test]
fn a_bad_signature_does_not_spoil_a_threshold_of_good_ones() {
    for bad in ["", "zz", "00"] {
        let mut repo = Repo::new();
        repo.targets.version = 2;
        let third = repo.managers[2].public().id();
        let bytes = with_signatures(&signed_by(&repo.targets, &repo.managers[..2]), |signatures| {
            signatures.insert(0, json!({ "keyid": third, "sig": bad }));
        });
        repo.list("targets", 2, bytes);
        repo.publish_online();
        repo.refresh(&mut MemoryStore::default());
    }
}

#[test]
fn a_threshold_below_one_is_none() {
    for threshold in [0, -1] {
        served("threshold", |repo| {
            edited(&signed_by(&repo.targets, []), &repo.managers, |signed| {
                signed["delegations"]["roles"][0]["threshold"] = json!(threshold);
            })
        });
        let mut repo = Repo::new();
        let mut store = repo.refreshed();
        let next = signed_by(&repo.root.next(repo.root.expires), []);
        let next = edited(&next, &repo.managers, |signed| {
            signed["roles"]["targets"]["threshold"] = json!(threshold);
        });
        repo.serve("root", 2, next);
        let error = repo.refused(&mut store, "threshold", &[]);
        assert!(error.to_string().contains(&threshold.to_string()), "{error}");
    }
    served("format", |repo| {
        edited(&signed_by(&repo.targets, []), &repo.managers, |signed| {
            signed["delegations"]["roles"][0]["threshold"] = json!("2");
        })
    });
}

#[test]
fn a_role_lists_a_key_once() {
    served("format", |repo| {
        edited(&signed_by(&repo.targets, []), &repo.managers, |signed| {
            let keyids = signed["delegations"]["roles"][0]["keyids"].as_array_mut().unwrap();
            keyids.push(keyids[0].clone());
        })
    });
}

#[test]
fn a_first_root_must_sign_itself() {
    let repo = Repo::new();
    let new = |bytes: &[u8]| manifests::tuf::TufClient::new(bytes, MemoryStore::default(), repo.served.clone()).err();
    let code = |bytes: &[u8]| new(bytes).map(|error| error.code());
    assert_eq!(code(&repo.first_root), None);
    assert_eq!(code(&signed_by(&repo.root, &repo.managers[..1])), Some("threshold"));
    assert_eq!(code(&signed_by(&repo.targets, &repo.managers)), Some("format"));
    assert_eq!(code(b"{"), Some("format"));
}

#[test]
fn signers_on_different_machines_see_who_is_missing() {
    let repo = Repo::new();
    let keys = &repo.root.keys;
    let role = &repo.root.roles["targets"];
    let draft = unsigned(&repo.targets).unwrap();
    let ids: Vec<_> = repo.managers.iter().map(|key| key.public().id()).collect();
    let tally = count_valid(&draft, keys, role).unwrap();
    assert!(!tally.is_met());
    assert_eq!((tally.valid.len(), tally.missing.len()), (0, 3));
    let one = sign(&draft, &repo.managers[1]).unwrap();
    assert_eq!(sign(&one, &repo.managers[1]).unwrap(), one);
    // The second signs elsewhere, and a stranger too.
    let message = repository::signable_bytes(&one).unwrap();
    let two = repository::attach(&one, &ids[2], &repo.managers[2].sign(&message)).unwrap();
    let stranger = key();
    let two = sign(&two, &stranger).unwrap();
    let tally = count_valid(&two, keys, role).unwrap();
    assert!(tally.is_met());
    assert_eq!(tally.valid, [ids[1].clone(), ids[2].clone()]);
    assert_eq!(tally.missing, [ids[0].clone()]);
    assert_eq!(tally.ignored, [Ignored { keyid: stranger.public().id(), why: IgnoredWhy::NotOfThisRole }]);
    assert_eq!(publics(&repo.managers).len(), 3);
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    let mut repo = Repo::new();
    repo.root.roles.remove("snapshot");
    assert_eq!(unsigned(&repo.root).unwrap_err().code(), "format");
    repo.targets.delegate_lifts(&publics(&repo.managers), 0);
    assert_eq!(unsigned(&repo.targets).unwrap_err().code(), "threshold");
}
