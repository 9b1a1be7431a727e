//! The writing thread: everything that is kept on disk while the agent runs, one thing after the other.
//!
//! A disk can hang for minutes in a single sync. Nobody who answers, looks or listens may wait for it, so
//! that all writing is done here; whoever must know that something is on disk waits for that alone, and not
//! for ever. What is written is what the gate says then: what is on disk is never older than what was there
//! before.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use manifests::digest::Digest;
use manifests::enrolment::Enrolled;
use manifests::envelope::{Sealed, Verified};
use manifests::gate::Gate;
use manifests::key::PublicKey;
use manifests::outcome::Verdict;
use manifests::stop::Stop;
use manifests::tree::FileList;
use tokio::sync::oneshot;
use tracing::info;

use crate::parts::Parts;
use crate::state::{KeptStop, Sent, StateError};

/// How long the start waits for the disk, and a document by which the host resumes. Beyond it the disk counts as
/// one that takes nothing. No other document waits.
const KEPT_WITHIN: Duration = Duration::from_secs(3);

/// What is to be done.
enum Job {
    /// Keep the newest permit.
    Permit,
    /// Keep which set is in use.
    Activate,
    /// Keep the latest wall clock time.
    Floor,
    /// Keep a stop, and have it acknowledged then.
    Stop(Verified<Stop>, PublicKey),
    /// Keep that a stop was acknowledged.
    Acknowledged(KeptStop),
    /// Keep a controller's word for the host's key.
    Enrolment(Sealed<Enrolled>),
    /// Keep what is known of running processes: what was put down last.
    Processes,
    /// Take room on the disk, and what documents may say.
    Room(Sent, Done),
    /// Keep that sequences up to the one asked for last are taken.
    Sequence,
    /// Keep that sequences up to this one are taken, while somebody waits.
    SequenceNow(u64, Done),
    /// Give back the sequences above this one: nothing more is sent.
    GiveBack(u64),
    /// Keep the document by which this host resumes; nothing once it was answered.
    Resuming(Option<Vec<u8>>, Done),
    /// Say that all before it is done.
    Flush(oneshot::Sender<()>),
}

type Done = oneshot::Sender<Result<(), StateError>>;

/// The queue of the writing thread.
pub struct Writer {
    jobs: Sender<Job>,
    waiting: Mutex<Waiting>,
}

/// Of some jobs one in the queue is enough: it does what is due when its turn comes.
#[derive(Default)]
struct Waiting {
    permit: bool,
    activate: bool,
    floor: bool,
    sequence: Option<u64>,
    processes: Option<Processes>,
    /// The newest of them could not be kept.
    processes_failed: bool,
}

struct Processes {
    json: Vec<u8>,
    lists: BTreeMap<Digest, Arc<FileList>>,
}

/// What the thread takes its jobs from.
pub struct Jobs(Receiver<Job>);

/// A writer, and what its thread is started with.
pub fn new() -> (Writer, Jobs) {
    let (jobs, receiver) = channel();
    (Writer { jobs, waiting: Mutex::default() }, Jobs(receiver))
}

impl Jobs {
    /// Starts the thread; it ends when `parts` are gone.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(self, parts: Weak<Parts>) -> io::Result<()> {
        let work = move || {
            while let Ok(job) = self.0.recv() {
                let Some(parts) = parts.upgrade() else { return };
                parts.carry_out_job(job);
            }
        };
        std::thread::Builder::new().name("writer".to_owned()).spawn(work).map(drop)
    }
}

impl Writer {
    fn put(&self, job: Job) {
        // The thread ends with the agent alone: then nothing more is kept.
        let _ = self.jobs.send(job);
    }

    fn put_once(&self, is_waiting: impl FnOnce(&mut Waiting) -> &mut bool, job: Job) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(is_waiting(&mut waiting), true) {
            self.put(job);
        }
    }

    fn taken<T>(&self, take: impl FnOnce(&mut Waiting) -> T) -> T {
        take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the newest permit, later.
    pub fn permit(&self) {
        self.put_once(|waiting| &mut waiting.permit, Job::Permit);
    }

    /// Keeps which set is in use, later.
    pub fn activate(&self) {
        self.put_once(|waiting| &mut waiting.activate, Job::Activate);
    }

    /// Keeps the latest wall clock time, later.
    pub fn floor(&self) {
        self.put_once(|waiting| &mut waiting.floor, Job::Floor);
    }

    /// Keeps a stop, later, and has it acknowledged when it is on disk.
    pub fn stop(&self, stop: Verified<Stop>, key: PublicKey) {
        self.put(Job::Stop(stop, key));
    }

    /// Keeps that a stop was acknowledged, later.
    pub fn acknowledged(&self, stop: KeptStop) {
        self.put(Job::Acknowledged(stop));
    }

    /// Keeps a controller's word for the host's key, later.
    pub fn enrolment(&self, word: Sealed<Enrolled>) {
        self.put(Job::Enrolment(word));
    }

    /// Keeps what is known of running processes, later; of several in the queue the last one.
    pub fn processes(&self, json: Vec<u8>, lists: BTreeMap<Digest, Arc<FileList>>) {
        self.taken(|waiting| {
            if waiting.processes.replace(Processes { json, lists }).is_none() {
                self.put(Job::Processes);
            }
        });
    }

    /// Whether what was known of running processes could not be kept since this was asked last.
    pub fn have_processes_failed(&self) -> bool {
        self.taken(|waiting| std::mem::take(&mut waiting.processes_failed))
    }

    /// At start: takes room on the disk, and what documents may say.
    ///
    /// # Errors
    /// [`StateError`] if this disk cannot be written; [`StateError::Slow`] if it takes too long.
    pub async fn room(&self, taken: Sent) -> Result<(), StateError> {
        self.kept(|done| Job::Room(taken, done)).await
    }

    /// Takes sequences up to `sequence`, later.
    pub fn sequence(&self, sequence: u64) {
        self.taken(|waiting| {
            if waiting.sequence.replace(sequence).is_none() {
                self.put(Job::Sequence);
            }
        });
    }

    /// Takes sequences up to `sequence`, and waits for it.
    ///
    /// # Errors
    /// [`StateError`]; [`StateError::Slow`] if it takes too long, and may be kept later.
    pub async fn sequence_now(&self, sequence: u64) -> Result<(), StateError> {
        self.kept(|done| Job::SequenceNow(sequence, done)).await
    }

    /// Gives back the sequences above `sequence`, later. Nothing may be sent after it.
    pub fn give_back(&self, sequence: u64) {
        self.put(Job::GiveBack(sequence));
    }

    /// Keeps the document by which this host resumes; nothing once it was answered.
    ///
    /// # Errors
    /// As [`Writer::sequence_now`].
    pub async fn resuming(&self, document: Option<Vec<u8>>) -> Result<(), StateError> {
        self.kept(|done| Job::Resuming(document, done)).await
    }

    async fn kept(&self, job: impl FnOnce(Done) -> Job) -> Result<(), StateError> {
        let (done, kept) = oneshot::channel();
        self.put(job(done));
        match tokio::time::timeout(KEPT_WITHIN, kept).await {
            Ok(Ok(result)) => result,
            _ => Err(StateError::Slow { after: KEPT_WITHIN }),
        }
    }

    /// Waits until all that was asked for is done, for `within` at most.
    pub async fn flush(&self, within: Duration) {
        let (done, flushed) = oneshot::channel();
        self.put(Job::Flush(done));
        let _ = tokio::time::timeout(within, flushed).await;
    }
}

impl Parts {
    fn carry_out_job(&self, job: Job) {
        let writer = &self.writer;
        match job {
            Job::Permit => {
                // First: a permit that arrives from here on asks again.
                writer.taken(|waiting| waiting.permit = false);
                self.keep_permit();
            }
            Job::Activate => {
                writer.taken(|waiting| waiting.activate = false);
                self.keep_set_in_use();
            }
            Job::Floor => {
                writer.taken(|waiting| waiting.floor = false);
                let kept = self.keeper.read(Gate::floor).map(|floor| self.state.store_floor(floor));
                if let Some(Err(error)) = kept {
                    self.trouble("the time cannot be stored", &error);
                }
                // Now and then, and not with each thing to be written: a disk may take long to say no.
                if let Err(error) = self.state.mend() {
                    self.trouble("the state directory cannot be written", &error);
                }
            }
            Job::Stop(stop, key) => self.keep_stop(stop, key),
            Job::Acknowledged(kept) => {
                if let Err(error) = self.state.store_stop(&kept.stop, &kept.key, true) {
                    self.trouble("the acknowledgement will be sent again after a restart", &error);
                }
            }
            Job::Enrolment(word) => {
                if let Err(error) = self.state.store_enrolment(&word) {
                    self.trouble("the word for this host's key is not kept for the next start", &error);
                }
            }
            Job::Processes => {
                let Some(Processes { json, lists }) = writer.taken(|waiting| waiting.processes.take()) else { return };
                if let Err(error) = self.state.store_processes(&json, &lists) {
                    writer.taken(|waiting| waiting.processes_failed = true);
                    self.trouble("what running processes have loaded is not kept for the next start", &error);
                }
            }
            // Nobody may wait any more.
            Job::Room(taken, done) => _ = done.send(self.state.take_room(taken)),
            Job::SequenceNow(sequence, done) => _ = done.send(self.state.store_sequence(sequence)),
            Job::Sequence => {
                let Some(sequence) = writer.taken(|waiting| waiting.sequence.take()) else { return };
                if let Err(error) = self.state.store_sequence(sequence) {
                    self.trouble("sequences cannot be taken; without them this host resumes after a restart", &error);
                }
            }
            Job::GiveBack(sequence) => {
                if let Err(error) = self.state.give_back(sequence) {
                    self.trouble("sequences cannot be given back, and are left out", &error);
                }
            }
            Job::Resuming(Some(document), done) => _ = done.send(self.state.store_resuming(&document)),
            Job::Resuming(None, done) => _ = done.send(self.state.remove_resuming()),
            Job::Flush(done) => _ = done.send(()),
        }
    }

    // A permit that could not be stored still counts until the next start.
    fn keep_permit(&self) {
        let read = |gate: &Gate| (gate.permit().cloned(), gate.damaged().is_none());
        let Some((Some(held), is_sound)) = self.keeper.read(read) else { return };
        match self.state.store_permit(&held, &self.identity.boot_id, is_sound && held.permit.verdict == Verdict::Issue)
        {
            Ok(()) => _ = self.kept_permit.fetch_max(held.permit.number, Ordering::Relaxed),
            Err(error) => self.trouble("the permit counts now; whether after a restart, the disk does not say", &error),
        }
    }

    fn keep_set_in_use(&self) {
        let Some(set) = self.set_in_use_now() else { return };
        match self.trust.activate(&set) {
            Ok(()) => info!(version = %set.reference.baseline().version, "baseline in use"),
            Err(error) => self.trouble("the set in use cannot be kept", &error),
        }
    }

    // A stop acts at once, and is acknowledged only when it is on disk.
    fn keep_stop(&self, stop: Verified<Stop>, key: PublicKey) {
        let stored = self.state.store_stop(&stop, &key, false);
        self.shared().storing.remove(&stop.digest());
        match stored {
            Ok(()) => {
                self.shared().unacknowledged.push(KeptStop { stop, key, acknowledged: false, on_disk: true });
            }
            Err(error) => {
                self.trouble("the stop counts now, and cannot be acknowledged yet", &error);
                self.shared().unstored.push(KeptStop { stop, key, acknowledged: false, on_disk: false });
            }
        }
        self.acknowledge.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_jobs_that_do_what_is_due_one_waits_at_most() {
        let (writer, jobs) = new();
        for _ in 0..3 {
            writer.permit();
            writer.activate();
            writer.floor();
            writer.processes(Vec::new(), BTreeMap::new());
        }
        assert_eq!(jobs.0.try_iter().count(), 4);
        // The last of several is the one that is kept.
        writer.processes(b"last".to_vec(), BTreeMap::new());
        assert_eq!(writer.taken(|waiting| waiting.processes.take()).unwrap().json, b"last");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_a_disk_that_hangs() {
        let (writer, _jobs) = new();
        let kept = writer.room(Sent::default()).await;
        assert!(matches!(kept, Err(StateError::Slow { .. })), "{kept:?}");
        writer.flush(Duration::from_secs(3600)).await;
        // And a thread that is gone keeps nobody.
        let (writer, jobs) = new();
        drop(jobs);
        assert!(writer.resuming(None).await.is_err());
    }
}
