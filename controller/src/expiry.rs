//! What ends: signatures of the release managers, certificates, tokens. Announced before it does.

use std::collections::HashMap;

use anyhow::Context;
use manifests::api::Expiring;
use manifests::time::{Span, Time};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

use crate::data::Data;

const DAY: Span = Span::from_s(86_400);
/// Days before an end at which it is announced, the last on the day itself.
const ANNOUNCED_DAYS: [u64; 4] = [30, 7, 1, 0];
/// A token lasts a week and is used within a day, mostly: only its last day is worth a word.
const TOKEN_DAYS: u64 = 1;

/// The first certificate of a PEM file, handed to `read`.
///
/// # Errors
/// If there is none.
pub fn certificate<T>(pem: &[u8], read: impl FnOnce(&X509Certificate<'_>) -> T) -> anyhow::Result<T> {
    let first = Pem::iter_from_buffer(pem).next().context("no certificate")?.context("not PEM")?;
    Ok(read(&first.parse_x509().context("not a certificate")?))
}

/// When the certificate of a PEM file ends.
///
/// # Errors
/// As [`certificate`].
pub fn certificate_end(pem: &[u8]) -> anyhow::Result<Time> {
    let seconds = certificate(pem, |certificate| certificate.validity().not_after.timestamp())?;
    Ok(Time::from_unix_ms(seconds.saturating_mul(1000)))
}

/// The ends of the controller's certificates, by the files that they lie in.
///
/// # Errors
/// For each file: if it cannot be read or is no certificate.
pub fn certificates(data: &Data) -> [(&'static str, anyhow::Result<Expiring>); 2] {
    let end = |what: &str, file: &str| {
        let until = certificate_end(&data.read(file)?)?;
        Ok(Expiring { what: what.to_owned(), name: None, until })
    };
    [("certificate", "tls.pem"), ("ca", "ca.pem")].map(|(what, file)| (file, end(what, file)))
}

/// Of all ends those that are near, the next one first.
pub fn near(mut ends: Vec<Expiring>, now: Time) -> Vec<Expiring> {
    ends.retain(|end| stage(end, now).is_some());
    ends.sort_by(|a, b| (a.until, &a.what, &a.name).cmp(&(b.until, &b.what, &b.name)));
    ends
}

/// The latest of [`ANNOUNCED_DAYS`] that an end has reached; none while it is far away.
fn stage(end: &Expiring, now: Time) -> Option<u64> {
    let days = ANNOUNCED_DAYS.into_iter().rev().find(|days| now >= end.until.before(Span::from_s(days * 86_400)));
    days.filter(|days| end.what != "token" || *days <= TOKEN_DAYS)
}

/// In words, for the log and events.
pub fn words(end: &Expiring, now: Time) -> String {
    let (what, action) = match end.what.as_str() {
        "root" => ("the root", "have the release managers sign and publish anew"),
        "targets" => ("the signature on baseline and registry", "have the release managers sign and publish anew"),
        "lifts" => ("the signature on lifts", "have the release managers sign and publish anew"),
        "certificate" => ("the TLS certificate", "run: sekisho-controller tls renew"),
        "ca" => ("the CA of the TLS certificate", "give hosts and operators the CA of a new controller in time"),
        "token" => ("an unused enrolment token", "enrol the host, or make another token"),
        other => (other, ""),
    };
    let name = end.name.as_ref().map(|name| format!(" for {name}")).unwrap_or_default();
    let until = end.until;
    if until <= now {
        return format!("{what}{name} ended on {until}; {action}");
    }
    let days = until.since(now).as_ms() / DAY.as_ms();
    format!("{what}{name} ends on {until}, in {days} days; {action}")
}

/// What was announced so far: once at each stage.
#[derive(Debug, Default)]
pub struct Announced(HashMap<(String, Option<String>, Time), u64>);

impl Announced {
    /// Of those that are near the ones that have reached another stage since.
    pub fn news<'e>(&mut self, near: &'e [Expiring], now: Time) -> Vec<&'e Expiring> {
        let key = |end: &Expiring| (end.what.clone(), end.name.clone(), end.until);
        self.0.retain(|known, _| near.iter().any(|end| key(end) == *known));
        near.iter()
            .filter(|end| {
                let stage = stage(end, now);
                stage.is_some_and(|stage| self.0.insert(key(end), stage) != Some(stage))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(what: &str, days: u64) -> Expiring {
        Expiring { what: what.to_owned(), name: None, until: day(days) }
    }

    fn day(days: u64) -> Time {
        Time::from_unix_ms(1_790_000_000_000).after(Span::from_s(days * 86_400))
    }

    #[test]
    fn each_end_is_announced_once_at_30_7_1_and_0_days() {
        let (mut announced, mut told) = (Announced::default(), Vec::new());
        for today in 0..42 {
            let near = near(vec![end("root", 40), end("token", 40)], day(today));
            for _ in 0..3 {
                told.extend(announced.news(&near, day(today)).iter().map(|end| (end.what.clone(), today)));
            }
        }
        let told: Vec<_> = told.iter().map(|(what, day)| (what.as_str(), *day)).collect();
        assert_eq!(told, [("root", 10), ("root", 33), ("root", 39), ("token", 39), ("root", 40), ("token", 40)]);
        assert!(words(&end("certificate", 40), day(35)).contains("in 5 days"));
        assert!(words(&end("certificate", 40), day(41)).contains("ended"));
    }

    #[test]
    fn what_was_renewed_is_announced_anew_before_its_new_end() {
        let mut announced = Announced::default();
        assert_eq!(announced.news(&[end("root", 5)], day(0)).len(), 1);
        assert_eq!(announced.news(&[], day(0)).len(), 0);
        assert_eq!(announced.news(&[end("root", 35)], day(6)).len(), 1);
    }
}
