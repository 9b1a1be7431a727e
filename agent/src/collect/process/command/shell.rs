//! What the text of `sh -c` tells a shell to execute.

use super::{TOLD_MAX, Told, base_name, by_name};

/// Files that the text of `sh -c` reads into the shell itself (`.` and `source`), and the file that it
/// executes where it is a single command. What it starts besides is a process of its own.
pub(super) fn sourced(arguments: &[&[u8]], told: &mut Told) {
    let is_command = |argument: &&[u8]| argument.starts_with(b"-") && !argument.starts_with(b"--");
    let mut rest = arguments.iter();
    let mut text = None;
    while let Some(argument) = rest.next() {
        if !is_command(argument) {
            return;
        }
        if argument.contains(&b'c') {
            text = rest.find(|argument| !argument.starts_with(b"-") && !argument.starts_with(b"+"));
            break;
        }
        if argument.ends_with(b"o") || argument.ends_with(b"O") {
            rest.next();
        }
    }
    let Some(text) = text else { return };
    let (commands, is_single) = words(text);
    for command in commands {
        let mut words = command.iter().skip_while(|word| is_assignment(word) || word.as_slice() == b"exec");
        match words.next().map(Vec::as_slice) {
            Some(b"." | b"source") => words.next().into_iter().for_each(|file| told.file(file)),
            Some(word) if is_single => {
                let rest: Vec<&[u8]> = words.map(Vec::as_slice).collect();
                told.file(word);
                if let Some(more) = by_name(base_name(word), &rest) {
                    told.files.extend(more.files.into_iter().take(TOLD_MAX));
                }
            }
            _ => {}
        }
    }
}

fn is_assignment(word: &[u8]) -> bool {
    word.iter()
        .position(|byte| *byte == b'=')
        .is_some_and(|at| at > 0 && word.iter().take(at).all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'))
}

/// The words of each simple command, quotes taken off, and whether there is one command alone. Nothing is
/// expanded: a word with a `$` stays as it stands and resolves to no file.
fn words(text: &[u8]) -> (Vec<Vec<Vec<u8>>>, bool) {
    let mut commands = vec![Vec::new()];
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut is_single = true;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), close) if open == close => quote = None,
            (Some(b'"') | None, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (Some(_), other) => word.get_or_insert_default().push(other),
            (None, b'\'' | b'"') => {
                word.get_or_insert_default();
                quote = Some(byte);
            }
            (None, b' ' | b'\t') => commands.last_mut().into_iter().for_each(|last| last.extend(word.take())),
            (None, b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'{' | b'}' | b'<' | b'>' | b'`') => {
                commands.last_mut().into_iter().for_each(|last| last.extend(word.take()));
                is_single = false;
                commands.push(Vec::new());
            }
            (None, other) => word.get_or_insert_default().push(other),
        }
        if commands.len() > TOLD_MAX {
            break;
        }
    }
    commands.last_mut().into_iter().for_each(|last| last.extend(word.take()));
    (commands, is_single)
}
