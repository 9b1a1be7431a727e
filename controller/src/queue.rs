//! What waits to be written, the handle by which requests get there, and why they may be refused.

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
use tokio::sync::{mpsc, oneshot};

use crate::store::PublishRow;

/// Requests that may wait to be written.
const WAITING_MAX: usize = 4096;

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
    /// What was made cannot be signed.
    #[error(transparent)]
    Seal(#[from] EnvelopeError),
    /// Too much waits already.
    #[error("too many requests are waiting")]
    Full,
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
    Enrol { token: Digest, host: HostId, key: PublicKey, reply: Reply<()> },
    Acknowledge { host: HostId, key: KeyId, stop: StopRef, envelope: String, reply: Reply<()> },
    FileList { digest: Digest, bytes: Vec<u8>, reply: Reply<()> },
    Stop { scope: Scope, reason: String, operator: String, reply: Reply<StopView> },
    Handed { host: HostId, handed: HandedIn, reply: Reply<()> },
    CarryOver { words: Vec<Verified<Enrolled>>, reply: Reply<()> },
    TakeListed { from: String, stops: Vec<(Verified<Stop>, PublicKey)>, reply: Reply<()> },
    LookedAt { operator: String, note: String, reply: Reply<bool> },
    TakeOver { stop: Digest, operator: String, reply: Reply<StopView> },
    PutInForce { until: Time, published: Option<Box<(Policy, PublishRow)>>, reply: Reply<()> },
    Probe(Reply<()>),
    Tick,
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

/// Hands requests to the writer.
#[derive(Clone, Debug)]
pub struct Writer(mpsc::Sender<WriterCommand>);

/// The other end of a [`Writer`].
pub(crate) type Queue = mpsc::Receiver<WriterCommand>;

impl Writer {
    pub(crate) fn new() -> (Self, Queue) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> WriterCommand) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(command(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Full,
            mpsc::error::TrySendError::Closed(_) => WriteError::Closed,
        })?;
        answer.await.unwrap_or_else(|_| Err(WriteError::Closed))
    }

    /// A host's document.
    ///
    /// # Errors
    /// [`WriteError::Document`], [`WriteError::KeyReplaced`], or not written.
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

    /// A file list whose bytes have this digest.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn file_list(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::FileList { digest, bytes, reply }).await
    }

    /// An operator's stop.
    ///
    /// # Errors
    /// [`WriteError::Stop`] for one that stops nobody, or not written.
    pub async fn stop(&self, scope: Scope, reason: String, operator: String) -> Result<StopView, WriteError> {
        self.ask(|reply| WriterCommand::Stop { scope, reason, operator, reply }).await
    }

    /// What a host has and is not known here.
    ///
    /// # Errors
    /// If what is taken over was not written.
    pub async fn handed(&self, host: HostId, handed: HandedIn) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::Handed { host, handed, reply }).await
    }

    /// Words of controllers that the registry lists, for hosts' keys. What several say is not refused, only that of
    /// one.
    ///
    /// # Errors
    /// [`WriteError::Enrol`], or not written.
    pub async fn carry_over(&self, words: Vec<Verified<Enrolled>>) -> Result<(), WriteError> {
        self.ask(|reply| WriterCommand::CarryOver { words, reply }).await
    }

    /// Stops that another controller handed over, under keys that the registry lists.
    ///
    /// # Errors
    /// If what is taken over was not written.
    pub async fn take_listed(&self, from: String, stops: Vec<(Verified<Stop>, PublicKey)>) -> Result<(), WriteError> {
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

    /// Whether the store can be written.
    ///
    /// # Errors
    /// If not.
    pub async fn probe(&self) -> Result<(), WriteError> {
        self.ask(WriterCommand::Probe).await
    }
}
