//! Keys and signatures made by securesystemslib 1.4.0, the library of the TUF reference
//! implementation: `data/foreign-keys`, one file per scheme of the specification.
#![expect(clippy::unwrap_used, reason = "a vector that cannot be read is a test that fails")]

use data_encoding::HEXLOWER;
use manifests::key::{KeyError, PublicKey};
use serde_json::{Value, json};

fn check(file: &str) {
    let vector: Value = serde_json::from_str(file).unwrap();
    let key: PublicKey = serde_json::from_value(vector["key"].clone()).unwrap();
    assert!(key.is_usable());
    assert_eq!(key.id().as_str(), vector["keyid"].as_str().unwrap(), "ids agree");
    let message = vector["message"].as_str().unwrap().as_bytes();
    let mut signature = HEXLOWER.decode(vector["sig"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(key.verify(message, &signature), Ok(()));
    assert_eq!(key.verify(&message[1..], &signature), Err(KeyError::Signature));
    *signature.last_mut().unwrap() ^= 1;
    assert_eq!(key.verify(message, &signature), Err(KeyError::Signature));
    // The same key in another spelling is the same signer; another scheme makes it none at all.
    let mut object = vector["key"].clone();
    object["x-comment"] = json!("spare");
    assert!(PublicKey::try_from(object.clone()).unwrap().is_same_key(&key));
    object["scheme"] = json!("of-tomorrow");
    assert!(!PublicKey::try_from(object).unwrap().is_usable());
    let mut cut = vector["key"].clone();
    let public = cut["keyval"]["public"].as_str().unwrap().to_owned();
    cut["keyval"]["public"] = json!(public.replacen(&public[40..44], "", 1));
    assert_eq!(PublicKey::try_from(cut), Err(KeyError::Encoding));
}

#[test]
fn ed25519_of_others_verifies() {
    check(include_str!("data/foreign-keys/ed25519.json"));
}

#[test]
fn ecdsa_of_others_verifies() {
    check(include_str!("data/foreign-keys/ecdsa.json"));
}

#[test]
fn rsa_pss_of_others_verifies() {
    check(include_str!("data/foreign-keys/rsa.json"));
}
