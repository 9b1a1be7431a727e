//! Connected hosts, and what is pushed to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use manifests::api::HostEvent;
use manifests::id::HostId;
use tokio::sync::mpsc;

/// Events that may wait for one host. A host that lets more wait is cut: it asks again.
const WAITING_MAX: usize = 64;

/// One event as it goes over the wire.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    /// Name of the server-sent event.
    pub name: &'static str,
    /// Its data, one line of JSON.
    pub data: Arc<str>,
}

impl StreamEvent {
    /// From an event of the interface.
    pub fn new(event: &HostEvent) -> Self {
        let (name, data) = match event {
            HostEvent::Permit(permit) => ("permit", serde_json::to_string(permit)),
            HostEvent::Stop(stop) => ("stop", serde_json::to_string(stop)),
            HostEvent::Refresh(version) => ("refresh", serde_json::to_string(version)),
        };
        Self { name, data: data.unwrap_or_default().into() }
    }
}

/// Streams by host; a host's newer stream ends its older one.
#[derive(Debug, Default)]
pub struct Streams(Mutex<HashMap<HostId, mpsc::Sender<StreamEvent>>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<HostId, mpsc::Sender<StreamEvent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a host's stream.
    pub fn open(&self, host: HostId) -> mpsc::Receiver<StreamEvent> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.lock().insert(host, sender);
        receiver
    }

    /// Whether the host is connected.
    pub fn is_open(&self, host: &HostId) -> bool {
        self.lock().get(host).is_some_and(|sender| !sender.is_closed())
    }

    /// Pushes to one host, if it is connected.
    pub fn push(&self, host: &HostId, item: StreamEvent) {
        let mut streams = self.lock();
        if streams.get(host).is_some_and(|sender| sender.try_send(item).is_err()) {
            streams.remove(host);
        }
    }

    /// Pushes to every connected host.
    pub fn push_all(&self, item: &StreamEvent) {
        self.lock().retain(|_, sender| sender.try_send(item.clone()).is_ok());
    }

    /// Ends the stream of a host whose key was replaced.
    pub fn close(&self, host: &HostId) {
        self.lock().remove(host);
    }
}
