//! What a registry must be, and how it is looked up.

use manifests::registry::{ProcessView, Registry, Topology};
use manifests::source;
use manifests::time::Time;

const SAMPLE: &str = include_str!("data/source/registry.toml");

/// The codes that a change of the sample leads to.
fn check(sound: &str, mistaken: &str, expected: &[(u32, &str)]) {
    assert!(SAMPLE.contains(sound), "{sound:?}");
    let found = source::registry(&SAMPLE.replacen(sound, mistaken, 1)).map(|_| ()).err().unwrap_or_default();
    let codes: Vec<_> = found.iter().map(|problem| (problem.line, problem.code)).collect();
    assert_eq!(codes, expected, "{mistaken:?}: {found:#?}");
}

#[test]
fn a_registry_that_could_not_be_relied_on_is_refused() {
    check("schema = 1", "schema = 3\nnew_key = true", &[(1, "unsupported-schema")]);
    check("schema = 1", "schema = 2\nnew_key = true", &[(2, "unknown-key")]);
    check("schema = 1", "", &[(1, "missing-key")]);
    check("code = \"131211\"", "code = \"402206\"", &[(31, "duplicate-id")]);
    check("id = \"402206-db1\"", "id = \"402206-ap1\"", &[(39, "duplicate-id")]);
    check("id = \"402206-db1\"", "id = \"402207-db1\"", &[(35, "bad-code")]);
    check("id = \"402206-db1\"", "id = \"011002-db1\"", &[(35, "unlisted-site")]);
    check("id = \"standby\"", "id = \"main\"", &[(22, "duplicate-id")]);
    check("standby = true", "standby = false", &[(1, "no-standby")]);
    check("standby = true", "standby = \"true\"", &[(23, "wrong-type")]);
    check("id = \"main\"", "id = \"main\"\nstandby = true", &[(1, "no-controller")]);
    check(
        "joined = 2021-04-01T00:00:00+09:00\nleft = 2031",
        "joined = 2021-04-01T00:00:00+09:00\nleft = 2011",
        &[(42, "left-before-joined")],
    );
    check("roles = [\"db\"]", "roles = []", &[(36, "empty-list")]);
    check("roles = [\"db\"]", "roles = [\"db\", \"DB\", \"db\"]", &[(36, "bad-id"), (36, "duplicate-value")]);
    check("joined = 2022-10-01T00:00:00+09:00", "joined = 2022-10-01T00:00:00", &[(46, "local-time")]);
    check("joined = 2022-10-01T00:00:00+09:00", "joined = \"2022-10-01T00:00:00+09:00\"", &[(46, "wrong-type")]);
    check("[[host]]", "[host]", &[(34, "wrong-type"), (38, "duplicate-key"), (43, "duplicate-key")]);
    check("en = \"Adachi\"", "en = \"Adachi\\u001b[2J\"", &[(32, "bad-text")]);
    check("[[controller]]\nid = \"main\"", "[[contoller]]\nid = \"main\"", &[(17, "unknown-key")]);
}

#[test]
fn a_host_says_whose_processes_its_agent_sees_under_schema_2() {
    let with = |schema: u32, word: &str| {
        let text = SAMPLE.replacen("schema = 1", &format!("schema = {schema}"), 1);
        source::registry(&text.replacen("roles = [\"db\"]", &format!("roles = [\"db\"]\nprocesses = \"{word}\""), 1))
    };
    let view = |registry: Registry, id: &str| registry.hosts.iter().find(|h| h.id.as_str() == id).unwrap().processes;
    let registry = with(2, "container").unwrap();
    assert_eq!(view(registry.clone(), "402206-db1"), ProcessView::Container);
    assert_eq!(view(registry, "402206-ap1"), ProcessView::Host);
    assert_eq!(view(with(2, "host").unwrap(), "402206-db1"), ProcessView::Host);
    assert_eq!(with(2, "guest").unwrap_err()[0].code, "bad-word");
    let problems = with(1, "container").unwrap_err();
    assert_eq!((problems[0].code, problems[0].key.as_str()), ("unknown-key", "host[0].processes"));
}

#[test]
fn two_views_are_two_keys_in_two_units() {
    check("unit = \"quality assurance\"", "unit = \"release management\"", &[]);
    let one_unit = SAMPLE
        .replace("quality assurance", "release management")
        .replace("unit = \"operations\"", "unit = \"release management\"");
    assert_eq!(source::registry(&one_unit).unwrap_err()[0].code, "one-unit");
    let key = SAMPLE.lines().find(|line| line.starts_with("key = ")).unwrap();
    let second = SAMPLE.lines().filter(|line| line.starts_with("key = ")).nth(1).unwrap();
    check(second, key, &[(11, "key-reused")]);
    check(
        SAMPLE.lines().find(|line| line.starts_with("log_key = ")).unwrap(),
        &format!("log_{key}"),
        &[(20, "key-reused")],
    );
    check(key, "key = \"ed25519:0100\"", &[(7, "bad-public-key")]);
    check(key, &key.to_uppercase().replace("KEY", "key"), &[(7, "bad-public-key")]);
    let neutral = format!("key = \"ed25519:01{}\"", "00".repeat(31));
    check(key, &neutral, &[(7, "weak-key")]);
}

#[test]
fn a_wrong_check_digit_is_told_with_the_right_one() {
    let problems = source::registry(&SAMPLE.replacen("code = \"402206\"", "code = \"402207\"", 1)).unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert_eq!((problem.line, problem.column, problem.code, problem.key.as_str()), (28, 8, "bad-code", "site[0].code"));
    assert!(problem.hint.as_ref().unwrap().contains("402206"), "{problem}");
}

#[test]
fn a_host_is_found_with_its_site_and_neighbours() {
    let registry = source::registry(SAMPLE).unwrap();
    let at = |text: &str| Time::from_rfc3339(text).unwrap();
    let now = at("2023-07-02T00:00:00Z");
    let ap = "402206-ap1".parse().unwrap();
    let entry = registry.entry(&ap, now).unwrap();
    assert_eq!((entry.site.code.as_str(), entry.topology), ("402206", Topology::Split));
    assert_eq!(entry.changes_at, Some(at("2031-04-01T00:00:00+09:00")));
    assert!(registry.entry(&ap, at("2031-04-01T00:00:00+09:00")).is_none());
    assert!(registry.entry(&ap, at("2021-03-31T00:00:00Z")).is_none());
    let db = registry.entry(&"402206-db1".parse().unwrap(), at("2031-04-01T00:00:00+09:00")).unwrap();
    assert_eq!(db.topology, Topology::Single);
    assert!(registry.entry(&"402206-ap2".parse().unwrap(), now).is_none());
    assert!(registry.entry(&"011002-ap1".parse().unwrap(), now).is_none());
    let hosts: Vec<_> = registry.hosts_of(&"402206".parse().unwrap(), now).map(|host| host.id.as_str()).collect();
    assert_eq!(hosts, ["402206-ap1", "402206-db1"]);
    assert_eq!(registry.hosts_of(&"473821".parse().unwrap(), now).count(), 0);
}

#[test]
fn ten_thousand_hosts_are_read_and_more_than_allowed_are_not() {
    let host = |n: usize| format!("[[host]]\nid = \"402206-x{n}\"\nroles = [\"ap\"]\njoined = 2021-04-01T00:00:00Z\n");
    let text = format!("{SAMPLE}{}", (0..10_000).map(host).collect::<String>());
    assert_eq!(source::registry(&text).unwrap().hosts.len(), 10_003);
    let (head, _) = SAMPLE.split_once("[[signer]]").unwrap();
    for (key, most) in [("host", source::HOSTS_MAX), ("site", source::SITES_MAX), ("signer", source::SIGNERS_MAX)] {
        let text = format!("{head}{key} = [{}]", "{},".repeat(most + 1));
        let problems = source::registry(&text).unwrap_err();
        let codes: Vec<_> = problems.iter().map(|problem| problem.code).filter(|code| *code == "too-many").collect();
        assert_eq!(codes, ["too-many"], "{key}");
    }
}
