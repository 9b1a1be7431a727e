//! An image: what one exec brought into memory, shared by all processes forked from it since.
//!
//! A process that has executed nothing since it was forked has what its line has read; a process that
//! executes something, itself included, begins anew. So whose a process is, and what it has loaded, are
//! questions about its image.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use manifests::evidence::Why;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::command::{self, Command, Told};
use super::java;
use super::maps::{self, Mapped};
use super::probe::Probe;
use super::stat::Layout;
use super::table::Member;
use super::{COMMAND_BYTES_MAX, link, read_proc};
use crate::collect::read;

/// The most that is read of an environment (256 KiB).
const ENVIRONMENT_BYTES_MAX: u64 = 256 << 10;
/// The most that is read of an auxiliary vector, and of the path by which a process was executed.
const VECTOR_BYTES_MAX: u64 = 4096;
const PATH_BYTES_MAX: usize = 4096;
/// The most that is read of a file of options of `java` (64 KiB).
const OPTIONS_BYTES_MAX: usize = 64 << 10;
/// The most directories of a library path that are looked through.
const SEARCH_MAX: usize = 64;
/// The most open files of a process that are looked through for its script.
const OPEN_FILES_MAX: usize = 1024;

/// Which image a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// Told apart by where the kernel laid it out.
    Layout(Layout),
    /// The layout is hidden, or tells nothing: process id and start in ticks since boot.
    Process(i32, u64),
}

/// A file by device and inode.
pub(crate) type Identity = (u64, u64);

/// A file that an image executes, links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executed {
    /// Its path as the kernel tells it.
    pub(crate) path: Vec<u8>,
    /// Which file it is; nothing where that may not be asked.
    pub(crate) file: Option<Identity>,
}

/// What was found out of an image when it was first seen. Later the process may have rewritten its
/// command line and gone to another directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// Its executable; why it is not known.
    pub(crate) exe: Result<Executed, Why>,
    /// Name that the kernel keeps of it, at most 15 bytes: everybody may see it.
    pub(crate) name: Vec<u8>,
    /// Its command line; nothing where reading it hung.
    pub(crate) command: Option<Command>,
    /// Scripts and archives that its command line tells it to execute.
    pub(crate) scripts: Vec<Executed>,
    /// Those that lead nowhere: as written.
    pub(crate) lost: Vec<OsString>,
    /// Directories in which it looks for code by name.
    pub(crate) search: Vec<PathBuf>,
    /// The path by which it was executed, where it has the name of an executable that a baseline names outside
    /// of trees.
    pub(crate) began_as: Option<OsString>,
    /// Whether a baseline named its executable as an interpreter when its command line was read.
    is_declared: bool,
    /// Why not all could be read that tells what it executes: it is read again with the next refresh.
    pub(crate) unread: Option<Why>,
    /// Directories in which the dynamic linker looks first, once they were asked for; a title that a process gives
    /// itself may overwrite them.
    pub(crate) libraries: Vec<PathBuf>,
    /// Whether they were asked for, and why they could not be read.
    libraries_read: Option<Result<(), Why>>,
    /// Its effective user.
    pub(crate) user: Option<u32>,
    /// The control group that it was started in.
    pub(crate) group: Vec<u8>,
}

impl Inspected {
    /// Looks at a process. `declared` are executables that a baseline names as interpreters.
    ///
    /// Nothing if it has ended.
    pub(crate) fn of(member: &Member, declared: &[PathBuf], probe: &mut Probe) -> Option<Self> {
        let pid = member.thread;
        let about = |name: &str| format!("/proc/{pid}/{name}");
        let exe = match link(&about("exe")) {
            Ok(path) => Ok(Executed { path, file: identity(&about("exe")) }),
            // A thread of the kernel, or one that has ended.
            Err(Errno::NOENT | Errno::SRCH) => return None,
            Err(errno) => Err(super::held::why(errno)),
        };
        // A thread may have a name of its own.
        let name = read_proc(&format!("/proc/{}/comm", member.pid), 64).unwrap_or_default();
        let name = name.strip_suffix(b"\n").unwrap_or(&name).to_vec();
        let path = about("cmdline");
        let command = probe.ask(move || read_proc(&path, COMMAND_BYTES_MAX).unwrap_or_default()).map(Command);
        let mut inspected = Self {
            exe,
            name,
            command,
            scripts: Vec::new(),
            lost: Vec::new(),
            search: Vec::new(),
            began_as: None,
            is_declared: false,
            unread: None,
            libraries: Vec::new(),
            libraries_read: None,
            user: user(pid),
            group: read_proc(&about("cgroup"), 4096).unwrap_or_default(),
        };
        inspected.follow_command(pid, declared, probe);
        Some(inspected)
    }

    /// Notes the path by which it was executed, where its executable has the name of one of those that baselines
    /// name outside of trees, but for a version. To be asked again with other baselines.
    pub(crate) fn note_beginning(&mut self, member: &Member, declared: &[PathBuf], probe: &mut Probe) {
        let family = |path: &[u8]| {
            let name = command::base_name(path).iter().copied();
            name.take_while(u8::is_ascii_alphabetic).collect::<Vec<u8>>()
        };
        let is_named =
            |exe: &Executed| declared.iter().any(|path| family(path.as_os_str().as_bytes()) == family(&exe.path));
        if self.began_as.is_none() && self.exe.as_ref().is_ok_and(is_named) {
            self.began_as = executed_as(member.thread, probe);
        }
    }

    /// Reads its command line anew if a baseline names its executable as an interpreter only now: then its first
    /// argument is a script, whatever the executable is called.
    pub(crate) fn declare(&mut self, member: &Member, declared: &[PathBuf], probe: &mut Probe) {
        if self.is_declared || !self.is_among(declared) {
            return;
        }
        if let Some(seen) = Self::of(member, declared, probe) {
            self.replace_with(seen);
        }
    }

    fn is_among(&self, declared: &[PathBuf]) -> bool {
        self.exe.as_ref().is_ok_and(|exe| declared.iter().any(|path| path.as_os_str().as_bytes() == exe.path))
    }

    /// What it was told to execute before it told another title still counts.
    pub(crate) fn replace_with(&mut self, mut seen: Self) {
        if seen.exe == self.exe {
            add(&mut seen.scripts, &mut self.scripts);
            add(&mut seen.search, &mut self.search);
            add(&mut seen.libraries, &mut self.libraries);
        }
        *self = seen;
    }

    /// Asks once in which directories the dynamic linker looks first for what it maps, by its environment.
    pub(crate) fn ask_libraries(&mut self, member: &Member, probe: &mut Probe) {
        if matches!(self.libraries_read, Some(Ok(()))) {
            return;
        }
        self.libraries_read = Some(library_path(member, probe).map(|found| {
            add(&mut self.libraries, &mut { found });
        }));
    }

    /// Why it is not known in which directories the dynamic linker looks first.
    pub(crate) fn libraries_unread(&self) -> Option<Why> {
        self.libraries_read.and_then(Result::err)
    }

    /// Whether all could be read that tells what it executes.
    pub(crate) fn is_whole(&self) -> bool {
        // The kernel tells the executable a moment before the arguments.
        self.unread.is_none() && self.command.as_ref().is_none_or(|command| !command.0.is_empty())
    }

    /// Looks again at a process that may have executed something without another layout.
    pub(crate) fn look_again(&mut self, member: &Member, declared: &[PathBuf], probe: &mut Probe) {
        let path = format!("/proc/{}/cmdline", member.thread);
        let command = probe.ask(move || read_proc(&path, COMMAND_BYTES_MAX).unwrap_or_default()).map(Command);
        let content = format!("/proc/{}/exe", member.thread);
        let exe = link(&content).ok().map(|path| Executed { path, file: identity(&content) });
        if command == self.command && exe == self.exe.as_ref().ok().cloned() {
            return;
        }
        if let Some(seen) = Self::of(member, declared, probe) {
            self.replace_with(seen);
        }
    }

    /// Whether its command line is a title that it has given itself, and nothing else tells what it executes:
    /// no interpreter's command line begins so.
    pub(crate) fn is_renamed(&self) -> bool {
        let Some(command) = &self.command else { return false };
        let first = command.arguments().first().map_or(&b""[..], |first| first.strip_prefix(b"-").unwrap_or(first));
        self.scripts.is_empty() && !command::is_interpreter(command::base_name(first))
    }

    fn follow_command(&mut self, pid: i32, declared: &[PathBuf], probe: &mut Probe) {
        self.is_declared = self.is_among(declared);
        let is_declared = self.is_declared;
        let (Ok(exe), Some(command)) = (&self.exe, &self.command) else { return };
        let is_java = command::is_java(command::base_name(&exe.path));
        let whole = is_java.then(|| with_files_of_options(command, &Places::of(pid, None), &mut self.unread));
        let mut told = command::told(&exe.path, whole.as_ref().unwrap_or(command), is_declared);
        let behind = command::behind_interpreter(command);
        let is_interpreter = command::is_interpreter(command::base_name(&exe.path)) || told != Told::default();
        // Only where the command line names nothing: it may have been rewritten.
        let began_as = told.files.is_empty().then(|| executed_as(pid, probe)).flatten();
        if !is_interpreter && behind.is_empty() && began_as.is_none() {
            return;
        }
        // Only an interpreter's environment says where code is looked for and where it began.
        let environment = if is_interpreter { environment(pid, probe) } else { Ok(BTreeMap::new()) };
        self.unread = self.unread.or(environment.as_ref().err().copied());
        let environment = environment.unwrap_or_default();
        let places = Places::of(pid, environment.get(b"PWD".as_slice()));
        let variable = |name: &str| environment.get(name.as_bytes()).cloned().unwrap_or_default();
        // Java takes files of options from this variable, and from it alone.
        let options = with_files_in_variable(&variable("JDK_JAVA_OPTIONS"), &places, &mut self.unread);
        let by_environment = command::told_by(&exe.path, |name| match name {
            "JDK_JAVA_OPTIONS" => options.clone(),
            name => variable(name),
        });
        told.files.extend(by_environment.files);
        told.search.extend(by_environment.search);
        let list = |value: Vec<u8>| value.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let named = ["LD_LIBRARY_PATH", "PYTHONPATH", "PERL5LIB", "RUBYLIB", "CLASSPATH", "NODE_PATH"];
        let searched = named.iter().flat_map(|name| list(variable(name)));
        // To Python an empty entry is the working directory. Of the root, in which services begin, nothing is taken.
        let has_empty = !variable("PYTHONPATH").is_empty() && list(variable("PYTHONPATH")).iter().any(Vec::is_empty);
        let here = link(&format!("/proc/{pid}/cwd")).ok().filter(|here| has_empty && here != b"/");
        let searched = searched.chain(here);
        let searched = told.search.iter().map(|path| path.as_bytes().to_vec()).chain(searched);
        self.search = searched
            .filter(|path| !path.is_empty())
            .filter_map(|path| places.find(OsStr::from_bytes(&path)))
            .map(|found| PathBuf::from(OsString::from_vec(found.path)))
            .collect();
        let mut written: Vec<OsString> = told.files.clone();
        let classes = list(variable("CLASSPATH")).into_iter().filter(|_| is_java);
        let classes = classes.map(|path| path.strip_suffix(b"/*").map(<[u8]>::to_vec).unwrap_or(path));
        written.extend(classes.filter(|path| !path.is_empty()).map(OsString::from_vec));
        written.extend(told.perhaps.iter().filter(|_| variable("CLASSPATH").is_empty()).cloned());
        for module in &told.modules {
            let file = String::from_utf8_lossy(module.as_bytes()).replace('.', "/");
            written.extend(
                ["/__main__.py", ".py", "/__init__.py"].map(|ending| OsString::from(format!("{file}{ending}"))),
            );
        }
        for path in &written {
            let by_name = |path: &OsStr| {
                let by_search = || self.search.iter().find_map(|at| places.find(at.join(path).as_os_str()));
                places.find(path).or_else(by_search)
            };
            let with_ending = || {
                let mut all = told.endings.iter().map(|ending| [path.as_bytes(), ending.as_bytes()].concat());
                all.find_map(|path| by_name(OsStr::from_bytes(&path)))
            };
            let by_path = || {
                let at = path.as_bytes();
                let directories = list(variable("PATH")).into_iter().filter(|_| told.by_path && !at.contains(&b'/'));
                let mut all = directories.map(|directory| [directory.as_slice(), b"/", at].concat());
                all.find_map(|path| places.find(OsStr::from_bytes(&path)))
            };
            match by_name(path).or_else(with_ending).or_else(by_path) {
                Some(found) => self.scripts.push(found),
                None if told.files.contains(path) => self.lost.push(path.clone()),
                None => {}
            }
        }
        // A module is also looked for in archives on the search path, which are files.
        let archives = self.search.iter().filter(|at| !told.modules.is_empty() && at.is_file());
        self.scripts.extend(archives.filter_map(|at| places.find(at.as_os_str())));
        if told.from_input && told.files.is_empty() && told.modules.is_empty() {
            self.scripts.extend(open_file(pid, "0"));
        }
        // An interpreter of any other name executes a file whose first line names it, with what stands before
        // the file: an argument behind another script is no more than data to that one.
        for (at, path) in behind.iter().enumerate() {
            let found = places.find(path).filter(|found| !self.scripts.contains(found));
            let before = behind.get(..at).unwrap_or_default();
            self.scripts.extend(found.filter(|found| names_interpreter(found, exe, before)));
        }
        if self.scripts.is_empty()
            && let Some(path) = began_as
        {
            match places.find(&path) {
                Some(found) if found.file != exe.file => self.scripts.push(found),
                None if Path::new(&path).is_relative() => self.lost.push(path),
                _ => {}
            }
        }
        // A script that was started by a name which leads nowhere now is still open in its interpreter.
        if !self.lost.is_empty() {
            let open = open_files(pid);
            self.lost.retain(|path| {
                let name = command::base_name(path.as_bytes());
                let found = open.iter().find(|found| command::base_name(super::without_deleted(&found.path).0) == name);
                self.scripts.extend(found.cloned());
                found.is_none()
            });
        }
    }
}

/// Adds what is not there yet.
fn add<T: PartialEq>(to: &mut Vec<T>, more: &mut Vec<T>) {
    for one in more.drain(..) {
        if !to.contains(&one) {
            to.push(one);
        }
    }
}

/// Where a process's relative and absolute paths begin.
struct Places {
    root: Option<std::os::fd::OwnedFd>,
    directories: Vec<PathBuf>,
}

impl Places {
    /// `began` is the directory in which it was started, as its environment tells it.
    fn of(pid: i32, began: Option<&Vec<u8>>) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok();
        let directory = link(&format!("/proc/{pid}/cwd")).ok();
        let began = began.filter(|path| path.starts_with(b"/")).cloned();
        let directories = directory.into_iter().chain(began).map(|path| PathBuf::from(OsString::from_vec(path)));
        Self { root, directories: directories.collect() }
    }

    /// The file or directory at a path as the process would find it.
    fn find(&self, path: &OsStr) -> Option<Executed> {
        let path = Path::new(path);
        if path.is_absolute() {
            return self.open(path);
        }
        self.directories.iter().find_map(|directory| self.open(&directory.join(path)))
    }

    /// A file of options, as the process would find it now.
    fn read(&self, path: &OsStr) -> Result<Vec<u8>, Why> {
        let found = self.find(path).ok_or(Why::FileAbsent)?;
        let file = read::open_file(Path::new(OsStr::from_bytes(&found.path)))?;
        let mut text = vec![0; OPTIONS_BYTES_MAX + 1];
        let count = rustix::io::read(&file, &mut text).map_err(read::why)?;
        text.truncate(count);
        if count > OPTIONS_BYTES_MAX { Err(Why::TooLarge) } else { Ok(text) }
    }

    fn open(&self, path: &Path) -> Option<Executed> {
        let found = read::open_in_root(self.root.as_ref()?, path, OFlags::PATH | OFlags::CLOEXEC).ok()?;
        let stat = rustix::fs::fstat(&found).ok()?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&found);
        Some(Executed { path: link(&format!("/proc/self/fd/{fd}")).ok()?, file: Some((stat.st_dev, stat.st_ino)) })
    }
}

/// Whether the first line of a file names the executable as its interpreter, by itself or through `env`, and
/// with these arguments.
fn names_interpreter(script: &Executed, exe: &Executed, arguments: &[OsString]) -> bool {
    let Ok(file) = read::open_file(Path::new(OsStr::from_bytes(&script.path))) else { return false };
    let mut start = [0; 256];
    let Ok(count) = rustix::io::read(&file, &mut start) else { return false };
    let start = start.get(..count).unwrap_or_default();
    let is_named = interpreters(start).any(|named| {
        let is_path =
            named.starts_with(b"/") && exe.file.is_some() && identity(&String::from_utf8_lossy(named)) == exe.file;
        is_path || command::base_name(named) == command::base_name(&exe.path)
    });
    is_named && gives(start, arguments)
}

/// Whether a script's first line gives its interpreter these arguments: all that follows the interpreter's
/// path as one, or, through `env -S`, single words.
fn gives(start: &[u8], arguments: &[OsString]) -> bool {
    let line = first_line(start).trim_ascii();
    let rest = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).and_then(|at| line.get(at..));
    let rest = rest.unwrap_or_default().trim_ascii();
    let is_word = |argument: &OsString| words(rest).any(|word| word == argument.as_bytes());
    matches!(arguments, [one] if one.as_bytes() == rest) || arguments.iter().all(is_word)
}

/// The words of a script's first line that may name its interpreter.
pub(crate) fn interpreters(start: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(first_line(start)).filter(|word| !word.starts_with(b"-"))
}

fn first_line(start: &[u8]) -> &[u8] {
    start.strip_prefix(b"#!").unwrap_or_default().split(|byte| *byte == b'\n').next().unwrap_or_default()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

fn identity(path: &str) -> Option<Identity> {
    rustix::fs::stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

fn user(pid: i32) -> Option<u32> {
    let status = read_proc(&format!("/proc/{pid}/status"), 16 << 10).ok()?;
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    // Real, effective, saved, file system.
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Variables of the environment that a process was started with; none once it has ended.
fn environment(pid: i32, probe: &mut Probe) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Why> {
    let path = format!("/proc/{pid}/environ");
    let bytes = match probe.ask(move || read_proc(&path, ENVIRONMENT_BYTES_MAX)) {
        Some(Ok(bytes)) => bytes,
        Some(Err(Errno::NOENT | Errno::SRCH)) => Vec::new(),
        Some(Err(errno)) => return Err(super::held::why(errno)),
        None => return Err(Why::TimedOut),
    };
    let pair = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        Some((entry.get(..at)?.to_vec(), entry.get(at + 1..)?.to_vec()))
    };
    Ok(bytes.split(|byte| *byte == 0).filter_map(pair).collect())
}

/// The path by which the process was executed, of a script its own: the kernel puts it above arguments and
/// environment (`AT_EXECFN`, getauxval(3)), where no title reaches. Nothing where it is a number of an open
/// file, or may not be read.
fn executed_as(pid: i32, probe: &mut Probe) -> Option<OsString> {
    let (vector, memory) = (format!("/proc/{pid}/auxv"), format!("/proc/{pid}/mem"));
    let path = probe.ask(move || {
        let at = executed_at(&read_proc(&vector, VECTOR_BYTES_MAX).ok()?)?;
        let mut path = vec![0; PATH_BYTES_MAX];
        let count = std::os::unix::fs::FileExt::read_at(&std::fs::File::open(memory).ok()?, &mut path, at).ok()?;
        path.truncate(count);
        path.truncate(path.iter().position(|byte| *byte == 0)?);
        Some(path)
    })??;
    let is_number = path.is_empty() || path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/");
    (!is_number).then(|| OsString::from_vec(path))
}

/// Where `AT_EXECFN` lies, by the auxiliary vector of a process: pairs of a kind and a value.
fn executed_at(vector: &[u8]) -> Option<u64> {
    const AT_EXECFN: u64 = 31;
    let (numbers, _) = vector.as_chunks::<8>();
    let (pairs, _) = numbers.as_chunks::<2>();
    let found = pairs.iter().find(|[kind, _]| u64::from_ne_bytes(*kind) == AT_EXECFN);
    found.map(|[_, value]| u64::from_ne_bytes(*value))
}

fn open_files(pid: i32) -> Vec<Executed> {
    let listing = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(OPEN_FILES_MAX);
    listing.filter_map(|entry| open_file(pid, &entry.file_name().to_string_lossy())).collect()
}

fn open_file(pid: i32, number: &str) -> Option<Executed> {
    let content = format!("/proc/{pid}/fd/{number}");
    let stat = rustix::fs::stat(&content).ok()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let path = link(&content).ok().filter(|_| is_file)?;
    Some(Executed { path, file: Some((stat.st_dev, stat.st_ino)) })
}

/// The command line of a `java` with the words of files of options (`@file`) in their places. What stands behind
/// `-jar` is the program's own.
fn with_files_of_options(command: &Command, places: &Places, unread: &mut Option<Why>) -> Command {
    let mut whole = Vec::new();
    let mut is_own = false;
    for argument in command.arguments() {
        is_own |= argument == b"-jar";
        for word in with_file(argument, places, unread).iter().filter(|_| !is_own) {
            whole.extend([word.as_slice(), b"\0"].concat());
        }
        if is_own {
            whole.extend([argument, b"\0"].concat());
        }
    }
    Command(whole)
}

/// The value of a variable of options, with the words of files of options in their places: words in quotes.
fn with_files_in_variable(value: &[u8], places: &Places, unread: &mut Option<Why>) -> Vec<u8> {
    let words = java::words(value).into_iter().flat_map(|word| with_file(&word, places, unread));
    words.flat_map(|word| java::quoted(&word)).collect()
}

/// The words of a file of options, or the argument itself, if it names none.
fn with_file(argument: &[u8], places: &Places, unread: &mut Option<Why>) -> Vec<Vec<u8>> {
    let Some(path) = argument.strip_prefix(b"@").filter(|path| !path.is_empty() && !path.starts_with(b"@")) else {
        return vec![argument.to_vec()];
    };
    match places.read(OsStr::from_bytes(path)) {
        Ok(text) => java::words(&text),
        Err(why) => {
            unread.get_or_insert(why);
            vec![argument.to_vec()]
        }
    }
}

/// Directories in which the dynamic linker looks first for what a process maps, by its environment.
fn library_path(member: &Member, probe: &mut Probe) -> Result<Vec<PathBuf>, Why> {
    let environment = environment(member.thread, probe)?;
    let Some(list) = environment.get(b"LD_LIBRARY_PATH".as_slice()) else { return Ok(Vec::new()) };
    let places = Places::of(member.thread, None);
    let entries = list.split(|byte| matches!(byte, b':' | b';')).filter(|entry| !entry.is_empty());
    let found = entries.take(SEARCH_MAX).filter_map(|entry| places.find(OsStr::from_bytes(entry)));
    Ok(found.map(|found| PathBuf::from(OsString::from_vec(found.path))).collect())
}

/// What a process maps, in time.
pub(crate) fn mapped(pid: i32, probe: &mut Probe) -> Result<Mapped, Why> {
    probe.ask(move || maps::maps(pid).map(|maps| Mapped::of(&maps))).unwrap_or(Err(Why::TimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_names_its_interpreter() {
        let words =
            |text: &str| interpreters(text.as_bytes()).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
        assert_eq!(words("#!/bin/sh\nexit"), "/bin/sh");
        assert_eq!(words("#! /usr/bin/env -S python3 -u\n"), "/usr/bin/env python3");
        assert_eq!(words("echo /bin/sh"), "");
    }

    #[test]
    fn an_auxiliary_vector_tells_where_the_executed_path_lies() {
        let vector: Vec<u8> = [6, 4096, 31, 0x7fff_1234, 0, 0].iter().flat_map(|n: &u64| n.to_ne_bytes()).collect();
        assert_eq!(executed_at(&vector), Some(0x7fff_1234));
        assert_eq!(executed_at(&vector[..24]), None);
        assert_eq!(executed_at(b"odd"), None);
        let path = executed_as(std::process::id() as i32, &mut Probe::default()).unwrap();
        assert_eq!(std::fs::canonicalize(path).unwrap(), std::env::current_exe().unwrap());
    }

    #[test]
    fn a_title_is_no_interpreter_s_command_line() {
        let renamed = |line: &[u8]| {
            let exe = Err(Why::ProcessUnreadable);
            let (name, group) = (Vec::new(), Vec::new());
            let command = Some(Command(line.to_vec()));
            let (scripts, lost, search, user) = (Vec::new(), Vec::new(), Vec::new(), None);
            Inspected {
                exe,
                name,
                command,
                scripts,
                lost,
                search,
                began_as: None,
                is_declared: false,
                unread: None,
                libraries: Vec::new(),
                libraries_read: None,
                user,
                group,
            }
            .is_renamed()
        };
        assert!(renamed(b"idle worker 1\0") && renamed(b"server: idle\0\0\0"));
        assert!(!renamed(b"-bash\0") && !renamed(b"/usr/bin/python3.11\0-c\0x\0") && !renamed(b"sh\0-c\0x\0"));
    }

    #[test]
    fn a_script_stands_behind_what_its_first_line_gives() {
        let gives = |line: &str, arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            gives(format!("{line}\ntext\n").as_bytes(), &arguments)
        };
        assert!(gives("#!/opt/run", &[]));
        assert!(gives("#!/opt/run -a -b", &["-a -b"]));
        assert!(gives("#! /usr/bin/env -S run -a -b", &["-a", "-b"]));
        assert!(!gives("#!/opt/run", &["/home/other"]));
        assert!(!gives("#!/opt/run -a", &["-a", "/home/other"]));
    }
}
