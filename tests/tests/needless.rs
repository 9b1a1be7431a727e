//! What happens on a host all day and concerns no program holds nobody: the gate answers 200 throughout, or
//! again after one look.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use manifests::id::HostId;
use tests::fleet::{Faults, Fleet, Part, small};
use tests::host::{Issued, Lock};
use tests::world::{DEADLINE, until};

/// How often each kind is done.
const ROUNDS: usize = 20;

/// A process that is killed, by its own id, at the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One issuing host whose gate is open.
struct Open {
    fleet: Fleet,
    ap: HostId,
}

impl Open {
    async fn new() -> Result<Self> {
        let mut fleet = small(6).await?;
        let ap = fleet.part(Part::Munakata)?.ap()?;
        fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
        let open = Self { fleet, ap };
        open.opens("the first look").await?;
        Ok(open)
    }

    fn files(&self) -> Result<PathBuf> {
        Ok(self.fleet.host(&self.ap)?.files().to_owned())
    }

    async fn opens(&self, what: &str) -> Result<()> {
        self.fleet.issues(&self.ap).await.with_context(|| what.to_owned())
    }

    /// Asks while something goes on: what is refused may only be refused until the look that is under way
    /// has ended.
    async fn asked(&self, what: &str) -> Result<()> {
        match self.fleet.host(&self.ap)?.ask_gate().await? {
            Issued::Certificate => Ok(()),
            Issued::Refused(codes) => {
                ensure!(codes.iter().all(|code| code == LOOKING), "{what}: refused for {}", codes.join(", "));
                Ok(())
            }
        }
    }

    /// Does something again and again; the gate is open in between or behind it.
    async fn through(&self, what: &str, mut act: impl FnMut(usize) -> Result<()>) -> Result<()> {
        for round in 0..ROUNDS {
            act(round).with_context(|| what.to_owned())?;
            self.asked(what).await?;
        }
        self.opens(what).await
    }
}

/// The gate's word while a look is under way.
const LOOKING: &str = "verifying";

fn ran(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Starts a process that says `ready` and waits for its input to end.
fn waiting(command: &mut Command) -> Result<Running> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("no output")?;
    let running = Running(child);
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    ensure!(line == "ready\n", "{line:?}");
    Ok(running)
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let next = path.with_extension("dpkg-new");
    fs::write(&next, text)?;
    Ok(fs::rename(next, path)?)
}

#[tokio::test]
async fn what_concerns_no_program_holds_nobody() -> Result<()> {
    let mut open = Open::new().await?;
    let files = open.files()?;

    let logs = files.join("opt/issuing/logs");
    fs::create_dir_all(&logs)?;
    open.opens("a directory of logs").await?;
    open.through("logs that are rotated", |round| {
        let log = logs.join("issuing.log");
        fs::OpenOptions::new().create(true).append(true).open(&log)?.write_all(b"a line\n")?;
        fs::rename(&log, logs.join(format!("issuing.log.{}", round % 5)))?;
        fs::write(&log, "")?;
        Ok(())
    })
    .await?;

    for directory in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "usr/lib/other", "etc/other"] {
        fs::create_dir_all(files.join(directory))?;
    }
    open.opens("directories of other packages").await?;
    open.through("other packages that are upgraded", |round| {
        let status = format!("Package: other\nStatus: install ok installed\nVersion: 1.{round}\n\n");
        fs::write(files.join(format!("var/lib/dpkg/updates/{round:04}")), &status)?;
        replace(&files.join("usr/lib/other/libother.so"), &status)?;
        replace(&files.join("etc/other/other.conf"), &status)?;
        replace(&files.join("var/lib/dpkg/info/other.list"), "/usr/lib/other/libother.so\n")?;
        replace(&files.join("var/lib/dpkg/status"), &status)?;
        fs::remove_file(files.join(format!("var/lib/dpkg/updates/{round:04}")))?;
        Ok(())
    })
    .await?;

    open.through("twenty forks a second", |_| {
        ran(Command::new("/bin/sh").args(["-c", "for i in 1 2 3 4 5 6 7 8 9 10; do (:) & done; wait; /bin/true"]))
    })
    .await?;

    open.through("logins", |round| {
        let mut login = Command::new("/bin/sh");
        login.arg0("-sh").args(["-c", "cd /tmp; umask 022; id -un; (sleep 0); exit 0"]);
        ran(login.env("SSH_CONNECTION", format!("127.0.0.1 {} 127.0.0.1 22", 40_000 + round)))
    })
    .await?;

    let tree = files.join("opt/issuing");
    let editor = format!("exec 3<{}; echo ready; read line", tree.join("bin/issuingd").display());
    let kinds: [&[&str]; 4] = [
        &["/bin/sh", "-c", "echo ready; read line"],
        &["/bin/bash", "--norc", "-c", "echo ready; read line && exec bin/issuingd"],
        &["/bin/sh", "-c", "(cat bin/issuingd; tail -n 1 bin/issuingd) >/dev/null; echo ready; read line"],
        &["/bin/sh", "-c", &editor],
    ];
    for kind in kinds {
        let what = format!("{kind:?} in the program's directory");
        let in_tree = waiting(Command::new(kind[0]).args(&kind[1..]).current_dir(&tree))?;
        open.through(&what, |_| Ok(())).await?;
        drop(in_tree);
        open.through(&what, |_| Ok(())).await?;
    }
    open.through("a backup and a search", |_| {
        ran(Command::new("tar").arg("-cf").arg("/dev/null").arg(&tree))?;
        ran(Command::new("grep").args(["-r", "-c", "."]).arg(tree.join("bin")))
    })
    .await?;

    if rustix::process::geteuid().is_root() {
        let (from, onto) = (open.fleet.world.path().join("from"), open.fleet.world.path().join("onto"));
        fs::create_dir_all(&from)?;
        fs::create_dir_all(&onto)?;
        open.through("mounts elsewhere", |_| {
            ran(Command::new("mount").arg("--bind").args([&from, &onto]))?;
            ran(Command::new("umount").arg(&onto))
        })
        .await?;
    }

    // And what does concern one holds still, until the program is started again.
    let host = open.fleet.host(&open.ap)?;
    host.set_print_lock(Lock::Shared)?;
    until("the lock: 403", DEADLINE, async || {
        let answer = open.fleet.host(&open.ap)?.ask_gate().await?;
        ensure!(matches!(&answer, Issued::Refused(codes) if codes.iter().any(|code| code != LOOKING)), "{answer}");
        Ok(())
    })
    .await?;
    open.fleet.host(&open.ap)?.set_print_lock(Lock::Exclusive)?;
    open.opens("the lock as it was").await?;
    open.fleet.host_mut(&open.ap)?.start_issuer().await?;
    open.opens("the program, started again").await
}
