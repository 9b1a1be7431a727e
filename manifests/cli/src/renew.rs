//! `renew`: root, targets and lifts once more, with another end and nothing else changed.

use std::path::PathBuf;

use manifests::time::Time;
use manifests::tuf::Root;
use manifests::tuf::repository::{self, ROOT_LIFE};

use crate::directory::{self, BASELINE, Directory, REGISTRY};
use crate::exit::{CommandError, Exit, Fatal};
use crate::init::InitError;
use crate::people::{People, SignatureState};
use crate::role_metadata::{Renewal, RoleContent, RoleVersions, SignedRole};
use crate::roots::Roots;
use crate::sign::{Part, SignerArgs, Signing};

/// Makes root, targets and lifts anew with nothing changed but their ends, and signs them.
///
/// The second signer runs the same command and signs what the first one made.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
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
    let (key, consent) = (args.signer.key()?, args.signer.consent());
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
    let mut listed: Vec<_> = Vec::new();
    for (path, file) in &complete.targets.targets {
        let name = directory::target_name(path, &people.product).to_owned();
        let bytes = directory.read_target(&name)?;
        if bytes.is_none_or(|bytes| file.verify(&bytes).is_err()) {
            return Err(
                RenewError::Changed { file: name.escape_debug().to_string(), name: complete.name.clone() }.into()
            );
        }
        listed.push(name);
    }
    let here = match kind {
        SignedRole::Targets => {
            let mut files: Vec<String> = directory.files()?.iter().map(repository::file_path).collect();
            files.extend([BASELINE.to_owned(), REGISTRY.to_owned()]);
            files
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
