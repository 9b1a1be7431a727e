//! `sekisho-controller`: arguments, logging, exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use controller::serve::Addresses;
use controller::{backup, doctor, init, serve, tls, token};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of wrong usage (sysexits.h); clap's own 2 means something else to monitors.
const USAGE: u8 = 64;

/// Takes evidence, signs permits, stops fleets
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a controller's directory: keys, certificates, database
    Init(init::Args),
    /// Serve; prints one line when ready
    Serve(serve::Args),
    /// Copy a controller's directory, also while it is served
    Backup(backup::BackupArgs),
    /// Make a controller's directory from a backup
    Restore(backup::RestoreArgs),
    /// Look for what is wrong with a controller, or soon will be: exit 0 nothing, 2 something
    Doctor(doctor::Args),
    /// Make the next certificate of the server
    #[command(subcommand)]
    Tls(tls::Args),
    /// Make a token for a host or an operator
    #[command(subcommand)]
    Token(token::Args),
}

/// Exit code of `doctor` that found something bad, as of `sekisho` lists.
const BAD: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If it cannot be printed there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    output::log_to_stderr("RUST_LOG");
    // SQLite makes the database, its log and its index, and the lock is made, with whatever mode the
    // mask leaves. The directory is private too, but a copy of it may not be.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    match run(cli.command) {
        Ok(true) => output::exit(0),
        Ok(false) => output::exit(BAD),
        Err(error) => {
            output::tell!("sekisho-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn run(command: Command) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another cryptographic provider is installed"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match command {
            Command::Backup(args) => backup::back_up(args).await?,
            Command::Restore(args) => backup::restore(args).await?,
            Command::Doctor(args) => return doctor::run(args).await,
            Command::Init(args) => init::run(args).await?,
            Command::Token(args) => token::run(args).await?,
            Command::Tls(args) => tls::run(args)?,
            Command::Serve(args) => {
                let (mut terminate, mut interrupt) =
                    (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
                let stop = async move {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                };
                let ready = |Addresses { listen, operators }| {
                    // The line that others wait for comes last.
                    if let Some(own) = operators {
                        output::say!("operators on https://{own}");
                    }
                    output::say!("listening on https://{listen}");
                };
                serve::run(args, ready, stop).await?;
            }
        }
        Ok(true)
    })
}
