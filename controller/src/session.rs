//! Sessions of hosts: who has a receipt may open a stream and hand in file lists.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use manifests::id::HostId;
use manifests::key::KeyId;
use manifests::time::{Span, Time};
use ring::hmac;
use ring::rand::SystemRandom;

/// How long a session can be used to open a stream or hand in a file list.
const SESSION_LIFE: Span = Span::from_s(3600);

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

    /// The host whose session this is; `key_of` gives a host's present key. None for a session that is
    /// none, has ended, or is of an earlier key.
    pub fn check(&self, session: &str, now: Time, key_of: impl Fn(&HostId) -> Option<KeyId>) -> Option<HostId> {
        let mut parts = session.split('.');
        let (host, end, tag) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None; // A session has one spelling.
        }
        let host: HostId = host.parse().ok()?;
        let end: i64 = end.parse().ok()?;
        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
        let message = message(&host, &key_of(&host)?, end);
        hmac::verify(&self.0, message.as_bytes(), &tag).ok()?;
        (now.unix_ms() < end).then_some(host)
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
        assert!(sessions.check(&session, now.after(SESSION_LIFE), key).is_none());
        assert!(sessions.check(&session, now, |_| Some("replaced".into())).is_none());
        assert!(sessions.check(&session, now, |_| None).is_none());
        assert!(sessions.check(&session.replace("ap1", "ap2"), now, key).is_none());
        assert!(Sessions::new().unwrap().check(&session, now, key).is_none());
        assert!(sessions.check(&format!("{session}.x"), now, key).is_none());
        assert!(sessions.check(&format!("{session}."), now, key).is_none());
        for damaged in ["", ".", "a.b.c", "402206-ap1.9999999999999.AAAA"] {
            assert!(sessions.check(damaged, now, key).is_none(), "{damaged}");
        }
    }
}
