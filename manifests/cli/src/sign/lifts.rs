//! What lifts are to say: every lift ever written.

use std::collections::BTreeMap;

use manifests::id::ProductId;
use manifests::registry::Registry;
use manifests::source;
use manifests::succession;
use manifests::tuf::TargetFile;
use manifests::tuf::repository::lift_path;

use crate::directory::Directory;
use crate::directory::REGISTRY;
use crate::exit::CommandError;
use crate::lift;
use crate::role_metadata::{RoleMetadata, RoleVersions};
use crate::sign::{SignError, Signing};

/// All lifts of the directory, if each is one and none that was listed is gone.
pub(super) fn content(
    directory: &Directory,
    product: &ProductId,
    last: Option<&RoleMetadata>,
) -> Result<BTreeMap<String, TargetFile>, CommandError> {
    let mut targets = BTreeMap::new();
    for (stop, number) in directory.lifts()? {
        let path = lift_path(&stop, number);
        let bytes = directory.read(&path)?;
        lift::read(&bytes, product, &stop).map_err(|why| SignError::Lift { name: path.clone(), why })?;
        targets.insert(path, TargetFile::of(&bytes));
    }
    if let Some(last) = last
        && let Some(source) = succession::removed_lifts(&last.targets.targets, &targets).next()
    {
        return Err(SignError::DoesNotFollow { name: last.name.clone(), source }.into());
    }
    Ok(targets)
}

/// Each lift that the last complete version does not list: stop, sites, reason.
///
/// What `lift` found of them is asked again: of the registry here, and of `remote` if there is one. No lift is
/// ever removed, so one of before a new ceremony is not held up by a site that left since, nor by being in force.
pub(super) fn changes(signing: &Signing<'_>, documents: &RoleVersions) -> Result<Vec<String>, CommandError> {
    let Signing { directory, people, remote, now, .. } = signing;
    let registry = registry(directory);
    let (mut lines, mut obstacles) = (Vec::new(), Vec::new());
    let all = directory.lifts()?;
    for (stop, number) in &all {
        let path = lift_path(stop, *number);
        let is_listed =
            |of: &Option<RoleMetadata>| of.as_ref().is_some_and(|of| of.targets.targets.contains_key(&path));
        if is_listed(&documents.complete) {
            continue;
        }
        let is_of_before = is_listed(&documents.of_before);
        let lift = lift::read(&directory.read(&path)?, &people.product, stop)
            .map_err(|why| SignError::Lift { name: path.clone(), why })?;
        lines.push(format!("+ {path}"));
        lines.push(format!("  ends stop {stop}, written {}", lift.time));
        for site in &lift.sites {
            let listed = registry.as_ref().map(|registry| registry.site(site).map(|site| site.name.en.clone()));
            match listed {
                Some(Some(name)) => lines.push(format!("  site {site} {name}")),
                Some(None) if is_of_before => lines.push(format!("  site {site}, which is not in the registry")),
                Some(None) => obstacles.push(format!("{path}: site {site} is not in the registry")),
                None => lines.push(format!("  site {site}")),
            }
        }
        lines.push(format!("  reason: {}", lift.reason));
        let before: Vec<_> = all.iter().filter(|(of, other)| of == stop && other < number).copied().collect();
        obstacles.extend(lift::written_before(directory, &before, (&people.product, stop), &lift.sites)?);
        match remote {
            Some(remote) => {
                let (stop, open) = lift::asked(remote, stop, &lift.sites, *now)?;
                lines.push(format!(
                    "  the stop: number {}, {:?}, by {:?}",
                    stop.stop.number, stop.reason, stop.operator
                ));
                if is_of_before && lift.sites.iter().all(|site| stop.lifted.contains(site)) {
                    lines.push("  in force at the controller".to_owned());
                } else {
                    obstacles.extend(open.into_iter().map(|obstacle| format!("{path}: {obstacle}")));
                }
            }
            None => lines
                .push("  not held against a controller; name one (--controller) to ask what is open there".to_owned()),
        }
    }
    if lines.is_empty() {
        lines.push("nothing but its end".to_owned());
    }
    if obstacles.is_empty() { Ok(lines) } else { Err(SignError::Open { shown: lines, obstacles }.into()) }
}

// The one here, if nobody is writing in it; where it cannot be read, sites have no names.
fn registry(directory: &Directory) -> Option<Registry> {
    source::registry_from_bytes(&directory.read(REGISTRY).ok()?).ok()
}
