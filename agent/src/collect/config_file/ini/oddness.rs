//! In words: why readers take a line differently.

use manifests::evidence::Odd;

use super::super::key::{Key, Step};
use super::super::strict::Numbered;

const BLANK: [char; 2] = [' ', '\t'];

/// What is odd where readers differ on `key`, which stands in `lines`.
pub(super) fn of(key: &Key, lines: &[u32], text: &Numbered) -> Odd {
    let name_of = |step: Option<&Step>| match step {
        Some(Step::Name(name)) => name.clone(),
        _ => String::new(),
    };
    let section = if key.0.len() > 1 { name_of(key.0.first()) } else { String::new() };
    let name = name_of(key.0.last());
    let odd = lines.iter().find_map(|line| in_line(*line, &section, &name, text));
    odd.unwrap_or(Odd::Readers)
}

fn in_line(number: u32, section: &str, name: &str, text: &Numbered) -> Option<Odd> {
    let line = text.line(number);
    if line.contains('\u{feff}') || text.line(1).starts_with('\u{feff}') {
        return Some(Odd::ByteOrderMark);
    }
    if text.ends_in_cr(number) || (number > 1 && text.ends_in_cr(number - 1)) {
        return Some(Odd::LineEnd);
    }
    let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']);
    let below = (number + 1..=text.last()).map(|number| text.line(number)).find(says);
    if below.is_some_and(|below| below.starts_with(char::is_whitespace)) || line.starts_with(char::is_whitespace) {
        return Some(Odd::Continuation);
    }
    let above = (1..number).rev().map(|number| text.line(number)).find(says);
    if line.ends_with('\\') || above.is_some_and(|above| above.ends_with('\\')) {
        return Some(Odd::Continuation);
    }
    let Some(at) = line.find(['=', ':']) else { return Some(Odd::NoValue) };
    let (left, value) = line.split_at(at);
    let value = value.get(1..).unwrap_or_default();
    let named = left.trim();
    if named != name && named.to_lowercase() == name.to_lowercase() {
        return Some(Odd::Case);
    }
    if line.as_bytes().get(at) == Some(&b':') {
        return Some(Odd::Separator);
    }
    let header = (1..number).rev().map(|number| text.line(number).trim()).find(|line| line.starts_with('['));
    let header = header.unwrap_or_default();
    if header != format!("[{section}]") {
        let is_case = header.to_lowercase() == format!("[{}]", section.to_lowercase());
        return Some(if is_case { Odd::Case } else { Odd::Section });
    }
    let bare = value.trim();
    if bare.starts_with(['"', '\'']) || bare.ends_with(['"', '\'']) {
        return Some(Odd::Quotes);
    }
    if bare.contains([';', '#']) {
        return Some(Odd::Comment);
    }
    if bare.contains('\\') {
        return Some(Odd::Escape);
    }
    if bare.contains('%') {
        return Some(Odd::Interpolation);
    }
    if value.trim_start_matches(BLANK).len() != bare.len() || bare.contains('\t') || left.trim_matches(BLANK) != named {
        return Some(Odd::Blanks);
    }
    None
}
