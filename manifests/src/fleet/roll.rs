//! The registry, indexed: what it says of one host is asked for with every heartbeat.

use std::collections::{BTreeMap, HashMap};

use crate::id::{HostId, SiteCode};
use crate::registry::{Entry, Host, Registry, Site, Topology};
use crate::time::Time;

/// A registry with an index by host and by site.
#[derive(Debug)]
pub struct Roll {
    registry: Registry,
    hosts: HashMap<HostId, usize>,
    sites: BTreeMap<SiteCode, Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    site: usize,
    hosts: Vec<usize>,
}

impl Roll {
    /// Indexes a registry.
    pub fn new(registry: Registry) -> Self {
        let mut sites: BTreeMap<SiteCode, Slot> = registry
            .sites
            .iter()
            .enumerate()
            .map(|(site, entry)| (entry.code.clone(), Slot { site, hosts: Vec::new() }))
            .collect();
        for (index, host) in registry.hosts.iter().enumerate() {
            if let Some(slot) = sites.get_mut(host.id.site()) {
                slot.hosts.push(index);
            }
        }
        let hosts = registry.hosts.iter().enumerate().map(|(index, host)| (host.id.clone(), index)).collect();
        Self { registry, hosts, sites }
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The registry again.
    pub fn into_registry(self) -> Registry {
        self.registry
    }

    /// As [`Registry::entry`], at a cost that does not grow with the fleet.
    pub fn entry(&self, id: &HostId, now: Time) -> Option<Entry<'_>> {
        let host = self.hosts.get(id).and_then(|index| self.registry.hosts.get(*index))?;
        if !host.is_listed(now) {
            return None;
        }
        let slot = self.sites.get(id.site())?;
        let site = self.registry.sites.get(slot.site)?;
        let topology = if self.hosts_of(id.site(), now).count() > 1 { Topology::Split } else { Topology::Single };
        Some(Entry { host, site, topology, changes_at: self.changes_at(id.site(), now) })
    }

    /// The site of that code.
    pub fn site(&self, code: &SiteCode) -> Option<&Site> {
        self.sites.get(code).and_then(|slot| self.registry.sites.get(slot.site))
    }

    /// Hosts of one site listed at `now`, in id order.
    pub fn hosts_of(&self, code: &SiteCode, now: Time) -> impl Iterator<Item = &Host> {
        self.neighbours(code).filter(move |host| host.is_listed(now))
    }

    /// When a host of the site joins or leaves next.
    pub fn changes_at(&self, code: &SiteCode, now: Time) -> Option<Time> {
        self.neighbours(code).flat_map(|host| [Some(host.joined), host.left]).flatten().filter(|time| *time > now).min()
    }

    fn neighbours(&self, code: &SiteCode) -> impl Iterator<Item = &Host> {
        self.sites
            .get(code)
            .into_iter()
            .flat_map(|slot| &slot.hosts)
            .filter_map(|index| self.registry.hosts.get(*index))
    }
}
