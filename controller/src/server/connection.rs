//! One connection: what it has shown, in whose pool it therefore is, and whether it is used.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use manifests::digest::Digest;
use manifests::id::HostId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, PollSemaphore};

use crate::descriptors::Plan;
use crate::shares::{Share, Shares};

/// Connections of one host: its agent has one or two, and those that broke off stay for a moment.
const HOST_CONNECTIONS_MAX: usize = 8;
/// Connections of one operator's token: dashboards, scripts.
const OPERATOR_CONNECTIONS_MAX: usize = 128;
/// Without a request under way, a connection of somebody known lasts this long.
const IDLE: Duration = Duration::from_secs(60);
/// And one of a stranger: in this time it asks something.
const STRANGER_IDLE: Duration = Duration::from_secs(10);
/// An answer of which a client takes nothing for this long is not being read. Streams give a byte every
/// [`crate::handlers::host::KEEP_ALIVE`], which is less.
const UNREAD: Duration = Duration::from_secs(30);
/// An answer is passed on in pieces of this size.
pub const PIECE_BYTES: usize = 8 << 10;
/// Pieces that are on their way to one client at once: whoever does not read holds no more than these.
const PIECES: usize = 8;
/// The same of a stranger: there may be thousands, and the next piece is read as soon as one is passed on.
const STRANGER_PIECES: usize = 2;
/// Whole answers that are held for one connection at once: lists, which are made before they are sent.
const ANSWERS: usize = 4;

/// Where a connection comes from, as far as limits go: an IPv4 address, or the 64 bits of an IPv6 one that
/// one customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

/// The pools of connections.
#[derive(Clone, Debug)]
pub struct Pools {
    strangers: Arc<Shares<Network>>,
    hosts: Arc<Shares<HostId>>,
    /// By the digest of the token.
    operators: Arc<Shares<Digest>>,
}

impl Pools {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            strangers: Shares::new(plan.strangers, plan.strangers),
            hosts: Shares::new(plan.hosts, HOST_CONNECTIONS_MAX),
            operators: Shares::new(plan.operators, OPERATOR_CONNECTIONS_MAX),
        }
    }

    /// The same hosts and operators, and a pool of its own for strangers.
    pub(crate) fn with_own_strangers(&self, most: usize) -> Self {
        Self { strangers: Shares::new(most, most), ..self.clone() }
    }

    /// Ends the connections of every token that is not `known` any more.
    pub(crate) fn end_operators(&self, known: impl Fn(&Digest) -> bool) {
        self.operators.owners().iter().filter(|token| !known(token)).for_each(|token| self.operators.cut(token));
    }
}

/// In which pool a connection is.
#[derive(Debug)]
enum Place {
    Stranger { _share: Share<Network> },
    Host { host: HostId, _share: Share<HostId> },
    Operator { token: Digest, _share: Share<Digest> },
}

/// One connection, for the requests that come over it.
#[derive(Debug)]
pub struct Connection {
    address: IpAddr,
    pools: Pools,
    cut: CancellationToken,
    place: Mutex<Place>,
    use_: Mutex<Use>,
    pieces: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

/// The requests of a connection.
#[derive(Debug)]
struct Use {
    next: u64,
    /// When the client last took something of the answer; none while the answer is being made.
    open: HashMap<u64, Option<Instant>>,
    /// When there was a request last.
    last: Instant,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Used,
    /// Nothing is asked; it is ended in order.
    Idle,
    /// An answer is not read; it is cut.
    Unread,
}

impl Connection {
    pub(super) fn new(address: IpAddr, pools: Pools, cut: CancellationToken) -> Arc<Self> {
        let share = pools.strangers.open(Network::from(address), cut.clone());
        share.grow(1);
        Arc::new(Self {
            address,
            pools,
            cut,
            place: Mutex::new(Place::Stranger { _share: share }),
            use_: Mutex::new(Use { next: 0, open: HashMap::new(), last: Instant::now() }),
            pieces: Arc::new(Semaphore::new(STRANGER_PIECES)),
            answers: Arc::new(Semaphore::new(ANSWERS)),
        })
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_use(&self) -> MutexGuard<'_, Use> {
        self.use_.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other end's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Where it comes from, as far as limits go.
    pub fn network(&self) -> Network {
        self.address.into()
    }

    /// The host that has shown its key or session over it.
    pub fn host(&self) -> Option<HostId> {
        match &*self.place() {
            Place::Host { host, .. } => Some(host.clone()),
            Place::Stranger { .. } | Place::Operator { .. } => None,
        }
    }

    // `before` is where it was until now.
    fn is_known(&self, before: &Place) {
        if matches!(before, Place::Stranger { .. }) {
            self.pieces.add_permits(PIECES - STRANGER_PIECES);
        }
    }

    /// A host has shown its key or its session.
    pub fn is_host(&self, host: &HostId) {
        let mut place = self.place();
        if matches!(&*place, Place::Host { host: known, .. } if known == host) {
            return;
        }
        let share = self.pools.hosts.open(host.clone(), self.cut.clone());
        share.grow(1);
        self.is_known(&place);
        *place = Place::Host { host: host.clone(), _share: share };
    }

    /// An operator has shown a token with this digest.
    pub fn is_operator(&self, token: Digest) {
        let mut place = self.place();
        if matches!(&*place, Place::Operator { token: known, .. } if *known == token) {
            return;
        }
        let share = self.pools.operators.open(token, self.cut.clone());
        share.grow(1);
        self.is_known(&place);
        *place = Place::Operator { token, _share: share };
    }

    /// Whole answers that may be held at once.
    pub fn answers(&self) -> &Arc<Semaphore> {
        &self.answers
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> Request {
        let mut used = self.in_use();
        used.next = used.next.saturating_add(1);
        let number = used.next;
        used.open.insert(number, None);
        Request { connection: Arc::clone(self), number }
    }

    pub(super) fn health(&self, now: Instant) -> Health {
        let stranger = matches!(&*self.place(), Place::Stranger { .. });
        let used = self.in_use();
        if used.open.values().flatten().any(|asked| now.saturating_duration_since(*asked) > UNREAD) {
            return Health::Unread;
        }
        let idle = if stranger { STRANGER_IDLE } else { IDLE };
        match used.open.is_empty() && now.saturating_duration_since(used.last) > idle {
            true => Health::Idle,
            false => Health::Used,
        }
    }
}

/// A request under way, until its answer is taken.
#[derive(Debug)]
pub(super) struct Request {
    connection: Arc<Connection>,
    number: u64,
}

impl Request {
    /// The client takes, or is ready to take, something of the answer.
    fn asked(&self) {
        let now = Instant::now();
        if let Some(asked) = self.connection.in_use().open.get_mut(&self.number) {
            *asked = Some(now);
        }
    }

    /// The answer, passed on in pieces, which says when it is asked for more.
    pub(super) fn answer(self, answer: Response) -> Response {
        self.asked();
        let kind = answer.headers().get(header::CONTENT_TYPE);
        // Of a stream an event is passed on when it happens; it must not hold a piece's place until then.
        let streams = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let pieces = (!streams).then(|| PollSemaphore::new(Arc::clone(&self.connection.pieces)));
        answer.map(|body| Body::new(Asked { request: self, body, pieces, place: None, rest: Bytes::new() }))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut used = self.connection.in_use();
        used.open.remove(&self.number);
        used.last = Instant::now();
    }
}

struct Asked {
    request: Request,
    body: Body,
    pieces: Option<PollSemaphore>,
    /// The next piece's, while it is read.
    place: Option<OwnedSemaphorePermit>,
    /// Of what was made at once, what was not passed on yet.
    rest: Bytes,
}

/// A piece, and its place among those of a connection until it is passed on.
struct Piece {
    bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.request.asked();
        // The place first, and kept while the piece is read: nothing is read from the disk for somebody who takes
        // nothing.
        if let Some(pieces) = &mut this.pieces
            && this.place.is_none()
        {
            this.place = std::task::ready!(pieces.poll_acquire(cx));
        }
        if this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        this.request.asked();
        let piece = match this.place.take() {
            None => std::mem::take(&mut this.rest),
            Some(place) => {
                let bytes = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
                Bytes::from_owner(Piece { bytes, _place: place })
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut all = SizeHint::new();
        all.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            all.set_upper(upper.saturating_add(rest));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    fn connection(pools: &Pools, address: &str) -> (Arc<Connection>, CancellationToken) {
        let cut = CancellationToken::new();
        (Connection::new(address.parse().unwrap(), pools.clone(), cut.clone()), cut)
    }

    fn pools() -> Pools {
        Pools::new(Plan { operators: 2, hosts: 16, strangers: 2 })
    }

    #[tokio::test]
    async fn who_has_shown_something_does_not_give_way_to_strangers() {
        let pools = pools();
        let (first, first_cut) = connection(&pools, "127.0.0.1");
        first.is_operator(Digest::of(b"token"));
        let (second, second_cut) = connection(&pools, "127.0.0.1");
        second.is_host(&"402206-ap1".parse().unwrap());
        let crowd: Vec<_> = (0..10).map(|_| connection(&pools, "127.0.0.1")).collect();
        assert!(!first_cut.is_cancelled() && !second_cut.is_cancelled());
        let left = crowd.iter().filter(|(_, cut)| !cut.is_cancelled()).count();
        assert_eq!(left, 2);
        assert!(!crowd[9].1.is_cancelled(), "a newcomer always gets in");
        pools.end_operators(|_| false);
        assert!(first_cut.is_cancelled() && !second_cut.is_cancelled(), "a token that is known no more");
    }

    #[tokio::test]
    async fn one_host_has_a_few_connections_and_its_oldest_gives_way() {
        let pools = pools();
        let host = "402206-ap1".parse().unwrap();
        let all: Vec<_> = (0..=HOST_CONNECTIONS_MAX).map(|_| connection(&pools, "127.0.0.1")).collect();
        let all: Vec<_> = all.into_iter().filter(|(_, cut)| !cut.is_cancelled()).collect();
        all.iter().for_each(|(connection, _)| connection.is_host(&host));
        let more: Vec<_> = (0..HOST_CONNECTIONS_MAX)
            .map(|_| {
                let one = connection(&pools, "127.0.0.1");
                one.0.is_host(&host);
                one
            })
            .collect();
        assert!(all.iter().all(|(_, cut)| cut.is_cancelled()) && more.iter().all(|(_, cut)| !cut.is_cancelled()));
    }

    #[tokio::test]
    async fn pings_do_not_keep_a_connection_and_a_request_does() {
        let pools = pools();
        let (one, _) = connection(&pools, "127.0.0.1");
        let begun = Instant::now();
        assert_eq!(one.health(begun + STRANGER_IDLE / 2), Health::Used);
        let late = begun + STRANGER_IDLE + Duration::from_secs(1);
        assert_eq!(one.health(late), Health::Idle);
        let request = one.begin();
        assert_eq!(one.health(late), Health::Used, "an answer is being made");
        one.is_host(&"402206-ap1".parse().unwrap());
        drop(request);
        assert_eq!(one.health(late), Health::Used, "a host may think for longer");
        assert_eq!(one.health(Instant::now() + IDLE + Duration::from_secs(1)), Health::Idle);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_is_unread_however_alive_the_connection_is() {
        let (one, _) = connection(&pools(), "127.0.0.1");
        let mut body = one.begin().answer(Body::from("ab").into_response()).into_body();
        let late = || Instant::now() + UNREAD + Duration::from_secs(1);
        assert_eq!(one.health(late()), Health::Unread);
        assert!(body.frame().await.is_some());
        assert_eq!(one.health(Instant::now()), Health::Used);
        drop(body);
        assert_eq!(one.health(Instant::now()), Health::Used);
    }

    #[tokio::test]
    async fn of_all_answers_of_a_connection_a_few_pieces_are_on_their_way_and_streams_do_not_count() {
        let (one, _) = connection(&pools(), "127.0.0.1");
        let large = || one.begin().answer(Body::from(vec![b'x'; 5 * PIECE_BYTES / 2]).into_response()).into_body();
        let mut all: Vec<_> = (0..PIECES + 1).map(|_| large()).collect();
        assert_eq!(all[0].size_hint().exact(), Some(5 * PIECE_BYTES as u64 / 2));
        let mut held = Vec::new();
        for answer in &mut all[..STRANGER_PIECES] {
            held.push(answer.frame().await.unwrap().unwrap());
        }
        let next = &mut all[STRANGER_PIECES];
        assert!(futures_util::FutureExt::now_or_never(next.frame()).is_none(), "a stranger has fewer");
        for _ in 0..2 {
            one.is_host(&"402206-ap1".parse().unwrap());
            one.is_operator(Digest::of(b"token"));
        }
        for answer in &mut all[STRANGER_PIECES..PIECES] {
            held.push(answer.frame().await.unwrap().unwrap());
        }
        assert!(held.iter().all(|piece| piece.data_ref().unwrap().len() == PIECE_BYTES));
        assert!(futures_util::FutureExt::now_or_never(all[0].frame()).is_none(), "nobody took a piece");
        let mut events = Body::from("data: 1").into_response();
        events.headers_mut().insert(header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
        assert!(one.begin().answer(events).into_body().frame().await.is_some());
        drop(held);
        assert_eq!(all.remove(0).collect().await.unwrap().to_bytes().len(), 3 * PIECE_BYTES / 2);
        assert_eq!(all.pop().unwrap().collect().await.unwrap().to_bytes().len(), 5 * PIECE_BYTES / 2);
    }

    #[tokio::test]
    async fn a_piece_has_its_place_before_it_is_read_and_no_more_are_read_than_have_one() {
        let (one, _) = connection(&pools(), "127.0.0.1");
        let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let reading = || {
            let read = Arc::clone(&read);
            // As a file: what is asked for is read elsewhere, and is there when it is asked for again.
            let body = Body::from_stream(futures_util::stream::once(async move {
                read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                std::future::pending::<std::io::Result<Bytes>>().await
            }));
            one.begin().answer(body.into_response()).into_body()
        };
        let mut all: Vec<_> = (0..2 * STRANGER_PIECES).map(|_| reading()).collect();
        for answer in &mut all {
            assert!(futures_util::FutureExt::now_or_never(answer.frame()).is_none());
        }
        assert_eq!(read.load(std::sync::atomic::Ordering::Relaxed), STRANGER_PIECES);
    }

    #[test]
    fn an_ipv6_customer_is_one_network() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
