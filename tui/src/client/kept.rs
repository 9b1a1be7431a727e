//! Answers that are on the screen: who asks for them again says so, and is not sent them once more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use manifests::time::{Span, Time};

/// An answer as it came, and what it can be asked for again by.
#[derive(Debug)]
pub(super) struct Answer {
    /// None: it can only be asked for as if it were not there.
    pub(super) tag: Option<String>,
    pub(super) body: Vec<u8>,
    came: Instant,
}

impl Answer {
    pub(super) fn new(tag: Option<String>, body: Vec<u8>) -> Self {
        Self { tag, body, came: Instant::now() }
    }

    /// It was said to be the answer still, at `date` by the controller's clock.
    pub(super) fn still(&self, date: Option<Time>) -> Still {
        Still { passed: Span::from_ms(u64::try_from(self.came.elapsed().as_millis()).unwrap_or(u64::MAX)), date }
    }
}

/// That an earlier answer is the answer still.
#[derive(Debug)]
pub(super) struct Still {
    passed: Span,
    date: Option<Time>,
}

impl Still {
    /// What the controller's clock says now, which said `then` in the answer. The date is to the second alone, and
    /// this machine's clock stands still while it sleeps: the later one counts, for nothing may seem to be good for
    /// longer than it is.
    pub(super) fn now(&self, then: Time) -> Time {
        let here = then.after(self.passed);
        self.date.map_or(here, |date| here.max(date))
    }
}

/// Answers by path. Each has the limit of an answer; as many are held as a fetch asks for.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Fetches>);

#[derive(Debug, Default)]
struct Fetches {
    before: HashMap<String, Answer>,
    current: HashMap<String, Answer>,
}

impl Kept {
    fn with<T>(&self, act: impl FnOnce(&mut Fetches) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer of the fetch before, or an empty one without a tag. It is gone then, until it is kept again.
    pub(super) fn take(&self, path: &str) -> Answer {
        let before = self.with(|fetches| fetches.before.remove(path));
        before.unwrap_or_else(|| Answer::new(None, Vec::new()))
    }

    pub(super) fn keep(&self, path: &str, answer: Answer) {
        if answer.tag.is_some() {
            self.with(|fetches| fetches.current.insert(path.to_owned(), answer));
        }
    }

    /// A fetch is over: what it did not ask for is not on the screen any more.
    pub(super) fn turn(&self) {
        self.with(|fetches| fetches.before = std::mem::take(&mut fetches.current));
    }
}
