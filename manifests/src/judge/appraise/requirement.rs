//! Requirements of fixes. Exact fingerprints decide, versions describe.

use super::loaded::failings;
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
                let expected: Vec<_> = sha256.iter().map(ToString::to_string).collect();
                let finding = |(outcome, found)| {
                    let (subject, file) = (path.clone(), Some(path.clone()));
                    let expected = expected.join(" or ");
                    Finding::new(outcome, Detail { subject, expected, found, file, line: None })
                };
                let Some(seen) = self.state.files.get(path) else {
                    return finding((Outcome::Unknown, "not in evidence".to_owned()));
                };
                match &seen.content {
                    FileSeen::Digest(digest) if sha256.contains(digest) => {
                        let failing = failings(&seen.loaded, Outcome::NotLoaded).into_iter();
                        let failing = failing.map(|(outcome, found)| (outcome, format!("{digest} on disk, {found}")));
                        let applied = || finding((Outcome::Applied, digest.to_string()));
                        failing.map(finding).reduce(Finding::and).unwrap_or_else(applied)
                    }
                    FileSeen::Digest(digest) => finding((Outcome::Missing, digest.to_string())),
                    FileSeen::Absent => finding((Outcome::Missing, "absent".to_owned())),
                    FileSeen::Unknown(why) => finding((Outcome::Unknown, unknown(*why))),
                }
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
