//! The registry: sites, hosts, signers and controllers that exist. The fixed denominator.

use crate::baseline::{Concerns, Localized};
use crate::enrolment::Enrolled;
use crate::envelope::{EnvelopeError, Sealed, Verified};
use crate::id::{ControllerId, HostId, ProductId, Role, SiteCode};
use crate::key::PublicKey;
use crate::time::Time;

/// The schema of a registry that this library writes; it reads all since 1. The baseline's is numbered
/// apart ([`crate::baseline::SCHEMA`]).
pub const SCHEMA: u32 = 2;

/// A whole registry, checked: every host's site is listed, no id or key stands twice.
///
/// Look-ups search by halves and rely on the order of sites and hosts.
#[derive(Clone, Debug)]
pub struct Registry {
    /// The product.
    pub product: ProductId,
    /// Release managers.
    pub signers: Vec<Signer>,
    /// Controllers, one standby at least.
    pub controllers: Vec<Controller>,
    /// Sites in code order.
    pub sites: Vec<Site>,
    /// Hosts in id order.
    pub hosts: Vec<Host>,
}

/// A release manager. A threshold met within one unit is refused.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Name of the person's role, as `release manager, quality`.
    pub name: String,
    /// The unit of the organisation.
    pub unit: String,
    /// The key in TUF's root.
    pub key: PublicKey,
}

/// A controller and the keys it signs with.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Its id.
    pub id: ControllerId,
    /// Prepared, not in service.
    pub standby: bool,
    /// Signs permits and stops.
    pub permit_key: PublicKey,
    /// Signs log checkpoints.
    pub log_key: PublicKey,
}

/// One municipality's issuing system.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its code.
    pub code: SiteCode,
    /// Its name.
    pub name: Localized,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its id, which names its site.
    pub id: HostId,
    /// At least one.
    pub roles: Vec<Role>,
    /// From here on it is listed.
    pub joined: Time,
    /// From here on it is not any more.
    pub left: Option<Time>,
    /// Whose processes its agent sees.
    pub processes: ProcessView,
}

/// Whose processes an agent sees, and so when it may say that a program does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessView {
    /// Those of the whole host: a program is not running where every one of them was looked at.
    #[default]
    Host,
    /// Those of the PID namespace that the agent itself is in: there is nothing else to see.
    Container,
}

impl Host {
    /// Whether it is among those whom `concerns` names by role and site. `when` is not asked here:
    /// evidence alone tells.
    pub fn is_among(&self, concerns: &Concerns) -> bool {
        (concerns.roles.is_empty() || concerns.roles.iter().any(|role| self.roles.contains(role)))
            && (concerns.sites.is_empty() || concerns.sites.contains(self.id.site()))
    }

    /// Whether it is listed at `now`.
    pub fn is_listed(&self, now: Time) -> bool {
        self.joined <= now && self.left.is_none_or(|left| now < left)
    }
}

/// Whether a site has one listed host or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One host.
    Single,
    /// Several hosts.
    Split,
}

impl Topology {
    /// The fact's value: `single` or `split`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Topology::Single => "single",
            Topology::Split => "split",
        }
    }
}

/// What the registry says of one host at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The host.
    pub host: &'a Host,
    /// Its site.
    pub site: &'a Site,
    /// Its site's topology.
    pub topology: Topology,
    /// When the registry's answer changes next: a host of the site joins or leaves.
    pub changes_at: Option<Time>,
}

impl Registry {
    /// What it says of `id` at `now`; nothing if the host is not listed then.
    pub fn entry(&self, id: &HostId, now: Time) -> Option<Entry<'_>> {
        let neighbours = self.machines_of(id.site());
        let host = neighbours.iter().find(|host| host.id == *id && host.is_listed(now))?;
        let site = self.site(id.site())?;
        let topology = match neighbours.iter().filter(|other| other.is_listed(now)).count() {
            0 | 1 => Topology::Single,
            _ => Topology::Split,
        };
        Some(Entry { host, site, topology, changes_at: self.changes_at(id.site(), now) })
    }

    /// When a host of the site joins or leaves next.
    pub fn changes_at(&self, site: &SiteCode, now: Time) -> Option<Time> {
        let changes = self.machines_of(site).iter().flat_map(|host| [Some(host.joined), host.left]);
        changes.flatten().filter(|time| *time > now).min()
    }

    /// Hosts listed at `now`, in id order.
    pub fn listed(&self, now: Time) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |host| host.is_listed(now))
    }

    /// Hosts of one site listed at `now`, in id order.
    pub fn hosts_of<'a>(&'a self, site: &SiteCode, now: Time) -> impl Iterator<Item = &'a Host> + use<'a> {
        self.machines_of(site).iter().filter(move |host| host.is_listed(now))
    }

    // All hosts of a site, listed now or not. An id begins with its site's code, so that in id order they stand together.
    fn machines_of(&self, site: &SiteCode) -> &[Host] {
        let start = self.hosts.partition_point(|host| host.id.site() < site);
        let from_start = self.hosts.get(start..).unwrap_or_default();
        from_start.get(..from_start.partition_point(|host| host.id.site() == site)).unwrap_or_default()
    }

    /// The site of that code.
    pub fn site(&self, code: &SiteCode) -> Option<&Site> {
        let index = self.sites.binary_search_by(|site| site.code.cmp(code)).ok()?;
        self.sites.get(index)
    }

    /// A controller's word for a host's key, if the registry lists that controller with the key that signed it.
    ///
    /// # Errors
    /// [`EnvelopeError`]: of another controller's key than the word names, of none that is listed, or not a word.
    pub fn verify_enrolled(&self, word: Sealed<Enrolled>) -> Result<Verified<Enrolled>, EnvelopeError> {
        let verified = word.verify(self.permit_keys())?;
        let named = self.controllers.iter().find(|controller| controller.id == verified.controller);
        if named.is_some_and(|controller| controller.permit_key.id() == *verified.signer()) {
            Ok(verified)
        } else {
            Err(EnvelopeError::Signature)
        }
    }

    /// The controllers' keys for permits and stops.
    pub fn permit_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.controllers.iter().map(|controller| &controller.permit_key)
    }
}
