//! A host in which things happen: the gate, its disk, and the model beside it.

use std::sync::LazyLock;

use manifests::envelope::Verified;
use manifests::gate::{Clocks, Damage, Effect, Event, Gate, HeldPermit, Local, Set};
use manifests::outcome::Verdict;
use manifests::permit::Permit;
use manifests::stop::{Lift, Scope, Stop};
use manifests::time::{Span, Time};

use crate::events::{Happening, Paper};
use crate::model::{Model, Pass};
use crate::papers::{self, later};

const BASELINES: [&str; 3] = ["A", "B", "C"];
const STATES: [&str; 2] = ["s", "t"];

/// A chain with a fork, and stops of every kind of scope.
static STOPS: LazyLock<Vec<Verified<Stop>>> = LazyLock::new(|| {
    let sites = |code: &str| Scope::Sites { sites: vec![papers::site(code)] };
    let first = papers::stop(1, None, sites(papers::OTHER_SITE));
    let second = papers::stop(2, Some(first.digest()), sites(papers::SITE));
    let fork = papers::stop(2, Some(first.digest()), sites(papers::OTHER_SITE));
    let third = papers::stop(3, Some(second.digest()), Scope::Prefecture { prefecture: 13 });
    let forked = papers::stop(3, Some(fork.digest()), Scope::All);
    let fourth = papers::stop(4, Some(third.digest()), serde_json::from_str(r#"{"kind":"moon-phase"}"#).unwrap());
    vec![first, second, fork, third, forked, fourth]
});

pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) model: Model,
    pub(crate) now: Clocks,
    sequence: u64,
    number: u64,
    // The disk.
    permit: Option<HeldPermit>,
    floor: Time,
    sets: Vec<(Set, Vec<Lift>)>,
    active: Option<manifests::digest::Digest>,
    stops: Vec<Verified<Stop>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let now = papers::start();
        let mut model = Model::default();
        model.has_read_clocks(now);
        Self {
            gate: papers::new_gate(now),
            model,
            now,
            sequence: 0,
            number: 100,
            permit: None,
            floor: Time::MIN,
            sets: Vec::new(),
            active: None,
            stops: Vec::new(),
        }
    }

    fn step(&mut self, event: Event) {
        self.model.has_read_clocks(self.now);
        for effect in self.gate.step(event, self.now) {
            match effect {
                Effect::StorePermit(held) => self.permit = Some(held),
                Effect::StoreStop(stop) => self.stops.push(stop),
                Effect::Switch(baseline) => self.active = Some(baseline),
                Effect::Collect | Effect::Report => {}
            }
        }
    }

    pub(crate) fn happens(&mut self, happening: &Happening) {
        match happening {
            Happening::Pass(ms) => self.now = later(self.now, *ms),
            Happening::PassAndLook(ms) => {
                self.now = later(self.now, *ms);
                self.looks();
            }
            Happening::Step(ms) => self.clock_steps(*ms),
            Happening::Glitch(ms) => {
                self.clock_steps(*ms);
                self.clock_steps(-ms);
            }
            Happening::StoreFloor => self.floor = self.gate.floor(),
            Happening::Restart => {
                self.starts(true);
                self.looks();
            }
            Happening::Reboot(ms, step) => {
                self.now.wall = Time::from_unix_ms(self.now.wall.after(Span::from_ms(*ms)).unix_ms() + step);
                self.now.boot_ms = 20_000;
                self.starts(false);
                self.looks();
            }
            Happening::Changed => {
                self.step(Event::Changed);
                self.model.has_changed();
            }
            Happening::Collected { baseline, state, holds, early, age_ms, changes_in_ms } => {
                let began = Clocks {
                    wall: self.now.wall.before(Span::from_ms(*age_ms)),
                    boot_ms: self.now.boot_ms.saturating_sub(*age_ms),
                };
                let changes_at = changes_in_ms.map(|ms| self.now.wall.after(Span::from_ms(ms)));
                let mut local = papers::local(STATES[*state], &self.gate, began);
                local.changes_at = changes_at;
                local.changes = local.changes.wrapping_sub(u64::from(*early));
                let local = if *holds { papers::held(local) } else { local };
                let pass = Pass {
                    baseline: papers::digest(BASELINES[*baseline]),
                    state: local.state.v3,
                    holds: *holds,
                    covers_changes: !early,
                    began,
                    changes_at,
                };
                self.collected(pass, local);
            }
            Happening::SetVerified { baseline, expires_in_ms, lifts } => {
                let expires = Time::from_unix_ms(self.now.wall.unix_ms() + expires_in_ms);
                let lifts = lifts.iter().map(|(stop, here)| {
                    let site = if *here { papers::SITE } else { papers::OTHER_SITE };
                    papers::lift(&STOPS[*stop].digest(), &[site])
                });
                self.verified(Set { expires, ..papers::set(BASELINES[*baseline]) }, lifts.collect());
            }
            Happening::Sending(more) => self.sends(*more),
            Happening::Permit(paper) => {
                let permit = self.permit_of(paper);
                self.receives(permit);
            }
            Happening::PermitUnverified => self.step(Event::PermitUnverified),
            Happening::Stop(index) => self.stopped(&STOPS[*index].clone()),
            Happening::Damaged => {
                self.step(Event::Damaged(Damage::Notes, "permit.json".to_owned()));
                self.model.is_damaged();
            }
        }
    }

    fn clock_steps(&mut self, ms: i64) {
        self.now.wall = Time::from_unix_ms(self.now.wall.unix_ms() + ms);
        self.model.has_read_clocks(self.now);
        self.gate.observe(self.now);
    }

    /// A pass under each set known, on which all is well.
    fn looks(&mut self) {
        for baseline in [self.gate.active(), self.gate.candidate()].map(|set| set.map(|set| set.baseline)) {
            let Some(baseline) = baseline else { continue };
            let local = papers::local("s", &self.gate, self.now);
            let pass = Pass {
                baseline,
                state: local.state.v3,
                holds: false,
                covers_changes: true,
                began: self.now,
                changes_at: None,
            };
            self.collected(pass, local);
        }
    }

    fn collected(&mut self, pass: Pass, local: Local) {
        self.step(Event::Collected { baseline: pass.baseline, local });
        self.model.has_collected(pass);
    }

    fn verified(&mut self, set: Set, lifts: Vec<Lift>) {
        self.sets.retain(|(other, _)| other.baseline != set.baseline);
        self.sets.push((set.clone(), lifts.clone()));
        self.step(Event::SetVerified { set: set.clone(), lifts: lifts.clone() });
        self.model.has_verified(set, lifts);
    }

    fn sends(&mut self, more: u64) {
        self.sequence += more;
        self.step(Event::Sending { sequence: self.sequence });
        self.model.has_sent(self.sequence);
    }

    fn receives(&mut self, permit: Permit) {
        self.number = self.number.max(permit.number);
        self.step(Event::Permit(papers::verified(&permit).into()));
        self.model.has_received(permit, self.now, self.now, Span::ZERO, false);
    }

    fn stopped(&mut self, stop: &Verified<Stop>) {
        self.step(Event::Stop(stop.clone()));
        self.model.has_stop(papers::reference(stop), (**stop).clone());
    }

    fn permit_of(&self, paper: &Paper) -> Permit {
        let issued = Time::from_unix_ms(self.now.wall.unix_ms().saturating_add(paper.issued));
        let mut permit = papers::permit(0, BASELINES[paper.baseline], "s", self.now);
        permit.number = self.number.saturating_add_signed(paper.number);
        permit.state = paper.state.map(|state| papers::digest(STATES[state]));
        permit.answers = self.sequence.saturating_add_signed(paper.answers);
        permit.issued = issued;
        permit.until = issued.after(Span::from_ms(paper.life));
        permit.stops = paper.stop.map(|stop| papers::reference(&STOPS[stop])).into_iter().collect();
        if paper.foreign_host {
            permit.host = papers::host(papers::NEIGHBOUR);
        }
        if paper.foreign_product {
            permit.product = "tax".parse().unwrap();
        }
        if paper.holds {
            permit.verdict = Verdict::Hold;
            permit.reasons = papers::hold(1, self.now).reasons;
        }
        permit
    }

    /// A start with what is on disk: sets, stops, permit, sequence, floor.
    fn starts(&mut self, same_boot: bool) {
        self.gate = Gate::new(papers::product(), papers::host(papers::HOST), self.now, self.floor);
        self.model = self.model.restarted(self.now, self.floor);
        let (active, to_come) = (self.active, self.gate_newest());
        let lifts = self.sets.last().map(|(_, lifts)| lifts.clone()).unwrap_or_default();
        for baseline in [active, to_come.filter(|newest| Some(*newest) != active)].into_iter().flatten() {
            let set = self.sets.iter().find(|(set, _)| set.baseline == baseline).map(|(set, _)| set.clone());
            self.step(Event::SetVerified { set: set.unwrap(), lifts: lifts.clone() });
        }
        for stop in &self.stops {
            self.gate.restore_stop(stop);
        }
        let Some(held) = self.permit.clone() else { return };
        let received = held.received;
        self.gate.restore_sent(self.sequence, 0);
        self.gate.restore_permit(held.permit.clone(), received, same_boot, self.now);
        let over = if same_boot { Span::ZERO } else { self.now.wall.since(received.wall) };
        let counted_from = if same_boot { received } else { self.now };
        self.model.may_have_sent_up_to(self.sequence);
        self.model.has_received((*held.permit).clone(), self.now, counted_from, over, true);
        if self.model.has_permit() {
            self.model.agreed_at(counted_from, received.wall);
            self.model.has_read_clocks(self.now);
        }
    }

    fn gate_newest(&self) -> Option<manifests::digest::Digest> {
        self.sets.last().map(|(set, _)| set.baseline)
    }

    /// The gate never issues where the model does not.
    pub(crate) fn compare(&self, so_far: &[Happening]) {
        for pending in [false, true] {
            let decision = self.gate.decide(self.now, pending);
            let allowed = self.model.allows(self.now, pending);
            assert_eq!(
                decision.verdict == Verdict::Issue,
                allowed.is_ok(),
                "{decision:?}, but the rule is: {allowed:?}, after {so_far:#?}"
            );
        }
    }

    /// Everybody does what they must: the chain of stops arrives and is lifted, the host looks, sends
    /// and gets its permit.
    pub(crate) fn repair(&mut self) {
        for stop in STOPS.iter() {
            if self.stops.iter().all(|known| known.digest() != stop.digest()) {
                self.stopped(stop);
            }
        }
        let lifts: Vec<_> = STOPS.iter().map(|stop| papers::lift(&stop.digest(), &[papers::SITE])).collect();
        let newest = self.gate_newest().unwrap_or_else(|| papers::digest("A"));
        let name = BASELINES.into_iter().find(|name| papers::digest(name) == newest).unwrap();
        let expires = self.now.wall.after(Span::from_s(86_400));
        self.verified(Set { expires, ..papers::set(name) }, lifts);
        self.looks();
        self.sends(1);
        let mut permit = papers::permit(self.number + 1, name, "s", self.now);
        permit.answers = self.sequence;
        permit.stops = self.gate.newest_stops();
        assert!(!permit.stops.is_empty());
        self.receives(permit);
    }
}
