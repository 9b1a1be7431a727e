//! `lift`: writes down that a stop ends for some sites, once nothing else is open there.

use std::path::PathBuf;

use manifests::api::{SITES, STOPS, SiteView, StopView};
use manifests::canonical;
use manifests::chain::chain;
use manifests::digest::Digest;
use manifests::id::{ProductId, SiteCode};
use manifests::outcome::Verdict;
use manifests::reason::Code;
use manifests::stop::{LIFT_TYPE, Lift, REASON_BYTES_MAX, is_reason};
use manifests::time::Time;
use manifests::tuf::repository::lift_path;

use crate::directory::Directory;
use crate::exit::{CommandError, Exit, Fatal};
use crate::people::People;
use crate::remote::{self, Remote};

/// Writes a lift: a stop's end for the sites named.
///
/// Asks the controller first, and refuses, naming it, whatever is open at one of the sites: an item,
/// stale evidence, a host that has not acknowledged the stop. The lift counts once two release
/// managers have signed (`sign`) and it is published (`publish`).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Digest of the stop, as `sekisho stop` and the dashboard show it.
    #[arg(long, value_name = "sha256:…")]
    stop: Digest,
    /// Code of a site to free; each must be named.
    #[arg(long = "site", value_name = "CODE", required = true)]
    sites: Vec<SiteCode>,
    /// Why, for the people there and the record.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    #[command(flatten)]
    remote: remote::Args,
}

fn reason(text: &str) -> Result<String, String> {
    if !is_reason(text) {
        return Err(format!("a reason is one line of 1 to {REASON_BYTES_MAX} bytes, without control characters"));
    }
    Ok(text.to_owned())
}

/// Why no lift was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiftRefused {
    /// Never made, or of another controller.
    #[error("the controller knows no stop {stop}; `sekisho stop` and the dashboard show those it knows")]
    UnknownStop { stop: Digest },
    /// What stands in the way, all of it.
    #[error("no lift was written; in the way stand:{}", lines(obstacles))]
    Open { obstacles: Vec<String> },
    /// The lift has no text; never for a real one.
    #[error("the lift cannot be written down")]
    Text,
}

impl Fatal for LiftRefused {
    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

fn lines(obstacles: &[String]) -> String {
    obstacles.iter().map(|obstacle| format!("\n  {obstacle}")).collect()
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    let product = People::read(&directory)?.product;
    let mut sites = args.sites.clone();
    sites.sort();
    sites.dedup();
    let lifts = directory.lifts()?;
    let mut obstacles = written_before(&directory, &lifts, (&product, &args.stop), &sites)?;
    let remote = Remote::new(&args.remote)?;
    let (stop, open) = asked(&remote, &args.stop, &sites, now)?;
    obstacles.extend(open);
    if !obstacles.is_empty() {
        return Err(LiftRefused::Open { obstacles }.into());
    }
    let last = lifts.iter().filter(|(stop, _)| *stop == args.stop).map(|(_, number)| *number).max();
    let path = lift_path(&args.stop, last.map_or(1, |last| last.saturating_add(1)));
    let reason = args.reason.clone();
    let lift = Lift { kind: LIFT_TYPE.to_owned(), product, stop: args.stop, sites, reason, time: now };
    directory.write(&path, &text(&lift).ok_or(LiftRefused::Text)?)?;
    let sites = if lift.sites.len() == 1 { "site" } else { "sites" };
    output::say!("{path}: ends stop {} ({:?}) for {} {sites}", stop.stop.number, stop.reason, lift.sites.len());
    output::say!("Next: `sign` by two release managers, then `publish`.");
    Ok(())
}

/// What the controller knows of the stop, and everything that stands in the way of its end at these sites.
pub(crate) fn asked(
    remote: &Remote,
    digest: &Digest,
    sites: &[SiteCode],
    now: Time,
) -> Result<(StopView, Vec<String>), CommandError> {
    let stop = stop(remote, digest)?.ok_or(LiftRefused::UnknownStop { stop: *digest })?;
    let mut obstacles = Vec::new();
    for site in sites {
        let view: SiteView = remote.read(&format!("{SITES}/{site}"))?;
        obstacles.extend(open_at(site, &view, &stop, now));
    }
    Ok((stop, obstacles))
}

/// The stop, with all its hosts; none if the controller does not know it. One of before answers no question
/// for a single stop, and lists every stop whole.
fn stop(remote: &Remote, digest: &Digest) -> Result<Option<StopView>, CommandError> {
    let path = format!("{STOPS}/{digest}");
    if let Some(bytes) = remote.bytes(&path)? {
        let stop = serde_json::from_slice(&bytes).map_err(|error| remote.misread(&path, error.to_string()))?;
        return Ok(Some(stop));
    }
    let stops: Vec<StopView> = remote.read(STOPS)?;
    Ok(stops.into_iter().find(|stop| stop.stop.digest == *digest && stop.counts.is_none()))
}

// A second lift for the same site would say that the first did not count.
pub(crate) fn written_before(
    directory: &Directory,
    lifts: &[(Digest, u64)],
    (product, stop): (&ProductId, &Digest),
    sites: &[SiteCode],
) -> Result<Vec<String>, CommandError> {
    let mut obstacles = Vec::new();
    for (_, number) in lifts.iter().filter(|(of, _)| of == stop) {
        let path = lift_path(stop, *number);
        match read(&directory.read(&path)?, product, stop) {
            Ok(lift) => {
                let again = sites.iter().filter(|site| lift.frees(stop, site));
                obstacles.extend(again.map(|site| format!("{site}: {path} lifts the stop there; sign and publish it")));
            }
            Err(why) => obstacles.push(format!("{path}: {why}")),
        }
    }
    Ok(obstacles)
}

// Everything that stands in the way at one site, in words.
fn open_at(site: &SiteCode, view: &SiteView, stop: &StopView, now: Time) -> Vec<String> {
    let mut obstacles = Vec::new();
    if view.site.code != *site {
        return vec![format!("{site}: the controller answers for {}", view.site.code)];
    }
    if !stop.scope.covers(site) {
        obstacles.push(format!("{site}: not in the scope of stop {}", stop.stop.number));
    }
    if stop.lifted.contains(site) {
        obstacles.push(format!("{site}: lifted already"));
    }
    if view.hosts.is_empty() {
        obstacles.push(format!("{site}: no host is listed, so nothing was shown"));
    }
    for host in &view.hosts {
        let id = &host.host.host;
        // Those two are the stop's own doing.
        let own = |code: Code| !matches!(code, Code::Stopped | Code::SiteHold);
        let reasons = host.appraisal.reasons.iter().chain(&host.host.reasons).filter(|reason| own(reason.code));
        let mut open: Vec<_> = reasons.map(ToString::to_string).collect();
        open.sort();
        open.dedup();
        // A hold that gives no reason is still one.
        if open.is_empty() && host.appraisal.verdict == Verdict::Hold {
            open.push("its evidence is appraised to hold".to_owned());
        }
        obstacles.extend(open.iter().map(|reason| format!("{id}: {reason}")));
        if host.host.evidence.is_none() {
            obstacles.push(format!("{id}: no evidence"));
        }
        if !stop.acknowledged.contains(id) {
            obstacles.push(format!("{id}: has not acknowledged stop {}", stop.stop.number));
        }
    }
    match view.site.verified_until {
        Some(until) if until > now => {}
        Some(until) => obstacles.push(format!("{site}: evidence counted until {until}, now is {now}")),
        None => obstacles.push(format!("{site}: not all hosts have shown evidence")),
    }
    obstacles
}

/// Reads a lift that must be of this product and end this stop.
pub(crate) fn read(bytes: &[u8], product: &ProductId, stop: &Digest) -> Result<Lift, String> {
    let lift = Lift::read(bytes, product).map_err(|error| chain(&error))?;
    if lift.stop != *stop {
        return Err(format!("it ends another stop, {}", lift.stop));
    }
    // One lift has one text.
    if text(&lift).as_deref() == Some(bytes) {
        Ok(lift)
    } else {
        Err("it is not canonical JSON; `lift` writes it".to_owned())
    }
}

fn text(lift: &Lift) -> Option<Vec<u8>> {
    serde_json::to_value(lift).ok().and_then(|value| canonical::to_vec(&value).ok())
}
