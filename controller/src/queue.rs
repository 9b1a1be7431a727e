//! Requests to be written, the handle by which they get to the writer, and why they may be refused. Whose turn it
//! is, `turns` knows.

mod turns;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use manifests::api::StopView;
use manifests::digest::Digest;
use manifests::enrolment::Enrolled;
use manifests::envelope::{EnvelopeError, Verified};
use manifests::fleet::{EnrolError, HostDocument, Policy, Refusal, ReportAnswer, StopError};
use manifests::id::HostId;
use manifests::key::{KeyId, PublicKey};
use manifests::permit::VerifiedPermit;
use manifests::stop::{Scope, Stop, StopRef};
use manifests::time::Time;
use tokio::sync::{Notify, oneshot};

use crate::store::PublishRow;
use turns::Waiting;

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The document does not count.
    #[error(transparent)]
    Document(#[from] Refusal),
    /// The key that signed was the host's when the document came into the queue, and is not any more.
    #[error("the host's key was replaced")]
    KeyReplaced,
    /// The token is not good for it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The host cannot have the key.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The stop is none, or not ours.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// The request made another stop before.
    #[error("this request has made another stop already")]
    RequestUsed,
    /// The operator has made enough stops, and this one closes nobody more.
    #[error("{max} stops were made within a minute, and whoever this one names is stopped")]
    TooManyStops {
        /// How many are enough.
        max: usize,
    },
    /// What was made cannot be signed.
    #[error(transparent)]
    Seal(#[from] EnvelopeError),
    /// Too much waits already.
    #[error("too many requests are waiting")]
    Full,
    /// A newer document of the same host came before this one's turn.
    #[error("a newer document of this host is waiting")]
    Superseded,
    /// The batch was not committed, or nobody writes any more.
    #[error("the store cannot be written")]
    Closed,
}

/// Why a one-time token does not enrol the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no such token.
    #[error("the token is not known")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It was used, with another key.
    #[error("the token was used before")]
    Used,
    /// It was made for another host.
    #[error("the token is for another host")]
    WrongHost,
}

/// Where the answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, WriteError>>;

/// Something to be written.
#[derive(Debug)]
pub(crate) enum WriterCommand {
    Report(Box<Report>, Reply<ReportAnswer>),
    Enrol {
        token: Digest,
        host: HostId,
        key: PublicKey,
        reply: Reply<()>,
    },
    Acknowledge {
        host: HostId,
        key: KeyId,
        stop: StopRef,
        envelope: String,
        reply: Reply<()>,
    },
    FileList {
        host: HostId,
        digest: Digest,
        bytes: Vec<u8>,
        reply: Reply<()>,
    },
    Stop {
        asked: AskedStop,
        operator: String,
        reply: Reply<StopView>,
    },
    Handed {
        host: HostId,
        handed: Box<HandedIn>,
        reply: Reply<()>,
    },
    CarryOver {
        /// The controller that they were fetched from; a host's own word has none.
        from: Option<String>,
        words: Vec<Verified<Enrolled>>,
        reply: Reply<Vec<(HostId, EnrolError)>>,
    },
    TakeListed {
        from: String,
        stops: Vec<(Verified<Stop>, PublicKey)>,
        reply: Reply<Vec<(Digest, WriteError)>>,
    },
    LookedAt {
        operator: String,
        note: String,
        reply: Reply<bool>,
    },
    TakeOver {
        stop: Digest,
        operator: String,
        reply: Reply<StopView>,
    },
    PutInForce {
        until: Time,
        published: Option<Box<(Policy, PublishRow)>>,
        reply: Reply<()>,
    },
    Expires(Vec<String>, Reply<()>),
    Probe(Reply<()>),
    /// Drops what nobody names.
    Collect,
    Tick,
}

/// A stop that an operator asks for.
#[derive(Clone, Debug)]
pub struct AskedStop {
    /// Whom.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Which request of this operator it is: sent again it makes no second stop.
    pub request: Option<String>,
}

/// A document whose signature was checked with `key`.
#[derive(Debug)]
pub struct Report {
    /// The key's host.
    pub host: HostId,
    /// The key.
    pub key: KeyId,
    /// The document.
    pub document: HostDocument,
    /// Its payload's digest.
    pub digest: Digest,
    /// As it was signed, of full evidence.
    pub envelope: Option<String>,
}

/// What a host hands in, each signature checked.
#[derive(Debug, Default)]
pub struct HandedIn {
    /// Stops with the keys that signed them.
    pub stops: Vec<(Verified<Stop>, PublicKey)>,
    /// Number of the permit that the host was asked for.
    pub permit_number: Option<u64>,
    /// That permit, if this controller's own key signed it.
    pub own_permit: Option<VerifiedPermit>,
}

impl WriterCommand {
    /// Whether it is an operator's, or what follows from one.
    pub(crate) fn is_operators(&self) -> bool {
        matches!(
            self,
            WriterCommand::Stop { .. }
                | WriterCommand::PutInForce { .. }
                | WriterCommand::TakeListed { .. }
                | WriterCommand::LookedAt { .. }
                | WriterCommand::TakeOver { .. }
        )
    }
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands requests to the writer.
#[derive(Clone, Debug)]
pub struct Writer(Arc<Shared>);

/// The other end of a [`Writer`]. Without it nobody writes: who waits is told so.
#[derive(Debug)]
pub(crate) struct Queue(Arc<Shared>);

impl Queue {
    /// What is written next, as soon as there is something.
    pub(crate) async fn first(&mut self) -> WriterCommand {
        loop {
            // One permit is kept for whoever comes between the look and the wait.
            if let Some(command) = self.0.lock().next() {
                return command;
            }
            self.0.news.notified().await;
        }
    }

    /// What is written next.
    pub(crate) fn next(&mut self) -> Option<WriterCommand> {
        self.0.lock().next()
    }

    /// What an operator waits for next.
    pub(crate) fn next_of_operators(&mut self) -> Option<WriterCommand> {
        self.0.lock().operators.pop_front()
    }

    /// Whether an operator waits.
    pub(crate) fn has_operators(&self) -> bool {
        !self.0.lock().operators.is_empty()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.lock().close();
    }
}

impl Writer {
    pub(crate) fn new() -> (Self, Queue) {
        let shared = Arc::new(Shared::default());
        (Self(Arc::clone(&shared)), Queue(shared))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> WriterCommand) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        let command = command(reply);
        self.0.lock().take(command)?;
        self.0.news.notify_one();
        answer.await.unwrap_or_else(|_| Err(WriteError::Closed))
    }

    /// A host's document.
    ///
    /// # Errors
    /// [`WriteError::Document`], [`WriteError::KeyReplaced`], [`WriteError::Superseded`], or not written.
    pub async fn report(&self, report: Report) -> Result<ReportAnswer, WriteError> {
        self.ask(|reply| WriterCommand::Report(Box::new(report), reply)).await
    }

    /// A host's key, for a one-time token.
    ///
    /// # Errors
    /// [`WriteError::Token`], [`WriteError::Enrol`], or not written.
    pub async fn enrol(&self, token: Digest, host: HostId, key: PublicKey) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::Enrol { token, host, key, reply }).await
    }

    /// A host has a stop on disk.
    ///
    /// # Errors
    /// [`WriteError::Stop`] for one that is not ours, [`WriteError::KeyReplaced`], or not written.
    pub async fn acknowledge(
        &self,
        host: HostId,
        key: KeyId,
        stop: StopRef,
        envelope: String,
    ) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::Acknowledge { host, key, stop, envelope, reply }).await
    }

    /// A file list, handed in by `host`, whose bytes have this digest.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn file_list(&self, host: HostId, digest: Digest, bytes: Vec<u8>) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::FileList { host, digest, bytes, reply }).await
    }

    /// An operator's stop; the one that the same request made before, if it is sent again.
    ///
    /// # Errors
    /// [`WriteError::Stop`] for one that stops nobody, [`WriteError::RequestUsed`], [`WriteError::TooManyStops`], or
    /// not written.
    pub async fn stop(&self, asked: AskedStop, operator: String) -> Result<StopView, WriteError> {
        self.ask(|reply| WriterCommand::Stop { asked, operator, reply }).await
    }

    /// What a host has and is not known here.
    ///
    /// # Errors
    /// If what is taken over was not written.
    pub async fn handed(&self, host: HostId, handed: HandedIn) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::Handed { host, handed: Box::new(handed), reply }).await
    }

    /// Words of controllers that the registry lists, for hosts' keys. Comes back with those that are refused, and why.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn carry_over(
        &self,
        from: Option<String>,
        words: Vec<Verified<Enrolled>>,
    ) -> Result<Vec<(HostId, EnrolError)>, WriteError> {
        self.ask(|reply| WriterCommand::CarryOver { from, words, reply }).await
    }

    /// Stops that another controller handed over, under keys that the registry lists. Comes back with those that are
    /// refused, and why.
    ///
    /// # Errors
    /// If what is taken over was not written.
    pub async fn take_listed(
        &self,
        from: String,
        stops: Vec<(Verified<Stop>, PublicKey)>,
    ) -> Result<Vec<(Digest, WriteError)>, WriteError> {
        self.ask(|reply| WriterCommand::TakeListed { from, stops, reply }).await
    }

    /// An operator has looked at it that this controller was set back. Says whether there was anything to look at.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn looked_at(&self, operator: String, note: String) -> Result<bool, WriteError> {
        self.ask(|reply| WriterCommand::LookedAt { operator, note, reply }).await
    }

    /// An operator takes over a stop under a key that the registry does not list, with its chain.
    ///
    /// # Errors
    /// [`WriteError::Stop`] for one that nobody handed in, or not written.
    pub async fn take_over(&self, stop: Digest, operator: String) -> Result<StopView, WriteError> {
        self.ask(|reply| WriterCommand::TakeOver { stop, operator, reply }).await
    }

    /// Timestamp and snapshot are good until then, and what was published with them is in force.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn put_in_force(&self, until: Time, published: Option<(Policy, PublishRow)>) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::PutInForce { until, published: published.map(Box::new), reply }).await
    }

    /// Something ends soon, or has ended: a sentence each.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn expires(&self, notes: Vec<String>) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::Expires(notes, reply)).await
    }

    /// Whether the store can be written.
    ///
    /// # Errors
    /// If not.
    pub async fn probe(&self) -> Result<(), WriteError> {
        self.ask(WriterCommand::Probe).await
    }
}
