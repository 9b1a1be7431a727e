//! The host's two clocks, and which boot they belong to.

use std::time::SystemTime;

use manifests::gate::Clocks;
use manifests::time::Time;

/// Reads both clocks now.
pub fn now() -> Clocks {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Both are positive and far from the limits of their types.
    let boot_ms = boot.tv_sec.unsigned_abs().saturating_mul(1000) + boot.tv_nsec.unsigned_abs() / 1_000_000;
    Clocks { wall: Time::from(SystemTime::now()), boot_ms }
}

/// The kernel's boot id, a UUID in lower case.
///
/// # Errors
/// If `/proc` is not there.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
