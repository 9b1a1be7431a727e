//! How hosts and sites stand, and the permits that follow.

use std::sync::{Arc, PoisonError};

use super::fold::Turn;
use super::{Change, Fleet, FleetHost, FleetSite, HostDocument, Policy, Previous, Unsigned};
use crate::api::Standing;
use crate::appraise::CLOCK_SKEW_MAX;
use crate::evidence::AnyEvidence;
use crate::id::{HostId, SiteCode};
use crate::outcome::Verdict;
use crate::permit::Permit;
use crate::reason::{Code, Reason};
use crate::reference::Reference;
use crate::stop::StopRef;
use crate::time::Time;

impl Policy {
    /// By which baseline the host is judged, and until when that one counts.
    ///
    /// Evidence under a baseline that was in force a moment ago is good for a while: a publish, or two,
    /// must not close the fleet. All other evidence is judged by the one in force, which calls it outdated.
    fn reference_for(&self, host: &FleetHost, now: Time) -> (&Arc<Reference>, Option<Time>) {
        let named = host.evidence.as_ref().map(|evidence| evidence.cover().baseline);
        let counts = |previous: &&Previous| named == Some(previous.reference.digest()) && now < previous.until;
        match self.previous.iter().find(counts) {
            Some(previous) if named != Some(self.current.digest()) => (&previous.reference, Some(previous.until)),
            _ => (&self.current, None),
        }
    }

    /// From then on gates are closed everywhere.
    fn closes_at(&self, reference: &Reference) -> Time {
        self.expires.after(reference.baseline().gate.expiry_grace)
    }
}

impl FleetHost {
    /// Whether the appraisal at hand answers for `document` too: the same state under the same
    /// baseline by the same agent, seen no earlier, and nothing but newer evidence since. A newer pass
    /// can only move the moment at which the answer changes further away, so the one known is kept.
    pub(super) fn reusable(&self, document: &HostDocument, now: Time) -> bool {
        let state = document.state();
        let Some(shown) = self.evidence.as_ref().filter(|_| self.state == Some(state)) else { return false };
        let (old, new) = (shown.cover(), document.cover());
        let dated = |reason: &Reason| matches!(reason.code, Code::Stale | Code::ClockSkew);
        self.appraisal.changes_at.is_some_and(|at| now < at)
            && !self.appraisal.reasons.iter().any(dated)
            && old.baseline == new.baseline
            && old.agent.version == new.agent.version
            && old.pass_started <= new.pass_started
            && new.pass_started <= now.after(CLOCK_SKEW_MAX)
            && self.wake.is_some_and(|wake| now < wake)
    }
}

impl Fleet {
    /// Appraises one host. Says whether its own verdict or reasons turned.
    pub(super) fn judge_host(&mut self, id: &HostId, now: Time, change: &mut Change) -> bool {
        let (Some(policy), Some(host)) = (&self.policy, self.hosts.get_mut(id)) else { return false };
        let entry = policy.registry.entry(id, now);
        let (reference, until) = policy.reference_for(host, now);
        // Whatever version it was sent in: what is judged has the newest version.
        let state = host.evidence.as_ref().map(|evidence| evidence.current_state(reference.baseline()));
        let seen = host.evidence.as_ref().map(AnyEvidence::cover).zip(state.as_deref());
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let appraisal = judged.appraise(reference, entry.as_ref(), seen, host.state, now);
        drop(judged);
        let closes_at = Some(policy.closes_at(reference)).filter(|at| now < *at);
        // A host that is not listed yet has an appraisal without a next moment.
        let listed = policy.registry.changes_at(id.site(), now);
        let wake = [appraisal.changes_at, until, closes_at, listed].into_iter().flatten().min();
        host.judged_by = Some(Arc::clone(reference));
        host.appraisal = Arc::new(appraisal);
        if let Some(old) = std::mem::replace(&mut host.wake, wake) {
            self.wakes.remove_mut(&(old, id.clone()));
        }
        if let Some(wake) = wake {
            self.wakes.insert_mut((wake, id.clone()));
        }
        self.own_reasons(id, now, change)
    }

    /// Puts the appraisal and what its documents tell together. Says whether the host turned.
    pub(super) fn own_reasons(&mut self, id: &HostId, now: Time, change: &mut Change) -> bool {
        let (Some(policy), Some(host)) = (&self.policy, self.hosts.get(id)) else { return false };
        let expired = host.judged_by.as_ref().is_some_and(|reference| now >= policy.closes_at(reference));
        // One that is lifted for its site holds nobody, whoever made it.
        let freed = |named: &StopRef| policy.lifts.iter().any(|lift| lift.frees(&named.digest, id.site()));
        let ahead = host.record.stops_named.iter().any(|named| !self.stops.has(named) && !freed(named));
        let more = [
            (expired, Code::BaselineExpired),
            // Its stop is not known here: a controller restored from the past must not talk it open.
            (ahead, Code::Stopped),
        ];
        let more = more.into_iter().filter_map(|(found, code)| found.then_some(Reason::of(code)));
        let more = more.chain(host.document_reasons());
        let mut reasons: Vec<Reason> = host.appraisal.reasons.iter().cloned().chain(more).collect();
        reasons.sort();
        reasons.dedup();
        let verdict = if reasons.is_empty() { host.appraisal.verdict } else { Verdict::Hold };
        if host.verdict == verdict && host.reasons == reasons {
            return false;
        }
        let skew = host.record.skewed_wall.zip(host.record.heard);
        let note = match (verdict, skew) {
            (Verdict::Issue, _) => "issue".to_owned(),
            (Verdict::Hold, Some((wall, heard))) => {
                format!("hold: {}; its clock says {wall}, the controller's {heard}", list(&reasons))
            }
            (Verdict::Hold, None) => format!("hold: {}", list(&reasons)),
        };
        if let Some(host) = self.hosts.get_mut(id) {
            host.verdict = verdict;
            host.reasons.clone_from(&reasons);
        }
        let whose = (id.site().clone(), Some(id.clone()));
        self.turned(change, now, whose, Turn { verdict, reasons, note });
        true
    }

    /// Judges a site by its listed hosts and the stops.
    pub(super) fn judge_site(&mut self, code: &SiteCode, now: Time, change: &mut Change) {
        let Some(policy) = &self.policy else { return };
        if policy.registry.site(code).is_none() {
            return;
        }
        let hosts: Vec<&FleetHost> =
            policy.registry.hosts_of(code, now).filter_map(|listed| self.hosts.get(&listed.id)).collect();
        let mut reasons: Vec<Reason> = hosts.iter().flat_map(|host| host.reasons.iter().cloned()).collect();
        if hosts.is_empty() {
            reasons.push(Reason::of(Code::NothingJudged));
        }
        let own = Verdict::worst(hosts.iter().map(|host| host.verdict));
        let silent = reasons.iter().all(|reason| matches!(reason.code, Code::Stale | Code::NothingJudged));
        let stopped = self.is_stopped(code);
        if stopped {
            reasons.push(Reason::of(Code::Stopped));
        }
        reasons.sort();
        reasons.dedup();
        let (verdict, standing) = match (own, stopped) {
            (Verdict::Hold, _) if silent => (Verdict::Hold, Standing::Silent),
            (Verdict::Hold, _) => (Verdict::Hold, Standing::Held),
            (Verdict::Issue, true) => (Verdict::Hold, Standing::Stopped),
            (Verdict::Issue, false) => (Verdict::Issue, Standing::Verified),
        };
        let before = self.sites.get(code);
        // Silence that only says that this controller was away is no change: who stands as before stands so since then.
        let before_outage = before.and_then(|site| site.before_outage);
        let unchanged = before.map(|site| (site.standing, site.since)).into_iter().chain(before_outage);
        let since = unchanged.filter(|(known, _)| *known == standing).map(|(_, since)| since).min().unwrap_or(now);
        let before_outage = before_outage.filter(|_| standing == Standing::Silent);
        // A site is first seen silent: that is no news.
        let news = match before {
            Some(site) => site.standing != standing,
            None => standing != Standing::Silent,
        };
        let stored = before.is_some_and(|site| site.standing == standing);
        let site = FleetSite { standing, since, verdict, reasons: reasons.clone(), stopped, before_outage };
        self.sites.insert_mut(code.clone(), site);
        if !stored {
            change.sites.insert(code.clone());
        }
        if news {
            let note = match verdict {
                Verdict::Issue => "the site may issue".to_owned(),
                Verdict::Hold => format!("the site holds: {}", list(&reasons)),
            };
            self.turned(change, now, (code.clone(), None), Turn { verdict, reasons, note });
        }
    }

    /// What the host may do: its own verdict, its neighbours', and the stops.
    pub(super) fn allowed(&self, id: &HostId, now: Time) -> (Verdict, Vec<Reason>) {
        let (Some(policy), Some(host)) = (&self.policy, self.hosts.get(id)) else {
            return (Verdict::Hold, vec![Reason::of(Code::NotListed)]);
        };
        let mut reasons = host.reasons.clone();
        let mut verdict = host.verdict;
        for other in policy.registry.hosts_of(id.site(), now).filter(|other| other.id != *id) {
            if self.hosts.get(&other.id).is_none_or(|host| host.verdict == Verdict::Hold) {
                reasons.push(Reason { host: Some(other.id.clone()), ..Reason::of(Code::SiteHold) });
            }
        }
        if self.sites.get(id.site()).is_none_or(|site| site.stopped) {
            reasons.push(Reason::of(Code::Stopped));
        }
        if !reasons.is_empty() {
            verdict = Verdict::Hold;
        }
        reasons.sort();
        reasons.dedup();
        (verdict, reasons)
    }

    /// Makes permits for those hosts of the site whose newest one says something else than what they
    /// may do now. `answered` gets its permit with its receipt.
    pub(super) fn settle(&mut self, code: &SiteCode, answered: Option<&HostId>, now: Time, change: &mut Change) {
        let Some(policy) = &self.policy else { return };
        let ids: Vec<HostId> = policy.registry.hosts_of(code, now).map(|host| host.id.clone()).collect();
        for id in ids.iter().filter(|id| Some(*id) != answered) {
            let Some(host) = self.hosts.get(id) else { continue };
            if host.key.is_none() || host.record.sequence == 0 {
                continue; // It never asked: it holds by itself.
            }
            let (verdict, reasons) = self.allowed(id, now);
            let same =
                host.permit.as_ref().is_some_and(|permit| permit.verdict == verdict && permit.reasons == reasons);
            if same {
                continue;
            }
            if let Ok(permit) = self.make_permit(id, now) {
                change.hosts.insert(id.clone());
                change.permits.push(permit);
            }
        }
    }

    /// Makes the host's next permit, answering its last document that counted.
    ///
    /// # Errors
    /// [`Unsigned`]. A hold is made in a freeze too: closing needs no proof.
    pub(super) fn make_permit(&mut self, id: &HostId, now: Time) -> Result<Permit, Unsigned> {
        let (verdict, reasons) = self.allowed(id, now);
        let stops = self.stops.ends().copied().collect();
        let (frozen, is_set_back) = (now >= self.online_until, self.set_back.is_some());
        let host = self.hosts.get_mut(id).ok_or(Unsigned::NoBaseline)?;
        let reference = host.judged_by.as_ref().ok_or(Unsigned::NoBaseline)?;
        if verdict == Verdict::Issue {
            let unsigned = [
                (frozen, Unsigned::Freeze),
                (is_set_back, Unsigned::SetBack),
                (host.unknown_permit().is_some(), Unsigned::PermitUnknown),
            ];
            if let Some((_, why)) = unsigned.into_iter().find(|(holds, _)| *holds) {
                return Err(why);
            }
        }
        let last = host.newest_permit();
        let microseconds = u64::try_from(now.unix_ms()).unwrap_or(0).saturating_mul(1000);
        let permit = Permit {
            product: self.product.clone(),
            host: id.clone(),
            key: host.key.clone(),
            number: last.saturating_add(1).max(microseconds),
            baseline: reference.digest(),
            state: host.state,
            answers: host.record.sequence,
            verdict,
            reasons,
            issued: now,
            until: now.after(reference.baseline().gate.permit_ttl),
            stops,
        };
        if verdict == Verdict::Issue {
            host.issue_until = host.issue_until.max(Some(permit.until));
        }
        host.permit = Some(permit.clone());
        host.made(permit.number, permit.issued);
        Ok(permit)
    }
}

fn list(reasons: &[Reason]) -> String {
    let texts: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    texts.join(", ")
}
