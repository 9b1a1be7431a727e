//! What a baseline and a registry say of each other.

use std::collections::BTreeSet;

use super::problem::Problem;
use super::sheet::Places;
use crate::baseline::{Baseline, Concerns};
use crate::id::{HostId, Role, SiteCode};
use crate::registry::{Host, Registry};
use crate::time::Time;

/// Every problem of a baseline that only its registry shows, in file order.
///
/// A reviewer's refusals, made before signing: a waiver for a host that is not listed at `now`, a
/// site or role that no such host has, a fix that concerns nobody without saying so (roles and
/// sites alone are looked at; facts are only known on hosts), another product.
pub fn cross_check(baseline: &Baseline, places: &Places, registry: &Registry, now: Time) -> Vec<Problem> {
    // A host that is still to join is concerned as well: it owes everything from its first minute.
    let hosts: Vec<&Host> = registry.hosts.iter().filter(|host| host.left.is_none_or(|left| now < left)).collect();
    let ids: BTreeSet<&HostId> = hosts.iter().map(|host| &host.id).collect();
    let roles: BTreeSet<&Role> = hosts.iter().flat_map(|host| &host.roles).collect();
    let mut check = CrossCheck { places, problems: Vec::new() };

    if baseline.product != registry.product {
        let message = format!("the registry is of product {}", registry.product);
        check.refuse("product", "product-mismatch", message, None);
    }
    let items = (baseline.configs.iter().map(|item| &item.concerns).enumerate().map(|(i, c)| ("config", i, c)))
        .chain(baseline.programs.iter().map(|item| &item.concerns).enumerate().map(|(i, c)| ("program", i, c)))
        .chain(baseline.settings.iter().map(|item| &item.concerns).enumerate().map(|(i, c)| ("setting", i, c)));
    for (kind, index, concerns) in items {
        check.listed(&format!("{kind}[{index}]"), concerns, &roles, registry);
    }
    for (index, fix) in baseline.fixes.iter().enumerate() {
        let path = format!("fix[{index}]");
        let concerned = hosts.iter().filter(|host| host.is_among(&fix.concerns)).count();
        match (&fix.touches_nobody, concerned) {
            (Some(_), 0) => {}
            (Some(_), _) => {
                let message = format!("{} concerns {concerned} hosts, though it has touches_nobody", fix.id);
                check.refuse(&path, "touches-somebody", message, None);
            }
            (None, _) if check.listed(&path, &fix.concerns, &roles, registry) > 0 => {}
            (None, 0) => {
                let message = format!("{} concerns no host of the registry", fix.id);
                let hint = "correct roles and sites, or say why with touches_nobody = \"…\"";
                check.refuse(&path, "touches-nobody", message, Some(hint));
            }
            (None, _) => {}
        }
    }
    for (index, waiver) in baseline.waivers.iter().enumerate() {
        for (place, host) in waiver.hosts.iter().enumerate() {
            if !ids.contains(host) {
                let message = format!("the host {host} is not listed");
                check.refuse(&format!("waiver[{index}].hosts[{place}]"), "unlisted-host", message, None);
            }
        }
    }
    let mut problems = check.problems;
    problems.sort_by(|a, b| (a.line, a.column, a.code).cmp(&(b.line, b.column, b.code)));
    problems.truncate(super::PROBLEMS_MAX);
    problems
}

struct CrossCheck<'a> {
    places: &'a Places,
    problems: Vec<Problem>,
}

impl CrossCheck<'_> {
    fn refuse(&mut self, path: &str, code: &'static str, message: String, hint: Option<&str>) {
        let (line, column) = self.places.of(path);
        self.problems.push(Problem {
            line,
            column,
            code,
            message,
            hint: hint.map(str::to_owned),
            key: path.to_owned(),
        });
    }

    // How many of the roles and sites are not listed.
    fn listed(&mut self, path: &str, concerns: &Concerns, roles: &BTreeSet<&Role>, registry: &Registry) -> usize {
        let before = self.problems.len();
        for (index, role) in concerns.roles.iter().enumerate().filter(|(_, role)| !roles.contains(role)) {
            let message = format!("no host of the registry has the role {role}");
            self.refuse(&format!("{path}.roles[{index}]"), "unlisted-role", message, None);
        }
        let is_listed = |code: &SiteCode| registry.site(code).is_some();
        for (index, site) in concerns.sites.iter().enumerate().filter(|(_, site)| !is_listed(site)) {
            let message = format!("the site {site} is not listed");
            self.refuse(&format!("{path}.sites[{index}]"), "unlisted-site", message, None);
        }
        self.problems.len() - before
    }
}
