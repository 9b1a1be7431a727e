//! Keys: who may sign, in the form that TUF metadata gives them, and what a signature is worth.
//!
//! All arithmetic is ring's. Ed25519 signs; Ed25519, ECDSA P-256 and RSA-PSS verify, the three
//! schemes of TUF 1.0.34 (4.2).

use std::fmt;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::rand::SystemRandom;
use ring::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::canonical;
use crate::digest::Digest;

/// The name of a key.
///
/// Shape: for keys made here 64 lower-case hexadecimal digits, the SHA-256 of the canonical JSON of
/// the TUF key object (TUF 1.0.34, 4.2). Ids found in metadata of others are taken as they stand:
/// some repositories add members to a key after naming it. Nothing follows from two ids being
/// different; thresholds count keys ([`PublicKey::is_same_key`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for KeyId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for KeyId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key, as the TUF key object that names it: `keytype`, `scheme`, `keyval.public`.
///
/// Members that TUF does not define are kept, as they count in the key's id. A key of a type or
/// scheme unknown here is kept too, since a root may list it, but verifies nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct PublicKey {
    object: Value,
    material: Material,
}

/// What verifies, in one encoding per key, so that equal keys are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Ed25519([u8; 32]),
    /// Uncompressed point, 65 bytes.
    EcdsaP256(Vec<u8>),
    /// DER `RSAPublicKey`, as ring reads it.
    RsaPss(Vec<u8>),
    Unknown,
}

const TEXT_PREFIX: &str = "ed25519:";

impl PublicKey {
    /// An Ed25519 key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Weak`] for a point of small order or one not written canonically: under such a
    /// key a signature can hold for messages that nobody signed.
    pub fn ed25519(bytes: [u8; 32]) -> Result<Self, KeyError> {
        check_point(&bytes)?;
        let object =
            json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": HEXLOWER.encode(&bytes) } });
        Ok(Self { object, material: Material::Ed25519(bytes) })
    }

    /// An Ed25519 key from the text by which people write it, `ed25519:` and 64 lower-case hexadecimal
    /// digits.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] if it is no such text; [`KeyError::Weak`] as [`PublicKey::ed25519`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let digits = text.strip_prefix(TEXT_PREFIX).ok_or(KeyError::Encoding)?;
        let bytes = HEXLOWER.decode(digits.as_bytes()).map_err(|_| KeyError::Encoding)?;
        Self::ed25519(bytes.try_into().map_err(|_| KeyError::Encoding)?)
    }

    /// That text; none for a key of another algorithm.
    pub fn to_text(&self) -> Option<String> {
        self.ed25519_bytes().map(|bytes| format!("{TEXT_PREFIX}{}", HEXLOWER.encode(bytes)))
    }

    /// The key's name: SHA-256 of its object's canonical JSON.
    pub fn id(&self) -> KeyId {
        // An object that came through `try_from` has a canonical form; the fallback names no key.
        canonical::to_vec(&self.object).map_or_else(|_| KeyId(String::new()), |text| KeyId(Digest::of(&text).hex()))
    }

    /// Whether both would accept the same signatures, whatever their ids, spelling and comments.
    ///
    /// Counting ids in place of keys let one key reach any threshold in other TUF clients
    /// (GHSA-3633-5h82-39pq).
    pub fn is_same_key(&self, other: &PublicKey) -> bool {
        self.material == other.material
    }

    /// Whether this program can verify with it.
    pub fn is_usable(&self) -> bool {
        self.material != Material::Unknown
    }

    /// Whether it is an Ed25519 key in the one form in which this program writes it: then nobody can
    /// bring the same key once more under another id, with a spare member or another spelling.
    pub fn is_plain_ed25519(&self) -> bool {
        let plain = self.ed25519_bytes().and_then(|bytes| Self::ed25519(*bytes).ok());
        plain.is_some_and(|plain| plain.object == self.object)
    }

    /// The 32 bytes of an Ed25519 key.
    pub fn ed25519_bytes(&self) -> Option<&[u8; 32]> {
        match &self.material {
            Material::Ed25519(bytes) => Some(bytes),
            Material::EcdsaP256(_) | Material::RsaPss(_) | Material::Unknown => None,
        }
    }

    /// Checks that the holder of this key signed `message`.
    ///
    /// Signatures are raw: 64 bytes for Ed25519, DER for ECDSA.
    ///
    /// # Errors
    /// [`KeyError::Signature`] if not, and always for a key of unknown type.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        match &self.material {
            Material::Ed25519(key) => UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature),
            Material::EcdsaP256(key) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, key).verify(message, signature)
            }
            Material::RsaPss(key) => {
                UnparsedPublicKey::new(&signature::RSA_PSS_2048_8192_SHA256, key).verify(message, signature)
            }
            Material::Unknown => return Err(KeyError::Signature),
        }
        .map_err(|_| KeyError::Signature)
    }
}

impl TryFrom<Value> for PublicKey {
    type Error = KeyError;

    fn try_from(object: Value) -> Result<Self, Self::Error> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let keytype = text(object.get("keytype")).ok_or(KeyError::Object)?;
        let scheme = text(object.get("scheme")).ok_or(KeyError::Object)?;
        let values = object.get("keyval").and_then(Value::as_object).ok_or(KeyError::Object)?;
        canonical::to_vec(&object).map_err(|_| KeyError::Object)?;
        let material = material(&keytype, &scheme, values)?;
        Ok(Self { object, material })
    }
}

impl From<PublicKey> for Value {
    fn from(key: PublicKey) -> Self {
        key.object
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

// Known type and scheme, but no such key: an error, so that a mistyped key is met when it is
// listed and not on the day its signature is needed.
fn material(keytype: &str, scheme: &str, values: &Map<String, Value>) -> Result<Material, KeyError> {
    let public = || values.get("public").and_then(Value::as_str).ok_or(KeyError::Object);
    match (keytype, scheme) {
        ("ed25519", "ed25519") => {
            let bytes = HEXLOWER_PERMISSIVE.decode(public()?.as_bytes()).map_err(|_| KeyError::Encoding)?;
            let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| KeyError::Encoding)?;
            check_point(&bytes)?;
            Ok(Material::Ed25519(bytes))
        }
        // The second key type is how older repositories call the first.
        ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
            let spki = from_pem(public()?, "PUBLIC KEY")?;
            let point = spki.strip_prefix(P256_SPKI_PREFIX).ok_or(KeyError::Encoding)?;
            if point.len() == 65 && point.first() == Some(&4) {
                Ok(Material::EcdsaP256(point.to_vec()))
            } else {
                Err(KeyError::Encoding)
            }
        }
        ("rsa", "rsassa-pss-sha256") => {
            let spki = from_pem(public()?, "PUBLIC KEY")?;
            rsa_public_key(&spki).map(|key| Material::RsaPss(key.to_vec())).ok_or(KeyError::Encoding)
        }
        _ => Ok(Material::Unknown),
    }
}

/// DER of a `SubjectPublicKeyInfo` for P-256 up to the point (RFC 5480).
const P256_SPKI_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// DER of the algorithm identifier `rsaEncryption` (RFC 3279).
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

// The `RSAPublicKey` inside a `SubjectPublicKeyInfo`. Its numbers are left to ring.
fn rsa_public_key(spki: &[u8]) -> Option<&[u8]> {
    let (info, rest) = der_element(spki, 0x30)?;
    let (bits, inner_rest) = der_element(info.strip_prefix(RSA_ALGORITHM)?, 0x03)?;
    let key = bits.strip_prefix(&[0])?;
    let (_, key_rest) = der_element(key, 0x30)?;
    (rest.is_empty() && inner_rest.is_empty() && key_rest.is_empty()).then_some(key)
}

// Content of the element at the front, which must bear `tag`, and what follows it. Lengths must be
// minimal, or one key would have several encodings.
fn der_element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, input) = input.split_first()?;
    let (short, input) = input.split_first()?;
    let (length, input) = match (*first == tag, *short) {
        (true, length @ 0..=0x7f) => (usize::from(length), input),
        (true, 0x81) => {
            let (length, input) = input.split_first()?;
            (usize::from(*length), input)
        }
        (true, 0x82) => {
            let (length, input) = input.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), input)
        }
        _ => return None,
    };
    let minimal = match short {
        0x81 => length > 0x7f,
        0x82 => length > 0xff,
        _ => true,
    };
    if minimal { input.split_at_checked(length) } else { None }
}

/// y coordinates, little-endian, of the points whose order divides 8: multiples of them are at most
/// eight points, so a signature under such a key proves nothing.
const SMALL_ORDER_Y: [&[u8; 32]; 5] = [
    &[0; 32],
    b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
];

fn check_point(bytes: &[u8; 32]) -> Result<(), KeyError> {
    let mut y = *bytes;
    let [first, middle @ .., last] = &mut y;
    *last &= 0x7f; // The highest bit is the sign of x.
    // 2^255 - 19 and above name a point that a smaller number names as well (RFC 8032, 5.1.3).
    let reducible = *last == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xed;
    if reducible || SMALL_ORDER_Y.contains(&&y) { Err(KeyError::Weak) } else { Ok(()) }
}

/// An Ed25519 key that signs.
///
/// The seed kept for export is wiped when the key is dropped; ring's working copy is ring's.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// DER of a PKCS#8 **v1** `PrivateKeyInfo` for Ed25519 up to the seed (RFC 8410, 7). ring writes v2,
/// which openssl before 3 does not read.
const PKCS8_V1_PREFIX: &[u8; 16] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl SigningKey {
    /// A new key from the system's random source.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let seed: [u8; 32] = ring::rand::generate(&SystemRandom::new()).map_err(|_| KeyError::Random)?.expose();
        Self::from_seed(&Zeroizing::new(seed))
    }

    /// A key from its PKCS#8 DER, version 1 or 2.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] if it is none, is damaged, or is of another algorithm.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        // ring checks the structure, and the public key if there is one. In both versions the seed
        // lies behind sixteen bytes.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyError::Encoding)?;
        let seed = der.get(PKCS8_V1_PREFIX.len()..).and_then(<[u8]>::first_chunk::<32>).ok_or(KeyError::Encoding)?;
        Self::from_seed(&Zeroizing::new(*seed))
    }

    /// A key from PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`).
    ///
    /// # Errors
    /// [`KeyError::Encrypted`] for a file that needs a passphrase, [`KeyError::Encoding`] otherwise.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(KeyError::Encrypted);
        }
        Self::from_pkcs8_der(&from_pem(pem, "PRIVATE KEY")?)
    }

    /// PKCS#8 v1 DER, 48 bytes.
    pub fn to_pkcs8_v1_der(&self) -> Zeroizing<[u8; 48]> {
        let mut der = Zeroizing::new([0; 48]);
        let (prefix, seed) = der.split_at_mut(PKCS8_V1_PREFIX.len());
        prefix.copy_from_slice(PKCS8_V1_PREFIX);
        seed.copy_from_slice(self.seed.as_slice());
        der
    }

    /// PKCS#8 v1 PEM, as openssl writes it.
    pub fn to_pkcs8_v1_pem(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(BASE64.encode(self.to_pkcs8_v1_der().as_slice()));
        Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", body.as_str()))
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`: 64 bytes, the same for the same message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::Encoding)?;
        let bytes = <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| KeyError::Encoding)?;
        Ok(Self { seed: seed.clone(), pair, public: PublicKey::ed25519(bytes)? })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

// Bytes of the one PEM block with this label (RFC 7468). Text around it is allowed, as openssl does.
fn from_pem(pem: &str, label: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let (_, rest) = pem.split_once(&begin).ok_or(KeyError::Encoding)?;
    let (body, _) = rest.split_once(&end).ok_or(KeyError::Encoding)?;
    let body = Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>());
    BASE64.decode(&body).map(Zeroizing::new).map_err(|_| KeyError::Encoding)
}

/// Why a key or a signature is not accepted. Carries no key bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// `keytype`, `scheme` or `keyval` missing or of the wrong type.
    #[error("a key is an object with keytype, scheme and keyval")]
    Object,
    /// Not the encoding that its type demands.
    #[error("the key is damaged or not of the type it names")]
    Encoding,
    /// A point of small order, or not written canonically.
    #[error("the Ed25519 key is a point that proves nothing")]
    Weak,
    /// PKCS#8 under a passphrase.
    #[error("the private key is protected by a passphrase")]
    Encrypted,
    /// No random bytes from the system.
    #[error("the system gives no random numbers")]
    Random,
    /// Made by another key, or over another message.
    #[error("the signature does not verify")]
    Signature,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC8410_PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

    #[test]
    fn a_private_key_reads_and_writes_as_openssl_has_it() {
        // RFC 8410, 10.3, with the public key that its section 10.1 gives.
        let key = SigningKey::from_pkcs8_pem(RFC8410_PEM).unwrap();
        assert_eq!(key.to_pkcs8_v1_pem().as_str(), RFC8410_PEM);
        let public = key.public().ed25519_bytes().unwrap();
        assert_eq!(HEXLOWER.encode(public), "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
        let again = SigningKey::from_pkcs8_der(key.to_pkcs8_v1_der().as_slice()).unwrap();
        assert_eq!(again.public(), key.public());
        let v2 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let from_v2 = SigningKey::from_pkcs8_der(v2.as_ref()).unwrap();
        let expected = Ed25519KeyPair::from_pkcs8(v2.as_ref()).unwrap();
        assert_eq!(from_v2.public().ed25519_bytes().unwrap(), expected.public_key().as_ref());
    }

    #[test]
    fn an_encrypted_or_damaged_private_key_is_told_apart() {
        let encrypted = RFC8410_PEM.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(SigningKey::from_pkcs8_pem(&encrypted).unwrap_err(), KeyError::Encrypted);
        assert_eq!(SigningKey::from_pkcs8_pem(&RFC8410_PEM[..60]).unwrap_err(), KeyError::Encoding);
        assert_eq!(SigningKey::from_pkcs8_der(&[0; 48]).unwrap_err(), KeyError::Encoding);
    }

    #[test]
    fn a_signature_holds_for_its_message_and_its_key_only() {
        let key = SigningKey::generate().unwrap();
        let mut signature = key.sign(b"message");
        assert_eq!(key.public().verify(b"message", &signature), Ok(()));
        assert_eq!(key.public().verify(b"massage", &signature), Err(KeyError::Signature));
        assert_eq!(key.public().verify(b"message", &signature[..63]), Err(KeyError::Signature));
        let other = SigningKey::generate().unwrap();
        assert_eq!(other.public().verify(b"message", &signature), Err(KeyError::Signature));
        signature[0] ^= 1;
        assert_eq!(key.public().verify(b"message", &signature), Err(KeyError::Signature));
    }

    #[test]
    fn a_signature_has_one_form() {
        // S + L would be a second signature that verifies for a verifier that does not reduce.
        const L: [u8; 32] =
            *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";
        let key = SigningKey::generate().unwrap();
        let mut signature = key.sign(b"message");
        let mut carry = 0;
        for (byte, add) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert_eq!(key.public().verify(b"message", &signature), Err(KeyError::Signature));
    }

    #[test]
    fn points_that_prove_nothing_are_no_keys() {
        // Under the neutral point R = neutral, S = 0 is a signature of every message, and ring says so.
        let neutral = *SMALL_ORDER_Y[1];
        let forged = [neutral, [0; 32]].concat();
        assert!(UnparsedPublicKey::new(&signature::ED25519, neutral).verify(b"anything", &forged).is_ok());
        for y in SMALL_ORDER_Y {
            for sign in [0, 0x80] {
                let mut point = *y;
                point[31] |= sign;
                assert_eq!(PublicKey::ed25519(point), Err(KeyError::Weak), "{}", HEXLOWER.encode(&point));
                let object = json!({ "keytype": "ed25519", "scheme": "ed25519",
                    "keyval": { "public": HEXLOWER.encode(&point) } });
                assert_eq!(PublicKey::try_from(object), Err(KeyError::Weak));
            }
        }
        // The neutral point once more, as 2^255 - 18.
        let mut point = [0xff; 32];
        (point[0], point[31]) = (0xee, 0x7f);
        assert_eq!(PublicKey::ed25519(point), Err(KeyError::Weak));
    }

    #[test]
    fn a_key_is_named_by_its_object_and_recognised_by_its_bytes() {
        let key = SigningKey::from_pkcs8_pem(RFC8410_PEM).unwrap();
        let text = serde_json::to_string(key.public()).unwrap();
        assert_eq!(key.public().id().as_str(), Digest::of(text.as_bytes()).hex());
        let mut object = serde_json::to_value(key.public()).unwrap();
        object["x-comment"] = json!("spare");
        object["keyval"]["public"] = json!(object["keyval"]["public"].as_str().unwrap().to_uppercase());
        let same = PublicKey::try_from(object.clone()).unwrap();
        assert_ne!(same.id(), key.public().id());
        assert!(same.is_same_key(key.public()));
        assert_eq!(serde_json::to_value(&same).unwrap(), object);
    }

    #[test]
    fn a_key_of_unknown_type_is_kept_and_verifies_nothing() {
        let object = json!({ "keytype": "sphincs", "scheme": "sphincs-shake-128s", "keyval": { "public": "00" } });
        let key: PublicKey = serde_json::from_value(object).unwrap();
        assert!(!key.is_usable());
        assert_eq!(key.verify(b"", b""), Err(KeyError::Signature));
        let damaged = json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": "00" } });
        assert!(serde_json::from_value::<PublicKey>(damaged).is_err());
    }
}
