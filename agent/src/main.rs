//! `sekisho-agent`: arguments, logging and exit codes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent::collect::{self, Captured, Scope};
use agent::config::Config;
use agent::gate_question::{Answered, ask};
use agent::gate_server::{GATE_PATH, STATUS_PATH};
use agent::{check, dry_run, enrol, run};
use clap::{ArgGroup, Parser, Subcommand};
use manifests::exclude::Globs;
use output::Stdout;
use tokio_util::sync::CancellationToken;

/// Exit codes: usage and configuration errors as in sysexits(3), the gate's as systemd reads them.
const HOLD: u8 = 2;
const UNKNOWN: u8 = 3;
const USAGE: u8 = 64;
const CONFIG: u8 = 78;

/// Shows evidence of this host's programs and settings, and keeps its issuance gate.
#[derive(Parser)]
#[command(name = "sekisho-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Enrol this host with a one-time token.
    #[command(name = "enroll")]
    Enrol {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// File that holds the token.
        #[arg(long)]
        token_file: PathBuf,
    },
    /// Run: collect, report, keep the gate.
    Run {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Ask the gate: exit 0 issue, 2 hold, 3 unknown, 64 wrong usage.
    #[command(group(ArgGroup::new("where").required(true).args(["config", "socket"])))]
    Gate {
        /// The configuration file, which names the socket.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The gate's Unix socket.
        #[arg(long)]
        socket: Option<PathBuf>,
        /// The entry asked for, as `store` or `counter`.
        #[arg(long)]
        entry: Option<String>,
    },
    /// Print the file list of the tree at PATH, as a release of a baseline names it.
    Capture {
        /// The root of the tree.
        path: PathBuf,
        /// A gitignore glob of paths that do not count.
        #[arg(long, value_name = "GLOB")]
        exclude: Vec<String>,
        /// A gitignore glob of symbolic links that lead out of the tree and whose targets count.
        #[arg(long, value_name = "GLOB")]
        follow: Vec<String>,
        /// Print no list but, as JSON, the symbolic links that lead out of the tree and are neither excluded
        /// nor followed. No file is read.
        #[arg(long)]
        links: bool,
    },
    /// Look at this host once, under the newest verified baseline.
    Collect {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print exactly what would be sent, and send nothing.
        #[arg(long, required = true)]
        dry_run: bool,
    },
    /// List what the rules of this version leave unclear in this host's configurations: exit 0 nothing, 1 something.
    Check {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// A baseline.toml to ask by, in the place of the one that is stored.
        #[arg(long)]
        baseline: Option<PathBuf>,
    },
    /// Show what a running agent knows.
    Status {
        /// The configuration file, which names the socket.
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // clap's own 2 would read as hold.
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    output::log_to_stderr("SEKISHO_LOG");
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::tell!("sekisho-agent: cannot start: {error}");
            return ExitCode::from(UNKNOWN);
        }
    };
    let code = runtime.block_on(carry_out(arguments.command));
    // Threads that still read a disk are not waited for.
    runtime.shutdown_background();
    match code {
        Ok(code) => code,
        Err(error) => {
            output::tell!("sekisho-agent: {error:#}");
            let is_config = error.downcast_ref::<agent::config::ConfigError>().is_some();
            ExitCode::from(if is_config { CONFIG } else { 1 })
        }
    }
}

async fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Enrol { config, token_file } => {
            let config = Config::read(&config)?;
            let key = enrol::enrol(&config, &token_file).await?;
            output::say!("{} enrolled with key {key}", config.host);
        }
        Command::Run { config } => run_until_told(&config).await?,
        Command::Gate { config, socket, entry } => return question(config, socket, entry).await,
        Command::Capture { path, exclude, follow, links } => {
            let globs = |name: &str, globs| {
                Globs::new(globs).map_err(|(index, why)| anyhow::anyhow!("--{name} {}: {why}", index + 1))
            };
            let scope = Scope::new(&globs("exclude", exclude)?).following(&globs("follow", follow)?);
            if links {
                print_links(&collect::links_out(&path, &scope)?)?;
            } else {
                let Captured { list, out } = collect::capture(&path, &scope)?;
                output::tell!("{} entries, {}", list.len(), list.digest());
                if !out.is_empty() {
                    output::tell!(
                        "{} links lead out of the tree: what lies there does not count; --links tells",
                        out.len()
                    );
                }
                Stdout.write_all(&list.to_bytes())?;
            }
        }
        Command::Collect { config, dry_run: _ } => {
            let evidence = dry_run::evidence(&Config::read(&config)?)?;
            output::say!("{}", output::json(&evidence)?);
        }
        Command::Check { config, baseline } => {
            let config = Config::read(&config)?;
            let is_something = check::check(&config, baseline.as_deref(), output::lang(), &mut Stdout);
            return match is_something {
                Ok(is_something) => Ok(output::exit(u8::from(is_something))),
                // 1 would say that something is unclear.
                Err(error) => {
                    output::tell!("sekisho-agent: {:#}", anyhow::Error::from(error));
                    Ok(ExitCode::from(UNKNOWN))
                }
            };
        }
        Command::Status { config } => {
            let config = Config::read(&config)?;
            match ask(&config.socket, STATUS_PATH, None).await {
                Ok(Answered::Issue(body) | Answered::Hold(body)) => {
                    let status: serde_json::Value = serde_json::from_str(&body)?;
                    output::say!("{}", output::json(&status)?);
                }
                Err(error) => anyhow::bail!(error),
            }
        }
    }
    Ok(output::exit(0))
}

fn print_links(links: &BTreeMap<PathBuf, PathBuf>) -> anyhow::Result<()> {
    let shown = |(link, target): (&PathBuf, &PathBuf)| {
        // A name that is none in UTF-8 cannot stand in a baseline.
        let is_text = link.to_str().is_some();
        // Where it leads in the end, if it leads anywhere.
        let target = target.canonicalize().unwrap_or_else(|_| target.clone());
        serde_json::json!({ "link": link.to_string_lossy(), "leads_to": target.to_string_lossy(), "is_text": is_text })
    };
    let links: Vec<_> = links.iter().map(shown).collect();
    output::say!("{}", output::json(&serde_json::json!({ "links": links }))?);
    Ok(())
}

async fn run_until_told(config: &Path) -> anyhow::Result<()> {
    let config = Config::read(config)?;
    let shutdown = CancellationToken::new();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        told.cancel();
    });
    run::run(config, shutdown, |addresses| {
        output::say!("gate on http://{}", addresses.http);
        output::say!("gate on unix:{}", addresses.socket.display());
    })
    .await?;
    Ok(())
}

async fn question(config: Option<PathBuf>, socket: Option<PathBuf>, entry: Option<String>) -> anyhow::Result<ExitCode> {
    let socket = match (config, socket) {
        (Some(config), _) => match Config::read(&config) {
            Ok(config) => config.socket,
            Err(error) => {
                output::tell!("sekisho-agent: {:#}", anyhow::Error::from(error));
                return Ok(ExitCode::from(UNKNOWN)); // Not hold, and by no means issue.
            }
        },
        (None, Some(socket)) => socket,
        (None, None) => return Ok(ExitCode::from(USAGE)),
    };
    if entry
        .as_ref()
        .is_some_and(|entry| entry.is_empty() || !entry.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    {
        output::tell!("sekisho-agent: --entry is letters, digits and hyphens");
        return Ok(ExitCode::from(USAGE));
    }
    Ok(match ask(&socket, GATE_PATH, entry.as_deref()).await {
        Ok(Answered::Issue(body)) => {
            output::say!("{body}");
            ExitCode::SUCCESS
        }
        Ok(Answered::Hold(body)) => {
            output::say!("{body}");
            ExitCode::from(HOLD)
        }
        Err(error) => {
            output::tell!("sekisho-agent: {error}");
            ExitCode::from(UNKNOWN)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_a_configuration_or_a_socket() {
        let usage = |arguments: &[&str]| Arguments::try_parse_from(arguments).map(|_| ()).unwrap_err().to_string();
        let nothing = usage(&["sekisho-agent", "gate"]);
        assert!(nothing.contains("<--config <CONFIG>|--socket <SOCKET>>"), "{nothing}");
        usage(&["sekisho-agent", "gate", "--config", "a", "--socket", "b"]);
    }
}
