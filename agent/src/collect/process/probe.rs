//! Reads of `/proc` that may hang: they are made on a thread that nobody has to wait for.
//!
//! The kernel answers for a command line, an environment and mappings only once it has the lock of the
//! process's memory, and a process that waits for a dead file server may hold that lock for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How long one process may take to be read.
pub(crate) const PROBE_TIME: Duration = Duration::from_secs(1);
/// The most threads that may hang at a time. Beyond it everything hangs, without being tried.
const HUNG_MAX: usize = 8;

type Work = Box<dyn FnOnce() + Send>;

/// A thread for reads that may hang, replaced by another one when it does.
#[derive(Default)]
pub(crate) struct Probe {
    worker: Option<Sender<Work>>,
    hung: Arc<AtomicUsize>,
}

impl Probe {
    /// What `read` answers, or nothing if it takes longer than [`PROBE_TIME`].
    pub(crate) fn ask<T: Send + 'static>(&mut self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.hung.load(Ordering::Relaxed) >= HUNG_MAX {
            return None;
        }
        let (reply, answer) = channel();
        let mut work: Work = Box::new(move || drop(reply.send(read())));
        for _ in 0..2 {
            let worker = self.worker.get_or_insert_with(start);
            match worker.send(work) {
                Ok(()) => return self.wait(&answer),
                // The thread broke; another one takes it over.
                Err(unsent) => {
                    work = unsent.0;
                    self.worker = None;
                }
            }
        }
        None
    }

    fn wait<T: Send + 'static>(&mut self, answer: &Receiver<T>) -> Option<T> {
        match answer.recv_timeout(PROBE_TIME) {
            Ok(answered) => Some(answered),
            Err(_) => {
                // It ends when the kernel answers; until then it counts.
                if let Some(worker) = self.worker.take() {
                    self.hung.fetch_add(1, Ordering::Relaxed);
                    let hung = Arc::clone(&self.hung);
                    drop(worker.send(Box::new(move || _ = hung.fetch_sub(1, Ordering::Relaxed))));
                }
                None
            }
        }
    }
}

fn start() -> Sender<Work> {
    let (sender, receiver) = channel::<Work>();
    std::thread::spawn(move || receiver.into_iter().for_each(|work| work()));
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_hangs_is_left_alone_and_others_go_on() {
        let mut probe = Probe::default();
        let (release, held) = channel::<()>();
        assert_eq!(probe.ask(move || _ = held.recv()), None);
        assert_eq!(probe.ask(|| 7), Some(7));
        assert_eq!(probe.hung.load(Ordering::Relaxed), 1);
        drop(release);
        while probe.hung.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn beyond_a_number_of_hanging_reads_none_is_begun() {
        let mut probe = Probe { worker: None, hung: Arc::new(AtomicUsize::new(HUNG_MAX)) };
        assert_eq!(probe.ask(|| 7), None);
    }
}
