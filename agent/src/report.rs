//! The reporting task: evidence and heartbeats in order, receipts worked off.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use manifests::api::{self, Next, Receipt, STOPS_PER_RECEIPT_MAX};
use manifests::digest::Digest;
use manifests::envelope::{Document, Sealed};
use manifests::evidence::{Cover, Evidence, Heartbeat, v1, v2};
use manifests::gate::{Event, Gate};
use manifests::key::SigningKey;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::backoff::{Backoff, RETRY_MAX};
use crate::client::{ClientError, Session};
use crate::clock;
use crate::hand_in::Unknown;
use crate::parts::{Parts, Seen};
use crate::state::{Sent, envelope_json};

/// How often an unchanged host reports before a baseline says it.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How often an agent that reports to another controller tries the first one of its configuration again.
const TRY_FIRST: Duration = Duration::from_secs(30);
/// How often one file list is handed in to a controller that asks for patience, before it waits for the next receipt.
const LIST_TRIES: u32 = 5;
/// How many sequences are taken at once. Documents go out without waiting for a disk as long as there are some
/// left; a process that is killed leaves out those that it did not use, and a controller lets a host leave out
/// [`manifests::evidence::SEQUENCE_JUMP_MAX`] in all.
pub const SEQUENCES: u64 = 64;

/// Why a report was not made.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("cannot seal the document")]
    Seal(#[source] manifests::envelope::EnvelopeError),
    #[error("not handed in")]
    Client(#[source] ClientError),
}

impl ReportError {
    /// Whether another controller may do better. What goes wrong on this host does so with every one of them.
    fn is_of_controller(&self) -> bool {
        match self {
            ReportError::Client(_) => true,
            ReportError::Seal(_) => false,
        }
    }

    /// How long the controller asks to be left alone.
    fn asked_wait(&self) -> Option<Duration> {
        match self {
            ReportError::Client(error) => error.retry_after(),
            ReportError::Seal(_) => None,
        }
    }
}

/// When it is tried again: as late as the controller asks for, and never later than a heartbeat. Nobody
/// must be able to silence a host by a header.
fn again_after(backoff: Duration, asked: Option<Duration>, heartbeat: Duration) -> Duration {
    backoff.max(asked.unwrap_or_default()).min(heartbeat)
}

/// How often an unchanged host reports.
fn heartbeat(parts: &Parts) -> Duration {
    let said = parts.keeper.read(|gate| gate.active().map(|set| set.rules.heartbeat.to_std()));
    said.flatten().unwrap_or(HEARTBEAT)
}

/// What the task remembers between two documents.
struct Reporter {
    /// Of the last document.
    sequence: u64,
    /// Up to here sequences are taken: none of them is used after a restart.
    taken: u64,
    /// The next document is the first after the controller's sequence was found to be ahead.
    resumed: bool,
    /// That document, sent and not answered yet.
    resuming: Option<Vec<u8>>,
    /// Baseline, and digest of the state as it was sent, of the last full evidence that was accepted.
    accepted: Option<(Digest, Digest)>,
    /// The state of the last document, and the sequence of the first one that had it.
    run: Option<(Digest, u64)>,
}

/// Where an agent begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// Every sequence up to this one may have been used.
    pub sequence: u64,
    /// Those up to this one are this agent's.
    pub taken: u64,
    /// What was said last is not known any more: the first document says that this host resumes.
    pub resumed: bool,
}

/// Reports until cancelled. Does nothing before enrolment.
pub async fn run(parts: Arc<Parts>, begin: Begin, shutdown: CancellationToken) {
    if parts.key.is_none() {
        warn!("no usable host key: nothing is reported; run sekisho-agent enroll and start again");
        shutdown.cancelled().await;
        return;
    }
    let resuming = match parts.state.resuming() {
        Ok(resuming) => resuming,
        Err(error) => {
            parts.trouble("what this host resumed with cannot be read", &error);
            None
        }
    };
    let Begin { sequence, taken, resumed } = begin;
    let mut reporter = Reporter { sequence, taken, resumed, resuming, accepted: None, run: None };
    let mut retried = false;
    let mut backoff = Backoff::new(RETRY_MAX);
    let mut next = Instant::now();
    let mut tried_first = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => {
                parts.writer.give_back(reporter.sequence);
                return;
            }
            () = parts.report.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
        let heartbeat = heartbeat(&parts);
        // Hosts of one site that ask different controllers hold each other: as soon as the first one answers again,
        // all of them are back.
        let away = (parts.client.is_away() && tried_first.elapsed() >= TRY_FIRST).then(|| {
            tried_first = Instant::now();
            parts.client.prefer_first()
        });
        let mut reported = reporter.report(&parts).await;
        if let Some(before) = away.filter(|_| !matches!(reported, Ok(true))) {
            // Heard as from any other controller: it may be ahead, or not know this host, and would never have it back.
            if let Err(error) = &reported {
                parts.trouble("the first controller takes no report", error);
                if reporter.can_mend(&parts, error).await {
                    reported = reporter.report(&parts).await;
                }
            }
            if !matches!(reported, Ok(true)) {
                parts.client.prefer(before);
                reporter.accepted = None;
                reported = reporter.report(&parts).await;
            }
        }
        match reported {
            Ok(true) => {
                backoff.reset();
                retried = false;
                next = Instant::now() + heartbeat;
            }
            Ok(false) => next = Instant::now() + heartbeat, // Nothing seen yet: a look will ask for it.
            Err(error) => {
                parts.trouble("a report failed", &error);
                // Once: two that refuse each other must not do so without a pause.
                if reporter.can_mend(&parts, &error).await && !retried {
                    retried = true;
                    next = Instant::now();
                } else {
                    if error.is_of_controller() {
                        reporter.go_on(&parts);
                        tried_first = Instant::now();
                    }
                    next = Instant::now() + again_after(backoff.wait(), error.asked_wait(), heartbeat);
                }
            }
        }
    }
}

impl Reporter {
    /// Sends one document and works off its receipt. False if there is nothing to send yet.
    async fn report(&mut self, parts: &Arc<Parts>) -> Result<bool, ReportError> {
        if let Some(document) = self.resuming.clone() {
            self.resume(parts, document).await?;
        }
        let version = parts.client.evidence_version().await.map_err(ReportError::Client)?;
        let reporting = parts.keeper.read(|gate| gate.reporting().map(|(set, local)| (set.baseline, local.state)));
        let Some((baseline, digests)) = reporting.flatten() else { return Ok(false) };
        let seen = parts.shared().seen.get(&baseline).cloned();
        let Some(seen) = seen.filter(|seen| seen.digest == digests) else { return Ok(false) };
        let (Some(key), sequence) = (&parts.key, self.sequence.saturating_add(1)) else { return Ok(false) };

        // No permit is named that is not kept: none is ever named lower than one before.
        let permit = parts.kept_permit.load(Ordering::Relaxed);
        let sent = Sent { sequence, permit };
        self.take_sequences(parts, sequence).await;
        self.sequence = sequence;
        parts.step(Event::Sending { sequence });
        let stops = parts.keeper.read(Gate::newest_stops).unwrap_or_default();
        let cover = seen.cover(&parts.identity, baseline, sent, stops, clock::now());
        let enrolment = parts.shared().enrolment.as_ref().map(Sealed::digest);
        let cover = Cover { resumed: self.resumed, enrolment, ..cover };
        let run = self.run.filter(|(run, _)| *run == digests.v3).unwrap_or((digests.v3, sequence));
        let (_, since) = *self.run.insert(run);
        let state = digests.of_version(version);
        let full = self.resumed || self.accepted != Some((baseline, state));
        let path = if full { api::EVIDENCE } else { api::HEARTBEATS };
        let body = match (version, full) {
            (..=1, true) => sealed(&v1::Evidence { cover, state: v1::State::from(&seen.state) }, key)?,
            (..=1, false) => sealed(&v1::Heartbeat { cover, state }, key)?,
            (2, true) => sealed(&v2::Evidence::telling(cover, &seen.state), key)?,
            (2, false) => sealed(&v2::Heartbeat { cover, state, since }, key)?,
            (3.., true) => sealed(&Evidence { cover, state: seen.state.clone() }, key)?,
            (3.., false) => sealed(&Heartbeat { cover, state, since }, key)?,
        };
        if self.resumed {
            if let Err(error) = parts.writer.resuming(Some(body.clone())).await {
                parts.trouble("the document by which this host resumes is not kept", &error);
            }
            self.resuming = Some(body.clone());
            self.resumed = false;
            self.resume(parts, body).await?;
            self.accepted = None; // The next document says what the newest look saw.
            parts.report.notify_one();
            return Ok(true);
        }
        let receipt: Receipt = parts.client.post(path, body).await.map_err(ReportError::Client)?;
        if full {
            info!(sequence, version, state = %state, "evidence accepted");
            self.accepted = Some((baseline, state));
        } else {
            debug!(sequence, "heartbeat accepted");
        }
        self.work_off(parts, receipt, Some(&seen));
        Ok(true)
    }

    /// Has sequences taken before they are used up, so that documents need not wait for a disk: they go out even
    /// where it takes nothing. Only what a host resumes with waits, for twice a day looks like two machines.
    async fn take_sequences(&mut self, parts: &Arc<Parts>, sequence: u64) {
        if sequence.saturating_add(SEQUENCES / 2) <= self.taken {
            return;
        }
        self.taken = sequence.saturating_add(SEQUENCES);
        if !self.resumed {
            parts.writer.sequence(self.taken);
        } else if let Err(error) = parts.writer.sequence_now(self.taken).await {
            parts.trouble("the sequence by which this host resumes is not kept", &error);
        }
    }

    /// Sends the document by which this host resumes until it is answered, the same bytes each time.
    async fn resume(&mut self, parts: &Arc<Parts>, document: Vec<u8>) -> Result<(), ReportError> {
        let sent = document.clone();
        match parts.client.post::<Receipt>(api::EVIDENCE, document).await {
            Ok(receipt) => {
                info!(sequence = receipt.sequence, "resumed");
                self.work_off(parts, receipt, None);
            }
            // Refused is answered, too.
            Err(error) if error.refusal().is_some() && !says_nothing_of_it(&error) => {
                parts.trouble("resuming was refused", &error);
                parts.client.forget_evidence_version();
                // By a controller that does not take the version: once more, in the one that it takes.
                if is_newer(&sent, parts.client.evidence_version().await.map_err(ReportError::Client)?) {
                    self.resumed = true;
                    parts.report.notify_one();
                }
            }
            Err(error) => return Err(ReportError::Client(error)),
        }
        self.resuming = None;
        // It would be sent once more after a restart, and refused as old.
        if let Err(error) = parts.writer.resuming(None).await {
            parts.trouble("the document by which this host resumed cannot be removed", &error);
        }
        Ok(())
    }

    /// The next document goes to the next address.
    fn go_on(&mut self, parts: &Parts) {
        let before = parts.client.address().to_owned();
        parts.client.prefer_next();
        if parts.client.address() != before {
            self.accepted = None; // Another controller has not seen what this one has.
        }
    }

    /// Does what an error asks for. True if the next document may go at once, to the same controller.
    async fn can_mend(&mut self, parts: &Parts, error: &ReportError) -> bool {
        match error {
            ReportError::Client(error) if is_unknown_there(error) => parts.show_enrolment().await,
            ReportError::Client(error) => self.heed(parts, error),
            ReportError::Seal(_) => false,
        }
    }

    fn work_off(&mut self, parts: &Arc<Parts>, receipt: Receipt, seen: Option<&Arc<Seen>>) {
        let session = Session { address: parts.client.address().to_owned(), bearer: receipt.session };
        // Before its own permit takes the place of the one that it asks for.
        parts.asks_for_permit(&session.address, receipt.unknown_permit);
        if !receipt.unknown_stops.is_empty() || receipt.unknown_permit.is_some() {
            let unknown = Unknown { stops: receipt.unknown_stops, permit: receipt.unknown_permit };
            parts.hand_in(unknown, session.clone());
        }
        parts.shared().contact = Some(clock::now().wall);
        parts.client.note_evidence_version(receipt.evidence);
        if let Some(word) = receipt.enrolment {
            parts.enrolled(word);
        }
        if receipt.stops.len() >= STOPS_PER_RECEIPT_MAX {
            parts.report.notify_one(); // There may be more.
        }
        // Stops first: the permit names the newest, and counts only where it is known.
        for stop in receipt.stops {
            parts.stop(stop);
        }
        if let Some(permit) = receipt.permit {
            parts.permit(permit);
        }
        // A permit that is not known here is asked for, and the next document is answered with one.
        if let Some(why) = receipt.unsigned.filter(|_| receipt.unknown_permit.is_none()) {
            parts.trouble_is(format!("the controller signs no permit: {why}"));
        }
        let newest = parts.newest_timestamp();
        if receipt.timestamp > newest {
            parts.follow.notify_one();
        }
        if let Some(seen) = seen.filter(|_| !receipt.wanted.is_empty()) {
            // Beside the heartbeats, which must not wait for a slow line.
            let (parts, seen) = (Arc::clone(parts), Arc::clone(seen));
            tokio::spawn(hand_in_lists(parts, seen, receipt.wanted, session.clone()));
        }
        parts.session.send_replace(Some(session));
        if receipt.next == Next::SendFull {
            self.accepted = None;
            parts.report.notify_one();
        }
    }

    /// What a refusal asks for. True if the next document may go at once.
    fn heed(&mut self, parts: &Parts, error: &ClientError) -> bool {
        let Some(refusal) = error.refusal() else { return false };
        match (refusal.code.as_str(), refusal.sequence) {
            // The controller is ahead: this state directory is older than the host's last document.
            ("sequence", Some(stored)) if stored >= self.sequence => {
                warn!(stored, ours = self.sequence, "resuming from the controller's sequence");
                (self.sequence, self.taken) = (stored, stored);
                self.resumed = true;
                self.accepted = None;
                true
            }
            // Perhaps a controller of before has taken the place of one that takes this version.
            ("malformed", _) => {
                parts.client.forget_evidence_version();
                self.accepted = None;
                true
            }
            _ => {
                if !says_nothing_of_it(error) {
                    self.accepted = None;
                }
                false
            }
        }
    }
}

/// Whether a refusal says nothing of the document: its controller is in trouble, does not know this host, or is not
/// who answers. What was sent is sent again as it was.
fn says_nothing_of_it(error: &ClientError) -> bool {
    let is_by_somebody_else =
        || error.refusal().is_some_and(|refusal| matches!(refusal.code.as_str(), "no-code" | "not-enrolled"));
    matches!(error.status(), Some(408 | 429 | 502..=504)) || is_by_somebody_else()
}

/// Whether the controller does not know this host's key, which another one enrolled.
fn is_unknown_there(error: &ClientError) -> bool {
    error.refusal().is_some_and(|refusal| refusal.code == "not-enrolled")
}

fn sealed<T: Document>(document: &T, key: &SigningKey) -> Result<Vec<u8>, ReportError> {
    Ok(envelope_json(&Sealed::seal(document, key).map_err(ReportError::Seal)?))
}

/// Whether an envelope with evidence is of a newer version than this one.
fn is_newer(envelope: &[u8], version: u64) -> bool {
    let document: Result<serde_json::Value, _> = serde_json::from_slice(envelope);
    let kind = document.ok().and_then(|document| document.get("payloadType")?.as_str().map(str::to_owned));
    let types = [v1::Evidence::PAYLOAD_TYPE, v2::Evidence::PAYLOAD_TYPE, Evidence::PAYLOAD_TYPE];
    // The first of them has version 1.
    let is_of = (1..).zip(types).find(|(_, known)| kind.as_deref() == Some(known));
    is_of.is_some_and(|(of, _)| of > version)
}

async fn hand_in_lists(parts: Arc<Parts>, seen: Arc<Seen>, wanted: Vec<Digest>, session: Session) {
    // What is missing then is asked for again with the next receipt.
    let Ok(_alone) = parts.handing_in_lists.try_lock() else { return };
    for list in wanted {
        let Some(bytes) = seen.lists.get(&list) else { continue };
        if let Err(error) = hand_in_list(&parts, &list, bytes, &session).await {
            parts.trouble("a file list was not handed in", &error); // Asked for again with the next receipt.
            return;
        }
    }
}

/// A controller that asks to be left alone for a while is asked again then, with the same list.
async fn hand_in_list(
    parts: &Parts,
    list: &Digest,
    bytes: &Arc<Vec<u8>>,
    session: &Session,
) -> Result<(), ClientError> {
    for _ in 1..LIST_TRIES {
        match parts.client.put_list(session, &list.to_string(), Arc::clone(bytes)).await {
            Err(error) if error.retry_after().is_some() => {
                let wait = again_after(Duration::ZERO, error.retry_after(), heartbeat(parts));
                tokio::time::sleep(wait).await;
            }
            answered => return answered,
        }
    }
    parts.client.put_list(session, &list.to_string(), Arc::clone(bytes)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_delays_a_host_by_a_heartbeat_at_most() {
        let again = |backoff, asked: Option<u64>| {
            let asked = asked.map(Duration::from_secs);
            again_after(Duration::from_secs(backoff), asked, Duration::from_secs(30)).as_secs()
        };
        assert_eq!([again(1, None), again(1, Some(5)), again(9, Some(5))], [1, 5, 9]);
        assert_eq!([again(1, Some(86_400)), again(60, None)], [30, 30]);
    }

    #[test]
    fn an_envelope_of_a_later_version_is_newer_than_what_a_controller_of_before_takes() {
        let envelope = |version: &str| {
            format!(
                r#"{{"payloadType":"application/vnd.sekisho.evidence.{version}+json","payload":"e30=",
                "signatures":[{{"keyid":"{}","sig":"AAAA"}}]}}"#,
                "a".repeat(64)
            )
        };
        let is_newer = |document: &str, version| is_newer(document.as_bytes(), version);
        assert!(is_newer(&envelope("v2"), 1) && is_newer(&envelope("v3"), 2));
        assert!(!is_newer(&envelope("v2"), 2) && !is_newer(&envelope("v2"), 3) && !is_newer(&envelope("v3"), 3));
        assert!(!is_newer(&envelope("v1"), 1) && !is_newer("{}", 1));
    }
}
