//! One test per line of the table of outcomes, worst first.

use crate::{check, check_at, check_on, fleet};

#[test]
fn all_as_it_should_be_issues() {
    for host in [fleet::AP, fleet::DB, fleet::SINGLE] {
        check_on(host, "", "", "issue");
    }
    for item in ["FIX-2019-0007", "FIX-2021-0001", "FIX-2022-0002", "lock.print-wait", "issuing-server", "proxy"] {
        check("", "", &format!("{item} applied"));
    }
}

#[test]
fn evidence_that_is_too_old_is_stale_as_a_whole() {
    check("", "pass age = 10m", "issue");
    check("", "pass age = 10m+1ms", "hold stale");
    for item in ["FIX-2019-0007", "lock.print-wait", "queue.timeout", "issuing-server", "proxy", "FIX-2026-0004"] {
        check("", "pass age = 10m+1ms", &format!("{item} stale"));
    }
}

#[test]
fn a_known_bad_release_is_denied_whatever_else_is_wrong_with_it() {
    check("", "tree issuing-server = 3.3.0", "issuing-server denied: denied");
    check("", "tree issuing-server = 3.3.0", "FIX-2019-0007 denied: denied");
    check("", "tree issuing-server = 3.3.0; loaded issuing-server = older", "issuing-server denied: denied");
    // It counts for as long as it runs, and whatever the item says of what it enforces.
    check("", "runs issuing-server = 3.3.0", "issuing-server denied: denied");
    check("", "runs issuing-server = 3.3.0", "FIX-2019-0007 denied: denied");
    let warn = "process = { exe = \"bin/issuingd\" } => process = { exe = \"bin/issuingd\" }\nenforce = \"warn\"";
    check(warn, "tree issuing-server = 9.9.9", "issuing-server altered");
    check(warn, "runs issuing-server = 3.3.0", "issuing-server denied: denied");
    // Also where nobody knows whether the item concerns the host.
    check("", "tree issuing-server = 3.3.0; fact linkage.method = -", "FIX-2019-0007 denied: denied");
    let waiver = waiver("issuing-server");
    check(&waiver, "tree issuing-server = 3.3.0", "issuing-server denied: denied");
}

#[test]
fn a_tree_that_is_no_listed_release_is_altered() {
    check("", "tree issuing-server = 9.9.9", "issuing-server altered: altered");
    check("", "tree issuing-server = 9.9.9", "FIX-2019-0007 altered: altered");
    // Right on disk, but the process reads another file under the same name.
    check("", "loaded issuing-server = elsewhere", "issuing-server altered: altered");
    // Another program's release is no release of this one.
    check("", "tree issuing-server = db-1.0.0", "issuing-server altered: altered");
}

#[test]
fn a_release_for_other_hosts_is_the_wrong_variant() {
    check("", "tree issuing-server = 3.4.2-single", "issuing-server wrong-variant: wrong-variant");
    check("", "tree issuing-server = 3.4.2-single", "FIX-2019-0007 wrong-variant: wrong-variant");
    let split = "tree issuing-server = 3.4.2-split";
    check_on(fleet::SINGLE, "", split, "issuing-server wrong-variant: wrong-variant");
    check_on(fleet::SINGLE, "", split, "FIX-2020-0005 wrong-variant: wrong-variant");
    check("", "tree issuing-server = 3.4.0-batch", "issuing-server wrong-variant: wrong-variant");
    check("", "tree issuing-server = 3.4.0-batch; fact linkage.method = batch", "issuing-server applied");
}

#[test]
fn a_release_or_file_or_package_without_the_fix_is_missing_it() {
    check("", "tree issuing-server = 3.4.1", "issuing-server applied");
    check("", "tree issuing-server = 3.4.1", "FIX-2019-0007 missing: fix-missing");
    check("", "file /usr/lib/printer/filter.ppd = other", "FIX-2021-0001 missing: fix-missing");
    check("", "file /usr/lib/printer/filter.ppd = absent", "FIX-2021-0001 missing: fix-missing");
    check("", "file /usr/lib/printer/filter.ppd = filter-2", "FIX-2021-0001 applied");
    check("", "package openssl = 3.0.11-0", "FIX-2022-0002 missing: fix-missing");
    check("", "package openssl = 3.0.11-1~rc1", "FIX-2022-0002 missing: fix-missing");
    check("", "package openssl = absent", "FIX-2022-0002 missing: fix-missing");
    check("", "package openssl = 1:0.1", "FIX-2022-0002 applied");
}

#[test]
fn what_a_process_holds_is_what_counts() {
    check("", "loaded issuing-server = older", "issuing-server not-loaded: not-loaded");
    check("", "loaded issuing-server = older", "FIX-2019-0007 not-loaded: not-loaded");
    check("", "runs issuing-server = 3.4.1", "issuing-server not-loaded: not-loaded");
    // A library that is older says nothing of a file that is not.
    check("", "loaded issuing-server = older", "lock.print-wait applied");
    check("", "loaded issuing-server = older", "FIX-2021-0001 applied");
    // A setting of a file that is read at start is judged by that file.
    let asleep = "running lock.print-wait = not-running";
    for (seen, told) in [("older", "not-loaded: not-loaded"), ("elsewhere", "not-loaded: not-loaded")] {
        check("", &format!("{asleep}; reader print = {seen}"), &format!("lock.print-wait {told}"));
        check("", &format!("reader proxy = {seen}"), &format!("proxy {told}"));
        check("", &format!("held /usr/lib/printer/filter.ppd = {seen}"), &format!("FIX-2021-0001 {told}"));
    }
    // What the running program tells of itself counts, whatever it has read.
    check("", "reader print = older", "lock.print-wait applied");
    check("", "reader print = older; running lock.print-wait = shared", "lock.print-wait drifted: lock-drifted");
    // A configuration that is reread is not what a process sees in its place.
    check("", "reader linkage = elsewhere", "queue.timeout not-loaded: not-loaded");
    check("", "reader linkage = -", "queue.timeout unknown: unknown");
    // So that a start condition cannot deadlock.
    check("", "loaded issuing-server = not-running; running lock.print-wait = not-running", "issue");
    // Without the fix on disk, that comes first.
    let both = "tree issuing-server = 3.4.1; loaded issuing-server = older";
    check("", both, "FIX-2019-0007 missing: fix-missing");
}

#[test]
fn a_program_that_should_run_and_does_not_is_warned_of_and_holds_nobody() {
    let expected =
        "[[program]]\nid = \"issuing-server\" => [[program]]\nexpect_running = true\nid = \"issuing-server\"";
    let of_schema_2 = |change: &str| crate::changed(fleet::BASELINE, &["schema = 1 => schema = 2", change]);
    let warned = |host: &str, baseline: &str, seen: &str| {
        let appraisal = crate::judged_by(&of_schema_2(baseline), host, seen, fleet::now());
        appraisal.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let asleep = "loaded issuing-server = not-running; running lock.print-wait = not-running";
    assert_eq!(warned(fleet::AP, expected, asleep), ["not-running issuing-server"]);
    let appraisal = crate::judged_by(&of_schema_2(expected), fleet::AP, asleep, fleet::now());
    assert_eq!(crate::verdict(&appraisal), "issue");
    // Nobody asked; it runs; nobody knows, which holds by itself; it is not for this host.
    let none: [&str; 0] = [];
    assert_eq!(warned(fleet::AP, "version = \"2026.10.1\" => version = \"2026.10.1\"", asleep), none);
    assert_eq!(warned(fleet::AP, expected, ""), none);
    assert_eq!(warned(fleet::AP, expected, "loaded issuing-server = unreadable"), none);
    assert_eq!(warned(fleet::AP, expected, &format!("{asleep}; pass age = 1h")), none);
    assert_eq!(warned(fleet::DB, expected, ""), none);
}

#[test]
fn a_value_that_is_not_as_expected_has_drifted() {
    check("", "setting lock.print-wait = shared", "lock.print-wait drifted: lock-drifted");
    check("", "running lock.print-wait = shared", "lock.print-wait drifted: lock-drifted");
    check("", "setting lock.print-wait = Exclusive", "lock.print-wait drifted: lock-drifted");
    check("", "setting queue.timeout = 31", "queue.timeout drifted: setting-drifted");
    // Where a number is asked for, a text that is none may be one to the program.
    check("", "setting queue.timeout = soon", "queue.timeout unknown: unknown");
    // A number to some readers, and to some of them another one.
    check("", "setting queue.timeout = 030", "queue.timeout unknown: unknown");
    check("", "setting queue.timeout = +30", "queue.timeout unknown: unknown");
    check("", "setting queue.timeout = 31", "FIX-2019-0007 drifted: setting-drifted");
    check("", "setting legacy.mode = on", "legacy.mode drifted: setting-drifted");
    check("", "setting secrets.store = sealed-other", "secrets.store drifted: setting-drifted");
    check("", "config proxy = other", "proxy drifted: config-drifted");
}

#[test]
fn a_key_given_twice_is_ambiguous_and_a_missing_one_absent() {
    check("", "setting lock.print-wait = ambiguous", "lock.print-wait ambiguous: lock-ambiguous");
    check("", "setting queue.timeout = ambiguous", "queue.timeout ambiguous: setting-ambiguous");
    check("", "setting lock.print-wait = absent", "lock.print-wait absent: lock-absent");
    check("", "setting queue.timeout = absent", "queue.timeout absent: absent");
    check("", "setting queue.timeout = absent", "FIX-2019-0007 absent: absent");
    check("", "tree issuing-server = absent; loaded issuing-server = not-running", "issuing-server absent: absent");
    check("", "config proxy = absent", "proxy absent: absent");
    check("", "setting legacy.mode = absent", "legacy.mode applied");
}

#[test]
fn what_was_not_shown_is_unknown() {
    for seen in ["tree issuing-server = -", "tree issuing-server = unreadable", "loaded issuing-server = unreadable"] {
        check("", seen, "issuing-server unknown: unknown");
        check("", seen, "FIX-2019-0007 unknown: unknown");
        check("", &format!("{seen}; setting lock.print-wait = exclusive"), "FIX-2019-0007 unknown: unknown");
    }
    // What was read of the file cannot be told, so neither can the value that counts.
    for seen in ["-", "unreadable", "more"] {
        let asleep = format!("running lock.print-wait = not-running; reader print = {seen}");
        check("", &asleep, "lock.print-wait unknown: unknown");
        check("", &format!("reader proxy = {seen}"), "proxy unknown: unknown");
    }
    for seen in ["unreadable", "more"] {
        check("", &format!("held /usr/lib/printer/filter.ppd = {seen}"), "FIX-2021-0001 unknown: unknown");
    }
    for seen in ["-", "unreadable"] {
        check("", &format!("setting lock.print-wait = {seen}"), "lock.print-wait unknown: unknown");
        check("", &format!("running lock.print-wait = {seen}"), "lock.print-wait unknown: unknown");
        check("", &format!("setting queue.timeout = {seen}"), "queue.timeout unknown: unknown");
        check("", &format!("setting legacy.mode = {seen}"), "legacy.mode unknown: unknown");
        check("", &format!("config proxy = {seen}"), "proxy unknown: unknown");
        check("", &format!("file /usr/lib/printer/filter.ppd = {seen}"), "FIX-2021-0001 unknown: unknown");
        check("", &format!("package openssl = {seen}"), "FIX-2022-0002 unknown: unknown");
    }
    check("", "package openssl = not a version", "FIX-2022-0002 unknown: unknown");
    // The host's own word counts only for what the baseline lets travel sealed.
    check("", "setting secrets.store = sealed", "secrets.store applied");
    check("", "setting queue.timeout = sealed", "queue.timeout unknown: unknown");
    check("", "setting lock.print-wait = sealed", "lock.print-wait unknown: unknown");
}

#[test]
fn an_unknown_fact_asks_for_the_requirement_all_the_same() {
    for fact in ["-", "unreadable", "ambiguous", "on-demand-3"] {
        let fact = format!("fact linkage.method = {fact}");
        check("", &fact, "FIX-2019-0007 applied");
        for worse in ["tree issuing-server = 3.4.1", "tree issuing-server = 9.9.9", "setting queue.timeout = 31"] {
            check("", &format!("{fact}; {worse}"), "FIX-2019-0007 unknown: unknown");
            check(&waiver("FIX-2019-0007"), &format!("{fact}; {worse}"), "FIX-2019-0007 unknown: unknown");
        }
        // One false decides `all`, one true decides `any`, whatever is unknown.
        check_on(fleet::SINGLE, "", &fact, "FIX-2019-0007 not-applicable");
        check_on(
            fleet::SINGLE,
            "",
            &format!("{fact}; tree issuing-server = 3.4.1"),
            "FIX-2020-0005 missing: fix-missing",
        );
        let batch = format!("{fact}; tree issuing-server = 3.4.0-batch");
        check("", &batch, "issuing-server unknown: unknown");
    }
}

#[test]
fn a_fix_that_does_not_exist_yet_holds_from_its_due_date_on() {
    let at = |time: &str, expected: &str| {
        check_at(fleet::time(time), fleet::AP, "", "ahead of = 22d", expected);
    };
    check("", "", "FIX-2026-0003 no-fix");
    // Evidence of the day itself: 22 days after the pass of the fixture.
    at("2026-10-31T23:59:59.999Z", "FIX-2026-0003 no-fix");
    at("2026-11-01T00:00:00Z", "FIX-2026-0003 no-fix: no-fix");
}

#[test]
fn a_fix_that_is_not_required_yet_is_pending_until_it_is() {
    let at = |time: &str, expected: &str| {
        check_at(fleet::time(time), fleet::AP, "", "ahead of = 5d", expected);
    };
    at("2026-10-14T23:59:59.999Z", "FIX-2026-0004 pending");
    at("2026-10-15T00:00:00Z", "FIX-2026-0004 missing: fix-missing");
}

#[test]
fn what_does_not_concern_a_host_says_which_facts_decided() {
    let appraisal = crate::judged("", fleet::SINGLE, "", fleet::now());
    let fix = appraisal.items.iter().find(|judged| judged.item.as_str() == "FIX-2019-0007").unwrap();
    let facts: Vec<_> = fix.details.iter().map(|d| (d.subject.as_str(), d.found.as_str(), d.line)).collect();
    assert_eq!(facts, [("linkage.method", "on-demand-2", Some(4)), ("topology", "single", None)]);
    for item in ["FIX-2021-0001", "lock.print-wait", "proxy", "issuing-server"] {
        check_on(fleet::DB, "", "", &format!("{item} not-applicable"));
    }
}

#[test]
fn what_is_not_enforced_is_told_and_holds_nobody() {
    check("", "setting db.hint = absent", "db.hint absent");
    check("", "setting db.hint = absent", "issue");
    check("", "setting db.hint = -", "db.hint unknown");
    let warn = "id = \"FIX-2021-0001\" => id = \"FIX-2021-0001\"\nenforce = \"warn\"";
    check(warn, "file /usr/lib/printer/filter.ppd = other", "FIX-2021-0001 missing");
    check(warn, "file /usr/lib/printer/filter.ppd = other", "issue");
}

pub(crate) fn waiver(item: &str) -> String {
    format!(
        "[[waiver]]\nitem = \"{item}\"\nhosts = [\"{}\"]\nreason = \"replaced at night\"\nuntil = 2026-10-12T00:00:00Z\n",
        fleet::AP
    )
}
