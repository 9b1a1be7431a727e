//! What the programs print: to a person, a pipe, a disk, a log.
//!
//! Names and values come from hosts, and one of them may be hostile: characters that steer a terminal or
//! turn the direction of text are shown as their numbers. Whoever reads may leave, and the disk may be
//! full: a program does what it was asked for all the same, and says at its end that it could not tell.

mod locale;
mod log;
mod shown;
mod stream;

pub use locale::{is_utf8, lang};
pub use log::log_to_stderr;
pub use shown::{clean, clean_lines, json};
pub use stream::{Stdout, exit, say, tell};

/// Prints a line to standard output as `println!` does, by [`say`](fn@say).
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::say(format_args!($($argument)*)) };
}

/// Prints a line to standard error as `eprintln!` does, by [`tell`](fn@tell).
#[macro_export]
macro_rules! tell {
    ($($argument:tt)*) => { $crate::tell(format_args!($($argument)*)) };
}
