//! `publish`: hands what was signed to a controller, which decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use data_encoding::BASE64;
use manifests::api::{PUBLISH, Publish, Published};
use manifests::digest::Digest;
use manifests::time::Time;
use manifests::tuf::repository::{LIFTS, baseline_path, lift_path};
use manifests::tuf::{ROOT, TARGETS, TargetFile, metadata_path};

use crate::directory::{self, BASELINE, Directory, REGISTRY};
use crate::exit::{CommandError, Exit, Fatal};
use crate::expiry;
use crate::people::{People, SignatureState};
use crate::remote::{self, Remote, RemoteError};
use crate::role_metadata::{RoleVersions, SignedRole};
use crate::roots::Roots;
use crate::served::{self, ServedFile, ServedSet};

/// Sends to the controller what it does not have yet of root, targets and lifts, and their files.
///
/// What two release managers have signed is sent; a draft stays here as long as there is something
/// signed to send. If the controller has another file under a name that is signed here, nothing is
/// sent. The controller verifies everything, and changes nothing unless all of it verifies. Says what
/// is in force there afterwards, in any case.
///
/// Name every controller, the standby too: each is sent what it lacks, whatever another one answers, and each
/// answer is shown. So the standby stays current, and can take over at any moment.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    remote: remote::SeveralArgs,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The directory has gone on since it was signed.
    #[error("{file} is not the one that {name} lists; restore it (git), or `sign` what is here and publish that")]
    Changed { file: String, name: String },
    /// Which of the two is right is for people to find out.
    #[error(
        "this directory and the controller have gone different ways; nothing was sent. If another directory (git) \
             was published there, go on from that one"
    )]
    Conflict,
    /// It was sent, at least in part, and the controller may have taken it.
    #[error("cut before the answer; whether it is in force is not known: publish again")]
    Cut(#[source] RemoteError),
    /// Each answer was shown.
    #[error("not every controller has it: {failed} of {controllers} have not")]
    Partly { failed: usize, controllers: usize, exit: Exit },
}

impl Fatal for PublishError {
    fn exit(&self) -> Exit {
        match self {
            Self::Cut(error) => error.exit(),
            Self::Partly { exit, .. } => *exit,
            Self::Changed { .. } | Self::Conflict => Exit::Refused,
        }
    }
}

/// A metadata file that could be sent.
struct Piece {
    /// Its name on a repository, `2.targets.json`.
    served: String,
    role: &'static str,
    version: u64,
    bytes: Vec<u8>,
    /// The target files that it lists.
    targets: BTreeMap<String, TargetFile>,
    is_complete: bool,
    /// Who has signed it, in words.
    standing: String,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    for warning in expiry::warnings(&directory, now) {
        output::tell!("warning: {warning}");
    }
    let people = People::read(&directory)?;
    let pieces = pieces(&directory, &people)?;
    let controllers = args.remote.each()?;
    if let [only] = controllers.as_slice() {
        return publish_to(only, &directory, &people, &pieces);
    }
    let (mut failed, mut worst) = (0, None);
    for controller in &controllers {
        output::say!("{}:", controller.controller());
        if let Err(error) = publish_to(controller, &directory, &people, &pieces) {
            output::say!("error: {error}");
            failed += 1;
            worst = worst.max(Some(error.exit()));
        }
    }
    let controllers = controllers.len();
    worst.map_or(Ok(()), |exit| Err(PublishError::Partly { failed, controllers, exit }.into()))
}

/// One controller gets what it lacks.
fn publish_to(
    controller: &remote::Args,
    directory: &Directory,
    people: &People,
    pieces: &[Piece],
) -> Result<(), CommandError> {
    let remote = Remote::new(controller)?;
    let root = newest(pieces, ROOT).map_or(0, |piece| piece.version);
    let in_force = ServedSet::read(&remote, people.product.as_str(), root)?;
    for line in ahead(&in_force, pieces) {
        output::tell!("warning: the controller is ahead: {line}; get what was published there (git)");
    }
    let new = match lacking(&remote, pieces, &in_force)? {
        Ok(new) => new,
        Err(conflicts) => {
            for conflict in conflicts {
                output::tell!("conflict: {conflict}");
            }
            output::say!("{in_force}");
            return Err(PublishError::Conflict.into());
        }
    };
    for line in unsigned(directory, people, pieces)? {
        output::tell!("note: {line}");
    }
    let new = chosen(new);
    if new.is_empty() {
        output::say!("{} has everything that is signed here", remote.address());
        output::say!("{in_force}");
        return Ok(());
    }
    let mut body = Publish::default();
    for Piece { served, bytes, targets, .. } in &new {
        for (path, listed) in targets {
            let bytes = file(directory, people, path, listed, served)?;
            body.targets.insert(path.clone(), BASE64.encode(&bytes));
        }
        body.metadata.insert(served.clone(), BASE64.encode(bytes));
    }
    let published: Published = match remote.send(PUBLISH, &body) {
        Err(error) if error.is_cut() => return Err(PublishError::Cut(error).into()),
        answer => answer?,
    };
    output::say!("published: {}", body.metadata.keys().cloned().collect::<Vec<_>>().join(", "));
    output::say!("{}", ServedSet::from(published));
    Ok(())
}

fn newest<'a>(pieces: &'a [Piece], role: &str) -> Option<&'a Piece> {
    pieces.iter().filter(|piece| piece.role == role).max_by_key(|piece| piece.version)
}

fn ahead(in_force: &ServedSet, pieces: &[Piece]) -> Vec<String> {
    let versions = in_force.versions();
    let roles = [(ROOT, versions.root), (TARGETS, versions.targets), (LIFTS, versions.lifts)];
    let here = |role| newest(pieces, role).map_or(0, |piece| piece.version);
    let ahead = roles.into_iter().filter(|(role, there)| *there > here(role));
    ahead.map(|(role, there)| format!("it has {role} {there}, the newest here is {}", here(role))).collect()
}

// What the controller has nothing of; or why the two do not belong together.
fn lacking<'a>(
    remote: &Remote,
    pieces: &'a [Piece],
    in_force: &ServedSet,
) -> Result<Result<Vec<&'a Piece>, Vec<String>>, CommandError> {
    let versions = in_force.versions();
    let (mut new, mut conflicts) = (Vec::new(), Vec::new());
    for piece in pieces {
        let Piece { served, role, version, bytes, .. } = piece;
        let there = match *role {
            ROOT => versions.root,
            TARGETS => versions.targets,
            _ => versions.lifts,
        };
        match served::compare(remote, served, bytes)? {
            // It was written and never came into force: the controller ended before its timestamp was.
            ServedFile::Same if *version > there => new.push(piece),
            ServedFile::Same => {}
            ServedFile::Other(digest) if *role == ROOT && *version == 1 => {
                conflicts.push(format!(
                    "the controller's first root is another one ({digest}): it belongs to other release managers, \
                     or to another beginning of this product"
                ));
                // Whatever follows another root differs as well.
                break;
            }
            ServedFile::Other(digest) => {
                let own = Digest::of(bytes);
                conflicts.push(format!("the controller's {served} is another one ({digest}); here it is {own}"));
            }
            ServedFile::Nothing if there > *version => {
                conflicts.push(format!("{served} is not the controller's, which is at {role} {there} already"));
            }
            ServedFile::Nothing => new.push(piece),
        }
    }
    Ok(if conflicts.is_empty() { Ok(new) } else { Err(conflicts) })
}

// What is signed; and only if nothing is, the drafts.
fn chosen(new: Vec<&Piece>) -> Vec<&Piece> {
    let (mut chosen, drafts): (Vec<_>, Vec<_>) = new.into_iter().partition(|piece| piece.is_complete);
    let nothing_signed = chosen.is_empty();
    for draft in drafts {
        let Piece { served, standing, .. } = draft;
        if nothing_signed {
            // Not for this program to decide: the controller refuses it, and says so for the record.
            output::tell!("warning: {served} has {standing}; the controller will refuse it");
            chosen.push(draft);
        } else {
            output::tell!("note: {served} is not sent: {standing}");
        }
    }
    chosen
}

// What lies in the directory and no document lists, so that nobody takes it for published.
fn unsigned(directory: &Directory, people: &People, pieces: &[Piece]) -> Result<Vec<String>, CommandError> {
    let mut lines = Vec::new();
    let lifts = newest(pieces, LIFTS);
    for (stop, number) in directory.lifts()? {
        let path = lift_path(&stop, number);
        if !lifts.is_some_and(|piece| piece.targets.contains_key(&path)) {
            lines.push(format!("{path} is signed by nobody; `sign` it"));
        }
    }
    let Some(targets) = newest(pieces, TARGETS) else {
        lines.push("no targets are here yet: `sign` makes them".to_owned());
        return Ok(lines);
    };
    for (path, name) in [(baseline_path(people.product.as_str()), BASELINE), (REGISTRY.to_owned(), REGISTRY)] {
        let bytes = directory.read_if_there(name)?.unwrap_or_default();
        if targets.targets.get(&path).is_none_or(|listed| listed.verify(&bytes).is_err()) {
            lines.push(format!("{name} has changed since {} and is signed by nobody as it is now", targets.served));
        }
    }
    Ok(lines)
}

// Every root, and of targets and lifts the newest complete version and the draft behind it.
fn pieces(directory: &Directory, people: &People) -> Result<Vec<Piece>, CommandError> {
    let roots = Roots::read(directory)?;
    let mut pieces = Vec::new();
    for file in roots.iter() {
        let standings = roots.standings(file, people);
        pieces.push(Piece {
            served: metadata_path(ROOT, file.root.version),
            role: ROOT,
            version: file.root.version,
            bytes: file.bytes.clone(),
            targets: BTreeMap::new(),
            is_complete: standings.iter().all(SignatureState::is_complete),
            standing: standings.iter().map(SignatureState::to_string).collect::<Vec<_>>().join("; "),
        });
    }
    let Some(root) = roots.in_force(people) else { return Ok(pieces) };
    for kind in [SignedRole::Targets, SignedRole::Lifts] {
        let RoleVersions { complete, draft, .. } =
            RoleVersions::read(kind, directory, (root.signers()?, &roots), people)?;
        pieces.extend(complete.into_iter().chain(draft).map(|document| Piece {
            served: metadata_path(kind.role(), document.targets.version),
            role: kind.role(),
            version: document.targets.version,
            is_complete: document.standing.is_complete(),
            standing: document.standing.to_string(),
            bytes: document.bytes,
            targets: document.targets.targets,
        }));
    }
    Ok(pieces)
}

fn file(
    directory: &Directory,
    people: &People,
    path: &str,
    listed: &TargetFile,
    served: &str,
) -> Result<Vec<u8>, CommandError> {
    let name = directory::target_name(path, &people.product);
    let changed = || PublishError::Changed { file: name.escape_debug().to_string(), name: served.to_owned() };
    let bytes = directory.read_target(name)?.ok_or_else(changed)?;
    listed.verify(&bytes).map_err(|_| changed())?;
    Ok(bytes)
}
