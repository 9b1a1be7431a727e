//! The appraiser against a second one, which was written in Python from `docs/appraisal.md` alone.
//!
//! Every run has the same pairs, so that a change is judged by itself alone;
//! `APPRAISE_SEED=$RANDOM cargo test -p manifests --test appraise_python` has others.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/fleet.rs"]
mod fleet;
#[path = "common/universe.rs"]
mod universe;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use manifests::appraise::{Memo, RULES, appraise};
use manifests::digest::Digest;
use manifests::evidence::{AnyEvidence, AnyState, Evidence, v1};
use manifests::outcome::Appraisal;
use manifests::source;
use manifests::time::Time;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// Pairs of a baseline and evidence; how many of them have one baseline, and of these one state.
const PAIRS: usize = 100_000;
const OF_ONE_BASELINE: usize = 50;
const OF_ONE_STATE: usize = 5;

/// The second appraiser, which ends when its input does.
struct Python {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// None where there is no Python to run it.
    fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python/appraise.py");
        let can = Command::new("python3").args(["-c", "import tomllib"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new("python3");
        command.arg("-B").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (asks, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, asks, answers })
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.asks.as_mut().unwrap(), "{message}").unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.asks.take());
        let _ = self.child.wait();
    }
}

/// The answer, but for words for people.
fn told(appraisal: &Appraisal) -> Value {
    let items = appraisal
        .items
        .iter()
        .map(|item| json!([item.item, item.kind, item.outcome, item.verdict, item.code, item.waived_until]));
    json!({
        "verdict": appraisal.verdict,
        "reasons": appraisal.reasons.iter().map(|reason| json!([reason.code, reason.item])).collect::<Vec<_>>(),
        "warnings": appraisal.warnings.iter().map(|warning| json!([warning.code, warning.item])).collect::<Vec<_>>(),
        "items": items.collect::<Vec<_>>(),
        "changes_at": appraisal.changes_at,
    })
}

/// A registry in which nothing happens soon, and others in which a neighbour leaves or joins about now.
fn registries() -> Vec<String> {
    let leaves = fleet::REGISTRY.replace("roles = [\"db\"]\n", "roles = [\"db\"]\nleft = 2026-10-10T00:02:00Z\n");
    let joins = format!(
        "{}\n[[host]]\nid = \"131211-db1\"\nroles = [\"db\", \"ap\"]\njoined = 2026-10-10T00:01:00.5Z\n",
        fleet::REGISTRY
    );
    vec![fleet::REGISTRY.to_owned(), leaves, joins]
}

/// Who asks, when, and in which version.
#[derive(Clone, Copy, Debug)]
struct Asker {
    host: &'static str,
    now: Time,
    version: u64,
    has_evidence: bool,
}

fn asker() -> BoxedStrategy<Asker> {
    let host = prop_oneof![
        6 => Just(fleet::AP),
        2 => Just(fleet::DB),
        2 => Just(fleet::SINGLE),
        1 => Just("402206-zz1"),
    ];
    let now = select(vec![
        "2026-10-10T00:00:00Z",
        "2026-10-10T00:00:00Z",
        "2026-10-09T23:59:59.999Z",
        "2026-10-10T00:01:30Z",
        "2026-10-10T00:05:00Z",
        "2026-10-10T00:10:00Z",
        "2026-10-10T00:10:00.001Z",
    ])
    .prop_map(|now| Time::from_rfc3339(now).unwrap());
    let version = prop_oneof![3 => Just(2), 1 => Just(1)];
    (host, now, version, proptest::bool::weighted(0.98))
        .prop_map(|(host, now, version, has_evidence)| Asker { host, now, version, has_evidence })
        .boxed()
}

/// The evidence as this one sends it.
fn sent(mut evidence: Evidence, asker: &Asker) -> Option<AnyEvidence> {
    // As it was made, but for the few that are another host's.
    if evidence.cover.host.as_str() == fleet::AP {
        evidence.cover.host = asker.host.parse().unwrap();
    }
    let evidence = Some(evidence).filter(|_| asker.has_evidence)?;
    Some(match asker.version {
        1 => v1::Evidence { state: (&evidence.state).into(), cover: evidence.cover }.into(),
        _ => evidence.into(),
    })
}

#[test]
fn a_second_appraiser_written_from_the_page_agrees_on_random_pairs() {
    let Some(mut python) = Python::start() else {
        eprintln!("skipped: there is no python3 with tomllib (3.11), which the second appraiser needs");
        return;
    };
    let chosen = std::env::var("APPRAISE_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seed = chosen.unwrap_or(1);
    println!("APPRAISE_SEED={seed}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, Digest::of(&seed.to_le_bytes()).as_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let baselines = (universe::baseline(), vec(universe::waiver(), 0..4), select(registries()));
    let (evidences, askers) = (universe::evidence(), asker());
    let lists: serde_json::Map<String, Value> = universe::lists()
        .iter()
        .map(|(digest, list)| (digest.to_string(), String::from_utf8(list.to_bytes()).unwrap().into()))
        .collect();
    let mut shown = evidences.new_tree(&mut runner).unwrap().current();
    let mut verdicts = std::collections::BTreeMap::new();
    // Whoever is judged like another must be told what they are told who are judged alone.
    let mut memo = Memo::default();
    for round in 0..PAIRS / OF_ONE_BASELINE {
        memo.clear(); // The baselines of this test have one digest.
        let (text, waivers, registry) = baselines.new_tree(&mut runner).unwrap().current();
        let text = text + &waivers.concat();
        let (reference, known) = (universe::reference(&text), source::registry(&registry).unwrap());
        let filled = fleet::filled(&text);
        python.say(&json!({ "baseline": filled, "digest": reference.digest(), "lists": lists, "registry": registry }));
        let mut expected = Vec::new();
        for index in 0..OF_ONE_BASELINE {
            if index % OF_ONE_STATE == 0 {
                shown = evidences.new_tree(&mut runner).unwrap().current();
            }
            let asker = askers.new_tree(&mut runner).unwrap().current();
            let evidence = sent(shown.clone(), &asker);
            let json = evidence.as_ref().map_or(Value::Null, |evidence| {
                let state = match &*evidence.state {
                    AnyState::V1(state) => json!(state),
                    AnyState::V2(state) => json!(state),
                };
                json!({ "cover": evidence.cover(), "state": state })
            });
            let Asker { host, now, version, .. } = asker;
            let entry = known.entry(&host.parse().unwrap(), now);
            let current = evidence.as_ref().map(|evidence| evidence.current(reference.baseline()));
            let appraisal = appraise(&reference, entry.as_ref(), current.as_ref(), now);
            let known = evidence.as_ref().map(AnyEvidence::state_digest);
            let seen = current.as_ref().map(|evidence| (&evidence.cover, &evidence.state));
            let again = memo.appraise(&reference, entry.as_ref(), seen, known, now);
            assert!(again == appraisal, "APPRAISE_SEED={seed}, round {round}\nanew: {appraisal:#?}\nknown: {again:#?}");
            *verdicts.entry(appraisal.verdict).or_insert(0_usize) += 1;
            let mut answer = told(&appraisal);
            answer["state"] =
                evidence.as_ref().map(AnyEvidence::state_digest).map_or(Value::Null, |state| json!(state));
            let asked = json!({ "host": host, "now": now.unix_ms(), "version": version, "evidence": json });
            python.say(&asked);
            expected.push((asked, answer));
        }
        for (asked, expected) in expected {
            let heard = python.hear();
            assert!(
                heard == expected,
                "APPRAISE_SEED={seed}, round {round}\n{filled}\n{registry}\n{asked:#}\nrust: {expected:#}\npython: {heard:#}"
            );
        }
    }
    assert!(verdicts.len() == 2 && verdicts.values().all(|count| *count > PAIRS / 20), "{verdicts:?}");
}

#[test]
fn the_page_and_the_second_appraiser_are_of_the_edition_that_the_product_has() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    assert!(read("../docs/appraisal.md").contains(&format!("**rules {RULES}**")));
    assert!(read("../tests/python/appraise.py").contains(&format!("\nRULES = {RULES}\n")));
}
