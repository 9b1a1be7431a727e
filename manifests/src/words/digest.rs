//! SHA-256 digests: the identity of every file, tree, document and state.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// A SHA-256 digest, 32 bytes.
///
/// Written `sha256:` and 64 lower-case hexadecimal digits in every document of our own; TUF
/// metadata, whose format is its specification's, uses the bare digits ([`Digest::hex`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest from its 32 bytes, as an index or a database column holds them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits, without the algorithm's name.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads 64 lower-case hexadecimal digits without the algorithm's name.
    ///
    /// # Errors
    /// [`DigestError`] for any other length or alphabet.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| DigestError::Alphabet)?;
        let digits = bytes.len() * 2;
        bytes.try_into().map(Self).map_err(|_| DigestError::Length { digits })
    }
}

/// Digests a stream piece by piece.
pub struct Hasher(ring::digest::Context);

impl Hasher {
    /// Nothing digested yet.
    pub fn new() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The algorithm's name is missing or another's.
    #[error("a digest begins with \"sha256:\"")]
    Algorithm,
    /// Too short or too long.
    #[error("a SHA-256 digest has 64 hexadecimal digits, this one has {digits}")]
    Length {
        /// Hexadecimal digits found.
        digits: usize,
    },
    /// Odd count, upper case, or not hexadecimal at all.
    #[error("a SHA-256 digest is written in 64 hexadecimal digits 0-9a-f")]
    Alphabet,
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").ok_or(DigestError::Algorithm)?;
        // An odd count is a wrong length first, whatever the decoder would call it.
        if digits.len() != 64 {
            return Err(DigestError::Length { digits: digits.chars().count() });
        }
        Self::from_hex(digits)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_input_has_the_published_digest() {
        assert_eq!(
            Digest::of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn a_digest_is_read_only_as_it_is_written() {
        let text = Digest::of(b"x").to_string();
        assert_eq!(text.parse::<Digest>(), Ok(Digest::of(b"x")));
        assert_eq!(text[7..].parse::<Digest>(), Err(DigestError::Algorithm));
        assert_eq!(text[..70].parse::<Digest>(), Err(DigestError::Length { digits: 63 }));
        let upper = format!("sha256:{}", text[7..].to_uppercase());
        assert_eq!(upper.parse::<Digest>(), Err(DigestError::Alphabet));
    }
}
