//! What this host would send next, for a person who wants to see it before it leaves.

use std::io;

use manifests::durable::DurableError;
use manifests::evidence::Evidence;
use manifests::gate::{self, Event, Gate};

use crate::clock;
use crate::collect::{Collector, Limits};
use crate::config::Config;
use crate::identity::Identity;
use crate::parts::Seen;
use crate::restore::restore;
use crate::state::{Sent, StateDirectory, StateError};
use crate::trust::{Trust, TrustError};

/// How often what is kept of processes is read again, if it does not hang together.
const RECALL_TRIES: usize = 5;

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DryRunError {
    /// The first root cannot be read.
    #[error("cannot read the first root")]
    Root(#[source] DurableError),
    /// The signed set cannot be used.
    #[error("cannot use the signed set")]
    Trust(#[source] TrustError),
    /// There is no signed set yet.
    #[error("no baseline verified yet: run the agent, or check the way to its controllers")]
    NoBaseline,
    /// A file of the state directory cannot be used.
    #[error("cannot use the state directory")]
    State(#[source] StateError),
    /// What is kept of running processes is damaged.
    #[error("cannot use what is kept of running processes: {0}; a running agent writes it anew with its next look")]
    Processes(String),
    /// `/proc` or the agent's own file cannot be read.
    #[error("cannot read the boot id or the agent's own file")]
    System(#[source] io::Error),
}

/// Looks once under the newest verified set: the payload of the next evidence, with the first sequence that
/// no document before can have had. Reads the state directory, beside a running agent if there is
/// one, and changes nothing.
///
/// # Errors
/// [`DryRunError`].
pub fn evidence(config: &Config) -> Result<Evidence, DryRunError> {
    let trust = Trust::of(config).map_err(DryRunError::Root)?;
    let state = StateDirectory::read_only(&config.state, &config.socket);
    let identity = Identity::new(config).map_err(DryRunError::System)?;
    let sent = state.sent().map_err(DryRunError::State)?;
    // Without a key of its own nothing was ever sealed: any will do to show the form.
    let sealing_key = state.sealing_key().map_err(DryRunError::State)?.unwrap_or_default();

    let now = clock::now();
    let mut gate = Gate::new(config.product.clone(), config.host.clone(), now, now.wall);
    let in_use = trust.active().map_err(DryRunError::Trust)?;
    let newest = trust.newest(in_use.as_ref().map(|set| &set.registry)).map_err(DryRunError::Trust)?;
    let mut keys = Vec::new();
    for set in in_use.iter().chain(&newest) {
        let event = Event::SetVerified { set: gate::Set::from(&**set), lifts: set.lifts.clone() };
        let _ = gate.step(event, now); // What follows is for an agent to carry out.
        keys.extend(set.registry.permit_keys().cloned());
    }
    let set = newest.ok_or(DryRunError::NoBaseline)?;
    let restored = restore(&mut gate, &state, sent, &keys, &identity.boot_id, now);
    if let Some(error) = restored.damaged.into_iter().next() {
        return Err(DryRunError::State(error));
    }

    let host = set.registry.entry(&config.host, now.wall).map(|entry| entry.host.clone());
    let mut collector = Collector::new(sealing_key, config.prefix.clone());
    // What a running agent has seen of the programs' processes: without it everything that changed is unknown.
    recall(&mut collector, &state, &identity.boot_id)?;
    let pass = collector.pass(set.reference.baseline(), host.as_ref(), &Limits::default(), &|| {});
    let seen = Seen::new(pass.state, pass.configs, pass.lists, now);
    let next = Sent { sequence: sent.sequence.saturating_add(1), permit: gate.permit_number() };
    let cover = seen.cover(&identity, set.reference.digest(), next, gate.newest_stops(), now);
    Ok(Evidence { cover, state: seen.state })
}

/// A running agent may write anew while this is read, and lists go that nothing names any more.
fn recall(collector: &mut Collector, state: &StateDirectory, boot_id: &str) -> Result<(), DryRunError> {
    let mut tries = 0;
    loop {
        let Some(kept) = state.processes().map_err(DryRunError::State)? else { return Ok(()) };
        match collector.recall(&kept, boot_id, |digest| state.loaded_list(digest)) {
            Ok(()) => return Ok(()),
            Err(_) if tries < RECALL_TRIES => tries += 1,
            Err(why) => return Err(DryRunError::Processes(why)),
        }
    }
}
