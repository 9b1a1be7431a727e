//! Enrolment: a one-time token, a new key, and the proof that the host holds it.

use ::client::Token;
use manifests::api;
use manifests::digest::Digest;
use manifests::enrolment::Enrolment;
use manifests::envelope::{EnvelopeError, Sealed};
use manifests::key::{KeyId, SigningKey};

use crate::client::{ClientError, Controllers};
use crate::clock;
use crate::config::Config;
use crate::state::{StateDirectory, StateError, envelope_json};

/// Why a host could not enrol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// The token file cannot be read, or holds no token.
    #[error(transparent)]
    Token(ClientError),
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
    let token = Token::one_time(token_file).map_err(EnrolmentError::Token)?;
    let state = StateDirectory::open(&config.state, &config.socket).map_err(EnrolmentError::State)?;
    state.check_key_modes().map_err(EnrolmentError::State)?;
    let key = enrolling_key(&state)?;
    let document = Enrolment {
        product: config.product.clone(),
        host: config.host.clone(),
        key: key.public().clone(),
        token: Digest::of(token.as_str().as_bytes()),
        time: clock::now().wall,
    };
    let sealed = Sealed::seal(&document, &key).map_err(EnrolmentError::Seal)?;
    let controllers = Controllers::new(config.controllers.clone(), &config.ca).map_err(EnrolmentError::Client)?;
    let mut tried = 1;
    loop {
        match controllers.post_with::<serde_json::Value>(&token, api::ENROLMENTS, envelope_json(&sealed)).await {
            Ok(_) => break,
            Err(error) if error.is_unanswered() && tried < config.controllers.len() => {
                controllers.prefer_next();
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
