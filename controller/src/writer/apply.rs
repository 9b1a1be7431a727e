//! What one command does to the fleet and to the open transaction.

use manifests::api::StopView;
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::fleet::{Change, EnrolError, HostDocument, ReportAnswer};
use manifests::id::HostId;
use manifests::key::{KeyId, PublicKey};
use manifests::stop::{Scope, StopRef};

use super::{Told, answer, push_stop};
use crate::app::App;
use crate::clock;
use crate::queue::{Report, TokenError, WriteError, WriterCommand};
use crate::store::{StateRow, StoreError, TokenUse, Transaction};

/// Applies one command. An `Err` fails the whole batch; what is refused comes back in the answer.
pub(super) async fn apply(
    app: &App,
    transaction: &mut Transaction<'_>,
    command: WriterCommand,
    change: &mut Change,
) -> Result<Told, StoreError> {
    match command {
        WriterCommand::Report(report, reply) => {
            Ok(answer(reply, self::report(app, transaction, *report, change).await?))
        }
        WriterCommand::Enrol { token, host, key, reply } => {
            let result = enrol(app, transaction, &token, &host, &key, change).await?;
            Ok(Box::new(move |app| {
                if result.is_ok() {
                    let mut keys = app.keys_mut();
                    keys.retain(|_, (other, _)| *other != host);
                    keys.insert(key.id(), (host.clone(), key));
                    app.streams.close(&host);
                }
                let _ = reply.send(result);
            }))
        }
        WriterCommand::Acknowledge { host, key, stop, envelope, reply } => {
            Ok(answer(reply, acknowledge(app, transaction, (&host, &key), stop, &envelope, change).await?))
        }
        WriterCommand::FileList { digest, bytes, reply } => {
            transaction.save_file_list(&digest, clock::now(), &bytes).await?;
            app.fleet_mut().list_stored(digest);
            Ok(answer(reply, Ok(())))
        }
        WriterCommand::Stop { scope, reason, operator, reply } => {
            let result = stop(app, transaction, scope, reason, operator, change).await?;
            Ok(Box::new(move |app| {
                let _ = reply.send(result.map(|(view, sealed)| {
                    push_stop(app, sealed);
                    view
                }));
            }))
        }
        WriterCommand::PutInForce { until, published, reply } => {
            app.fleet_mut().set_online_until(until);
            if let Some((policy, row)) = published.map(|published| *published) {
                app.fleet_mut().publish(policy, &row.operator, row.versions, clock::now(), change);
                transaction.publish(&row).await?;
            }
            Ok(answer(reply, Ok(())))
        }
        WriterCommand::Probe(reply) => {
            transaction.probe(clock::now()).await?;
            Ok(answer(reply, Ok(())))
        }
        WriterCommand::Expires(notes, reply) => {
            let now = clock::now();
            notes.into_iter().for_each(|note| app.fleet_mut().expires(note, now, change));
            Ok(answer(reply, Ok(())))
        }
        WriterCommand::Tick => {
            app.fleet_mut().tick(clock::now(), change);
            Ok(Box::new(|_| ()))
        }
    }
}

async fn report(
    app: &App,
    transaction: &mut Transaction<'_>,
    report: Report,
    change: &mut Change,
) -> Result<Result<ReportAnswer, WriteError>, StoreError> {
    let now = clock::now();
    let Report { host, key, document, digest, envelope } = report;
    if !speaks(app, &host, &key) {
        return Ok(Err(WriteError::KeyReplaced));
    }
    // Written before the fleet takes the document over; one that is refused leaves the table as it is.
    let state = match &document {
        HostDocument::Evidence { evidence, state } => Some((*state, StateRow::of(evidence)?)),
        HostDocument::Heartbeat { .. } => None,
    };
    let answer = {
        let mut fleet = app.fleet_mut();
        let before = fleet.host(&host).map(|host| host.record.sequence);
        let answer = fleet.report(&host, document, digest, now, change);
        let repeated = before == fleet.host(&host).map(|host| host.record.sequence);
        match answer {
            Ok(answer) => (answer, repeated),
            Err(refusal) => return Ok(Err(refusal.into())),
        }
    };
    let (answer, repeated) = answer;
    if let (false, Some((digest, state)), Some(envelope)) = (repeated, state, envelope) {
        transaction.save_state(&digest, now, state).await?;
        transaction.save_evidence(&host, now, &envelope).await?;
    }
    Ok(Ok(answer))
}

// The key was looked up before the document came into the queue; it may have been replaced since.
fn speaks(app: &App, host: &HostId, key: &KeyId) -> bool {
    app.fleet().host(host).is_some_and(|host| host.key.as_ref() == Some(key))
}

async fn enrol(
    app: &App,
    transaction: &mut Transaction<'_>,
    token: &Digest,
    host: &HostId,
    key: &PublicKey,
    change: &mut Change,
) -> Result<Result<(), WriteError>, StoreError> {
    let now = clock::now();
    let id = key.id();
    // The token first: without one nobody learns which hosts and keys there are.
    let (made_for, replaces) = match transaction.peek_token(token, now).await? {
        TokenUse::Usable { host, replaces } => (host, replaces),
        // The host did not hear the answer and asks again, with the same token and the same key.
        TokenUse::UsedBefore { host: used_by } if used_by == *host && speaks(app, host, &id) => return Ok(Ok(())),
        TokenUse::UsedBefore { .. } => return Ok(Err(TokenError::Used.into())),
        TokenUse::Expired => return Ok(Err(TokenError::Expired.into())),
        TokenUse::Unknown => return Ok(Err(TokenError::Unknown.into())),
    };
    if made_for != *host {
        return Ok(Err(TokenError::WrongHost.into()));
    }
    if app.is_of_another(key, host) {
        return Ok(Err(EnrolError::KeyInUse.into()));
    }
    if let Err(error) = app.fleet_mut().enrol(host, id, replaces, now, change) {
        return Ok(Err(error.into()));
    }
    // One writer, one transaction: between the look and this nobody else can have used it.
    transaction.use_token(token, now).await?;
    let saved = app.fleet().host(host).cloned();
    if let Some(saved) = saved {
        transaction.save_host(host, &saved).await?;
    }
    transaction.save_key(host, key).await?;
    Ok(Ok(()))
}

async fn acknowledge(
    app: &App,
    transaction: &mut Transaction<'_>,
    (host, key): (&HostId, &KeyId),
    stop: StopRef,
    envelope: &str,
    change: &mut Change,
) -> Result<Result<(), WriteError>, StoreError> {
    if !speaks(app, host, key) {
        return Ok(Err(WriteError::KeyReplaced));
    }
    let now = clock::now();
    let result = app.fleet_mut().acknowledge(host, stop, now, change);
    if result == Ok(true) {
        transaction.acknowledge(stop.number, host, now, envelope).await?;
    }
    Ok(result.map(|_| ()).map_err(WriteError::from))
}

type SealedStop = (StopView, Sealed<manifests::stop::Stop>);

async fn stop(
    app: &App,
    transaction: &mut Transaction<'_>,
    scope: Scope,
    reason: String,
    operator: String,
    change: &mut Change,
) -> Result<Result<SealedStop, WriteError>, StoreError> {
    let now = clock::now();
    let (view, sealed) = {
        let mut fleet = app.fleet_mut();
        let stop = match fleet.next_stop(scope, reason, operator, now) {
            Ok(stop) => stop,
            Err(error) => return Ok(Err(error.into())),
        };
        let sealed = match Sealed::seal(&stop, &app.permit_key) {
            Ok(sealed) => sealed,
            Err(error) => return Ok(Err(error.into())),
        };
        match fleet.add_stop(stop, sealed.digest(), now, change) {
            Ok(view) => (view, sealed),
            Err(error) => return Ok(Err(error.into())),
        }
    };
    transaction.save_stop(&view.stop, &sealed).await?;
    Ok(Ok((view, sealed)))
}
