//! Turns of hosts and sites, told of as events: a host that flaps must not push out what others did.

use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use super::{Change, Fleet};
use crate::api::{EventKind, FleetEvent};
use crate::id::{HostId, SiteCode};
use crate::outcome::Verdict;
use crate::reason::Reason;
use crate::time::{Span, Time};

/// Turns of one host, and of one site, that are told of within [`FOLD_INTERVAL`]. Of those beyond it the
/// newest is told of when the interval is over.
const TURNS_MAX: u32 = 8;
/// What [`TURNS_MAX`] counts in.
const FOLD_INTERVAL: Span = Span::from_s(60);

/// Whose turns: a site's, or one of its hosts'.
pub(super) type Whose = (SiteCode, Option<HostId>);

/// How something turned.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<Reason>,
    pub(super) note: String,
}

#[derive(Clone, Debug)]
struct Turns {
    since: Time,
    told: u32,
    /// Those that were not told of, and the newest of them.
    folded: u32,
    newest: Option<Turn>,
}

/// The turns of the last interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Folds {
    turns: RedBlackTreeMapSync<Whose, Turns>,
    /// When what was folded is told.
    ends: RedBlackTreeSetSync<(Time, Whose)>,
}

impl Folds {
    pub(super) fn wake(&self) -> Option<Time> {
        self.ends.first().map(|(time, _)| *time)
    }
}

impl Fleet {
    /// Tells of a turn, or keeps it until the interval is over.
    pub(super) fn turned(&mut self, change: &mut Change, now: Time, whose: Whose, turn: Turn) {
        let counts = |turns: &&Turns| turns.newest.is_some() || now < turns.since.after(FOLD_INTERVAL);
        let known = self.folds.turns.get(&whose).filter(counts).cloned();
        let mut turns = known.unwrap_or(Turns { since: now, told: 0, folded: 0, newest: None });
        if turns.told >= TURNS_MAX {
            turns.folded = turns.folded.saturating_add(1);
            turns.newest = Some(turn);
            self.folds.ends.insert_mut((turns.since.after(FOLD_INTERVAL), whose.clone()));
            self.folds.turns.insert_mut(whose, turns);
            return;
        }
        turns.told = turns.told.saturating_add(1);
        self.folds.turns.insert_mut(whose.clone(), turns);
        self.tell_turn(change, now, whose, turn);
    }

    /// Tells of what was folded, where its interval is over.
    pub(super) fn unfold(&mut self, now: Time, change: &mut Change) {
        while let Some((ended, whose)) = self.folds.ends.first().filter(|(time, _)| *time <= now).cloned() {
            self.folds.ends.remove_mut(&(ended, whose.clone()));
            let Some(turns) = self.folds.turns.get_mut(&whose) else { continue };
            let Some(mut turn) = turns.newest.take() else { continue };
            let folded = std::mem::take(&mut turns.folded);
            turn.note = format!("{} (the newest of {folded} turns that were not told one by one)", turn.note);
            (turns.since, turns.told) = (now, 1);
            self.tell_turn(change, now, whose, turn);
        }
        let is_calm = |turns: &Turns| turns.newest.is_none() && now >= turns.since.after(FOLD_INTERVAL);
        let calm: Vec<Whose> =
            self.folds.turns.iter().filter(|(_, turns)| is_calm(turns)).map(|(whose, _)| whose.clone()).collect();
        for whose in &calm {
            self.folds.turns.remove_mut(whose);
        }
    }

    fn tell_turn(&mut self, change: &mut Change, time: Time, whose: Whose, turn: Turn) {
        let (site, host) = whose;
        let Turn { verdict, reasons, note } = turn;
        self.last_event = self.last_event.saturating_add(1);
        change.events.push(FleetEvent {
            id: self.last_event,
            time,
            kind: EventKind::Verdict,
            site: Some(site),
            host,
            verdict: Some(verdict),
            reasons,
            note,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(number: u32) -> Turn {
        Turn { verdict: Verdict::Hold, reasons: Vec::new(), note: format!("turn {number}") }
    }

    #[test]
    fn a_host_that_flaps_is_told_of_a_few_times_a_minute_and_its_newest_turn_always_is() {
        let mut fleet = Fleet::new("convenience-issuance".parse().unwrap(), 0);
        let start = Time::from_unix_ms(1_700_000_000_000);
        let host: HostId = "402206-ap1".parse().unwrap();
        let whose = (host.site().clone(), Some(host));
        let mut change = Change::default();
        for number in 0..6000 {
            let now = start.after(Span::from_ms(u64::from(number) * 10));
            fleet.unfold(now, &mut change);
            fleet.turned(&mut change, now, whose.clone(), turn(number));
        }
        assert_eq!(change.events.len(), usize::try_from(TURNS_MAX).unwrap());
        assert_eq!(fleet.folds.wake(), Some(start.after(FOLD_INTERVAL)));
        fleet.unfold(start.after(FOLD_INTERVAL), &mut change);
        let last = change.events.last().unwrap();
        assert!(last.note.starts_with("turn 5999 (the newest of 5992 turns"), "{}", last.note);
        fleet.unfold(start.after(FOLD_INTERVAL).after(FOLD_INTERVAL), &mut change);
        assert!(fleet.folds.turns.is_empty() && fleet.folds.wake().is_none(), "nothing is kept of who is calm");
    }

    #[test]
    fn one_host_that_flaps_hides_no_other() {
        let mut fleet = Fleet::new("convenience-issuance".parse().unwrap(), 0);
        let now = Time::from_unix_ms(1_700_000_000_000);
        let whose = |id: &str| {
            let host: HostId = id.parse().unwrap();
            (host.site().clone(), Some(host))
        };
        let mut change = Change::default();
        for number in 0..100 {
            fleet.turned(&mut change, now, whose("402206-ap1"), turn(number));
        }
        fleet.turned(&mut change, now, whose("402206-db1"), turn(1));
        assert_eq!(change.events.last().unwrap().host.as_ref().unwrap().as_str(), "402206-db1");
    }
}
