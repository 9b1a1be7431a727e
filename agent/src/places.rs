//! Places for connections to the gate: when all are taken, one on which nothing is asked gives way, so that
//! whoever keeps connections open delays no question.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Places of one listener.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<BTreeMap<u64, Arc<Taken>>>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Taken {
    cut: CancellationToken,
    /// A question is being answered.
    answering: AtomicBool,
    /// A question was answered before: a proxy keeps such connections for the next one.
    answered: AtomicBool,
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    number: u64,
    taken: Arc<Taken>,
    _free: OwnedSemaphorePermit,
}

impl Places {
    /// So many.
    pub fn new(most: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(most));
        Arc::new(Self { free, taken: Mutex::new(BTreeMap::new()), next: AtomicU64::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Taken>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a newcomer. Waits only while every connection is being answered.
    pub async fn enter(self: &Arc<Self>) -> Option<Place> {
        if self.free.available_permits() == 0 {
            self.cut_one();
        }
        let free = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let taken = Arc::new(Taken::default());
        self.lock().insert(number, Arc::clone(&taken));
        Some(Place { places: Arc::clone(self), number, taken, _free: free })
    }

    /// The oldest that never asked anything; where all have, the oldest that asks nothing now.
    fn cut_one(&self) {
        let taken = self.lock();
        let idle = |taken: &&Arc<Taken>| !taken.answering.load(Ordering::Acquire) && !taken.cut.is_cancelled();
        let silent = taken.values().filter(idle).find(|taken| !taken.answered.load(Ordering::Acquire));
        if let Some(taken) = silent.or_else(|| taken.values().find(idle)) {
            taken.cut.cancel();
        }
    }
}

impl Place {
    /// Is over when the connection has to give way.
    pub async fn cut(&self) {
        self.taken.cut.cancelled().await;
    }

    /// A question is being answered, until what is returned is dropped.
    pub fn answering(&self) -> Answering {
        self.taken.answering.store(true, Ordering::Release);
        self.taken.answered.store(true, Ordering::Release);
        Answering(Arc::clone(&self.taken))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(&self.number);
    }
}

/// A question that is being answered.
#[derive(Debug)]
pub struct Answering(Arc<Taken>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_never_asked_gives_way_before_who_waits_between_two_questions() {
        let places = Places::new(3);
        let (kept, silent, asking) =
            (places.enter().await.unwrap(), places.enter().await.unwrap(), places.enter().await.unwrap());
        drop(kept.answering());
        let under_way = asking.answering();
        let mut next = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.enter().await.unwrap() }
        });
        silent.cut().await;
        assert!(!kept.taken.cut.is_cancelled() && !asking.taken.cut.is_cancelled());
        drop(silent);
        let _new = (&mut next).await.unwrap();
        drop(_new.answering());
        let _more = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.enter().await.unwrap() }
        });
        kept.cut().await;
        assert!(!asking.taken.cut.is_cancelled(), "nobody's answer is cut");
        drop(under_way);
    }
}
