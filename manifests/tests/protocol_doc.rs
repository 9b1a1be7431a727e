//! `docs/protocol.md` and its neighbours, kept true: examples are what today's types write, worked
//! digests and signatures are worked again, and no path, endpoint or code is missing.
//!
//! After a change of a type, `SEKISHO_WRITE_EXAMPLES=1 cargo test -p manifests --test protocol_doc`
//! writes the examples anew; the words around them are for a person to correct.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a page that cannot be read is a test that fails")]

#[path = "protocol_doc/blocks.rs"]
mod blocks;
#[path = "protocol_doc/codes.rs"]
mod codes;
#[path = "protocol_doc/examples.rs"]
mod examples;
#[path = "protocol_doc/keys.rs"]
mod keys;
#[path = "protocol_doc/pages.rs"]
mod pages;
#[path = "protocol_doc/worked.rs"]
mod worked;

use std::path::{Path, PathBuf};

/// The repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn protocol() -> String {
    page("docs/protocol.md")
}
