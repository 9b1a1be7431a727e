//! Starts an agent from what its disk holds, and runs its tasks until it is told to stop.

use std::sync::Arc;

use manifests::durable::{self, DurableError};
use manifests::gate::{Damage, Event, Gate};
use manifests::time::Time;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::client::{Client, ClientError, chain};
use crate::clock;
use crate::collect::Collector;
use crate::config::Config;
use crate::follow::{self, gate_set};
use crate::gate_server::{BindError, GateServer, bind_unix};
use crate::identity::Identity;
use crate::keeper::Keeper;
use crate::look::{self, Eyes};
use crate::parts::Parts;
use crate::report;
use crate::state::{StateDirectory, StateError};
use crate::trust::{Trust, TrustedSet};
use crate::watch::Watch;

/// The largest first root read, in bytes.
const ROOT_BYTES_MAX: u64 = 1 << 20;
/// How often the wall clock is stored, so that it cannot be set back unnoticed over a restart.
const FLOOR_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);

/// Why an agent cannot start.
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
    /// `/proc` or the agent's own file cannot be read.
    #[error("cannot read {what}")]
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
/// [`StartError`] before the gate answers; nothing ends it afterwards but `shutdown`.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    on_ready: impl FnOnce(&Addresses),
) -> Result<(), StartError> {
    let root = durable::read_limited(&config.root, ROOT_BYTES_MAX).map_err(StartError::Root)?;
    let state = StateDirectory::open(&config.state).map_err(StartError::State)?;
    let client = Client::new(config.controllers.clone(), &config.ca).map_err(StartError::Client)?;
    let system = |source| StartError::System { what: "the boot id or the agent's own file", source };
    let identity = Identity::new(&config).map_err(system)?;
    let trust = Trust::new(root, state.path(), config.product.clone());

    let mut damaged = Vec::new();
    let floor = or_damaged(state.floor(), &mut damaged).unwrap_or(Time::MIN);
    let sequence = or_damaged(state.sequence(), &mut damaged).unwrap_or(0);
    let key = or_damaged(state.host_key(), &mut damaged).flatten();
    let sealing_key = match or_damaged(state.sealing_key(), &mut damaged) {
        Some(key) => key,
        // Values sealed with a key that somebody can guess would leave the host: another one until then.
        None => StateDirectory::random_key().map_err(StartError::State)?,
    };
    let gate = Gate::new(config.product.clone(), config.host.clone(), clock::now(), floor);

    let watch = Watch::new().map_err(|error| warn!("file events cannot be had: {}", chain(&error))).ok();
    let pending = watch.as_ref().map(Watch::pending);
    let keeper = Arc::new(Keeper::new(gate, pending.clone()));
    let parts = Parts::new(config, state, Arc::clone(&keeper), client, trust, key, identity);
    let parts = Arc::new(parts);

    // Before the first question: what was stored, each thing verified as if it had just arrived.
    restore(&parts, sequence, &mut damaged);
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

    let collector = Collector::new(sealing_key, parts.config.prefix.clone());
    let eyes = Eyes::new(collector, watch);
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(Arc::clone(&server).serve_tcp(http));
    tasks.spawn(server.serve_unix(unix));
    tasks.spawn(look::run(Arc::clone(&parts), eyes, pending, shutdown.clone()));
    tasks.spawn(follow::run(Arc::clone(&parts), shutdown.clone()));
    tasks.spawn(report::run(Arc::clone(&parts), sequence, shutdown.clone()));
    tasks.spawn(report::listen(Arc::clone(&parts), shutdown.clone()));
    tasks.spawn(report::acknowledge(Arc::clone(&parts), shutdown.clone()));
    tasks.spawn(store_floor(Arc::clone(&parts), shutdown.clone()));
    shutdown.cancelled().await;
    let _ = std::fs::remove_file(&parts.config.socket);
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

fn restore(parts: &Arc<Parts>, sequence: u64, damaged: &mut Vec<String>) {
    // The set first: it has the times and keys by which permits and stops are judged.
    match parts.trust.active() {
        Ok(Some(set)) => parts.set_verified(set),
        Ok(None) => {}
        Err(error) => damaged.push(format!("{}: {}", parts.config.state.join("active").display(), chain(&error))),
    }
    match parts.trust.newest() {
        Ok(Some(set)) if is_news(parts, &set) => parts.set_verified(set),
        Ok(_) => {}
        Err(error) => {
            let what = format!("{}: {}", parts.config.state.join("trust").display(), chain(&error));
            warn!("{what}");
            parts.step(Event::Damaged(Damage::Trust, what));
        }
    }
    match parts.state.stops() {
        Ok(kept) => {
            damaged.extend(kept.damaged.iter().map(|error| chain(error)));
            for kept in kept.stops {
                parts.keeper.restore(|gate| gate.restore_stop(&kept.stop));
                if !kept.acknowledged {
                    parts.shared().unacknowledged.push(kept);
                }
            }
        }
        Err(error) => damaged.push(chain(&error)),
    }
    match parts.state.permit() {
        Ok(None) => {}
        Ok(Some(stored)) => {
            let (received, same_boot) = stored.received(&parts.identity.boot_id);
            match stored.into_permit().verify(&parts.permit_keys()) {
                Ok(permit) => parts
                    .keeper
                    .restore(|gate| gate.restore_permit(permit, received, same_boot, sequence, clock::now())),
                Err(error) => {
                    parts.trouble("the stored permit is refused", &error);
                    parts.step(Event::PermitUnverified);
                }
            }
        }
        Err(error) => damaged.push(chain(&error)),
    }
}

fn is_news(parts: &Parts, set: &TrustedSet) -> bool {
    parts
        .shared()
        .active
        .as_ref()
        .is_none_or(|active| gate_set(active) != gate_set(set) || active.set.lifts != set.set.lifts)
}

async fn store_floor(parts: Arc<Parts>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(FLOOR_INTERVAL) => {}
        }
        let Some(floor) = parts.keeper.read(Gate::floor) else { return };
        if let Err(error) = parts.state.store_floor(floor) {
            parts.trouble("the time cannot be stored", &error);
        }
    }
}
