//! What `docs/baseline.md` claims of the formats is so.

#![expect(clippy::unwrap_used, reason = "a page that cannot be read is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/baseline.md");

#[test]
fn the_page_shows_the_files_that_are_read() {
    for sample in [include_str!("data/source/baseline.toml"), include_str!("data/source/registry.toml")] {
        assert!(PAGE.contains(&format!("```toml\n{sample}```\n")));
    }
}

#[test]
fn the_page_lists_the_codes_that_are_told_and_no_others() {
    let told = codes_of_the_reader();
    let (_, listed) = PAGE.split_once("## Codes").unwrap();
    let rows = listed.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let listed: BTreeSet<&str> =
        rows.flat_map(|codes| codes.split("`, `")).map(|code| code.trim_matches('`')).collect();
    assert_eq!(listed, told.iter().map(String::as_str).collect());
}

// Every literal of the reader that is written like a code: lower case with a hyphen.
fn codes_of_the_reader() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/authored/source");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/authored/source.rs"));
    // What else lies in a directory is looked at by the tool alone.
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/src/check.rs"));
    // Words of the formats that look like codes.
    let words = ["exclusive-lock", "euc-jp", "utf-16"];
    let mut codes: BTreeSet<String> = ["syntax", "unreadable"].map(str::to_owned).into();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        // Quotes inside of literals, and the character, would shift the count of them.
        let code = code.replace("\\\"", " ").replace("'\"'", " ");
        let literals = code.split('"').skip(1).step_by(2);
        let is_code = |literal: &&str| {
            literal.contains('-')
                && literal.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && literal.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
                && !words.contains(literal)
        };
        codes.extend(literals.filter(is_code).map(str::to_owned));
    }
    codes
}
