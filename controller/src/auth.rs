//! Who asks: operators by token and role, hosts by session.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use manifests::id::HostId;
use manifests::key::KeyId;
use manifests::time::{Span, Time};
use ring::hmac;
use ring::rand::SystemRandom;

use crate::app::App;
use crate::error::Failure;

/// Longest token read, in bytes.
const TOKEN_BYTES_MAX: usize = 512;
/// How long a session can be used to open a stream or hand in a file list.
const SESSION_LIFE: Span = Span::from_s(3600);

/// What an operator may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See.
    Viewer,
    /// Stop.
    Operator,
    /// Publish.
    Admin,
}

impl Role {
    /// All, least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// As written in commands and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| format!("{text:?} is no role; viewer, operator and admin are"))
    }
}

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
#[derive(Clone, Debug)]
pub struct Operator {
    /// The name that stands in stops and publishes.
    pub name: String,
}

/// The bearer token of a request.
///
/// # Errors
/// 401 without one.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = text.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
    token
        .filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX)
        .ok_or_else(|| Failure::token("send Authorization: Bearer TOKEN"))
}

/// Lets a request through to its handler if its operator has the role.
pub async fn require(State((app, role)): State<(Arc<App>, Role)>, mut request: Request, next: Next) -> Response {
    // Taken out first: a request cannot be looked at by several threads.
    let token = bearer(request.headers()).map(str::to_owned);
    let checked = async {
        let (name, has) = app.store.operator(&token?).await?.ok_or_else(|| Failure::token("the token is not known"))?;
        if has < role {
            return Err(Failure::forbidden("role", format!("{name} is {has}; this needs {role}")));
        }
        Ok(Operator { name })
    };
    match checked.await {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

/// Makes and checks the sessions that receipts carry.
///
/// A session is a MAC over host, key and end, with a key of this process: nothing is kept for it, and
/// a replaced host key ends it. After a restart hosts get new ones with their next receipt.
pub struct Sessions(hmac::Key);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    /// With a new key.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new() -> Result<Self, ring::error::Unspecified> {
        Ok(Self(hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?))
    }

    /// A session for a host that speaks with this key.
    pub fn make(&self, host: &HostId, key: &KeyId, now: Time) -> String {
        let end = now.after(SESSION_LIFE).unix_ms();
        let tag = hmac::sign(&self.0, message(host, key, end).as_bytes());
        format!("{host}.{end}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    }

    /// The host whose session this is; `key_of` gives a host's present key.
    ///
    /// # Errors
    /// 401 for a session that is none, has ended, or is of an earlier key.
    pub fn check(
        &self,
        session: &str,
        now: Time,
        key_of: impl Fn(&HostId) -> Option<KeyId>,
    ) -> Result<HostId, Failure> {
        let host = || -> Option<HostId> {
            let mut parts = session.split('.');
            let (host, end, tag) = (parts.next()?, parts.next()?, parts.next()?);
            let host: HostId = host.parse().ok()?;
            let end: i64 = end.parse().ok()?;
            let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
            let message = message(&host, &key_of(&host)?, end);
            hmac::verify(&self.0, message.as_bytes(), &tag).ok()?;
            (now.unix_ms() < end).then_some(host)
        };
        host().ok_or_else(|| Failure::token("the session is over; the next receipt carries a new one"))
    }
}

fn message(host: &HostId, key: &KeyId, end: i64) -> String {
    format!("{host}\n{key}\n{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_for_one_host_one_key_and_an_hour() {
        let sessions = Sessions::new().unwrap();
        let host: HostId = "402206-ap1".parse().unwrap();
        let now = Time::from_unix_ms(1_700_000_000_000);
        let session = sessions.make(&host, &"key".into(), now);
        let key = |_: &HostId| Some("key".into());
        assert_eq!(sessions.check(&session, now, key).unwrap(), host);
        assert!(sessions.check(&session, now.after(SESSION_LIFE), key).is_err());
        assert!(sessions.check(&session, now, |_| Some("replaced".into())).is_err());
        assert!(sessions.check(&session, now, |_| None).is_err());
        assert!(sessions.check(&session.replace("ap1", "ap2"), now, key).is_err());
        assert!(Sessions::new().unwrap().check(&session, now, key).is_err());
        for damaged in ["", ".", "a.b.c", "402206-ap1.9999999999999.AAAA"] {
            assert!(sessions.check(damaged, now, key).is_err(), "{damaged}");
        }
    }
}
