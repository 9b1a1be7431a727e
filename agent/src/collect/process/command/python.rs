//! What Python is told to execute besides a script: a module by its name, or what a text imports.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{BEHIND_MAX, TOLD_MAX, Told};

/// `python -m module`.
pub(super) fn module(arguments: &[&[u8]], told: &mut Told) {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.strip_prefix(b"-").filter(|letters| !letters.starts_with(b"-")) else { return };
        for (at, letter) in letters.iter().enumerate() {
            match letter {
                b'm' => {
                    let attached = letters.get(at + 1..).filter(|name| !name.is_empty());
                    let name = attached.or_else(|| rest.next().copied()).unwrap_or_default();
                    told.modules.push(OsString::from_vec(name.to_vec()));
                    if RUNNERS.iter().any(|runner| runner.as_bytes() == name) {
                        run_by_module(rest.as_slice(), told);
                    }
                    return;
                }
                b'c' => {
                    let attached = letters.get(at + 1..).filter(|text| !text.is_empty());
                    imported(attached.or_else(|| rest.next().copied()).unwrap_or_default(), told);
                    return;
                }
                b'W' | b'X' | b'Q' => {
                    if at + 1 == letters.len() {
                        rest.next();
                    }
                    break;
                }
                _ => {}
            }
        }
    }
}

/// Modules of Python that execute a script among their arguments.
const RUNNERS: [&str; 12] = [
    "cProfile",
    "profile",
    "trace",
    "pdb",
    "runpy",
    "coverage",
    "debugpy",
    "viztracer",
    "scalene",
    "kernprof",
    "memory_profiler",
    "pyinstrument",
];

/// The script behind such a module and its options, of which any may take a value.
fn run_by_module(arguments: &[&[u8]], told: &mut Told) {
    for argument in arguments.iter().filter(|argument| !argument.starts_with(b"-")).take(BEHIND_MAX) {
        told.file(argument);
        if argument.ends_with(b".py") {
            return;
        }
    }
}

/// Modules that the text of `python -c` imports at the beginning of a statement.
fn imported(text: &[u8], told: &mut Told) {
    for statement in text.split(|byte| matches!(byte, b'\n' | b';' | b':')) {
        let mut words = statement.split(|byte| matches!(byte, b' ' | b'\t' | b',')).filter(|word| !word.is_empty());
        let modules: Vec<&[u8]> = match words.next() {
            Some(b"import") => words.collect(),
            Some(b"from") => words.take(1).collect(),
            _ => continue,
        };
        let room = TOLD_MAX.saturating_sub(told.modules.len());
        told.modules.extend(modules.into_iter().take(room).map(|name| OsString::from_vec(name.to_vec())));
    }
}
