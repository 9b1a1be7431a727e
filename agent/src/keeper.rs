//! The gate's keeper: the one place where the pure gate meets the clocks and the kernel's queue of
//! file events. Questions and events come from different threads; one lock orders them.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use manifests::gate::{Decision, Effect, Event, Gate};
use manifests::outcome::Verdict;
use manifests::reason::{Code, Reason};
use tokio::sync::watch;

use crate::clock;
use crate::watch::Pending;

/// Asks and moves the gate.
pub struct Keeper {
    gate: Mutex<Gate>,
    pending: Option<Pending>,
    moved: watch::Sender<u64>,
}

/// An answer with what a person wants to know beside it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// Version of the baseline in use.
    pub baseline: Option<String>,
}

impl Keeper {
    /// Keeps `gate`. Without `pending`, file events cannot be asked for and short passes must do.
    pub fn new(gate: Gate, pending: Option<Pending>) -> Self {
        Self { gate: Mutex::new(gate), pending, moved: watch::channel(0).0 }
    }

    /// The gate, for reading. A thread that panicked while it held the lock leaves a gate that may be
    /// half moved: then nothing is answered with issue any more.
    fn lock(&self) -> Option<MutexGuard<'_, Gate>> {
        self.gate.lock().ok()
    }

    /// Reads something of the gate; nothing if it is out of order.
    pub fn read<T>(&self, read: impl FnOnce(&Gate) -> T) -> Option<T> {
        self.lock().map(|gate| read(&gate))
    }

    /// Lets one thing happen and wakes the questions that wait. The effects are the caller's to carry out.
    pub fn step(&self, event: Event) -> Vec<Effect> {
        let Some(mut gate) = self.lock() else { return Vec::new() };
        let effects = gate.step(event, clock::now());
        drop(gate);
        self.nudge();
        effects
    }

    /// Wakes the questions that wait: something they wait for may be over.
    pub fn nudge(&self) {
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Takes up what was stored, before anything is asked; nothing if the gate is out of order.
    pub fn restore<T>(&self, restore: impl FnOnce(&mut Gate) -> T) -> Option<T> {
        self.lock().map(|mut gate| restore(&mut gate))
    }

    /// The answer at this moment.
    pub fn decide(&self) -> Answer {
        let Some(mut gate) = self.lock() else {
            return Answer { decision: Decision::hold(Code::Error), baseline: None };
        };
        // Asked under the lock: what the reader of events took from the queue stays pending until it
        // has been counted as a change here.
        let events_pending = self.pending.as_ref().is_some_and(Pending::has_pending);
        let now = clock::now();
        gate.observe(now);
        let decision = gate.decide(now, events_pending);
        Answer { decision, baseline: gate.active().map(|set| set.version.clone()) }
    }

    /// The answer, after waiting up to the baseline's `verify_hold` while nothing but a look that is
    /// under way stands against it.
    pub async fn ask(&self) -> Answer {
        let mut moved = self.moved.subscribe();
        let mut answer = self.decide();
        if answer.decision.verdict == Verdict::Issue || !answer.decision.is_only_verifying() {
            return answer;
        }
        let hold = self.read(|gate| gate.active().map(|set| set.rules.verify_hold.to_std())).flatten();
        let deadline = tokio::time::sleep(hold.unwrap_or(Duration::ZERO));
        tokio::pin!(deadline);
        while answer.decision.is_only_verifying() {
            tokio::select! {
                () = &mut deadline => return self.decide(),
                changed = moved.changed() => match changed {
                    Ok(()) => answer = self.decide(),
                    Err(_) => return Answer { decision: Decision::hold(Code::Error), baseline: None },
                },
            }
        }
        answer
    }

    /// Codes of a hold, separated by commas, as a header carries them.
    pub fn codes(reasons: &[Reason]) -> String {
        let mut codes: Vec<_> = reasons.iter().map(|reason| reason.code.as_str()).collect();
        codes.dedup();
        codes.join(",")
    }
}
