//! `sekisho stop`

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use manifests::api::{StopRequest, StopView};
use manifests::stop::Scope;
use manifests::text::{Lang, text, text_with};

use super::{End, Style, print_as};
use crate::args::{Form, StopArgs};
use crate::client::{ClientError, OperatorClient};
use crate::words;

/// How long acknowledgements are waited for. Hosts that are connected need milliseconds.
pub const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);
/// The time between two looks.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The request that the command line asks for.
pub fn request(stop: &StopArgs) -> StopRequest {
    // A site named twice is one site.
    let named: BTreeSet<_> = stop.site.iter().cloned().collect();
    let scope = if stop.all { Scope::All } else { Scope::Sites { sites: named.into_iter().collect() } };
    StopRequest { scope, reason: stop.reason.clone() }
}

/// How long a stop that is not taken is tried.
const TRY_FOR: Duration = Duration::from_secs(30);
/// The time between two tries.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// A controller that asks to be left alone is asked again after this long at the latest.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(2);

/// A stop of which nobody has said that it was taken.
#[derive(Debug, thiserror::Error)]
pub enum NotStopped {
    /// Every try was refused, or reached nobody.
    #[error("{words}")]
    Nothing {
        /// In the operator's language.
        words: String,
        /// The last try's.
        source: ClientError,
    },
    /// A try was sent and not answered: the stop may be in force.
    #[error("{words}")]
    Unknown {
        /// In the operator's language.
        words: String,
        /// The last try's.
        source: ClientError,
    },
}

/// What a try that failed says of the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    /// Not taken, and never to appear; another try may be.
    Again,
    /// Sent, and not answered.
    Unanswered,
    /// Refused for what it says: no try will be taken.
    Refused,
}

fn said(error: &ClientError) -> Try {
    match error.status() {
        Some(429 | 503) => Try::Again,
        // Something between answered for a controller that may have heard.
        Some(500..) => Try::Unanswered,
        Some(400..) => Try::Refused,
        Some(_) => Try::Unanswered,
        None => match error {
            ClientError::Connect { .. } => Try::Again,
            ClientError::Cut { .. } | ClientError::Timeout { .. } | ClientError::Answer { .. } => Try::Unanswered,
            ClientError::TooLarge { .. } | ClientError::Ended { .. } => Try::Unanswered,
            _ => Try::Refused,
        },
    }
}

/// Asks for the stop until it is taken, for `TRY_FOR`. Every try bears the same name, so that two that
/// were both heard make one stop.
///
/// # Errors
/// [`NotStopped`] says whether it may be in force.
pub async fn made(
    client: &OperatorClient,
    request: &StopRequest,
    id: &str,
    lang: Lang,
) -> Result<StopView, NotStopped> {
    let begun = Instant::now();
    let mut unanswered = false;
    loop {
        let error = match client.stop(request, id).await {
            Ok(view) => return Ok(view),
            Err(error) => error,
        };
        let said = said(&error);
        unanswered |= said == Try::Unanswered;
        let wait = error.retry_after().unwrap_or(TRY_EVERY).clamp(TRY_EVERY, LEFT_ALONE_MAX);
        if said != Try::Refused && begun.elapsed() + wait < TRY_FOR {
            tokio::time::sleep(wait).await;
            continue;
        }
        return Err(match unanswered {
            true => NotStopped::Unknown { words: text(lang, "stop-unknown"), source: error },
            false => NotStopped::Nothing { words: text(lang, "stop-not-made"), source: error },
        });
    }
}

/// A name for a request that no other has: 128 random bits.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_id() -> anyhow::Result<String> {
    let bytes: [u8; 16] = ring::rand::generate(&ring::rand::SystemRandom::new())
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?
        .expose();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Waits until every host has acknowledged the stop, for [`ACKNOWLEDGED_WITHIN`] at most, and says how
/// far it has come. It is in force whatever happens here: what cannot be asked again stays as it was.
pub async fn settled(client: &OperatorClient, made: StopView) -> StopView {
    let mut newest = made;
    let asking = async {
        while !newest.outstanding.is_empty() {
            tokio::time::sleep(ASK_EVERY).await;
            let Ok(same) = client.one_stop(&newest.stop.digest).await else { return };
            newest = same;
        }
    };
    // Over is over: the stop is printed as it was last seen.
    let _ = tokio::time::timeout(ACKNOWLEDGED_WITHIN, asking).await;
    newest
}

/// Prints a stop that is in force and how far it has come. Always a good end: hosts that have not
/// acknowledged it are stopped too once their permit ends, and are named.
///
/// # Errors
/// Where `out` fails.
pub fn print(stop: &StopView, form: Form, style: Style, out: &mut impl Write) -> io::Result<End> {
    print_as(form, stop, out, |out| people(stop, style, out))?;
    Ok(End::Good)
}

fn people(stop: &StopView, style: Style, out: &mut impl Write) -> io::Result<()> {
    let lang = style.lang;
    let number = stop.stop.number.to_string();
    let scope = words::scope(lang, &stop.scope);
    writeln!(out, "{}", text_with(lang, "stopped-now", &[("number", number.into()), ("scope", scope.into())]))?;
    writeln!(out, "{}", text_with(lang, "stop-digest", &[("digest", stop.stop.digest.to_string().into())]))?;
    let acknowledged: Vec<String> = stop.acknowledged.iter().map(ToString::to_string).collect();
    list(style, "stop-acknowledged", &acknowledged, out)?;
    let outstanding: Vec<String> = stop
        .outstanding
        .iter()
        .map(|(host, until)| match until {
            Some(until) => {
                let values = [("host", host.to_string().into()), ("time", words::moment(*until).into())];
                text_with(lang, "stop-permit-end", &values)
            }
            None => text_with(lang, "stop-permit-none", &[("host", host.to_string().into())]),
        })
        .collect();
    list(style, "stop-outstanding", &outstanding, out)
}

fn list(style: Style, key: &str, lines: &[String], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", text_with(style.lang, key, &[("count", lines.len().into())]))?;
    if lines.is_empty() {
        writeln!(out, "  {}", text(style.lang, "stop-nobody"))?;
    }
    for line in lines {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::api::ErrorBody;

    #[test]
    fn only_what_was_refused_for_what_it_says_is_not_tried_again() {
        let refused = |status| {
            let body = ErrorBody { code: String::new(), message: String::new(), sequence: None };
            said(&ClientError::Refused { url: String::new(), status, body, retry_after: None })
        };
        assert_eq!([503, 429].map(refused), [Try::Again; 2]);
        assert_eq!([400, 401, 403, 404, 409, 413].map(refused), [Try::Refused; 6]);
        // A proxy's word is none of the controller's.
        assert_eq!([500, 502, 504, 302].map(refused), [Try::Unanswered; 4]);
        assert_eq!(said(&ClientError::TooLarge { url: String::new(), max: 1 }), Try::Unanswered);
    }

    #[test]
    fn two_requests_have_two_names() {
        let (one, other) = (new_id().unwrap(), new_id().unwrap());
        assert!(one != other && one.len() == 32);
    }
}
