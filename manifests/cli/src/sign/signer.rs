//! Who signs: what every command that signs is told.

use std::path::PathBuf;

use manifests::key::SigningKey;

use crate::exit::CommandError;
use crate::key_file::{self, Purpose};
use crate::sign::Consent;

/// Whose key signs, and whether it is asked about.
#[derive(Debug, clap::Args)]
#[group(skip)] // A group would bear the name of the subcommand's own.
pub(crate) struct SignerArgs {
    /// Your key file, as `keygen` made it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File whose first line is the passphrase; without it SEKISHO_PASSPHRASE, or the terminal.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Signs without asking. Without a terminal nothing is asked either; what is signed is printed all the same.
    #[arg(long)]
    yes: bool,
}

impl SignerArgs {
    /// The key. Open it last, so that nobody types a passphrase for nothing.
    pub(crate) fn key(&self) -> Result<SigningKey, CommandError> {
        let passphrase = key_file::passphrase(self.passphrase_file.as_deref(), Purpose::Open)?;
        Ok(key_file::open(&self.key, &passphrase)?)
    }

    /// Whether somebody is asked.
    pub(crate) fn consent(&self) -> Consent {
        Consent::new(self.yes)
    }
}
