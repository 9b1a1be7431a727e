//! `sekisho hosts`

use std::io::{self, Write};

use manifests::api::HostRow;
use manifests::outcome::Verdict;
use manifests::text::text;
use manifests::time::Time;

use super::table::{self, Align};
use super::{End, Style, print_as};
use crate::args::Form;
use crate::page::Tone;
use crate::words;

/// Prints the hosts; ages are as of `now`.
///
/// # Errors
/// Where `out` fails.
pub fn print(hosts: &[HostRow], form: Form, style: Style, now: Time, out: &mut impl Write) -> io::Result<End> {
    print_as(form, &hosts, out, |out| people(hosts, style, now, out))?;
    // What a host may do, not what its own evidence says: a stop or a neighbour holds it as well.
    Ok(End::of(!hosts.is_empty() && hosts.iter().all(|host| host.allowed.verdict == Verdict::Issue)))
}

fn people(hosts: &[HostRow], style: Style, now: Time, out: &mut impl Write) -> io::Result<()> {
    let lang = style.lang;
    let head = [
        "head-host",
        "head-roles",
        "head-verdict",
        "head-heard",
        "head-evidence",
        "head-agent",
        "head-permit",
        "head-reason",
    ]
    .map(|key| (text(lang, key), Align::Left));
    let mut hosts: Vec<&HostRow> = hosts.iter().collect();
    hosts.sort_by_key(|host| (std::cmp::Reverse(host.allowed.verdict), host.host.clone()));
    let ago = |time: Option<Time>| time.map_or_else(|| "-".to_owned(), |time| words::age(lang, now.since(time)));
    let verdict = |verdict: &Verdict| text(lang, &words::key_of("verdict", verdict));
    let rows: Vec<Vec<String>> = hosts
        .into_iter()
        .map(|host| {
            let roles: Vec<&str> = host.roles.iter().map(|role| role.as_str()).collect();
            let permit = host.permit.as_ref();
            vec![
                host.host.to_string(),
                roles.join(","),
                verdict(&host.allowed.verdict),
                ago(host.heard),
                ago(host.evidence),
                host.agent.clone().unwrap_or_else(|| "-".to_owned()),
                permit
                    .map_or_else(|| "-".to_owned(), |p| format!("{} {}", verdict(&p.verdict), words::moment(p.until))),
                words::sentences(lang, style.theme.mark(Tone::Warn), &host.allowed.reasons, &host.warnings),
            ]
        })
        .collect();
    table::write(out, &head, &rows)
}
