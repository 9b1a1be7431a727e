//! What operators are shown. Each answer costs a pass over what it shows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fleet, FleetHost, FleetStop};
use crate::api::{
    self, Allowed, BaselineRef, Counts, HostRow, HostView, ItemRow, PermitRow, STOP_NAMES_MAX, SiteRow, SiteView,
    Standing, StopCounts, StopView,
};
use crate::baseline::{Concerns, Item};
use crate::digest::Digest;
use crate::id::{HostId, ItemId, SiteCode};
use crate::outcome::{Outcome, Verdict};
use crate::reason::{Code, Reason};
use crate::registry::Host;
use crate::time::Time;

impl Fleet {
    /// Counts and rows of all sites, worst first, then by code.
    pub fn overview(&self, now: Time) -> api::FleetView {
        let mut sites: Vec<SiteRow> = self.sites.keys().filter_map(|code| self.site_row(code, now)).collect();
        sites.sort_by(|a, b| (a.standing, &a.code).cmp(&(b.standing, &b.code)));
        let count = |standing| count(sites.iter().filter(|site| site.standing == standing).count());
        let counts = Counts {
            sites: self::count(sites.len()),
            verified: count(Standing::Verified),
            held: count(Standing::Held),
            silent: count(Standing::Silent),
            lapsed: count(Standing::Lapsed),
            stopped: count(Standing::Stopped),
            under_baseline: self::count(sites.iter().filter(|site| self.is_under_baseline(&site.code, now)).count()),
        };
        let (product, baseline) = (self.product.clone(), self.baseline());
        let set_back = self.set_back.clone();
        api::FleetView { product, time: now, baseline, set_back, counts, sites, expiring: Vec::new() }
    }

    /// Whether every host of a site has reported under the baseline in force.
    fn is_under_baseline(&self, code: &SiteCode, now: Time) -> bool {
        let Some(policy) = &self.policy else { return false };
        let current = policy.current.digest();
        let under = |host: &FleetHost| host.evidence.as_ref().is_some_and(|e| e.cover().baseline == current);
        let mut hosts = policy.registry.hosts_of(code, now).map(|listed| self.hosts.get(&listed.id));
        hosts.all(|host| host.is_some_and(under))
    }

    /// Why a site against which nothing is known is not verified at `now`, and since when.
    fn lapsed(&self, code: &SiteCode, verified_until: Option<Time>, now: Time) -> Vec<(Code, Time)> {
        let Some(policy) = &self.policy else { return Vec::new() };
        let max_age = policy.current.baseline().gate.evidence_max_age;
        let published = policy.previous.iter().map(|previous| previous.until.before(max_age)).max();
        let ended = verified_until.filter(|until| *until <= now);
        [
            ended.or(verified_until.is_none().then_some(now)).map(|since| (Code::Stale, since)),
            (!self.is_under_baseline(code, now)).then(|| (Code::BaselineOutdated, published.unwrap_or(now))),
            (now >= self.online_until).then_some((Code::Freeze, self.online_until)),
            self.set_back.as_ref().map(|set_back| (Code::Freeze, set_back.noticed)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The baseline in force.
    pub fn baseline(&self) -> Option<BaselineRef> {
        let reference = self.reference()?;
        Some(BaselineRef { version: reference.baseline().version.to_string(), digest: reference.digest() })
    }

    /// One site with its hosts and its newest stops, none if the registry does not have it.
    pub fn site_view(&self, code: &SiteCode, stops: usize, now: Time) -> Option<SiteView> {
        let site = self.site_row(code, now)?;
        let policy = self.policy.as_ref()?;
        let hosts = policy.registry.hosts_of(code, now).filter_map(|host| self.host_view(&host.id, now)).collect();
        let covering = self.newest_first().into_iter().filter(|known| known.stop.scope.covers(code)).take(stops);
        Some(SiteView { site, hosts, stops: covering.map(|known| self.stop_row(known, now)).collect() })
    }

    /// Listed hosts behind `after`, in id order, at most `limit`.
    pub fn host_rows(&self, after: Option<&HostId>, limit: usize, now: Time) -> Vec<HostRow> {
        let listed = self.registry().into_iter().flat_map(|registry| registry.listed(now));
        let behind = listed.filter(|host| after.is_none_or(|after| host.id > *after));
        behind.take(limit).filter_map(|host| self.host_row(&host.id, now)).collect()
    }

    /// One listed host with its appraisal.
    pub fn host_view(&self, id: &HostId, now: Time) -> Option<HostView> {
        let host = self.host_row(id, now)?;
        let appraisal = self.hosts.get(id)?.appraisal.as_ref().clone();
        Some(HostView { host, appraisal })
    }

    /// Every item of the baseline in force, over all listed hosts.
    pub fn item_rows(&self, now: Time) -> Vec<ItemRow> {
        let Some(policy) = &self.policy else { return Vec::new() };
        let mut outcomes: BTreeMap<&ItemId, BTreeMap<Outcome, u32>> = BTreeMap::new();
        let mut holds: BTreeMap<&ItemId, Vec<SiteCode>> = BTreeMap::new();
        let mut listed = 0_u32;
        let mut unjudged: Vec<&Host> = Vec::new();
        let concerns: BTreeMap<&ItemId, &Concerns> =
            policy.current.baseline().items().map(|item| (item.id(), item.concerns())).collect();
        let is_elsewhere =
            |item: &ItemId, host: &Host| concerns.get(item).is_some_and(|concerns| !host.is_among(concerns));
        for entry in policy.registry.listed(now) {
            listed = listed.saturating_add(1);
            let Some(host) = self.hosts.get(&entry.id) else { continue };
            // Judged by the baseline before this one: by this one nothing is known of it yet.
            if host.judged_by.as_ref().is_some_and(|by| by.digest() != policy.current.digest()) {
                unjudged.push(entry);
                continue;
            }
            for judged in host.appraisal.items.iter() {
                // Of a silent host every item is stale, but those of other roles and sites are none of its.
                if judged.outcome == Outcome::Stale && is_elsewhere(&judged.item, entry) {
                    *outcomes.entry(&judged.item).or_default().entry(Outcome::NotApplicable).or_default() += 1;
                    continue;
                }
                *outcomes.entry(&judged.item).or_default().entry(judged.outcome).or_default() += 1;
                if judged.verdict == Verdict::Hold {
                    holds.entry(&judged.item).or_default().push(entry.id.site().clone());
                }
            }
        }
        let row = |item: Item<'_>| {
            let (id, about) = (item.id(), item.about());
            let mut counted = outcomes.remove(id).unwrap_or_default();
            // Judged by the baseline before this one, an item new in this one is not known of a host.
            let rest = listed.saturating_sub(counted.values().sum());
            let elsewhere = unjudged.iter().filter(|host| is_elsewhere(id, host)).count();
            let elsewhere = count(elsewhere).min(rest);
            let rest = rest.saturating_sub(elsewhere);
            if elsewhere > 0 {
                *counted.entry(Outcome::NotApplicable).or_default() += elsewhere;
            }
            if rest > 0 {
                *counted.entry(Outcome::Unknown).or_default() += rest;
            }
            let mut holds = holds.remove(id).unwrap_or_default();
            holds.dedup(); // Hosts come in id order, and an id begins with its site.
            ItemRow {
                item: id.clone(),
                kind: item.kind(),
                title: about.title.clone(),
                remediation: about.remediation.clone(),
                outcomes: counted.into_iter().collect(),
                holds,
            }
        };
        policy.current.baseline().items().map(row).collect()
    }

    /// Stops older than the one named, newest first, at most `limit`, each with a few of its hosts.
    pub fn stop_views(&self, after: Option<&Digest>, limit: usize, now: Time) -> Vec<StopView> {
        let mut older = self.newest_first().into_iter();
        if let Some(after) = after {
            // One that is not known is followed by none.
            older.by_ref().find(|known| known.reference.digest == *after);
        }
        older.take(limit).map(|known| self.stop_row(known, now)).collect()
    }

    /// A stop as lists show it.
    fn stop_row(&self, known: &FleetStop, now: Time) -> StopView {
        let mut view = self.stop_view(known, now);
        view.acknowledged.truncate(STOP_NAMES_MAX);
        view.outstanding.truncate(STOP_NAMES_MAX);
        view.lifted.truncate(STOP_NAMES_MAX);
        view
    }

    /// By when they were made: what was taken over came to be known later.
    fn newest_first(&self) -> Vec<&FleetStop> {
        let mut stops: Vec<&FleetStop> = self.stops.all().rev().collect();
        stops.sort_by_key(|known| std::cmp::Reverse((known.stop.time, known.reference.number)));
        stops
    }

    /// One stop and how far it has come; none if it is not known.
    pub fn stop_view_of(&self, digest: &Digest, now: Time) -> Option<StopView> {
        self.stops.get(digest).map(|known| self.stop_view(known, now))
    }

    pub(super) fn stop_view(&self, known: &FleetStop, now: Time) -> StopView {
        let listed = self.registry().into_iter().flat_map(|registry| registry.listed(now));
        let covered = listed.map(|host| &host.id).filter(|id| known.stop.scope.covers(id.site()));
        let (acknowledged, outstanding): (Vec<&HostId>, Vec<&HostId>) =
            covered.partition(|id| known.acknowledged.contains(id));
        let until = |id: &HostId| self.hosts.get(id).and_then(|host| host.issue_until).filter(|until| *until > now);
        let mut lifted: Vec<SiteCode> = self
            .lifts()
            .iter()
            .filter(|lift| lift.stop == known.reference.digest)
            .flat_map(|lift| lift.sites.iter().cloned())
            .collect();
        lifted.sort();
        lifted.dedup();
        let stopped =
            self.sites.keys().filter(|code| known.stop.scope.covers(code) && lifted.binary_search(code).is_err());
        let counts = StopCounts {
            acknowledged: count(acknowledged.len()),
            outstanding: count(outstanding.len()),
            lifted: count(lifted.len()),
            stopped: count(stopped.count()),
        };
        StopView {
            stop: known.reference,
            scope: known.stop.scope.clone(),
            reason: known.stop.reason.clone(),
            operator: known.stop.operator.clone(),
            time: known.stop.time,
            acknowledged: acknowledged.into_iter().cloned().collect(),
            outstanding: outstanding.into_iter().map(|id| (id.clone(), until(id))).collect(),
            lifted,
            counts: Some(counts),
        }
    }

    fn site_row(&self, code: &SiteCode, now: Time) -> Option<SiteRow> {
        let policy = self.policy.as_ref()?;
        let (entry, site) = (policy.registry.site(code)?, self.sites.get(code)?);
        let mut hosts = 0_u32;
        let mut verified_at = Some(Time::MAX);
        let mut warnings = BTreeSet::new();
        for listed in policy.registry.hosts_of(code, now) {
            hosts = hosts.saturating_add(1);
            let host = self.hosts.get(&listed.id);
            warnings.extend(host.into_iter().flat_map(|host| host.appraisal.warnings.iter().cloned()));
            verified_at = verified_at.min(self.hosts.get(&listed.id).and_then(FleetHost::seen));
        }
        let verified_at = verified_at.filter(|_| hosts > 0);
        let max_age = policy.current.baseline().gate.evidence_max_age;
        let verified_until = verified_at.map(|at| at.after(max_age));
        let (mut standing, mut since, mut reasons) = (site.standing, site.since, site.reasons.clone());
        if standing == Standing::Verified {
            let lapsed = self.lapsed(code, verified_until, now);
            if let Some(first) = lapsed.iter().map(|(_, since)| *since).min() {
                (standing, since) = (Standing::Lapsed, since.max(first));
                reasons.extend(lapsed.into_iter().map(|(code, _)| Reason::of(code)));
                reasons.sort();
                reasons.dedup();
            }
        }
        Some(SiteRow {
            code: code.clone(),
            name: entry.name.clone(),
            standing,
            verdict: site.verdict,
            reasons,
            warnings: warnings.into_iter().collect(),
            hosts,
            since,
            verified_at,
            verified_until,
        })
    }

    /// What the host may do now. A permit that is over, or was made for another state, opens no gate
    /// whatever the next one would say: in a freeze there is no next one.
    fn allowed_now(&self, id: &HostId, host: &FleetHost, now: Time) -> Allowed {
        let (verdict, reasons) = self.allowed(id, now);
        if verdict == Verdict::Hold {
            return Allowed { verdict, reasons };
        }
        let reasons = match &host.permit {
            None => vec![Reason::of(Code::NoPermit)],
            Some(permit) if permit.verdict == Verdict::Hold || permit.state != host.state => {
                vec![Reason::of(Code::PermitMismatch)]
            }
            Some(permit) if now >= permit.until => vec![Reason::of(Code::PermitExpired)],
            Some(_) => return Allowed { verdict, reasons },
        };
        Allowed { verdict: Verdict::Hold, reasons }
    }

    fn host_row(&self, id: &HostId, now: Time) -> Option<HostRow> {
        let policy = self.policy.as_ref()?;
        let entry = policy.registry.entry(id, now)?;
        let host = self.hosts.get(id)?;
        let cover = host.evidence.as_ref().map(|evidence| evidence.cover());
        let heartbeat = policy.current.baseline().gate.heartbeat;
        Some(HostRow {
            host: id.clone(),
            roles: entry.host.roles.clone(),
            verdict: host.verdict,
            reasons: host.reasons.clone(),
            warnings: host.appraisal.warnings.clone(),
            allowed: self.allowed_now(id, host, now),
            heard: host.record.heard,
            evidence: host.seen(),
            agent: cover.map(|cover| cover.agent.version.to_string()),
            baseline: cover.map(|cover| cover.baseline),
            state: host.state,
            permit: host.permit.as_ref().map(|permit| {
                let received = host.record.permit_named >= permit.number;
                PermitRow {
                    number: permit.number,
                    verdict: permit.verdict,
                    until: permit.until,
                    received,
                    overdue: host.unnamed_since().is_some_and(|since| now > since.after(heartbeat)),
                }
            }),
            acknowledged: host.acknowledged,
        })
    }
}

impl FleetHost {
    /// Start of the pass behind its newest evidence.
    fn seen(&self) -> Option<Time> {
        self.evidence.as_ref().map(|evidence| evidence.cover().pass_started)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
