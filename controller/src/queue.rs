//! What waits to be written, and the handle by which requests get there. A full queue is answered 503.

use manifests::api::StopView;
use manifests::digest::Digest;
use manifests::fleet::{Answer, Document, Policy};
use manifests::id::HostId;
use manifests::key::{KeyId, PublicKey};
use manifests::stop::{Scope, StopRef};
use tokio::sync::{mpsc, oneshot};

use crate::error::Failure;
use crate::store::PublishRow;

/// Requests that may wait to be written.
const WAITING_MAX: usize = 4096;

/// Where the answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Command {
    Report(Box<Report>, Reply<Answer>),
    Enrol { token: Digest, host: HostId, key: PublicKey, reply: Reply<()> },
    Acknowledge { host: HostId, key: KeyId, stop: StopRef, envelope: String, reply: Reply<()> },
    FileList { digest: Digest, bytes: Vec<u8>, reply: Reply<()> },
    Stop { scope: Scope, reason: String, operator: String, reply: Reply<StopView> },
    Install { policy: Box<Policy>, row: PublishRow, reply: Reply<()> },
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
    pub document: Document,
    /// Its payload's digest.
    pub digest: Digest,
    /// As it was signed, of full evidence.
    pub envelope: Option<String>,
}

/// Hands requests to the writer.
#[derive(Clone, Debug)]
pub struct Writer(mpsc::Sender<Command>);

/// The other end of a [`Writer`].
pub(crate) type Queue = mpsc::Receiver<Command>;

impl Writer {
    pub(crate) fn new() -> (Self, Queue) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(command(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::unavailable("too many requests are waiting"),
            mpsc::error::TrySendError::Closed(_) => Failure::unavailable("the store cannot be written"),
        })?;
        answer.await.unwrap_or_else(|_| Err(Failure::unavailable("the store cannot be written")))
    }

    /// A host's document.
    ///
    /// # Errors
    /// Why it does not count, or 503.
    pub async fn report(&self, report: Report) -> Result<Answer, Failure> {
        self.ask(|reply| Command::Report(Box::new(report), reply)).await
    }

    /// A host's key, for a one-time token.
    ///
    /// # Errors
    /// 401, 403 or 409, or 503.
    pub async fn enrol(&self, token: Digest, host: HostId, key: PublicKey) -> Result<(), Failure> {
        self.ask(|reply| Command::Enrol { token, host, key, reply }).await
    }

    /// A host has a stop on disk.
    ///
    /// # Errors
    /// 404 for a stop that is not ours, or 503.
    pub async fn acknowledge(&self, host: HostId, key: KeyId, stop: StopRef, envelope: String) -> Result<(), Failure> {
        self.ask(|reply| Command::Acknowledge { host, key, stop, envelope, reply }).await
    }

    /// A file list whose bytes have this digest.
    ///
    /// # Errors
    /// 503.
    pub async fn file_list(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Failure> {
        self.ask(|reply| Command::FileList { digest, bytes, reply }).await
    }

    /// An operator's stop.
    ///
    /// # Errors
    /// 400 for one that stops nobody, or 503.
    pub async fn stop(&self, scope: Scope, reason: String, operator: String) -> Result<StopView, Failure> {
        self.ask(|reply| Command::Stop { scope, reason, operator, reply }).await
    }

    /// Puts what was published in force.
    ///
    /// # Errors
    /// 503.
    pub async fn install(&self, policy: Policy, row: PublishRow) -> Result<(), Failure> {
        self.ask(|reply| Command::Install { policy: Box::new(policy), row, reply }).await
    }

    /// Whether the store can be written.
    ///
    /// # Errors
    /// 503 if not.
    pub async fn probe(&self) -> Result<(), Failure> {
        self.ask(Command::Probe).await
    }
}
