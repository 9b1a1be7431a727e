//! Every endpoint, type and code that a program can show stands in the page.

use std::collections::BTreeSet;
use std::path::Path;

use manifests::api;
use manifests::envelope::PAYLOAD_TYPES;
use manifests::reason::Code;
use manifests::stop::LIFT_TYPE;
use regex::Regex;

use super::{page, protocol, repository};

/// First cells, in backquotes, of the table rows under a heading.
fn table(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(cell, _)| cell.to_owned()).collect()
}

#[test]
fn every_endpoint_and_payload_type_is_named() {
    let page = protocol();
    let paths = [
        api::ENROLMENTS,
        api::EVIDENCE,
        api::HEARTBEATS,
        api::ACKNOWLEDGEMENTS,
        api::VERSIONS,
        api::STREAM,
        api::HANDED,
        api::CARRIED,
        api::HANDOVER,
        api::FILES,
        api::TUF,
        api::TUF_TARGETS,
        api::HEALTH,
        api::SITES,
        api::HOSTS,
        api::ITEMS,
        api::EVENTS,
        api::STOPS,
        api::UNLISTED_STOPS,
        api::SET_BACK,
        api::PREVIEW,
        api::PUBLISH,
    ];
    let source = self::page("manifests/src/api.rs");
    let is_path = |line: &&str| line.starts_with("pub const ") && line.contains(": &str = \"/");
    let constants = source.lines().filter(is_path).count();
    assert_eq!(constants, paths.len(), "manifests::api has a path that this test does not know");
    for path in paths {
        assert!(page.contains(&format!(" {path}")), "{path} is not in docs/protocol.md");
    }
    let types = table(&page, "## 4. Payload types and document kinds");
    for kind in PAYLOAD_TYPES.iter().chain([&LIFT_TYPE]) {
        assert!(types.contains(*kind), "{kind} has no row in docs/protocol.md");
    }
}

#[test]
fn the_table_of_reasons_has_every_code_and_no_other() {
    let listed = table(&protocol(), "## 15. Reason codes");
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(listed, codes);
}

/// Rust sources below a directory, without their tests.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned());
        }
    }
}

/// Texts in the bodies of functions called `code`.
fn codes_of(source: &str, found: &mut BTreeSet<String>) {
    let function = Regex::new(r"fn code\([^)]*\) -> &'static str \{").unwrap();
    let text = Regex::new(r#""([a-z]+(?:-[a-z]+)*)""#).unwrap();
    for head in function.find_iter(source) {
        let body = source[head.end()..].split("\n    }\n").next().unwrap();
        found.extend(text.captures_iter(body).map(|capture| capture[1].to_owned()));
    }
    // A controller's failures name theirs where they are made.
    let failure = Regex::new(r#"(?:StatusCode::[A-Z_]+,\s*|forbidden\(\s*)"([a-z]+(?:-[a-z]+)*)""#).unwrap();
    found.extend(failure.captures_iter(source).map(|capture| capture[1].to_owned()));
}

#[test]
fn the_table_of_errors_has_every_code_of_library_agent_and_controller() {
    let mut found = BTreeSet::new();
    for directory in ["manifests/src", "controller/src", "agent/src"] {
        let mut texts = Vec::new();
        sources(&repository().join(directory), &mut texts);
        texts.iter().for_each(|text| codes_of(text, &mut found));
    }
    for known in ["signature", "rollback", "one-unit"] {
        assert!(found.contains(known), "the test no longer finds {known}");
    }
    let listed = table(&protocol(), "## 14. Error codes");
    let missing: Vec<_> = found.difference(&listed).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    let spare: Vec<_> = listed.difference(&found).collect();
    assert!(spare.is_empty(), "a row for {spare:?}, which nothing says any more");
}
