//! A host whose disk takes nothing: a stop is not forgotten, nobody waits, and afterwards all is as before.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::id::HostId;
use tests::disks::{Disk, done};
use tests::fleet::{Faults, Fleet, Part, small};
use tests::host::Issued;
use tests::world::{DEADLINE, Process, until};

/// The agent tries again what it could not write.
const MENDED_WITHIN: Duration = Duration::from_secs(90);
/// How many questions are asked of a gate that must hold.
const QUESTIONS: usize = 50;

/// One issuing host, whose gate is open.
struct Case {
    fleet: Fleet,
    ap: HostId,
    state: PathBuf,
}

impl Case {
    async fn new() -> Result<Self> {
        let mut fleet = small(6).await?;
        let ap = fleet.part(Part::Munakata)?.ap()?;
        fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
        let state = fleet.host(&ap)?.own().join("state");
        let case = Self { fleet, ap, state };
        case.issues().await?;
        Ok(case)
    }

    /// The same with its state on a disk of its own; nothing where none can be mounted.
    async fn on_disk() -> Result<Option<(Self, Disk)>> {
        let mut case = Self::new().await?;
        case.fleet.host_mut(&case.ap)?.kill_agent()?;
        let Some(disk) = Disk::over(&case.state, 16)? else { return Ok(None) };
        case.fleet.host_mut(&case.ap)?.start_agent().await?;
        case.issues().await?;
        Ok(Some((case, disk)))
    }

    async fn answer(&self) -> Result<Issued> {
        self.fleet.host(&self.ap)?.ask_gate().await
    }

    async fn issues(&self) -> Result<()> {
        self.fleet.issues(&self.ap).await
    }

    async fn holds(&self, code: &str) -> Result<()> {
        self.fleet.holds_at_last(&self.ap, code, DEADLINE).await
    }

    /// Every question of many is refused.
    async fn never_issues(&self, what: &str) -> Result<()> {
        for _ in 0..QUESTIONS {
            let answer = self.answer().await?;
            ensure!(answer != Issued::Certificate, "{what}: it issues");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let words = ["stop", "--all", "--reason", "a certificate of another resident"];
        let output = self.fleet.controller.sekisho(&words).await?;
        ensure!(output.success(), "{}", output.stderr);
        self.holds("stopped").await
    }

    async fn is_acknowledged(&self) -> Result<bool> {
        let stops = self.fleet.controller.stops().await?;
        Ok(stops.first().context("no stop")?.acknowledged.contains(&self.ap))
    }

    async fn acknowledges(&self, within: Duration) -> Result<()> {
        until("the stop to be acknowledged", within, async || {
            ensure!(self.is_acknowledged().await?, "not yet");
            Ok(())
        })
        .await
    }

    async fn restart(&mut self) -> Result<()> {
        let host = self.fleet.host_mut(&self.ap)?;
        host.kill_agent()?;
        host.start_agent().await
    }

    fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.fleet.logs().join(format!("agent-{}.err", self.ap)))?)
    }

    async fn permit_number(&self) -> Result<u64> {
        let row = self.fleet.controller.host_row(&self.ap).await?;
        Ok(row.permit.context("no permit")?.number)
    }

    /// The controller does not take it for two machines, and never had to be resumed from.
    async fn is_one_machine(&self) -> Result<()> {
        let row = self.fleet.controller.host_row(&self.ap).await?;
        let reasons: Vec<_> = row.reasons.iter().map(|reason| reason.code.as_str()).collect();
        ensure!(!reasons.contains(&"clone-suspected"), "{reasons:?}");
        ensure!(!self.log()?.contains("resuming from the controller's sequence"), "a sequence was used twice");
        Ok(())
    }
}

/// What is wrong with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Full,
    NoInodes,
    ReadOnly,
    /// Only stops have no room.
    OneFile,
}

async fn a_stop_outlives_the_restart(kind: Kind) -> Result<()> {
    let Some((mut case, disk)) = Case::on_disk().await? else { return Ok(()) };
    let stops = case.state.join("stops");
    let mut inner = None;
    match kind {
        Kind::Full => disk.fill()?,
        Kind::NoInodes => disk.use_up_inodes()?,
        Kind::ReadOnly => disk.read_only(true)?,
        Kind::OneFile => {
            fs::create_dir(&stops)?;
            inner = Disk::over(&stops, 1)?;
            inner.as_ref().context("no inner disk")?.fill()?;
        }
    }
    case.stop().await?;
    if kind == Kind::ReadOnly {
        ensure!(!case.is_acknowledged().await?, "acknowledged, though it is not on the disk");
    } else {
        case.acknowledges(DEADLINE).await?; // Room was taken for it.
    }
    let lines = case.log()?.lines().count();
    // Twice without a controller: what is held is held by what this host has kept.
    case.fleet.controller.kill()?;
    for _ in 0..2 {
        case.restart().await?;
        case.never_issues("after a restart without a controller").await?;
        case.holds("stopped").await?;
    }
    let lines = case.log()?.lines().count() - lines;
    ensure!(lines < 60, "{lines} lines of log in two starts");
    match kind {
        Kind::Full | Kind::NoInodes => disk.empty()?,
        Kind::ReadOnly => disk.read_only(false)?,
        Kind::OneFile => drop(inner.take()),
    }
    case.fleet.controller.resume().await?;
    case.acknowledges(MENDED_WITHIN).await?;
    case.holds("stopped").await?;
    case.is_one_machine().await?;
    drop(case);
    drop(disk);
    Ok(())
}

#[tokio::test]
async fn a_stop_on_a_full_disk_outlives_the_agents_restart() -> Result<()> {
    a_stop_outlives_the_restart(Kind::Full).await
}

#[tokio::test]
async fn a_stop_on_a_disk_without_inodes_outlives_the_agents_restart() -> Result<()> {
    a_stop_outlives_the_restart(Kind::NoInodes).await
}

#[tokio::test]
async fn a_stop_on_a_read_only_disk_outlives_the_agents_restart() -> Result<()> {
    a_stop_outlives_the_restart(Kind::ReadOnly).await
}

#[tokio::test]
async fn a_stop_that_alone_has_no_room_outlives_the_agents_restart() -> Result<()> {
    a_stop_outlives_the_restart(Kind::OneFile).await
}

#[tokio::test]
async fn a_full_disk_keeps_nobody_waiting_and_the_permit_counts_after_a_restart() -> Result<()> {
    let Some((mut case, disk)) = Case::on_disk().await? else { return Ok(()) };
    disk.fill()?;
    for _ in 0..3 {
        case.restart().await?;
        case.issues().await?;
    }
    case.is_one_machine().await?;
    // And without a controller: on the newest permit, which was written while the disk was full.
    let permit = fs::read(case.state.join("permit.json"))?;
    let number = case.permit_number().await?;
    until("two newer permits", DEADLINE, async || {
        // The answer to the document before is with the host once the next one has come.
        let documents = case.log()?.matches("permit received").count();
        ensure!(case.permit_number().await? > number && documents > 2, "not yet");
        Ok(())
    })
    .await?;
    ensure!(fs::read(case.state.join("permit.json"))? == permit, "the disk is not full");
    case.fleet.controller.kill()?;
    case.restart().await?;
    case.issues().await?;
    drop(case);
    drop(disk);
    Ok(())
}

#[tokio::test]
async fn an_agent_whose_state_cannot_be_written_at_its_start_waits_for_a_controller() -> Result<()> {
    let Some((mut case, disk)) = Case::on_disk().await? else { return Ok(()) };
    disk.read_only(true)?;
    case.fleet.controller.kill()?;
    case.restart().await?;
    case.holds("state-damaged").await?;
    case.never_issues("on a read-only disk, without a controller").await?;
    ensure!(case.log()?.contains("cannot be written"), "{}", case.log()?);
    case.fleet.controller.resume().await?;
    case.issues().await?;
    // Nor is it shut for good once the disk can be written.
    disk.read_only(false)?;
    case.restart().await?;
    case.issues().await?;
    case.is_one_machine().await?;
    drop(case);
    drop(disk);
    Ok(())
}

#[tokio::test]
async fn a_state_from_before_a_stop_serves_for_the_rest_of_its_permit_and_no_longer() -> Result<()> {
    let mut case = Case::new().await?;
    let before = case.state.with_file_name("state-before");
    case.fleet.host_mut(&case.ap)?.agent()?.terminate(DEADLINE).await?;
    ensure!(done("cp", &["-a".as_ref(), case.state.as_ref(), before.as_ref()]), "cannot copy");
    case.restart().await?;
    case.stop().await?;
    case.fleet.controller.kill()?;
    case.fleet.host_mut(&case.ap)?.kill_agent()?;
    fs::remove_dir_all(&case.state)?;
    fs::rename(&before, &case.state)?;
    case.fleet.host_mut(&case.ap)?.start_agent().await?;
    // What was set back knows no stop; the permit that it has ends all the same.
    let life = Duration::from_secs(case.fleet.rhythm.permit_ttl_s);
    until("the permit to end", life + DEADLINE, async || {
        let answer = case.answer().await?;
        ensure!(matches!(&answer, Issued::Refused(codes) if codes == &["permit-expired"]), "{answer}");
        Ok(())
    })
    .await?;
    case.never_issues("after the end of its permit").await?;
    case.restart().await?;
    case.never_issues("after another restart").await
}

/// Lets the syncs of a running process fail until it is dropped; nothing where strace is missing.
fn failing_syncs(case: &mut Case) -> Result<Option<Process>> {
    if !done("strace", &["-V".as_ref()]) {
        eprintln!("skipped: strace is not installed");
        return Ok(None);
    }
    let id = case.fleet.host_mut(&case.ap)?.agent()?.id().to_string();
    let calls = "fsync,fdatasync";
    let inject = format!("inject={calls}:error=EIO");
    let arguments = ["-f", "-e", &format!("trace={calls}"), "-e", &inject, "-p", &id];
    case.fleet.world.start("strace", std::path::Path::new("/usr/bin/strace"), &arguments).map(Some)
}

#[tokio::test]
async fn what_a_sync_refused_is_not_said_to_be_kept_and_is_not_forgotten() -> Result<()> {
    let mut case = Case::new().await?;
    let Some(strace) = failing_syncs(&mut case)? else { return Ok(()) };
    until("strace to be attached", DEADLINE, async || {
        let log = fs::read_to_string(case.fleet.logs().join("strace.err"))?;
        ensure!(log.contains("attached"), "{log}");
        Ok(())
    })
    .await?;
    case.stop().await?;
    until("the log to say it", DEADLINE, async || {
        ensure!(case.log()?.contains("cannot be acknowledged yet"), "{}", case.log()?);
        Ok(())
    })
    .await?;
    ensure!(!case.is_acknowledged().await?, "acknowledged, though no sync has gone well");
    case.never_issues("while syncs fail").await?;
    // It goes on by itself when the disk does.
    drop(strace);
    case.acknowledges(MENDED_WITHIN).await?;
    case.holds("stopped").await?;
    case.is_one_machine().await
}

#[tokio::test]
async fn what_no_disk_took_is_known_from_the_runtime_directory() -> Result<()> {
    let mut case = Case::new().await?;
    let Some(strace) = failing_syncs(&mut case)? else { return Ok(()) };
    until("strace to be attached", DEADLINE, async || {
        let log = fs::read_to_string(case.fleet.logs().join("strace.err"))?;
        ensure!(log.contains("attached"), "{log}");
        Ok(())
    })
    .await?;
    case.stop().await?;
    until("the log to say it", DEADLINE, async || {
        ensure!(case.log()?.contains("cannot be acknowledged yet"), "{}", case.log()?);
        Ok(())
    })
    .await?;
    case.fleet.controller.kill()?;
    case.fleet.host_mut(&case.ap)?.kill_agent()?;
    drop(strace);
    // A disk that did not sync has none of it.
    let _ = fs::remove_dir_all(case.state.join("stops"));
    fs::remove_file(case.state.join("room"))?;
    case.fleet.host_mut(&case.ap)?.start_agent().await?;
    case.never_issues("after a restart without a controller").await?;
    case.holds("stopped").await
}

/// Calls that write. The agent is killed at the first of them, then at the second, and so on.
const WRITES: &str = "fsync,fdatasync,pwrite64,rename,renameat,renameat2,unlink,unlinkat,symlink,mkdir,ftruncate";
/// At most so many rounds.
const KILLS_MAX: u32 = 40;
/// One thread of a starting agent writes at least so often.
const KILLS_MIN: u32 = 10;

#[tokio::test]
async fn an_agent_killed_at_any_of_its_writes_starts_with_the_old_state_or_the_new() -> Result<()> {
    if !done("strace", &["-V".as_ref()]) {
        eprintln!("skipped: strace is not installed");
        return Ok(());
    }
    let mut case = Case::new().await?;
    let mut killed = 0_u32;
    for number in 1..=KILLS_MAX {
        let inject = format!("inject={WRITES}:signal=KILL:when={number}");
        let host = case.fleet.host_mut(&case.ap)?;
        host.kill_agent()?;
        if number == 1 {
            fs::remove_file(case.state.join("room"))?; // It is made anew, and that is many writes.
        }
        let host = case.fleet.host_mut(&case.ap)?;
        let trace = format!("trace={WRITES}");
        host.spawn_agent(&["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])?;
        // It may write less often than that, which only waiting tells; but a slow machine is no such agent.
        let within = if killed < KILLS_MIN { DEADLINE } else { Duration::from_secs(6) };
        let ended = until("the agent to be killed", within, async || {
            ensure!(!case.fleet.host_mut(&case.ap)?.agent()?.runs(), "it runs");
            Ok(())
        });
        let is_killed = ended.await.is_ok();
        let host = case.fleet.host_mut(&case.ap)?;
        if !is_killed {
            // It writes less often: strace goes, and then the agent that it started.
            let children = format!("/proc/{0}/task/{0}/children", host.agent()?.id());
            let agent = fs::read_to_string(children)?;
            host.kill_agent()?;
            let agent = agent.split_whitespace().next().context("no agent")?;
            ensure!(done("kill", &["-9".as_ref(), agent.as_ref()]), "cannot end the agent");
            until("the agent to be gone", DEADLINE, async || {
                ensure!(!std::path::Path::new("/proc").join(agent).exists(), "it is there");
                Ok(())
            })
            .await?;
            break;
        }
        killed += 1;
        host.kill_agent()?;
        host.start_agent().await.with_context(|| format!("killed at write {number}"))?;
        let opened = case.issues().await;
        opened.with_context(|| format!("killed at write {number}: {}", case.log().unwrap_or_default()))?;
        case.is_one_machine().await.with_context(|| format!("killed at write {number}"))?;
        ensure!(!case.log()?.contains("damaged"), "killed at write {number}: {}", case.log()?);
    }
    println!("killed {killed} times");
    ensure!(killed >= KILLS_MIN, "killed {killed} times only");
    Ok(())
}
