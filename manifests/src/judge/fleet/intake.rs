//! Which documents of a host count: sequences, resumption, clones, clocks.

use crate::appraise::CLOCK_SKEW_MAX;
use crate::digest::Digest;
use crate::evidence::{CHAINS_MAX, Cover, SEQUENCE_JUMP_MAX};
use crate::id::ProductId;
use crate::stop::StopRef;
use crate::time::{Span, Time};
use crate::value::INTEGER_MAX;

/// A host may resume from the controller's sequence once in this time; twice looks like two machines.
pub const RESUME_INTERVAL: Span = Span::from_s(24 * 3600);
/// The longest boot id read, in bytes. A UUID has 36.
const BOOT_ID_BYTES_MAX: usize = 64;
/// The longest version of an agent, in bytes: it is shown in every row of the host.
const AGENT_VERSION_BYTES_MAX: usize = 64;

/// What is remembered of one host's documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRecord {
    /// Sequence of the last document accepted; 0 before the first.
    pub sequence: u64,
    /// Digest of that document's payload.
    pub document: Option<Digest>,
    /// When it was received.
    pub heard: Option<Time>,
    /// When the host last resumed from the controller's sequence.
    pub resumed_at: Option<Time>,
    /// Boot id of that document.
    pub boot_id: String,
    /// Boot clock of that document.
    pub boot_ms: u64,
    /// The highest permit number that the host named since it last resumed.
    pub permit_named: u64,
    /// The newest stop of each chain that it named.
    pub stops_named: Vec<StopRef>,
    /// Two machines seem to use the host's key. Stays until a new key is enrolled.
    pub clone_suspected: bool,
    /// The host's wall clock when it was more than [`CLOCK_SKEW_MAX`] off at `heard`.
    pub skewed_wall: Option<Time>,
}

/// Whether a document brings the state itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// Cover and state.
    Evidence,
    /// A cover and a digest.
    Heartbeat,
}

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// It counts; what is to be remembered from now on.
    New(Box<HostRecord>),
    /// The very bytes accepted last: answered again, without effect.
    Repeated,
    /// It does not count and changes nothing.
    Refused(Refusal),
}

/// Why a document that the host's key signed is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not above the stored sequence: replayed, overtaken, or a host that was set back.
    #[error("sequence {sent} is not above the stored {stored}")]
    Sequence {
        /// Of the document.
        sent: u64,
        /// Of the last one accepted.
        stored: u64,
    },
    /// So far above it that the sequence would soon be used up.
    #[error("sequence {sent} lies more than {SEQUENCE_JUMP_MAX} above the stored {stored}")]
    SequenceJump {
        /// Of the document.
        sent: u64,
        /// Of the last one accepted.
        stored: u64,
    },
    /// For another product.
    #[error("the document is for product {found}, this controller serves {served}")]
    WrongProduct {
        /// Of the document.
        found: ProductId,
        /// Of the controller.
        served: ProductId,
    },
    /// The host is not in the registry, or outside its dates.
    #[error("the host is not listed in the registry")]
    NotListed,
    /// Contradicts itself.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Refusal {
    /// The stable code that the host is answered with.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Sequence { .. } => "sequence",
            Refusal::SequenceJump { .. } => "sequence-jump",
            Refusal::WrongProduct { .. } => "wrong-product",
            Refusal::NotListed => "not-listed",
            Refusal::Malformed(_) => "malformed",
        }
    }
}

/// Decides on a document that the host's key signed for that host. `digest` is its payload's.
///
/// A suspected clone's documents are accepted: what holds it is its record, so that both machines
/// stay visible and neither can tell.
pub fn accept(
    stored: &HostRecord,
    served: &ProductId,
    cover: &Cover,
    kind: DocumentKind,
    digest: Digest,
    now: Time,
) -> Accept {
    let refused = Accept::Refused;
    if cover.product != *served {
        return refused(Refusal::WrongProduct { found: cover.product.clone(), served: served.clone() });
    }
    let stop = cover.stops.iter().map(|stop| stop.number).max().unwrap_or(0);
    if [cover.sequence, cover.boot_ms, cover.permit, stop].iter().any(|number| *number > INTEGER_MAX) {
        return refused(Refusal::Malformed("integers in documents stay below 2^53"));
    }
    // Before the sequence: an agent whose answer was lost sends the same bytes again.
    if stored.document == Some(digest) {
        return Accept::Repeated;
    }
    let (sent, last) = (cover.sequence, stored.sequence);
    if sent <= last {
        return refused(Refusal::Sequence { sent, stored: last });
    }
    // The first document may have any: the host may have spoken to another controller for years.
    if last > 0 && sent - last > SEQUENCE_JUMP_MAX {
        return refused(Refusal::SequenceJump { sent, stored: last });
    }
    if cover.pass_started > cover.wall {
        return refused(Refusal::Malformed("the pass began after the document was made"));
    }
    if cover.boot_id.is_empty() || cover.boot_id.len() > BOOT_ID_BYTES_MAX {
        return refused(Refusal::Malformed("the boot id is none"));
    }
    if cover.agent.version.to_string().len() > AGENT_VERSION_BYTES_MAX {
        return refused(Refusal::Malformed("the agent's version is longer than 64 bytes"));
    }
    if !cover.configs.values().flat_map(|config| &config.layers).all(|layer| layer.file.starts_with('/')) {
        return refused(Refusal::Malformed("a layer of a configuration has no absolute path"));
    }
    if cover.stops.len() > CHAINS_MAX {
        return refused(Refusal::Malformed("the cover names more than 256 stops"));
    }
    if cover.resumed && kind == DocumentKind::Heartbeat {
        return refused(Refusal::Malformed("a host resumes with full evidence"));
    }
    let known = last > 0;
    let resumed_again = stored.resumed_at.is_some_and(|at| now < at.after(RESUME_INTERVAL));
    // Without the flag both only grow. A copy of the machine, or the machine itself set back to an
    // earlier moment, shows by the number or the clock that went back.
    let went_back =
        cover.permit < stored.permit_named || (cover.boot_id == stored.boot_id && cover.boot_ms < stored.boot_ms);
    let clone = known && if cover.resumed { resumed_again } else { went_back };
    let apart = cover.wall.since(now).max(now.since(cover.wall));
    Accept::New(Box::new(HostRecord {
        sequence: sent,
        document: Some(digest),
        heard: Some(now),
        resumed_at: if cover.resumed && known { Some(now) } else { stored.resumed_at },
        boot_id: cover.boot_id.clone(),
        boot_ms: cover.boot_ms,
        permit_named: if cover.resumed { cover.permit } else { cover.permit.max(stored.permit_named) },
        stops_named: cover.stops.clone(),
        clone_suspected: stored.clone_suspected || clone,
        skewed_wall: (apart > CLOCK_SKEW_MAX).then_some(cover.wall),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture::{at, cover, product};
    use proptest::prelude::*;

    fn decide(record: &HostRecord, change: impl FnOnce(&mut Cover), now: Time) -> Accept {
        let mut cover = cover("402206-ap1", record.sequence + 1, now);
        cover.permit = record.permit_named;
        change(&mut cover);
        let digest = Digest::of(format!("{cover:?}").as_bytes());
        accept(record, &product(), &cover, DocumentKind::Evidence, digest, now)
    }

    fn next(record: &HostRecord, change: impl FnOnce(&mut Cover), now: Time) -> HostRecord {
        match decide(record, change, now) {
            Accept::New(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    fn code(accept: Accept) -> &'static str {
        match accept {
            Accept::Refused(refusal) => refusal.code(),
            Accept::New(_) => "new",
            Accept::Repeated => "repeated",
        }
    }

    #[test]
    fn the_same_bytes_are_answered_again_and_any_others_need_a_higher_sequence() {
        let now = at(0);
        let record = next(&HostRecord::default(), |_| (), now);
        let cover = cover("402206-ap1", 1, now);
        let repeat = accept(&record, &product(), &cover, DocumentKind::Evidence, record.document.unwrap(), now);
        assert_eq!(repeat, Accept::Repeated);
        assert_eq!(decide(&record, |c| c.sequence = 1, now), Accept::Refused(Refusal::Sequence { sent: 1, stored: 1 }));
        assert_eq!(code(decide(&record, |c| c.sequence += SEQUENCE_JUMP_MAX, now)), "sequence-jump");
        assert_eq!(code(decide(&record, |c| c.sequence += SEQUENCE_JUMP_MAX - 1, now)), "new");
        assert_eq!(code(decide(&record, |c| c.product = "other".parse().unwrap(), now)), "wrong-product");
        assert_eq!(code(decide(&record, |c| c.pass_started = at(1), now)), "malformed");
        let version = |bytes: usize| format!("1.0.0-{}", "a".repeat(bytes - 6)).parse().unwrap();
        assert_eq!(code(decide(&record, |c| c.agent.version = version(64), now)), "new");
        assert_eq!(code(decide(&record, |c| c.agent.version = version(65), now)), "malformed");
    }

    #[test]
    fn a_host_resumes_once_a_day() {
        let record = next(&HostRecord::default(), |_| (), at(0));
        let once = next(&record, |c| c.resumed = true, at(10));
        assert!(!once.clone_suspected);
        assert!(next(&once, |c| c.resumed = true, at(10 + 24 * 3600 - 1)).clone_suspected);
        assert!(!next(&once, |c| c.resumed = true, at(10 + 24 * 3600)).clone_suspected);
    }

    #[test]
    fn a_first_document_may_say_that_it_resumes() {
        // Its controller was replaced by an empty one, or its key by a new one.
        let record = next(&HostRecord::default(), |c| c.resumed = true, at(0));
        assert_eq!(record.resumed_at, None);
    }

    #[test]
    fn what_went_back_without_saying_so_is_a_clone() {
        let record = next(&HostRecord::default(), |c| (c.permit, c.boot_ms) = (7, 500), at(0));
        assert!(next(&record, |c| c.permit = 6, at(1)).clone_suspected);
        assert!(next(&record, |c| c.boot_ms = 499, at(1)).clone_suspected);
        let rebooted = next(&record, |c| (c.boot_id, c.boot_ms) = ("another".to_owned(), 3), at(1));
        assert!(!rebooted.clone_suspected);
        let resumed = next(&record, |c| (c.resumed, c.permit, c.boot_ms) = (true, 0, 1), at(1));
        assert!(!resumed.clone_suspected);
        assert_eq!(resumed.permit_named, 0);
        let suspected = next(&record, |c| c.permit = 6, at(1));
        assert!(next(&suspected, |c| c.permit = 9, at(2)).clone_suspected, "only a new key ends it");
    }

    #[test]
    fn clocks_more_than_a_minute_apart_are_named() {
        let record = HostRecord::default();
        for (wall, skewed) in [(at(60), None), (at(61), Some(at(61)))] {
            assert_eq!(next(&record, |c| c.wall = wall, at(0)).skewed_wall, skewed);
        }
        let slow = next(&record, |c| (c.wall, c.pass_started) = (at(0), at(0)), at(61));
        assert_eq!(slow.skewed_wall, Some(at(0)));
    }

    proptest! {
        #[test]
        fn the_sequence_only_grows_and_no_document_counts_twice(sent in prop::collection::vec((1_u64..20, any::<bool>()), 1..60)) {
            let mut record = HostRecord::default();
            let mut counted = std::collections::BTreeSet::new();
            for (sequence, resumed) in sent {
                let mut cover = cover("402206-ap1", sequence, at(0));
                cover.resumed = resumed;
                let digest = Digest::of(format!("{cover:?}").as_bytes());
                match accept(&record, &product(), &cover, DocumentKind::Evidence, digest, at(0)) {
                    Accept::New(new) => {
                        prop_assert!(new.sequence > record.sequence);
                        prop_assert!(counted.insert(digest));
                        record = *new;
                    }
                    Accept::Repeated => prop_assert_eq!(record.document, Some(digest)),
                    Accept::Refused(refusal) => prop_assert_eq!(refusal.code(), "sequence"),
                }
            }
        }
    }
}
