//! Tokens, each in a file of its own.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use manifests::durable::DurableError;
use zeroize::Zeroizing;

use crate::error::ClientError;

/// Most bytes read of a token file.
const TOKEN_BYTES_MAX: u64 = 4 << 10;
/// Permission bits of anybody but the owner.
const OTHERS: u32 = 0o077;
/// What the file is for, in errors.
const WHAT: &str = "the token";

/// A secret word that says who asks. Never shown, and wiped from memory when it is dropped.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Reads an operator's token: one line of printable ASCII.
    ///
    /// # Errors
    /// [`ClientError::TokenMode`] if others than its owner may read or write the file, since whoever can
    /// read it can do what the operator can; [`ClientError::File`], [`ClientError::Token`].
    pub fn of_operator(path: &Path) -> Result<Self, ClientError> {
        let file = open(path)?;
        let metadata = file.metadata().map_err(|source| unreadable(path, source))?;
        let mode = metadata.mode() & 0o777;
        // A pipe, such as a shell's <(…), has no permissions that could be too wide.
        if metadata.is_file() && mode & OTHERS != 0 {
            return Err(ClientError::TokenMode { path: path.to_owned(), mode });
        }
        Self::read(path, file)
    }

    /// Reads a one-time token: one line of printable ASCII. Permissions are not looked at, since the
    /// token is spent by the question that shows it.
    ///
    /// # Errors
    /// [`ClientError::File`], [`ClientError::Token`].
    pub fn one_time(path: &Path) -> Result<Self, ClientError> {
        Self::read(path, open(path)?)
    }

    fn read(path: &Path, file: File) -> Result<Self, ClientError> {
        // Room for all of it at once: a buffer that grows would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 << 10));
        let length =
            file.take(TOKEN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
        if !u64::try_from(length).is_ok_and(|length| length <= TOKEN_BYTES_MAX) {
            let source = DurableError::TooLarge { path: path.to_owned(), max: TOKEN_BYTES_MAX };
            return Err(ClientError::File { what: WHAT, source });
        }
        let token = bytes.trim_ascii();
        match std::str::from_utf8(token) {
            Ok(text) if !text.is_empty() && token.iter().all(u8::is_ascii_graphic) => {
                Ok(Self(Zeroizing::new(text.to_owned())))
            }
            _ => Err(ClientError::Token { path: path.to_owned() }),
        }
    }

    /// The word itself, to be sent and to be hashed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn open(path: &Path) -> Result<File, ClientError> {
    File::open(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: std::io::Error) -> ClientError {
    ClientError::File { what: WHAT, source: DurableError::Read { path: path.to_owned(), source } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_token_is_one_line_of_printable_ascii() {
        for text in ["", "\n", "two words", "t\u{1b}", "é"] {
            let (_directory, path) = file(text, 0o600);
            assert!(matches!(Token::of_operator(&path), Err(ClientError::Token { .. })), "{text:?}");
            assert!(matches!(Token::one_time(&path), Err(ClientError::Token { .. })), "{text:?}");
        }
        let (_directory, path) = file(&"x".repeat(5000), 0o600);
        assert!(matches!(Token::of_operator(&path), Err(ClientError::File { .. })));
        let (_directory, path) = file("word\n", 0o600);
        let token = Token::of_operator(&path).unwrap();
        assert_eq!(token.as_str(), "word");
        assert!(!format!("{token:?}").contains("word"));
    }

    #[test]
    fn an_operators_token_that_others_can_reach_is_refused() {
        for mode in [0o640, 0o604, 0o620] {
            let (_directory, path) = file("word\n", mode);
            let error = Token::of_operator(&path).unwrap_err();
            assert!(matches!(error, ClientError::TokenMode { .. }), "{mode:o}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
            assert_eq!(Token::one_time(&path).unwrap().as_str(), "word", "{mode:o}");
        }
        for mode in [0o600, 0o400] {
            let (_directory, path) = file("word\n", mode);
            assert!(Token::of_operator(&path).is_ok(), "{mode:o}");
        }
    }
}
