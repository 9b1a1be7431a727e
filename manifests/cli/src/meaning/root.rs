//! What a root says, and what it changes.

use manifests::key::{KeyId, PublicKey};
use manifests::time::Time;
use manifests::tuf::{ROOT, RoleKeys, Root, SNAPSHOT, TARGETS, TIMESTAMP};
use manifests::units;

use crate::meaning::days;
use crate::people::{People, short};
use crate::roots::RootFile;

/// One line for each thing that `after` says and `before` did not, or the other way round.
pub(crate) fn changes(before: &Root, after: &Root, people: &People, now: Time) -> Vec<String> {
    let mut lines = Vec::new();
    for role in [ROOT, TARGETS, SNAPSHOT, TIMESTAMP] {
        let (old, new) = (keys(before, role), keys(after, role));
        let online = matches!(role, SNAPSHOT | TIMESTAMP);
        let name = |key: &PublicKey, root: &Root| {
            if online { short(&key.id()) } else { person(key, root, people) }
        };
        // Root and targets have the same people but in a root that somebody else made.
        let said_before = role == TARGETS
            && old.iter().map(|key| key.id()).eq(keys(before, ROOT).iter().map(|key| key.id()))
            && new.iter().map(|key| key.id()).eq(keys(after, ROOT).iter().map(|key| key.id()));
        let what = match online || !same_people(after) {
            true => format!("may sign {role}"),
            false => "may sign root, targets and lifts".to_owned(),
        };
        if !said_before {
            let has = |keys: &[&PublicKey], key: &PublicKey| keys.iter().any(|other| other.is_same_key(key));
            let came = new.iter().filter(|key| !has(&old, key));
            lines.extend(came.map(|key| format!("+ {} {what}", name(key, after))));
            let went = old.iter().filter(|key| !has(&new, key));
            lines.extend(went.map(|key| format!("- {} no longer {what}", name(key, before))));
        }
        let threshold = |root: &Root| root.roles.get(role).map_or(0, |keys| keys.threshold);
        if threshold(before) != threshold(after) {
            lines.push(format!("~ {role} needs {} signatures, was {}", threshold(after), threshold(before)));
        }
    }
    for key in keys(after, ROOT) {
        let (old, new) = (unit(before, key), unit(after, key));
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            lines.push(format!("~ {} is of the unit {new}, was {old}", people.name_of(key)));
        }
    }
    if before.units.is_empty() && !after.units.is_empty() {
        lines.push("~ units stand in the root from here on".to_owned());
    }
    if before.consistent_snapshot != after.consistent_snapshot {
        lines.push(format!("~ consistent_snapshot is {}", after.consistent_snapshot));
    }
    lines.push(format!(
        "~ it ends {} ({}), the one before {}",
        after.expires,
        days(after.expires, now),
        before.expires
    ));
    lines
}

/// What a first root says.
pub(crate) fn whole(root: &Root, people: &People, now: Time) -> Vec<String> {
    let mut lines = Vec::new();
    for key in keys(root, ROOT) {
        lines.push(format!("{} may sign root, targets and lifts; {}", person(key, root, people), key.id()));
    }
    for role in [ROOT, TARGETS] {
        let threshold = root.roles.get(role).map_or(0, |keys| keys.threshold);
        lines.push(format!("{role} needs {threshold} signatures, of two units"));
    }
    for role in [SNAPSHOT, TIMESTAMP] {
        lines.extend(keys(root, role).iter().map(|key| format!("{} may sign {role}", short(&key.id()))));
    }
    lines.push(format!("it ends {} ({})", root.expires, days(root.expires, now)));
    lines
}

/// Whose loss would be the end of signing.
pub(crate) fn frailties(file: &RootFile, people: &People) -> Vec<String> {
    let root = &file.root;
    let unit_of = |key| unit(root, key).or_else(|| people.unit_of(key).map(str::to_owned)).unwrap_or_default();
    let held: Vec<_> = keys(root, ROOT).into_iter().map(|key| (people.name_of(key), unit_of(key))).collect();
    let held: Vec<_> = held.iter().map(|(name, unit)| (name.as_str(), unit.as_str())).collect();
    let threshold = root.roles.get(ROOT).map_or(0, |role| role.threshold);
    let of = |line: String| format!("{}: {line}; `root propose --add` another", file.name);
    units::frailties(&held, threshold).into_iter().map(of).collect()
}

/// A release manager: name, unit.
pub(crate) fn person(key: &PublicKey, root: &Root, people: &People) -> String {
    match unit(root, key).or_else(|| people.unit_of(key).map(str::to_owned)) {
        Some(unit) => format!("{} ({unit})", people.name_of(key)),
        None => people.name_of(key),
    }
}

/// The keys of a role.
pub(crate) fn keys<'a>(root: &'a Root, role: &str) -> Vec<&'a PublicKey> {
    let ids = root.roles.get(role).map(|keys: &RoleKeys| keys.keyids.as_slice()).unwrap_or_default();
    ids.iter().filter_map(|id: &KeyId| root.keys.get(id)).collect()
}

fn same_people(root: &Root) -> bool {
    let ids = |role| root.roles.get(role).map(|keys| &keys.keyids);
    ids(ROOT) == ids(TARGETS)
}

// Somebody else may have chosen it: it must not write on the terminal.
fn unit(root: &Root, key: &PublicKey) -> Option<String> {
    let id = root.keys.iter().find(|(_, other)| other.is_same_key(key)).map(|(id, _)| id)?;
    root.units.get(id).map(|unit| unit.escape_debug().to_string())
}
