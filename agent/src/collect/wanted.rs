//! What of a baseline concerns one host, by role and site.

use std::collections::{BTreeMap, BTreeSet};

use manifests::baseline::{Baseline, Concerns, Requirement, Requires};
use manifests::registry::Host;
use manifests::version::Version;

/// Whether an item concerns the host by role and site. Its `when` is the appraiser's to judge.
pub(super) fn concerns(concerns: &Concerns, host: Option<&Host>) -> bool {
    host.is_none_or(|host| host.is_among(concerns))
}

/// What requirements of fixes name, of those that concern the host.
pub(super) struct Wanted<'a> {
    pub(super) files: BTreeSet<&'a str>,
    pub(super) packages: BTreeMap<&'a str, &'a Version>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(baseline: &'a Baseline, host: Option<&Host>) -> Self {
        let mut wanted = Self { files: BTreeSet::new(), packages: BTreeMap::new() };
        for fix in baseline.fixes.iter().filter(|fix| concerns(&fix.concerns, host)) {
            let Requires::All(requirements) = &fix.requires else { continue };
            for requirement in requirements {
                match requirement {
                    Requirement::File { path, .. } => _ = wanted.files.insert(path),
                    Requirement::Package { package, at_least } => _ = wanted.packages.insert(package, at_least),
                    Requirement::Program { .. } | Requirement::Setting(_) => {}
                }
            }
        }
        wanted
    }
}
