//! Implementations that are asked what they take out of a file, where they are installed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// Where the little programs around the implementations lie.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers");

/// Keys with the values they are given, if any.
pub(crate) type Pairs = Vec<(String, Option<String>)>;

/// Documents as files in a directory of their own.
pub(crate) struct Files {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) paths: Vec<PathBuf>,
}

impl Files {
    pub(crate) fn new(documents: &[Vec<u8>]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |(number, document): (usize, &Vec<u8>)| {
            let path = directory.path().join(number.to_string());
            fs::write(&path, document).unwrap();
            path
        };
        let paths = documents.iter().enumerate().map(write).collect();
        Self { directory, paths }
    }
}

/// Says aloud that a comparison is not made; nothing goes on silently without it.
pub(crate) fn skipped(what: &str, why: &str) {
    eprintln!("SKIPPED: {what} is not compared with: {why}");
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// The path of Python, preferably one that has what the tests want.
fn python() -> String {
    std::env::var("SEKISHO_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// One JSON value for each file, of a program that reads paths, each with a NUL behind it.
fn asked(command: &mut Command, files: &Files) -> Vec<Json> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let paths: Vec<u8> =
        files.paths.iter().flat_map(|path| [path.to_str().unwrap().as_bytes(), b"\0"].concat()).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&paths));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}");
    let answers: Vec<Json> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{command:?}: {error}: {line}")))
        .collect();
    assert_eq!(answers.len(), files.paths.len(), "{command:?}");
    answers
}

/// A script in Python that needs `module`; none where that is not there.
pub(crate) fn script(name: &str, module: &str, files: &Files) -> Option<Vec<Json>> {
    let found = Command::new(python()).args(["-c", &format!("import {module}")]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        skipped(module, "Python has no such module");
        return None;
    }
    Some(asked(Command::new(python()).arg(Path::new(HERE).join(name)), files))
}

/// GLib through a program that is compiled for it.
pub(crate) fn glib(files: &Files) -> Option<Vec<Json>> {
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "glib-2.0"]).output();
    let Some(flags) = flags.ok().filter(|output| output.status.success()) else {
        skipped("GLib", "libglib2.0-dev is not installed");
        return None;
    };
    let program = files.directory.path().join("glib-reader");
    let flags = String::from_utf8(flags.stdout).unwrap();
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(&program).arg(Path::new(HERE).join("read_glib.c")).args(flags.split_whitespace());
    assert!(cc.status().unwrap().success(), "{cc:?}");
    Some(asked(&mut Command::new(program), files))
}

/// A Java program of one source file, with what it needs beside Java itself.
pub(crate) fn java(source: &str, library: Option<&str>, files: &Files) -> Option<Vec<Json>> {
    if !has("java") {
        skipped(source, "java is not installed");
        return None;
    }
    let mut command = Command::new("java");
    if let Some(library) = library {
        if !Path::new(library).exists() {
            skipped(source, &format!("{library} is not there"));
            return None;
        }
        command.args(["-cp", library]);
    }
    Some(asked(command.arg(Path::new(HERE).join(source)), files))
}

/// `git config --list`: key and value, of each file; nothing where git refuses it.
pub(crate) fn git(files: &Files) -> Option<Vec<Option<Pairs>>> {
    if !has("git") {
        skipped("git", "git is not installed");
        return None;
    }
    let ask = |path: &PathBuf| {
        let output = Command::new("git").args(["config", "--no-includes", "--list", "-z", "--file"]).arg(path).output();
        let output = output.unwrap();
        output.status.success().then(|| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let pairs = text.split_terminator('\0').map(|pair| match pair.split_once('\n') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (pair.to_owned(), None),
            });
            pairs.collect()
        })
    };
    Some(files.paths.iter().map(ask).collect())
}

/// `my_print_defaults`: the lines it prints for a group of each file; nothing where it refuses the file.
pub(crate) fn mariadb(files: &Files, group: &str) -> Option<Vec<Option<Vec<u8>>>> {
    if !has("my_print_defaults") {
        skipped("MariaDB", "my_print_defaults is not installed");
        return None;
    }
    let ask = |path: &PathBuf| {
        let option = format!("--defaults-file={}", path.display());
        let output = Command::new("my_print_defaults").arg(option).arg(group).output().unwrap();
        output.status.success().then_some(output.stdout)
    };
    Some(files.paths.iter().map(ask).collect())
}

/// systemd's reader of environment files, through the program that makes environments of them.
pub(crate) fn systemd_environment(files: &Files) -> Option<Vec<String>> {
    const PROGRAM: &str = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator";
    if !Path::new(PROGRAM).exists() {
        skipped("systemd", "its environment generator is not installed");
        return None;
    }
    let home = files.directory.path().join("home");
    let one = home.join("environment.d/zz.conf");
    fs::create_dir_all(one.parent().unwrap()).unwrap();
    let ask = |path: &PathBuf| {
        fs::copy(path, &one).unwrap();
        let output = Command::new(PROGRAM).env_clear().env("XDG_CONFIG_HOME", &home).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    Some(files.paths.iter().map(ask).collect())
}

/// What `postgres -C` answers for a parameter of a file; nothing where it refuses.
pub(crate) struct Postgres {
    program: PathBuf,
    data: tempfile::TempDir,
}

impl Postgres {
    pub(crate) fn new() -> Option<Self> {
        let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
            std::env::split_paths(&path).map(|directory| directory.join("postgres")).collect::<Vec<_>>()
        });
        let debian = (10..30).rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/postgres")));
        let Some(program) = on_path.chain(debian).find(|program| program.exists()) else {
            skipped("PostgreSQL", "postgres is not installed");
            return None;
        };
        let version = Command::new(&program).arg("--version").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let major: String =
            version.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("PG_VERSION"), format!("{major}\n")).unwrap();
        Some(Self { program, data })
    }

    /// The value of `name`, and whether the file was taken.
    pub(crate) fn value(&self, file: &Path, name: &str) -> Option<Vec<u8>> {
        // It refuses to run as root, and wants its directory to be its own.
        let is_root = rustix::process::geteuid().is_root();
        let mut command = if is_root { Command::new("setpriv") } else { Command::new(&self.program) };
        if is_root {
            for path in [self.data.path(), file.parent().unwrap(), file] {
                std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
            }
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&self.program);
        }
        command.args(["-C", name, "-D"]).arg(self.data.path()).arg(format!("--config-file={}", file.display()));
        let output = command.output().unwrap();
        output.status.success().then(|| output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout).to_vec())
    }
}
