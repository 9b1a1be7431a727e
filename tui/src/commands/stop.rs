//! `sekisho stop`

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use manifests::api::{StopRequest, StopView};
use manifests::stop::Scope;
use manifests::text::{text, text_with};

use super::{End, Style, print_as};
use crate::args::{Form, StopArgs};
use crate::client::OperatorClient;
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
