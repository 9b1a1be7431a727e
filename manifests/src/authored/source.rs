//! Reads the TOML that release managers write: the fix baseline and the registry.
//!
//! A file gives either its checked type or every [`Problem`] it has, each with line and column and
//! each once: a mistake in one item does not make a mistake of whatever names that item.
//! `docs/baseline.md` is the reference of both formats.

mod baseline;
mod condition;
mod cross;
mod item;
mod names;
mod near;
mod problem;
mod program;
mod reader;
mod registry;
mod required;
mod setting;
mod sheet;
mod text;

pub use cross::cross_check;
pub use problem::Problem;
pub use sheet::Places;

use crate::baseline::Baseline;
use crate::registry::Registry;
use sheet::Sheet;

/// The largest `baseline.toml` or `registry.toml`, in bytes.
pub const SOURCE_BYTES_MAX: usize = 8 << 20; // 8 MiB
/// The most hosts of a registry.
pub const HOSTS_MAX: usize = 100_000;
/// The most sites of a registry.
pub const SITES_MAX: usize = 10_000;
/// The most signers of a registry.
pub const SIGNERS_MAX: usize = 64;
/// The most controllers of a registry.
pub const CONTROLLERS_MAX: usize = 32;
/// The most entries of any list of a baseline that has no limit of its own.
pub const LIST_MAX: usize = 10_000;
/// The most globs under one `exclude`.
pub(crate) const GLOBS_MAX: usize = 1000;
/// The most roles of a host, or of what concerns hosts by role.
pub(crate) const ROLES_MAX: usize = 64;
/// The most values that a fact may have.
pub(crate) const FACT_VALUES_MAX: usize = 1000;
/// The most problems told of one file.
pub const PROBLEMS_MAX: usize = 1000;
/// The most dots in one line of a file.
pub const KEY_DOTS_MAX: usize = 500;

/// Reads a fix baseline.
///
/// # Errors
/// Every problem of the file, in file order; at most [`PROBLEMS_MAX`].
pub fn baseline(text: &str) -> Result<Baseline, Vec<Problem>> {
    baseline_with_places(text).map(|(baseline, _)| baseline)
}

/// Reads a fix baseline, and keeps where in the file stands what [`cross_check`] compares.
///
/// # Errors
/// As [`baseline`].
pub fn baseline_with_places(text: &str) -> Result<(Baseline, Places), Vec<Problem>> {
    check_size(text.len())?;
    let (sheet, root) = Sheet::parse(text);
    let value = baseline::document(&sheet, &root);
    sheet.finish(value)
}

/// The agent version that a baseline asks for, also of one that [`baseline`] refuses.
///
/// A baseline of a later schema, or with keys of a later program, is no mistake of its writer: an
/// agent older than this answers `agent-too-old`.
pub fn min_agent(bytes: &[u8]) -> Option<semver::Version> {
    check_size(bytes.len()).ok()?;
    let (_, root) = Sheet::parse(std::str::from_utf8(bytes).ok()?);
    root.get("min_agent")?.get_ref().as_str()?.parse().ok()
}

/// The schema that a baseline or registry says it is of, also of one that is refused.
///
/// One above the newest that this program reads is no mistake of its writer, either.
pub fn schema(bytes: &[u8]) -> Option<i64> {
    check_size(bytes.len()).ok()?;
    let (_, root) = Sheet::parse(std::str::from_utf8(bytes).ok()?);
    let number = root.get("schema")?.get_ref().as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Reads a registry.
///
/// # Errors
/// Every problem of the file, in file order; at most [`PROBLEMS_MAX`].
pub fn registry(text: &str) -> Result<Registry, Vec<Problem>> {
    check_size(text.len())?;
    let (sheet, root) = Sheet::parse(text);
    let value = registry::document(&sheet, &root);
    sheet.finish(value).map(|(registry, _)| registry)
}

/// [`baseline`] from a file's bytes.
///
/// # Errors
/// As [`baseline`], and `not-utf8`.
pub fn baseline_from_bytes(bytes: &[u8]) -> Result<Baseline, Vec<Problem>> {
    check_size(bytes.len())?;
    baseline(utf8(bytes)?)
}

/// [`registry`] from a file's bytes.
///
/// # Errors
/// As [`registry`], and `not-utf8`.
pub fn registry_from_bytes(bytes: &[u8]) -> Result<Registry, Vec<Problem>> {
    check_size(bytes.len())?;
    registry(utf8(bytes)?)
}

fn check_size(bytes: usize) -> Result<(), Vec<Problem>> {
    if bytes <= SOURCE_BYTES_MAX {
        return Ok(());
    }
    let message = format!("{bytes} bytes, at most {SOURCE_BYTES_MAX} are allowed");
    Err(vec![Problem { line: 1, column: 1, code: "too-large", message, hint: None, key: String::new() }])
}

/// The text of a file.
///
/// # Errors
/// `not-utf8`, at the first byte that is none.
pub fn utf8(bytes: &[u8]) -> Result<&str, Vec<Problem>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default()).into_owned();
        let valid = valid.trim_start_matches(sheet::BYTE_ORDER_MARK);
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
        vec![Problem {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            code: "not-utf8",
            message: "the file is not UTF-8 from here on".to_owned(),
            hint: Some("save it as UTF-8".to_owned()),
            key: String::new(),
        }]
    })
}
