//! The other pages: what they name exists.

use regex::Regex;

use super::{page, repository};

const PAGES: [&str; 7] = [
    "README.md",
    "docs/architecture.md",
    "docs/protocol.md",
    "docs/guarantees.md",
    "docs/first-steps.md",
    "docs/decisions/README.md",
    "docs/readers.md",
];

/// Code spans outside of fenced blocks that mean a path of the repository: they have a slash and begin
/// with one of its top directories.
fn paths(page: &str) -> Vec<String> {
    let prose: String = page.split("\n```").step_by(2).collect();
    let span = Regex::new("`([A-Za-z0-9._/-]+)`").unwrap();
    let tops = ["manifests/", "agent/", "controller/", "tui/", "tests/", "docs/", ".ci/"];
    let spans = span.captures_iter(&prose).map(|capture| capture[1].to_owned());
    spans.filter(|span| tops.iter().any(|top| span.starts_with(top))).collect()
}

#[test]
fn pages_name_no_path_that_does_not_exist() {
    for name in PAGES {
        let paths = paths(&page(name));
        // The first page leads to the others by links alone.
        assert!(
            ["README.md", "docs/readers.md"].contains(&name) || !paths.is_empty(),
            "{name} names no path: the test no longer sees them"
        );
        for path in paths {
            assert!(repository().join(&path).exists(), "{name} names {path}");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#]+)").unwrap();
    for name in PAGES {
        let directory = repository().join(name).parent().unwrap().to_owned();
        for target in link.captures_iter(&page(name)).map(|capture| capture[1].to_owned()) {
            assert!(target.contains("://") || directory.join(&target).exists(), "{name} links to {target}");
        }
    }
}

#[test]
fn the_map_has_every_source_file() {
    let map = page("docs/architecture.md");
    for package in
        ["manifests/src", "manifests/client/src", "manifests/cli/src", "agent/src", "controller/src", "tui/src"]
    {
        let count = modules_on_the_map(&map, package);
        assert!(count > 0 || map.contains("not yet"), "{package}");
    }
}

// Counts the modules of a folder and requires each on the map. A group of modules is there by the
// path of its folder, and then so is each module in it.
fn modules_on_the_map(map: &str, folder: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".rs").filter(|stem| !["lib", "main"].contains(stem)) else { continue };
        let group = format!("{folder}/{stem}");
        if map.contains(&format!(": `{group}/`.")) {
            count += modules_on_the_map(map, &group);
        } else {
            count += 1;
            assert!(map.contains(&format!("`{stem}`")), "docs/architecture.md lacks {folder}/{name}");
        }
    }
    count
}

#[test]
fn every_decision_is_in_the_index() {
    let index = page("docs/decisions/README.md");
    for entry in std::fs::read_dir(repository().join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "{name} is not in the index");
    }
}
