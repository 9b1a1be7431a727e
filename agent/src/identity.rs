//! Who speaks: what every document of this host says of itself.

use std::io::{self, Read};

use manifests::digest::{Digest, Hasher};
use manifests::evidence::{Agent, Cover};
use manifests::gate::Clocks;
use manifests::id::{HostId, ProductId};
use manifests::time::Time;

use crate::clock;
use crate::config::Config;

/// Product, host, boot and agent.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The product.
    pub product: ProductId,
    /// The host.
    pub host: HostId,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The agent's version and the digest of its executable.
    pub agent: Agent,
}

impl Identity {
    /// Reads what the configuration does not say.
    ///
    /// # Errors
    /// If `/proc` or the agent's own file cannot be read.
    pub fn new(config: &Config) -> io::Result<Self> {
        let version = env!("CARGO_PKG_VERSION").parse().map_err(io::Error::other)?;
        Ok(Self {
            product: config.product.clone(),
            host: config.host.clone(),
            boot_id: clock::boot_id()?,
            agent: Agent { version, digest: digest_of_own_file()? },
        })
    }

    /// A cover without sequence, for what was seen under `baseline` in a pass that began at `pass_started`.
    pub fn cover(&self, now: Clocks, pass_started: Time, baseline: Digest) -> Cover {
        Cover {
            product: self.product.clone(),
            host: self.host.clone(),
            sequence: 0,
            resumed: false,
            boot_id: self.boot_id.clone(),
            wall: now.wall,
            boot_ms: now.boot_ms,
            pass_started,
            agent: self.agent.clone(),
            baseline,
            permit: 0,
            stops: Vec::new(),
            enrolment: None,
            checkpoint: None,
            configs: Default::default(),
            lists: Vec::new(),
        }
    }
}

fn digest_of_own_file() -> io::Result<Digest> {
    let mut file = std::fs::File::open("/proc/self/exe")?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            Some([]) | None => return Ok(hasher.finish()),
            Some(bytes) => hasher.update(bytes),
        }
    }
}
