//! `sign`: puts one release manager's signature under every draft that lacks it.
//!
//! Root, targets and lifts are signed apart: a baseline that is being written, or that its signers
//! disagree on, does not hold up a lift.

mod lifts;
mod targets;

use std::path::PathBuf;

use manifests::key::SigningKey;
use manifests::succession::{self, SuccessionError};
use manifests::time::Time;
use manifests::tuf::repository;

use crate::check::Mistake;
use crate::directory::Directory;
use crate::exit::{CommandError, Exit, Fatal};
use crate::expiry;
use crate::key_file::{self, Purpose};
use crate::people::{People, SignatureState};
use crate::role_metadata::{self, RoleContent, RoleVersions, SignedRole, Step};
use crate::roots::{RootFile, Roots, RootsError};

/// Signs every draft that lacks this key's signature: root, targets and lifts.
///
/// The first signer makes the next version of targets and lifts from what is in the directory; each
/// further signer signs the same bytes, after a check that they still fit the directory. Nothing with
/// mistakes is signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Your key file, as `keygen` made it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File whose first line is the passphrase; without it SEKISHO_PASSPHRASE, or the terminal.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// A key of somebody else.
    #[error("key {key} is no signer's of {name}; its signature would count for nothing")]
    NotASigner { key: String, name: String },
    /// What no release manager should sign, and no controller would take.
    #[error("{name} is not signed")]
    Refused { name: String, source: SuccessionError },
    /// A file with more in it than this program, or whoever reviews it, can see.
    #[error("{name} is not signed: it has members that this program does not write")]
    Members { name: String },
    /// Whatever stands there, its growth cannot be judged.
    #[error("{name} does not say which baseline version it lists; restore it from git")]
    NoVersion { name: String },
    /// A lift that no release manager should sign.
    #[error("{name} is not signed: {why}")]
    Lift { name: String, why: String },
    /// The directory does not go on from what was signed last.
    #[error("what is here does not follow {name}")]
    DoesNotFollow { name: String, source: SuccessionError },
    /// What stands in the way of a signature.
    #[error("nothing with mistakes is signed:{}", lines(mistakes))]
    Mistakes { mistakes: Vec<Mistake> },
    /// The parts were printed one by one; `exit` is the worst of them.
    #[error("not everything was signed")]
    Partly { exit: Exit },
}

impl Fatal for SignError {
    fn exit(&self) -> Exit {
        match self {
            Self::Partly { exit } => *exit,
            _ => Exit::Refused,
        }
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n{mistake}")).collect()
}

/// What all parts of a signing need.
struct Signing<'a> {
    directory: &'a Directory,
    people: &'a People,
    roots: &'a Roots,
    key: &'a SigningKey,
    now: Time,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    let people = People::read(&directory)?;
    let roots = Roots::read(&directory)?;
    // Asked for last, so that nobody types it for nothing.
    let passphrase = key_file::passphrase(args.passphrase_file.as_deref(), Purpose::Open)?;
    let key = key_file::open(&args.key, &passphrase)?;
    drop(passphrase);
    let signing = Signing { directory: &directory, people: &people, roots: &roots, key: &key, now };
    signing.require_signer()?;
    let mut worst = None;
    for result in [signing.root(), signing.document(SignedRole::Targets), signing.document(SignedRole::Lifts)] {
        match result {
            Ok(line) => println!("{line}"),
            Err(error) => {
                eprintln!("error: {error}");
                worst = worst.max(Some(error.exit()));
            }
        }
    }
    // As it stands now: what was just signed may not be complete, so that the last one still counts.
    for warning in expiry::warnings(&directory, now) {
        eprintln!("warning: {warning}");
    }
    worst.map_or(Ok(()), |exit| Err(SignError::Partly { exit }.into()))
}

impl Signing<'_> {
    fn require_signer(&self) -> Result<(), CommandError> {
        let id = self.key.public().id();
        let newest = self.roots.newest();
        if newest.is_some_and(|file| self.roots.may_sign(file, &id)) {
            return Ok(());
        }
        let name = newest.map(|file| file.name.clone()).unwrap_or_default();
        Err(SignError::NotASigner { key: id.to_string(), name }.into())
    }

    fn root(&self) -> Result<String, CommandError> {
        let id = self.key.public().id();
        let Some(file) = self.roots.newest() else { return Ok(String::new()) };
        let standings = self.roots.standings(file, self.people);
        let (before, step) = if standings.iter().all(SignatureState::is_complete) {
            (standings, "nothing to sign")
        } else if standings.iter().any(|standing| standing.has(&id)) {
            (standings, "signed by you before")
        } else {
            self.check_root(file)?;
            let refused = |source| RootsError::Tuf { version: file.root.version, source };
            let bytes = repository::sign(&file.bytes, self.key).map_err(refused)?;
            let signed = RootFile { bytes, ..file.clone() };
            let standings = self.roots.standings(&signed, self.people);
            self.directory.write(&file.name, &signed.bytes)?;
            (standings, "signed")
        };
        let words: Vec<_> = before.iter().map(SignatureState::to_string).collect();
        Ok(format!("{}: {step}; {}", file.name, words.join("; and by the root before: ")))
    }

    // Whoever made the file could have put anything in it.
    fn check_root(&self, file: &RootFile) -> Result<(), SignError> {
        let signers: Vec<_> = self.people.signers().collect();
        succession::check_root(&file.root, &signers, self.now)
            .map_err(|source| SignError::Refused { name: file.name.clone(), source })?;
        // What is signed must be all that the file says.
        let own = repository::unsigned(&file.root).and_then(|own| repository::signable_bytes(&own));
        match (own, repository::signable_bytes(&file.bytes)) {
            (Ok(own), Ok(found)) if own == found => Ok(()),
            _ => Err(SignError::Members { name: file.name.clone() }),
        }
    }

    fn document(&self, kind: SignedRole) -> Result<String, CommandError> {
        let Some(root) = self.roots.in_force(self.people) else { return Ok(String::new()) };
        let signers = root.signers()?;
        let id = self.key.public().id();
        if !signers.who.keyids.contains(&id) {
            return Err(SignError::NotASigner { key: id.to_string(), name: root.name.clone() }.into());
        }
        let documents = RoleVersions::read(kind, self.directory, signers, self.people)?;
        let content = match kind {
            SignedRole::Targets => targets::content(self, signers, documents.complete.as_ref())?,
            SignedRole::Lifts => RoleContent {
                targets: lifts::content(self.directory, &self.people.product, documents.complete.as_ref())?,
                delegations: None,
            },
        };
        let done = role_metadata::sign(
            kind,
            self.directory,
            &documents,
            &content,
            (signers, self.people),
            (self.key, self.now),
        )?;
        let step = match done.step {
            Step::NothingToSign => "nothing to sign",
            Step::AlreadySigned => "signed by you before",
            Step::Joined => "signed",
            Step::Made => "made and signed",
            Step::Renewed => "renewed, as the version before it ends soon, and signed",
            Step::MadeAnew => "made anew from what is here, and signed",
        };
        let under = if root.root.expires <= self.now && step != "nothing to sign" {
            format!("; under {}, which has expired: it needs a new root to count for long", root.name)
        } else {
            String::new()
        };
        Ok(format!("{}: {step}; {}{under}", kind.name(done.version), done.standing))
    }
}
