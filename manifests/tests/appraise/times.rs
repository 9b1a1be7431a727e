//! When an answer ends.

use crate::outcomes::waiver;
use crate::{check_at, fleet, judged};

/// The answer at `now`, on evidence of that moment, is another at `changes` and not before.
fn check_changes(host: &str, baseline: &str, now: &str, seen: &str, changes: &str) {
    let (now, changes) = (fleet::time(now), fleet::time(changes));
    let days = now.since(fleet::now()).as_ms();
    let seen = format!("ahead to = {days}ms; {seen}");
    let first = judged(baseline, host, &seen, now);
    assert_eq!(first.changes_at, Some(changes), "{host} {seen} at {now}");
    let before = judged(baseline, host, &seen, changes.before(manifests::time::Span::from_ms(1)));
    assert_eq!(before, first, "the answer was another before {changes}");
    assert_ne!(judged(baseline, host, &seen, changes), first, "the answer is the same at {changes}");
}

#[test]
fn evidence_grows_old() {
    check_changes(fleet::AP, "", "2026-10-10T00:00:00Z", "", "2026-10-10T00:10:00.001Z");
    check_changes(fleet::DB, "", "2026-10-14T23:55:00Z", "", "2026-10-15T00:05:00.001Z");
}

#[test]
fn a_fix_becomes_required_or_due_where_it_concerns_the_host() {
    check_changes(fleet::AP, "", "2026-10-14T23:55:00Z", "", "2026-10-15T00:00:00Z");
    check_changes(fleet::AP, "", "2026-10-31T23:55:00Z", "", "2026-11-01T00:00:00Z");
    check_changes(fleet::DB, "", "2026-10-31T23:55:00Z", "", "2026-11-01T00:05:00.001Z");
}

#[test]
fn a_waiver_ends_where_it_counts() {
    let fix = waiver("FIX-2019-0007");
    let seen = "tree issuing-server = 3.4.1";
    check_changes(fleet::AP, &fix, "2026-10-11T23:55:00Z", seen, "2026-10-12T00:00:00Z");
    check_changes(fleet::AP, &fix, "2026-10-11T23:55:00Z", "", "2026-10-12T00:05:00.001Z");
    let hidden = "tree issuing-server = 3.4.1; setting queue.timeout = -";
    check_changes(fleet::AP, &fix, "2026-10-11T23:55:00Z", hidden, "2026-10-12T00:00:00Z");
}

#[test]
fn a_host_leaves_and_a_site_with_it_is_a_single_one() {
    check_changes(fleet::AP, "", "2031-03-31T23:55:00Z", "", "2031-04-01T00:00:00Z");
}

#[test]
fn now_catches_up_with_a_clock_that_was_ahead() {
    let now = fleet::now();
    let first = judged("", fleet::AP, "ahead by = 65s", now);
    assert_eq!(
        (crate::verdict(&first).as_str(), first.changes_at),
        ("hold clock-skew", Some(fleet::time("2026-10-10T00:00:05Z")))
    );
    check_at(fleet::time("2026-10-10T00:00:04.999Z"), fleet::AP, "", "ahead by = 65s", "hold clock-skew");
    check_at(fleet::time("2026-10-10T00:00:05Z"), fleet::AP, "", "ahead by = 65s", "issue");
}
