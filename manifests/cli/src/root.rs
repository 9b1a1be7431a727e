//! `root`: who may sign, now and next.

mod propose;
mod registry;
mod status;

pub(crate) use self::registry::Registry;

use manifests::time::Time;

use crate::exit::CommandError;

/// Proposes the next root, or shows how roots stand.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Propose(Box<propose::Args>),
    Status(status::Args),
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    match &args.command {
        Command::Propose(args) => propose::run(args, now),
        Command::Status(args) => status::run(args, now),
    }
}
