//! Reads the TOML that release managers write: the fix baseline and the registry.
use crate::baseline::Baseline;
use crate::registry::Registry;
#[derive(Clone, Debug)]
pub struct Problem;
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("")
    }
}
pub fn baseline_bytes(_: &[u8]) -> Result<Baseline, Vec<Problem>> {
    Err(vec![])
}
pub fn registry_bytes(_: &[u8]) -> Result<Registry, Vec<Problem>> {
    Err(vec![])
}
