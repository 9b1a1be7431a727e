//! `sekisho-controller`: arguments, logging, exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use controller::serve::Addresses;
use controller::{init, serve, token};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
    /// Make a token for a host or an operator
    #[command(subcommand)]
    Token(token::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If it cannot be printed there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    // SQLite makes the database, its log and its index, and the lock is made, with whatever mode the
    // mask leaves. The directory is private too, but a copy of it may not be.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sekisho-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another cryptographic provider is installed"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match command {
            Command::Init(args) => init::run(args).await,
            Command::Token(args) => token::run(args).await,
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
                        println!("operators on https://{own}");
                    }
                    println!("listening on https://{listen}");
                };
                serve::run(args, ready, stop).await
            }
        }
    })
}
