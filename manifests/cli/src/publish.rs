//! `publish`: hands what was signed to a controller, which decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use data_encoding::BASE64;
use manifests::api::{PUBLISH, Publish, Published, TUF};
use manifests::tuf::repository::baseline_path;
use manifests::tuf::{ROOT, TargetFile, metadata_path};

use crate::directory::{BASELINE, Directory};
use crate::document::{Documents, Kind};
use crate::failure::Failure;
use crate::people::{People, Standing};
use crate::remote::{self, Remote};
use crate::roots::Roots;

/// Sends to the controller what it does not have yet of root, targets and lifts, and their files.
///
/// What two release managers have signed is sent; a draft stays here as long as there is something
/// signed to send. The controller verifies everything, and changes nothing unless all of it verifies.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    remote: remote::Args,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The directory has gone on since it was signed.
    #[error("{file} is not the one that {name} lists; restore it (git), or `sign` what is here and publish that")]
    Changed { file: String, name: String },
}

/// A metadata file that could be sent.
struct Piece {
    /// Its name on a repository, `2.targets.json`.
    served: String,
    bytes: Vec<u8>,
    /// The target files that it lists.
    targets: BTreeMap<String, TargetFile>,
    is_complete: bool,
    /// Who has signed it, in words.
    standing: String,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let directory = Directory::open(&args.directory)?;
    let people = People::read(&directory)?;
    let pieces = pieces(&directory, &people)?;
    let remote = Remote::new(&args.remote)?;
    let mut new = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.is_complete) {
        if !remote.serves(&format!("{TUF}/{}", piece.served))? {
            new.push(piece);
        }
    }
    let drafts: Vec<_> = pieces.iter().filter(|piece| !piece.is_complete).collect();
    let nothing_signed = new.is_empty();
    for draft in drafts {
        let Piece { served, standing, .. } = draft;
        if nothing_signed {
            // Not for this program to decide: the controller refuses it, and says so for the record.
            eprintln!("warning: {served} has {standing}; the controller will refuse it");
            new.push(draft);
        } else {
            eprintln!("note: {served} is not sent: {standing}");
        }
    }
    if new.is_empty() {
        println!("{} has everything that is signed here", remote.address());
        return Ok(());
    }
    let mut body = Publish::default();
    for Piece { served, bytes, targets, .. } in &new {
        for (path, listed) in targets {
            let bytes = file(&directory, &people, path, listed, served)?;
            body.targets.insert(path.clone(), BASE64.encode(&bytes));
        }
        body.metadata.insert(served.clone(), BASE64.encode(bytes));
    }
    let published: Published = remote.send(PUBLISH, &body)?;
    println!("published: {}", body.metadata.keys().cloned().collect::<Vec<_>>().join(", "));
    print(&published);
    Ok(())
}

// Every root, and of targets and lifts the newest complete version and the draft behind it.
fn pieces(directory: &Directory, people: &People) -> Result<Vec<Piece>, Failure> {
    let roots = Roots::read(directory)?;
    let mut pieces = Vec::new();
    for file in roots.iter() {
        let standings = roots.standings(file, people);
        pieces.push(Piece {
            served: metadata_path(ROOT, file.root.version),
            bytes: file.bytes.clone(),
            targets: BTreeMap::new(),
            is_complete: standings.iter().all(Standing::is_complete),
            standing: standings.iter().map(Standing::to_string).collect::<Vec<_>>().join("; "),
        });
    }
    let Some(root) = roots.in_force(people) else { return Ok(pieces) };
    for kind in [Kind::Targets, Kind::Lifts] {
        let Documents { complete, draft } = Documents::read(kind, directory, root.signers()?, people)?;
        pieces.extend(complete.into_iter().chain(draft).map(|document| Piece {
            served: metadata_path(kind.role(), document.targets.version),
            is_complete: document.standing.is_complete(),
            standing: document.standing.to_string(),
            bytes: document.bytes,
            targets: document.targets.targets,
        }));
    }
    Ok(pieces)
}

// Target paths are the names in the directory, but for the baseline's.
fn file(
    directory: &Directory,
    people: &People,
    path: &str,
    listed: &TargetFile,
    served: &str,
) -> Result<Vec<u8>, Failure> {
    let name = if path == baseline_path(people.product.as_str()) { BASELINE } else { path };
    let changed = || PublishError::Changed { file: name.escape_debug().to_string(), name: served.to_owned() };
    // A path out of somebody else's draft must not lead out of the directory.
    let inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let bytes = if inside { directory.read_if_there(name)? } else { None };
    let bytes = bytes.ok_or_else(changed)?;
    listed.verify(&bytes).map_err(|_| changed())?;
    Ok(bytes)
}

fn print(published: &Published) {
    let versions = &published.versions;
    match &published.baseline {
        Some(baseline) => println!("in force: baseline {} ({})", baseline.version, baseline.digest),
        None => println!("in force: no baseline yet"),
    }
    println!(
        "root {}, targets {}, lifts {}, snapshot {}, timestamp {}",
        versions.root, versions.targets, versions.lifts, versions.snapshot, versions.timestamp
    );
}
