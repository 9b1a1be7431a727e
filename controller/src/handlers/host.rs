//! What hosts send: enrolments, evidence, heartbeats, acknowledgements, file lists; and their stream.
//!
//! Refused in the order of what it costs: size, JSON, a key that is known, its signature, the host,
//! and only then the fleet and the store.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use futures_util::stream::{self, Stream};
use manifests::api::{
    self, DocumentVersions, HANDED_PERMITS_MAX, HANDED_STOPS_MAX, Handed, HandedStop, HostEvent, Receipt,
    STOPS_PER_RECEIPT_MAX,
};
use manifests::digest::Digest;
use manifests::enrolment::{Enrolled, Enrolment};
use manifests::envelope::{AnyVersion, Document, Sealed, Verified};
use manifests::evidence::{EVIDENCE_VERSION, Evidence, Heartbeat, PERMIT_V2_SINCE, v1, v2};
use manifests::fleet::{HostDocument, ReportAnswer};
use manifests::id::{HostId, ProductId};
use manifests::key::KeyId;
use manifests::stop::Acknowledgement;
use manifests::tree::FileList;
use serde::Serialize;

use crate::app::{App, ServedStop};
use crate::auth::bearer;
use crate::body::Payer;
use crate::chain::chain;
use crate::error::HttpError;
use crate::queue::{HandedIn, Report, WriteError};
use crate::server::connection::Connection;
use crate::store::LISTS_BYTES_MAX;
use crate::streams::StreamEvent;
use crate::{body, clock};

/// Largest file list: a million lines.
const FILE_LIST_BYTES_MAX: usize = 128 << 20;
/// Largest body with what a host hands in: an agent hands in less than half of it at once.
const HANDED_BYTES_MAX: usize = 8 << 20;
/// How often an idle stream shows that it lives.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Largest body with an envelope of `T`: base64, and the JSON around it.
const fn envelope_bytes_max<T: Document>() -> usize {
    T::BYTES_MAX / 3 * 4 + (16 << 10)
}

/// A document, and whose key signed it.
struct Received<T> {
    host: HostId,
    key: KeyId,
    document: Verified<T>,
}

async fn receive<T: Document>(
    app: &App,
    request: Request,
    named: impl Fn(&T) -> (&HostId, &ProductId),
) -> Result<Received<T>, HttpError> {
    let from = From::of(app, &request)?;
    let sealed = body::json(request, &app.bodies, from.payer(), envelope_bytes_max::<T>()).await?;
    verify(app, &from, sealed, named)
}

/// Who a request seems to be from, before its body is read.
struct From {
    connection: Option<Arc<Connection>>,
    named: Option<HostId>,
}

impl From {
    /// # Errors
    /// 403 if the request names a key that no host is enrolled with.
    fn of(app: &App, request: &Request) -> Result<Self, HttpError> {
        let connection = request.extensions().get::<Arc<Connection>>().cloned();
        let named = match request.headers().get(api::KEY_HEADER) {
            None => None,
            Some(key) => {
                let key = key.to_str().map_err(|_| HttpError::malformed("the key's id is no text"))?;
                Some(app.host_of(&KeyId::from(key)).ok_or_else(not_enrolled)?)
            }
        };
        Ok(Self { connection, named })
    }

    /// Who pays for the body. A name proves nothing: it has a budget of its own, as those have who do not say it.
    fn payer(&self) -> Payer {
        let known = self.connection.as_ref().and_then(|connection| connection.host());
        match (known, &self.named) {
            (Some(host), _) => Payer::Host(host),
            (None, Some(host)) => Payer::Named(host.clone()),
            (None, None) => Payer::Stranger(self.connection.as_ref().map(|connection| connection.network())),
        }
    }

    fn shows(&self, host: &HostId) {
        if let Some(connection) = &self.connection {
            connection.is_host(host);
        }
    }
}

fn not_enrolled() -> HttpError {
    HttpError::forbidden("not-enrolled", "no host is enrolled with this key")
}

fn verify<T: Document>(
    app: &App,
    from: &From,
    sealed: Sealed<T>,
    named: impl Fn(&T) -> (&HostId, &ProductId),
) -> Result<Received<T>, HttpError> {
    let sender = app.sender(&sealed);
    let (host, key) = sender.ok_or_else(not_enrolled)?;
    let document = sealed.verify([&key])?;
    from.shows(&host);
    // Whose it is says the signed payload, never an address; and the key must be that host's.
    let (id, product) = named(&document);
    if *id != host {
        return Err(HttpError::forbidden("wrong-host", format!("the key is {host}'s, the document is for {id}")));
    }
    let served = app.fleet().product().clone();
    if *product != served {
        return Err(HttpError::forbidden("wrong-product", format!("this controller serves {served}")));
    }
    Ok(Received { host, key: key.id(), document })
}

/// `POST /v1/enrolments`
///
/// # Errors
/// 401 for a token that is none, 403 for another host's, 409 for one that was used or a host that has a key.
pub async fn enrol(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, HttpError> {
    let token = Digest::of(bearer(request.headers())?.as_bytes());
    let from = From::of(&app, &request)?;
    // Known in memory, and before anything is read: whoever has no token costs neither room nor the store.
    if !app.tokens.is_host_token(&app.store, &token).await {
        return Err(HttpError::token("the token is not known"));
    }
    let max = envelope_bytes_max::<Enrolment>();
    let sealed: Sealed<Enrolment> = body::json(request, &app.bodies, from.payer(), max).await?;
    // Signed with the key that it brings: who enrols a key must hold it. Which key that is stands in
    // the payload, so this one is parsed before it is verified, and nothing in it is acted on.
    let claimed: Enrolment = sealed.claimed()?;
    let enrolment = sealed.verify([&claimed.key])?.into_document();
    let served = app.fleet().product().clone();
    if enrolment.product != served {
        return Err(HttpError::forbidden("wrong-product", format!("this controller serves {served}")));
    }
    if enrolment.token != token {
        return Err(HttpError::token("the enrolment was signed for another token"));
    }
    app.writer.enrol(token, enrolment.host, enrolment.key).await?;
    Ok(StatusCode::CREATED)
}

/// `POST /v1/carried`
///
/// # Errors
/// 401 for a word of no controller that the registry lists; 403 for a key that was replaced.
pub async fn carried(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, HttpError> {
    // A host that names its key here names one that nobody knows yet.
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let payer = Payer::Stranger(connection.as_ref().map(|connection| connection.network()));
    let word: Sealed<Enrolled> = body::json(request, &app.bodies, payer, envelope_bytes_max::<Enrolled>()).await?;
    let verified = {
        let fleet = app.fleet();
        // Before the first publish nobody is listed.
        let registry =
            fleet.registry().ok_or_else(|| HttpError::forbidden("not-listed", "nothing was published yet"))?;
        let verified = registry.verify_enrolled(word)?;
        if verified.product != *fleet.product() {
            return Err(HttpError::forbidden("wrong-product", format!("this controller serves {}", fleet.product())));
        }
        verified
    };
    match app.writer.carry_over(None, vec![verified]).await?.into_iter().next() {
        None => Ok(StatusCode::NO_CONTENT),
        Some((_, why)) => Err(WriteError::Enrol(why).into()),
    }
}

/// `GET /v1/versions`
pub async fn versions() -> Json<DocumentVersions> {
    Json(DocumentVersions { evidence: EVIDENCE_VERSION })
}

/// `POST /v1/evidence`, of any version
///
/// # Errors
/// 409 for a sequence that does not count; 401 and 403 for a document of somebody else.
pub async fn evidence(State(app): State<Arc<App>>, request: Request) -> Result<Json<Receipt>, HttpError> {
    let max = envelope_bytes_max::<Evidence>();
    let from = From::of(&app, &request)?;
    let report = match body::json(request, &app.bodies, from.payer(), max).await? {
        AnyVersion::V1(sealed) => {
            let received = verify::<v1::Evidence>(&app, &from, sealed, |e| (&e.cover.host, &e.cover.product))?;
            let envelope = text(received.document.sealed())?;
            Report { envelope: Some(envelope), ..report(received) }
        }
        AnyVersion::V2(sealed) => {
            let received = verify::<v2::Evidence>(&app, &from, sealed, |e| (&e.cover.host, &e.cover.product))?;
            let envelope = text(received.document.sealed())?;
            Report { envelope: Some(envelope), ..report(received) }
        }
        AnyVersion::V3(sealed) => {
            let received = verify::<Evidence>(&app, &from, sealed, |e| (&e.cover.host, &e.cover.product))?;
            let envelope = text(received.document.sealed())?;
            Report { envelope: Some(envelope), ..report(received) }
        }
    };
    answer(&app, &from, report).await
}

/// `POST /v1/heartbeats`, of any version
///
/// # Errors
/// As [`evidence`].
pub async fn heartbeat(State(app): State<Arc<App>>, request: Request) -> Result<Json<Receipt>, HttpError> {
    let max = envelope_bytes_max::<Heartbeat>();
    let from = From::of(&app, &request)?;
    let report = match body::json(request, &app.bodies, from.payer(), max).await? {
        AnyVersion::V1(sealed) => {
            report(verify::<v1::Heartbeat>(&app, &from, sealed, |h| (&h.cover.host, &h.cover.product))?)
        }
        AnyVersion::V2(sealed) => {
            report(verify::<v2::Heartbeat>(&app, &from, sealed, |h| (&h.cover.host, &h.cover.product))?)
        }
        AnyVersion::V3(sealed) => {
            report(verify::<Heartbeat>(&app, &from, sealed, |h| (&h.cover.host, &h.cover.product))?)
        }
    };
    answer(&app, &from, report).await
}

fn report<T: Document + Into<HostDocument>>(received: Received<T>) -> Report {
    let digest = received.document.digest();
    let document = received.document.into_document().into();
    Report { host: received.host, key: received.key, document, digest, envelope: None }
}

async fn answer(app: &App, from: &From, report: Report) -> Result<Json<Receipt>, HttpError> {
    let (host, key, version) = (report.host.clone(), report.key.clone(), report.document.version());
    let (kept, boot_id) = (report.document.cover().enrolment, report.document.cover().boot_id.clone());
    let ReportAnswer { sequence, next, permit, stops, mut unknown, unknown_permit, wanted, clone_suspected } =
        app.writer.report(report).await?;
    let address = from.connection.as_ref().map(|connection| connection.address());
    app.origins.heard(&host, &boot_id, address, clone_suspected);
    // Who speaks an earlier version has no way to hand them in; and once is enough.
    unknown.retain(|stop| version >= PERMIT_V2_SINCE && !app.unlisted.has(&stop.digest));
    // Signed here, not by the writer: requests come on many cores.
    let (permit, unsigned) = match permit {
        Ok(permit) => (Some(permit.seal(version, &app.permit_key)?), None),
        Err(unsigned) => (None, Some(unsigned.code().to_owned())),
    };
    let word = app.enrolled(&host).filter(|word| version >= PERMIT_V2_SINCE && kept != Some(word.digest()));
    let enrolment = word.map(|word| Sealed::seal(&word, &app.permit_key)).transpose()?;
    Ok(Json(Receipt {
        sequence,
        next,
        permit,
        unsigned,
        stops: served(app, stops, |stop| stop.sealed.clone()),
        wanted,
        unknown_stops: unknown,
        unknown_permit,
        enrolment,
        session: app.sessions.make(&host, &key, clock::now()),
        timestamp: app.timestamp(),
        evidence: Some(EVIDENCE_VERSION),
    }))
}

/// The first of these stops, as they were signed: as many as one answer has.
fn served<T>(app: &App, digests: Vec<Digest>, form: impl Fn(&ServedStop) -> T) -> Vec<T> {
    let stops = app.stops();
    digests.iter().filter_map(|digest| stops.get(digest)).take(STOPS_PER_RECEIPT_MAX).map(form).collect()
}

/// `POST /v1/handed`
///
/// # Errors
/// 400 for more than is taken at once; 401 for a stop that its key did not sign.
pub async fn handed(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, HttpError> {
    let host = session(&app, request.headers())?;
    From::of(&app, &request)?.shows(&host);
    let payer = Payer::Host(host.clone());
    let Handed { stops, permit_number, permits } = body::json(request, &app.bodies, payer, HANDED_BYTES_MAX).await?;
    if stops.len() > HANDED_STOPS_MAX {
        return Err(HttpError::malformed(format!("hand in {HANDED_STOPS_MAX} stops at once, the oldest first")));
    }
    let mut verified = Vec::new();
    for HandedStop { key, stop } in stops {
        if !key.is_plain_ed25519() {
            return Err(HttpError::malformed("a stop's key is an Ed25519 key object without further members"));
        }
        verified.push((stop.verify([&key])?, key));
    }
    if permits.len() > HANDED_PERMITS_MAX {
        return Err(HttpError::malformed(format!("hand in {HANDED_PERMITS_MAX} permits at most")));
    }
    // Those of other controllers prove nothing here.
    let own = permits.into_iter().filter_map(|permit| permit.verify([app.permit_key.public()]).ok());
    let own_permit = own.max_by_key(|permit| permit.number);
    app.writer.handed(host, HandedIn { stops: verified, permit_number, own_permit }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/acknowledgements`
///
/// # Errors
/// 404 for a stop that is not ours.
pub async fn acknowledge(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, HttpError> {
    let received = receive::<Acknowledgement>(&app, request, |a| (&a.host, &a.product)).await?;
    let envelope = text(received.document.sealed())?;
    app.writer.acknowledge(received.host, received.key, received.document.stop, envelope).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /v1/files/{digest}`
///
/// # Errors
/// 403 for a list that nobody asked for; 400 if the bytes have another digest, or are no list.
pub async fn file_list(
    State(app): State<Arc<App>>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<StatusCode, HttpError> {
    let host = session(&app, request.headers())?;
    let from = From::of(&app, &request)?;
    from.shows(&host);
    let digest = Digest::from_hex(&digest)
        .or_else(|_| digest.parse())
        .map_err(|error| HttpError::malformed(error.to_string()))?;
    {
        let fleet = app.fleet();
        if fleet.has_list(&digest) {
            return Ok(StatusCode::NO_CONTENT);
        }
        let cover = fleet.host(&host).and_then(|host| host.evidence.as_ref()).map(|evidence| evidence.cover());
        if !cover.is_some_and(|cover| cover.lists.contains(&digest)) {
            return Err(HttpError::forbidden("not-asked-for", "the host's evidence names no such file list"));
        }
    }
    if app.store.list_bytes(&host).await? > LISTS_BYTES_MAX {
        let message = format!("the lists of {host} take more than {LISTS_BYTES_MAX} bytes already");
        return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message));
    }
    let bytes = body::read(request, &app.bodies, Payer::Host(host.clone()), FILE_LIST_BYTES_MAX).await?;
    let bytes = tokio::task::spawn_blocking(move || {
        if Digest::of(&bytes) != digest {
            return Err(HttpError::malformed("the bytes have another digest"));
        }
        FileList::parse(&bytes).map_err(|error| HttpError::malformed(error.to_string()))?;
        Ok(bytes.into_bytes())
    });
    let bytes = bytes.await.map_err(|_| HttpError::unavailable("the list could not be read"))??;
    app.writer.file_list(host, digest, bytes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/stream`
///
/// # Errors
/// 401 without a session; 405 for HEAD.
pub async fn stream(
    State(app): State<Arc<App>>,
    method: Method,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, HttpError> {
    // Routed here as a GET without its body: it would take the host's open stream away and give none.
    if method != Method::GET {
        return Err(HttpError::method_not_allowed());
    }
    let host = session(&app, &headers)?;
    if let Some(Extension(connection)) = connection {
        connection.is_host(&host);
    }
    // Opened first: what happens while it is told what there is, is in the queue then.
    let receiver = app.streams.open(host.clone());
    // Asked again: a key that was replaced in between has ended the streams there were before.
    session(&app, &headers)?;
    let first = stream::iter(present(&app, &host));
    let later = stream::unfold((receiver, app.shutdown.clone()), |(mut receiver, shutdown)| async move {
        tokio::select! {
            item = receiver.recv() => item.map(|item| (item, (receiver, shutdown))),
            () = shutdown.cancelled() => None,
        }
    });
    let events = futures_util::StreamExt::map(futures_util::StreamExt::chain(first, later), |item: StreamEvent| {
        Ok(Event::default().event(item.name).data(item.data.as_ref()))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// What the host may have missed while it was not connected.
fn present(app: &App, host: &HostId) -> Vec<StreamEvent> {
    let (permit, stops) = {
        let fleet = app.fleet();
        let Some(known) = fleet.host(host) else { return Vec::new() };
        let permit = known.permit.clone().filter(|permit| permit.number > known.record.permit_named);
        let mut stops = fleet.stops_for(host);
        // It has them, and says so again: what it said went to another controller, or was lost with what was written
        // since a backup. Who speaks an earlier version acknowledges nothing twice.
        if known.version >= PERMIT_V2_SINCE {
            stops.extend(fleet.unacknowledged_by(host));
        }
        (permit, stops)
    };
    let mut items = served(app, stops, |stop| stop.event.clone());
    match permit.map(|permit| app.seal(&permit)).transpose() {
        Ok(permit) => items.extend(permit.map(|permit| StreamEvent::new(&HostEvent::Permit(permit)))),
        Err(error) => tracing::error!(%host, error = chain(&error), "a permit cannot be signed"),
    }
    items.push(StreamEvent::new(&HostEvent::Refresh(app.timestamp())));
    items
}

fn session(app: &App, headers: &HeaderMap) -> Result<HostId, HttpError> {
    let key_of = |host: &HostId| app.fleet().host(host).and_then(|host| host.key.clone());
    let host = app.sessions.check(bearer(headers)?, clock::now(), key_of);
    host.ok_or_else(|| HttpError::token("the session is over; the next receipt carries a new one"))
}

fn text<T: Serialize>(value: &T) -> Result<String, HttpError> {
    serde_json::to_string(value).map_err(|error| HttpError::malformed(error.to_string()))
}
