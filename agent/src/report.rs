//! The reporting task: evidence and heartbeats in order, receipts worked off, and the stream of what
//! cannot wait.

use std::sync::Arc;
use std::time::Duration;

use manifests::api::{self, HostEvent, Next, Receipt};
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::evidence::{Cover, Evidence, Heartbeat};
use manifests::gate::Event;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::client::ClientError;
use crate::clock;
use crate::parts::{Parts, Seen};
use crate::state::{StateError, envelope_json};

/// How often an unchanged host reports before a baseline says it.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// The longest wait before a controller that does not answer is asked again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Why a report was not made.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("cannot keep the sequence")]
    State(#[source] StateError),
    #[error("cannot seal the document")]
    Seal(#[source] manifests::envelope::EnvelopeError),
    #[error("not handed in")]
    Client(#[source] ClientError),
}

/// What the task remembers between two documents.
struct Reporter {
    sequence: u64,
    /// The next document is the first after the controller's sequence was found to be ahead.
    resumed: bool,
    /// Baseline and state of the last full evidence that was accepted.
    accepted: Option<(Digest, Digest)>,
}

/// Reports until cancelled. Does nothing before enrolment.
pub async fn run(parts: Arc<Parts>, sequence: u64, shutdown: CancellationToken) {
    if parts.key.is_none() {
        warn!("not enrolled: nothing is reported; run sekisho-agent enroll and start again");
        return;
    }
    let mut reporter = Reporter { sequence, resumed: false, accepted: None };
    let mut backoff = Backoff::new(RETRY_MAX);
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = parts.report.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
        let heartbeat = parts
            .keeper
            .read(|gate| gate.active().map(|set| set.rules.heartbeat.to_std()))
            .flatten()
            .unwrap_or(HEARTBEAT);
        match reporter.report(&parts).await {
            Ok(true) => {
                backoff.reset();
                next = Instant::now() + heartbeat;
            }
            Ok(false) => next = Instant::now() + heartbeat, // Nothing seen yet: a look will ask for it.
            Err(error) => {
                parts.trouble("a report failed", &error);
                let again = match &error {
                    ReportError::Client(error) => reporter.heed(error),
                    ReportError::State(_) | ReportError::Seal(_) => false,
                };
                if again {
                    next = Instant::now();
                } else {
                    parts.client.prefer_next();
                    next = Instant::now() + backoff.wait().min(heartbeat);
                }
            }
        }
    }
}

impl Reporter {
    /// Sends one document and works off its receipt. False if there is nothing to send yet.
    async fn report(&mut self, parts: &Parts) -> Result<bool, ReportError> {
        let reporting = parts.keeper.read(|gate| gate.reporting().map(|(set, local)| (set.baseline, local.state)));
        let Some((baseline, state)) = reporting.flatten() else { return Ok(false) };
        let seen = parts.shared().seen.get(&baseline).cloned();
        let Some(seen) = seen.filter(|seen| seen.digest == state) else { return Ok(false) };
        let (Some(key), sequence) = (&parts.key, self.sequence.saturating_add(1)) else { return Ok(false) };

        // Kept before it is sent: a sequence is never used twice, whatever happens next.
        parts.state.store_sequence(sequence).map_err(ReportError::State)?;
        self.sequence = sequence;
        parts.step(Event::Sending { sequence });
        let cover = self.cover(parts, &seen, baseline);
        let full = self.resumed || self.accepted != Some((baseline, state));
        let (path, body) = if full {
            let evidence = Evidence { cover, state: seen.state.clone() };
            (api::EVIDENCE, envelope_json(&Sealed::seal(&evidence, key).map_err(ReportError::Seal)?))
        } else {
            (
                api::HEARTBEATS,
                envelope_json(&Sealed::seal(&Heartbeat { cover, state }, key).map_err(ReportError::Seal)?),
            )
        };
        let receipt: Receipt = parts.client.post(path, body, None).await.map_err(ReportError::Client)?;
        if full {
            info!(sequence, state = %state, "evidence accepted");
            self.accepted = Some((baseline, state));
        } else {
            debug!(sequence, "heartbeat accepted");
        }
        self.resumed = false;
        self.work_off(parts, receipt, &seen).await;
        Ok(true)
    }

    fn cover(&self, parts: &Parts, seen: &Seen, baseline: Digest) -> Cover {
        let now = clock::now();
        let (permit, stop) = parts.keeper.read(|gate| (gate.permit_number(), gate.newest_stop())).unwrap_or_default();
        Cover {
            sequence: self.sequence,
            resumed: self.resumed,
            permit,
            stop,
            configs: seen.configs.clone(),
            lists: seen.lists.keys().copied().collect(),
            ..parts.identity.cover(now, seen.started.wall, baseline)
        }
    }

    async fn work_off(&mut self, parts: &Parts, receipt: Receipt, seen: &Seen) {
        {
            let mut shared = parts.shared();
            shared.contact = Some(clock::now().wall);
            shared.trouble = None;
        }
        // Stops first: the permit names the newest, and counts only where it is known.
        for stop in receipt.stops {
            parts.stop(stop);
        }
        if let Some(permit) = receipt.permit {
            parts.permit(permit);
        }
        if let Some(why) = receipt.unsigned {
            warn!(why, "no permit is signed");
            parts.shared().trouble = Some(format!("the controller signs no permit: {why}"));
        }
        let newest = parts.sets().last().map_or(0, |set| set.set.timestamp);
        if receipt.timestamp > newest {
            parts.follow.notify_one();
        }
        for list in receipt.wanted {
            if let Some(bytes) = seen.lists.get(&list)
                && let Err(error) = parts.client.put_list(&list.to_string(), bytes.clone(), &receipt.session).await
            {
                parts.trouble("a file list was not handed in", &error);
            }
        }
        parts.session.send_replace(Some(receipt.session));
        if receipt.next == Next::SendFull {
            self.accepted = None;
            parts.report.notify_one();
        }
    }

    /// What a refusal asks for. True if the next document may go at once.
    fn heed(&mut self, error: &ClientError) -> bool {
        let Some(refusal) = error.refusal() else { return false };
        match (refusal.code.as_str(), refusal.sequence) {
            // The controller is ahead: this state directory is older than the host's last document.
            ("sequence", Some(stored)) if stored >= self.sequence => {
                warn!(stored, ours = self.sequence, "resuming from the controller's sequence");
                self.sequence = stored;
                self.resumed = true;
                self.accepted = None;
                true
            }
            _ => {
                self.accepted = None;
                false
            }
        }
    }
}

/// Listens to the host's stream until cancelled.
pub async fn listen(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut sessions = parts.session.subscribe();
    let mut backoff = Backoff::new(RETRY_MAX);
    loop {
        let session = sessions.borrow_and_update().clone();
        if let Some(session) = session {
            let mut opened = false;
            let on_open = || {
                opened = true;
                parts.report.notify_one(); // What was pushed while nobody listened comes with the next receipt.
            };
            let listening = parts.client.listen(&session, on_open, |event| parts.host_event(event));
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = listening => ended,
            };
            if let Err(error) = ended {
                debug!("the stream ended: {}", crate::client::chain(&error));
            }
            if opened {
                backoff.reset();
                parts.report.notify_one();
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            // A receipt says that the controller is there, and brings a session that it knows.
            _ = sessions.changed() => {}
            () = tokio::time::sleep(backoff.wait()), if session_is_known(&sessions) => {}
        }
    }
}

fn session_is_known(sessions: &tokio::sync::watch::Receiver<Option<String>>) -> bool {
    sessions.borrow().is_some()
}

/// Hands in acknowledgements of stops until cancelled.
pub async fn acknowledge(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(RETRY_MAX);
    loop {
        let outstanding = parts.shared().unacknowledged.first().cloned();
        let wait = match outstanding {
            None => Duration::MAX,
            Some(kept) => {
                let Some(document) = parts.acknowledgement(&kept.stop) else { return };
                match parts.client.post::<()>(api::ACKNOWLEDGEMENTS, envelope_json(&document), None).await {
                    Ok(()) => {
                        backoff.reset();
                        let done = kept.stop.digest();
                        parts.shared().unacknowledged.retain(|other| other.stop.digest() != done);
                        if let Err(error) = parts.state.store_stop(&kept.stop, &kept.key, true) {
                            parts.trouble("the acknowledgement will be sent again after a restart", &error);
                        }
                        continue;
                    }
                    Err(error) => {
                        parts.trouble("a stop's acknowledgement was not handed in", &error);
                        backoff.wait()
                    }
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = parts.acknowledge.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

async fn sleep(wait: Duration) {
    if wait == Duration::MAX { std::future::pending().await } else { tokio::time::sleep(wait).await }
}

impl Parts {
    fn host_event(&self, event: HostEvent) {
        match event {
            HostEvent::Permit(permit) => self.permit(permit),
            HostEvent::Stop(stop) => self.stop(stop),
            HostEvent::Refresh(timestamp) => {
                if self.sets().last().is_none_or(|set| set.set.timestamp < timestamp) {
                    self.follow.notify_one();
                }
            }
        }
    }
}
