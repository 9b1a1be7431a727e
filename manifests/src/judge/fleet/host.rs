//! One host, as one controller knows it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::HostRecord;
use crate::digest::Digest;
use crate::evidence::{AnyEvidence, PERMIT_V2_SINCE};
use crate::key::KeyId;
use crate::outcome::{Appraisal, Verdict};
use crate::permit::Permit;
use crate::reason::{Code, Reason};
use crate::reference::Reference;
use crate::time::Time;

/// Most permits remembered that the host has not named yet.
const PERMITS_MADE_MAX: usize = 64;

/// One host. What is stored of it are the first fields; the rest follows from them.
#[derive(Clone, Debug)]
pub struct FleetHost {
    /// Its key; none before it was enrolled.
    pub key: Option<KeyId>,
    /// Which of its keys that is, by a number that grows; 0 where it was enrolled before there were any.
    pub generation: u64,
    /// Its documents.
    pub record: HostRecord,
    /// The version of its newest document: permits for it are made in the version that belongs to that one.
    pub version: u64,
    /// The newest state it showed, as it was sent, with the newest cover.
    pub evidence: Option<AnyEvidence>,
    /// Digest of that state.
    pub state: Option<Digest>,
    /// Its newest cover names another state, which it has not shown yet.
    pub unshown: bool,
    /// The newest permit made for its key.
    pub permit: Option<Permit>,
    /// The highest number that a permit of an earlier key had.
    pub permit_floor: u64,
    /// The end of the newest *issue* made for it: the latest moment at which it can issue.
    pub issue_until: Option<Time>,
    /// Number of the newest stop it acknowledged; 0 for none.
    pub acknowledged: u64,

    /// Permits up to this number are known here: the newest one stored at the start, and what was settled since.
    pub(super) permits_known_to: u64,
    /// Numbers of the permits above it that were made since, and when, oldest first.
    pub(super) permits_made: VecDeque<(u64, Time)>,
    /// Number of a permit that it was asked for. Until it has answered that one is not known, whatever was made or
    /// named since: the proof that this controller was set back may be on its way.
    pub(super) permit_asked: Option<u64>,
    pub(super) appraisal: Arc<Appraisal>,
    /// The baseline that it was judged by.
    pub(super) judged_by: Option<Arc<Reference>>,
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<Reason>,
    pub(super) wake: Option<Time>,
}

impl Default for FleetHost {
    fn default() -> Self {
        let reasons = vec![Reason::of(Code::Stale)];
        let appraisal = Appraisal {
            verdict: Verdict::Hold,
            reasons: reasons.clone(),
            warnings: Vec::new(),
            items: Arc::default(),
            changes_at: None,
        };
        Self {
            key: None,
            generation: 0,
            record: HostRecord::default(),
            version: 1,
            evidence: None,
            state: None,
            unshown: false,
            permit: None,
            permit_floor: 0,
            issue_until: None,
            acknowledged: 0,
            permits_known_to: 0,
            permits_made: VecDeque::new(),
            permit_asked: None,
            appraisal: Arc::new(appraisal),
            judged_by: None,
            verdict: Verdict::Hold,
            reasons,
            wake: None,
        }
    }
}

impl FleetHost {
    /// Which of its keys it has: from 1, 0 without a key.
    pub fn generation(&self) -> u64 {
        if self.key.is_some() { self.generation.max(1) } else { self.generation }
    }

    /// The highest number that any permit for it had; 0 for none.
    pub(super) fn newest_permit(&self) -> u64 {
        self.permit.as_ref().map_or(0, |permit| permit.number).max(self.permit_floor)
    }

    /// Whether this controller made the permit of this number, or has heard of it. A number between two that it
    /// knows may be lost: numbers are moments, and a controller that was set back gives higher ones at once.
    pub(super) fn knows_permit(&self, number: u64) -> bool {
        self.permit_asked != Some(number)
            && (number <= self.permits_known_to || self.permits_made.iter().any(|(made, _)| *made == number))
    }

    /// The permit that it was asked for, or else names and is not known here, if it speaks a version in which it can
    /// hand it in.
    pub(super) fn unknown_permit(&self) -> Option<u64> {
        let named = Some(self.record.permit_named).filter(|named| !self.knows_permit(*named));
        self.permit_asked.or(named).filter(|_| self.version >= PERMIT_V2_SINCE)
    }

    /// When the oldest permit was made of which it is not known whether it came: neither it nor a later one was
    /// named. Every document makes a new permit, so the newest one alone says nothing.
    pub(super) fn unnamed_since(&self) -> Option<Time> {
        let named = self.record.permit_named;
        let newest = self.permit.as_ref().map(|permit| (permit.number, permit.issued));
        let made = self.permits_made.iter().copied().chain(newest);
        made.filter(|(number, _)| *number > named).map(|(_, time)| time).min()
    }

    /// A permit was made.
    pub(super) fn made(&mut self, number: u64, issued: Time) {
        self.permits_made.push_back((number, issued));
        if self.permits_made.len() > PERMITS_MADE_MAX
            && let Some((oldest, _)) = self.permits_made.pop_front()
        {
            self.settle_permits(oldest);
        }
    }

    /// Nothing up to this number is asked for any more.
    pub(super) fn settle_permits(&mut self, number: u64) {
        self.permits_known_to = self.permits_known_to.max(number);
        self.permits_made.retain(|(made, _)| *made > number);
    }

    /// Why hold by its documents, whatever they are judged by.
    pub(super) fn document_reasons(&self) -> Vec<Reason> {
        let found = [
            (self.record.skewed_wall.is_some(), Code::ClockSkew),
            (self.record.clone_suspected, Code::CloneSuspected),
            (self.unshown, Code::PermitMismatch),
        ];
        found.into_iter().filter_map(|(found, code)| found.then_some(Reason::of(code))).collect()
    }

    /// Issue or hold by its own evidence.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why hold, by its own evidence.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}
