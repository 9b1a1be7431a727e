//! `/proc/PID/stat`: who a process is, and which image it runs.
//!
//! Field numbers are those of proc_pid_stat(5).
//!
//! The main thread of a process may end while others run. The process is then in state `Z` like one that has
//! ended, and the kernel tells nothing of its memory and files under its own number, though it does under the
//! number of any thread that lives.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

/// The most that is read of one `stat` file: 52 numbers and a name of 64 bytes are far below it.
const STAT_BYTES_MAX: usize = 2048;
/// How many fields behind the name are looked at: the last one is number 47.
const FIELDS: usize = 45;
/// The most threads of a process among which one that lives is looked for.
const THREADS_MAX: usize = 10_000;
/// The most `stat` files that are kept open, and a quarter of the descriptors that the agent may have at most.
const OPEN_MAX: usize = 1024;
/// The process was forked and has not executed anything since (`PF_FORKNOEXEC` of the kernel).
const FORKED_WITHOUT_EXEC: u64 = 0x40;
/// A kernel thread (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What the kernel tells everybody of one process, and its layout where it may be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Its parent (field 4).
    pub(crate) parent: i32,
    /// The number under which the kernel tells of its memory and its files: its own, or that of a thread which
    /// lives where the main thread has ended.
    pub(crate) thread: i32,
    /// Whether it has ended, all of its threads, and waits for its parent to ask (field 3: `Z`, `X`).
    pub(crate) has_ended: bool,
    /// Whether it is a thread of the kernel (field 9).
    pub(crate) is_kernel: bool,
    /// Whether it has executed nothing since it was forked (field 9).
    pub(crate) is_fork: bool,
    /// How many threads it has (field 20); one where it has ended.
    threads: u64,
    /// Start in ticks since boot (field 22).
    pub(crate) start: u64,
    /// Bytes of address space (field 23): another number where something was mapped since.
    pub(crate) address_space: u64,
    /// Where its image lies; nothing where it may not be looked into.
    pub(crate) layout: Option<Layout>,
}

/// Where the kernel has laid an image out in memory: code, stack, data and heap (fields 26 to 28, 45
/// to 47). Not its arguments and environment, which a program may move to show another title.
///
/// With address space randomisation two executions practically never have the same one, and a fork has
/// its parent's until it executes something. A change of it is an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Layout(pub(crate) [u64; 6]);

/// `stat` files that stay open: at every look each process of the host is asked, and to ask again costs a third of
/// opening the file for it.
#[derive(Debug)]
pub(crate) struct Stats {
    open: HashMap<i32, File>,
    open_max: usize,
}

impl Default for Stats {
    fn default() -> Self {
        let soft = getrlimit(Resource::Nofile).current.and_then(|soft| usize::try_from(soft).ok());
        Self { open: HashMap::new(), open_max: soft.map_or(OPEN_MAX, |soft| OPEN_MAX.min(soft / 4)) }
    }
}

impl Stats {
    /// What [`stat`] answers.
    ///
    /// # Errors
    /// As [`stat`].
    pub(crate) fn read(&mut self, pid: i32) -> Result<Stat, Errno> {
        if let Some(Ok(told)) = self.open.get(&pid).map(|file| line(file, pid)) {
            return whole(told);
        }
        // An open file means its process for ever: the number may belong to another one since.
        self.open.remove(&pid);
        let file = open(pid)?;
        let told = line(&file, pid)?;
        if self.open.len() < self.open_max {
            self.open.insert(pid, file);
        }
        whole(told)
    }

    /// Closes the files of all other processes.
    pub(crate) fn keep_only(&mut self, pids: &HashSet<i32>) {
        self.open.retain(|pid, _| pids.contains(pid));
    }
}

/// Reads the `stat` of a process.
///
/// # Errors
/// As the kernel answers: `ENOENT` or `ESRCH` once it is gone; `EIO` for a text that is none, and for threads that
/// cannot be looked at.
pub(crate) fn stat(pid: i32) -> Result<Stat, Errno> {
    whole(one(pid)?)
}

/// The process as a whole, of which its main thread tells this.
fn whole(told: Stat) -> Result<Stat, Errno> {
    if !told.has_ended || told.threads <= 1 {
        return Ok(told);
    }
    // Threads come and go while they are listed: that none lives is said only of the same answer twice.
    let living = match living_thread(told.thread)? {
        Some(living) => Some(living),
        None => living_thread(told.thread)?,
    };
    Ok(living.map_or(told, |Stat { thread, address_space, layout, .. }| Stat {
        thread,
        has_ended: false,
        address_space,
        layout,
        ..told
    }))
}

/// A thread of the process that has not ended.
fn living_thread(pid: i32) -> Result<Option<Stat>, Errno> {
    let listing = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(failed)?;
    for (count, entry) in listing.enumerate() {
        let entry = entry.map_err(failed)?;
        let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        match one(thread) {
            Ok(stat) if !stat.has_ended => return Ok(Some(stat)),
            Ok(_) if count < THREADS_MAX => {}
            Err(Errno::NOENT | Errno::SRCH) => {}
            Ok(_) => return Err(Errno::IO),
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

/// The `stat` of one thread, by its number.
fn one(thread: i32) -> Result<Stat, Errno> {
    line(&open(thread)?, thread)
}

fn open(thread: i32) -> Result<File, Errno> {
    File::open(format!("/proc/{thread}/stat")).map_err(failed)
}

/// What the open `stat` file of a thread says now.
fn line(file: &File, thread: i32) -> Result<Stat, Errno> {
    let mut bytes = [0; STAT_BYTES_MAX];
    let mut length = 0;
    // The line comes whole with the first answer, and nothing is behind its end: to be told so would cost as much
    // again.
    while !bytes[..length].ends_with(b"\n") {
        match file.read_at(&mut bytes[length..], length as u64).map_err(failed)? {
            0 => break,
            more => length += more,
        }
    }
    let told = parse(&bytes[..length]).ok_or(Errno::IO)?;
    Ok(Stat { thread, ..told })
}

fn failed(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn parse(bytes: &[u8]) -> Option<Stat> {
    // The name in parentheses may hold anything, parentheses and line ends too: fields count from
    // behind the last one.
    let behind = bytes.iter().rposition(|byte| *byte == b')').and_then(|at| bytes.get(at + 1..))?;
    let text = std::str::from_utf8(behind).ok()?;
    let mut fields = [None; FIELDS];
    for (field, word) in fields.iter_mut().zip(text.split_ascii_whitespace()) {
        *field = Some(word);
    }
    // The first field behind the name is the third.
    let field = |number: usize| fields.get(number - 3).copied().flatten();
    let number = |at: usize| field(at)?.parse::<u64>().ok();
    let flags = number(9)?;
    let addresses = [26, 27, 28, 45, 46, 47].map(number);
    let layout = match addresses {
        [Some(code), Some(code_end), Some(stack), Some(data), Some(data_end), Some(heap)] => {
            Some(Layout([code, code_end, stack, data, data_end, heap]))
        }
        _ => None,
    };
    Some(Stat {
        parent: field(4)?.parse().ok()?,
        thread: 0,
        threads: number(20)?,
        has_ended: matches!(field(3)?, "Z" | "X" | "x"),
        is_kernel: flags & KERNEL_THREAD != 0,
        is_fork: flags & FORKED_WITHOUT_EXEC != 0,
        start: number(22)?,
        address_space: number(23)?,
        // Hidden numbers are zeros, and so is the stack's start while an exec is under way.
        layout: layout.filter(|Layout(at)| at[0] > 1 && at[2] > 1),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    const LINE: &str = "123 (a) b (c) S 7 123 123 0 -1 4194368 1 2 3 4 5 6 7 8 20 0 1 0 4711 1048576 99 \
        18446744073709551615 4096 8192 140000 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 9000 9100 9200 9300 9400 9500 9600 0\n";

    #[test]
    fn fields_count_from_behind_the_name() {
        let stat = parse(LINE.as_bytes()).unwrap();
        assert_eq!((stat.parent, stat.start, stat.address_space), (7, 4711, 1_048_576));
        assert!(stat.is_fork && !stat.is_kernel && !stat.has_ended);
        assert_eq!(stat.layout, Some(Layout([4096, 8192, 140_000, 9000, 9100, 9200])));
    }

    #[test]
    fn a_hidden_layout_is_none() {
        let hidden = LINE.replace("4096 8192 140000", "1 1 0");
        assert_eq!(parse(hidden.as_bytes()).unwrap().layout, None);
        assert_eq!(parse(b"1 (x"), None);
    }

    #[test]
    fn a_file_that_stays_open_tells_of_an_exec_and_of_the_end() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line; exec cat"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut stats = Stats { open: HashMap::new(), open_max: 1 };
        let before = stats.read(pid).unwrap();
        assert_eq!(before.start, stat(pid).unwrap().start);
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        to.write_all(b"go\nx").unwrap();
        from.read_exact(&mut [0]).unwrap(); // It is `cat` that answers.
        let after = stats.read(pid).unwrap();
        assert!(after.start == before.start && after.layout != before.layout, "{before:?} {after:?}");
        drop(to);
        child.wait().unwrap();
        assert!(matches!(stats.read(pid), Err(Errno::NOENT | Errno::SRCH)));
        assert!(stats.open.is_empty(), "a file of a process that has ended is closed");
    }

    #[test]
    fn no_more_files_stay_open_than_may() {
        let ours = i32::try_from(std::process::id()).unwrap();
        let parent = stat(ours).unwrap().parent;
        let mut stats = Stats { open: HashMap::new(), open_max: 1 };
        for pid in [ours, parent, ours, parent] {
            assert_eq!(stats.read(pid).unwrap().start, stat(pid).unwrap().start);
        }
        assert_eq!(stats.open.keys().copied().collect::<Vec<_>>(), [ours]);
        stats.keep_only(&HashSet::new());
        assert!(stats.open.is_empty());
    }

    #[test]
    fn this_process_has_a_layout_and_no_parent_s() {
        let ours = stat(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(ours.layout.is_some() && !ours.has_ended && !ours.is_kernel);
    }
}
