//! Whom a draft would hold.

use std::collections::BTreeMap;

use super::super::fixture::{at, cover, fleet, host, policy, reference, registry, state};
use super::{AP, DB, OTHER, stop};
use crate::api::{Preview, PreviewSite};
use crate::baseline::{Baseline, Program, Release};
use crate::digest::Digest;
use crate::evidence::{Evidence, Held, ProcessesSeen, ProgramSeen, State, TreeSeen};
use crate::exclude::Globs;
use crate::fleet::{Change, Fleet, Policy};
use crate::reference::Reference;
use crate::registry::Registry;
use crate::stop::Scope;
use crate::value::{Expect, Value};
use crate::version::{Scheme, Version};

const NOW: i64 = 10;

/// Whom a draft is asked about, with the site's only finding of each host in words.
fn preview(fleet: &Fleet, draft: &Reference, registry: &Registry) -> Preview {
    fleet.standings(at(NOW)).preview(draft, registry, Digest::of(b"registry"))
}

fn said(sites: &[PreviewSite]) -> Vec<String> {
    let hosts = sites.iter().flat_map(|site| site.hosts.iter().map(move |host| (site, host)));
    let words = hosts.map(|(site, host)| {
        let reasons = host.reasons.iter().map(ToString::to_string);
        let items = host.not_collected.iter().map(|item| format!("{item}?"));
        assert_eq!(site.code, *host.host.site());
        format!("{}: {}", host.host, reasons.chain(items).collect::<Vec<_>>().join(", "))
    });
    words.collect()
}

fn counts(preview: &Preview) -> [u32; 5] {
    let counts = preview.counts;
    [counts.sites, counts.newly_held, counts.not_collected, counts.opened, counts.unchanged]
}

/// The fixture's baseline, changed.
fn draft(version: &str, change: impl FnOnce(&mut Baseline)) -> Reference {
    let mut baseline = reference(version).baseline().clone();
    baseline.version = version.parse().unwrap();
    change(&mut baseline);
    Reference::new(baseline, Digest::of(format!("draft {version}").as_bytes()), &BTreeMap::new()).unwrap()
}

fn program(tree: Digest) -> Program {
    Program {
        id: "issuing-server".parse().unwrap(),
        root: "/opt/issuing".to_owned(),
        exclude: Globs::new(Vec::new()).unwrap(),
        follow: Globs::new(Vec::new()).unwrap(),
        loads: Vec::new(),
        process: None,
        expect_running: false,
        concerns: Default::default(),
        scheme: Scheme::Semver,
        releases: vec![Release {
            version: Version::parse("3.4.1", Scheme::Semver).unwrap(),
            variant: None,
            when: None,
            tree,
            denied: None,
        }],
        patches: Vec::new(),
        about: reference("1.0.0").baseline().settings[0].about.clone(),
    }
}

fn with_program(tree: Digest) -> impl FnOnce(&mut Baseline) {
    move |baseline| baseline.programs.push(program(tree))
}

fn installed() -> Digest {
    Digest::of(b"the release")
}

fn state_with_program() -> State {
    let seen = ProgramSeen {
        tree: TreeSeen::Digest(installed()),
        processes: ProcessesSeen::Running,
        loaded: Held::default(),
        trees: Vec::new(),
        findings: Vec::new(),
    };
    State { programs: BTreeMap::from([("issuing-server".parse().unwrap(), seen)]), ..state("exclusive") }
}

/// A fleet under a baseline with the program, of which every host has shown its release and a good lock.
fn reporting(hosts: &[&str]) -> Fleet {
    let mut fleet = fleet(hosts);
    let mut change = Change::default();
    let current = draft("1.0.0", with_program(installed())).into();
    fleet.put_in_force(Policy { current, ..policy(hosts) }, at(0), &mut change);
    for id in hosts {
        report(&mut fleet, id, state_with_program());
    }
    fleet
}

fn report(fleet: &mut Fleet, id: &str, state: State) {
    let baseline = fleet.reference().unwrap().digest();
    let sequence = fleet.host(&host(id)).unwrap().record.sequence + 1;
    let evidence = Evidence {
        cover: crate::evidence::Cover { baseline, ..cover(id, sequence, at(sequence.try_into().unwrap())) },
        state,
    };
    let digest = Digest::of(format!("{:?}", evidence.cover).as_bytes());
    fleet.report(&host(id), evidence.into(), digest, at(NOW), &mut Change::default()).unwrap();
}

#[test]
fn one_wrong_digit_of_a_release_holds_every_site_and_changes_nothing() {
    let fleet = reporting(&[AP, DB, OTHER]);
    let before = fleet.overview(at(NOW));
    assert_eq!(before.counts.verified, 2);
    let typo = draft("1.0.1", with_program(Digest::of(b"a digit of it is wrong")));
    let answer = preview(&fleet, &typo, &registry(&[AP, DB, OTHER]));
    assert_eq!(counts(&answer), [2, 2, 0, 0, 0]);
    let held = said(&answer.newly_held);
    assert_eq!(held, [OTHER, AP, DB].map(|id| format!("{id}: altered issuing-server")));
    assert_eq!((answer.baseline.version.as_str(), answer.in_force), ("1.0.1", before.baseline.clone()));
    assert_eq!(fleet.overview(at(NOW)), before);
    let same = draft("1.0.1", with_program(installed()));
    assert_eq!(counts(&preview(&fleet, &same, &registry(&[AP, DB, OTHER]))), [2, 0, 0, 0, 2]);
}

#[test]
fn what_hosts_do_not_report_yet_is_told_apart_from_what_would_hold() {
    let fleet = reporting(&[AP, OTHER]);
    let hosts = registry(&[AP, OTHER]);
    let good = with_program(installed());
    // A setting that nobody has read, and a program whose tree nobody has looked at.
    let more = draft("1.0.1", |baseline| {
        good(baseline);
        let mut setting = baseline.settings[0].clone();
        (setting.id, setting.key) = ("lock.cards".parse().unwrap(), "cards.lock".to_owned());
        baseline.settings.push(setting);
        let mut other = program(installed());
        (other.id, other.root) = ("register".parse().unwrap(), "/opt/register".to_owned());
        baseline.programs.push(other);
    });
    let answer = preview(&fleet, &more, &hosts);
    assert_eq!(counts(&answer), [2, 0, 2, 0, 0]);
    assert_eq!(said(&answer.not_collected), [OTHER, AP].map(|id| format!("{id}: lock.cards?, register?")));

    // Beside what is known to fail it is told with that, and the site counts once.
    let both = draft("1.0.1", |baseline| {
        baseline.programs.push(program(Digest::of(b"another")));
        let mut setting = baseline.settings[0].clone();
        (setting.id, setting.key) = ("lock.cards".parse().unwrap(), "cards.lock".to_owned());
        baseline.settings.push(setting);
    });
    let answer = preview(&fleet, &both, &hosts);
    assert_eq!(counts(&answer), [2, 2, 0, 0, 0]);
    assert_eq!(said(&answer.newly_held)[0], format!("{OTHER}: altered issuing-server, lock.cards?"));
}

#[test]
fn an_answer_to_another_question_is_no_answer() {
    type Change = fn(&mut Baseline);
    let fleet = reporting(&[AP]);
    let changes: [(&str, Change); 4] = [
        ("lock", |baseline| baseline.settings[0].key = "queue.other".to_owned()),
        ("lock", |baseline| baseline.configs[0].files = vec!["/etc/other.ini".to_owned()]),
        ("issuing-server", |baseline| baseline.programs[0].root = "/opt/other".to_owned()),
        ("issuing-server", |baseline| baseline.programs[0].exclude = Globs::new(vec!["logs".to_owned()]).unwrap()),
    ];
    for (item, change) in changes {
        let otherwise = draft("1.0.1", |baseline| {
            with_program(installed())(baseline);
            change(baseline);
        });
        let answer = preview(&fleet, &otherwise, &registry(&[AP]));
        assert_eq!(said(&answer.not_collected), [format!("{AP}: {item}?")]);
    }
    // What only judges is no other question.
    let stricter = draft("1.0.1", |baseline| {
        with_program(installed())(baseline);
        baseline.settings[0].expect = Expect::Equals(Value::Text("shared".to_owned()));
    });
    assert_eq!(said(&preview(&fleet, &stricter, &registry(&[AP])).newly_held), [format!("{AP}: lock-drifted lock")]);
}

#[test]
fn who_is_held_now_may_be_opened_and_who_is_held_for_something_else_stays() {
    let mut fleet = reporting(&[AP, OTHER]);
    report(&mut fleet, AP, State { programs: state_with_program().programs, ..state("shared") });
    let admitted = draft("1.0.1", |baseline| {
        with_program(installed())(baseline);
        baseline.settings[0].expect = Expect::Equals(Value::Text("shared".to_owned()));
    });
    let answer = preview(&fleet, &admitted, &registry(&[AP, OTHER]));
    assert_eq!(counts(&answer), [2, 1, 0, 1, 0]);
    assert_eq!(said(&answer.opened), [format!("{AP}: lock-drifted lock")]);
    assert_eq!(said(&answer.newly_held), [format!("{OTHER}: lock-drifted lock")]);
    let same = draft("1.0.1", with_program(installed()));
    assert_eq!(counts(&preview(&fleet, &same, &registry(&[AP, OTHER]))), [2, 0, 0, 0, 2]);
}

#[test]
fn stops_are_left_out_and_a_host_that_joins_a_site_holds_it() {
    let mut fleet = reporting(&[AP, OTHER]);
    stop(&mut fleet, Scope::All, at(NOW), &mut Change::default());
    let same = draft("1.0.1", with_program(installed()));
    assert_eq!(counts(&preview(&fleet, &same, &registry(&[AP, OTHER]))), [2, 0, 0, 0, 2]);
    let answer = preview(&fleet, &same, &registry(&[AP, DB, "131016-ap1"]));
    assert_eq!(counts(&answer), [2, 1, 0, 0, 0]);
    assert_eq!(said(&answer.newly_held), [format!("{DB}: stale")]);
    assert_eq!(answer.registry.joining, ["131016".parse().unwrap()]);
    assert_eq!(answer.registry.leaving, [host(OTHER).site().clone()]);
}

#[test]
fn evidence_of_a_host_that_was_not_listed_since_is_as_old_as_it_is() {
    let mut fleet = reporting(&[AP, DB]);
    let current: std::sync::Arc<Reference> = draft("1.0.0", with_program(installed())).into();
    fleet.put_in_force(Policy { current, ..policy(&[AP]) }, at(NOW), &mut Change::default());
    // The neighbour goes on; what the other one showed last has run out by now.
    (0..9).for_each(|_| report(&mut fleet, AP, state_with_program()));
    let same = draft("1.0.1", with_program(installed()));
    let answer = fleet.standings(at(605)).preview(&same, &registry(&[AP, DB]), Digest::of(b"registry"));
    assert_eq!(said(&answer.newly_held), [format!("{DB}: stale")]);
}
