//! Standard output and error, of which the other end may be gone and the disk full.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::shown::continued;
use crate::{clean_lines, is_utf8};

/// Exit code of a command whose output could not be written (`EX_IOERR` of sysexits.h).
const IO_ERROR: u8 = 74;

/// Whether something could not be written to standard output.
static LOST: AtomicBool = AtomicBool::new(false);
/// Whether it was sent characters that ASCII does not have.
static BEYOND_ASCII: AtomicBool = AtomicBool::new(false);

/// Standard output. A reader that leaves has read enough: what follows is dropped. Another fault, as of a full
/// disk, is said once on standard error and in the exit code ([`exit`]); what the command does, it does.
#[derive(Debug)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_ascii() {
            BEYOND_ASCII.store(true, Ordering::Relaxed);
        }
        settle(io::stdout().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        settle(io::stdout().flush());
        Ok(())
    }
}

fn settle(written: io::Result<()>) {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            if !LOST.swap(true, Ordering::Relaxed) {
                tell(format_args!("error: what is printed cannot be written: {error}"));
            }
        }
        Ok(()) | Err(_) => {}
    }
}

/// Prints text and a line end to standard output, without characters that steer a terminal.
pub fn say(text: fmt::Arguments<'_>) {
    let mut line = String::new();
    // Fails only if a value's own way of being written does, and then the rest is missing.
    let _ = writeln!(line, "{text}");
    // Its writer answers for every fault.
    let _ = Stdout.write_all(clean_lines(&line).as_bytes()).and_then(|()| Stdout.flush());
}

/// Prints text and a line end to standard error, without characters that steer a terminal; lines behind the first are
/// indented, so that no name begins one.
pub fn tell(text: fmt::Arguments<'_>) {
    let mut said = String::new();
    let _ = write!(said, "{text}");
    // Nothing is left to say it with.
    let _ = io::stderr().write_all(format!("{}\n", continued(&said)).as_bytes());
}

/// The exit code of a command that ends with `code`; 74 in place of 0 if what it had to say could not be written.
/// Says so where names were written that the terminal may not be able to show.
pub fn exit(code: u8) -> ExitCode {
    if BEYOND_ASCII.load(Ordering::Relaxed) && !is_utf8() {
        tell(format_args!("note: the locale's characters are not UTF-8, and names above are written in it"));
    }
    ExitCode::from(if code == 0 && LOST.load(Ordering::Relaxed) { IO_ERROR } else { code })
}
