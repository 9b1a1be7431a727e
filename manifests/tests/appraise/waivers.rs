//! What a waiver reaches, and what it never does.

use manifests::appraise::appraise;
use manifests::baseline::Waiver;
use manifests::reference::Reference;

use crate::outcomes::waiver;
use crate::{check, check_at, check_on, fleet, judged};

const FIX: &str = "FIX-2019-0007";

#[test]
fn a_waiver_reaches_what_is_wrong_and_was_shown() {
    for seen in [
        "tree issuing-server = 3.4.1",
        "tree issuing-server = 3.4.2-single",
        "tree issuing-server = 9.9.9",
        "loaded issuing-server = older",
        "loaded issuing-server = elsewhere+older",
        "runs issuing-server = 3.4.1",
        "setting queue.timeout = 31",
    ] {
        check(&waiver(FIX), seen, "FIX-2019-0007 waived");
    }
    check(&waiver(FIX), "tree issuing-server = 3.4.1", "issue");
    check(&waiver("issuing-server"), "tree issuing-server = 9.9.9", "issuing-server waived");
    check(&waiver("proxy"), "config proxy = other", "issue");
    let due = waiver("FIX-2026-0003").replace("2026-10-12", "2026-12-01");
    check_at(fleet::time("2026-11-01T00:00:00Z"), fleet::AP, &due, "ahead of = 22d", "FIX-2026-0003 waived");
}

#[test]
fn a_waiver_never_reaches_what_was_not_shown_or_is_known_bad() {
    for (seen, outcome) in [
        ("tree issuing-server = -", "unknown: unknown"),
        ("tree issuing-server = absent", "absent: absent"),
        ("tree issuing-server = 3.3.0", "denied: denied"),
        ("setting queue.timeout = absent", "absent: absent"),
        ("setting queue.timeout = ambiguous", "ambiguous: setting-ambiguous"),
        ("setting queue.timeout = unreadable", "unknown: unknown"),
        ("pass age = 1h", "stale"),
    ] {
        check(&waiver(FIX), seen, &format!("FIX-2019-0007 {outcome}"));
    }
}

#[test]
fn a_waived_requirement_does_not_cover_up_another_that_was_not_shown() {
    // Otherwise a host that is held could be opened by making it worse.
    let older = "tree issuing-server = 3.4.1";
    check(&waiver(FIX), &format!("{older}; setting queue.timeout = -"), "FIX-2019-0007 unknown: unknown");
    check(&waiver(FIX), &format!("{older}; setting queue.timeout = absent"), "FIX-2019-0007 absent: absent");
    check(&waiver(FIX), &format!("{older}; setting queue.timeout = 31"), "FIX-2019-0007 waived");
    // Nor what is known to be older what could not be told.
    for held in ["older+unreadable", "elsewhere+unreadable"] {
        check(&waiver(FIX), &format!("loaded issuing-server = {held}"), "FIX-2019-0007 unknown: unknown");
        check(&waiver("proxy"), &format!("reader proxy = {held}"), "proxy unknown: unknown");
        let file = format!("held /usr/lib/printer/filter.ppd = {held}");
        check(&waiver("FIX-2021-0001"), &file, "FIX-2021-0001 unknown: unknown");
    }
    check(&waiver("proxy"), "reader proxy = older", "proxy waived");
}

#[test]
fn a_fix_that_is_waived_does_not_waive_the_setting_it_requires() {
    check(&waiver(FIX), "setting queue.timeout = 31", "hold setting-drifted queue.timeout");
}

#[test]
fn a_waiver_ends_and_is_for_its_hosts() {
    let seen = "tree issuing-server = 3.4.1; ahead of = 1d+23h+59m";
    let at = |time: &str, expected: &str| check_at(fleet::time(time), fleet::AP, &waiver(FIX), seen, expected);
    at("2026-10-11T23:59:59.999Z", "FIX-2019-0007 waived");
    at("2026-10-12T00:00:00Z", "FIX-2019-0007 missing: fix-missing");
    check_on(
        fleet::SINGLE,
        &waiver("FIX-2020-0005"),
        "tree issuing-server = 3.4.1",
        "FIX-2020-0005 missing: fix-missing",
    );
    // Of two the later end counts.
    let two = waiver(FIX) + &waiver(FIX).replace("2026-10-12", "2026-10-20");
    let appraisal = judged(&two, fleet::AP, "tree issuing-server = 3.4.1", fleet::now());
    assert_eq!(appraisal.items[0].waived_until, Some(fleet::time("2026-10-20T00:00:00Z")));
}

#[test]
fn a_lock_cannot_be_waived_even_by_a_baseline_that_nobody_checked() {
    let text = fleet::filled(&format!("{}\n{}", fleet::BASELINE, waiver("lock.print-wait")));
    let problems = manifests::source::baseline(&text).unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["waiver-on-lock"]);

    for (item, seen) in [("lock.print-wait", "setting lock.print-wait = shared"), ("proxy", "config proxy = other")] {
        let mut baseline = fleet::reference(fleet::BASELINE).baseline().clone();
        let proxy = baseline.configs.iter_mut().find(|config| config.id.as_str() == "proxy").unwrap();
        proxy.about.waivable = false;
        baseline.waivers.push(Waiver {
            item: item.parse().unwrap(),
            hosts: vec![fleet::AP.parse().unwrap()],
            reason: "because".to_owned(),
            until: fleet::time("2027-01-01T00:00:00Z"),
        });
        let lists = std::collections::BTreeMap::from([(fleet::digest("3.4.1"), fleet::tree("3.4.1"))]);
        let reference = Reference::new(baseline, fleet::digest("x"), &lists).unwrap();
        let mut evidence = fleet::evidence(fleet::AP, &reference);
        crate::seen::apply(&mut evidence, seen);
        let registry = fleet::registry();
        let entry = registry.entry(&fleet::AP.parse().unwrap(), fleet::now());
        let appraisal = appraise(&reference, entry.as_ref(), Some(&evidence), fleet::now());
        assert!(crate::verdict(&appraisal).starts_with("hold"), "{item}: {appraisal:#?}");
    }
}
