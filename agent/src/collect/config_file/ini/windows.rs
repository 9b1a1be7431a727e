//! Windows' `GetPrivateProfileStringW`, by its documentation. What that leaves open is doubtful.

use manifests::evidence::Odd;

use super::super::key::Key;
use super::{Raw, RawValue, Refusal, Taken};

const BLANK: [char; 2] = [' ', '\t'];

pub(super) fn take(text: &str) -> Result<Taken, Refusal> {
    let mut taken = Taken::default();
    let mut section: Option<(String, bool)> = None;
    let mut at = 0;
    let mut sections = std::collections::BTreeSet::new();
    let mut is_repeated = false;
    let mut names = std::collections::BTreeSet::new();
    for line in text.split_inclusive(['\n', '\r']) {
        let start = at;
        at += line.len();
        let line = line.trim_matches(['\n', '\r']).trim_matches(BLANK);
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[')
            && let Some((name, _)) = rest.rsplit_once(']')
        {
            // Whether blanks within the brackets belong to the name is not documented.
            let bare = name.trim_matches(BLANK);
            is_repeated = !sections.insert(folded(bare));
            section = Some((bare.to_owned(), bare.len() != name.len()));
            continue;
        }
        let (Some((section, doubtful)), Some((name, value))) = (&section, line.split_once('=')) else {
            taken.passed_over = true;
            continue;
        };
        let name = name.trim_end_matches(BLANK);
        // The first section of a name is the one that is searched, and in it the first key of a name.
        if is_repeated || name.is_empty() || !names.insert((folded(section), folded(name))) {
            continue;
        }
        let value = unquoted(value.trim_matches(BLANK)).as_bytes().to_vec();
        let value = if *doubtful { RawValue::Doubtful(value, Odd::Section) } else { RawValue::Text(value) };
        let section = Some(section.as_bytes().to_vec());
        taken.push(Raw { section, name: name.as_bytes().to_vec(), value, at: start })?;
    }
    Ok(taken)
}

// "If the string is enclosed in single or double quotation marks, the marks are discarded."
fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// Capitals make no other name.
pub(super) fn fold(key: &Key) -> Key {
    key.folded(|name, _| folded(name))
}
