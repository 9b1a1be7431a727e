//! Directives that read another file, and whether a configuration lists that file.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::collect::wildcard;

/// What a directive names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One file; relative to the file that includes it.
    File(String),
    /// The files of a directory whose names match.
    Directory(String, &'static str),
    /// What cannot be told from the file alone.
    Unknown,
}

/// A directive that reads another file at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Include {
    pub(crate) target: Target,
    /// Where it stands, from 1.
    pub(crate) line: u32,
    /// How many entries of the file stand before it.
    pub(crate) entries_before: usize,
}

impl Include {
    /// Whether `patterns`, the files of the configuration as they are on this host, have what it includes.
    /// A directory must be listed by a pattern: a name may come that is not there now.
    pub(crate) fn is_listed(&self, file: &Path, patterns: &[PathBuf]) -> bool {
        let beside = |path: &str| normal(&file.parent().unwrap_or(Path::new("/")).join(path));
        match &self.target {
            Target::Unknown => false,
            Target::File(path) => {
                let path = beside(path);
                patterns.iter().any(|pattern| match (pattern.file_name(), path.file_name()) {
                    _ if normal(pattern) == path => true,
                    (Some(glob), Some(name)) if wildcard::is_pattern(glob.as_bytes()) => {
                        pattern.parent().map(normal) == path.parent().map(Path::to_owned)
                            && wildcard::matches_name(glob.as_bytes(), name.as_bytes())
                    }
                    _ => false,
                })
            }
            Target::Directory(path, names) => {
                let path = beside(path);
                patterns.iter().any(|pattern| {
                    let glob = pattern.file_name().map(OsStrExt::as_bytes);
                    let covers = glob == Some(names.as_bytes()) || glob == Some(b"*");
                    covers && pattern.parent().map(normal).as_deref() == Some(&path)
                })
            }
        }
    }
}

// Without `.` and `..`, as the path reads: links are not followed.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = normal.pop(),
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_include_is_listed_by_its_path_or_by_a_pattern_that_has_it() {
        let listed = |target: Target, patterns: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(PathBuf::from).collect();
            Include { target, line: 1, entries_before: 0 }.is_listed(Path::new("/etc/a/main.cnf"), &patterns)
        };
        let file = |path: &str| Target::File(path.to_owned());
        assert!(listed(file("other.cnf"), &["/etc/a/main.cnf", "/etc/a/other.cnf"]));
        assert!(listed(file("./d/../other.cnf"), &["/etc/a/other.cnf"]));
        assert!(listed(file("/etc/b/x.cnf"), &["/etc/b/*.cnf"]));
        assert!(!listed(file("/etc/b/x.conf"), &["/etc/b/*.cnf"]));
        assert!(!listed(file("x.cnf"), &["/etc/b/*.cnf"]));
        assert!(!listed(Target::Unknown, &["/etc/a/*"]));
        let directory = |path: &str| Target::Directory(path.to_owned(), "*.cnf");
        assert!(listed(directory("conf.d/"), &["/etc/a/conf.d/*.cnf"]));
        assert!(listed(directory("/etc/a/conf.d"), &["/etc/a/conf.d/*"]));
        assert!(!listed(directory("conf.d"), &["/etc/a/conf.d/one.cnf"]));
    }
}
