//! Who names which library: the edge knows the core, never the reverse.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Modules below `src` that name the library.
fn who_names(library: &str) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    files.retain(|file| std::fs::read_to_string(file).unwrap().contains(library));
    let module = |file: PathBuf| {
        let first = file.strip_prefix(&source).unwrap().components().next().unwrap().as_os_str().to_owned();
        first.into_string().unwrap().trim_end_matches(".rs").to_owned()
    };
    let mut modules: Vec<String> = files.into_iter().map(module).collect();
    modules.sort();
    modules.dedup();
    modules
}

#[test]
fn only_the_store_names_the_database() {
    assert_eq!(who_names("sqlx"), ["store"]);
}

#[test]
fn only_the_edge_names_http() {
    assert_eq!(who_names("axum"), ["auth", "body", "error", "handlers", "router", "server"]);
}
