//! Gitignore globs, by which a program's tree leaves paths out.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// A list of gitignore globs, relative to a root.
#[derive(Clone, Debug)]
pub struct Globs {
    sources: Vec<String>,
    matcher: Gitignore,
}

impl Globs {
    /// Compiles `sources`; a later glob wins over an earlier one, `!` takes back.
    ///
    /// # Errors
    /// The index of the first glob that is none, and the compiler's words.
    pub fn new(sources: Vec<String>) -> Result<Self, (usize, String)> {
        let mut builder = GitignoreBuilder::new("");
        builder.allow_unclosed_class(false);
        for (index, source) in sources.iter().enumerate() {
            // `#` and blank lines mean nothing in a list, and would silently exclude nothing.
            if source.trim().is_empty() || source.starts_with('#') {
                return Err((index, "an empty glob or a comment excludes nothing".to_owned()));
            }
            builder.add_line(None, source).map_err(|error| (index, error.to_string()))?;
        }
        let matcher = builder.build().map_err(|error| (0, error.to_string()))?;
        Ok(Self { sources, matcher })
    }

    /// The globs as written.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Whether the file at `path`, relative to the root, does not count, by itself or by a directory above it.
    pub fn hides(&self, path: &Path) -> bool {
        // A directory first seen as excluded is never entered, whatever a later glob says of its files.
        let directories = path.ancestors().skip(1).filter(|directory| !directory.as_os_str().is_empty());
        self.excludes(path, false) || directories.into_iter().any(|directory| self.excludes(directory, true))
    }

    /// Whether a glob names the symbolic link at `path`, as a file or as the directory that it may lead to. What is
    /// above or below it is another matter.
    pub fn name_link(&self, path: &Path) -> bool {
        self.excludes(path, false) || self.excludes(path, true)
    }

    /// Whether `path`, relative to the root, does not count. A directory that does not count is not entered.
    pub fn excludes(&self, path: &Path, is_directory: bool) -> bool {
        self.matcher.matched(path, is_directory).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_counts_but_what_a_glob_names() {
        let globs = Globs::new(vec!["logs/**".to_owned(), "*.tmp".to_owned(), "!keep.tmp".to_owned()]).unwrap();
        assert!(globs.excludes(Path::new("logs/a.log"), false));
        assert!(globs.excludes(Path::new("lib/x.tmp"), false));
        assert!(!globs.excludes(Path::new("lib/keep.tmp"), false));
        assert!(!globs.excludes(Path::new("lib/logs.so"), false));
        assert!(!globs.excludes(Path::new("logs"), true));
        let globs = Globs::new(vec!["/var/".to_owned(), "!var/lib/a".to_owned()]).unwrap();
        assert!(globs.hides(Path::new("var/lib/a")) && !globs.hides(Path::new("lib/var")));
    }

    #[test]
    fn a_link_is_named_by_itself_alone() {
        let globs = Globs::new(vec!["/lib/*.mod".to_owned(), "modules/".to_owned(), "deep/**".to_owned()]).unwrap();
        for link in ["lib/a.mod", "modules", "x/modules", "deep/a/b"] {
            assert!(globs.name_link(Path::new(link)), "{link}");
        }
        for link in ["lib", "lib/x/a.mod", "modules/x", "deep"] {
            assert!(!globs.name_link(Path::new(link)), "{link}");
        }
    }

    #[test]
    fn a_bad_glob_names_its_place() {
        assert_eq!(Globs::new(vec!["ok/**".to_owned(), "a[".to_owned()]).unwrap_err().0, 1);
        assert_eq!(Globs::new(vec!["# comment".to_owned()]).unwrap_err().0, 0);
    }
}
