//! Whatever happens, in whatever order: the gate issues only where the rules let it, and issues again
//! once the faults are over.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/papers.rs"]
mod papers;

#[path = "gate_properties/events.rs"]
mod events;
#[path = "gate_properties/model.rs"]
mod model;
#[path = "gate_properties/world.rs"]
mod world;

use manifests::outcome::Verdict;
use proptest::prelude::*;
use world::World;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_gate_issues_only_where_the_rules_let_it(happenings in events::happenings(), asked in events::span()) {
        let mut world = World::new();
        for (index, happening) in happenings.iter().enumerate() {
            world.happens(happening);
            world.compare(&happenings[..=index]);
        }
        // And later, when nothing more has happened.
        world.happens(&events::Happening::Pass(asked));
        world.compare(&happenings);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn once_the_faults_are_over_the_gate_issues(happenings in events::happenings()) {
        let mut world = World::new();
        for happening in &happenings {
            world.happens(happening);
        }
        world.repair();
        let decision = world.gate.decide(world.now, false);
        prop_assert_eq!(decision.verdict, Verdict::Issue, "{:?} after {:#?}", decision, happenings);
        prop_assert_eq!(world.model.allows(world.now, false), Ok(()), "the model is stricter than the rules");
    }

    #[test]
    fn a_decision_stands_until_the_moment_it_names(happenings in events::happenings(), part in 0_u64..100) {
        let mut world = World::new();
        for happening in &happenings {
            world.happens(happening);
        }
        world.repair();
        let until = world.gate.decide(world.now, false).until.unwrap();
        let left = until.since(world.now.wall).as_ms();
        for (ms, verdict) in [(left / 100 * part, Verdict::Issue), (left - 1, Verdict::Issue), (left, Verdict::Hold)] {
            let decision = world.gate.decide(papers::later(world.now, ms), false);
            prop_assert_eq!(decision.verdict, verdict, "{} ms later: {:?}", ms, decision);
        }
    }
}

#[test]
fn the_world_opens_the_gate_often_enough_to_tell() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let happenings = events::happenings();
    let mut open = 0;
    for _ in 0..200 {
        let mut world = World::new();
        for happening in &happenings.new_tree(&mut runner).unwrap().current() {
            world.happens(happening);
            open += usize::from(world.gate.decide(world.now, false).verdict == Verdict::Issue);
        }
    }
    assert!(open > 300, "the gate was open {open} times");
}
