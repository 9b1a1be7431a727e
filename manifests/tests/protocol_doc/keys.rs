//! The keys of the examples. Anybody can make them: the seed of an Ed25519 key is the SHA-256 of
//! `sekisho example NAME`.

use manifests::digest::Digest;
use manifests::key::SigningKey;

/// DER of a PKCS#8 version 1 file for Ed25519 up to the seed (RFC 8410, 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

pub(crate) fn key(name: &str) -> SigningKey {
    let seed = Digest::of(format!("sekisho example {name}").as_bytes());
    SigningKey::from_pkcs8_der(&[&PKCS8_PREFIX[..], seed.as_bytes()].concat()).unwrap()
}
