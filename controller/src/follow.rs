//! Keeps this controller ready to take over from another one: as long as that one answers, its word for hosts' keys
//! and its stops are fetched. All of it counts by its signature alone, under keys that the registry in force lists.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::client::{Address, Again, AskLimits, Client, ClientError, Token};
use manifests::api::{self, Handover};
use manifests::enrolment::Enrolled;
use manifests::envelope::{Sealed, Verified};
use manifests::fleet::FleetHost;
use manifests::id::HostId;
use manifests::key::PublicKey;
use manifests::stop::Stop;

use crate::app::App;
use crate::chain::chain;

/// How often the other controller is asked.
const INTERVAL: Duration = Duration::from_secs(10);
/// Words, and stops, that are written in one turn: others come between.
const AT_ONCE: usize = 256;
/// Refusals of one fetch that are told each for itself.
const TOLD_MAX: usize = 20;
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

    /// What it hands over, if it is not what `tag` names.
    async fn ask(&self, tag: Option<&str>) -> Result<Again<Handover>, ClientError> {
        self.client.ask_again(self.client.get(self.address.url(api::HANDOVER)).token(&self.token), tag).await
    }
}

/// Fetches until the controller stops.
pub(crate) async fn run(app: Arc<App>, followed: Followed) {
    let from = followed.address.as_str();
    let (mut answered, mut tag, mut last) = (None, None, Outcome::default());
    loop {
        let result = followed.ask(tag.as_deref()).await;
        let answers = result.is_ok();
        match result {
            Ok(news) => {
                // What was not taken the last time may be now: this controller's registry may list what it did not.
                let handover = match news {
                    Again::Other { answer, tag: newest } => {
                        tag = newest;
                        answer
                    }
                    Again::Same { .. } => std::mem::take(&mut last.left),
                };
                match take_over(&app, handover, from).await {
                    Some(outcome) => {
                        tell(&last, &outcome, from);
                        last = outcome;
                    }
                    None => tag = None,
                }
            }
            // Said once: from then on it is this controller's turn, and no news.
            Err(error) if answered != Some(false) => {
                tracing::warn!(controller = from, error = chain(&error), "it does not answer");
            }
            Err(_) => {}
        }
        if answers && answered != Some(true) {
            tracing::info!(controller = from, "its hosts' keys and stops are fetched");
        }
        answered = Some(answers);
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// What was not taken of a handover.
#[derive(Debug, Default)]
struct Outcome {
    /// To be tried again.
    left: Handover,
    /// Why not, by host or stop.
    refused: BTreeMap<String, String>,
}

impl Outcome {
    fn refuse_word(&mut self, word: Sealed<Enrolled>, host: &HostId, why: impl Display) {
        self.refused.insert(format!("the key of {host}"), why.to_string());
        self.left.enrolments.push(word);
    }

    fn refuse_stop(&mut self, stop: Sealed<Stop>, why: impl Display) {
        self.refused.insert(format!("stop {}", stop.digest()), why.to_string());
        self.left.stops.push(stop);
    }
}

/// Tells each refusal when it is news.
fn tell(before: &Outcome, now: &Outcome, from: &str) {
    let news: Vec<_> = now.refused.iter().filter(|(what, why)| before.refused.get(*what) != Some(*why)).collect();
    for (what, reason) in news.iter().take(TOLD_MAX) {
        tracing::warn!(controller = from, what, reason, "it is not taken over; it is tried again with each fetch");
    }
    if let Some(more) = news.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        tracing::warn!(controller = from, more, "others are not taken over either");
    }
}

/// What counts of a handover, each signature checked.
#[derive(Debug, Default)]
struct Checked {
    words: Vec<Verified<Enrolled>>,
    stops: Vec<(Verified<Stop>, PublicKey)>,
    outcome: Outcome,
}

/// Looks at what is not known here. Under the fleet's lock nothing is parsed and no signature checked.
fn check(app: &App, handover: Handover) -> Checked {
    let mut checked = Checked::default();
    let Checked { words, stops, outcome } = &mut checked;
    let mut claimed = Vec::new();
    for word in handover.enrolments {
        match word.claimed() {
            Ok(said) => claimed.push((said, word)),
            Err(error) => {
                outcome.refused.insert(format!("a word {}", word.digest()), error.to_string());
                outcome.left.enrolments.push(word);
            }
        }
    }
    let (news, unknown, registry) = {
        let fleet = app.fleet();
        let is_news = |said: &Enrolled| said.generation > fleet.host(&said.host).map_or(0, FleetHost::generation);
        let news: Vec<_> = claimed.into_iter().filter(|(said, _)| is_news(said)).collect();
        let unknown = handover.stops.into_iter().filter(|stop| !fleet.knows_stop(&stop.digest()));
        let unknown: Vec<_> = unknown.collect();
        let registry = fleet.registry().filter(|_| !news.is_empty() || !unknown.is_empty()).cloned();
        (news, unknown, registry)
    };
    let Some(registry) = registry else {
        // Before the first publish nobody is listed whose word would count.
        outcome.left = Handover { enrolments: news.into_iter().map(|(_, word)| word).collect(), stops: unknown };
        return checked;
    };
    let product = app.fleet().product().clone();
    for (said, word) in news {
        match registry.verify_enrolled(word.clone()) {
            Ok(verified) if verified.product == product => words.push(verified),
            Ok(verified) => outcome.refuse_word(word, &said.host, format!("it is of product {}", verified.product)),
            Err(error) => outcome.refuse_word(word, &said.host, error),
        }
    }
    for stop in unknown {
        let verified = stop.clone().verify(registry.permit_keys());
        match verified.map(|verified| {
            let key = registry.permit_keys().find(|key| key.id() == *verified.signer()).cloned();
            (verified, key)
        }) {
            Ok((verified, Some(key))) => stops.push((verified, key)),
            Ok((_, None)) => outcome.refuse_stop(stop, "no controller of the registry signed it"),
            Err(error) => outcome.refuse_stop(stop, error),
        }
    }
    checked
}

/// Takes over what counts: stops first. Nothing comes back if it could not be looked at.
async fn take_over(app: &Arc<App>, handover: Handover, from: &str) -> Option<Outcome> {
    let looked = {
        let app = Arc::clone(app);
        tokio::task::spawn_blocking(move || check(&app, handover)).await
    };
    let Checked { words, stops, mut outcome } = match looked {
        Ok(checked) => checked,
        Err(error) => {
            tracing::error!(error = chain(&error), from, "the handover could not be looked at; it is fetched again");
            return None;
        }
    };
    for piece in stops.chunks(AT_ONCE) {
        match app.writer.take_listed(from.to_owned(), piece.to_vec()).await {
            Ok(refused) => {
                for (digest, why) in refused {
                    let stop = piece.iter().find(|(stop, _)| stop.digest() == digest);
                    stop.into_iter().for_each(|(stop, _)| outcome.refuse_stop(stop.sealed().clone(), &why));
                }
            }
            Err(error) => {
                tracing::error!(error = chain(&error), from, "stops were not taken over; they are tried again");
                outcome.left.stops.extend(piece.iter().map(|(stop, _)| stop.sealed().clone()));
            }
        }
    }
    for piece in words.chunks(AT_ONCE) {
        match app.writer.carry_over(Some(from.to_owned()), piece.to_vec()).await {
            Ok(refused) => {
                for (host, why) in refused {
                    let word = piece.iter().find(|word| word.host == host);
                    word.into_iter().for_each(|word| outcome.refuse_word(word.sealed().clone(), &host, why));
                }
            }
            Err(error) => {
                tracing::error!(error = chain(&error), from, "hosts' keys were not carried over; they are tried again");
                outcome.left.enrolments.extend(piece.iter().map(|word| word.sealed().clone()));
            }
        }
    }
    Some(outcome)
}
