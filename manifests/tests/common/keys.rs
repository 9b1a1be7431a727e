//! Keys that everybody may know.
#![allow(dead_code, reason = "each test binary uses its part")]

use manifests::key::SigningKey;

/// The test key of this number: its seed is 32 times the number.
pub(crate) fn test_key(number: u8) -> SigningKey {
    const PKCS8_V1: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    SigningKey::from_pkcs8_der(&[PKCS8_V1.as_slice(), &[number; 32]].concat()).unwrap()
}
