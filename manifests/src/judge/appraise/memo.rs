//! Hosts of which the same is known are judged once.

use std::collections::HashMap;
use std::sync::Arc;

use super::{AllItems, Judge, appraise_with};
use crate::digest::Digest;
use crate::evidence::{Cover, State};
use crate::outcome::Appraisal;
use crate::reference::Reference;
use crate::registry::{Entry, Topology};
use crate::time::Time;

/// The most answers that are kept; beyond it all are forgotten.
const ANSWERS_MAX: usize = 4_096;

/// How the items of hosts were judged, by all that decides it.
///
/// Which items of a baseline are fulfilled depends on what a host showed and on what the baseline asks of the registry;
/// of the time it depends at moments that the answer itself names. Everything else (how old evidence is, by which
/// baseline it was made, when hosts join and leave) is judged anew each time.
#[derive(Debug, Default)]
pub struct Memo {
    answers: HashMap<Known, Answer>,
}

/// What decides how the items are judged.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Known {
    baseline: Digest,
    state: Digest,
    is_split: bool,
    /// Of each item, configuration and waiver in the baseline's order: whether it names the host. A setting asks its
    /// configuration, which may be no item.
    named: Box<[u8]>,
}

#[derive(Debug)]
struct Answer {
    /// It counts from then on, until one of the items changes.
    since: Time,
    items: Arc<AllItems>,
}

impl Memo {
    /// What [`super::appraise`] answers. `digest` is that of the evidence's state as it was sent
    /// ([`crate::evidence::AnyEvidence::state_digest`]); without it the host is judged alone.
    ///
    /// Cost, where the same was judged before: one look at whom each item concerns.
    pub fn appraise(
        &mut self,
        reference: &Reference,
        entry: Option<&Entry<'_>>,
        evidence: Option<(&Cover, &State)>,
        digest: Option<Digest>,
        now: Time,
    ) -> Appraisal {
        appraise_with(reference, entry, evidence, now, |judge| match digest {
            Some(digest) => self.all_items(judge, digest),
            None => Arc::new(judge.all_items()),
        })
    }

    /// Forgets all, as when another baseline comes.
    pub fn clear(&mut self) {
        self.answers.clear();
    }

    fn all_items(&mut self, judge: &Judge<'_>, state: Digest) -> Arc<AllItems> {
        let known = Known::new(judge, state);
        let counts = |answer: &&Answer| {
            answer.since <= judge.now && answer.items.changes_at.is_none_or(|changes_at| judge.now < changes_at)
        };
        if let Some(answer) = self.answers.get(&known).filter(counts) {
            return Arc::clone(&answer.items);
        }
        let items = Arc::new(judge.all_items());
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.insert(known, Answer { since: judge.now, items: Arc::clone(&items) });
        items
    }
}

impl Known {
    fn new(judge: &Judge<'_>, state: Digest) -> Self {
        let baseline = judge.baseline();
        let host = judge.entry.host;
        let items = baseline.items().map(|item| host.is_among(item.concerns()));
        let configs = baseline.configs.iter().map(|config| host.is_among(&config.concerns));
        let waivers = baseline.waivers.iter().map(|waiver| waiver.hosts.contains(&host.id));
        Self {
            baseline: judge.reference.digest(),
            state,
            is_split: judge.entry.topology == Topology::Split,
            named: items.chain(configs).chain(waivers).map(u8::from).collect(),
        }
    }
}
