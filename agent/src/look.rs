//! The looking task: waits for changes, looks at the host, and hands the local appraisal to the gate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use manifests::appraise::appraise;
use manifests::baseline::Baseline;
use manifests::evidence::{Evidence, InForceSeen, Why};
use manifests::gate::{Event, Local};
use manifests::time::{Span, Time};
use rustix::event::{PollFd, PollFlags};
use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock;
use crate::collect::{Collector, Journal, Limits, Processes, Unseen, WatchSet};
use crate::parts::{Parts, Seen};
use crate::trust::TrustedSet;
use crate::watch::{Change, Pending, Watch};

/// How often the programs' processes are looked for.
const PROCESS_POLL: Duration = Duration::from_secs(1);
/// How often the host is looked at when file events cannot be had.
const UNWATCHED_PASS: Duration = Duration::from_secs(2);
/// The longest time between two passes, before a baseline says it.
const PASS_MAX: Duration = Duration::from_secs(30);
/// After a look at a program that does not tell a value in force it is asked again; twice as long each
/// time, up to 32 times this.
const ANSWER_AGAIN: Duration = Duration::from_secs(1);
/// How long services that start behind this agent wait for its watch. On a slow disk it may take longer; then
/// they start unwatched, and what they have read counts by the times of the files.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks while files keep changing, so that other work gets its turn.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// What looks, moved to a thread that may block and back.
pub struct Eyes {
    collector: Collector,
    watch: Arc<Mutex<Option<Watch>>>,
    watching: bool,
    /// What the watch has told, for who looks.
    journal: Journal,
    /// The processes that the newest pass looked into; nothing before the first.
    processes: Option<Processes>,
    /// When the newest appraisals can change by themselves.
    changes_at: Option<Time>,
    /// Looks in a row in which a program did not tell a value in force.
    unanswered: u32,
    /// What is kept of running processes.
    kept: Vec<u8>,
    limits: Limits,
}

impl Eyes {
    /// Eyes that have seen nothing.
    pub fn new(collector: Collector, watch: Option<Watch>) -> Self {
        Self {
            journal: collector.journal(),
            collector,
            watch: Arc::new(Mutex::new(watch)),
            watching: false,
            processes: None,
            changes_at: None,
            unanswered: 0,
            kept: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Looks once under every set.
    fn look(&mut self, parts: &Parts) {
        let sets = parts.sets();
        let host = |set: &TrustedSet, now| set.registry.entry(&parts.config.host, now).map(|e| e.host.clone());
        let watched = self.watched(parts, &sets);
        // The watch first, then the look: no change can fall between them.
        self.set_watch(parts, &watched);
        parts.watch_stands.notify_one();
        self.processes = None;
        self.changes_at = None;
        let mut is_unanswered = false;
        // The set to come first: where it says hold it rules at once, before the old one is asked again.
        for set in sets.iter().rev() {
            let started = clock::now();
            let Some(changes) = parts.keeper.read(manifests::gate::Gate::changes) else { return };
            let baseline = set.reference.digest();
            let settle = || note_events(parts, &self.watch, &self.journal);
            let host = host(set, started.wall);
            let pass = self.collector.pass(set.reference.baseline(), host.as_ref(), &self.limits, &settle);
            self.processes = Some(pass.processes);
            is_unanswered |= pass
                .state
                .settings
                .values()
                .any(|seen| matches!(seen.in_force, Some(InForceSeen::Unknown(Why::NotAnswering))));
            let cover = parts.identity.cover(started, started.wall, baseline);
            let evidence = Evidence { cover, state: pass.state };
            let entry = set.registry.entry(&parts.config.host, started.wall);
            let appraisal = appraise(&set.reference, entry.as_ref(), Some(&evidence), started.wall);
            let seen = Arc::new(Seen::new(evidence.state, pass.configs, pass.lists, started));
            parts.shared().seen.insert(baseline, Arc::clone(&seen));
            self.changes_at = self.changes_at.into_iter().chain(appraisal.changes_at).min();
            let local = Local {
                state: seen.digest,
                verdict: appraisal.verdict,
                reasons: appraisal.reasons,
                changes_at: appraisal.changes_at,
                started,
                changes,
            };
            parts.step(Event::Collected { baseline, local });
        }
        let unseen = self.collector.unseen().map(Unseen::words);
        let before = std::mem::replace(&mut parts.shared().processes, unseen);
        if let Some(words) = unseen.filter(|_| before != unseen) {
            warn!("{words}");
        }
        self.unanswered = if is_unanswered { self.unanswered.saturating_add(1) } else { 0 };
        // A link that was switched, or a root that came, while its watch was being made was looked at
        // and is not watched.
        if self.watched(parts, &sets) != watched {
            parts.step(Event::Changed); // Asks for a look.
        }
        self.keep(parts);
    }

    /// What is to be watched for all sets.
    fn watched(&self, parts: &Parts, sets: &[Arc<TrustedSet>]) -> WatchSet {
        let now = clock::now();
        let mut watched = WatchSet::default();
        for set in sets {
            let entry = set.registry.entry(&parts.config.host, now.wall);
            let host = entry.as_ref().map(|entry| entry.host);
            watched.extend(self.collector.watch_set(set.reference.baseline(), host));
        }
        watched
    }

    /// Keeps what is known of running processes for the next start of this agent.
    fn keep(&mut self, parts: &Parts) {
        let (json, lists) = self.collector.remembered(&parts.identity.boot_id);
        if json == self.kept && !parts.writer.have_processes_failed() {
            return;
        }
        self.kept.clone_from(&json);
        parts.writer.processes(json, lists);
    }

    fn set_watch(&mut self, parts: &Parts, set: &WatchSet) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watch) = watch.as_mut() else { return };
        let result = watch.set(set);
        let how = match &result {
            Ok(()) if watch.blind().is_empty() => "file events".to_owned(),
            Ok(()) => format!("file events, and a pass every {UNWATCHED_PASS:?}: {}", watch.blind()),
            Err(_) => format!("a pass every {UNWATCHED_PASS:?}"),
        };
        self.watching = result.is_ok() && watch.blind().is_empty();
        // Where changes can go untold, nothing is concluded from what was not told.
        self.journal.watching(Some(set).filter(|_| result.is_ok() && watch.blind().is_empty()));
        let before = std::mem::replace(&mut parts.shared().watching, how.clone());
        match result {
            _ if before == how => {}
            Ok(()) => info!("changes are noticed by {how}"),
            Err(error) => parts.trouble("changes cannot be watched, short passes do instead", &error),
        }
    }

    /// Whether the processes are others than the newest pass looked into. Before the first look nothing is
    /// known that could have changed.
    fn have_processes_changed(&mut self) -> bool {
        self.processes.as_ref().is_some_and(|before| *before != self.collector.processes())
    }
}

/// Takes what is queued; a change is counted by the gate before it stops being pending.
fn note_events(parts: &Parts, watch: &Mutex<Option<Watch>>, journal: &Journal) {
    let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(drained) = watch.as_mut().map(Watch::drain) else { return };
    if drained.contains(&Change::Overflow) {
        journal.lost();
    }
    journal.note(drained.iter().filter_map(|change| match change {
        Change::Path { path, happened } => Some((path.as_path(), *happened)),
        Change::Overflow => None,
    }));
    if !drained.is_empty() {
        parts.step(Event::Changed); // Asks for a look.
    }
    drop(drained);
    // Questions may have waited for a queue that held nothing of interest.
    parts.keeper.nudge();
}

/// Looks until cancelled.
pub async fn run(parts: Arc<Parts>, eyes: Eyes, pending: Option<Pending>, shutdown: CancellationToken) {
    let mut queued = pending.map(poll_queue);
    if queued.is_none() {
        parts.shared().watching = format!("a pass every {UNWATCHED_PASS:?}");
        warn!("file events cannot be had: looking every {UNWATCHED_PASS:?} instead");
    }
    let watched = queued.is_some();
    tokio::spawn(say_ready(Arc::clone(&parts)));
    if parts.sets().is_empty() {
        parts.watch_stands.notify_one(); // There is nothing to watch yet.
    }
    let (watch, journal) = (Arc::clone(&eyes.watch), eyes.journal.clone());
    let mut eyes = eyes;
    let mut next_pass = Instant::now();
    let mut poll = tokio::time::interval(PROCESS_POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if watched && queued.is_none() {
            return; // Nobody waits for the queue any more. Ends the agent, which is started again.
        }
        let due = tokio::select! {
            () = shutdown.cancelled() => return,
            () = one_queued(&mut queued) => {
                note_events(&parts, &watch, &journal);
                false
            }
            () = parts.look.notified() => true,
            () = tokio::time::sleep_until(next_pass) => true,
            _ = poll.tick() => {
                if eyes.have_processes_changed() {
                    info!("processes changed");
                    parts.step(Event::Changed); // Asks for a look.
                }
                parts.have_clocks_moved_since_pass()
            }
        };
        if !due {
            continue;
        }
        if parts.sets().is_empty() {
            next_pass = Instant::now() + PASS_MAX; // A set's arrival asks for a look.
            notify(NotifyState::Watchdog);
            continue;
        }
        let shared = Arc::clone(&parts);
        let mut looking = tokio::task::spawn_blocking(move || {
            eyes.look(&shared);
            eyes
        });
        let looked = loop {
            tokio::select! {
                looked = &mut looking => break looked,
                // Events of no interest must not keep the gate waiting for the end of a look.
                () = one_queued(&mut queued) => {
                    let (parts, watch, journal) = (Arc::clone(&parts), Arc::clone(&watch), journal.clone());
                    // The look holds the watch for as long as it sets it.
                    let _ = tokio::task::spawn_blocking(move || note_events(&parts, &watch, &journal)).await;
                }
            }
        };
        match looked {
            Ok(looking) => eyes = looking,
            Err(error) => {
                error!("looking at the host failed: {error}");
                return; // Ends the agent: one that does not look must not answer.
            }
        }
        let quarter = parts.sets().iter().map(|set| pass_interval(set.reference.baseline())).min();
        let interval = if eyes.watching { quarter.unwrap_or(PASS_MAX) } else { UNWATCHED_PASS };
        // A program that has just been started does not answer yet.
        let interval = match eyes.unanswered {
            0 => interval,
            looks => interval.min(ANSWER_AGAIN * (1 << (looks - 1).min(5))),
        };
        let until_change = eyes.changes_at.map(|at| at.since(clock::now().wall).to_std());
        next_pass = Instant::now() + until_change.unwrap_or(interval).min(interval);
        // From here alone: a supervisor ends an agent that no longer looks.
        notify(NotifyState::Watchdog);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// A thread that waits for the kernel's queue: tokio's own way to wait for a foreign descriptor takes
/// `unsafe` code. It says so once and then waits until that was heard.
fn poll_queue(pending: Pending) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let timeout = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
        while !sender.is_closed() {
            let mut wanted = [PollFd::new(&pending, PollFlags::IN)];
            match rustix::event::poll(&mut wanted, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) if sender.blocking_send(()).is_err() => return,
                Ok(_) => {}
                Err(error) => {
                    error!("cannot wait for file events: {error}");
                    return;
                }
            }
        }
    });
    receiver
}

async fn one_queued(queued: &mut Option<mpsc::Receiver<()>>) {
    match queued {
        None => std::future::pending().await,
        Some(receiver) => {
            if receiver.recv().await.is_none() {
                *queued = None;
            }
        }
    }
}

fn pass_interval(baseline: &Baseline) -> Duration {
    // A complete pass at least every quarter of the age that evidence may reach.
    let quarter: Span = baseline.gate.evidence_max_age / 4;
    quarter.to_std().clamp(Duration::from_secs(1), PASS_MAX * 20)
}

/// Tells the supervisor that the watch stands, so that services may start: what they read from here on is
/// seen. The gate holds until a look has been made.
async fn say_ready(parts: Arc<Parts>) {
    if tokio::time::timeout(READY_WITHIN, parts.watch_stands.notified()).await.is_err() {
        warn!("the watch does not stand yet: services are not kept waiting for it");
    }
    notify(NotifyState::Ready);
}

fn notify(state: NotifyState<'_>) {
    // Nobody to tell, where no supervisor asked for it.
    let _ = sd_notify::notify(&[state]);
}
