//! A directory, the programs started in it, and the promise that neither outlives its owner.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// The programs of the workspace that others start.
pub const PROGRAMS: [&str; 5] = ["sekisho-controller", "sekisho-agent", "sekisho-baseline", "sekisho", "issuingd"];

/// How long anything may take that a program does by itself.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How often an observable is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(10);
/// What of a program's log goes into a failure.
const LOG_TAIL_BYTES: usize = 2000;

/// A temporary directory with the programs at hand; all of it is removed on drop.
pub struct World {
    directory: TempDir,
    sockets: TempDir,
    programs: PathBuf,
}

impl World {
    /// A new one. Data lies beside the programs, so that their files can be linked into it.
    ///
    /// # Errors
    /// If no directory can be made, or a program is not built.
    pub fn new() -> Result<Self> {
        // A program that starts a world may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let programs = programs_directory()?;
        for program in PROGRAMS {
            let path = programs.join(program);
            if !path.exists() {
                bail!("{} is not built; run: cargo build --release --workspace --bins", path.display());
            }
        }
        let directory = tempfile::Builder::new().prefix("world-").tempdir_in(&programs)?;
        // A socket's path has at most 107 bytes, and a clone may lie deep.
        let sockets = tempfile::Builder::new().prefix("sekisho-").tempdir()?;
        fs::create_dir(directory.path().join("logs"))?;
        Ok(Self { directory, sockets, programs })
    }

    /// Where the world's files are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where its sockets are: short.
    pub fn sockets(&self) -> &Path {
        self.sockets.path()
    }

    /// The path of a built program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Runs a program of ours to its end and returns its standard output.
    ///
    /// # Errors
    /// If it ends with anything but 0: what it said.
    pub async fn run(&self, name: &str, args: &[&str]) -> Result<String> {
        let output = self.output(name, args).await?;
        if output.success() {
            return Ok(output.stdout);
        }
        bail!("{name} {}: {}\n{}{}", args.join(" "), output.status, output.stdout, output.stderr)
    }

    /// Runs a program of ours, or one named by its path, to its end, whatever it says.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn output(&self, name: &str, args: &[&str]) -> Result<Output> {
        let program = self.program(name);
        let output = tokio::process::Command::from(bound_to_us(&program))
            .args(args)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a program that goes on. Its standard output and error go to `logs/NAME.out` and `.err`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, name: &str, program: &Path, args: &[&str]) -> Result<Process> {
        let out = self.path().join("logs").join(format!("{name}.out"));
        let err = out.with_extension("err");
        let child = bound_to_us(program)
            .args(args)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::options().append(true).create(true).open(&err)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Process { name: name.to_owned(), child, out, err })
    }
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with 0.
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

/// Where cargo put the programs: beside this executable, or above it for a test's.
///
/// # Errors
/// If this executable's path cannot be told.
pub fn programs_directory() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own.parent().context("an executable without a directory")?;
    let above = directory.parent().filter(|_| directory.ends_with("deps"));
    Ok(above.unwrap_or(directory).to_owned())
}

// The kernel ends the program when the thread that started it ends, also by kill -9, which no
// destructor survives. `setpriv` replaces itself with the shell and that with the program: the process
// id stays. The shell asks whether we are still there: killed before `setpriv` had told the kernel, we
// would leave a program that nobody ends.
fn bound_to_us(program: &Path) -> Command {
    if Path::new("/usr/bin/setpriv").exists() {
        let mut command = Command::new("/usr/bin/setpriv");
        let script = "[ \"$PPID\" = \"$0\" ] && exec \"$@\"";
        let us = std::process::id().to_string();
        command.args(["--pdeathsig", "KILL", "--", "/bin/sh", "-c", script, &us]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// A running program. Killed and waited for on drop.
pub struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the first line of its standard output that begins with `prefix`.
    ///
    /// # Errors
    /// If it ends without one, or `deadline` passes: with the end of its log.
    pub async fn line(&mut self, prefix: &str, deadline: Duration) -> Result<String> {
        let until = Instant::now() + deadline;
        loop {
            // Asked before the file is read: what it wrote before its end counts.
            let ended = self.child.try_wait()?;
            let text = fs::read_to_string(&self.out)?;
            let complete = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
            if let Some(rest) = complete.lines().find_map(|line| line.strip_prefix(prefix)) {
                return Ok(rest.trim().to_owned());
            }
            if let Some(status) = ended {
                bail!("{} ended ({status}) without a line {prefix:?}:\n{}", self.name, self.log());
            }
            if Instant::now() > until {
                bail!("{} did not print a line {prefix:?} within {deadline:?}:\n{}", self.name, self.log());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The end of what it wrote to standard error.
    pub fn log(&self) -> String {
        let text = fs::read(&self.err).unwrap_or_default();
        let tail = text.get(text.len().saturating_sub(LOG_TAIL_BYTES)..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended; nothing while it runs.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills it with -9 and waits until it is gone.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Kills it with -9 without waiting until it is gone.
    pub fn end(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// If it has not ended when `deadline` passes.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("{} did not end within {deadline:?} of SIGTERM:\n{}", self.name, self.log());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If the kernel refuses, or it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if !self.runs() {
            bail!("{} has ended:\n{}", self.name, self.log());
        }
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        rustix::process::kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks every few milliseconds until `observe` gives a value.
///
/// # Errors
/// When `deadline` passes: `what` was awaited, and what was seen last.
pub async fn until<T>(what: &str, deadline: Duration, mut observe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match observe().await {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() > end => {
                return Err(seen.context(format!("waited {:.1} s for {what}", deadline.as_secs_f64())));
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// The most memory that a process has had so far, in KiB.
///
/// # Errors
/// If there is no such process.
pub fn peak_memory_kib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(peak.trim().trim_end_matches("kB").trim().parse()?)
}

/// A port of 127.0.0.1 that nobody else is given as long as the socket lives. A program that sets `SO_REUSEADDR`, as
/// ours and nginx do, can listen on it, because the socket does not.
///
/// # Errors
/// If there is none.
pub fn reserved_port() -> Result<(TcpSocket, u16)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

/// Locks `file` for this process as long as the handle lives, waiting for another holder.
///
/// # Errors
/// If the file cannot be made.
pub fn exclusively(file: &Path) -> Result<File> {
    let handle = File::create(file)?;
    rustix::fs::flock(handle.as_fd(), rustix::fs::FlockOperation::LockExclusive)?;
    Ok(handle)
}
