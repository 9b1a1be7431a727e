//! What an operator asks a controller.

use std::path::Path;
use std::time::Duration;

pub use ::client::ClientError;
use ::client::{Address, Again, AskLimits, Token, understand};
use manifests::api::{
    self, FleetView, HOSTS_PAGE, HostRow, ITEMS_PAGE, ItemRow, LookedAt, STOPS_PAGE, SetBackView, SiteView,
    StopRequest, StopView, UnlistedStop,
};
use manifests::digest::Digest;
use manifests::id::SiteCode;
use serde::de::DeserializeOwned;

mod kept;
mod stream;

use kept::{Answer, Kept, Still};

/// How often a list is asked for anew because it changed between two pages.
const BEGUN_ANEW_MAX: u32 = 2;
/// AskLimits of a question and its answer.
const LIMITS: AskLimits = AskLimits {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(15),
    silence: None,
    // A stream through a dead network path is noticed after at most two of these.
    ping: Some(Duration::from_secs(10)),
    // 10,000 sites with a few reasons each take 8 MiB.
    answer_bytes: 64 << 20,
};

/// The stable word for what broke the link; `link-WORD` is its text for people.
pub fn link_word(error: &ClientError) -> &'static str {
    match (error.code(), error.status()) {
        (_, Some(401 | 403)) => "refused",
        (word @ ("status" | "timeout" | "too-large" | "answer" | "ended"), _) => word,
        // What keeps a client from being made keeps it from connecting.
        _ => "connect",
    }
}

/// What is behind [`link_word`], in one line cleaned for terminals, as `invalid peer certificate:
/// UnknownIssuer`. Empty where the word says it all.
pub fn cause(error: &ClientError) -> String {
    let said = match error {
        ClientError::Refused { status, body, .. } => format!("{status} {}", body.code),
        ClientError::Answer { why, .. } => why.clone(),
        ClientError::Timeout { .. } | ClientError::TooLarge { .. } | ClientError::Ended { .. } => String::new(),
        error => {
            // The innermost cause is the one that somebody can mend.
            let first = std::error::Error::source(error);
            let last = std::iter::successors(first, |error| error.source()).last();
            last.map(ToString::to_string).unwrap_or_default()
        }
    };
    crate::cells::cut(&said, 120)
}

/// A controller and the right to ask it.
#[derive(Debug)]
pub struct OperatorClient {
    client: ::client::Client,
    address: Address,
    token: Token,
    kept: Option<Kept>,
}

impl OperatorClient {
    /// A client of the controller at `address`, which must show a certificate under the CA in `ca`.
    ///
    /// # Errors
    /// [`ClientError`] where the address, the CA or the token is of no use. Nothing is connected yet.
    pub fn new(address: &str, ca: &Path, token: &Path) -> Result<Self, ClientError> {
        let address = Address::parse(address)?;
        Ok(Self { client: ::client::Client::new(ca, LIMITS)?, address, token: Token::of_operator(token)?, kept: None })
    }

    /// For whoever fetches the same again and again, one fetch after the other: each keeps its answers for the next
    /// one, which is not sent again what has not changed. [`OperatorClient::fetched`] ends a fetch.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self { kept: Some(Kept::default()), ..self }
    }

    /// Ends a fetch: answers that it did not ask for are forgotten.
    pub fn fetched(&self) {
        if let Some(kept) = &self.kept {
            kept.turn();
        }
    }

    /// The controller's address, without a slash at its end.
    pub fn address(&self) -> &str {
        self.address.as_str()
    }

    /// Counts and rows of all sites.
    ///
    /// # Errors
    /// [`ClientError`], as all questions below.
    pub async fn fleet(&self) -> Result<FleetView, ClientError> {
        let (mut fleet, still): (FleetView, _) = self.get_timed(api::SITES).await?;
        if let Some(still) = still {
            // The rest is as it was; what has run out since then is told by the controller's clock of now.
            fleet.time = still.now(fleet.time);
        }
        Ok(fleet)
    }

    /// One site with its hosts and their items.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with status 404 if the registry does not have it.
    pub async fn site(&self, code: &SiteCode) -> Result<SiteView, ClientError> {
        self.get(&format!("{}/{code}", api::SITES)).await
    }

    /// Every listed host.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn hosts(&self) -> Result<Vec<HostRow>, ClientError> {
        self.pages(api::HOSTS, HOSTS_PAGE, |row: &HostRow| row.host.to_string()).await
    }

    /// Every item of the baseline over the fleet.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn items(&self) -> Result<Vec<ItemRow>, ClientError> {
        self.pages(api::ITEMS, ITEMS_PAGE, |row: &ItemRow| row.item.to_string()).await
    }

    /// Every stop, newest first.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn stops(&self) -> Result<Vec<StopView>, ClientError> {
        self.pages(api::STOPS, STOPS_PAGE, |stop: &StopView| stop.stop.digest.to_string()).await
    }

    /// One stop, with all its hosts.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn one_stop(&self, stop: &Digest) -> Result<StopView, ClientError> {
        self.get(&format!("{}/{stop}", api::STOPS)).await
    }

    /// Stops under keys that the registry does not list.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn unlisted(&self) -> Result<Vec<UnlistedStop>, ClientError> {
        self.get(api::UNLISTED_STOPS).await
    }

    /// Takes over such a stop.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with 403 if the token's role may not, 404 if no host has handed it in.
    pub async fn take_over(&self, stop: &Digest) -> Result<StopView, ClientError> {
        let url = self.address.url(&format!("{}/{stop}", api::UNLISTED_STOPS));
        self.client.ask(self.client.post(url).token(&self.token)).await
    }

    /// Whether the controller was set back to an earlier moment.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn set_back(&self) -> Result<SetBackView, ClientError> {
        self.get(api::SET_BACK).await
    }

    /// Says that somebody has looked at it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with 403 if the token's role may not, 404 if there is nothing to look at.
    pub async fn looked_at(&self, looked_at: &LookedAt) -> Result<(), ClientError> {
        let url = self.address.url(api::SET_BACK);
        self.client.ask(self.client.post(url).token(&self.token).json(looked_at)).await
    }

    /// Stops sites, at once. Asked again under the same `id` it makes no second stop.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with 403 if the token's role may not.
    pub async fn stop(&self, request: &StopRequest, id: &str) -> Result<StopView, ClientError> {
        let url = self.address.url(api::STOPS);
        let question = self.client.post(url).token(&self.token).header(api::REQUEST_HEADER, id);
        self.client.ask(question.json(request)).await
    }

    /// A whole list, page by page. `name` is what a page begins behind.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: usize,
        name: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, ClientError> {
        let mut all: Vec<T> = Vec::new();
        let mut begun_anew = 0;
        loop {
            let after = all.last().map(|row| format!("&after={}", name(row))).unwrap_or_default();
            let page: Vec<T> = match self.get(&format!("{path}?limit={limit}{after}")).await {
                // The row that the page begins behind went meanwhile: the list is another one.
                Err(error) if error.status() == Some(404) && !all.is_empty() && begun_anew < BEGUN_ANEW_MAX => {
                    begun_anew += 1;
                    all.clear();
                    continue;
                }
                page => page?,
            };
            // A controller of before knows no pages and answers with all there is, each time.
            let again = match (all.first(), page.first()) {
                (Some(known), Some(first)) => name(known) == name(first),
                _ => false,
            };
            let last = again || page.len() != limit;
            if !again {
                all.extend(page);
            }
            if last {
                return Ok(all);
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.get_timed(path).await?.0)
    }

    /// An answer, which may be that of the fetch before still.
    async fn get_timed<T: DeserializeOwned>(&self, path: &str) -> Result<(T, Option<Still>), ClientError> {
        let url = self.address.url(path);
        let request = self.client.get(url.clone()).token(&self.token);
        let Some(kept) = &self.kept else {
            return Ok((self.client.ask(request).await?, None));
        };
        let before = kept.take(path);
        let (answer, still) = match self.client.bytes_again(request, before.tag.as_deref()).await? {
            Again::Same { time } => {
                let still = before.still(time);
                (before, Some(still))
            }
            Again::Other { answer, tag } => (Answer::new(tag, answer), None),
        };
        let value = understand(&url, &answer.body)?;
        kept.keep(path, answer);
        Ok((value, still))
    }
}
