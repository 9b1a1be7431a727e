//! Where files come from, and what they are called there.

use crate::tuf::error::TufError;
use crate::tuf::metadata::TargetFile;
use crate::tuf::{ROOT, TIMESTAMP};

/// A repository. Nothing it returns is trusted.
///
/// Names are already percent-encoded where a role's name needs it (`1.%2Fa.json`); a transport adds
/// its base address and nothing else.
pub trait Fetch {
    /// Reads a metadata file: `2.root.json`, `timestamp.json`, `5.lifts.json`.
    ///
    /// # Errors
    /// [`FetchError`]; [`FetchError::TooLarge`] as soon as more than `max_bytes` arrive.
    fn fetch(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError>;

    /// Reads a target file, by the name that [`target_path`] gives it.
    ///
    /// # Errors
    /// As [`Fetch::fetch`].
    fn fetch_target(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, FetchError>;
}

/// Why a file could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The repository says that it has no such file.
    #[error("no such file")]
    NotFound,
    /// More bytes than asked for.
    #[error("larger than allowed")]
    TooLarge,
    /// Anything else: no connection, time-out, an answer that is none.
    #[error("{0}")]
    Unreachable(String),
}

impl FetchError {
    pub(crate) fn of(self, file: &str, max: u64) -> TufError {
        let file = file.to_owned();
        match self {
            Self::NotFound => TufError::NotFound { file },
            Self::TooLarge => TufError::TooLarge { file, max },
            Self::Unreachable(reason) => TufError::Unreachable { file, reason },
        }
    }
}

/// The name of a role's metadata on a repository with consistent snapshots (TUF 1.0.34, 6.2): the
/// timestamp alone has no version in its name, as it alone is asked for without knowing it.
pub fn metadata_path(role: &str, version: u64) -> String {
    if role == TIMESTAMP { file_name(role) } else { format!("{version}.{}", file_name(role)) }
}

/// The name of a target file on a repository with consistent snapshots (6.2):
/// `dir/<digest>.<file name>`. `None` if no digest of a known algorithm is listed.
pub fn target_path(path: &str, file: &TargetFile) -> Option<String> {
    let digest = file.hashes.known()?;
    Some(match path.rsplit_once('/') {
        Some((directory, name)) => format!("{directory}/{digest}.{name}"),
        None => format!("{digest}.{path}"),
    })
}

/// `role.json`, with everything but RFC 3986's unreserved characters percent-encoded: a role named
/// `../a` is one file name and one path segment.
pub(crate) fn file_name(role: &str) -> String {
    let mut name = String::new();
    for byte in role.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name + ".json"
}

/// Root metadata always bears its version, with or without consistent snapshots (5.3.3).
pub(crate) fn root_path(version: u64) -> String {
    metadata_path(ROOT, version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuf::metadata::Hashes;

    #[test]
    fn a_role_name_stays_one_file_name() {
        assert_eq!(file_name("../a?#"), "..%2Fa%3F%23.json");
        assert_eq!(metadata_path("lifts", 5), "5.lifts.json");
        assert_eq!(metadata_path("timestamp", 5), "timestamp.json");
    }

    #[test]
    fn a_target_is_served_under_its_digest() {
        let file = TargetFile { length: 0, hashes: Hashes::of(b""), custom: None };
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(target_path("p/baseline.toml", &file), Some(format!("p/{digest}.baseline.toml")));
        assert_eq!(target_path("registry.toml", &file), Some(format!("{digest}.registry.toml")));
    }
}
