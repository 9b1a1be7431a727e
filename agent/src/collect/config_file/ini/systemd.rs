//! systemd's unit files, by the rules of systemd.syntax(7) and as systemd 252 keeps to them. Which sections
//! and names mean something is left to the program: all are taken.

use super::{Raw, RawValue, Refusal, Taken, trimmed};

const MARK: &[u8] = b"\xef\xbb\xbf";
/// The longest line, with those that continue it (1 MiB).
const LINE_BYTES_MAX: usize = 1 << 20;

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Lines with where they begin: a LF, a CR or one of each in either order ends one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let ends = match rest.get(end..).unwrap_or_default() {
            [b'\n', b'\r', ..] | [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        let start = at;
        at += end + ends;
        Some((start, rest.get(..end).unwrap_or_default()))
    })
}

pub(super) fn take(bytes: &[u8]) -> Result<Taken, Refusal> {
    let mut parser = Parser::default();
    let mut mark_seen = false;
    // The lines that end in a backslash so far, and where the first begins.
    let mut continued: Option<(usize, Vec<u8>)> = None;
    for (at, line) in lines(bytes) {
        if line.len() >= LINE_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let indent = line.iter().take_while(|byte| is_space(**byte)).count();
        if matches!(line.get(indent), Some(b'#' | b';')) {
            continue;
        }
        let line = match line.strip_prefix(MARK) {
            Some(rest) if !mark_seen => {
                mark_seen = true;
                rest
            }
            _ => line,
        };
        let (at, mut whole) = continued.take().unwrap_or((at, Vec::new()));
        whole.extend_from_slice(line);
        if whole.len() > LINE_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        if ends_in_escape(&whole) {
            whole.pop();
            whole.push(b' ');
            continued = Some((at, whole));
        } else {
            parser.line(at, &whole)?;
        }
    }
    if let Some((at, whole)) = continued {
        parser.line(at, &whole)?;
    }
    Ok(parser.taken)
}

// The last `\` of the line protects its end, and is not itself protected.
fn ends_in_escape(line: &[u8]) -> bool {
    line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[derive(Default)]
struct Parser {
    section: Option<Vec<u8>>,
    taken: Taken,
}

impl Parser {
    fn line(&mut self, at: usize, line: &[u8]) -> Result<(), Refusal> {
        let line = trimmed(line, is_space);
        if line.is_empty() {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix(b"[") {
            let name = rest.strip_suffix(b"]").ok_or(Refusal::Malformed)?;
            let is_safe = |byte: &u8| *byte >= b' ' && !matches!(byte, b'"' | b'\'' | b'\\' | 0x7f);
            if !name.iter().all(is_safe) {
                return Err(Refusal::Malformed);
            }
            self.section = Some(name.to_vec());
            return Ok(());
        }
        let equals = line.iter().position(|byte| *byte == b'=').filter(|at| *at > 0);
        let (Some(section), Some(equals)) = (&self.section, equals) else {
            // A warning in the journal: outside of every section, no `=`, no name before it.
            self.taken.passed_over = true;
            return Ok(());
        };
        let name = trimmed(line.get(..equals).unwrap_or_default(), is_space).to_vec();
        let value = trimmed(line.get(equals + 1..).unwrap_or_default(), is_space).to_vec();
        let section = Some(section.clone());
        self.taken.push(Raw { section, name, value: RawValue::Text(value), at })?;
        Ok(())
    }
}
