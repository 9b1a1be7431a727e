//! `sekisho-baseline`: the release managers' tool.
//!
//! Works on a directory kept in git, so that signers on different machines hand one another files and
//! nothing else. The clock is read here and nowhere below.

mod before;
mod capture;
mod check;
mod counted;
mod directory;
mod exit;
mod expiry;
mod init;
mod key_file;
mod keygen;
mod lift;
mod links;
mod meaning;
mod people;
mod preview;
mod publish;
mod remote;
mod renew;
mod role_metadata;
mod root;
mod roots;
mod served;
mod sign;
mod signed;

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, Subcommand};
use manifests::time::Time;

use crate::exit::{CommandError, EXIT_CODES, Exit};

/// Writes, checks, signs and publishes fix baselines.
///
/// Works on a directory kept in git: baseline.toml and registry.toml written by people, files/ by
/// `capture`, lifts/ by `lift`, metadata/ by `init` and `sign`. Two release managers of different
/// units sign everything; `publish` hands it to a controller.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::Args),
    Init(init::Args),
    Capture(capture::Args),
    Check(check::Args),
    Preview(preview::Args),
    Sign(sign::Args),
    Root(root::Args),
    Renew(renew::Args),
    Lift(lift::Args),
    Publish(publish::Args),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to do if the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments.command) {
        Ok(()) => output::exit(0),
        Err(error) => {
            output::tell!("error: {error}");
            error.exit().into()
        }
    }
}

fn run(command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Keygen(args) => keygen::run(args),
        Command::Init(args) => init::run(args, now()),
        Command::Capture(args) => capture::run(args),
        Command::Check(args) => check::run(args, now()),
        Command::Preview(args) => preview::run(args, now()),
        Command::Sign(args) => sign::run(args, now()),
        Command::Root(args) => root::run(args, now()),
        Command::Renew(args) => renew::run(args, now()),
        Command::Lift(args) => lift::run(args, now()),
        Command::Publish(args) => publish::run(args, now()),
    }
}

fn now() -> Time {
    Time::from(SystemTime::now())
}
