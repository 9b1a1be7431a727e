//! Reads the TOML that release managers write: the fix baseline and the registry.
