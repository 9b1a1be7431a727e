//! The log of a program that serves.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use crate::clean;

/// Logs to standard error, an event a line, what `variable` of the environment asks for and *info* without
/// it. No name or value in an event begins a line of its own.
pub fn log_to_stderr(variable: &str) {
    let filter = EnvFilter::try_from_env(variable).unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are sequences that steer a terminal, and could not be told from a host's.
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Line(io::stderr())).init();
}

/// Takes whole events, as the formatter writes them.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = clean(text.strip_suffix('\n').unwrap_or(&text));
        // A log on a full disk is lost; the formatter would say so on the same stream, and panic where that fails.
        let _ = self.0.write_all(format!("{line}\n").as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_names() {
        let mut written = Vec::new();
        let event = "INFO a directory path=/lib/new\u{202e}x\n2026-01-01T00:00:00Z  INFO forged\n";
        assert_eq!(Line(&mut written).write(event.as_bytes()).unwrap(), event.len());
        let written = String::from_utf8(written).unwrap();
        let full: &mut [u8] = &mut [];
        assert_eq!(Line(full).write(event.as_bytes()).unwrap(), event.len(), "a full disk is no fault of the program");
        assert_eq!(written, "INFO a directory path=/lib/new\\u{202e}x\\u{a}2026-01-01T00:00:00Z  INFO forged\n");
    }
}
