//! `*` and `?` as a shell knows them, over bytes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether the whole of `text` matches `pattern`: `*` any bytes, `?` one byte, no escape.
///
/// Takes at most the product of the two lengths, whatever the pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut p) = (0, 0);
    // Where the last star stands, and the text it was last made to begin behind.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(at) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, at));
                p += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                p += 1;
                at += 1;
            }
            _ => match star {
                Some((star_at, from)) => {
                    star = Some((star_at, from + 1));
                    p = star_at + 1;
                    at = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

/// Whether `pattern` has a wildcard at all.
pub(crate) fn is_pattern(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// Whether a directory entry matches: as in a shell, a leading dot is matched only by a dot.
pub(crate) fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    (!name.starts_with(b".") || pattern.starts_with(b".")) && matches(pattern, name)
}

/// Whether a path or pattern of a baseline names this file: wildcards stand in the last component alone.
pub(crate) fn names(pattern: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    path == pattern
        || pattern.parent() == path.parent() && is_pattern(&name(pattern)) && matches_name(&name(pattern), &name(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*.xml", "a.xml", true),
            ("*.xml", "a.xml.bak", false),
            ("*.xml", ".hidden.xml", false),
            (".*", ".hidden", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("", "", true),
            ("*", "", true),
            ("a**", "a", true),
            ("[a]", "[a]", true),
        ] {
            assert_eq!(matches_name(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
