//! Enrolment: a one-time token, a new key, and the proof that the host holds it.

use manifests::api;
use manifests::digest::Digest;
use manifests::durable::{self, DurableError};
use manifests::enrolment::Enrolment;
use manifests::envelope::{EnvelopeError, Sealed};
use manifests::key::{KeyId, SigningKey};

use crate::client::{Client, ClientError};
use crate::clock;
use crate::config::Config;
use crate::state::{StateDirectory, StateError, envelope_json};

/// The largest token file read, in bytes.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

/// Why a host could not enrol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// The token file cannot be read.
    #[error("cannot read the token")]
    Token(#[source] DurableError),
    /// The token file holds no token.
    #[error("the token file does not hold one line of printable text")]
    TokenText,
    /// The state directory cannot be used.
    #[error("cannot use the state directory")]
    State(#[source] StateError),
    /// The document could not be sealed.
    #[error("cannot seal the enrolment")]
    Seal(#[source] EnvelopeError),
    /// No controller took it.
    #[error("not enrolled")]
    Client(#[source] ClientError),
}

/// Enrols this host with the token in `token_file`; the id of its new key.
///
/// The key is kept before it is sent: where the answer is lost, the same command shows the same key
/// again, and the controller answers as before.
///
/// # Errors
/// [`EnrolmentError`]; the host's key before stays as it was.
pub async fn enrol(config: &Config, token_file: &std::path::Path) -> Result<KeyId, EnrolmentError> {
    let token = durable::read_limited(token_file, TOKEN_BYTES_MAX).map_err(EnrolmentError::Token)?;
    let token = String::from_utf8(token).map_err(|_| EnrolmentError::TokenText)?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(EnrolmentError::TokenText);
    }
    let state = StateDirectory::open(&config.state).map_err(EnrolmentError::State)?;
    let key = enrolling_key(&state)?;
    let document = Enrolment {
        product: config.product.clone(),
        host: config.host.clone(),
        key: key.public().clone(),
        token: Digest::of(token.as_bytes()),
        time: clock::now().wall,
    };
    let sealed = Sealed::seal(&document, &key).map_err(EnrolmentError::Seal)?;
    let client = Client::new(config.controllers.clone(), &config.ca).map_err(EnrolmentError::Client)?;
    let mut tried = 1;
    loop {
        match client.post::<serde_json::Value>(api::ENROLMENTS, envelope_json(&sealed), Some(token)).await {
            Ok(_) => break,
            Err(ClientError::Unreachable { .. }) if tried < config.controllers.len() => {
                client.prefer_next();
                tried += 1;
            }
            Err(error) => return Err(EnrolmentError::Client(error)),
        }
    }
    state.adopt_enrolling_key().map_err(EnrolmentError::State)?;
    Ok(key.public().id())
}

fn enrolling_key(state: &StateDirectory) -> Result<SigningKey, EnrolmentError> {
    match state.enrolling_key().map_err(EnrolmentError::State)? {
        Some(key) => Ok(key),
        None => state.make_enrolling_key().map_err(EnrolmentError::State),
    }
}
