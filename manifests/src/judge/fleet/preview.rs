//! Whom a draft would hold: the fleet's present evidence, judged by a baseline and a registry that nobody has
//! signed yet. Nothing changes by it.
//!
//! What is compared is what evidence and documents say. Stops and the ends of metadata are left out on both
//! sides: a draft brings and takes none.

mod collected;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use self::collected::Collected;
use super::{Fleet, FleetHost};
use crate::api::{BaselineRef, PREVIEW_REASONS_MAX, Preview, PreviewCounts, PreviewHost, PreviewRegistry, PreviewSite};
use crate::appraise::appraise;
use crate::baseline::Item;
use crate::digest::Digest;
use crate::evidence::AnyEvidence;
use crate::id::{HostId, ItemId, SiteCode};
use crate::outcome::{Appraisal, Judged, Outcome, Verdict};
use crate::reason::{Code, Reason};
use crate::reference::Reference;
use crate::registry::{Registry, Site};
use crate::time::Time;

/// The fleet as it stands by its evidence at one moment: what a draft is compared with.
///
/// Taken quickly while the fleet is locked; all judging is done on it afterwards.
#[derive(Debug)]
pub struct Standings {
    baseline: Option<BaselineRef>,
    sites: BTreeSet<SiteCode>,
    /// Hosts that the registry in force lists, or that have shown evidence.
    hosts: BTreeMap<HostId, HostStanding>,
    now: Time,
}

/// One host.
#[derive(Debug)]
struct HostStanding {
    is_listed: bool,
    /// Why hold; empty for issue.
    reasons: Vec<Reason>,
    /// What its documents say whatever they are judged by.
    carried: Vec<Reason>,
    evidence: Option<AnyEvidence>,
    appraisal: Arc<Appraisal>,
    judged_by: Option<Arc<Reference>>,
}

impl Fleet {
    /// How every host stands at `now`. Copies no evidence.
    pub fn standings(&self, now: Time) -> Standings {
        let registry = self.registry();
        let is_listed = |id: &HostId| registry.is_some_and(|registry| registry.entry(id, now).is_some());
        let standing = |(id, host): (&HostId, &FleetHost)| {
            let is_listed = is_listed(id);
            (is_listed || host.evidence.is_some()).then(|| (id.clone(), HostStanding::of(host, is_listed)))
        };
        Standings {
            baseline: self.baseline(),
            sites: registry.into_iter().flat_map(|registry| &registry.sites).map(|site| site.code.clone()).collect(),
            hosts: self.hosts.iter().filter_map(standing).collect(),
            now,
        }
    }
}

impl HostStanding {
    fn of(host: &FleetHost, is_listed: bool) -> Self {
        let is_evidence = |reason: &&Reason| !matches!(reason.code, Code::Stopped | Code::BaselineExpired);
        Self {
            is_listed,
            reasons: host.reasons.iter().filter(is_evidence).cloned().collect(),
            carried: host.document_reasons(),
            evidence: host.evidence.clone(),
            appraisal: Arc::clone(&host.appraisal),
            judged_by: host.judged_by.clone(),
        }
    }

    fn is_unknown(&self, item: &ItemId) -> bool {
        let mut items = self.appraisal.items.iter();
        items.any(|judged| judged.item == *item && judged.outcome == Outcome::Unknown)
    }
}

/// What a draft would do to one host.
#[derive(Debug, Default)]
struct UnderDraft {
    /// Why it would be held, as far as its evidence tells.
    reasons: Vec<Reason>,
    /// Items that it may be held by: they ask what it does not report yet.
    not_collected: Vec<ItemId>,
}

/// A draft, and what hosts have collected of what it asks, by the baseline that they report under.
struct Draft<'a> {
    reference: &'a Reference,
    registry: &'a Registry,
    items: BTreeMap<&'a ItemId, Item<'a>>,
    collected: HashMap<Digest, Collected<'a>>,
}

impl Standings {
    /// Whom `reference` and `registry` would hold if they came in force now, and every host reported under them.
    ///
    /// A host counts as one that has reported in time if it has under the baseline in force. What an item asks
    /// and a host does not report under that one is *not collected*: it holds in truth until the host reports it,
    /// moments after the publish, and what it will say then nobody knows.
    ///
    /// Costs one appraisal's time and one copy of its evidence for each host, one host after the other.
    pub fn preview(&self, reference: &Reference, registry: &Registry, registry_digest: Digest) -> Preview {
        let items = reference.baseline().items().map(|item| (item.id(), item)).collect();
        let mut draft = Draft { reference, registry, items, collected: HashMap::new() };
        let (mut newly_held, mut not_collected, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        let (mut joining, mut unchanged) = (Vec::new(), 0);
        let mut listed: BTreeMap<&SiteCode, Vec<(&HostId, &HostStanding)>> = BTreeMap::new();
        for (id, standing) in self.hosts.iter().filter(|(_, standing)| standing.is_listed) {
            listed.entry(id.site()).or_default().push((id, standing));
        }
        for site in &registry.sites {
            if !self.sites.contains(&site.code) {
                joining.push(site.code.clone());
                continue;
            }
            let before = listed.get(&site.code).map_or(&[][..], Vec::as_slice);
            let was_free = !before.is_empty() && before.iter().all(|(_, standing)| standing.reasons.is_empty());
            let after = self.under(&mut draft, site);
            let is_known_held = after.is_empty() || after.iter().any(|(_, under)| !under.reasons.is_empty());
            let is_open = after.iter().all(|(_, under)| under.not_collected.is_empty());
            match (was_free, is_known_held) {
                (true, true) => newly_held.push(row(site, &after)),
                (false, true) => unchanged += 1,
                (_, false) if !is_open => not_collected.push(row(site, &after)),
                (true, false) => unchanged += 1,
                (false, false) => opened.push(was_held(site, before)),
            }
        }
        let leaving: Vec<SiteCode> = self.sites.iter().filter(|code| registry.site(code).is_none()).cloned().collect();
        let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
        let version = reference.baseline().version.to_string();
        Preview {
            time: self.now,
            in_force: self.baseline.clone(),
            baseline: BaselineRef { version, digest: reference.digest() },
            registry: PreviewRegistry { digest: registry_digest, joining, leaving },
            counts: PreviewCounts {
                sites: count(registry.sites.len()),
                newly_held: count(newly_held.len()),
                not_collected: count(not_collected.len()),
                opened: count(opened.len()),
                unchanged,
            },
            newly_held,
            not_collected,
            opened,
        }
    }

    fn under<'a>(&self, draft: &mut Draft<'a>, site: &Site) -> Vec<(HostId, UnderDraft)> {
        let registry: &'a Registry = draft.registry;
        let ids = registry.hosts_of(&site.code, self.now).map(|host| host.id.clone());
        ids.map(|id| {
            let under = self.host_under(draft, &id);
            (id, under)
        })
        .collect()
    }

    fn host_under(&self, draft: &mut Draft<'_>, id: &HostId) -> UnderDraft {
        let entry = draft.registry.entry(id, self.now);
        let standing = self.hosts.get(id);
        let shown = standing.and_then(|standing| Some((standing, standing.evidence.as_ref()?)));
        let Some((standing, evidence)) = shown else {
            return UnderDraft {
                reasons: appraise(draft.reference, entry.as_ref(), None, self.now).reasons,
                ..UnderDraft::default()
            };
        };
        let judged_by = standing.judged_by.as_deref().unwrap_or(draft.reference);
        let mut evidence = evidence.current(judged_by.baseline());
        if evidence.cover.baseline == judged_by.digest() {
            // It reports under what is in force, and would under the draft.
            evidence.cover.baseline = draft.reference.digest();
            let collected = draft
                .collected
                .entry(judged_by.digest())
                .or_insert_with(|| Collected::new(judged_by.baseline(), draft.reference.baseline()));
            collected.keep(&mut evidence.state);
        }
        // Documents of a host that is not listed are refused: its evidence is as old as it says.
        if standing.is_listed && standing.appraisal.reasons.iter().all(|reason| reason.code != Code::Stale) {
            evidence.cover.pass_started = evidence.cover.pass_started.max(self.now);
        }
        let appraisal = appraise(draft.reference, entry.as_ref(), Some(&evidence), self.now);
        let is_not_collected = |judged: &&Judged| {
            judged.verdict == Verdict::Hold
                && judged.outcome == Outcome::Unknown
                // What could not be told before is not what the draft brings.
                && !standing.is_unknown(&judged.item)
                && draft.items.get(&judged.item).is_some_and(|item| {
                    collected::lacks(draft.reference.baseline(), *item, &evidence.state)
                })
        };
        let not_collected: Vec<ItemId> =
            appraisal.items.iter().filter(is_not_collected).map(|judged| judged.item.clone()).collect();
        let mut reasons = appraisal.reasons;
        reasons.retain(|reason| match &reason.item {
            Some(item) => !not_collected.contains(item),
            // Whether anything concerns the host may hang on what is not collected.
            None => reason.code != Code::NothingJudged || not_collected.is_empty(),
        });
        reasons.extend(standing.carried.iter().cloned());
        reasons.sort();
        reasons.dedup();
        UnderDraft { reasons, not_collected }
    }
}

fn row(site: &Site, hosts: &[(HostId, UnderDraft)]) -> PreviewSite {
    let says_something =
        |(_, under): &&(HostId, UnderDraft)| !under.reasons.is_empty() || !under.not_collected.is_empty();
    let host = |(id, under): &(HostId, UnderDraft)| PreviewHost {
        host: id.clone(),
        reasons: few(&under.reasons),
        not_collected: few(&under.not_collected),
    };
    let hosts = hosts.iter().filter(says_something).map(host).collect();
    PreviewSite { code: site.code.clone(), name: site.name.clone(), hosts }
}

fn was_held(site: &Site, hosts: &[(&HostId, &HostStanding)]) -> PreviewSite {
    let held = hosts.iter().filter(|(_, standing)| !standing.reasons.is_empty());
    let host = |(id, standing): &(&HostId, &HostStanding)| PreviewHost {
        host: (*id).clone(),
        reasons: few(&standing.reasons),
        not_collected: Vec::new(),
    };
    PreviewSite { code: site.code.clone(), name: site.name.clone(), hosts: held.map(host).collect() }
}

fn few<T: Clone>(all: &[T]) -> Vec<T> {
    all.iter().take(PREVIEW_REASONS_MAX).cloned().collect()
}
