//! The one table from what went wrong to the answer.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use manifests::api::ErrorBody;
use manifests::envelope::EnvelopeError;
use manifests::fleet::{EnrolError, Refusal, StopError};

use crate::chain::chain;
use crate::queue::{TokenError, WriteError};
use crate::repository::RepositoryError;
use crate::store::StoreError;

/// Seconds after which to ask again, where this controller is overloaded or cannot write.
const RETRY_AFTER_S: u16 = 2;

/// Longest message, in bytes: what was sent is repeated in some.
const MESSAGE_BYTES_MAX: usize = 1 << 10;
/// Longest message with every problem of a publish, which are for whoever has to mend them.
const PROBLEMS_BYTES_MAX: usize = 64 << 10;

/// An answer outside 2xx.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    code: String,
    message: String,
    message_bytes_max: usize,
    sequence: Option<u64>,
}

impl HttpError {
    /// Status, stable code, words for people.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            message_bytes_max: MESSAGE_BYTES_MAX,
            sequence: None,
        }
    }

    /// 400: not what the endpoint takes.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// 401: no token, or none that is known.
    pub fn token(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "token", message)
    }

    /// 403, with a code that says why.
    pub fn forbidden(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// 404: a page is asked for behind a row that is not in the list.
    pub fn no_such_row() -> Self {
        let message = "the row that after names is not in the list any more; ask for its first page again";
        Self::new(StatusCode::NOT_FOUND, "no-such-row", message)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
    }

    /// 413.
    pub fn too_large(max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("at most {max} bytes are accepted here"))
    }

    /// 503 with `Retry-After`: nothing was written.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let Self { status, code, message, message_bytes_max, sequence } = self;
        let message = shortened(message, message_bytes_max);
        let mut response = (status, Json(ErrorBody { code, message, sequence })).into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}

fn shortened(mut message: String, bytes_max: usize) -> String {
    const CUT: char = '…';
    if message.len() > bytes_max {
        message.truncate(message.floor_char_boundary(bytes_max.saturating_sub(CUT.len_utf8())));
        message.push(CUT);
    }
    message
}

impl From<EnvelopeError> for HttpError {
    fn from(error: EnvelopeError) -> Self {
        let status = match error {
            EnvelopeError::Signature => StatusCode::UNAUTHORIZED,
            EnvelopeError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<WriteError> for HttpError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Document(refusal) => refused(&refusal),
            WriteError::KeyReplaced => Self::forbidden("not-enrolled", error.to_string()),
            WriteError::Token(TokenError::Unknown | TokenError::Expired) => Self::token(error.to_string()),
            WriteError::Token(TokenError::Used) => Self::new(StatusCode::CONFLICT, "token-used", error.to_string()),
            WriteError::Token(TokenError::WrongHost) => Self::forbidden("wrong-host", error.to_string()),
            WriteError::Enrol(EnrolError::Replaced) => Self::forbidden(EnrolError::Replaced.code(), error.to_string()),
            WriteError::Enrol(EnrolError::NotListed) => {
                Self::forbidden(EnrolError::NotListed.code(), error.to_string())
            }
            WriteError::Enrol(why) => Self::new(StatusCode::CONFLICT, why.code(), error.to_string()),
            WriteError::Stop(StopError::UnknownStop { .. }) => {
                Self::new(StatusCode::NOT_FOUND, "unknown-stop", error.to_string())
            }
            WriteError::Stop(ref why) => Self::new(StatusCode::BAD_REQUEST, why.code(), error.to_string()),
            WriteError::RequestUsed => Self::new(StatusCode::CONFLICT, "request-used", error.to_string()),
            WriteError::TooManyStops { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-stops", error.to_string())
            }
            WriteError::Seal(error) => error.into(),
            WriteError::Full | WriteError::Superseded | WriteError::Closed => Self::unavailable(error.to_string()),
        }
    }
}

fn refused(refusal: &Refusal) -> HttpError {
    let (status, sequence) = match refusal {
        Refusal::Sequence { stored, .. } | Refusal::SequenceJump { stored, .. } => {
            (StatusCode::CONFLICT, Some(*stored))
        }
        Refusal::WrongProduct { .. } | Refusal::NotListed => (StatusCode::FORBIDDEN, None),
        _ => (StatusCode::BAD_REQUEST, None),
    };
    HttpError { sequence, ..HttpError::new(status, refusal.code(), refusal.to_string()) }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = chain(&error), "store failed");
        Self::unavailable("the store cannot be used; nothing was written")
    }
}

impl From<RepositoryError> for HttpError {
    fn from(error: RepositoryError) -> Self {
        let status = match error {
            RepositoryError::File(_) => StatusCode::SERVICE_UNAVAILABLE,
            RepositoryError::Upload { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let message_bytes_max = PROBLEMS_BYTES_MAX;
        Self { message_bytes_max, ..Self::new(status, error.code(), chain(&error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(shortened("abc".to_owned(), 3), "abc");
        assert_eq!(shortened("市市市".to_owned(), 9), "市市市");
        assert_eq!(shortened("市市市".to_owned(), 8), "市…");
        assert_eq!(shortened("abcdefgh".to_owned(), 7), "abcd…");
    }
}
