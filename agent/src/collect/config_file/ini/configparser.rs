//! Python's `configparser.ConfigParser()` as it comes: `=` and `:` separate, values go on in lines that
//! stand deeper, nothing stands twice, `%(name)s` is replaced when a value is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use manifests::evidence::Why;

use super::super::document::{Document, Entry, Found};
use super::super::key::{Key, Step};
use super::{Raw, RawValue, Refusal, Taken};

/// The section from which every other one has what it has not itself.
const DEFAULT: &str = "DEFAULT";
/// The deepest nesting of `%(name)s`, as Python has it.
const INTERPOLATION_DEPTH_MAX: usize = 10;
/// The most `%(name)s` that are replaced in one file, and the most bytes that they make: each may bring others.
const INTERPOLATIONS_MAX: usize = 200_000;
const INTERPOLATED_BYTES_MAX: usize = 16 << 20; // 16 MiB

// As `str.isspace`: Unicode's white space, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Lines as Python's text mode gives them: LF, CR LF or a CR alone ends one.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let ends = match rest.get(end..).unwrap_or_default() {
            behind if behind.starts_with("\r\n") => 2,
            "" => 0,
            _ => 1,
        };
        let start = at;
        at += end + ends;
        Some((start, rest.get(..end).unwrap_or_default()))
    })
}

struct Open {
    section: String,
    name: String,
    lines: Vec<String>,
    at: usize,
}

/// What becomes of a section or a name that stands twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Twice {
    /// The file is refused: the parser as it comes.
    Refused,
    /// Sections are one, and the last value counts: `strict=False`, which Python 2 had as its default.
    Taken,
}

pub(super) fn take(text: &str, twice: Twice) -> Result<Taken, Refusal> {
    let mut taken = Taken::default();
    let mut section: Option<String> = None;
    let mut sections = HashSet::new();
    let mut names = HashSet::new();
    let mut open: Option<Open> = None;
    let mut depth = 0;
    let close = |open: Option<Open>, taken: &mut Taken| -> Result<(), Refusal> {
        if let Some(open) = open {
            let value = open.lines.join("\n");
            let value = value.trim_end_matches(is_space).as_bytes().to_vec();
            let (section, name) = (Some(open.section.into_bytes()), open.name.into_bytes());
            taken.push(Raw { section, name, value: RawValue::Text(value), at: open.at })?;
        }
        Ok(())
    };
    for (at, line) in lines(text) {
        let bare = line.trim_matches(is_space);
        if bare.starts_with(['#', ';']) {
            continue;
        }
        if bare.is_empty() {
            // Within a value it is an empty line of it.
            if let Some(open) = &mut open {
                open.lines.push(String::new());
            }
            continue;
        }
        let here = line.chars().take_while(|c| is_space(*c)).count();
        if let Some(open) = open.as_mut().filter(|_| here > depth) {
            open.lines.push(bare.to_owned());
            continue;
        }
        depth = here;
        if let Some(name) = header(bare) {
            close(open.take(), &mut taken)?;
            if name != DEFAULT {
                let is_new = sections.insert(name.to_owned());
                if !is_new && twice == Twice::Refused {
                    return Err(Refusal::Malformed);
                }
                taken.sections.push(name.to_owned());
            }
            section = Some(name.to_owned());
            continue;
        }
        let section = section.clone().ok_or(Refusal::Malformed)?;
        let at_separator = bare.find(['=', ':']).ok_or(Refusal::Malformed)?;
        let (name, value) = bare.split_at(at_separator);
        let name = lower(name.trim_end_matches(is_space));
        let is_new = names.insert((section.clone(), name.clone()));
        if name.is_empty() || (!is_new && twice == Twice::Refused) {
            return Err(Refusal::Malformed);
        }
        close(open.take(), &mut taken)?;
        let value = value.get(1..).unwrap_or_default().trim_matches(is_space).to_owned();
        open = Some(Open { section, name, lines: vec![value], at });
    }
    close(open, &mut taken)?;
    Ok(taken)
}

// `[…]` up to the last bracket of the line; what stands behind it says nothing.
fn header(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

fn lower(name: &str) -> String {
    name.to_lowercase()
}

/// Names are asked for in lower case, sections as they are written.
pub(super) fn fold(key: &Key) -> Key {
    key.folded(|name, is_last| if is_last { lower(name) } else { name.to_owned() })
}

/// Gives each section what `DEFAULT` has, and puts values in the place of `%(name)s`.
///
/// # Errors
/// [`Why::TooLarge`] where that makes too many entries.
pub(super) fn finish(document: &mut Document, sections: Vec<String>) -> Result<(), Why> {
    let sections = sections.into_iter().map(|name| (name, HashMap::new()));
    let mut sections: BTreeMap<String, HashMap<String, (String, u32)>> = sections.collect();
    let mut defaults: HashMap<String, (String, u32)> = HashMap::new();
    let has_percent = |value: &Found| matches!(value, Found::Value(value) if value.to_string().contains('%'));
    let is_plain = !document.entries.iter().any(|entry| has_percent(&entry.value));
    for entry in &document.entries {
        let ([Step::Name(section), Step::Name(name)], Found::Value(value)) = (entry.key.0.as_slice(), &entry.value)
        else {
            continue;
        };
        let values = if section == DEFAULT { &mut defaults } else { sections.entry(section.clone()).or_default() };
        values.insert(name.clone(), (value.to_string(), entry.line));
    }
    if is_plain && defaults.is_empty() {
        return Ok(());
    }
    let mut budget = Budget { replacements: INTERPOLATIONS_MAX, bytes: INTERPOLATED_BYTES_MAX };
    let mut resolved = |section: &HashMap<String, (String, u32)>, value: &str| {
        let look = |name: &str| section.get(name).or_else(|| defaults.get(name)).map(|(value, _)| value.as_str());
        interpolated(value, &look, &mut budget).map(|value| value.map_or(Found::Refused, Found::text))
    };
    for entry in document.entries.iter_mut().filter(|entry| has_percent(&entry.value)) {
        let ([Step::Name(section), _], Found::Value(value)) = (entry.key.0.as_slice(), &entry.value) else { continue };
        entry.value = resolved(sections.get(section).unwrap_or(&defaults), &value.to_string())?;
    }
    let mut inherited = Vec::new();
    for (section, values) in &sections {
        for (name, (value, line)) in defaults.iter().filter(|(name, _)| !values.contains_key(*name)) {
            if inherited.len() + document.entries.len() >= super::super::ENTRIES_MAX {
                return Err(Why::TooLarge);
            }
            let value = resolved(values, value)?;
            inherited.push(Entry { key: Key::in_section(Some(section.clone()), name.clone()), value, line: *line });
        }
    }
    document.extend(inherited);
    Ok(())
}

/// What may still be replaced in a file.
struct Budget {
    replacements: usize,
    bytes: usize,
}

/// A value with others in the place of `%(name)s`; none where Python answers an error.
///
/// # Errors
/// [`Why::TooLarge`] beyond the budget.
fn interpolated<'v>(
    value: &str,
    look: &impl Fn(&str) -> Option<&'v str>,
    budget: &mut Budget,
) -> Result<Option<String>, Why> {
    let mut made = String::new();
    let is_sound = replace(value, 1, look, &mut made, budget)?;
    Ok(is_sound.then_some(made))
}

/// Adds a value to what is made of another. Whether Python would.
fn replace<'v>(
    value: &str,
    depth: usize,
    look: &impl Fn(&str) -> Option<&'v str>,
    made: &mut String,
    budget: &mut Budget,
) -> Result<bool, Why> {
    budget.replacements = budget.replacements.checked_sub(1).ok_or(Why::TooLarge)?;
    budget.bytes = budget.bytes.checked_sub(value.len()).ok_or(Why::TooLarge)?;
    if depth > INTERPOLATION_DEPTH_MAX {
        return Ok(false);
    }
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once('%') {
        made.push_str(before);
        if let Some(behind) = behind.strip_prefix('%') {
            made.push('%');
            rest = behind;
            continue;
        }
        let named = behind.strip_prefix('(').and_then(|behind| behind.split_once(")s"));
        let Some((name, behind)) = named.filter(|(name, _)| !name.is_empty() && !name.contains(')')) else {
            return Ok(false);
        };
        rest = behind;
        let Some(found) = look(&lower(name)) else { return Ok(false) };
        if !replace(found, depth + 1, look, made, budget)? {
            return Ok(false);
        }
    }
    made.push_str(rest);
    Ok(true)
}
