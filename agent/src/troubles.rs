//! What goes wrong again and again is told once, then how often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long after a line the next one about the same trouble comes at the earliest; doubled with each.
const FIRST_INTERVAL: Duration = Duration::from_secs(60);
/// The longest such time.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// A trouble that stayed away for so long is a new one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 3600);
/// The most troubles told apart.
const TROUBLES_MAX: usize = 128;

/// The troubles of one agent.
#[derive(Debug, Default)]
pub struct Troubles(BTreeMap<String, Trouble>);

#[derive(Debug)]
struct Trouble {
    /// Since the last line.
    count: u64,
    told: Instant,
    seen: Instant,
    interval: Duration,
}

/// Whether a trouble is told at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is new.
    New,
    /// It came so many times more since it was told last.
    Again {
        /// How many times.
        count: u64,
        /// Since when.
        within: Duration,
    },
    /// It was told not long ago.
    NotNow,
}

impl Troubles {
    /// Takes note of `text` at `now`. Two texts that differ in their numbers alone are one trouble.
    pub fn note(&mut self, text: &str, now: Instant) -> Telling {
        self.0.retain(|_, trouble| now.duration_since(trouble.seen) < FORGOTTEN_AFTER);
        let key: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        // Numbers of different length are numbers all the same.
        let mut key: Vec<char> = key.chars().collect();
        key.dedup_by(|one, before| *one == '0' && *before == '0');
        let key: String = key.into_iter().collect();
        if let Some(trouble) = self.0.get_mut(&key) {
            trouble.seen = now;
            trouble.count += 1;
            let within = now.duration_since(trouble.told);
            if within < trouble.interval {
                return Telling::NotNow;
            }
            let count = std::mem::take(&mut trouble.count);
            (trouble.told, trouble.interval) = (now, trouble.interval.saturating_mul(2).min(INTERVAL_MAX));
            return Telling::Again { count, within };
        }
        if self.0.len() >= TROUBLES_MAX {
            let oldest = self.0.iter().min_by_key(|(_, trouble)| trouble.seen).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.0.remove(&key));
        }
        self.0.insert(key, Trouble { count: 0, told: now, seen: now, interval: FIRST_INTERVAL });
        Telling::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_then_how_often_and_less_and_less() {
        let (mut troubles, begin) = (Troubles::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(troubles.note("a report failed: sequence 9 is not above 12", at(0)), Telling::New);
        let told: Vec<_> = (1..=3600)
            .filter_map(|second| {
                match troubles.note(&format!("a report failed: sequence {second} is not above 1"), at(second)) {
                    Telling::NotNow => None,
                    telling => Some((second, telling)),
                }
            })
            .collect();
        let again = |count| Telling::Again { count, within: Duration::from_secs(count) };
        assert_eq!(
            told,
            [(60, again(60)), (180, again(120)), (420, again(240)), (900, again(480)), (1860, again(960))]
        );
        assert_eq!(troubles.note("a report failed: no answer", at(3600)), Telling::New);
        assert_eq!(troubles.note("a report failed: sequence 1 is not above 1", at(4 * 3600)), Telling::New);
    }

    #[test]
    fn troubles_are_bounded() {
        let (mut troubles, now) = (Troubles::default(), Instant::now());
        for number in 0..10 * TROUBLES_MAX {
            let letters = "a".repeat(number);
            assert_eq!(troubles.note(&letters, now), Telling::New);
        }
        assert_eq!(troubles.0.len(), TROUBLES_MAX);
    }
}
