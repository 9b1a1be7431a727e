//! What becomes of a host's document, and what it is answered.

use std::sync::Arc;

use super::{Accept, Change, DocumentKind, Fleet, Refusal, accept};
use crate::api::{EventKind, Next};
use crate::digest::Digest;
use crate::evidence::{AnyEvidence, Cover, EVIDENCE_VERSION, Evidence, Heartbeat, v1, v2};
use crate::id::HostId;
use crate::permit::Permit;
use crate::stop::StopRef;
use crate::time::{Span, Time};

/// The most file lists asked for in one answer.
const WANTED_MAX: usize = 64;
/// One refusal of a kind per host is an event in this time; more are only answered.
const REFUSAL_EVENT_INTERVAL: Span = Span::from_s(60);

/// A document of a host, its signature checked against that host's key.
#[derive(Clone, Debug)]
pub enum HostDocument {
    /// Cover and state.
    Evidence {
        /// The document.
        evidence: AnyEvidence,
        /// [`AnyEvidence::state_digest`].
        state: Digest,
        /// Which version of evidence it is.
        version: u64,
    },
    /// A cover and the digest of an unchanged state.
    Heartbeat {
        /// The cover.
        cover: Box<Cover>,
        /// The digest.
        state: Digest,
        /// [`Heartbeat::since`]; version 1 does not tell.
        since: Option<u64>,
        /// Which version of heartbeats it is.
        version: u64,
    },
}

impl HostDocument {
    /// The cover.
    pub fn cover(&self) -> &Cover {
        match self {
            HostDocument::Evidence { evidence, .. } => evidence.cover(),
            HostDocument::Heartbeat { cover, .. } => cover,
        }
    }

    /// The digest of the state that it shows or names.
    pub(super) fn state(&self) -> Digest {
        match self {
            HostDocument::Evidence { state, .. } | HostDocument::Heartbeat { state, .. } => *state,
        }
    }

    /// Its place among the host's documents.
    pub fn sequence(&self) -> u64 {
        self.cover().sequence
    }

    /// Which version of documents it is.
    pub fn version(&self) -> u64 {
        match self {
            HostDocument::Evidence { version, .. } | HostDocument::Heartbeat { version, .. } => *version,
        }
    }

    fn of_evidence(evidence: AnyEvidence, version: u64) -> Self {
        Self::Evidence { state: evidence.state_digest(), evidence, version }
    }

    fn kind(&self) -> DocumentKind {
        match self {
            HostDocument::Evidence { .. } => DocumentKind::Evidence,
            HostDocument::Heartbeat { .. } => DocumentKind::Heartbeat,
        }
    }

    /// Checks what the cover alone does not show.
    fn check(&self) -> Result<(), &'static str> {
        match self {
            HostDocument::Evidence { evidence, .. } => evidence.check(),
            HostDocument::Heartbeat { cover, since: Some(since), .. } if *since == 0 || *since > cover.sequence => {
                Err("a run of an unchanged state begins with a document from 1 to the heartbeat's own")
            }
            HostDocument::Heartbeat { .. } => Ok(()),
        }
    }
}

impl From<v1::Evidence> for HostDocument {
    fn from(evidence: v1::Evidence) -> Self {
        Self::of_evidence(evidence.into(), 1)
    }
}

impl From<v2::Evidence> for HostDocument {
    fn from(evidence: v2::Evidence) -> Self {
        Self::of_evidence(evidence.into(), 2)
    }
}

impl From<Evidence> for HostDocument {
    fn from(evidence: Evidence) -> Self {
        Self::of_evidence(evidence.into(), EVIDENCE_VERSION)
    }
}

impl From<v1::Heartbeat> for HostDocument {
    fn from(heartbeat: v1::Heartbeat) -> Self {
        Self::Heartbeat { cover: Box::new(heartbeat.cover), state: heartbeat.state, since: None, version: 1 }
    }
}

impl From<v2::Heartbeat> for HostDocument {
    fn from(heartbeat: v2::Heartbeat) -> Self {
        let v2::Heartbeat { cover, state, since } = heartbeat;
        Self::Heartbeat { cover: Box::new(cover), state, since: Some(since), version: 2 }
    }
}

impl From<Heartbeat> for HostDocument {
    fn from(heartbeat: Heartbeat) -> Self {
        let Heartbeat { cover, state, since } = heartbeat;
        Self::Heartbeat { cover: Box::new(cover), state, since: Some(since), version: EVIDENCE_VERSION }
    }
}

/// The answer to a document that counts.
#[derive(Clone, Debug)]
pub struct ReportAnswer {
    /// The stored sequence.
    pub sequence: u64,
    /// What the host should do next.
    pub next: Next,
    /// The permit to be signed, or why there is none.
    pub permit: Result<Permit, Unsigned>,
    /// Stops that are news to the host, oldest first.
    pub stops: Vec<Digest>,
    /// Stops that it names and nobody here knows.
    pub unknown: Vec<StopRef>,
    /// The permit that it names and nobody here knows.
    pub unknown_permit: Option<u64>,
    /// File lists to be sent.
    pub wanted: Vec<Digest>,
    /// Two machines seem to use its key.
    pub clone_suspected: bool,
}

/// Why no permit is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// Timestamp or snapshot have expired: this controller may have missed a publish.
    Freeze,
    /// Nothing was published yet.
    NoBaseline,
    /// This controller was set back, and no operator has looked at it.
    SetBack,
    /// The host names a permit that is not known here, and has not handed it in yet.
    PermitUnknown,
}

impl Unsigned {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Unsigned::Freeze => "freeze",
            Unsigned::NoBaseline => "no-baseline",
            Unsigned::SetBack => "set-back",
            Unsigned::PermitUnknown => "permit-unknown",
        }
    }
}

impl Fleet {
    /// A document of `id`, signed with its key, arrives. `digest` is its payload's.
    ///
    /// # Errors
    /// [`Refusal`]: the document changed nothing. At most an event is in `change` then.
    pub fn report(
        &mut self,
        id: &HostId,
        document: HostDocument,
        digest: Digest,
        now: Time,
        change: &mut Change,
    ) -> Result<ReportAnswer, Refusal> {
        let Some(host) = self.hosts.get_mut(id) else { return Err(Refusal::NotListed) };
        if self.policy.as_ref().is_some_and(|policy| policy.registry.entry(id, now).is_none()) {
            return Err(self.refused(id, Refusal::NotListed, now, change));
        }
        match accept(&host.record, &self.product, document.cover(), document.kind(), digest, now) {
            Accept::Refused(refusal) => return Err(self.refused(id, refusal, now, change)),
            Accept::Repeated => {
                let none = if self.policy.is_some() { Unsigned::Freeze } else { Unsigned::NoBaseline };
                let permit = host.permit.clone().ok_or(none);
                return Ok(self.answer(id, permit));
            }
            Accept::New(record) => {
                if let Err(why) = document.check() {
                    return Err(self.refused(id, Refusal::Malformed(why), now, change));
                }
                host.record = *record;
            }
        }
        host.version = document.version();
        host.permit_asked = host.unknown_permit().or(host.permit_asked);
        // While a question is open nothing is settled: what the host hands in may lie below what it names by now.
        if host.permit_asked.is_none() && host.knows_permit(host.record.permit_named) {
            host.settle_permits(host.record.permit_named);
        }
        let before = host.reusable(&document, now);
        match document {
            HostDocument::Evidence { evidence, state, .. } => {
                host.evidence = Some(evidence);
                self.states.replace(host.state.replace(state), Some(state));
                host.unshown = false;
            }
            HostDocument::Heartbeat { cover, state, .. } => {
                host.unshown = host.state != Some(state);
                if let Some(evidence) = host.evidence.as_mut().filter(|_| !host.unshown) {
                    evidence.cover = Arc::from(cover);
                }
            }
        }
        change.hosts.insert(id.clone());
        let turned = if before { self.own_reasons(id, now, change) } else { self.judge_host(id, now, change) };
        if turned {
            self.judge_site(id.site(), now, change);
            self.settle(id.site(), Some(id), now, change);
        }
        let permit = self.make_permit(id, now);
        Ok(self.answer(id, permit))
    }

    fn answer(&self, id: &HostId, permit: Result<Permit, Unsigned>) -> ReportAnswer {
        let host = self.hosts.get(id);
        let lists = host.and_then(|host| host.evidence.as_ref()).map_or(&[][..], |e| e.cover().lists.as_slice());
        ReportAnswer {
            sequence: host.map_or(0, |host| host.record.sequence),
            next: if host.is_some_and(|host| host.unshown) { Next::SendFull } else { Next::Nothing },
            permit,
            stops: self.stops_for(id),
            unknown: self.unknown_to_us(id),
            unknown_permit: self.unknown_permit_of(id),
            wanted: lists.iter().filter(|list| !self.lists.contains(list)).take(WANTED_MAX).copied().collect(),
            clone_suspected: host.is_some_and(|host| host.record.clone_suspected),
        }
    }

    fn refused(&mut self, id: &HostId, refusal: Refusal, now: Time, change: &mut Change) -> Refusal {
        let is_over = |at: &Time| now >= at.after(REFUSAL_EVENT_INTERVAL);
        let over: Vec<_> = self.refused.iter().filter(|(_, at)| is_over(at)).map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.refused.remove_mut(key);
        }
        let key = (id.clone(), refusal.code());
        let code = refusal.code();
        let is_first = !self.refused.contains_key(&key);
        self.refused.insert_mut(key, now);
        if is_first {
            self.note(change, now, EventKind::Refused, Some(id), format!("{code}: {refusal}"));
        }
        refusal
    }
}
