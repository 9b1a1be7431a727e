//! What a command line tells an interpreter to execute.
//!
//! Text alone ties nobody to a program: what is found here is a path, which is then resolved as the
//! process itself would resolve it and compared with the files of a tree. Nothing is ever executed or
//! imported to find out.

mod grammar;
mod python;
mod shell;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::java;
use grammar::{Grammar, NODE, NODE_VALUED, PERL, PLAIN, PYTHON, RUBY, SHELL, family};

/// The most files, modules and directories taken from one command line.
const TOLD_MAX: usize = 256;
/// The most arguments behind an interpreter among which its script is looked for.
const BEHIND_MAX: usize = 8;

/// A command line as `/proc/PID/cmdline` has it: arguments that each end with a NUL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Vec<u8>);

impl Command {
    /// The arguments, the program's name first.
    pub(crate) fn arguments(&self) -> Vec<&[u8]> {
        self.0.strip_suffix(b"\0").unwrap_or(&self.0).split(|byte| *byte == 0).collect()
    }

    /// The arguments joined by spaces: what `args` of a baseline is compared with.
    pub(crate) fn joined(&self) -> Vec<u8> {
        self.arguments().join(&b' ')
    }
}

/// What a command line tells an interpreter to execute, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Files: scripts, archives of classes, directories that are one.
    pub(crate) files: Vec<OsString>,
    /// Python modules to be run, by their dotted names.
    pub(crate) modules: Vec<OsString>,
    /// Directories in which the program looks for code by name.
    pub(crate) search: Vec<OsString>,
    /// Files that it executes if they are there.
    pub(crate) perhaps: Vec<OsString>,
    /// Whether a script is looked for in the directories of `PATH` too.
    pub(crate) by_path: bool,
    /// Whether it executes what it reads from its standard input.
    pub(crate) from_input: bool,
    /// What the interpreter puts behind a script's name that leads nowhere.
    pub(crate) endings: &'static [&'static str],
}

impl Told {
    pub(super) fn file(&mut self, path: &[u8]) {
        if !path.is_empty() && path != b"-" && self.files.len() < TOLD_MAX {
            self.files.push(OsString::from_vec(path.to_vec()));
        }
    }

    pub(super) fn search(&mut self, list: &[u8]) {
        for path in list.split(|byte| *byte == b':').filter(|path| !path.is_empty()) {
            if self.search.len() < TOLD_MAX {
                self.search.push(OsString::from_vec(path.to_vec()));
            }
        }
    }
}

/// Whether a file of this name is an interpreter: of what it executes its name says nothing.
pub(crate) fn is_interpreter(name: &[u8]) -> bool {
    family(name).is_some() || is_java(name) || is_loader(name) || name == b"busybox"
}

/// What the process of the executable `exe` was told to execute. `declared`: the baseline names the
/// executable as the interpreter of a program, so that its first argument is a script whatever its name.
pub(crate) fn told(exe: &[u8], command: &Command, declared: bool) -> Told {
    let arguments = command.arguments();
    let mut told = Told::default();
    let [first, rest @ ..] = arguments.as_slice() else { return told };
    let name = base_name(exe);
    // A login shell's name begins with a hyphen.
    let called = base_name(first.strip_prefix(b"-").unwrap_or(first));
    if is_loader(name) {
        return through_loader(rest);
    }
    if name == b"busybox" {
        return match rest {
            [applet, rest @ ..] if called == b"busybox" => by_name(applet, rest).unwrap_or_default(),
            _ => by_name(called, rest).unwrap_or_default(),
        };
    }
    if let Some(found) = by_name(name, rest).or_else(|| by_name(called, rest)) {
        return found;
    }
    if declared {
        read(PLAIN, rest, &mut told);
    }
    told
}

/// The arguments among which the kernel puts a script that was executed by its own path: behind the
/// interpreter and what the script's first line gives it.
pub(crate) fn behind_interpreter(command: &Command) -> Vec<OsString> {
    command.arguments().into_iter().skip(1).take(BEHIND_MAX).map(|path| OsString::from_vec(path.to_vec())).collect()
}

/// The last component of a path.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn by_name(name: &[u8], arguments: &[&[u8]]) -> Option<Told> {
    let mut told = Told::default();
    if is_java(name) {
        java::read(arguments, &mut told);
        return Some(told);
    }
    let (known, grammar) = family(name)?;
    read(grammar, arguments, &mut told);
    told.by_path |= grammar == SHELL;
    if grammar == NODE {
        told.endings = &[".js", ".json", ".node", ".cjs", ".mjs"];
    }
    if grammar == SHELL {
        shell::sourced(arguments, &mut told);
    }
    if grammar == PYTHON {
        python::module(arguments, &mut told);
    }
    if matches!(known, "dotnet" | "deno" | "bun") {
        // `dotnet exec app.dll`, `deno run app.ts`: the script stands behind the word.
        for argument in arguments.iter().filter(|argument| !argument.starts_with(b"-")).skip(1).take(1) {
            told.file(argument);
        }
    }
    Some(told)
}

pub(super) fn is_java(name: &[u8]) -> bool {
    matches!(name, b"java" | b"javaw")
}

fn is_loader(name: &[u8]) -> bool {
    name.starts_with(b"ld-linux") || name.starts_with(b"ld-musl") || name == b"ld.so" || name.starts_with(b"ld64.so")
}

/// `ld.so [options] program [arguments]`: the program is what is executed.
fn through_loader(arguments: &[&[u8]]) -> Told {
    let valued: [&[u8]; 6] =
        [b"--library-path", b"--preload", b"--audit", b"--argv0", b"--inhibit-rpath", b"--glibc-hwcaps-prepend"];
    let mut rest = arguments;
    let mut search = Vec::new();
    while let [option, behind @ ..] = rest {
        if !option.starts_with(b"--") {
            break;
        }
        rest = behind;
        if let ([value, behind @ ..], true) = (behind, valued.contains(option)) {
            if *option == b"--library-path" {
                search = value.to_vec();
            }
            rest = behind;
        }
    }
    let [program, arguments @ ..] = rest else { return Told::default() };
    let mut told = by_name(base_name(program), arguments).unwrap_or_default();
    told.search(&search);
    told.file(program);
    told
}

/// Goes through options up to the script.
fn read(grammar: Grammar, arguments: &[&[u8]], told: &mut Told) {
    let mut rest = arguments.iter();
    let mut has_text = false;
    // Whether the argument before is an option that may take this one as its value.
    let mut is_doubtful = false;
    while let Some(argument) = rest.next() {
        let may_be_value = std::mem::take(&mut is_doubtful);
        if *argument == b"--" {
            if let (Some(script), false) = (rest.next(), has_text || !grammar.has_script) {
                told.file(script);
            }
            return;
        }
        if argument.starts_with(b"--") {
            let text = std::str::from_utf8(argument).unwrap_or_default();
            if let Some((name, value)) = text.split_once('=') {
                if matches!(name, "--require" | "--import" | "--file" | "--loader" | "--experimental-loader") {
                    told.file(local(value.as_bytes()));
                }
            } else if matches!(text, "--require" | "--import" | "--file" | "--loader" | "--experimental-loader") {
                rest.next().into_iter().for_each(|value| told.file(local(value)));
            } else if matches!(text, "--eval" | "--print" | "--command") {
                has_text = true;
                rest.next();
            } else if grammar.long_valued.contains(&text) {
                rest.next();
            } else {
                let begins = |flag: &&str| text.starts_with(flag);
                is_doubtful =
                    grammar.long_flags.is_some_and(|flags| !flags.iter().any(begins) || NODE_VALUED.iter().any(begins));
            }
            continue;
        }
        let option = argument.strip_prefix(b"-").or_else(|| argument.strip_prefix(b"+"));
        let Some(letters) = option.filter(|letters| !letters.is_empty()) else {
            if grammar.has_script && !has_text {
                told.file(local(argument));
                told.from_input = *argument == b"-";
            }
            if may_be_value {
                continue;
            }
            return;
        };
        // Of an interpreter of which nothing is known any option may take a value.
        is_doubtful = grammar == PLAIN;
        let letters = if grammar.joins { letters } else { letters.get(..1).unwrap_or_default() };
        for (at, letter) in letters.iter().enumerate() {
            told.by_path |= grammar == PERL && *letter == b'S';
            if grammar.attached.contains(letter) {
                break;
            }
            let takes = [grammar.valued, grammar.file, grammar.text, grammar.search];
            if !takes.iter().any(|of| of.contains(letter)) {
                continue;
            }
            // A shell's `-c` takes the first argument that is no option, not what is attached.
            let attached = argument.get(at + 2..).filter(|value| !value.is_empty() && grammar != SHELL);
            let value = match attached {
                Some(value) => value,
                None if grammar == SHELL && *letter == b'c' => {
                    has_text = true;
                    continue;
                }
                None => rest.next().copied().unwrap_or_default(),
            };
            if grammar.file.contains(letter) {
                told.file(value);
            }
            if grammar.search.contains(letter) {
                told.search(value);
            }
            if grammar.text.contains(letter) {
                has_text = true;
            }
            // `python -m module` ends the options as a script does.
            if grammar == PYTHON && matches!(letter, b'm' | b'c') {
                return;
            }
            break;
        }
    }
    told.from_input = grammar.has_script && !has_text && grammar != PLAIN;
}

/// The path of a `file:` address; any other path as it is.
fn local(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"file://").unwrap_or(path)
}

/// What an interpreter is told by its environment: options that it takes from there.
pub(crate) fn told_by(exe: &[u8], variable: impl Fn(&str) -> Vec<u8>) -> Told {
    let mut told = Told::default();
    let name = base_name(exe);
    let grammar = family(name).map(|(_, grammar)| grammar);
    let (names, grammar): (&[&str], _) = match grammar {
        _ if is_java(name) => (&java::VARIABLES, None),
        Some(NODE) => (&["NODE_OPTIONS"], grammar),
        Some(PERL) => (&["PERL5OPT"], grammar),
        Some(RUBY) => (&["RUBYOPT"], grammar),
        _ => return told,
    };
    for name in names {
        let words = java::words(&variable(name));
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match grammar {
            Some(grammar) => read(Grammar { has_script: false, ..grammar }, &words, &mut told),
            None => java::read(&words, &mut told),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> Command {
        Command(arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect())
    }

    fn files(exe: &str, arguments: &[&str]) -> Vec<String> {
        let told = told(exe.as_bytes(), &command(arguments), false);
        told.files.into_iter().map(|file| file.into_string().unwrap()).collect()
    }

    #[test]
    fn the_script_stands_behind_the_interpreter_s_options() {
        // Of a shell's long options some take a value that nobody has listed.
        assert!(
            files("fish", &["fish", "--init-command", "set x 1", "/opt/x/start"]).contains(&"/opt/x/start".to_owned())
        );
        assert!(files("zsh", &["zsh", "--emulate", "sh", "/opt/x/start"]).contains(&"/opt/x/start".to_owned()));
        assert_eq!(files("bash", &["bash", "--norc", "/opt/x/start", "/opt/x/data"]), ["/opt/x/start"]);
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("/bin/dash", &["/bin/sh", "./start"], &["./start"]),
            ("/bin/bash", &["bash", "-eu", "-o", "pipefail", "/opt/x/start", "now"], &["/opt/x/start"]),
            ("/bin/bash", &["bash", "--rcfile", "/etc/rc", "--", "start"], &["start"]),
            ("/usr/bin/python3.11", &["python3", "-u", "-B", "-E", "/opt/x/start"], &["/opt/x/start"]),
            ("/usr/bin/python3.11", &["python3", "-uBE", "-X", "dev", "-Wignore", "a.py"], &["a.py"]),
            ("/usr/bin/python3.11", &["python3", "-c", "import a", "a.py"], &[]),
            ("/usr/bin/perl", &["perl", "-w", "-I", "lib", "-MA", "app.pl", "x"], &["app.pl"]),
            ("/usr/bin/perl", &["perl", "-ne", "print", "app.pl"], &[]),
            ("/usr/bin/perl", &["perl", "-MData::Dumper", "-mTest::More", "-d:NYTProf", "app.pl"], &["app.pl"]),
            ("/usr/bin/perl", &["perl", "-wi.save", "-Imodules/e", "-0777", "app.pl", "x"], &["app.pl"]),
            ("/usr/bin/perl", &["perl", "-MX", "-lne", "print", "x"], &[]),
            ("/usr/bin/perl", &["perl", "/usr/local/bin/scan", "/opt/x"], &["/usr/local/bin/scan"]),
            ("/usr/bin/python3", &["python3", "/usr/bin/backup.py", "/opt/x/app.py"], &["/usr/bin/backup.py"]),
            ("/usr/bin/python3", &["python3", "-m", "trace", "--count", "-C", "/t", "a.py", "b"], &["/t", "a.py"]),
            ("/usr/bin/node", &["node", "--env-file", "e.env", "b.js", "c.js"], &["e.env", "b.js"]),
            ("/usr/bin/node", &["node", "--inspect-port", "0", "b.js", "c.js"], &["0", "b.js"]),
            ("/usr/bin/node", &["node", "--no-warnings", "--inspect", "b.js", "c.js"], &["b.js"]),
            ("/usr/bin/node", &["node", "/opt/other/app.js", "/opt/x/y"], &["/opt/other/app.js"]),
            ("/usr/bin/node", &["node", "--import", "file:///opt/x/a.mjs", "-e", "0", "y"], &["/opt/x/a.mjs"]),
            ("/usr/bin/node", &["node", "--require=./a.js", "-e", "0"], &["./a.js"]),
            ("/usr/bin/gawk", &["gawk", "-i", "a.awk", "-l", "time", "-f", "b.awk", "c"], &["a.awk", "b.awk"]),
            ("/usr/bin/tclsh", &["tclsh", "-encoding", "utf-8", "a.tcl", "b"], &["utf-8", "a.tcl"]),
            ("/usr/bin/node", &["node", "--require", "./a.js", "--max-old-space-size=9", "b.js"], &["./a.js", "b.js"]),
            ("/usr/bin/php8.2", &["php", "-d", "a=b", "-f", "x.php"], &["x.php"]),
            ("/usr/bin/java", &["java", "-Xmx1g", "-jar", "app.jar", "other.jar"], &["app.jar"]),
            ("/usr/bin/java", &["java", "-cp", "a.jar:lib/*", "Main", "b.jar"], &["a.jar", "lib"]),
            ("/usr/bin/mawk", &["awk", "-F", ":", "-f", "a.awk", "data"], &["a.awk"]),
            ("/usr/bin/busybox", &["sh", "start"], &["start"]),
            ("/usr/bin/busybox", &["busybox", "sh", "-x", "start"], &["start"]),
            (
                "/lib64/ld-linux-x86-64.so.2",
                &["ld.so", "--library-path", "/l", "/opt/x/bin/server"],
                &["/opt/x/bin/server"],
            ),
            ("/usr/bin/tail", &["tail", "-f", "/opt/x/start"], &[]),
            ("/usr/bin/vim.basic", &["vim", "/opt/x/start"], &[]),
        ];
        for (exe, arguments, expected) in cases {
            assert_eq!(files(exe, arguments), *expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_shell_s_text_is_searched_for_what_the_shell_itself_reads() {
        assert_eq!(files("/bin/sh", &["sh", "-c", ". /opt/x/env.sh; run a"]), ["/opt/x/env.sh"]);
        assert_eq!(files("/bin/bash", &["bash", "-ec", "cd /opt/x && source 'lib/a b.sh'"]), ["lib/a b.sh"]);
        assert_eq!(files("/bin/sh", &["sh", "-c", "A=1 exec /opt/x/start --now"]), ["/opt/x/start"]);
        assert_eq!(files("/bin/sh", &["sh", "-c", "tail -f /opt/x/start; true"]), [""; 0]);
        assert_eq!(files("/bin/sh", &["sh", "-c", "exec python3 -u /opt/x/app.py"]), ["python3", "/opt/x/app.py"]);
    }

    #[test]
    fn a_module_is_told_by_its_name() {
        let modules = |arguments: &[&str]| told(b"/usr/bin/python3", &command(arguments), false).modules;
        assert_eq!(modules(&["python3", "-u", "-m", "app.main", "-m", "x"]), ["app.main"]);
        assert_eq!(modules(&["python3", "-Wonce", "-mapp"]), ["app"]);
        assert_eq!(modules(&["python3", "-c", "x", "-m", "app"]), [""; 0]);
        assert_eq!(modules(&["python3", "-c", "import a.b, c; from d import e"]), ["a.b", "c", "d"]);
        assert_eq!(modules(&["python3", "a.py", "-m", "app"]), [""; 0]);
    }

    #[test]
    fn a_declared_interpreter_of_any_name_has_a_script() {
        let told =
            |declared| told(b"/opt/vendor/runner", &command(&["runner", "-q", "/opt/x/app.run"]), declared).files;
        assert_eq!((told(true), told(false)), (vec![OsString::from("/opt/x/app.run")], vec![]));
    }
}
