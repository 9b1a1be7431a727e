//! Who is judged like another is told what they are told who are judged alone.

use manifests::appraise::{Memo, appraise};
use manifests::source;
use manifests::time::{Span, Time};

use crate::outcomes::waiver;
use crate::{changed, fleet, seen};

/// Another machine beside [`fleet::AP`], of which the registry says the same.
const OTHER: &str = "402206-ap2";

/// Judges four hosts that show the same state, and again, at moments that do not only go forward.
fn same_as_alone(text: &str, seen: &str) {
    let reference = fleet::reference(text);
    let registry =
        format!("{}[[host]]\nid = \"{OTHER}\"\nroles = [\"ap\"]\njoined = 2021-04-01T00:00:00Z\n", fleet::REGISTRY);
    let registry = source::registry(&registry).unwrap();
    let mut shown = fleet::evidence(fleet::AP, &reference);
    seen::apply(&mut shown, seen);
    let state = shown.state.digest();
    let mut memo = Memo::default();
    let days = ["10-10", "10-11", "10-12", "10-15", "10-10", "11-01", "10-31", "11-02", "10-10"];
    let moments = days.map(|day| fleet::time(&format!("2026-{day}T00:00:00Z")));
    let just_before = moments.map(|at| at.before(Span::from_ms(1)));
    for now in moments.into_iter().chain(just_before) {
        for host in [fleet::AP, fleet::DB, OTHER, fleet::SINGLE, fleet::AP] {
            let mut evidence = shown.clone();
            evidence.cover.host = host.parse().unwrap();
            evidence.cover.pass_started = now;
            let entry = registry.entry(&evidence.cover.host, now);
            let alone = appraise(&reference, entry.as_ref(), Some(&evidence), now);
            let like_another =
                memo.appraise(&reference, entry.as_ref(), Some((&evidence.cover, &evidence.state)), Some(state), now);
            assert_eq!(like_another, alone, "{host} at {now}: {seen}");
        }
    }
}

#[test]
fn what_the_baseline_asks_of_a_host_tells_hosts_of_one_state_apart() {
    for seen in ["", "tree issuing-server = 3.4.1", "setting queue.timeout = 31", "package openssl = -"] {
        same_as_alone(fleet::BASELINE, seen);
        same_as_alone(&format!("{}\n{}", fleet::BASELINE, waiver("FIX-2019-0007")), seen);
        same_as_alone(&format!("{}\n{}", fleet::BASELINE, waiver("issuing-server")), seen);
    }
}

#[test]
fn a_setting_s_configuration_tells_hosts_apart_that_nothing_else_does() {
    let only = "schema = 1\nproduct = \"convenience-issuance\"\nversion = \"1.0.0\"\n\
        [[config]]\nid = \"linkage\"\nfiles = [\"/etc/issuing/linkage.xml\"]\nformat = \"xml\"\nroles = [\"ap\"]\n\
        [[setting]]\nid = \"queue.timeout\"\nconfig = \"linkage\"\nkey = \"queue/timeout\"\nexpect = { at_most = 30 }\n";
    same_as_alone(only, "setting queue.timeout = 31");
    same_as_alone(&changed(only, &["roles = [\"ap\"] => sites = [\"131211\"]"]), "setting queue.timeout = 31");
}

#[test]
fn hosts_of_one_state_share_their_items() {
    let (reference, registry, now) = (fleet::reference(fleet::BASELINE), fleet::registry(), fleet::now());
    let evidence = fleet::evidence(fleet::AP, &reference);
    let mut memo = Memo::default();
    let entry = registry.entry(&fleet::AP.parse().unwrap(), now);
    let mut judge = |now: Time| {
        memo.appraise(
            &reference,
            entry.as_ref(),
            Some((&evidence.cover, &evidence.state)),
            Some(evidence.state.digest()),
            now,
        )
        .items
    };
    let (first, second) = (judge(now), judge(now.after(Span::from_s(1))));
    assert!(std::sync::Arc::ptr_eq(&first, &second));
}
