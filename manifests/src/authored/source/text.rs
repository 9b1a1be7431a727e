//! Readers of the texts that keys hold: ids, digests, paths, globs, spans, words for people.

use std::path::Path;

use super::GLOBS_MAX;
use super::reader::Node;
use super::sheet::{is_unprintable, printable};
use crate::baseline::Localized;
use crate::digest::Digest;
use crate::exclude::Globs;
use crate::id::{HostId, IdError, ItemId, ProductId, SiteCode};
use crate::time::Span;
use crate::tree::PATH_BYTES_MAX;
use crate::version::{Range, Scheme, Version};

/// The longest text for people, in characters.
pub(super) const TEXT_CHARS_MAX: usize = 4000;
/// The longest name, owner or variant, in characters.
pub(super) const LABEL_CHARS_MAX: usize = 200;
/// The longest glob or key of a configuration, in bytes.
pub(super) const GLOB_BYTES_MAX: usize = 1024;
/// The longest version of a baseline or an agent, in bytes.
const SEMVER_BYTES_MAX: usize = 64;

/// `scheme`.
pub(super) const SCHEMES: [(&str, Scheme); 4] =
    [("semver", Scheme::Semver), ("vl", Scheme::Vl), ("dpkg", Scheme::Dpkg), ("rpm", Scheme::Rpm)];

fn id<T: std::str::FromStr<Err = IdError>>(node: &Node<'_>) -> Option<T> {
    match node.text("an id in quotes")?.parse() {
        Ok(id) => Some(id),
        Err(error @ IdError::CheckDigit { .. }) => {
            let IdError::CheckDigit { code, check } = &error else { return None };
            let right = format!("{}{check}", code.get(..5).unwrap_or_default());
            node.refuse_with(
                "bad-code",
                format!("`{code}` is no local government code: its last digit does not follow from the first five"),
                format!("{right} has the right check digit"),
            )
        }
        Err(IdError::Shape { text, expected }) => {
            node.refuse("bad-id", format!("`{}` is not {expected}", printable(&text)))
        }
    }
}

/// An item's, fact's or patch's id.
pub(super) fn item_id(node: &Node<'_>) -> Option<ItemId> {
    id(node)
}

/// A host's id.
pub(super) fn host_id(node: Node<'_>) -> Option<HostId> {
    id(&node)
}

/// A site's code. What has not six digits is a `bad-code` as well: there is nothing else it could be.
pub(super) fn site_code(node: Node<'_>) -> Option<SiteCode> {
    let text = node.text("a local government code of 6 digits in quotes")?;
    match text.parse::<SiteCode>() {
        Err(IdError::Shape { expected, .. }) => {
            node.refuse("bad-code", format!("`{}` is not {expected}", printable(text)))
        }
        _ => id(&node),
    }
}

/// The product's id.
pub(super) fn product_id(node: Node<'_>) -> Option<ProductId> {
    id(&node)
}

/// Any other id.
pub(super) fn any_id<T: std::str::FromStr<Err = IdError>>(node: Node<'_>) -> Option<T> {
    id(&node)
}

/// A list without repetitions of 1 to `most` elements.
pub(super) fn set<'a, T: PartialEq + Ord + Clone>(
    node: &Node<'a>,
    most: usize,
    mut read: impl FnMut(Node<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut seen = std::collections::BTreeSet::new();
    node.list(most, |element| {
        let value = read(element.clone())?;
        if seen.insert(value.clone()) {
            Some(value)
        } else {
            element.refuse("duplicate-value", "stands in this list already")
        }
    })
}

/// A digest.
pub(super) fn digest(node: Node<'_>) -> Option<Digest> {
    match node.text("a digest in quotes, sha256: and 64 hexadecimal digits")?.parse() {
        Ok(digest) => Some(digest),
        Err(error) => node.refuse("bad-digest", error.to_string()),
    }
}

/// A length of time.
pub(super) fn span(node: &Node<'_>) -> Option<Span> {
    match node.text("a length of time in quotes, as \"30m\"")?.parse() {
        Ok(span) => Some(span),
        Err(error) => node.refuse("bad-span", error.to_string()),
    }
}

/// A version under the program's scheme. Nothing is said where the scheme itself is wrong.
pub(super) fn version(node: &Node<'_>, scheme: Option<Scheme>) -> Option<Version> {
    let text = node.text("a version in quotes")?;
    match Version::parse(text, scheme?) {
        Ok(version) => Some(version),
        Err(error) => node.refuse("bad-version", printable_error(text, "version", &error)),
    }
}

/// A range under the program's scheme.
pub(super) fn range(node: &Node<'_>, scheme: Option<Scheme>) -> Option<Range> {
    let text = node.text("a range of versions in quotes, as \">=3.4.2\"")?;
    match Range::parse(text, scheme?) {
        Ok(range) if range.is_empty() => {
            node.refuse("bad-range", format!("no version lies in the range `{}`", printable(text)))
        }
        Ok(range) => Some(range),
        Err(error) => node.refuse_with(
            "bad-range",
            printable_error(text, "range", &error),
            "comparisons joined by commas, as \">=3.4.2, <4.0.0\"",
        ),
    }
}

fn printable_error(text: &str, what: &str, error: &crate::version::VersionError) -> String {
    let scheme = SCHEMES.iter().find(|(_, scheme)| *scheme == error.scheme).map_or("", |(name, _)| name);
    format!("`{}` is no {what} of scheme {scheme}: {}", printable(text), printable(&error.why))
}

/// One line of text for people.
fn line(node: &Node<'_>, chars_max: usize) -> Option<String> {
    let text = node.text("a text in quotes")?;
    let count = text.chars().count();
    if count > chars_max {
        return node.refuse("too-long", format!("{count} characters, at most {chars_max} are allowed"));
    }
    if text.trim().is_empty() {
        return node.refuse("empty-text", "there is no text here");
    }
    if text.chars().any(is_unprintable) {
        return node.refuse_with(
            "bad-text",
            "a line break, control character or invisible character, which could deceive whoever reads it",
            "keep texts to one line; a \\ at the end of a line in \"\"\" joins it with the next",
        );
    }
    if text.trim() != text {
        return node.refuse("bad-text", "a text neither begins nor ends with a space");
    }
    Some(text.to_owned())
}

/// A text for people.
pub(super) fn prose(node: Node<'_>) -> Option<String> {
    line(&node, TEXT_CHARS_MAX)
}

/// A name, an owner, a variant.
pub(super) fn label(node: Node<'_>) -> Option<String> {
    line(&node, LABEL_CHARS_MAX)
}

/// `{ en = "…", ja = "…" }`.
pub(super) fn localized(node: Node<'_>) -> Option<Localized> {
    node.table(|t| {
        let en = t.required("en", prose);
        let ja = t.optional("ja", prose);
        Some(Localized { en: en?, ja })
    })
}

/// The key of a configuration.
pub(super) fn config_key(node: Node<'_>) -> Option<String> {
    let text = node.text("a key in quotes, as \"queue.lock\"")?;
    if text.trim().is_empty() {
        return node.refuse("bad-key", "the key is empty");
    }
    if text.len() > GLOB_BYTES_MAX || text.chars().any(char::is_control) {
        return node.refuse("bad-key", format!("a key has at most {GLOB_BYTES_MAX} bytes and no control characters"));
    }
    Some(text.to_owned())
}

// What makes `components` no path, if anything.
fn path_fault(text: &str, components: &str) -> Option<String> {
    if text.len() > PATH_BYTES_MAX {
        return Some(format!("a path has at most {PATH_BYTES_MAX} bytes"));
    }
    if text.chars().any(is_unprintable) {
        return Some("the path has control characters in it".to_owned());
    }
    let odd = components.split('/').find(|component| matches!(*component, "" | "." | ".."))?;
    Some(match odd {
        "" => "the path has an empty component: // or a / at its end".to_owned(),
        dots => format!("the path has `{dots}` in it"),
    })
}

/// An absolute path.
pub(super) fn absolute_path(node: &Node<'_>) -> Option<String> {
    let text = node.text("an absolute path in quotes")?;
    let Some(components) = text.strip_prefix('/') else {
        return node.refuse("bad-path", format!("`{}` is not absolute: it does not begin with /", printable(text)));
    };
    match path_fault(text, components) {
        Some(fault) => node.refuse("bad-path", fault),
        None => Some(text.to_owned()),
    }
}

/// An absolute path that may have `*` and `?` in its last component.
pub(super) fn layer(node: Node<'_>) -> Option<String> {
    let path = absolute_path(&node)?;
    match path.rsplit_once('/') {
        Some((parents, _)) if parents.contains(['*', '?']) => {
            node.refuse("bad-glob", "* and ? stand only in the last component of a path")
        }
        _ => Some(path),
    }
}

/// The fault of a path relative to a program's root.
pub(super) fn relative_path_fault(text: &str) -> Option<String> {
    if text.starts_with('/') {
        return Some("the path is absolute; write it relative to the program's root".to_owned());
    }
    path_fault(text, text)
}

/// A path that may be relative to a program's root.
pub(super) fn executable(node: Node<'_>) -> Option<String> {
    let text = node.text("a path in quotes")?;
    if text.starts_with('/') {
        return absolute_path(&node);
    }
    match relative_path_fault(text) {
        Some(fault) => node.refuse("bad-path", fault),
        None => Some(text.to_owned()),
    }
}

/// One glob.
pub(super) fn glob(node: Node<'_>) -> Option<String> {
    let text = node.text("a glob in quotes")?;
    if text.len() > GLOB_BYTES_MAX || text.chars().any(is_unprintable) {
        return node.refuse("bad-glob", format!("a glob has at most {GLOB_BYTES_MAX} bytes, all of them printable"));
    }
    match Globs::new(vec![text.to_owned()]) {
        Ok(_) => Some(text.to_owned()),
        Err((_, error)) => node.refuse("bad-glob", printable(&error)),
    }
}

/// A list of gitignore globs.
pub(super) fn globs(node: Node<'_>) -> Option<Globs> {
    let sources = node.list(GLOBS_MAX, glob)?;
    match Globs::new(sources) {
        // Together they must compile as well: the whole is one automaton with a size of its own.
        Ok(globs) => {
            // Names that no glob would name by themselves. A directory that is excluded hides what is in
            // it, unless a later glob takes some of them back by name.
            let excludes = |path, is_directory| globs.excludes(Path::new(path), is_directory);
            let takes_back = globs.sources().iter().any(|source| source.starts_with('!'));
            let below = excludes("Zq3xKd/Yw8vPb", false) || (!takes_back && excludes("Zq3xKd", true));
            if excludes("Zq3xKd", false) && below {
                return node.refuse("bad-glob", "these globs exclude every file: nothing would be judged");
            }
            Some(globs)
        }
        Err((_, error)) => node.refuse("bad-glob", printable(&error)),
    }
}

/// A version of the baseline or of the agent.
pub(super) fn semver(node: Node<'_>) -> Option<semver::Version> {
    let text = node.text("a version in quotes, as \"1.2.3\"")?;
    match semver::Version::parse(text) {
        Ok(version) if text.len() <= SEMVER_BYTES_MAX => Some(version),
        _ => node.refuse_with("bad-version", "not a semantic version", "three numbers, as \"2023.7.2\""),
    }
}
