//! Requirements of fixes. Exact fingerprints decide, versions describe.

use super::loaded::{Compared, compared};
use super::program::{Asked, unknown};
use super::{Finding, Judge};
use crate::baseline::Requirement;
use crate::evidence::{FileSeen, PackageSeen};
use crate::outcome::{Detail, Outcome};
use crate::reference::Recognized;
use crate::version::{Scheme, Version};

impl Judge<'_> {
    pub(super) fn requirement(&self, requirement: &Requirement) -> Finding {
        // What a requirement names is checked when the baseline is read.
        let dangling = Finding::of(Outcome::Unknown, Vec::new());
        match requirement {
            Requirement::Program { program, fixed_in, or_patch } => {
                let Some(program) = self.baseline().program(program) else { return dangling };
                let carries = |recognized: &Recognized<'_>| {
                    fixed_in.contains(&recognized.release.version)
                        || recognized.patches.iter().any(|patch| Some(&patch.id) == or_patch.as_ref())
                };
                let expected = match or_patch {
                    Some(patch) => format!("{fixed_in} or {patch}"),
                    None => fixed_in.to_string(),
                };
                self.program(program, &Asked::WithFix { carries: &carries, expected })
            }
            Requirement::Setting(id) => self.baseline().setting(id).map_or(dangling, |s| self.setting(s)),
            Requirement::File { path, sha256 } => {
                let (outcome, found) = match self.state.files.get(path).map(|seen| (&seen.content, &seen.loaded)) {
                    Some((FileSeen::Digest(digest), loaded)) if sha256.contains(digest) => match compared(loaded) {
                        Compared::Current => (Outcome::Applied, digest.to_string()),
                        Compared::Older(found) | Compared::Elsewhere(found) => {
                            (Outcome::NotLoaded, format!("{digest} on disk, a process has {found}"))
                        }
                        Compared::Unknown(found) => (Outcome::Unknown, format!("{digest} on disk, {found}")),
                    },
                    Some((FileSeen::Digest(digest), _)) => (Outcome::Missing, digest.to_string()),
                    Some((FileSeen::Absent, _)) => (Outcome::Missing, "absent".to_owned()),
                    Some((FileSeen::Unknown(why), _)) => (Outcome::Unknown, unknown(*why)),
                    None => (Outcome::Unknown, "not in evidence".to_owned()),
                };
                let expected: Vec<_> = sha256.iter().map(ToString::to_string).collect();
                let expected = expected.join(" or ");
                let detail = Detail { subject: path.clone(), expected, found, file: Some(path.clone()), line: None };
                Finding::new(outcome, detail)
            }
            Requirement::Package { package, at_least } => {
                let (outcome, found) = match self.state.packages.get(package) {
                    Some(PackageSeen::Version(version)) => (compare(version, at_least), version.clone()),
                    Some(PackageSeen::Absent) => (Outcome::Missing, "absent".to_owned()),
                    Some(PackageSeen::Unknown(why)) => (Outcome::Unknown, unknown(*why)),
                    None => (Outcome::Unknown, "not in evidence".to_owned()),
                };
                let expected = format!("≥ {at_least}");
                Finding::new(
                    outcome,
                    Detail { subject: format!("package {package}"), expected, found, file: None, line: None },
                )
            }
        }
    }
}

fn compare(found: &str, at_least: &Version) -> Outcome {
    let scheme = match at_least {
        Version::Dpkg(_) => Scheme::Dpkg,
        Version::Rpm(_) => Scheme::Rpm,
        Version::Semver(_) => Scheme::Semver,
        Version::Vl { .. } => Scheme::Vl,
    };
    let order = Version::parse(found, scheme).ok().and_then(|version| version.order(at_least));
    match order {
        None => Outcome::Unknown,
        Some(std::cmp::Ordering::Less) => Outcome::Missing,
        Some(_) => Outcome::Applied,
    }
}
