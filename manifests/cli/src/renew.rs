//! `renew`: root, targets and lifts once more, with another end and nothing else changed.

use std::path::PathBuf;

use manifests::time::Time;
use manifests::tuf::Root;
use manifests::tuf::repository::{self, ROOT_LIFE};

use crate::directory::{BASELINE, Directory, REGISTRY};
use crate::exit::{CommandError, Exit, Fatal};
use crate::init::InitError;
use crate::key_file::{self, Purpose};
use crate::people::{People, SignatureState};
use crate::role_metadata::{Renewal, RoleContent, RoleVersions, SignedRole};
use crate::roots::Roots;
use crate::sign::{Consent, Part, Signing};

/// Makes root, targets and lifts anew with nothing changed but their ends, and signs them.
///
/// The second signer runs the same command and signs what the first one made.
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
    /// Signs without asking. Without a terminal nothing is asked either; what is signed is printed all the same.
    #[arg(long)]
    yes: bool,
}

/// Why nothing is renewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewError {
    /// It would not be a renewal.
    #[error("{name} is on its way and changes more than its end; sign it, or remove it, before you renew")]
    Root { name: String },
    /// It would not be a renewal.
    #[error("{file} is not what {name} lists; `sign` it, or restore it from git, before you renew")]
    Changed { file: String, name: String },
    /// It would not be a renewal.
    #[error("{name} would change more than its end: {difference}; `sign` it, or remove it, before you renew")]
    Draft { name: String, difference: String },
    /// It would not be a renewal.
    #[error("the next targets would change more than their end: of {name}, {difference}; `sign` them before you renew")]
    Delegations { name: String, difference: String },
    /// There is nothing to be renewed.
    #[error("there are no completely signed {role} to be renewed; `sign` makes them")]
    Nothing { role: &'static str },
    /// Units are a change.
    #[error("{name} does not name the units of its signers; `root propose` makes the next one, which does")]
    NoUnits { name: String },
}

impl Fatal for RenewError {
    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    let people = People::read(&directory)?;
    let roots = Roots::read(&directory)?;
    for kind in [SignedRole::Targets, SignedRole::Lifts] {
        require_unchanged(kind, &directory, &roots, &people)?;
    }
    let root = next_root(&roots, &people, now)?;
    let passphrase = key_file::passphrase(args.passphrase_file.as_deref(), Purpose::Open)?;
    let key = key_file::open(&args.key, &passphrase)?;
    drop(passphrase);
    let consent = Consent::new(args.yes);
    let signing = Signing {
        directory: &directory,
        people: &people,
        key: &key,
        renewal: Renewal::Now,
        consent,
        remote: None,
        now,
    };
    signing.require_signer(&roots)?;
    if let Some((name, bytes)) = root {
        directory.write(&name, &bytes)?;
    }
    // Targets and lifts first: once the root is complete, nothing of it decides about them.
    signing.sign(&[Part::Targets, Part::Lifts, Part::Root])
}

// The root to be made; none if it was made by the signer before.
fn next_root(roots: &Roots, people: &People, now: Time) -> Result<Option<(String, Vec<u8>)>, CommandError> {
    let (Some(newest), Some(in_force)) = (roots.newest(), roots.in_force(people)) else { return Ok(None) };
    if !roots.standings(in_force, people).iter().all(SignatureState::is_complete) {
        return Err(RenewError::Root { name: in_force.name.clone() }.into());
    }
    if in_force.root.units.is_empty() {
        return Err(RenewError::NoUnits { name: in_force.name.clone() }.into());
    }
    if newest.root.version > in_force.root.version {
        let (version, expires) = (newest.root.version, newest.root.expires);
        let renewed = Root { version, expires, ..in_force.root.clone() };
        return match renewed == newest.root {
            true => Ok(None),
            false => Err(RenewError::Root { name: newest.name.clone() }.into()),
        };
    }
    let root = in_force.root.next(now.after(ROOT_LIFE));
    let bytes = repository::unsigned(&root).map_err(InitError::Tuf)?;
    Ok(Some((format!("metadata/{}.root.json", root.version), bytes)))
}

// What would be signed is what is in force, file by file.
fn require_unchanged(
    kind: SignedRole,
    directory: &Directory,
    roots: &Roots,
    people: &People,
) -> Result<(), CommandError> {
    let Some(root) = roots.in_force(people) else { return Ok(()) };
    let found = RoleVersions::read(kind, directory, (root.signers()?, roots), people)?;
    let complete = found.complete.ok_or(RenewError::Nothing { role: kind.role() })?;
    let in_force =
        RoleContent { targets: complete.targets.targets.clone(), delegations: complete.targets.delegations.clone() };
    if kind == SignedRole::Targets {
        let next = RoleContent { delegations: root.signers()?.delegations(), ..in_force.clone() };
        if let Some(difference) = next.difference(&complete.targets) {
            return Err(RenewError::Delegations { name: complete.name, difference }.into());
        }
    }
    let names = complete.targets.targets.iter().map(|(path, listed)| {
        let name = if path.ends_with("/baseline.toml") { BASELINE } else { path.as_str() };
        (name.to_owned(), listed)
    });
    let mut listed: Vec<_> = Vec::new();
    for (name, file) in names {
        let inside = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let bytes = if inside { directory.read_if_there(&name)? } else { None };
        if bytes.is_none_or(|bytes| file.verify(&bytes).is_err()) {
            return Err(
                RenewError::Changed { file: name.escape_debug().to_string(), name: complete.name.clone() }.into()
            );
        }
        listed.push(name);
    }
    let here = match kind {
        SignedRole::Targets => {
            let files = directory.files()?.into_iter().map(|digest| format!("files/{}", digest.hex()));
            files.chain([BASELINE.to_owned(), REGISTRY.to_owned()]).collect::<Vec<_>>()
        }
        SignedRole::Lifts => {
            directory.lifts()?.iter().map(|(stop, number)| repository::lift_path(stop, *number)).collect()
        }
    };
    if let Some(file) = here.into_iter().find(|name| !listed.contains(name)) {
        return Err(RenewError::Changed { file, name: complete.name }.into());
    }
    // What the signer before made is a renewal, too; everything that is here is in force.
    let Some(draft) = found.draft else { return Ok(()) };
    match in_force.difference(&draft.targets) {
        Some(difference) => Err(RenewError::Draft { name: draft.name, difference }.into()),
        None => Ok(()),
    }
}
