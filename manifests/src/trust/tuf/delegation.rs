//! Which delegated roles may speak for a path (TUF 1.0.34, 4.5).

use crate::digest::Digest;
use crate::tuf::metadata::{Delegation, Delegations};

impl Delegation {
    /// Whether this role may speak for `path`.
    pub fn covers(&self, path: &str) -> bool {
        let by_pattern = self.paths.iter().flatten().any(|pattern| matches(pattern, path));
        by_pattern
            || self.path_hash_prefixes.as_ref().is_some_and(|prefixes| {
                let digest = Digest::of(path.as_bytes()).hex();
                prefixes.iter().any(|prefix| digest.starts_with(prefix.as_str()))
            })
    }
}

impl Delegations {
    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&Delegation> {
        self.roles.iter().find(|role| role.name == name)
    }
}

// Directory by directory, so that no wildcard reaches across a separator. Brackets are no wildcards:
// the specification names `*` and `?`.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if matches_name(pattern, name) => {}
            _ => return false,
        }
    }
}

// Goes back to the last `*` only, so the cost is the product of the lengths, whatever the pattern.
fn matches_name(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&letter) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == letter => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_a_directory() {
        for (pattern, path) in [
            ("lifts/*/*", "lifts/ab/1.json"),
            ("*.tgz", "foo.tgz"),
            ("foo-?.tgz", "foo-é.tgz"),
            ("a*b*c", "aXbXbXc"),
            ("*", ""),
            ("a/**", "a/b"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("lifts/*/*", "lifts/ab"),
            ("lifts/*/*", "lifts/a/b/c"),
            ("lifts/*/*", "targets/a/b"),
            ("*.tgz", "a/foo.tgz"),
            ("foo-?.tgz", "foo-alpha.tgz"),
            ("*.MD", "README.md"),
            ("a*b*c", "aXbX"),
            ("?", "/"),
            ("[ab]", "a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        let long = "a".repeat(2000);
        assert!(!matches(&"a*".repeat(30).replace("**", "*"), &format!("{long}/")));
        assert!(!matches_name(&format!("{}b", "a*".repeat(500)), &long));
    }
}
