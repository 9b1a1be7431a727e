//! What of a tree counts.

use std::path::{Path, PathBuf};

use manifests::exclude::Globs;

/// What of a tree counts.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    exclude: Option<Globs>,
    /// Directories of which nothing counts, so that they need not be read or watched at all.
    whole: Option<Globs>,
    /// Links whose targets count.
    follow: Option<Globs>,
    /// Where paths begin: empty, or the link of the tree by which the directory is seen.
    below: PathBuf,
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        let of = |scope: &Self| (scope.sources().to_vec(), scope.follow_sources().to_vec(), scope.below.clone());
        of(self) == of(other)
    }
}

impl Eq for Scope {}

impl Scope {
    /// Everything that `exclude` does not name.
    pub fn new(exclude: &Globs) -> Self {
        let sources = exclude.sources();
        // `logs/**` leaves out all that is in `logs`; with a `!` somewhere that cannot be told from
        // the directory alone. Anchored, as a glob with a slash in it is.
        let whole = if sources.iter().any(|source| source.starts_with('!')) {
            None
        } else {
            let directories = sources.iter().filter_map(|source| source.strip_suffix("/**"));
            let anchored = directories.filter(|source| !source.is_empty()).map(|source| {
                if source.starts_with('/') || source.starts_with("**/") {
                    source.to_owned()
                } else {
                    format!("/{source}")
                }
            });
            Globs::new(anchored.collect()).ok()
        };
        Self { exclude: Some(exclude.clone()), whole, ..Self::default() }
    }

    /// The same, and what lies behind the links that `follow` names.
    #[must_use]
    pub fn following(self, follow: &Globs) -> Self {
        Self { follow: Some(follow.clone()), ..self }
    }

    /// Everything counts.
    pub(crate) fn everything() -> Self {
        Self::default()
    }

    /// What counts of the directory that the link `link` of the tree leads to: paths there are matched as
    /// they are seen through the link.
    pub(crate) fn below(&self, link: &Path) -> Self {
        Self { below: self.below.join(link), ..self.clone() }
    }

    /// The globs of what does not count.
    pub(crate) fn sources(&self) -> &[String] {
        self.exclude.as_ref().map_or(&[], Globs::sources)
    }

    fn follow_sources(&self) -> &[String] {
        self.follow.as_ref().map_or(&[], Globs::sources)
    }

    /// Whether an entry whose directory counts does not.
    pub fn excludes(&self, path: &Path, is_directory: bool) -> bool {
        let joined;
        let path = if self.below.as_os_str().is_empty() {
            path
        } else {
            joined = self.below.join(path);
            &joined
        };
        self.exclude.as_ref().is_some_and(|globs| globs.excludes(path, is_directory))
            || is_directory && self.whole.as_ref().is_some_and(|globs| globs.excludes(path, true))
    }

    /// Whether a path below the root does not count, or lies in a directory that does not.
    pub fn excludes_below(&self, path: &Path, is_directory: bool) -> bool {
        let mut above = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        above.any(|parent| self.excludes(parent, true)) || self.excludes(path, is_directory)
    }

    /// Whether what lies behind the link at `path` counts. The link itself must be named: that something
    /// above it is followed says nothing of where it leads. A glob that ends in `/` names links to directories
    /// as well, for so the program sees them.
    pub(crate) fn follows(&self, path: &Path) -> bool {
        self.follow.as_ref().is_some_and(|globs| globs.name_link(&self.below.join(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(globs: &[&str]) -> Globs {
        Globs::new(globs.iter().map(|glob| (*glob).to_owned()).collect()).unwrap()
    }

    fn scope(sources: &[&str]) -> Scope {
        Scope::new(&globs(sources))
    }

    #[test]
    fn a_directory_of_which_nothing_counts_is_not_entered() {
        let plain = scope(&["logs/**", "**/cache/**", "/var/tmp/**"]);
        for path in ["logs", "cache", "lib/cache", "var/tmp"] {
            assert!(plain.excludes(Path::new(path), true), "{path}");
        }
        for path in ["lib/logs", "var", "tmp", "lib"] {
            assert!(!plain.excludes(Path::new(path), true), "{path}");
        }
        assert!(plain.excludes_below(Path::new("logs/deep/a.log"), false));
        assert!(!scope(&["logs/**", "!logs/keep"]).excludes(Path::new("logs"), true));
        assert!(!scope(&["logs/**", "!logs/keep"]).excludes(Path::new("logs/keep"), false));
        // The directory's own name says nothing of a file or link that takes its place.
        assert!(!plain.excludes(Path::new("logs"), false));
    }

    #[test]
    fn behind_a_link_paths_are_matched_as_they_are_seen_through_it() {
        let scope = scope(&["data/logs/**", "*.tmp"]).following(&globs(&["/data", "modules/", "lib/**"]));
        let behind = scope.below(Path::new("data"));
        assert!(behind.excludes(Path::new("logs"), true) && behind.excludes(Path::new("x.tmp"), false));
        assert!(!behind.excludes(Path::new("logs2"), true));
        for link in ["data", "modules", "lib/deep/x"] {
            assert!(scope.follows(Path::new(link)), "{link}");
        }
        for link in ["other", "other/data", "library", "modules/x", "data/x"] {
            assert!(!scope.follows(Path::new(link)), "{link}");
        }
        assert!(scope.below(Path::new("lib")).follows(Path::new("x")));
        assert_ne!(behind, scope);
    }
}
