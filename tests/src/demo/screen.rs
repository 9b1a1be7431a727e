//! The dashboard on the demo's fleet, and how to connect to it from elsewhere.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};

use super::report::Report;
use super::steps;
use crate::fleet::{Faults, Fleet};
use crate::operator::text;

/// What marks the dashboard as one of invented states.
const MARK: (&str, &str) = ("SEKISHO_MARK", "DEMO");

/// How often the dashboard's process is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Takamatsu joins without a word: the dashboard shows all sites.
///
/// # Errors
/// If a program refuses.
pub async fn join_takamatsu(fleet: &mut Fleet) -> Result<()> {
    steps::publish_late_site(fleet).await?;
    let hosts = fleet.host_ids(true);
    fleet.start_hosts(&hosts, Faults::ALL, |_| {}).await
}

/// Opens `sekisho` and waits until it is closed.
///
/// # Errors
/// If it cannot be started, or ends with an error.
pub async fn dashboard(fleet: &Fleet) -> Result<()> {
    let (url, ca) = (fleet.controller.url(), fleet.controller.ca());
    let child = Command::new(fleet.world.program("sekisho"))
        .args(["--controller", &url, "--ca", text(&ca)?])
        .args(["--token-file", text(fleet.controller.token_file())?])
        .env(MARK.0, MARK.1)
        .spawn()
        .context("cannot start sekisho")?;
    let mut screen = Screen(child);
    let status = loop {
        if let Some(status) = screen.0.try_wait()? {
            break status;
        }
        tokio::time::sleep(POLL).await;
    };
    ensure!(status.success(), "sekisho ended with {status}");
    Ok(())
}

/// The dashboard's process. It is asked to end, not killed: it has a terminal to put back.
struct Screen(Child);

impl Drop for Screen {
    fn drop(&mut self) {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let until = Instant::now() + Duration::from_secs(2);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            let _ = id.map(|id| rustix::process::kill_process(id, Signal::TERM));
            std::thread::sleep(POLL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prints how to connect.
///
/// # Errors
/// If a path is not UTF-8.
pub fn connect(fleet: &Fleet, report: &Report) -> Result<()> {
    let program = fleet.world.program("sekisho");
    println!();
    report.note("the fleet is left running; Ctrl-C ends it and removes its files. To look at it:");
    println!("{}={} {} \\", MARK.0, MARK.1, text(&program)?);
    println!("  --controller {} \\", fleet.controller.url());
    println!("  --ca {} \\", text(&fleet.controller.ca())?);
    println!("  --token-file {}", text(fleet.controller.token_file())?);
    println!("logs: {}", text(&fleet.logs())?);
    Ok(())
}
