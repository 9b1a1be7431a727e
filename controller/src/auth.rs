//! Who may ask what: operators by token and role.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use manifests::digest::Digest;

use crate::app::App;
use crate::body;
use crate::error::HttpError;
use crate::role::Role;
use crate::server::connection::Connection;

/// Longest token read, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: what is there is public, or signed by whom it is from.
    Public,
    /// Whoever signed the document in the body with an enrolled host's key.
    HostKey,
    /// Whoever has a one-time token.
    EnrolmentToken,
    /// A host with a session.
    Session,
    /// An operator with at least this role.
    Operator(Role),
}

/// An operator whose token was checked.
#[derive(Clone)]
pub struct Operator {
    /// The name that stands in stops and publishes.
    pub name: String,
    /// The token: for how long it is good is asked again by whoever answers for long.
    token: Digest,
    /// The least role that the route asks for.
    needs: Role,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token: what is printed ends in logs.
        f.debug_struct("Operator").field("name", &self.name).field("needs", &self.needs).finish()
    }
}

impl Operator {
    /// Whether the token is still that operator's, with the role that the route asks for.
    pub(crate) fn is_still_known(&self, app: &App) -> bool {
        let known = app.tokens.known_operator(&self.token);
        known.is_some_and(|(name, role)| name == self.name && role >= self.needs)
    }
}

/// The bearer token of a request.
///
/// # Errors
/// 401 without one.
pub fn bearer(headers: &HeaderMap) -> Result<&str, HttpError> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scheme_and_token = text.and_then(|text| text.split_once(' '));
    // A scheme's case does not count (RFC 9110, 11.1).
    let token = scheme_and_token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    token
        .map(str::trim)
        .filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX)
        .ok_or_else(|| HttpError::token("send Authorization: Bearer TOKEN"))
}

/// Lets a request through to its handler if its operator has the role.
pub async fn require(State((app, role)): State<(Arc<App>, Role)>, mut request: Request, next: Next) -> Response {
    // Taken out first: a request cannot be looked at by several threads.
    let token = bearer(request.headers()).map(|token| Digest::of(token.as_bytes()));
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let checked = async {
        let token = token?;
        let known = app.tokens.operator(&app.store, &token).await;
        let (name, has) = known.ok_or_else(|| HttpError::token("the token is not known"))?;
        if let Some(connection) = &connection {
            connection.is_operator(token);
        }
        if has < role {
            return Err(HttpError::forbidden("role", format!("{name} is {has}; this needs {role}")));
        }
        Ok(Operator { name, token, needs: role })
    };
    match checked.await {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            // Lists are made before they are sent: of one connection a few at once, however many are asked for.
            let looks = request.method().is_safe();
            let place = match connection.filter(|_| looks) {
                Some(connection) => Arc::clone(connection.answers()).acquire_owned().await.ok(),
                None => None,
            };
            let answer = next.run(request).await;
            match answer.body().size_hint().exact() {
                Some(_) => answer.map(|body| body::held_with(body, place)),
                None => answer, // A stream.
            }
        }
        Err(failure) => failure.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_taken_in_any_case_of_its_scheme() {
        let token = |text: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())]);
            bearer(&headers).ok().map(str::to_owned)
        };
        for text in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(token(text).as_deref(), Some("abc"), "{text}");
        }
        for text in ["abc", "Basic abc", "Bearer", "Bearer ", "Bearerabc", &format!("Bearer {}", "a".repeat(513))] {
            assert_eq!(token(text), None, "{text}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }
}
