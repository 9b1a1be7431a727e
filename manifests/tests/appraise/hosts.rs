//! What concerns a whole host.

use manifests::appraise::appraise;
use manifests::outcome::Verdict;

use crate::{check, check_at, check_on, fleet, verdict};

#[test]
fn a_host_outside_its_dates_is_not_listed() {
    let at = |time: &str, expected: &str| {
        let (time, reference, registry) = (fleet::time(time), fleet::reference(fleet::BASELINE), fleet::registry());
        let mut evidence = fleet::evidence(fleet::SINGLE, &reference);
        evidence.cover.pass_started = time;
        let entry = registry.entry(&fleet::SINGLE.parse().unwrap(), time);
        let appraisal = appraise(&reference, entry.as_ref(), Some(&evidence), time);
        assert_eq!(verdict(&appraisal), expected, "{time}");
    };
    at("2026-08-31T23:59:59.999Z", "hold not-listed");
    at("2026-09-01T00:00:00Z", "issue");
    check_at(fleet::time("2031-04-01T00:00:00Z"), fleet::AP, "", "ahead of = 1634d", "hold not-listed");
}

#[test]
fn no_evidence_or_anothers_is_stale() {
    check("", "host is = 402206-db1", "hold stale");
    check("", "product is = tax", "hold stale");
    let (reference, registry) = (fleet::reference(fleet::BASELINE), fleet::registry());
    let entry = registry.entry(&fleet::AP.parse().unwrap(), fleet::now());
    let appraisal = appraise(&reference, entry.as_ref(), None, fleet::now());
    assert_eq!(
        (verdict(&appraisal).as_str(), appraisal.changes_at),
        ("hold stale", Some(fleet::time("2031-04-01T00:00:00Z")))
    );
    assert!(
        appraisal.items.iter().filter(|judged| judged.item.as_str() != "db.hint").all(|j| j.verdict == Verdict::Hold)
    );
}

#[test]
fn an_older_agent_holds() {
    check("", "agent is = 0.1.9", "hold agent-too-old");
    check("", "agent is = 0.2.0-rc.1", "hold agent-too-old");
    check("", "agent is = 0.2.0+build", "issue");
    check("", "agent is = 1.0.0", "issue");
}

#[test]
fn evidence_under_another_baseline_holds() {
    check("", "baseline is = another", "hold baseline-outdated");
}

#[test]
fn a_pass_that_begins_in_the_future_is_a_clock_that_is_wrong() {
    check("", "ahead by = 60s", "issue");
    check("", "ahead by = 60s+1ms", "hold clock-skew");
    check("", "ahead by = 3000d", "hold clock-skew");
}

#[test]
fn a_host_that_nothing_concerns_is_held() {
    const ONE_FIX: &str = "schema = 1\nproduct = \"convenience-issuance\"\nversion = \"1.0.0\"\n\
        [[config]]\nid = \"linkage\"\nfiles = [\"/etc/issuing/linkage.xml\"]\nformat = \"xml\"\n\
        [[fact]]\nid = \"linkage.method\"\nconfig = \"linkage\"\nkey = \"linkage/mode\"\n\
        [[fix]]\nid = \"F\"\nwhen = { fact = \"linkage.method\", equals = \"batch\" }\n\
        requires = [ { package = \"openssl\", database = \"dpkg\", at_least = \"3\" } ]\n";
    let reference = fleet::reference(ONE_FIX);
    let registry = fleet::registry();
    let check = |seen: &str, expected: &str| {
        let mut evidence = fleet::evidence(fleet::AP, &reference);
        crate::seen::apply(&mut evidence, "reader linkage = current");
        crate::seen::apply(&mut evidence, seen);
        let entry = registry.entry(&fleet::AP.parse().unwrap(), fleet::now());
        let appraisal = appraise(&reference, entry.as_ref(), Some(&evidence), fleet::now());
        assert_eq!(verdict(&appraisal), expected, "{seen}");
    };
    check("", "hold nothing-judged");
    check("fact linkage.method = batch", "issue");
    // Leaving out the fact that says so must not free the host.
    check("fact linkage.method = -", "hold nothing-judged");
    // A fact is what the program goes by: read by nobody knows whom, it is not known.
    check("fact linkage.method = batch; reader linkage = -", "hold nothing-judged");
    check("fact linkage.method = batch; reader linkage = older", "hold nothing-judged");
    check("fact linkage.method = -; package openssl = 2", "hold nothing-judged, unknown F");
}

#[test]
fn a_known_bad_release_counts_on_a_host_that_it_is_not_for() {
    let on_db = |seen: &str, expected: &str| check_on(fleet::DB, "", seen, expected);
    on_db("tree issuing-server = 3.3.0", "issuing-server denied: denied");
    on_db("tree issuing-server = 3.4.1", "issuing-server not-applicable");
    on_db("tree issuing-server = unreadable", "issuing-server unknown: unknown");
    on_db("tree issuing-server = -", "issuing-server unknown: unknown");
    check("", "tree db-tools = db-0.9.0", "db-tools denied: denied");
    check("", "tree db-tools = db-0.9.0", "hold denied db-tools");
    // It counts for as long as it runs.
    on_db("runs issuing-server = 3.3.0", "issuing-server denied: denied");
    on_db("tree issuing-server = absent; runs issuing-server = 3.3.0", "issuing-server denied: denied");
    // What runs otherwise than the disk may be it.
    for seen in ["runs issuing-server = 9.9.9", "loaded issuing-server = older", "loaded issuing-server = unreadable"] {
        on_db(seen, "issuing-server unknown: unknown");
    }
}
