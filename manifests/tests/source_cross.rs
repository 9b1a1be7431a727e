//! What a baseline says of hosts and sites is held against the registry.

#![expect(clippy::unwrap_used, reason = "a sample that cannot be read is a test that fails")]

use manifests::source;
use manifests::time::Time;

const BASELINE: &str = include_str!("data/source/baseline.toml");
const REGISTRY: &str = include_str!("data/source/registry.toml");

fn check(now: &str, sound: &str, mistaken: &str, expected: &[(u32, u32, &str)]) {
    assert!(BASELINE.contains(sound), "{sound:?}");
    let (baseline, places) = source::baseline_with_places(&BASELINE.replacen(sound, mistaken, 1)).unwrap();
    let registry = source::registry(REGISTRY).unwrap();
    let problems = source::cross_check(&baseline, &places, &registry, Time::from_rfc3339(now).unwrap());
    let found: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column, problem.code)).collect();
    assert_eq!(found, expected, "{mistaken:?}: {problems:#?}");
}

const NOW: &str = "2023-07-02T00:00:00Z";
const FIX: &str = "roles = [\"ap\"]\nwhen = { all";

#[test]
fn what_no_registry_entry_bears_out_is_refused_at_its_place() {
    check(NOW, "product = \"convenience-issuance\"", "product = \"counter\"", &[(2, 11, "product-mismatch")]);
    check(NOW, "[\"131211-ap1\"]", "[\"131211-ap1\", \"131211-ap2\"]", &[(88, 24, "unlisted-host")]);
    check(NOW, FIX, "sites = [\"402206\", \"011002\"]\nwhen = { all", &[(77, 20, "unlisted-site")]);
    check(NOW, FIX, "roles = [\"web\"]\nwhen = { all", &[(77, 10, "unlisted-role")]);
    check(
        NOW,
        "enforce = \"hold\"\n[[program.release]]",
        "sites = [\"011002\"]\n[[program.release]]",
        &[(41, 10, "unlisted-site")],
    );
}

#[test]
fn a_fix_concerns_somebody_or_says_why_not() {
    let nobody = "sites = [\"131211\"]\nroles = [\"dr\"]\ntouches_nobody = \"for the stand-by hall\"\nwhen = { all";
    check(NOW, FIX, nobody, &[]);
    let somebody = "roles = [\"ap\"]\ntouches_nobody = \"for the stand-by hall\"\nwhen = { all";
    check(NOW, FIX, somebody, &[(71, 1, "touches-somebody")]);
    // Its only such host has left by then.
    let left = "roles = [\"ap\"]\nsites = [\"402206\"]\nwhen = { all";
    check(NOW, FIX, left, &[]);
    check("2032-01-01T00:00:00Z", FIX, left, &[(71, 1, "touches-nobody")]);
}
