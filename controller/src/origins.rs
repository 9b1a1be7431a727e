//! Where each host's documents come from, so that the log can name both machines where two seem to use one key.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use manifests::id::HostId;
use tracing::warn;

/// The newest origin of each host since the start.
#[derive(Debug, Default)]
pub struct Origins(Mutex<HashMap<HostId, Origin>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    boot_id: String,
    address: Option<IpAddr>,
    is_told: bool,
}

impl Origins {
    /// Notes where an accepted document came from. Of a host whose key seems to be used twice, the first change from
    /// one machine to the other is told in the log; what holds the host is its record.
    pub fn heard(&self, host: &HostId, boot_id: &str, address: Option<IpAddr>, is_suspected: bool) {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = origins.get(host);
        let differs = before.is_some_and(|before| before.boot_id != boot_id || before.address != address);
        let mut is_told = is_suspected && before.is_some_and(|before| before.is_told);
        if let Some(before) = before.filter(|_| is_suspected && differs && !is_told) {
            let shown =
                |address: Option<IpAddr>| address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
            warn!(
                %host,
                boot_id,
                address = %shown(address),
                other_boot_id = before.boot_id,
                other_address = %shown(before.address),
                "two machines seem to use this host's key; both hold until it has a new one: token host --replace"
            );
            is_told = true;
        }
        if differs || before.is_none_or(|before| before.is_told != is_told) {
            origins.insert(host.clone(), Origin { boot_id: boot_id.to_owned(), address, is_told });
        }
    }
}
