//! `keygen`: makes a release manager's key.

use std::path::PathBuf;

use manifests::key::{KeyError, SigningKey};

use crate::exit::CommandError;
use crate::key_file::{self, KeyFileError, Purpose};

/// Permission bits of the public half: it is handed round.
const PUBLIC: u32 = 0o644;

/// Makes a key: FILE (PKCS#8 PEM under a passphrase, mode 0600) and FILE.pub (public key, JSON).
///
/// Prints the key's id. Never overwrites a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File for the key; its public half gets `.pub` behind the name.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File whose first line is the passphrase; without it SEKISHO_PASSPHRASE, or the terminal.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let mut name = args.file.clone().into_os_string();
    name.push(".pub");
    let public_file = PathBuf::from(name);
    // Before the passphrase is typed; creation itself checks again.
    for path in [&args.file, &public_file] {
        if path.symlink_metadata().is_ok() {
            return Err(KeyFileError::Exists { path: path.clone() }.into());
        }
    }
    let passphrase = key_file::passphrase(args.passphrase_file.as_deref(), Purpose::Protect)?;
    let random = |_: KeyError| KeyFileError::Random;
    let key = SigningKey::generate().map_err(random)?;
    let mut object = serde_json::to_vec_pretty(key.public()).map_err(|_| KeyFileError::Random)?;
    object.push(b'\n');
    key_file::create(&args.file, &key, &passphrase)?;
    key_file::create_new(&public_file, &object, PUBLIC)?;
    output::say!("{}", key.public().id());
    Ok(())
}
