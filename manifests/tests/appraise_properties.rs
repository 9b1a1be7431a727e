//! What holds for every baseline and every evidence.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/fleet.rs"]
mod fleet;
#[path = "common/universe.rs"]
mod universe;

use manifests::appraise::appraise;
use manifests::baseline::{Baseline, Config, Enforce, Program, Reload, Requirement, Requires, Setting};
use manifests::evidence::{Evidence, Gap, Held, InForceSeen, Older, OlderWhy, State, Why, v1};
use manifests::outcome::{Appraisal, ItemKind, Outcome, Verdict};
use manifests::reference::Reference;
use manifests::registry::Registry;
use manifests::time::{Span, Time};
use proptest::prelude::*;
use serde_json::Value;

fn judge(reference: &Reference, evidence: Option<&Evidence>, now: Time) -> Appraisal {
    static REGISTRY: std::sync::LazyLock<Registry> = std::sync::LazyLock::new(fleet::registry);
    appraise(reference, REGISTRY.entry(&fleet::AP.parse().unwrap(), now).as_ref(), evidence, now)
}

/// Every way to leave one thing out: a member of an object or an element of an array, anywhere but in
/// lists of what speaks against the host. There nothing shows that more was found.
fn without_one(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let mut less = members.clone();
                less.remove(key);
                all.push(Value::Object(less));
                if ["older", "elsewhere", "unknown", "trees"].contains(&key.as_str()) && member.is_array() {
                    continue;
                }
                for less in without_one(member) {
                    let mut members = members.clone();
                    members.insert(key.clone(), less);
                    all.push(Value::Object(members));
                }
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let mut less = elements.clone();
                less.remove(index);
                all.push(Value::Array(less));
                for less in without_one(element) {
                    let mut elements = elements.clone();
                    elements[index] = less;
                    all.push(Value::Array(elements));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

/// The same state with one more entry in a list of what processes have: in each list of each.
fn with_one_held(state: &State) -> Vec<State> {
    let add = |held: &mut Held, kind: usize| match kind {
        0 => held.older.push(Older { file: "lib/new".to_owned(), why: OlderWhy::Changed }),
        1 => held.elsewhere.push("lib/new".to_owned()),
        2 => held.unknown.push(Gap { what: "p".to_owned(), why: Why::TimedOut }),
        _ => held.more += 1,
    };
    let mut all = Vec::new();
    for kind in 0..4 {
        for id in state.programs.keys() {
            let mut more = state.clone();
            add(&mut more.programs.get_mut(id).unwrap().loaded, kind);
            all.push(more);
        }
        for id in state.readers.keys() {
            let mut more = state.clone();
            add(more.readers.get_mut(id).unwrap(), kind);
            all.push(more);
        }
        for path in state.files.keys() {
            let mut more = state.clone();
            add(&mut more.files.get_mut(path).unwrap().loaded, kind);
            all.push(more);
        }
    }
    all
}

/// What version 1 let a program's one word decide, written down once more from the rules of then: whether
/// it kept a value of a configuration that is read at start from counting.
fn held_back_by_1(baseline: &Baseline, state: &v1::State, config: &Config) -> bool {
    let reads = |program: &&Program| config.program.as_ref().is_none_or(|reader| *reader == program.id);
    let mut readers = baseline.programs.iter().filter(reads);
    let is_current = |program: &Program| match state.programs.get(&program.id).map(|seen| &seen.loaded) {
        Some(v1::Loaded::Current | v1::Loaded::NotRunning) => true,
        Some(v1::Loaded::Older { .. } | v1::Loaded::Elsewhere { .. } | v1::Loaded::Unknown(_)) | None => false,
    };
    config.reload == Reload::Restart && !readers.all(is_current)
}

/// Evidence with this state, as a controller judges it that was sent version 1.
fn through_version_1(reference: &Reference, evidence: &Evidence) -> (v1::State, Evidence) {
    let told = v1::State::from(&evidence.state);
    let state = told.clone().into_current(reference.baseline());
    (told, Evidence { cover: evidence.cover.clone(), state })
}

fn enforced(reference: &Reference, item: &str, kind: ItemKind) -> bool {
    kind == ItemKind::Lock
        || reference
            .baseline()
            .items()
            .any(|judged| judged.id().as_str() == item && judged.about().enforce == Enforce::Hold)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_question_has_the_same_answer(text in universe::baseline(), evidence in universe::evidence()) {
        let (one, other) = (universe::reference(&text), universe::reference(&text));
        let copy: Evidence = serde_json::from_slice(&serde_json::to_vec(&evidence).unwrap()).unwrap();
        let bytes = serde_json::to_vec(&judge(&one, Some(&evidence), fleet::now())).unwrap();
        prop_assert_eq!(&bytes, &serde_json::to_vec(&judge(&other, Some(&copy), fleet::now())).unwrap());
        prop_assert_eq!(serde_json::from_slice::<Appraisal>(&bytes).unwrap(), judge(&one, Some(&evidence), fleet::now()));
    }

    #[test]
    fn a_hold_has_reasons_and_an_issue_has_none(text in universe::baseline(), evidence in universe::evidence()) {
        let appraisal = judge(&universe::reference(&text), Some(&evidence), fleet::now());
        prop_assert_eq!(appraisal.reasons.is_empty(), appraisal.verdict == Verdict::Issue, "{:#?}", appraisal);
    }

    #[test]
    fn leaving_anything_out_never_turns_hold_into_issue(
        text in universe::baseline(), waivers in proptest::collection::vec(universe::waiver(), 0..3), evidence in universe::evidence(),
    ) {
        let reference = universe::reference(&(text + &waivers.concat()));
        if judge(&reference, Some(&evidence), fleet::now()).verdict == Verdict::Issue {
            return Ok(());
        }
        for less in without_one(&serde_json::to_value(&evidence).unwrap()) {
            // What must not be left out is refused when it is read.
            let Ok(less) = serde_json::from_value::<Evidence>(less) else { continue };
            let appraisal = judge(&reference, Some(&less), fleet::now());
            prop_assert_eq!(appraisal.verdict, Verdict::Hold, "{:#?}\nof {:#?}", appraisal, less);
        }
        prop_assert_eq!(judge(&reference, None, fleet::now()).verdict, Verdict::Hold);
    }

    #[test]
    fn who_issues_has_shown_all_that_is_enforced(
        text in universe::baseline(), waivers in proptest::collection::vec(universe::waiver(), 0..3), evidence in universe::evidence(),
    ) {
        let reference = universe::reference(&(text + &waivers.concat()));
        let appraisal = judge(&reference, Some(&evidence), fleet::now());
        if appraisal.verdict == Verdict::Hold {
            return Ok(());
        }
        for judged in appraisal.items.iter() {
            let good = matches!(
                judged.outcome,
                Outcome::Applied | Outcome::NotApplicable | Outcome::Waived | Outcome::Pending | Outcome::NoFix
            );
            prop_assert!(good || !enforced(&reference, judged.item.as_str(), judged.kind), "{:#?}", judged);
            prop_assert!(judged.kind != ItemKind::Lock || judged.outcome != Outcome::Waived);
        }
        // Where nothing is shown, nothing is good; no fix yet is the one failing that needs no showing.
        let silent = Evidence { state: State::default(), ..evidence };
        for judged in judge(&reference, Some(&silent), fleet::now()).items.iter() {
            let told = matches!(
                judged.outcome,
                Outcome::Unknown | Outcome::NotApplicable | Outcome::Waived | Outcome::Pending | Outcome::NoFix
            );
            prop_assert!(told, "{:#?}", judged);
            let holds = judged.verdict == Verdict::Hold || !enforced(&reference, judged.item.as_str(), judged.kind);
            prop_assert!(judged.outcome != Outcome::Unknown || holds, "{:#?}", judged);
        }
    }

    #[test]
    fn a_waiver_changes_only_what_it_may(
        text in universe::baseline(), waiver in universe::waiver(), evidence in universe::evidence(),
    ) {
        let before = judge(&universe::reference(&text), Some(&evidence), fleet::now());
        let after = judge(&universe::reference(&(text + &waiver)), Some(&evidence), fleet::now());
        for (before, after) in before.items.iter().zip(after.items.iter()) {
            if before == after {
                continue;
            }
            let may = matches!(
                before.outcome,
                Outcome::Missing | Outcome::WrongVariant | Outcome::NotLoaded | Outcome::Drifted | Outcome::Altered | Outcome::NoFix
            );
            prop_assert!(may && before.kind != ItemKind::Lock, "{:#?}\n{:#?}", before, after);
            let named = format!("\"{}\"", before.item);
            prop_assert!(waiver.contains(&named) && waiver.contains(fleet::AP), "{:#?}", before);
            // Waived as a whole, or what no waiver reaches is what is left.
            let left = matches!(after.outcome, Outcome::Unknown | Outcome::Absent | Outcome::Ambiguous | Outcome::Denied);
            prop_assert!(after.outcome == Outcome::Waived || left && after.verdict == before.verdict, "{:#?}", after);
        }
    }

    #[test]
    fn an_answer_stays_until_the_moment_it_names(
        text in universe::baseline(), waivers in proptest::collection::vec(universe::waiver(), 0..3), evidence in universe::evidence(), part in 0_u64..=100,
    ) {
        let reference = universe::reference(&(text + &waivers.concat()));
        let now = fleet::now().before(Span::from_ms(1));
        let first = judge(&reference, Some(&evidence), now);
        let changes = first.changes_at.unwrap();
        prop_assert!(now < changes);
        let left = changes.since(now).as_ms() - 1;
        for ahead in [left, left / 100 * part] {
            let later = judge(&reference, Some(&evidence), now.after(Span::from_ms(ahead)));
            prop_assert_eq!(&later, &first, "{} ms later", ahead);
        }
        prop_assert_ne!(judge(&reference, Some(&evidence), changes), first);
    }
}

proptest! {
    // What is wrong here shows in few states: where nothing else holds.
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_more_that_processes_have_never_turns_hold_into_issue(
        text in universe::baseline(), waivers in proptest::collection::vec(universe::waiver(), 0..4), evidence in prop_oneof![universe::evidence(), universe::loaded()],
    ) {
        let reference = universe::reference(&(text + &waivers.concat()));
        if judge(&reference, Some(&evidence), fleet::now()).verdict == Verdict::Issue {
            return Ok(());
        }
        for state in with_one_held(&evidence.state) {
            let more = Evidence { state, ..evidence.clone() };
            let appraisal = judge(&reference, Some(&more), fleet::now());
            prop_assert_eq!(appraisal.verdict, Verdict::Hold, "{:#?}\nof {:#?}", appraisal, more);
        }
    }

    #[test]
    fn what_holds_in_version_2_holds_when_it_is_told_in_version_1(
        text in universe::baseline(), waivers in proptest::collection::vec(universe::waiver(), 0..4), evidence in prop_oneof![universe::evidence(), universe::loaded()],
    ) {
        let reference = universe::reference(&(text + &waivers.concat()));
        let mut evidence = evidence;
        // Version 1 has no readers that could be left out; an agent tells all that concern the host.
        for id in ["conf", "c"] {
            evidence.state.readers.entry(fleet::item(id)).or_default();
        }
        let (told, again) = through_version_1(&reference, &evidence);
        let (first, second) = (judge(&reference, Some(&evidence), fleet::now()), judge(&reference, Some(&again), fleet::now()));
        let kept = first.verdict == Verdict::Issue || second.verdict == Verdict::Hold;
        prop_assert!(kept, "{:#?}\nof {:#?}\ntold as {:#?}", second, evidence.state, told);
    }

    #[test]
    fn a_state_of_version_1_is_never_better_for_what_a_program_had_loaded_than_by_the_rules_of_then(
        text in universe::baseline(), evidence in prop_oneof![universe::evidence(), universe::loaded()],
    ) {
        let reference = universe::reference(&text);
        let baseline = reference.baseline();
        let (told, again) = through_version_1(&reference, &evidence);
        let appraisal = judge(&reference, Some(&again), fleet::now());
        for judged in appraisal.items.iter().filter(|judged| judged.outcome == Outcome::Applied) {
            let told_in_force = |setting: &Setting| {
                let seen = told.settings.get(&setting.id).and_then(|seen| seen.in_force.as_ref());
                setting.in_force.is_some() && matches!(seen, Some(InForceSeen::Value(_)))
            };
            if let Some(setting) = baseline.setting(&judged.item) {
                // Since then a value that the running program tells itself settles it.
                let config = baseline.config(&setting.config).unwrap();
                prop_assert!(!held_back_by_1(baseline, &told, config) || told_in_force(setting), "{:#?}", judged);
            }
            if let Some(program) = baseline.program(&judged.item) {
                let loaded = &told.programs[&program.id].loaded;
                prop_assert!(matches!(loaded, v1::Loaded::Current | v1::Loaded::NotRunning), "{:#?}", judged);
            }
            let older = |path: &str| {
                let is_older = |seen: &v1::ProgramSeen| matches!(&seen.loaded, v1::Loaded::Older { file } if file == path);
                told.programs.values().any(is_older)
            };
            let fix = baseline.fixes.iter().find(|fix| fix.id == judged.item);
            if let Some(Requires::All(requirements)) = fix.map(|fix| &fix.requires) {
                let files = requirements.iter().filter_map(|requirement| match requirement {
                    Requirement::File { path, .. } => Some(path),
                    _ => None,
                });
                prop_assert!(files.into_iter().all(|path| !older(path)), "{:#?}", judged);
            }
        }
    }
}

#[test]
fn the_universe_has_hosts_that_issue_and_hosts_that_hold() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let world = (universe::baseline(), universe::evidence());
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..300 {
        let (text, evidence) = world.new_tree(&mut runner).unwrap().current();
        let appraisal = judge(&universe::reference(&text), Some(&evidence), fleet::now());
        *seen.entry(appraisal.verdict).or_insert(0) += 1;
    }
    assert!(seen.len() == 2 && seen.values().all(|count| *count >= 45), "{seen:?}");
}
