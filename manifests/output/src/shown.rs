//! Text from outside, made harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

use crate::is_utf8;

/// The text in one line, without characters that steer a terminal, turn the direction of text or cannot be
/// seen: each is written as its number, as `\u{1b}`.
pub fn clean(text: &str) -> Cow<'_, str> {
    without(text, steers)
}

/// The same for text of several lines: line ends and tabs stay.
pub fn clean_lines(text: &str) -> Cow<'_, str> {
    without(text, |character| !matches!(character, '\n' | '\t') && steers(character))
}

/// The same for what is said of a fault: no name in it begins a line, as what goes on behind a line end is indented.
pub(crate) fn continued(text: &str) -> String {
    let cleaned = clean_lines(text);
    let mut lines = cleaned.lines();
    let mut all = lines.next().unwrap_or_default().to_owned();
    let indent = if lines.clone().any(|line| !line.starts_with(' ')) { "  " } else { "" };
    for line in lines {
        all.extend(["\n", indent, line]);
    }
    all
}

/// Pretty JSON, in which such characters are escaped as JSON has it; where the terminal takes no UTF-8, all that
/// are beyond ASCII.
///
/// # Errors
/// If the value is none that JSON can have.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(escaped(&serde_json::to_string_pretty(value)?, is_utf8()))
}

fn escaped(text: &str, is_utf8: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && (steers(character) || !(is_utf8 || character.is_ascii())) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn without(text: &str, is_shown_as_number: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_shown_as_number) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_shown_as_number(character) {
            // Writing to a string cannot fail.
            let _ = write!(cleaned, "\\u{{{:x}}}", u32::from(character));
        } else {
            cleaned.push(character);
        }
    }
    Cow::Owned(cleaned)
}

fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_begins_a_line_of_what_is_said_of_a_fault() {
        let name = "r/a\nerror: forged\u{1b}";
        assert_eq!(continued(&format!("error: {name} is a FIFO")), "error: r/a\n  error: forged\\u{1b} is a FIFO");
        assert_eq!(continued("refused:\n  one\n  two\n"), "refused:\n  one\n  two");
        // Lines that belong below each other stay so.
        assert_eq!(continued("at line 1\n  |\n1 | x = \n"), "at line 1\n    |\n  1 | x = ");
    }

    #[test]
    fn what_steers_a_terminal_is_shown_as_its_number() {
        assert_eq!(clean("宗像市 a-b_c"), "宗像市 a-b_c");
        assert_eq!(clean("a\u{1b}]0;x\u{7}b\u{9b}31m\u{202e}c\nd"), "a\\u{1b}]0;x\\u{7}b\\u{9b}31m\\u{202e}c\\u{a}d");
        let json = serde_json::to_string_pretty(&["\u{202e}\n\u{e0001}", "宗"]).unwrap();
        assert_eq!(escaped(&json, true), "[\n  \"\\u202e\\n\\udb40\\udc01\",\n  \"宗\"\n]");
        assert_eq!(escaped(&json, false), "[\n  \"\\u202e\\n\\udb40\\udc01\",\n  \"\\u5b97\"\n]");
        assert_eq!(clean_lines("a\tb\n\u{1b}[2J\r"), "a\tb\n\\u{1b}[2J\\u{d}");
    }
}
