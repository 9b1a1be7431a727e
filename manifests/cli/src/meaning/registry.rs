//! What a registry lists, and what is listed otherwise in another.

use manifests::registry::{Controller, Host, Registry, Signer};

/// One line for each difference.
pub(crate) fn changes(before: &Registry, after: &Registry) -> Vec<String> {
    let mut lines = Vec::new();
    // Texts of a registry that was read have no control characters.
    compare(
        &mut lines,
        &before.signers,
        &after.signers,
        |signer: &Signer| signer.name.clone(),
        |signer| format!("signer {} ({}), {}", signer.name, signer.unit, signer.key.id()),
    );
    compare(
        &mut lines,
        &before.controllers,
        &after.controllers,
        |controller: &Controller| controller.id.to_string(),
        |controller| {
            let Controller { id, standby, permit_key, log_key } = controller;
            let stands = if *standby { "standing by" } else { "in service" };
            format!("controller {id}, {stands}, permit key {}, log key {}", permit_key.id(), log_key.id())
        },
    );
    compare(
        &mut lines,
        &before.sites,
        &after.sites,
        |site| site.code.to_string(),
        |site| {
            let ja = site.name.ja.as_ref().map(|ja| format!(" ({ja})")).unwrap_or_default();
            format!("site {} {}{ja}", site.code, site.name.en)
        },
    );
    compare(
        &mut lines,
        &before.hosts,
        &after.hosts,
        |host: &Host| host.id.to_string(),
        |host| {
            let roles: Vec<_> = host.roles.iter().map(ToString::to_string).collect();
            let left = host.left.map(|left| format!(", left {left}")).unwrap_or_default();
            format!(
                "host {} ({}), joined {}{left}, processes: {:?}",
                host.id,
                roles.join(", "),
                host.joined,
                host.processes
            )
        },
    );
    lines
}

fn compare<T>(
    lines: &mut Vec<String>,
    before: &[T],
    after: &[T],
    id: impl Fn(&T) -> String,
    words: impl Fn(&T) -> String,
) {
    let known: std::collections::BTreeMap<String, &T> = before.iter().map(|one| (id(one), one)).collect();
    let new: std::collections::BTreeSet<String> = after.iter().map(&id).collect();
    for one in after {
        match known.get(&id(one)) {
            None => lines.push(format!("+ {}", words(one))),
            Some(old) if words(old) != words(one) => lines.push(format!("~ {}; was: {}", words(one), words(old))),
            Some(_) => {}
        }
    }
    lines.extend(before.iter().filter(|one| !new.contains(&id(one))).map(|one| format!("- {}", words(one))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::source;

    #[test]
    fn who_comes_goes_and_changes_is_shown() {
        let text = include_str!("../../../tests/data/source/registry.toml");
        let registry = source::registry(text).unwrap();
        assert_eq!(changes(&registry, &registry), Vec::<String>::new());
        let mut after = registry.clone();
        let host = after.hosts.remove(0);
        let site = after.sites.remove(0);
        let renamed = after.sites[0].code.clone();
        after.sites[0].name.ja = Some("別の市".to_owned());
        after.signers[0].unit = "elsewhere".to_owned();
        after.hosts[0].roles = vec!["other".parse().unwrap()];
        let lines = changes(&registry, &after);
        let has =
            |start: String| assert!(lines.iter().any(|line| line.starts_with(&start)), "{start} is not in {lines:#?}");
        has(format!("- host {} (", host.id));
        has(format!("- site {} ", site.code));
        has(format!("~ signer {} (elsewhere)", registry.signers[0].name));
        has(format!("~ host {} (other)", after.hosts[0].id));
        has(format!("~ site {renamed} {} (別の市); was: ", after.sites[0].name.en));
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert_eq!(changes(&after, &registry).len(), 5);
    }
}
