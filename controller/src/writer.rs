//! The one writer: many requests, one transaction, answers after the commit.
//!
//! Requests wait in a bounded queue ([`crate::queue`]). Each batch is applied to the fleet
//! and to one transaction; when it is on disk everybody is answered and told. If it cannot be
//! written, nobody is, and the fleet is read from the store again.

mod apply;

pub(crate) use apply::{STOPS_MAX, has_made_enough};

use std::sync::Arc;
use std::time::Duration;

use manifests::api::HostEvent;
use manifests::envelope::Sealed;
use manifests::fleet::Change;
use manifests::permit::Permit;
use manifests::stop::Stop;
use tokio::time::Instant;

use crate::app::{App, ServedStop};
use crate::chain::chain;
use crate::queue::{Queue, Reply, WriteError, WriterCommand};
use crate::reserve::Reserve;
use crate::store::{Connection, StoreError, Transaction};
use crate::streams::StreamEvent;
use crate::{clock, load};

/// Requests written in one transaction at most.
const BATCH_MAX: usize = 512;
/// How often the clock is looked at for hosts that fell silent.
const TICK: Duration = Duration::from_millis(200);
/// How long nothing is tried on a full disk, and how often it is said.
const FULL_WAIT: Duration = Duration::from_millis(100);
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// How often states and lists that nobody names are dropped, and when for the first time.
const COLLECTION: Duration = Duration::from_secs(3600);
const FIRST_COLLECTION: Duration = Duration::from_secs(300);

/// What is told when a batch is on disk.
type Told = Box<dyn FnOnce(&App) + Send>;

/// Sends the answer `result` once the batch is on disk; a request that is refused is answered then
/// too, so that answers keep their order.
fn answer<T: Send + 'static>(reply: Reply<T>, result: Result<T, WriteError>) -> Told {
    Box::new(move |_| {
        // Whoever asked may have gone.
        let _ = reply.send(result);
    })
}

/// Writes until the controller stops. Returns the connection, to be closed when nobody reads any more.
///
/// # Errors
/// If the disk failed: the process must end, and start again from what is on it.
pub(crate) async fn run(app: Arc<App>, mut connection: Connection, mut queue: Queue) -> Result<Connection, StoreError> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut collections = tokio::time::interval_at(Instant::now() + FIRST_COLLECTION, COLLECTION);
    collections.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reserve = Reserve::new(app.store.directory());
    let mut told_full = None;
    let mut intact = true;
    loop {
        let first = tokio::select! {
            biased;
            () = app.shutdown.cancelled() => return Ok(connection),
            _ = ticks.tick() => {
                if app.fleet().wake().is_none_or(|wake| wake > clock::now()) {
                    continue;
                }
                WriterCommand::Tick
            }
            _ = collections.tick() => WriterCommand::Collect,
            command = queue.first() => command,
        };
        if let WriterCommand::Stop { .. } = first {
            reserve.give_up_for_a_stop();
        } else if !reserve.take() {
            // What was given up for a stop comes first; dropped replies are 503.
            if told_full.is_none_or(|told: Instant| told.elapsed() > TELL_AGAIN) {
                told_full = Some(Instant::now());
                tracing::error!("the disk is full: only stops are written");
            }
            tokio::time::sleep(FULL_WAIT).await;
            continue;
        }
        if !intact {
            match reload(&app, &mut connection).await {
                Ok(()) => intact = true,
                Err(error) if error.is_disk_failure() => return Err(error),
                Err(error) => {
                    tracing::error!(error = chain(&error), "the store cannot be read again");
                    continue; // Dropped replies are 503.
                }
            }
        }
        if let Err(error) = write(&app, &mut connection, first, &mut queue).await {
            tracing::error!(error = chain(&error), "a batch could not be written");
            if error.is_disk_failure() {
                return Err(error);
            }
            intact = false;
        }
    }
}

/// Writes `first` and what waits behind it in one transaction. What an operator waits for is written by
/// itself, and comes before the rest of a batch that has begun.
async fn write(
    app: &Arc<App>,
    connection: &mut Connection,
    first: WriterCommand,
    queue: &mut Queue,
) -> Result<(), StoreError> {
    // Dropped without a commit it is rolled back, and so are the replies: 503.
    let mut transaction = connection.begin().await?;
    let mut change = Change::default();
    let mut told = Vec::new();
    let operators = first.is_operators();
    let mut next = Some(first);
    while let Some(command) = next {
        told.push(apply::apply(app, &mut transaction, command, &mut change).await?);
        next = match operators {
            _ if told.len() >= BATCH_MAX => None,
            true => queue.next_of_operators(),
            false if queue.has_operators() => None,
            false => queue.next(),
        };
    }
    save(app, &mut transaction, &change).await?;
    if let Err(error) = transaction.commit().await {
        if error.is_disk_failure() {
            // The commit may be on the disk and may not: 503 would say that it never will be. The process
            // ends and what the disk has counts; whoever waits learns of neither until the connection ends.
            std::mem::forget(told);
        }
        return Err(error);
    }
    // A stop goes out before the permits that follow from it.
    for tell in told {
        tell(app);
    }
    tell(app, change);
    Ok(())
}

async fn save(app: &App, transaction: &mut Transaction<'_>, change: &Change) -> Result<(), StoreError> {
    for id in &change.hosts {
        let host = app.fleet().host(id).cloned();
        if let Some(host) = host {
            transaction.save_host(id, &host).await?;
        }
    }
    for code in &change.sites {
        let site = app.fleet().site(code).cloned();
        if let Some(site) = site {
            transaction.save_site(code, &site).await?;
        }
    }
    for event in &change.events {
        transaction.event(event).await?;
    }
    Ok(())
}

fn tell(app: &Arc<App>, change: Change) {
    let permits: Vec<Permit> = change.permits.into_iter().filter(|permit| app.streams.is_open(&permit.host)).collect();
    if !permits.is_empty() {
        // Signing for a whole fleet takes a moment, in which others are to be answered.
        let app = Arc::clone(app);
        tokio::task::spawn_blocking(move || push(&app, &permits));
    }
    for event in change.events {
        tracing::info!(
            kind = event.kind.as_str(),
            site = event.site.as_ref().map(tracing::field::display),
            host = event.host.as_ref().map(tracing::field::display),
            note = event.note,
            "event"
        );
        // Nobody may be listening.
        let _ = app.events.send(Arc::new(event));
    }
}

fn push(app: &App, permits: &[Permit]) {
    for permit in permits {
        match app.seal(permit) {
            Ok(sealed) => app.streams.push(&permit.host, StreamEvent::new(&HostEvent::Permit(sealed))),
            Err(error) => tracing::error!(host = %permit.host, error = chain(&error), "a permit cannot be signed"),
        }
    }
}

/// Pushes a stop to everybody: hosts keep all chains, whole.
fn push_stop(app: &App, stop: Sealed<Stop>) {
    let stop = ServedStop::from(stop);
    app.streams.push_all(&stop.event);
    app.stops_mut().insert(stop.sealed.digest(), stop);
}

async fn reload(app: &App, connection: &mut Connection) -> Result<(), StoreError> {
    // On a full disk the database rolls back by itself, and the old connection does not know how deep
    // in a transaction it is.
    *connection = app.store.writer().await?;
    let product = app.fleet().product().clone();
    let mut loaded = load::load(connection, product, app.permit_key.public()).await?;
    let mut change = Change::default();
    {
        let mut fleet = app.fleet_mut();
        // What is published lies in the repository, which was written before the batch began.
        loaded.fleet.inherit(&mut fleet, clock::now(), &mut change);
        *fleet = loaded.fleet;
    }
    *app.keys_mut() = loaded.keys;
    *app.stops_mut() = loaded.stops;
    let mut transaction = connection.begin().await?;
    save(app, &mut transaction, &change).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes what a start has changed: hosts that fell silent while nobody looked.
pub(crate) async fn save_start(connection: &mut Connection, app: &App, change: &Change) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    save(app, &mut transaction, change).await?;
    transaction.commit().await?;
    Ok(())
}
