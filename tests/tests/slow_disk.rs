//! A disk that hangs in the middle of a write: the gate answers all the same, and nothing is said to be kept
//! that is not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use manifests::id::HostId;
use tests::fleet::{Faults, Fleet, Part, small};
use tests::world::{DEADLINE, until};

/// How many questions are asked while the disk hangs, one after the other.
const QUESTIONS: usize = 50;

/// An image mounted at a directory, with what was in it. Put right and unmounted with the test.
struct Disk(PathBuf);

impl Disk {
    /// None where no image can be made or mounted.
    fn over(directory: &Path, image: &Path) -> Option<Self> {
        std::fs::File::create(image).ok()?.set_len(16 << 20).ok()?;
        let beside = directory.with_extension("before");
        std::fs::rename(directory, &beside).ok()?;
        std::fs::create_dir(directory).ok()?;
        let is_mounted = done("mkfs.ext4", &["-q".as_ref(), image.as_ref()])
            && done("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), directory.as_ref()]);
        let disk = is_mounted.then(|| Self(directory.to_owned()))?;
        done("cp", &["-a".as_ref(), beside.join(".").as_ref(), directory.as_ref()]).then_some(disk)
    }

    /// From here on every write waits.
    fn hang(&self) -> bool {
        done("fsfreeze", &["-f".as_ref(), self.0.as_ref()])
    }

    fn go_on(&self) -> bool {
        done("fsfreeze", &["-u".as_ref(), self.0.as_ref()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.go_on();
        done("umount", &["-l".as_ref(), self.0.as_ref()]);
    }
}

fn done(program: &str, arguments: &[&std::ffi::OsStr]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

async fn acknowledged(fleet: &Fleet, host: &HostId) -> Result<bool> {
    let stops = fleet.controller.stops().await?;
    Ok(stops.first().context("no stop")?.acknowledged.contains(host))
}

#[tokio::test]
async fn a_stop_counts_while_the_disk_hangs_and_is_acknowledged_when_it_is_kept() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may mount a disk");
        return Ok(());
    }
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    fleet.host_mut(&ap)?.kill_agent()?;
    let own = fleet.host(&ap)?.own().to_owned();
    let Some(disk) = Disk::over(&own.join("state"), &own.join("state.img")) else {
        eprintln!("skipped: no image of a disk can be made or mounted here");
        return Ok(());
    };
    fleet.host_mut(&ap)?.start_agent().await?;
    // Dropped first: nobody ends a process that waits for a disk.
    let (fleet, disk) = (fleet, disk);
    fleet.issues(&ap).await?;

    ensure!(disk.hang(), "the disk cannot be made to hang");
    let site = ap.site().to_string();
    let words = ["stop", "--site", &site, "--reason", "a certificate of another resident"];
    let output = fleet.controller.sekisho(&words).await?;
    ensure!(output.status.success(), "{}", output.stderr);
    // Every question is answered, and it stops soon. A question that waits for the disk is an error here.
    let end = Instant::now() + DEADLINE;
    let mut stopped = 0;
    while stopped < QUESTIONS {
        match fleet.host(&ap)?.ask_gate().await.context("while the disk hangs")? {
            answer if answer.is_refused_for("stopped") => stopped += 1,
            answer => ensure!(stopped == 0 && Instant::now() < end, "{answer} after {stopped} refusals"),
        }
    }
    ensure!(!acknowledged(&fleet, &ap).await?, "acknowledged, though it is not on the disk");

    ensure!(disk.go_on(), "the disk cannot be made to go on");
    until("the stop to be acknowledged", DEADLINE, async || {
        ensure!(acknowledged(&fleet, &ap).await?, "not yet");
        Ok(())
    })
    .await?;
    // That it is acknowledged is being noted, in a file beside it which then takes its place.
    let names = std::fs::read_dir(own.join("state/stops"))?.map(|entry| Ok(entry?.file_name()));
    let kept = names.collect::<std::io::Result<Vec<_>>>()?;
    let kept: Vec<_> = kept.iter().filter(|name| Path::new(name).extension() == Some("json".as_ref())).collect();
    ensure!(kept.len() == 1, "{kept:?} are kept");
    Ok(())
}
