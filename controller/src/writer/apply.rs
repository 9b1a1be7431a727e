//! What one command does to the fleet and to the open transaction.

use manifests::api::{SetBack, SetBackCause, SetBackProof, StopView};
use manifests::digest::Digest;
use manifests::enrolment::Enrolled;
use manifests::envelope::{Sealed, Verified};
use manifests::fleet::{EnrolError, Fleet, FleetHost, HostDocument, ReportAnswer, ShownBy, StopError};
use manifests::id::HostId;
use manifests::key::{KeyId, PublicKey};
use manifests::stop::{Scope, Stop, StopRef};
use manifests::time::Time;

use super::{Batch, Told, answer, push_stop};
use crate::app::App;
use crate::clock;
use crate::queue::{AskedStop, Report, TokenError, WriteError, WriterCommand};
use crate::store::{StateRow, StoreError, TokenUse, Transaction};
use crate::unlisted::Kept;

/// Stops of one operator in [`INTERVAL_MS`] at most, where they close nobody. Each is kept for ever by
/// every host.
pub(crate) const STOPS_MAX: usize = 30;
/// What [`STOPS_MAX`] counts in: a minute.
const INTERVAL_MS: i64 = 60_000;

/// Applies one command. An `Err` fails the whole batch; what is refused comes back in the answer.
pub(super) async fn apply(batch: &mut Batch<'_>, command: WriterCommand) -> Result<Told, StoreError> {
    match command {
        WriterCommand::Report(report, reply) => Ok(answer(reply, self::report(batch, *report).await?)),
        WriterCommand::Enrol { token, host, key, reply } => {
            let result = enrol(batch, &token, &host, &key).await?;
            Ok(Box::new(move |app| {
                if result.is_ok() {
                    speaks_with(app, &host, key);
                }
                let _ = reply.send(result);
            }))
        }
        WriterCommand::Acknowledge { host, key, stop, envelope, reply } => {
            Ok(answer(reply, acknowledge(batch, (&host, &key), stop, &envelope).await?))
        }
        WriterCommand::FileList { host, digest, bytes, reply } => {
            batch.transaction.save_file_list(&host, &digest, clock::now(), &bytes).await?;
            batch.fleet.list_stored(digest);
            Ok(answer(reply, Ok(())))
        }
        WriterCommand::Stop { asked, operator, reply } => {
            let AskedStop { scope, reason, request } = asked;
            if let Some(request) = &request
                && let Some(made) = batch.transaction.stop_of_request(&operator, request).await?
            {
                return Ok(answer(reply, made_before(&batch.fleet, &made, &scope, &reason)));
            }
            // Behind the look for the same request: one that is sent again may have been taken the first time, and
            // too many is what is said of a stop that was not.
            if has_made_enough(&batch.fleet, &operator, &scope, clock::now()) {
                return Ok(answer(reply, Err(WriteError::TooManyStops { max: STOPS_MAX })));
            }
            let result = stop(batch, scope, reason, operator.clone()).await?;
            if let (Some(request), Ok((view, _))) = (&request, &result) {
                batch.transaction.save_stop_request(&operator, request, &view.stop.digest).await?;
            }
            Ok(Box::new(move |app| {
                let _ = reply.send(result.map(|(view, sealed)| {
                    push_stop(app, sealed);
                    view
                }));
            }))
        }
        WriterCommand::CarryOver { from, words, reply } => {
            let (mut given, mut refused) = (Vec::new(), Vec::new());
            for word in words {
                match carry_over(batch, &word, from.as_deref()).await? {
                    Ok(true) => given.push(word.into_document()),
                    Ok(false) => {}
                    Err(error) => refused.push((word.host.clone(), error)),
                }
            }
            Ok(Box::new(move |app| {
                given.into_iter().for_each(|word| speaks_with(app, &word.host, word.key));
                let _ = reply.send(Ok(refused));
            }))
        }
        WriterCommand::TakeListed { from, stops, reply } => {
            let (mut taken, mut refused) = (Vec::new(), Vec::new());
            for (stop, key) in stops {
                let is_own = key.is_same_key(batch.app.permit_key.public());
                match take(batch, &stop, (is_own, &from)).await? {
                    Ok(None) => {}
                    Ok(Some(sealed)) => {
                        taken.push(sealed);
                        if is_own {
                            own_stop_was_forgotten(batch, ShownBy::Controller(&from), &stop).await?;
                        }
                    }
                    Err(error) => refused.push((stop.digest(), error)),
                }
            }
            Ok(Box::new(move |app| {
                taken.into_iter().for_each(|stop| push_stop(app, stop));
                let _ = reply.send(Ok(refused));
            }))
        }
        WriterCommand::LookedAt { operator, note, reply } => {
            let now = clock::now();
            let is_news = batch.fleet.look_at_set_back(&operator, &note, now, &mut batch.change);
            if is_news {
                batch.transaction.look_at_set_back(&operator, &note, now).await?;
            }
            Ok(answer(reply, Ok(is_news)))
        }
        WriterCommand::Handed { host, handed, reply } => {
            if let Some(number) = handed.permit_number {
                let own = handed.own_permit.as_deref();
                let noticed = batch.fleet.permit_handed_in(&host, number, own, clock::now(), &mut batch.change);
                save_set_back(&mut batch.transaction, noticed).await?;
            }
            let taken = self::handed(batch, &host, handed.stops).await?;
            Ok(Box::new(move |app| {
                taken.into_iter().for_each(|stop| push_stop(app, stop));
                let _ = reply.send(Ok(()));
            }))
        }
        WriterCommand::TakeOver { stop, operator, reply } => {
            let (taken, result) = take_over(batch, &stop, &operator).await?;
            Ok(Box::new(move |app| {
                // Also where the rest of the chain could not be taken: what is on disk is in force.
                app.unlisted.forget(|digest, _| taken.iter().any(|stop| stop.digest() == *digest));
                taken.into_iter().for_each(|stop| push_stop(app, stop));
                let _ = reply.send(result);
            }))
        }
        WriterCommand::PutInForce { until, published, reply } => {
            batch.fleet.set_online_until(until);
            let mut listed: Vec<PublicKey> = Vec::new();
            if let Some((policy, row)) = published.map(|published| *published) {
                listed.extend(policy.registry.permit_keys().cloned());
                batch.fleet.publish(policy, &row.operator, row.versions, clock::now(), &mut batch.change);
                batch.transaction.publish(&row).await?;
            }
            Ok(Box::new(move |app| {
                // Of a key that is listed again the stops are asked for again, and taken over.
                app.unlisted.forget(|_, key| listed.iter().any(|listed| listed.is_same_key(key)));
                let _ = reply.send(Ok(()));
            }))
        }
        WriterCommand::Probe(reply) => {
            batch.transaction.probe(clock::now()).await?;
            Ok(answer(reply, Ok(())))
        }
        WriterCommand::Expires(notes, reply) => {
            let now = clock::now();
            notes.into_iter().for_each(|note| batch.fleet.expires(note, now, &mut batch.change));
            Ok(answer(reply, Ok(())))
        }
        WriterCommand::Collect => {
            let named = batch.fleet.lists_named();
            for list in batch.transaction.collect(&named, clock::now()).await? {
                batch.fleet.list_dropped(&list);
            }
            Ok(Box::new(|_| ()))
        }
        WriterCommand::Tick => {
            batch.fleet.tick(clock::now(), &mut batch.change);
            Ok(Box::new(|_| ()))
        }
    }
}

async fn report(batch: &mut Batch<'_>, report: Report) -> Result<Result<ReportAnswer, WriteError>, StoreError> {
    let now = clock::now();
    let Report { host, key, document, digest, envelope } = report;
    if !speaks(&batch.fleet, &host, &key) {
        return Ok(Err(WriteError::KeyReplaced));
    }
    // Written before the fleet takes the document over; one that is refused leaves the table as it is.
    let state = match &document {
        HostDocument::Evidence { evidence, state, .. } => Some((*state, StateRow::of(evidence)?)),
        HostDocument::Heartbeat { .. } => None,
    };
    let answer = {
        let fleet = &mut batch.fleet;
        let before = fleet.host(&host).map(|host| host.record.sequence);
        let answer = fleet.report(&host, document, digest, now, &mut batch.change);
        let repeated = before == fleet.host(&host).map(|host| host.record.sequence);
        match answer {
            Ok(answer) => (answer, repeated),
            Err(refusal) => return Ok(Err(refusal.into())),
        }
    };
    let (answer, repeated) = answer;
    if let (false, Some((digest, state)), Some(envelope)) = (repeated, state, envelope) {
        // Whoever names a state names it in memory; the table may be a batch behind.
        let is_named = |state: &Digest| batch.fleet.is_state_named(state);
        batch.transaction.save_state(&host, &digest, now, state, is_named).await?;
        batch.transaction.save_evidence(&host, now, &envelope).await?;
    }
    Ok(Ok(answer))
}

// The key was looked up before the document came into the queue; it may have been replaced since.
fn speaks(fleet: &Fleet, host: &HostId, key: &KeyId) -> bool {
    fleet.host(host).is_some_and(|host| host.key.as_ref() == Some(key))
}

async fn enrol(
    batch: &mut Batch<'_>,
    token: &Digest,
    host: &HostId,
    key: &PublicKey,
) -> Result<Result<(), WriteError>, StoreError> {
    let now = clock::now();
    let id = key.id();
    // The token first: without one nobody learns which hosts and keys there are.
    let (made_for, replaces) = match batch.transaction.peek_token(token, now).await? {
        TokenUse::Usable { host, replaces } => (host, replaces),
        // The host did not hear the answer and asks again, with the same token and the same key.
        TokenUse::UsedBefore { host: used_by } if used_by == *host && speaks(&batch.fleet, host, &id) => {
            return Ok(Ok(()));
        }
        TokenUse::UsedBefore { .. } => return Ok(Err(TokenError::Used.into())),
        TokenUse::Expired => return Ok(Err(TokenError::Expired.into())),
        TokenUse::Unknown => return Ok(Err(TokenError::Unknown.into())),
    };
    if made_for != *host {
        return Ok(Err(TokenError::WrongHost.into()));
    }
    if batch.app.is_of_another(key, host) {
        return Ok(Err(EnrolError::KeyInUse.into()));
    }
    if let Err(error) = batch.fleet.enrol(host, id, replaces, now, &mut batch.change) {
        return Ok(Err(error.into()));
    }
    // One writer, one transaction: between the look and this nobody else can have used it.
    batch.transaction.use_token(token, now).await?;
    if let Some(known) = batch.fleet.host(host) {
        batch.transaction.save_host(host, known).await?;
    }
    batch.transaction.save_key(host, key).await?;
    batch.transaction.forget_acknowledgements(host).await?;
    Ok(Ok(()))
}

/// From here on the host speaks with this key, and what the one before has open ends.
fn speaks_with(app: &App, host: &HostId, key: PublicKey) {
    let mut keys = app.keys_mut();
    if keys.get(&key.id()).is_some_and(|(owner, _)| owner == host) {
        return; // Enrolled again with the key that it has: its answer was lost.
    }
    keys.retain(|_, (other, _)| other != host);
    keys.insert(key.id(), (host.clone(), key));
    app.streams.close(host);
}

async fn carry_over(
    batch: &mut Batch<'_>,
    word: &Verified<Enrolled>,
    from: Option<&str>,
) -> Result<Result<bool, EnrolError>, StoreError> {
    let now = clock::now();
    if batch.app.is_of_another(&word.key, &word.host) {
        return Ok(Err(EnrolError::KeyInUse));
    }
    let before = batch.fleet.host(&word.host).map_or(0, FleetHost::generation);
    let given = match batch.fleet.carry_over(&word.host, word.key.id(), word.generation, now, &mut batch.change) {
        Ok(given) => given,
        Err(error) => return Ok(Err(error)),
    };
    if given {
        if let Some(known) = batch.fleet.host(&word.host) {
            batch.transaction.save_host(&word.host, known).await?;
        }
        batch.transaction.save_key(&word.host, &word.key).await?;
        batch.transaction.forget_acknowledgements(&word.host).await?;
    }
    // This controller's own word for a key that it does not know: it has forgotten that it gave it.
    if word.generation > before && word.controller == batch.app.id {
        let signed = Time::from_unix_ms(i64::try_from(word.generation).unwrap_or(i64::MAX));
        let proof = (SetBackProof::Enrolment, word.generation);
        let shown_by = from.map_or(ShownBy::Host(&word.host), ShownBy::Controller);
        let noticed = batch.fleet.notice_set_back(shown_by, proof, signed, now, &mut batch.change);
        save_set_back(&mut batch.transaction, noticed).await?;
    }
    Ok(Ok(given))
}

async fn acknowledge(
    batch: &mut Batch<'_>,
    (host, key): (&HostId, &KeyId),
    stop: StopRef,
    envelope: &str,
) -> Result<Result<(), WriteError>, StoreError> {
    if !speaks(&batch.fleet, host, key) {
        return Ok(Err(WriteError::KeyReplaced));
    }
    let now = clock::now();
    let result = batch.fleet.acknowledge(host, stop, now, &mut batch.change);
    if result == Ok(true) {
        batch.transaction.acknowledge(&stop.digest, host, now, envelope).await?;
    }
    Ok(result.map(|_| ()).map_err(WriteError::from))
}

/// Whether an operator has made as many stops as in a minute are taken, and one more would close nobody: closing
/// somebody who is open is never refused, whoever made how many stops before.
pub(crate) fn has_made_enough(fleet: &Fleet, operator: &str, scope: &Scope, now: Time) -> bool {
    let since = now.unix_ms().saturating_sub(INTERVAL_MS);
    // What was taken over came to be known later than it was made.
    let recent = fleet.stops().filter(|known| known.is_own && known.stop.time.unix_ms() > since);
    recent.filter(|known| known.stop.operator == operator).count() >= STOPS_MAX && !fleet.would_close(scope)
}

/// The stop that a request made which was sent again.
fn made_before(fleet: &Fleet, made: &Digest, scope: &Scope, reason: &str) -> Result<StopView, WriteError> {
    let view = fleet.stop_view_of(made, clock::now());
    // Another stop under the same name would be one that was never made.
    view.filter(|view| view.scope == *scope && view.reason == reason).ok_or(WriteError::RequestUsed)
}

/// A stop under this controller's own key had to be taken over: it has forgotten that it made it.
async fn own_stop_was_forgotten(batch: &mut Batch<'_>, shown_by: ShownBy<'_>, stop: &Stop) -> Result<(), StoreError> {
    let proof = (SetBackProof::Stop, stop.number);
    let noticed = batch.fleet.notice_set_back(shown_by, proof, stop.time, clock::now(), &mut batch.change);
    save_set_back(&mut batch.transaction, noticed).await
}

async fn save_set_back(transaction: &mut Transaction<'_>, noticed: Option<SetBack>) -> Result<(), StoreError> {
    let Some(set_back) = noticed else { return Ok(()) };
    let (shown_by, proof, number) = (set_back.shown_by(), set_back.proof.as_str(), set_back.number);
    match set_back.cause {
        SetBackCause::SetBack => tracing::error!(
            shown_by,
            proof,
            number,
            "this controller was set back to an earlier moment: what its own key signed is not known here. Nobody may \
             issue until an admin has looked at it (sekisho looked-at)"
        ),
        SetBackCause::KeyUsedTwice => tracing::error!(
            shown_by,
            proof,
            number,
            "another controller signs with this one's key: what it signed while this one was serving is not known here. \
             End one of the two (docs/operations-controllers.md). Nobody may issue until an admin has looked at it \
             (sekisho looked-at)"
        ),
    }
    transaction.save_set_back(&set_back).await
}

/// Takes over what may be without being asked: stops under this controller's key or another one's in the registry.
/// The others wait for an operator.
async fn handed(
    batch: &mut Batch<'_>,
    host: &HostId,
    stops: Vec<(Verified<Stop>, PublicKey)>,
) -> Result<Vec<Sealed<Stop>>, StoreError> {
    let mut taken = Vec::new();
    for (stop, key) in stops {
        let is_own = key.is_same_key(batch.app.permit_key.public());
        let is_listed = |fleet: &Fleet| {
            fleet.registry().is_some_and(|registry| registry.permit_keys().any(|listed| listed.is_same_key(&key)))
        };
        let (is_known, is_listed) = {
            let fleet = &batch.fleet;
            (fleet.knows_stop(&stop.digest()), is_own || is_listed(fleet))
        };
        if is_known || stop.product != *batch.fleet.product() {
            continue;
        }
        if is_listed {
            let from = format!("host {host}");
            if let Ok(Some(sealed)) = take(batch, &stop, (is_own, &from)).await? {
                taken.push(sealed);
                if is_own {
                    own_stop_was_forgotten(batch, ShownBy::Host(host), &stop).await?;
                }
            }
            continue;
        }
        match batch.app.unlisted.keep(host.clone(), stop.clone(), key.clone()) {
            Kept::New => tracing::warn!(
                %host, number = stop.number, digest = %stop.digest(), key = %key.id(), reason = ?stop.reason,
                "a stop under a key that the registry does not list was handed in: it holds the hosts that have it until \
                 it is lifted, and nobody else unless an operator takes it over"
            ),
            Kept::Refused => tracing::error!(
                %host, number = stop.number, digest = %stop.digest(), key = %key.id(),
                "there is no room for more stops under unlisted keys: this one holds its host and is not shown here; take \
                 over those that are an operator's (sekisho unlisted), and look at the host that brings so many"
            ),
            Kept::Known => {}
        }
    }
    Ok(taken)
}

/// Takes one stop over; nothing if it is known. With this controller's signature beside the first one it counts with
/// every host, also when the key that signed it leaves the registry.
async fn take(
    batch: &mut Batch<'_>,
    stop: &Verified<Stop>,
    (is_own, from): (bool, &str),
) -> Result<Result<Option<Sealed<Stop>>, WriteError>, StoreError> {
    let (now, digest) = (clock::now(), stop.digest());
    let taken = batch.fleet.take_stop((**stop).clone(), digest, (is_own, from), now, &mut batch.change);
    match taken {
        Err(error) => return Ok(Err(error.into())),
        Ok(false) => return Ok(Ok(None)),
        Ok(true) => {}
    }
    let sealed = stop.sealed().clone().signed_also(&batch.app.permit_key);
    let reference = StopRef { number: stop.number, digest };
    batch.transaction.save_taken_stop(&reference, is_own, &sealed, now, from).await?;
    Ok(Ok(Some(sealed)))
}

type TakenOver = (Vec<Sealed<Stop>>, Result<StopView, WriteError>);

/// Takes over a stop with those before it, as far as each follows the one before. Says which it took, whether or not
/// the one that was asked for is among them.
async fn take_over(batch: &mut Batch<'_>, digest: &Digest, operator: &str) -> Result<TakenOver, StoreError> {
    let mut taken = Vec::new();
    for stop in batch.app.unlisted.chain(digest) {
        match take(batch, &stop, (false, &format!("its hosts by {operator}"))).await? {
            Ok(sealed) => taken.extend(sealed),
            Err(error) => return Ok((taken, Err(error))),
        }
    }
    let view = batch.fleet.stop_view_of(digest, clock::now());
    Ok((taken, view.ok_or_else(|| StopError::UnknownStop { number: 0 }.into())))
}

type SealedStop = (StopView, Sealed<Stop>);

async fn stop(
    batch: &mut Batch<'_>,
    scope: Scope,
    reason: String,
    operator: String,
) -> Result<Result<SealedStop, WriteError>, StoreError> {
    let now = clock::now();
    let (view, sealed) = {
        let fleet = &mut batch.fleet;
        let stop = match fleet.next_stop(scope, reason, operator, now) {
            Ok(stop) => stop,
            Err(error) => return Ok(Err(error.into())),
        };
        let sealed = match Sealed::seal(&stop, &batch.app.permit_key) {
            Ok(sealed) => sealed,
            Err(error) => return Ok(Err(error.into())),
        };
        match fleet.add_stop(stop, sealed.digest(), now, &mut batch.change) {
            Ok(view) => (view, sealed),
            Err(error) => return Ok(Err(error.into())),
        }
    };
    batch.transaction.save_stop(&view.stop, &sealed).await?;
    Ok(Ok((view, sealed)))
}
