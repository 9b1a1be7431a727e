//! The demo: a fleet on one machine, and a story of nine steps that it must come through.
//!
//! Everything in it is real but the municipalities' states: files, processes, keys, signatures,
//! documents, gates. Nothing here decides anything; it plants a state, asks, and compares.

pub mod asking;
pub mod build;
pub mod report;
pub mod screen;
pub mod steps;
mod steps_late;
mod takeover;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::fleet::{Faults, Fleet, Part, plan};
use crate::limits;
use crate::sites;
use crate::world::{World, until};
use report::Report;

/// Sites of the demo, of which the story needs at least [`SITES_MIN`].
const SITES: usize = 123;
const SITES_MIN: usize = 12;
/// Exit code of a wrong command line.
const USAGE: u8 = 64;
/// Exit code after a signal, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;
/// How long the whole fleet may take from its last agent's start to verified.
const SETTLE_DEADLINE: Duration = Duration::from_secs(120);

/// A fleet of municipalities on this machine: real programs, real files, real keys.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
pub struct Args {
    /// Tell the story, a line per step, in place of opening the dashboard; as without a terminal.
    #[arg(long)]
    headless: bool,
    /// How many sites.
    #[arg(long, default_value_t = SITES)]
    sites: usize,
    /// Leave out the cause of one step (1 to 9): the demo must then end with 1 and name the step.
    #[arg(long, value_name = "STEP", value_parser = clap::value_parser!(u8).range(1..=9))]
    sabotage: Option<u8>,
    /// Leave the fleet running afterwards, until Ctrl-C, and say how to connect.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo to its end, or to the first signal. Either way nothing of it is left behind.
pub async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) if args.sites >= SITES_MIN => args,
        Ok(args) => {
            eprintln!("demo: the story needs at least {SITES_MIN} sites, not {}", args.sites);
            return ExitCode::from(USAGE);
        }
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match signalled(run(args)).await {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("\ndemo: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
        None => {
            eprintln!("\ndemo: interrupted; everything it started is ended and its files are removed");
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// What `work` gives, or nothing if a signal asked to end: then `work` is dropped, and with it
/// every process and file it owns.
async fn signalled<T>(work: impl Future<Output = T>) -> Option<T> {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else { return None };
    tokio::select! {
        value = work => Some(value),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        _ = hangup.recv() => None,
    }
}

async fn run(args: Args) -> Result<()> {
    let report = Report::start();
    build::programs().await?;
    build::print_digests(&report)?;
    limits::raise_open_files();
    let world = Arc::new(World::new()?);
    let plan = plan(sites::choose(args.sites, (args.sites / 7 + 1).max(4))?);
    let agents: usize = plan.iter().map(|planned| planned.hosts().len()).sum();
    let _raised = match limits::raise_inotify(u64::try_from(agents)?) {
        Ok(raised) => {
            raised.note().into_iter().for_each(|note| report.note(&note));
            raised
        }
        Err(low) => {
            report.note(&format!(
                "inotify allows fewer instances than {agents} agents need; agents without watches say so and look at \
                 their files in short passes, which step 4 may notice. As root: {}",
                low.sysctl
            ));
            limits::Raised::default()
        }
    };
    let headless = args.headless || !std::io::stdout().is_terminal();
    let faults = Faults { planted: args.sabotage != Some(1), wrong_variant: args.sabotage != Some(2) };
    let mut fleet = start(&report, Arc::clone(&world), plan, faults).await?;
    if headless {
        if let Some(step) = args.sabotage {
            report.note(&format!("sabotage: the cause of step {step} is left out; the demo must notice"));
        }
        steps::story(&mut fleet, &report, args.sabotage).await?;
    } else {
        screen::join_takamatsu(&mut fleet).await?;
        screen::dashboard(&fleet).await?;
    }
    if args.keep {
        screen::connect(&fleet, &report)?;
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// From nothing to a fleet in which everything that is in order issues.
async fn start(report: &Report, world: Arc<World>, plan: Vec<crate::fleet::Planned>, faults: Faults) -> Result<Fleet> {
    let began = Instant::now();
    let spinner = ProgressBar::new_spinner();
    let mut fleet = Fleet::found(world, plan, faults, |what| {
        spinner.set_message(what.to_owned());
        spinner.tick();
    })
    .await?;
    // Every agent knows it from the beginning; its turn comes in the last step, and until then it is switched off.
    let mut standby = fleet.start_standby().await?;
    standby.kill()?;
    fleet.standby = Some(standby);
    spinner.finish_and_clear();
    report.note(&format!(
        "keys of three release managers of three units; baseline {} and registry signed by two, published ({:.1} s)",
        crate::baseline_text::VERSION,
        began.elapsed().as_secs_f64()
    ));
    let hosts = fleet.host_ids(false);
    let began = Instant::now();
    let bar = ProgressBar::new(u64::try_from(hosts.len())?);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} agents  {msg}")?);
    fleet
        .start_hosts(&hosts, faults, |id| {
            bar.set_message(id.to_string());
            bar.inc(1);
        })
        .await?;
    bar.finish_and_clear();
    let silent = fleet.part(Part::Silent)?.ap()?;
    settle(&fleet).await?;
    if faults.planted {
        // Silence needs time to be one: it begins here, and step 1 asks for it.
        fleet.host_mut(&silent)?.kill_agent()?;
    }
    let early = fleet.plan.len() - 1;
    report.note(&format!(
        "{} real agents on {early} sites, each with its own files; all have shown evidence ({:.1} s)",
        hosts.len(),
        began.elapsed().as_secs_f64()
    ));
    Ok(fleet)
}

/// Waits until every host has shown evidence and every site in order issues.
async fn settle(fleet: &Fleet) -> Result<()> {
    let good: Vec<_> = fleet.plan.iter().filter(|planned| planned.part == Part::Good).map(|p| &p.site.code).collect();
    until("every site in order to be verified", SETTLE_DEADLINE, async || {
        let rows = fleet.controller.fleet().await?.sites;
        for row in rows.iter().filter(|row| good.contains(&&row.code)) {
            let codes: Vec<String> = row.reasons.iter().map(ToString::to_string).collect();
            ensure!(row.standing == manifests::api::Standing::Verified, "{}: {}", row.code, codes.join(", "));
        }
        let unheard = fleet.controller.hosts().await?.into_iter().find(|row| row.evidence.is_none());
        ensure!(unheard.is_none(), "{} never reported", unheard.map(|row| row.host.to_string()).unwrap_or_default());
        Ok(())
    })
    .await
}
