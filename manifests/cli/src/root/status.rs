//! `root status`: who may sign, until when, and what is on its way.

use std::path::PathBuf;

use manifests::time::Time;
use manifests::units::Units;

use crate::directory::Directory;
use crate::exit::CommandError;
use crate::expiry;
use crate::meaning;
use crate::people::{People, SignatureState};
use crate::roots::Roots;

/// Shows the root in force, people by name and unit, and what a root on its way would change.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    let people = People::read(&directory)?;
    let roots = Roots::read(&directory)?;
    let Some(in_force) = roots.in_force(&people) else { return Ok(()) };
    let words = |standings: Vec<SignatureState>| {
        let words: Vec<_> = standings.iter().map(SignatureState::to_string).collect();
        words.join("; and by the root before: ")
    };
    output::say!("{}: {}", in_force.name, words(roots.standings(in_force, &people)));
    for line in meaning::root::whole(&in_force.root, &people, now) {
        output::say!("  {line}");
    }
    for draft in roots.iter().filter(|file| file.root.version > in_force.root.version) {
        output::say!("{}: on its way; {}", draft.name, words(roots.standings(draft, &people)));
        for line in meaning::root::changes(&in_force.root, &draft.root, &people, now) {
            output::say!("  {line}");
        }
    }
    if Units::of_root(&in_force.root).is_none() {
        output::tell!(
            "warning: {} does not name the units of its signers; `root propose` makes one that does",
            in_force.name
        );
    }
    let warnings = meaning::root::frailties(in_force, &people);
    for line in warnings.into_iter().chain(expiry::warnings(&directory, now)) {
        output::tell!("warning: {line}");
    }
    Ok(())
}
