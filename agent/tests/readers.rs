//! Each reader against the implementation whose rules it follows, on documents at random.
//!
//! A comparison whose implementation is not installed is skipped, and says so. The seed stands in each failure:
//! `SEKISHO_TEST_SEED=… cargo test -p agent --test readers` makes the same documents, and `SEKISHO_TEST_SEED=$RANDOM`
//! others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "readers/generate.rs"]
mod generate;
#[path = "readers/ini.rs"]
mod ini;
#[path = "readers/lines.rs"]
mod lines;
#[path = "readers/oracle.rs"]
mod oracle;
#[path = "readers/trees.rs"]
mod trees;

use agent::collect::Said;
use manifests::baseline::{Format, Reader};
use manifests::evidence::Why;

/// What the agent's reader says of a document.
fn said(document: &str, format: Format, reader: Reader) -> Result<Said, Why> {
    Said::of(document.as_bytes(), format, reader, None)
}

/// How many documents of a comparison: enough to find a rule that was missed, by default.
fn count(usual: usize) -> usize {
    std::env::var("SEKISHO_TEST_DOCUMENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}
