//! However the demo ends, no process and no file of it is left.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tests::operator::text;
use tests::world::{Process, World, exclusively, programs_directory, until};

/// Until the demo's fleet runs; it builds first.
const START_DEADLINE: Duration = Duration::from_secs(900);
/// Until it has ended, and everything with it.
const END_DEADLINE: Duration = Duration::from_secs(30);
/// Processes of a fleet of twelve sites that is up: agents, issuing programs, the controller.
const FLEET: usize = 20;

/// A demo that runs, told apart from any other by a mark that all its children inherit.
struct Demo {
    process: Process,
    mark: String,
    temporary: PathBuf,
    world: PathBuf,
    // Last: where the test itself keeps its logs, and its turn; two fleets at a time are too many.
    _own: World,
    _turn: fs::File,
}

impl Demo {
    async fn start(name: &str) -> Result<Self> {
        let turn = exclusively(&programs_directory()?.join("demo-test.lock"))?;
        let own = World::new()?;
        let mark = format!("SEKISHO_TEST_MARK={name}-{}", std::process::id());
        let temporary = own.sockets().to_owned();
        let place = format!("TMPDIR={}", text(&temporary)?);
        let program = own.program("demo");
        let args = [mark.as_str(), &place, text(&program)?, "--headless", "--sites", "12"];
        let mut process = own.start("demo", "/usr/bin/env".as_ref(), &args)?;
        let world = until("the demo's fleet to run", START_DEADLINE, async || {
            if !process.runs() {
                return Ok(None);
            }
            let marked = marked(&mark)?;
            ensure!(marked.len() > FLEET, "{} processes", marked.len());
            marked.iter().find_map(|(_, line)| world_in(line)).context("no process names the world").map(Some)
        })
        .await?;
        let world = world.with_context(|| format!("the demo has ended: {}", process.log()))?;
        Ok(Self { process, mark, temporary, world, _own: own, _turn: turn })
    }

    async fn ended(&mut self) -> Result<ExitStatus> {
        until("the demo to end", END_DEADLINE, async || self.process.status()?.context("it runs")).await
    }

    async fn left_no_process(&self) -> Result<()> {
        until("the last process to be gone", END_DEADLINE, async || {
            let left = marked(&self.mark)?;
            ensure!(left.is_empty(), "{} are left: {:?}", left.len(), left.first());
            Ok(())
        })
        .await
    }

    fn left_no_file(&self) -> Result<()> {
        ensure!(!self.world.exists(), "{} is left", self.world.display());
        let left: Vec<_> = fs::read_dir(&self.temporary)?.collect();
        ensure!(left.is_empty(), "{left:?} is left");
        Ok(())
    }
}

/// Processes whose environment has `mark`, with their command lines.
fn marked(mark: &str) -> Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may be gone by now.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((id, String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    Ok(found)
}

/// The directory `…/world-…` in a command line.
fn world_in(line: &str) -> Option<PathBuf> {
    let start = line.find("/world-")?;
    let name = line.get(start + 1..)?.split('/').next()?;
    let before = line.get(..start)?.rsplit(' ').next()?;
    Some(PathBuf::from(before).join(name))
}

#[tokio::test]
async fn a_signal_ends_the_demo_and_all_of_it() -> Result<()> {
    for (name, signal) in [("interrupt", Signal::INT), ("terminate", Signal::TERM)] {
        let mut demo = Demo::start(name).await?;
        demo.process.signal(signal)?;
        let status = demo.ended().await?;
        assert_eq!(status.code(), Some(130), "{name}: {status}");
        demo.left_no_process().await?;
        demo.left_no_file()?;
    }
    Ok(())
}

#[tokio::test]
async fn an_error_ends_the_demo_and_all_of_it() -> Result<()> {
    let mut demo = Demo::start("error").await?;
    // The story cannot go on without its controller.
    let processes = marked(&demo.mark)?;
    let (id, _) =
        processes.iter().find(|(_, line)| line.contains("sekisho-controller serve")).context("no controller")?;
    kill_process(Pid::from_raw(i32::try_from(*id)?).context("no process id")?, Signal::KILL)?;
    let status =
        until("the demo to give up", START_DEADLINE, async || demo.process.status()?.context("it runs")).await?;
    assert_eq!(status.code(), Some(1), "{status}");
    demo.left_no_process().await?;
    demo.left_no_file()
}

#[tokio::test]
async fn kill_9_of_the_demo_leaves_no_process() -> Result<()> {
    let mut demo = Demo::start("killed").await?;
    demo.process.kill()?;
    let status = demo.ended().await?;
    assert_eq!(status.signal(), Some(9), "{status}");
    demo.left_no_process().await?;
    // Nobody was left to remove the files; the test does.
    Ok(fs::remove_dir_all(&demo.world)?)
}
