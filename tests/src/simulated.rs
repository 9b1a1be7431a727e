//! A host without an agent: a key and a sequence, which say whatever a test wants said.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use manifests::api::{self, Receipt};
use manifests::digest::Digest;
use manifests::enrolment::Enrolment;
use manifests::envelope::{Document, Sealed};
use manifests::evidence::{Agent, Cover, Evidence, Gap, Heartbeat, State, Why, v1};
use manifests::id::{HostId, ProductId};
use manifests::key::SigningKey;
use manifests::time::Time;
use reqwest::StatusCode;

use crate::operator::Controller;

/// A host's voice.
pub struct SimulatedHost {
    /// Its key.
    pub key: SigningKey,
    /// Its id.
    pub id: HostId,
    /// Its product.
    pub product: ProductId,
    /// The last sequence used.
    pub sequence: u64,
    /// The baseline that it claims to run under.
    pub baseline: Digest,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Vec<u8>,
}

impl Raw {
    /// The stable code of a refusal.
    pub fn code(&self) -> String {
        let body: Option<api::ErrorBody> = serde_json::from_slice(&self.body).ok();
        body.map(|body| body.code).unwrap_or_default()
    }

    /// The stored sequence, if the refusal tells one.
    pub fn sequence(&self) -> Option<u64> {
        serde_json::from_slice::<api::ErrorBody>(&self.body).ok()?.sequence
    }

    /// The receipt.
    ///
    /// # Errors
    /// If it is a refusal.
    pub fn receipt(&self) -> Result<Receipt> {
        if self.status != StatusCode::OK {
            bail!("{} {}", self.status, String::from_utf8_lossy(&self.body));
        }
        serde_json::from_slice(&self.body).context("not a receipt")
    }
}

impl SimulatedHost {
    /// A host with a new key, not enrolled.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn new(id: &str, product: &str, baseline: Digest) -> Result<Self> {
        Ok(Self { key: SigningKey::generate()?, id: id.parse()?, product: product.parse()?, sequence: 0, baseline })
    }

    /// Enrols with a one-time token.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn enrol(&self, controller: &Controller, token: &str) -> Result<()> {
        let answer = self.try_enrol(controller, token).await?;
        if answer.status != StatusCode::CREATED {
            bail!("{} is not enrolled: {} {}", self.id, answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }

    /// The same, whatever is answered.
    ///
    /// # Errors
    /// If the controller does not answer.
    pub async fn try_enrol(&self, controller: &Controller, token: &str) -> Result<Raw> {
        let enrolment = Enrolment {
            product: self.product.clone(),
            host: self.id.clone(),
            key: self.key.public().clone(),
            token: Digest::of(token.as_bytes()),
            time: now(),
        };
        let url = format!("{}{}", controller.url(), api::ENROLMENTS);
        let request = controller.client().post(url).bearer_auth(token).json(&Sealed::seal(&enrolment, &self.key)?);
        let answer = request.send().await?;
        Ok(Raw { status: answer.status(), body: answer.bytes().await?.to_vec() })
    }

    /// A state that no other note gives.
    pub fn state(note: &str) -> State {
        State { coverage: vec![Gap { what: note.to_owned(), why: Why::Unreadable }], ..State::default() }
    }

    /// The next cover.
    pub fn cover(&mut self) -> Cover {
        self.sequence += 1;
        let made = now(); // Once: a pass cannot begin after its document was made.
        Cover {
            product: self.product.clone(),
            host: self.id.clone(),
            sequence: self.sequence,
            resumed: false,
            boot_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            wall: made,
            boot_ms: 1_000_000 + self.sequence,
            pass_started: made,
            agent: Agent { version: semver_of_ours(), digest: Digest::of(b"simulated") },
            baseline: self.baseline,
            permit: 0,
            stops: Vec::new(),
            enrolment: None,
            checkpoint: None,
            configs: BTreeMap::new(),
            lists: Vec::new(),
        }
    }

    /// The next evidence, signed.
    ///
    /// # Errors
    /// If it is too large.
    pub fn evidence(&mut self, state: State) -> Result<Sealed<Evidence>> {
        let evidence = Evidence { cover: self.cover(), state };
        Ok(Sealed::seal(&evidence, &self.key)?)
    }

    /// The next evidence, signed, as an agent of before version 2 sends it.
    ///
    /// # Errors
    /// If it is too large.
    pub fn evidence_v1(&mut self, state: v1::State) -> Result<Sealed<v1::Evidence>> {
        let evidence = v1::Evidence { cover: self.cover(), state };
        Ok(Sealed::seal(&evidence, &self.key)?)
    }

    /// The next heartbeat, signed, as an agent of before version 2 sends it.
    ///
    /// # Errors
    /// If it is too large.
    pub fn heartbeat_v1(&mut self, state: Digest) -> Result<Sealed<v1::Heartbeat>> {
        let heartbeat = v1::Heartbeat { cover: self.cover(), state };
        Ok(Sealed::seal(&heartbeat, &self.key)?)
    }

    /// The next heartbeat, signed.
    ///
    /// # Errors
    /// If it is too large.
    pub fn heartbeat(&mut self, state: Digest) -> Result<Sealed<Heartbeat>> {
        let cover = self.cover();
        let heartbeat = Heartbeat { since: cover.sequence, cover, state };
        Ok(Sealed::seal(&heartbeat, &self.key)?)
    }
}

/// Posts a document.
///
/// # Errors
/// If the controller does not answer.
pub async fn post<T: Document>(controller: &Controller, path: &str, document: &Sealed<T>) -> Result<Raw> {
    post_bytes(controller, path, serde_json::to_vec(document)?).await
}

/// Posts any bytes.
///
/// # Errors
/// If the controller does not answer.
pub async fn post_bytes(controller: &Controller, path: &str, bytes: Vec<u8>) -> Result<Raw> {
    let url = format!("{}{path}", controller.url());
    let request = controller.client().post(url).header("content-type", "application/json").body(bytes);
    let answer = request.send().await?;
    Ok(Raw { status: answer.status(), body: answer.bytes().await?.to_vec() })
}

/// The wall clock.
pub fn now() -> Time {
    Time::from(std::time::SystemTime::now())
}

fn semver_of_ours() -> semver::Version {
    semver::Version::new(0, 1, 0)
}
