//! Random histories of people, with hosts that are awake and hosts that sleep, and one unit after the
//! other that tries all it can, the controller's keys in hand.

use manifests::tuf::{Root, metadata_path};
use manifests::units::{Units, only_unit};

use crate::keys::test_key;
use crate::world::{Person, Walker, World};

const UNITS: [&str; 3] = ["quality", "operations", "design"];
const HISTORIES: u64 = 12;
const ROUNDS: usize = 14;

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn unit(&mut self) -> String {
        UNITS[self.roll(UNITS.len())].to_owned()
    }
}

struct History {
    dice: Dice,
    world: World,
    next_key: u8,
    walkers: Vec<Walker>,
    seed: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut people: Vec<Person> = (1..=3).map(|key| Person { key, unit: dice.unit() }).collect();
        people.push(Person { key: 10, unit: if people[0].unit == UNITS[0] { UNITS[1] } else { UNITS[0] }.to_owned() });
        let world = World::new(people, dice.roll(2) == 0);
        let mut walkers = vec![Walker::new(&world); 3];
        for walker in &mut walkers {
            walker.walk(&world).unwrap();
        }
        Self { dice, world, next_key: 10, walkers, seed }
    }

    fn newcomer(&mut self) -> Person {
        self.next_key += 1;
        Person { key: self.next_key, unit: self.dice.unit() }
    }

    /// People come, go and move, by the signatures of two units.
    fn honest(&mut self) {
        if self.dice.roll(3) > 0 {
            let before = self.world.people.clone();
            let mut next = before.clone();
            for _ in 0..=self.dice.roll(3) {
                let at = self.dice.roll(next.len());
                match self.dice.roll(3) {
                    0 => next[at] = self.newcomer(),
                    1 => next[at].unit = self.dice.unit(),
                    _ => next.push(self.newcomer()),
                }
            }
            if only_unit(next.iter().map(|person| person.unit.as_str())).is_some() {
                let other = UNITS.into_iter().find(|unit| *unit != next[0].unit).unwrap();
                next[0].unit = other.to_owned();
            }
            let signers = [two_units(&before), two_units(&next)].concat();
            // From here on the root names units, as the tool makes no other.
            self.world.names_units = true;
            self.world.follow(next, &signers);
        }
        self.world.publish(&two_units(&self.world.people));
    }

    /// What one unit, as this walker knows it, makes of what the walker trusts.
    fn attack(&mut self, index: usize) {
        let seed = self.seed;
        let (before, root) = (self.walkers[index].registry.clone(), self.walkers[index].stored_root());
        let registry = before.clone().unwrap();
        let units = Units::of_root(&root).unwrap_or_else(|| Units::of_registry(&registry));
        let unit = self.dice.unit();
        let mut ours: Vec<Person> = (1..=self.next_key)
            .filter(|key| units.of(test_key(*key).public()).is_some_and(|named| named == unit))
            .map(|key| Person { key, unit: unit.clone() })
            .collect();
        let mut forged = World { root: root.clone(), ..self.world.clone() };
        // They withhold what came after it.
        for version in root.version + 1..=self.world.root.version {
            forged.served.metadata.remove(&metadata_path("root", version));
        }
        for _ in 0..self.dice.roll(3) {
            let newcomer = self.newcomer();
            ours.push(newcomer);
        }
        if let (Some(first), 0) = (ours.first_mut(), self.dice.roll(2)) {
            first.unit = "an invented unit".to_owned();
        }
        let keys: Vec<_> = ours.iter().map(|person| person.key).collect();
        forged.names_units = self.dice.roll(4) > 0;
        let others: Vec<_> = forged.people.iter().filter(|person| !keys.contains(&person.key)).cloned().collect();
        let everybody = [ours.clone(), others].concat();
        for _ in 0..self.dice.roll(3) {
            let people = if self.dice.roll(2) == 0 { ours.clone() } else { everybody.clone() };
            if !people.is_empty() {
                forged.follow(people, &keys);
            }
        }
        forged.people = everybody;
        forged.publish(&keys);
        let walker = &mut self.walkers[index];
        if let Ok(set) = walker.walk(&forged) {
            panic!("UNITS_SEED={seed}: {unit} alone put {} in force", set.reference.baseline().version);
        }
        assert_eq!(walker.stored_root(), root, "UNITS_SEED={seed}: {unit} alone changed who signs");
        assert_eq!(
            format!("{:?}", walker.registry),
            format!("{before:?}"),
            "UNITS_SEED={seed}: {unit} alone changed who is listed"
        );
        // The controller's clock goes on: what it signed for them has been overtaken.
        self.world.now = forged.now;
    }
}

/// The fewest people who make a threshold of two units.
fn two_units(people: &[Person]) -> Vec<u8> {
    let first = &people[0];
    let other = people.iter().find(|person| person.unit != first.unit).unwrap();
    vec![first.key, other.key]
}

#[test]
fn one_unit_alone_changes_nothing_and_whoever_slept_decides_alike() {
    let chosen = std::env::var("UNITS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let start = chosen.unwrap_or(1);
    for seed in (start..).take(if chosen.is_some() { 1 } else { usize::try_from(HISTORIES).unwrap() }) {
        let mut history = History::new(seed);
        for _ in 0..ROUNDS {
            history.honest();
            // The first is always awake, the others wake now and then; the attack meets either.
            for index in 0..history.walkers.len() {
                if index == 0 || history.dice.roll(4) == 0 {
                    let set = history.walkers[index].walk(&history.world);
                    set.unwrap_or_else(|code| panic!("UNITS_SEED={seed}: walker {index} refuses: {code}"));
                }
            }
            let index = history.dice.roll(history.walkers.len());
            history.attack(index);
        }
        history.honest();
        let newest: &Root = &history.world.root;
        for (index, walker) in history.walkers.iter_mut().enumerate() {
            let set = walker.walk(&history.world);
            set.unwrap_or_else(|code| panic!("UNITS_SEED={seed}: walker {index} refuses at last: {code}"));
            assert_eq!(&walker.stored_root(), newest, "UNITS_SEED={seed}");
            assert!(walker.load().is_ok(), "UNITS_SEED={seed}");
        }
    }
}
