//! Whom else to ask (TUF 1.0.34, 4.5 and 5.6.7).

use manifests::digest::Digest;
use manifests::key::SigningKey;
use manifests::tuf::{Delegation, Delegations, MemoryStore, RoleKeys, Targets, Trusted};

use crate::repo::{Repo, key, signed_by};

/// One delegation of the graph under test.
struct Edge {
    from: &'static str,
    to: String,
    paths: Option<Vec<String>>,
    prefixes: Option<Vec<String>>,
    terminating: bool,
}

fn edge(from: &'static str, to: &str, pattern: &str) -> Edge {
    Edge { from, to: to.to_owned(), paths: Some(vec![pattern.to_owned()]), prefixes: None, terminating: false }
}

fn last(mut edge: Edge) -> Edge {
    edge.terminating = true;
    edge
}

// Publishes the graph, all delegated roles under one key, with a file of one byte in some roles.
fn graph(edges: &[Edge], files: &[(&str, &str)]) -> (Repo, SigningKey) {
    let mut repo = Repo::new();
    let signer = key();
    let id = signer.public().id();
    let mut roles = std::collections::BTreeMap::from([("targets".to_owned(), Targets::new(2, repo.targets.expires))]);
    for edge in edges {
        roles.entry(edge.to.clone()).or_insert_with(|| Targets::new(1, repo.targets.expires));
    }
    for edge in edges {
        let delegator = roles.get_mut(edge.from).unwrap();
        let delegations = delegator.delegations.get_or_insert_with(|| Delegations {
            keys: [(id.clone(), signer.public().clone())].into(),
            roles: Vec::new(),
        });
        delegations.roles.push(Delegation {
            name: edge.to.clone(),
            keys: RoleKeys { keyids: vec![id.clone()], threshold: 1 },
            paths: edge.paths.clone(),
            path_hash_prefixes: edge.prefixes.clone(),
            terminating: edge.terminating,
        });
    }
    for (role, path) in files {
        roles.get_mut(*role).unwrap().add(path, role.as_bytes());
    }
    repo.targets = roles.remove("targets").unwrap();
    repo.publish_role("targets", &repo.targets.clone());
    for (name, targets) in roles {
        let bytes = signed_by(&targets, [&signer]);
        repo.list(&name, 1, bytes);
    }
    repo.publish_online();
    (repo, signer)
}

// Whose file is found: the digest tells, as each role's file holds its name.
fn check(edges: &[Edge], files: &[(&str, &str)], path: &str, found: Option<&str>) {
    let (repo, _) = graph(edges, files);
    let mut store = MemoryStore::default();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    let digest = client.target(path).ok().and_then(|info| info.digest);
    assert_eq!(digest, found.map(|role| Digest::of(role.as_bytes())), "{path}");
    // The same answer without a network, from what was read on the way.
    let offline = Trusted::load(&store, &repo.first_root).unwrap();
    assert_eq!(offline.target(path).ok().and_then(|file| file.hashes.sha256()), digest, "{path}");
}

#[test]
fn the_first_delegation_that_knows_the_path_wins() {
    let edges = [edge("targets", "a", "*"), edge("targets", "b", "*"), edge("a", "c", "*"), edge("b", "d", "*")];
    check(&edges, &[("b", "f"), ("c", "f"), ("d", "f")], "f", Some("c"));
    check(&edges, &[("b", "f"), ("d", "f")], "f", Some("b"));
    check(&edges, &[("targets", "f"), ("a", "f")], "f", Some("targets"));
    check(&edges, &[("d", "f")], "f", Some("d"));
    check(&edges, &[], "f", None);
}

#[test]
fn a_path_must_be_covered_all_the_way_down() {
    let edges = [edge("targets", "a", "x/*"), edge("a", "b", "*/*")];
    check(&edges, &[("b", "x/f")], "x/f", Some("b"));
    check(&edges, &[("b", "y/f"), ("a", "y/f")], "y/f", None);
    check(&edges, &[("b", "x/y/f")], "x/y/f", None);
}

#[test]
fn a_terminating_delegation_is_the_last_word() {
    let edges = [edge("targets", "a", "*"), last(edge("a", "b", "f")), edge("a", "c", "*"), edge("targets", "d", "*")];
    check(&edges, &[("c", "f"), ("d", "f")], "f", None);
    check(&edges, &[("b", "f"), ("d", "f")], "f", Some("b"));
    check(&edges, &[("c", "g"), ("d", "g")], "g", Some("c"));
}

#[test]
fn a_hash_prefix_covers_the_paths_that_hash_to_it() {
    let hex = Digest::of(b"f").hex();
    let prefixed =
        |prefix: &str| Edge { paths: None, prefixes: Some(vec![prefix.to_owned()]), ..edge("targets", "a", "") };
    check(&[prefixed(&hex[..2])], &[("a", "f")], "f", Some("a"));
    check(&[prefixed(&hex)], &[("a", "f")], "f", Some("a"));
    check(&[prefixed(&hex[1..9])], &[("a", "f")], "f", None);
}

#[test]
fn delegations_may_go_round_in_circles() {
    let edges = [edge("targets", "a", "*"), edge("a", "b", "*"), edge("b", "a", "*"), edge("b", "c", "*")];
    check(&edges, &[("c", "f")], "f", Some("c"));
    check(&edges, &[], "f", None);
}

#[test]
fn at_most_32_roles_are_asked() {
    let roles: Vec<String> = (0..40).map(|number| format!("r{number}")).collect();
    let edges: Vec<_> = roles.iter().map(|name| edge("targets", name, "*")).collect();
    check(&edges, &[("r30", "f")], "f", Some("r30"));
    check(&edges, &[("r31", "f")], "f", None);
}

#[test]
fn a_role_speaks_only_with_the_keys_of_who_delegated_to_it() {
    let edges =
        [edge("targets", "a", "a/*"), edge("targets", "b", "b/*"), edge("a", "r", "a/*"), edge("b", "r", "b/*")];
    let (mut repo, signer) = graph(&edges, &[("r", "a/f"), ("r", "b/f")]);
    // b names another key for r than a does.
    let other = key();
    let mut b = Targets::new(1, repo.targets.expires);
    b.delegations = Some(Delegations {
        keys: [(other.public().id(), other.public().clone())].into(),
        roles: vec![Delegation {
            name: "r".to_owned(),
            keys: RoleKeys { keyids: vec![other.public().id()], threshold: 1 },
            paths: Some(vec!["b/*".to_owned()]),
            path_hash_prefixes: None,
            terminating: false,
        }],
    });
    repo.list("b", 1, signed_by(&b, [&signer]));
    repo.publish_online();
    let mut store = MemoryStore::default();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    client.target("a/f").unwrap();
    assert_eq!(client.target("b/f").unwrap_err().code(), "threshold");
    let offline = Trusted::load(&store, &repo.first_root).unwrap();
    assert!(offline.target("a/f").is_ok());
    assert_eq!(offline.target("b/f").unwrap_err().code(), "incomplete");
}

#[test]
fn a_role_that_the_snapshot_does_not_list_is_not_asked() {
    let (mut repo, _) = graph(&[edge("targets", "a", "*")], &[("a", "f")]);
    repo.metas.remove("a.json");
    repo.publish_online();
    let mut store = repo.refreshed();
    let mut client = repo.client(&mut store);
    client.refresh(repo.now).unwrap();
    assert_eq!(client.target("f").unwrap_err().code(), "mismatch");
}

#[test]
fn a_top_level_name_cannot_be_delegated() {
    for name in ["root", "timestamp", "snapshot", "targets"] {
        let mut repo = Repo::new();
        repo.targets.delegations.as_mut().unwrap().roles[0].name = name.to_owned();
        let error = manifests::tuf::repository::unsigned(&repo.targets).unwrap_err();
        assert_eq!(error.code(), "format", "{error}");
    }
}
