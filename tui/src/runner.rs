//! Carries out what the dashboard wants done outside itself.

use std::sync::Arc;

use manifests::id::SiteCode;
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use crate::client::{ClientError, OperatorClient, cause, link_word};
use crate::effect::Effect;
use crate::event::{Event, Fetched, FetchedSite, NoContact};

/// Carries out effects as tasks.
#[derive(Debug)]
pub struct Runner {
    client: Arc<OperatorClient>,
    events: Sender<Event>,
    stream: Option<AbortHandle>,
}

impl Runner {
    /// Results go to `events`.
    pub fn new(client: OperatorClient, events: Sender<Event>) -> Self {
        Self { client: Arc::new(client.keeping()), events, stream: None }
    }

    /// Starts one effect. [`Effect::Quit`] is the event loop's own.
    pub fn run(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { after } => {
                self.disconnect();
                let (client, events) = (self.client.clone(), self.events.clone());
                let task = tokio::spawn(async move {
                    let error = client.follow(after, &events).await;
                    send(&events, Event::StreamFailed(failure(&error))).await;
                });
                self.stream = Some(task.abort_handle());
            }
            Effect::Disconnect => self.disconnect(),
            Effect::Fetch { site } => {
                let (client, events) = (self.client.clone(), self.events.clone());
                tokio::spawn(async move {
                    let fetched = fetch(&client, site).await;
                    client.fetched();
                    let event = match fetched {
                        Ok(fetched) => Event::Fetched(Box::new(fetched)),
                        Err(error) => Event::FetchFailed(failure(&error)),
                    };
                    send(&events, event).await;
                });
            }
            Effect::Quit => self.disconnect(),
        }
    }

    fn disconnect(&mut self) {
        if let Some(task) = self.stream.take() {
            task.abort();
        }
    }
}

async fn send(events: &Sender<Event>, event: Event) {
    // Nobody listens any more only when the program is ending.
    let _ = events.send(event).await;
}

fn failure(error: &ClientError) -> NoContact {
    NoContact { code: link_word(error), cause: cause(error) }
}

async fn fetch(client: &OperatorClient, site: Option<SiteCode>) -> Result<Fetched, ClientError> {
    let fleet = client.fleet().await?;
    let site = match site {
        Some(code) => {
            let view = match client.site(&code).await {
                Ok(view) => Some(view),
                Err(ClientError::Refused { status: 404, .. }) => None,
                Err(error) => return Err(error),
            };
            Some(FetchedSite { code, view, items: client.items().await? })
        }
        None => None,
    };
    Ok(Fetched { fleet, site })
}
