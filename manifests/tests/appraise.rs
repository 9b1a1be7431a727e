//! Every line of the table of outcomes, what waivers reach, and when an answer ends.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/fleet.rs"]
mod fleet;
#[path = "common/seen.rs"]
mod seen;

#[path = "appraise/hosts.rs"]
mod hosts;
#[path = "appraise/memo.rs"]
mod memo;
#[path = "appraise/outcomes.rs"]
mod outcomes;
#[path = "appraise/patches.rs"]
mod patches;
#[path = "appraise/times.rs"]
mod times;
#[path = "appraise/waivers.rs"]
mod waivers;

use manifests::appraise::appraise;
use manifests::outcome::Appraisal;
use manifests::time::Time;

/// Judges `host` by the baseline of `fleet` and what `baseline` says besides: `old => new` or tables
/// to append.
fn judged(baseline: &str, host: &str, seen: &str, now: Time) -> Appraisal {
    let text = match baseline.split_once(" => ") {
        Some(_) => changed(fleet::BASELINE, &[baseline]),
        None => format!("{}\n{baseline}", fleet::BASELINE),
    };
    judged_by(&text, host, seen, now)
}

/// The text with these changes, each `old => new`.
fn changed(text: &str, changes: &[&str]) -> String {
    changes.iter().fold(text.to_owned(), |text, change| {
        let (old, new) = change.split_once(" => ").unwrap_or_else(|| panic!("{change:?} has no ` => `"));
        assert!(text.contains(old), "{old:?} is not in the baseline");
        text.replacen(old, new, 1)
    })
}

/// Judges `host` by a baseline.
fn judged_by(text: &str, host: &str, seen: &str, now: Time) -> Appraisal {
    let reference = fleet::reference(text);
    let registry = fleet::registry();
    let mut evidence = fleet::evidence(host, &reference);
    seen::apply(&mut evidence, seen);
    appraise(&reference, registry.entry(&host.parse().unwrap(), now).as_ref(), Some(&evidence), now)
}

/// `FIX-1 missing`, and behind it its code where the item holds: `FIX-1 missing: fix-missing`.
fn told(appraisal: &Appraisal, item: &str) -> String {
    let judged = appraisal.items.iter().find(|judged| judged.item.as_str() == item);
    let judged = judged.unwrap_or_else(|| panic!("no item {item}"));
    let outcome = serde_json::to_value(judged.outcome).unwrap();
    let outcome = format!("{item} {}", outcome.as_str().unwrap());
    if judged.outcome == manifests::outcome::Outcome::Stale {
        return outcome; // Said once for the whole host.
    }
    let holds = appraisal.reasons.iter().find(|reason| reason.item.as_ref() == Some(&judged.item));
    assert_eq!(holds.is_some(), judged.verdict == manifests::outcome::Verdict::Hold, "{appraisal:#?}");
    holds.map_or(outcome.clone(), |reason| format!("{outcome}: {}", reason.code))
}

/// `issue`, or `hold` with every reason.
fn verdict(appraisal: &Appraisal) -> String {
    match appraisal.verdict {
        manifests::outcome::Verdict::Issue => {
            assert_eq!(appraisal.reasons, []);
            "issue".to_owned()
        }
        manifests::outcome::Verdict::Hold => {
            let reasons: Vec<_> = appraisal.reasons.iter().map(ToString::to_string).collect();
            assert!(!reasons.is_empty(), "a hold without a reason");
            format!("hold {}", reasons.join(", "))
        }
    }
}

/// What must be said of the AP host of a split site.
fn check(baseline: &str, seen: &str, expected: &str) {
    check_on(fleet::AP, baseline, seen, expected);
}

/// `expected`: `ITEM outcome` with `: code` if it holds; or `issue`, or `hold` with reasons.
fn check_on(host: &str, baseline: &str, seen: &str, expected: &str) {
    check_at(fleet::now(), host, baseline, seen, expected);
}

fn check_at(now: Time, host: &str, baseline: &str, seen: &str, expected: &str) {
    let appraisal = judged(baseline, host, seen, now);
    let first = expected.split(' ').next().unwrap_or_default();
    let found = if matches!(first, "issue" | "hold") { verdict(&appraisal) } else { told(&appraisal, first) };
    assert_eq!(found, expected, "{host}, {baseline:?}, {seen:?} at {now}: {appraisal:#?}");
}
