//! The gate's logic: what a host knows, and whether it may issue. Pure: events in, effects out,
//! both clocks handed in.
//!
//! Open only while all hold: a verified baseline within its grace; the local appraisal of the
//! current state, fresh and with every file event worked off, says issue; the newest permit is an
//! issue for this host, baseline and state, within its life; no stop without its lift; clocks that
//! did not move. [`Gate::decide`] asks all of it at every question.

mod decide;
mod permit;
mod stops;

use std::collections::BTreeMap;

use crate::baseline::GateRules;
use crate::digest::Digest;
use crate::envelope::Verified;
use crate::evidence::StateDigests;
use crate::id::{HostId, ProductId};
use crate::key::KeyId;
use crate::outcome::Verdict;
use crate::permit::VerifiedPermit;
use crate::reason::{Code, Reason};
use crate::set::VerifiedSet;
use crate::stop::{Lift, Stop, StopRef};
use crate::time::{Span, Time};

pub use decide::Decision;
pub use permit::HeldPermit;
use stops::Stops;

/// How far wall and boot clock may move apart.
pub const CLOCK_DRIFT_MAX: Span = Span::from_s(5);
/// How far a fresh permit may lie from the wall clock to vouch for it.
pub const CLOCK_VOUCH_MAX: Span = Span::from_s(60);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Wall clock.
    pub wall: Time,
    /// Milliseconds since boot, sleep included.
    pub boot_ms: u64,
}

impl Clocks {
    /// Boot clock elapsed since `earlier`, zero if that lies ahead.
    fn elapsed_since(self, earlier: Clocks) -> Span {
        Span::from_ms(self.boot_ms.saturating_sub(earlier.boot_ms))
    }
}

/// A verified set: the baseline with what else came under one targets metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// SHA-256 of the baseline's bytes.
    pub baseline: Digest,
    /// The baseline's version, for people.
    pub version: String,
    /// Its times.
    pub rules: GateRules,
    /// Expiry of root or targets, whichever is earlier, without the grace.
    pub expires: Time,
}

impl From<&VerifiedSet> for Set {
    fn from(set: &VerifiedSet) -> Self {
        let baseline = set.reference.baseline();
        Self {
            baseline: set.reference.digest(),
            version: baseline.version.to_string(),
            rules: baseline.gate,
            expires: set.expires,
        }
    }
}

/// The local appraisal of what one complete pass saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The state's digests: a permit binds the one of the version that was sent.
    pub state: StateDigests,
    /// The appraisal's verdict.
    pub verdict: Verdict,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// When its answer can change without new evidence.
    pub changes_at: Option<Time>,
    /// When the pass began.
    pub started: Clocks,
    /// [`Gate::changes`] when the pass began: a change after that is not worked off.
    pub changes: u64,
}

/// A set in use or to come, with the appraisal under it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Used {
    set: Set,
    local: Option<Local>,
}

/// What a host knows.
#[derive(Clone, Debug)]
pub struct Gate {
    product: ProductId,
    host: HostId,
    /// The host's key; none where it is not said.
    key: Option<KeyId>,
    active: Option<Used>,
    candidate: Option<Used>,
    changes: u64,
    permit: Option<HeldPermit>,
    permit_number: u64,
    /// Why the newest document that claimed to be a permit did not become one.
    permit_refused: Option<Code>,
    sent: Option<(u64, u64)>,
    stops: Stops,
    lifts: Vec<Lift>,
    anchor: Clocks,
    /// No wall clock before this is believed.
    not_before: Time,
    /// The latest wall clock time seen while the clocks agreed.
    floor: Time,
    clock_moved: bool,
    damaged: BTreeMap<Damage, String>,
    /// A baseline that counts could not be read, as it asks for a newer agent.
    too_old: bool,
}

/// Which part of the state directory is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// What the host noted: permit, stops, sequence, clock, the set in use. A controller's fresh permit
    /// shows that all of it has been replaced.
    Notes,
    /// The trusted metadata, by which rollback is judged. No permit mends it: only the files do.
    Trust,
}

/// What happens to a host.
#[derive(Debug)]
pub enum Event {
    /// A watched file changed, events were lost, or a process appeared or ended.
    Changed,
    /// A complete pass was appraised, under the baseline named.
    Collected {
        /// Under which baseline.
        baseline: Digest,
        /// What came out.
        local: Local,
    },
    /// A whole set was verified: the first, the one in use with newer lifts or dates, or one to come.
    SetVerified {
        /// The set.
        set: Set,
        /// All lifts in it.
        lifts: Vec<Lift>,
    },
    /// A baseline was signed that this agent cannot read and that asks for a newer one. It rules at
    /// once, as one that says hold does, until a set is verified that can be read.
    AgentTooOld,
    /// A document with this sequence is about to be sent.
    Sending {
        /// Its sequence.
        sequence: u64,
    },
    /// A permit arrived whose signature is a registered controller's.
    Permit(VerifiedPermit),
    /// Something that claimed to be a permit did not verify.
    PermitUnverified,
    /// A stop arrived whose signature is, or was when it came, a registered controller's.
    Stop(Verified<Stop>),
    /// Files of the state directory cannot be used; which, and what is wrong.
    Damaged(Damage, String),
    /// They can again.
    Mended(Damage),
}

/// What the driver must do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Store the newest permit, with the clocks of its receipt.
    StorePermit(HeldPermit),
    /// Store the stop; when it is on disk, acknowledge it.
    StoreStop(Verified<Stop>),
    /// The set of this baseline is the one in use: make it so on disk.
    Switch(Digest),
    /// Look again: the newest pass does not tell what is there now.
    Collect,
    /// The state is new to the controller: send full evidence now.
    Report,
}

impl Gate {
    /// A host that knows nothing yet: held.
    ///
    /// `floor` is the latest wall clock time known to have passed ([`Time::MIN`] if none).
    pub fn new(product: ProductId, host: HostId, clocks: Clocks, floor: Time) -> Self {
        Self {
            product,
            host,
            key: None,
            active: None,
            candidate: None,
            changes: 0,
            permit: None,
            permit_number: 0,
            permit_refused: None,
            sent: None,
            stops: Stops::default(),
            lifts: Vec::new(),
            anchor: clocks,
            not_before: floor,
            floor,
            clock_moved: clocks.wall < floor,
            damaged: BTreeMap::new(),
            too_old: false,
        }
    }

    /// How many changes there have been: what a pass that begins now has seen.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Says which key is the host's: a permit that names another one is not for it.
    pub fn set_key(&mut self, key: KeyId) {
        self.key = Some(key);
    }

    /// Of each chain the newest stop of which, and of all before it, this host knows.
    pub fn newest_stops(&self) -> Vec<StopRef> {
        self.stops.newest()
    }

    /// Number of the newest permit received, 0 before the first.
    pub fn permit_number(&self) -> u64 {
        self.permit_number
    }

    /// The newest permit.
    pub fn permit(&self) -> Option<&HeldPermit> {
        self.permit.as_ref()
    }

    /// The file of the state directory that cannot be used, with what is wrong.
    pub fn damaged(&self) -> Option<&str> {
        self.damaged.values().next().map(String::as_str)
    }

    /// The set in use.
    pub fn active(&self) -> Option<&Set> {
        self.active.as_ref().map(|used| &used.set)
    }

    /// The set to come, while the old one still rules.
    pub fn candidate(&self) -> Option<&Set> {
        self.candidate.as_ref().map(|used| &used.set)
    }

    /// The set under which evidence is to be sent: the one to come, if it was appraised.
    pub fn reporting(&self) -> Option<(&Set, &Local)> {
        let appraised = |used: &'_ Option<Used>| used.as_ref().is_some_and(|used| used.local.is_some());
        let used = if appraised(&self.candidate) { &self.candidate } else { &self.active };
        used.as_ref().and_then(|used| Some((&used.set, used.local.as_ref()?)))
    }

    /// The permit counts only for what was sent: the first and last sequence that were.
    fn has_sent(&self, sequence: u64) -> bool {
        self.sent.is_some_and(|(first, last)| (first..=last).contains(&sequence))
    }

    /// Takes up what the state directory held at start: a permit with the clocks of its receipt.
    /// The same checks as on arrival; `same_boot` says whether the boot clock of its receipt is this one's.
    pub fn restore_permit(
        &mut self,
        permit: impl Into<VerifiedPermit>,
        received: Clocks,
        same_boot: bool,
        now: Clocks,
    ) {
        let permit = permit.into();
        match self.check_permit(&permit, now) {
            Ok(()) => {
                self.permit_number = permit.number;
                // After a reboot the wall clock alone tells how much of its life is over; if that clock
                // has gone back since the receipt, nobody can tell.
                self.not_before = self.not_before.max(received.wall);
                let (gone, counted_from) =
                    if same_boot { (Span::ZERO, received) } else { (now.wall.since(received.wall), now) };
                self.anchor = counted_from;
                self.permit = Some(HeldPermit { permit, received, gone, counted_from });
                self.observe(now);
            }
            Err(code) => self.permit_refused = Some(code),
        }
    }

    /// Takes up what was sent before the start, before the stored permit is: everything up to `sequence`
    /// may have been, and `permit` is the highest number that was named. A stored permit below that
    /// number is not the newest one received.
    pub fn restore_sent(&mut self, sequence: u64, permit: u64) {
        self.sent = Some((1, sequence));
        self.permit_number = permit.saturating_sub(1);
    }

    /// Ends the restoring: whatever became of the stored permit, its number is never named lower than
    /// before. A host that names an older permit than it did looks like a copy of itself.
    pub fn restored(&mut self, permit: u64) {
        self.permit_number = self.permit_number.max(permit);
    }

    /// Takes up a stop that the state directory held at start.
    pub fn restore_stop(&mut self, stop: &Verified<Stop>) {
        self.stops.insert(stop);
    }

    /// Watches the clocks: what they show once is remembered until a fresh permit vouches for them.
    pub fn observe(&mut self, now: Clocks) {
        if self.drift(now) > CLOCK_DRIFT_MAX || now.wall < self.not_before {
            self.clock_moved = true;
        } else {
            // `not_before` stays: a step back by less than the clocks may move apart is no
            // reason to close, and more than that shows against the boot clock.
            self.floor = self.floor.max(now.wall);
        }
    }

    /// The latest wall clock time known to have passed, to be stored now and then.
    pub fn floor(&self) -> Time {
        self.floor
    }

    /// How far the clocks have moved apart since the anchor.
    fn drift(&self, now: Clocks) -> Span {
        let wall = now.wall.unix_ms().saturating_sub(self.anchor.wall.unix_ms());
        let boot = i64::try_from(now.boot_ms).unwrap_or(i64::MAX).saturating_sub_unsigned(self.anchor.boot_ms);
        Span::from_ms(wall.saturating_sub(boot).unsigned_abs())
    }

    /// One thing happens.
    pub fn step(&mut self, event: Event, now: Clocks) -> Vec<Effect> {
        self.observe(now);
        match event {
            Event::Changed => {
                self.changes = self.changes.wrapping_add(1);
                vec![Effect::Collect]
            }
            Event::Collected { baseline, local } => self.collected(baseline, local),
            Event::SetVerified { set, lifts } => self.set_verified(set, lifts),
            Event::AgentTooOld => {
                self.too_old = true;
                vec![]
            }
            Event::Sending { sequence } => {
                self.sent = Some((self.sent.map_or(sequence, |(first, _)| first), sequence));
                vec![]
            }
            Event::Permit(permit) => self.permit_arrived(permit, now),
            Event::PermitUnverified => {
                self.permit_refused = Some(Code::PermitSignature);
                vec![]
            }
            Event::Stop(stop) => {
                let is_ours = stop.product == self.product;
                if is_ours && self.stops.insert(&stop) { vec![Effect::StoreStop(stop)] } else { vec![] }
            }
            Event::Damaged(damage, what) => {
                self.damaged.insert(damage, what);
                vec![]
            }
            Event::Mended(damage) => {
                self.damaged.remove(&damage);
                vec![]
            }
        }
    }

    fn collected(&mut self, baseline: Digest, local: Local) -> Vec<Effect> {
        let mut effects = Vec::new();
        if local.changes != self.changes {
            effects.push(Effect::Collect); // Something changed while it was looked at.
        }
        if let Some(used) = self.candidate.as_mut().filter(|used| used.set.baseline == baseline) {
            let news = used.local.as_ref().is_none_or(|before| before.state != local.state);
            let holds = local.verdict == Verdict::Hold;
            used.local = Some(local);
            if news {
                effects.push(Effect::Report);
            }
            // Closing needs no permit: a new baseline that says hold rules at once.
            if holds || self.permit.as_ref().is_some_and(|held| held.permit.baseline == baseline) {
                effects.extend(self.switch());
            }
        } else if let Some(used) = self.active.as_mut().filter(|used| used.set.baseline == baseline) {
            let news =
                used.local.as_ref().is_none_or(|before| (before.state, before.verdict) != (local.state, local.verdict));
            used.local = Some(local);
            if news && self.candidate.as_ref().is_none_or(|candidate| candidate.local.is_none()) {
                effects.push(Effect::Report);
            }
        }
        effects
    }

    fn set_verified(&mut self, set: Set, lifts: Vec<Lift>) -> Vec<Effect> {
        self.lifts = lifts;
        self.too_old = false;
        let baseline = set.baseline;
        match &mut self.active {
            Some(used) if used.set.baseline == baseline => {
                used.set = set;
                self.candidate = None;
                vec![Effect::Switch(baseline), Effect::Collect]
            }
            None => {
                self.active = Some(Used { set, local: None });
                vec![Effect::Switch(baseline), Effect::Collect]
            }
            Some(_) => {
                if let Some(used) = self.candidate.as_mut().filter(|used| used.set.baseline == baseline) {
                    used.set = set;
                } else {
                    self.candidate = Some(Used { set, local: None });
                }
                vec![Effect::Collect]
            }
        }
    }

    fn switch(&mut self) -> Option<Effect> {
        let used = self.candidate.take()?;
        let baseline = used.set.baseline;
        self.active = Some(used);
        Some(Effect::Switch(baseline))
    }
}
