//! Keeps this controller ready to take over from another one: as long as that one answers, its word for hosts' keys
//! and its stops are fetched. All of it counts by its signature alone, under keys that the registry in force lists.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::client::{Address, AskLimits, Client, ClientError, Token};
use manifests::api::{self, Handover};
use manifests::fleet::FleetHost;

use crate::app::App;
use crate::chain::chain;

/// How often the other controller is asked.
const INTERVAL: Duration = Duration::from_secs(10);
const LIMITS: AskLimits = AskLimits {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(60),
    silence: None,
    ping: None,
    // 10,000 hosts with less than a KiB each, and stops.
    answer_bytes: 64 << 20,
};

/// Whom to follow.
#[derive(Debug, Default, clap::Args)]
#[group(skip)] // A group would bear the name of the one of `serve`.
pub struct Args {
    /// Another controller to take over from, as `https://main.example:8443`: hosts' keys and stops are fetched from it
    #[arg(long, value_name = "URL", requires_all = ["follow_ca", "follow_token_file"])]
    pub follow: Option<String>,
    /// PEM file with that controller's CA
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub follow_ca: Option<PathBuf>,
    /// File with a viewer's token of that controller
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub follow_token_file: Option<PathBuf>,
}

/// Asks one controller.
#[derive(Debug)]
pub(crate) struct Followed {
    address: Address,
    client: Client,
    token: Token,
}

impl Followed {
    /// Prepares to ask; nothing where nobody is to be followed.
    ///
    /// # Errors
    /// [`ClientError`] where address, CA or token are of no use.
    pub(crate) fn new(args: &Args) -> Result<Option<Self>, ClientError> {
        let Args { follow: Some(address), follow_ca: Some(ca), follow_token_file: Some(token) } = args else {
            return Ok(None);
        };
        let address = Address::parse(address)?;
        Ok(Some(Self { address, client: Client::new(ca, LIMITS)?, token: Token::of_operator(token)? }))
    }

    async fn ask(&self) -> Result<Handover, ClientError> {
        self.client.ask(self.client.get(self.address.url(api::HANDOVER)).token(&self.token)).await
    }
}

/// Fetches until the controller stops.
pub(crate) async fn run(app: Arc<App>, followed: Followed) {
    let mut answered = None;
    loop {
        let result = followed.ask().await;
        let answers = result.is_ok();
        match result {
            Ok(handover) => take_over(&app, handover, followed.address.as_str()).await,
            // Said once: from then on it is this controller's turn, and no news.
            Err(error) if answered != Some(false) => {
                tracing::warn!(controller = followed.address.as_str(), error = chain(&error), "it does not answer");
            }
            Err(_) => {}
        }
        if answers && answered != Some(true) {
            tracing::info!(controller = followed.address.as_str(), "its hosts' keys and stops are fetched");
        }
        answered = Some(answers);
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn take_over(app: &App, handover: Handover, from: &str) {
    let (words, stops) = {
        let fleet = app.fleet();
        let Some(registry) = fleet.registry() else { return };
        // What is known already is looked at no further.
        let is_news = |claimed: &manifests::enrolment::Enrolled| {
            let known = fleet.host(&claimed.host);
            claimed.product == *fleet.product() && claimed.generation > known.map_or(0, FleetHost::generation)
        };
        let words: Vec<_> = handover
            .enrolments
            .into_iter()
            .filter(|word| word.claimed().is_ok_and(|claimed| is_news(&claimed)))
            .filter_map(|word| registry.verify_enrolled(word).ok())
            .collect();
        let unknown = handover.stops.into_iter().filter(|stop| !fleet.knows_stop(&stop.digest()));
        let stops: Vec<_> = unknown
            .filter_map(|stop| {
                let stop = stop.verify(registry.permit_keys()).ok()?;
                let key = registry.permit_keys().find(|key| key.id() == *stop.signer())?.clone();
                Some((stop, key))
            })
            .collect();
        (words, stops)
    };
    if !words.is_empty()
        && let Err(error) = app.writer.carry_over(words).await
    {
        tracing::error!(error = chain(&error), from, "hosts' keys were not carried over; they are fetched again");
    }
    if !stops.is_empty()
        && let Err(error) = app.writer.take_listed(from.to_owned(), stops).await
    {
        tracing::error!(error = chain(&error), from, "stops were not taken over; they are fetched again");
    }
}
