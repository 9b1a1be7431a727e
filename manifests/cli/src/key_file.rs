//! Key files: PKCS#8 under a passphrase, in PEM, readable by their owner only.
//!
//! Encrypted with PBES2 (RFC 8018): scrypt and AES-256-CBC, with the parameters that `openssl pkey`
//! opens. Files that openssl wrote with PBKDF2 are read too. This is the one place where RustCrypto
//! stands beside ring, which has no CBC: it guards the file, it never signs or verifies.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use manifests::durable::PRIVATE;
use manifests::key::{KeyError, SigningKey};
use pkcs8::der::pem::PemLabel;
use pkcs8::pkcs5::{EncryptionScheme, pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoOwned, LineEnding, PrivateKeyInfoRef, SecretDocument};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::exit::{Exit, Fatal};

/// Environment variable with the passphrase.
pub(crate) const PASSPHRASE_VARIABLE: &str = "SEKISHO_PASSPHRASE";
/// Fewest bytes of a new key's passphrase.
pub(crate) const PASSPHRASE_BYTES_MIN: usize = 8;
/// Most bytes of a passphrase.
const PASSPHRASE_BYTES_MAX: u64 = 1024;
/// Most bytes read of a key file; an Ed25519 key's has some 500.
const KEY_FILE_BYTES_MAX: u64 = 16 << 10;
/// log2 of scrypt's cost. With the block size below 16 MiB; openssl refuses more than 32 MiB.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_BLOCK: u32 = 8;
/// Permission bits of anybody but the owner.
const OTHERS: u32 = 0o077;
/// Most memory that opening a file may ask for, in bytes.
const SCRYPT_MEMORY_MAX: u64 = 256 << 20;
/// Most rounds that opening a file may ask for.
const ROUNDS_MAX: u32 = 10_000_000;

/// Why a key file could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// It exists, and may be the only copy of a key.
    #[error("{} exists already and is not overwritten; choose another name", path.display())]
    Exists { path: PathBuf },
    /// Missing or unreadable.
    #[error("cannot read the key file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It could not be put on disk.
    #[error("cannot write the key file {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Others than its owner have access.
    #[error("{} is open to others (mode {mode:o}); run `chmod 600` on it, and if others could read it, \
             replace the key", path.display())]
    Mode { path: PathBuf, mode: u32 },
    /// A slip of the argument.
    #[error("{} is a directory", path.display())]
    Directory { path: PathBuf },
    /// Whoever reads it opens the key.
    #[error("{} is open to others (mode {mode:o}); run `chmod 600` on it, and if others could read it, \
             change the passphrase", path.display())]
    PassphraseMode { path: PathBuf, mode: u32 },
    /// No passphrase protects it.
    #[error("{} is not protected by a passphrase; encrypt it with `openssl pkcs8 -topk8 -scrypt -in FILE -out NEW`", path.display())]
    Unencrypted { path: PathBuf },
    /// Something else.
    #[error("{} is no passphrase-protected PKCS#8 PEM file", path.display())]
    Format { path: PathBuf },
    /// Opening it would need more memory or rounds than any honest file.
    #[error("{} asks for more memory or rounds than are spent on a key file", path.display())]
    Costly { path: PathBuf },
    /// The usual slip.
    #[error("the passphrase does not open {}", path.display())]
    Passphrase { path: PathBuf },
    /// Opened, but of another algorithm.
    #[error("{} holds a key that is not Ed25519", path.display())]
    Algorithm { path: PathBuf },
    /// No passphrase to be had.
    #[error("cannot read the passphrase from {from}")]
    NoPassphrase { from: String, source: io::Error },
    /// Too short to protect anything, or longer than anybody types.
    #[error("a passphrase has {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} bytes in one line of UTF-8")]
    WeakPassphrase,
    /// Typed differently the second time.
    #[error("the two passphrases differ")]
    Repeat,
    /// The system has no random numbers.
    #[error("the system's random source failed")]
    Random,
}

impl Fatal for KeyFileError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::Write { .. } | Self::NoPassphrase { .. } | Self::Random => Exit::Io,
            _ => Exit::Refused,
        }
    }
}

/// Why a passphrase is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To open a file. Asked for once.
    Open,
    /// To protect a new key. Asked for twice, as a slip would lose the key.
    Protect,
}

/// The passphrase: the first line of `file` if one is named, else of the environment variable, else
/// typed at the terminal.
pub(crate) fn passphrase(file: Option<&Path>, purpose: Purpose) -> Result<Zeroizing<String>, KeyFileError> {
    let passphrase = match (file, env::var(PASSPHRASE_VARIABLE)) {
        (Some(path), _) => first_line(path)?,
        (None, Ok(text)) => Zeroizing::new(text),
        (None, Err(env::VarError::NotUnicode(_))) => return Err(KeyFileError::WeakPassphrase),
        (None, Err(env::VarError::NotPresent)) => typed(purpose)?,
    };
    let fits = u64::try_from(passphrase.len()).is_ok_and(|length| length <= PASSPHRASE_BYTES_MAX);
    // A shorter one is allowed where the key exists: it opens the file or it does not.
    if fits && (purpose == Purpose::Open || passphrase.len() >= PASSPHRASE_BYTES_MIN) {
        Ok(passphrase)
    } else {
        Err(KeyFileError::WeakPassphrase)
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |source| KeyFileError::NoPassphrase { from: path.display().to_string(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    // A pipe, as a shell's <(…), is nobody else's to open.
    if metadata.is_file() && mode & OTHERS != 0 {
        return Err(KeyFileError::PassphraseMode { path: path.to_owned(), mode });
    }
    let mut line = Zeroizing::new(String::with_capacity(2048));
    io::BufReader::new(file.take(PASSPHRASE_BYTES_MAX + 2)).read_line(&mut line).map_err(failed)?;
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok(line)
}

fn typed(purpose: Purpose) -> Result<Zeroizing<String>, KeyFileError> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|source| KeyFileError::NoPassphrase {
            from: format!("the terminal; name a file with --passphrase-file or set {PASSPHRASE_VARIABLE}"),
            source,
        })
    };
    let passphrase = ask("Passphrase: ")?;
    if purpose == Purpose::Protect && *ask("The same passphrase again: ")? != *passphrase {
        return Err(KeyFileError::Repeat);
    }
    Ok(passphrase)
}

/// Writes `key` to a new file, protected by `passphrase`.
pub(crate) fn create(path: &Path, key: &SigningKey, passphrase: &str) -> Result<(), KeyFileError> {
    let pem = encrypt(key, passphrase).ok_or(KeyFileError::Random)?;
    create_new(path, pem.as_bytes(), PRIVATE)
}

/// Writes a file that must not exist yet, synced.
pub(crate) fn create_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Write { path: path.to_owned(), source },
    };
    // Not the usual replacement by a rename, which would overwrite a key made in the meantime.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(source) = written {
        // Best effort: half a key file is worse than none.
        let _ = fs::remove_file(path);
        return Err(failed(source));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed)
}

// `None` only if the random source fails: the parameters are constants.
fn encrypt(key: &SigningKey, passphrase: &str) -> Option<Zeroizing<String>> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    let random = SystemRandom::new();
    random.fill(&mut salt).and_then(|()| random.fill(&mut iv)).ok()?;
    let costs = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_BLOCK, 1).ok()?;
    let scheme = pbes2::Parameters::generate_scrypt_aes256cbc(costs, &salt, iv).ok()?;
    let der = key.to_pkcs8_v1_der();
    let document = PrivateKeyInfoRef::try_from(der.as_slice()).ok()?.encrypt_with_params(scheme, passphrase).ok()?;
    document.to_pem(EncryptedPrivateKeyInfoOwned::PEM_LABEL, LineEnding::LF).ok()
}

/// Opens a key file.
pub(crate) fn open(path: &Path, passphrase: &str) -> Result<SigningKey, KeyFileError> {
    let pem = read(path)?;
    let place = || path.to_owned();
    if pem.contains("PRIVATE KEY-----") && !pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(KeyFileError::Unencrypted { path: place() });
    }
    let (label, document) = SecretDocument::from_pem(&pem).map_err(|_| KeyFileError::Format { path: place() })?;
    if label != EncryptedPrivateKeyInfoOwned::PEM_LABEL {
        return Err(KeyFileError::Format { path: place() });
    }
    let sealed = EncryptedPrivateKeyInfoOwned::try_from(document.as_bytes())
        .map_err(|_| KeyFileError::Format { path: place() })?;
    check_cost(&sealed.encryption_algorithm).ok_or_else(|| KeyFileError::Costly { path: place() })?;
    let der = sealed.decrypt(passphrase).map_err(|_| KeyFileError::Passphrase { path: place() })?;
    SigningKey::from_pkcs8_der(der.as_bytes()).map_err(|error| match error {
        // The padding of a wrong key comes out right once in 256 times.
        KeyError::Encoding if PrivateKeyInfoRef::try_from(der.as_bytes()).is_err() => {
            KeyFileError::Passphrase { path: place() }
        }
        _ => KeyFileError::Algorithm { path: place() },
    })
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
    // One descriptor for mode and content: the file cannot be exchanged in between.
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(KeyFileError::Directory { path: path.to_owned() });
    }
    let mode = metadata.mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(KeyFileError::Mode { path: path.to_owned(), mode });
    }
    // Room for all of it at once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(32 << 10));
    let bytes = file.take(KEY_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => KeyFileError::Format { path: path.to_owned() },
        _ => failed(error),
    })?;
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= KEY_FILE_BYTES_MAX) {
        Ok(text)
    } else {
        Err(KeyFileError::Format { path: path.to_owned() })
    }
}

fn check_cost(scheme: &EncryptionScheme) -> Option<()> {
    let EncryptionScheme::Pbes2(parameters) = scheme else { return None };
    let fits = match (parameters.kdf.scrypt(), parameters.kdf.pbkdf2()) {
        (Some(scrypt), _) => {
            let memory = scrypt.cost_parameter.saturating_mul(u64::from(scrypt.block_size)).saturating_mul(128);
            memory <= SCRYPT_MEMORY_MAX && scrypt.parallelization <= 16
        }
        (None, Some(pbkdf2)) => pbkdf2.iteration_count <= ROUNDS_MAX,
        (None, None) => false,
    };
    fits.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_opens_with_its_passphrase_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pem");
        let key = SigningKey::generate().unwrap();
        create(&path, &key, "correct horse").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(open(&path, "correct horse").unwrap().public(), key.public());
        assert!(matches!(open(&path, "correct horsf"), Err(KeyFileError::Passphrase { .. })));
        assert!(matches!(create(&path, &key, "correct horse"), Err(KeyFileError::Exists { .. })));
    }

    #[test]
    fn a_key_file_that_is_open_to_others_or_unprotected_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pem");
        let key = SigningKey::generate().unwrap();
        create_new(&path, key.to_pkcs8_v1_pem().as_bytes(), PRIVATE).unwrap();
        assert!(matches!(open(&path, ""), Err(KeyFileError::Unencrypted { .. })));
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(open(&path, ""), Err(KeyFileError::Mode { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_asks_for_too_much_work_is_refused_before_the_work() {
        let costs = |log_n, r| {
            pbes2::Parameters::generate_scrypt_aes256cbc(scrypt::Params::new(log_n, r, 1).unwrap(), &[0; 16], [0; 16])
                .unwrap()
        };
        assert!(check_cost(&costs(14, 8).into()).is_some());
        assert!(check_cost(&costs(24, 8).into()).is_none());
        let rounds = |n| pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(n, &[0; 16], [0; 16]).unwrap();
        assert!(check_cost(&rounds(600_000).into()).is_some());
        assert!(check_cost(&rounds(20_000_000).into()).is_none());
    }
}
