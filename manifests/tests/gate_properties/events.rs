//! What can happen to a host, the bad and the odd included.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One thing that happens. Names of baselines, states and stops are small numbers.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// Both clocks go on by so many ms.
    Pass(u64),
    /// The wall clock alone moves, and is read.
    Step(i64),
    /// The host reboots after so many ms, with the wall clock moved by so many besides.
    Reboot(u64, i64),
    /// The agent starts again on the same boot.
    Restart,
    /// The floor is stored.
    StoreFloor,
    Changed,
    Collected {
        baseline: usize,
        state: usize,
        holds: bool,
        /// Whether the pass began before the newest change.
        early: bool,
        age_ms: u64,
        changes_in_ms: Option<u64>,
    },
    SetVerified {
        baseline: usize,
        expires_in_ms: i64,
        lifts: Vec<(usize, bool)>,
    },
    Sending(u64),
    Permit(Paper),
    PermitUnverified,
    Stop(usize),
    Damaged,
}

/// A permit as a controller, or somebody with its key and no scruples, makes it.
#[derive(Clone, Debug)]
pub(crate) struct Paper {
    /// Relative to the highest made so far.
    pub(crate) number: i64,
    pub(crate) foreign_host: bool,
    pub(crate) foreign_product: bool,
    pub(crate) baseline: usize,
    pub(crate) state: Option<usize>,
    /// Relative to the newest sequence sent.
    pub(crate) answers: i64,
    pub(crate) holds: bool,
    /// Relative to the wall clock.
    pub(crate) issued: i64,
    pub(crate) life: u64,
    pub(crate) stop: Option<usize>,
}

const MINUTE: i64 = 60_000;

fn paper() -> BoxedStrategy<Paper> {
    let number = prop_oneof![6 => Just(1_i64), 1 => Just(0), 1 => -3_i64..5];
    let odd = || prop::bool::weighted(0.04);
    let state = prop_oneof![12 => (0_usize..2).prop_map(Some), 1 => Just(None)];
    let answers = prop_oneof![8 => Just(0_i64), 1 => Just(1), 1 => -3_i64..1, 1 => Just(-1_000_000)];
    let issued = prop_oneof![
        10 => Just(0_i64),
        3 => select(vec![-60_001, -60_000, -59_000, 50_000, 60_000, 60_001, -29 * MINUTE, -31 * MINUTE, 60 * MINUTE]),
        1 => Just(70 * 365 * 86_400_000_i64),
    ];
    let life = prop_oneof![8 => Just(1_800_000_u64), 2 => select(vec![1_800_001, 60_000, 0, 2_300_000_000_000])];
    let stop = prop_oneof![3 => Just(None), 2 => (0_usize..6).prop_map(Some)];
    (number, odd(), odd(), 0_usize..3, state, answers, prop::bool::weighted(0.12), issued, life, stop)
        .prop_map(|(number, foreign_host, foreign_product, baseline, state, answers, holds, issued, life, stop)| {
            Paper {
                number,
                foreign_host,
                foreign_product,
                baseline: [0, 0, 1][baseline],
                state,
                answers,
                holds,
                issued,
                life,
                stop,
            }
        })
        .boxed()
}

/// Spans that matter, and some beside them.
pub(crate) fn span() -> BoxedStrategy<u64> {
    select(vec![0_u64, 1, 1000, 5_000, 60_000, 400_000, 600_000, 600_001, 1_200_000, 1_800_000]).boxed()
}

fn happening() -> BoxedStrategy<Happening> {
    let step = select(vec![-7_200_000_i64, -5_001, -4_000, 4_000, 5_001, 7_200_000]);
    let collected = (
        select(vec![0_usize, 0, 0, 1, 2]),
        select(vec![0_usize, 0, 0, 1]),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.1),
        select(vec![0_u64, 0, 0, 100_000, 599_000]),
        prop::option::weighted(0.15, select(vec![1_u64, 5_000, 100_000])),
    )
        .prop_map(|(baseline, state, holds, early, age_ms, changes_in_ms)| Happening::Collected {
            baseline,
            state,
            holds,
            early,
            age_ms,
            changes_in_ms,
        });
    let verified = (
        select(vec![0_usize, 0, 1, 2]),
        prop_oneof![4 => Just(90 * 86_400_000_i64), 1 => select(vec![-14 * 86_400_000_i64, -14 * 86_400_000 + 5000])],
        vec((0_usize..6, prop::bool::weighted(0.8)), 0..4),
    )
        .prop_map(|(baseline, expires_in_ms, lifts)| Happening::SetVerified { baseline, expires_in_ms, lifts });
    prop_oneof![
        8 => paper().prop_map(Happening::Permit),
        6 => collected,
        3 => verified,
        3 => span().prop_map(Happening::Pass),
        2 => (1_u64..3).prop_map(Happening::Sending),
        2 => step.prop_map(Happening::Step),
        1 => (span(), select(vec![0_i64, 0, -7_200_000, -100_000, 100_000])).prop_map(|(ms, step)| Happening::Reboot(ms, step)),
        1 => Just(Happening::Restart),
        1 => Just(Happening::StoreFloor),
        1 => Just(Happening::Changed),
        1 => Just(Happening::PermitUnverified),
        1 => (0_usize..6).prop_map(Happening::Stop),
        1 => prop::bool::weighted(0.5).prop_map(|damaged| if damaged { Happening::Damaged } else { Happening::Pass(10) }),
    ]
    .boxed()
}

/// Some begin with a gate that is open.
pub(crate) fn happenings() -> BoxedStrategy<Vec<Happening>> {
    let good = Paper {
        number: 1,
        foreign_host: false,
        foreign_product: false,
        baseline: 0,
        state: Some(0),
        answers: 0,
        holds: false,
        issued: 0,
        life: 1_800_000,
        stop: None,
    };
    let opening = vec![
        Happening::SetVerified { baseline: 0, expires_in_ms: 90 * 86_400_000, lifts: Vec::new() },
        Happening::Collected { baseline: 0, state: 0, holds: false, early: false, age_ms: 0, changes_in_ms: None },
        Happening::Sending(1),
        Happening::Permit(good),
    ];
    // Most go wrong within few steps of an open gate.
    let many = prop_oneof![3 => vec(happening(), 1..5), 1 => vec(happening(), 5..24)];
    (prop::bool::weighted(0.9), many)
        .prop_map(move |(open, then)| if open { [opening.clone(), then].concat() } else { then })
        .boxed()
}
