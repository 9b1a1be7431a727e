//! Starts an agent from what its disk holds, and runs its tasks until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use manifests::chain::chain;
use manifests::durable::DurableError;
use manifests::gate::{Damage, Event, Gate};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::acknowledge;
use crate::client::{ClientError, Controllers};
use crate::clock;
use crate::collect::Collector;
use crate::config::Config;
use crate::follow;
use crate::gate_server::{BindError, GateServer, bind_unix};
use crate::identity::Identity;
use crate::keeper::Keeper;
use crate::listen;
use crate::look::{self, Eyes};
use crate::parts::Parts;
use crate::report::{self, Begin, SEQUENCES};
use crate::restore::restore;
use crate::state::{Sent, StateDirectory, StateError, random_key};
use crate::trust::Trust;
use crate::watch::Watch;

/// How often the wall clock is stored, so that it cannot be set back unnoticed over a restart.
const FLOOR_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);

/// How long the end waits for what is still to be written.
const FLUSHED_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Why an agent cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The first root cannot be read.
    #[error("cannot read the release managers' first root")]
    Root(#[source] DurableError),
    /// The state directory cannot be used at all.
    #[error("cannot use the state directory")]
    State(#[source] StateError),
    /// The way to controllers cannot be prepared.
    #[error("cannot prepare the way to the controllers")]
    Client(#[source] ClientError),
    /// The gate's addresses cannot be taken.
    #[error("cannot open the gate")]
    Bind(#[source] BindError),
    /// A task ended that runs as long as the agent does; the log says why.
    #[error("a task of the agent ended: it must be started again")]
    TaskEnded,
    /// The system gives not what an agent needs: `/proc`, its own file, a thread.
    #[error("cannot have {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// The addresses an agent answers on.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Of the loopback listener.
    pub http: std::net::SocketAddr,
    /// Of the Unix socket.
    pub socket: std::path::PathBuf,
}

/// Runs an agent until `shutdown`. `on_ready` is told the addresses as soon as the gate answers,
/// which is before anything is known: it holds until then.
///
/// # Errors
/// [`StartError`] before the gate answers; afterwards only [`StartError::TaskEnded`].
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    on_ready: impl FnOnce(&Addresses),
) -> Result<(), StartError> {
    let trust = Trust::of(&config).map_err(StartError::Root)?;
    let state = StateDirectory::open(&config.state, &config.socket).map_err(StartError::State)?;
    state.check_key_modes().map_err(StartError::State)?;
    let client = Controllers::new(config.controllers.clone(), &config.ca).map_err(StartError::Client)?;
    let system = |source| StartError::System { what: "the boot id or the agent's own file", source };
    let identity = Identity::new(&config).map_err(system)?;

    let mut damaged = Vec::new();
    let floor = or_damaged(state.floor(), &mut damaged).unwrap_or_else(|| state.floor_in_room());
    let sent = or_damaged(state.sent(), &mut damaged).unwrap_or_else(|| state.sent_in_room());
    let key = or_damaged(state.host_key(), &mut damaged).flatten();
    let client = client.naming(key.as_ref().map(|key| key.public().id()));
    let sealing_key = match or_damaged(state.sealing_key(), &mut damaged).flatten() {
        Some(key) => key,
        // Without it on disk values show as changed after a restart, which is no reason to show nothing now.
        None => state.make_sealing_key().or_else(|error| {
            warn!("the key that seals values is not kept: {}", chain(&error));
            random_key().map_err(StartError::State)
        })?,
    };
    let mut collector = Collector::new(sealing_key, config.prefix.clone());
    if let Some(kept) = or_damaged(state.processes(), &mut damaged).flatten()
        && let Err(why) = collector.recall(&kept, &identity.boot_id, |digest| state.loaded_list(digest))
    {
        damaged.push(format!("what was known of running processes in {}: {why}", config.state.display()));
    }
    let mut gate = Gate::new(config.product.clone(), config.host.clone(), clock::now(), floor);
    if let Some(key) = &key {
        gate.set_key(key.public().id());
    }

    let watch = Watch::new().map_err(|error| warn!("file events cannot be had: {}", chain(&error))).ok();
    let pending = watch.as_ref().map(Watch::pending);
    let keeper = Arc::new(Keeper::new(gate, pending.clone()));
    let no_thread = |source| StartError::System { what: "a thread that writes", source };
    let parts = Parts::new(config, state, Arc::clone(&keeper), client, trust, key, identity).map_err(no_thread)?;

    // Before the first question: what was stored, each thing verified as if it had just arrived.
    damaged.extend(parts.state.missing());
    let sent = Sent { permit: take_up(&parts, sent, &mut damaged), ..sent };
    let taken = sent.sequence.saturating_add(SEQUENCES);
    let (on_disk, resumed) = (parts.state.named_permit(), parts.state.are_notes_lost());
    let room = parts.writer.room(Sent { sequence: taken, ..sent }).await;
    parts.kept_permit.store(if room.is_ok() { sent.permit } else { on_disk }, Ordering::Relaxed);
    if let Err(error) = room {
        // What is to be known after the next start has no place: until a controller was heard nobody can say
        // what has been forgotten.
        damaged.push(format!("{} cannot be written: {}", parts.config.state.display(), chain(&error)));
    }
    for what in damaged {
        warn!("{what}");
        parts.step(Event::Damaged(Damage::Notes, what));
    }

    let (http, unix) = bind(&parts.config).await.map_err(StartError::Bind)?;
    let addresses = Addresses {
        http: http.local_addr().map_err(|source| StartError::System { what: "the gate's address", source })?,
        socket: parts.config.socket.clone(),
    };
    let status = {
        let parts = Arc::clone(&parts);
        move || parts.status()
    };
    let server = GateServer::new(keeper, status);
    on_ready(&addresses);

    let eyes = Eyes::new(collector, watch);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(Arc::clone(&server).serve_tcp(http));
    tasks.spawn(server.serve_unix(unix));
    tasks.spawn(look::run(Arc::clone(&parts), eyes, pending, shutdown.clone()));
    tasks.spawn(follow::run(Arc::clone(&parts), shutdown.clone()));
    tasks.spawn(report::run(Arc::clone(&parts), Begin { sequence: sent.sequence, taken, resumed }, shutdown.clone()));
    tasks.spawn(listen::run(Arc::clone(&parts), shutdown.clone()));
    tasks.spawn(acknowledge::run(Arc::clone(&parts), shutdown.clone()));
    tasks.spawn(store_floor(Arc::clone(&parts), shutdown.clone()));
    let ended = tokio::select! {
        () = shutdown.cancelled() => false,
        // Half an agent is worse than none: it would answer and no longer look.
        _ = tasks.join_next() => !shutdown.is_cancelled(),
    };
    if ended {
        parts.step(Event::Changed);
        error!("a task of the agent ended");
    }
    // A stop that has just come is to be known after the next start.
    parts.writer.flush(FLUSHED_WITHIN).await;
    let _ = std::fs::remove_file(&parts.config.socket);
    if ended {
        return Err(StartError::TaskEnded);
    }
    info!("stopped");
    Ok(())
}

async fn bind(config: &Config) -> Result<(TcpListener, tokio::net::UnixListener), BindError> {
    let io = |source| BindError::Io { address: config.listen.to_string(), source };
    let http = TcpListener::bind(config.listen).await.map_err(io)?;
    Ok((http, bind_unix(&config.socket).await?))
}

fn or_damaged<T>(read: Result<T, StateError>, damaged: &mut Vec<String>) -> Option<T> {
    read.map_err(|error| damaged.push(chain(&error))).ok()
}

/// Takes up what was stored; the highest number of a permit that may have been named.
fn take_up(parts: &Arc<Parts>, sent: Sent, damaged: &mut Vec<String>) -> u64 {
    // The sets first: they have the times and keys by which permits and stops are judged.
    match parts.trust.active() {
        Ok(Some(set)) => parts.set_in_use(set),
        Ok(None) => {}
        Err(error) => damaged.push(format!("{}: {}", parts.config.state.join("active").display(), chain(&error))),
    }
    let in_use = parts.shared().newest.clone();
    match parts.trust.newest(in_use.as_ref().map(|set| &set.registry)) {
        Ok(Some(set)) if parts.is_news(&set) => parts.set_verified(set),
        Ok(_) => {}
        // It was refused when it came, and is not in use.
        Err(error) if error.is_refusal() => parts.refused("the newest signed set is refused", &error),
        Err(error) => {
            let what = format!("{}: {}", parts.config.state.join("trust").display(), chain(&error));
            warn!("{what}");
            parts.step(Event::Damaged(Damage::Trust, what));
        }
    }
    let keys = parts.permit_keys();
    let restored = parts
        .keeper
        .restore(|gate| restore(gate, &parts.state, sent, &keys, &parts.identity.boot_id, clock::now()))
        .unwrap_or_default();
    damaged.extend(restored.damaged.iter().map(|error| chain(error)));
    if let Some(error) = restored.permit_refused {
        parts.trouble("the stored permit is refused", &error);
    }
    if let Some(held) = parts.keeper.read(|gate| gate.permit().cloned()).flatten() {
        parts.keep_newest(&held.permit);
    }
    let enrolment = match parts.state.enrolment() {
        Ok(enrolment) => enrolment,
        Err(error) => {
            // The next receipt brings it again: nothing is decided by it here.
            parts.trouble("the word for this host's key cannot be read", &error);
            None
        }
    };
    let mut shared = parts.shared();
    shared.enrolment = enrolment;
    shared.stops = restored.stops.into_iter().map(|held| (held.stop.digest(), held)).collect();
    // What is in the runtime directory alone is tried again, and acknowledged then.
    (shared.unacknowledged, shared.unstored) = (restored.unacknowledged, restored.unstored);
    restored.permit
}

async fn store_floor(parts: Arc<Parts>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(FLOOR_INTERVAL) => {}
        }
        parts.writer.floor();
    }
}
