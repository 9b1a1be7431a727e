//! How soon `sekisho stop --all` has reached every agent, under each flood.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use manifests::id::HostId;
use manifests::time::Time;
use tests::fleet::{Faults, Fleet, plan};
use tests::flood::{Enemy, Kind};
use tests::limits;
use tests::sites;
use tests::world::{DEADLINE, World, peak_memory_kib, until};

/// The most that a stop may take until it counts at every host.
const TARGET: Duration = Duration::from_secs(1);
/// Stops under each flood; their median is told, and the slowest.
const STOPS: usize = 3;

/// `connections` of each crowd; `flood` alone, or all of them one after the other.
pub(super) fn stop(sites: usize, connections: usize, flood: Option<Kind>) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(measured(sites, connections, flood))?)
}

async fn measured(count: usize, connections: usize, flood: Option<Kind>) -> Result<()> {
    limits::raise_open_files();
    let plan = plan(sites::choose(count, 3)?);
    let _raised = limits::raise_inotify(plan.len() as u64 * 2);
    let world = Arc::new(World::new()?);
    let mut fleet = Fleet::found(Arc::clone(&world), plan, Faults::NONE, |what| eprintln!("{what}")).await?;
    let mut ids = fleet.host_ids(false);
    let busy = ids.pop().context("a fleet without hosts")?;
    fleet.start_hosts(&ids, Faults::NONE, |_| {}).await?;
    let enemy = Enemy::new(&world, &fleet.controller, &std::env::current_exe()?, &busy).await?;
    let controller = fleet.controller.process_id().context("the controller is gone")?;
    let mut made = 0;
    let quiet = stops(&fleet, &ids, &mut made).await?;
    println!("stop at {} agents, no flood\t{:.0}\tms\t<= 1000\t-\t-\t{}", ids.len(), ms(quiet.0), word(quiet.1));
    for kind in Kind::ALL.into_iter().filter(|kind| flood.is_none_or(|flood| flood == *kind)) {
        forget_peak(controller);
        let mut flood = enemy.flood(&world, kind, connections).await?;
        let (median, slowest) = stops(&fleet, &ids, &mut made).await?;
        let share = flood.share()?;
        let name = format!("{kind:?} flood of {share:.2} cores");
        println!(
            "{name}: stop at {} agents\t{:.0} (slowest of {STOPS}: {:.0})\tms\t<= 1000\tno flood\t{:.0}\t{}",
            ids.len(),
            ms(median),
            ms(slowest),
            ms(quiet.0),
            word(slowest)
        );
        println!("{name}: most memory of the controller\t{}\tMiB\t-\t-\t-\t-", peak_memory_kib(controller)? >> 10);
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn word(time: Duration) -> &'static str {
    if time <= TARGET { "ok" } else { "short" }
}

/// The median and the slowest of several stops, from the command's start until the last agent says in its log that
/// the stop has come and counts.
async fn stops(fleet: &Fleet, ids: &[HostId], made: &mut usize) -> Result<(Duration, Duration)> {
    let mut times = Vec::new();
    for _ in 0..STOPS {
        *made += 1;
        let began = Time::from(SystemTime::now());
        let stop = fleet.controller.sekisho(&["stop", "--all", "--reason", "a drill"]);
        let came = until("the stop to reach every agent", DEADLINE, async || {
            let last: Result<Vec<Time>> = ids.iter().map(|id| came(fleet, id, *made)).collect();
            last?.into_iter().max().context("no agents")
        });
        let (output, came) = tokio::join!(stop, came);
        let output = output?;
        ensure!(output.success(), "sekisho stop: {}\n{}{}", output.status, output.stdout, output.stderr);
        times.push(came?.since(began).to_std());
    }
    times.sort();
    let slowest = times.last().copied().unwrap_or_default();
    Ok((times.get(times.len() / 2).copied().unwrap_or_default(), slowest))
}

/// When stop `number` came to a host, by its agent's log.
fn came(fleet: &Fleet, host: &HostId, number: usize) -> Result<Time> {
    let log = fs::read_to_string(fleet.logs().join(format!("agent-{host}.err")))?;
    let mut lines = log.lines().filter(|line| line.contains("stop received"));
    let line = lines.nth(number - 1).with_context(|| format!("{host} has not got it"))?;
    Ok(Time::from_rfc3339(line.split_whitespace().next().context("a line without a time")?)?)
}

/// From here on the kernel counts the peak anew.
fn forget_peak(process: u32) {
    // Where it cannot be done, what is printed is the peak since its start.
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}
