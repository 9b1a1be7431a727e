//! `doctor`: what is wrong with a controller, or soon will be. Reads beside a serving one and changes nothing but
//! a file of its own that is gone at the end.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use manifests::api::SetBackCause;
use manifests::chain::chain;
use manifests::durable;
use manifests::key::PublicKey;
use manifests::time::{Span, Time};
use rustix::process::{Resource, getrlimit};

use crate::clock;
use crate::data::Data;
use crate::expiry;
use crate::repository::Unverified;
use crate::store::Connection;
use crate::tls;

/// Less room than this is said to be little.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Fewer free inodes are said to be few.
const FREE_INODES_MIN: u64 = 1_000;
/// A process with fewer descriptors refuses hosts of a large fleet: connections, and the files beside them.
const DESCRIPTORS_MIN: u64 = 16_384 + 512;
/// How far the newest entry of the store may lie ahead of the clock.
const AHEAD_MAX: Span = Span::from_s(5);

/// What `doctor` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The controller's directory
    #[arg(long)]
    pub data: PathBuf,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Good,
    Warn,
    Bad,
}

#[derive(Default)]
struct Findings(Vec<(Level, &'static str, String)>);

impl Findings {
    fn good(&mut self, of: &'static str, what: impl Display) {
        self.0.push((Level::Good, of, what.to_string()));
    }

    fn warn(&mut self, of: &'static str, what: impl Display) {
        self.0.push((Level::Warn, of, what.to_string()));
    }

    fn bad(&mut self, of: &'static str, what: impl Display) {
        self.0.push((Level::Bad, of, what.to_string()));
    }
}

/// Looks, and prints a line for each thing looked at. Whether nothing is bad.
///
/// # Errors
/// None: what cannot be looked at is a finding.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let (data, now) = (Data::new(args.data), clock::now());
    let mut findings = Findings::default();
    let mut store = store(&data, now, &mut findings).await;
    disk(data.directory(), &mut findings);
    let read = repository(&data, store.as_mut(), &mut findings).await;
    keys(&data, read.as_ref(), &mut findings);
    if let Some(store) = &mut store {
        set_back(store, &mut findings).await;
    }
    ends(&data, store.as_mut(), read, now, &mut findings).await;
    descriptors(&mut findings);
    for (level, of, what) in &findings.0 {
        let mark = match level {
            Level::Good => "ok  ",
            Level::Warn => "warn",
            Level::Bad => "BAD ",
        };
        output::say!("{mark} {of}: {what}");
    }
    Ok(findings.0.iter().all(|(level, _, _)| *level < Level::Bad))
}

/// The database, if it can be opened.
async fn store(data: &Data, now: Time, findings: &mut Findings) -> Option<Connection> {
    let mut connection = match Connection::open_to_read(data.directory()).await {
        Ok(connection) => connection,
        Err(error) => {
            findings.bad("store", format!("{}; restore a backup", chain(&error)));
            return None;
        }
    };
    match connection.quick_check().await {
        Ok(None) => findings.good("store", "the database is whole"),
        Ok(Some(problem)) => findings.bad("store", format!("the database is damaged: {problem}; restore a backup")),
        Err(error) => findings.bad("store", format!("the database cannot be read: {}", chain(&error))),
    }
    match (connection.controller().await, data.public()) {
        (Ok((id, _)), Ok(public)) if public.id.as_str() == id => {}
        (Ok((id, _)), Ok(public)) => {
            findings.bad(
                "store",
                format!("controller.json is of {}, the database of {id}: one was restored alone", public.id),
            );
        }
        (Err(error), _) => findings.bad("store", chain(&error)),
        (_, Err(error)) => findings.bad("store", chain(&error)),
    }
    match connection.newest_time().await {
        Ok(Some(newest)) if newest > now.after(AHEAD_MAX) => {
            findings.bad("clock", format!("it says {now}, and something was stored at {newest}: set the clock right"));
        }
        Ok(_) => findings.good("clock", format!("it says {now}, behind everything that was stored")),
        Err(error) => findings.bad("clock", chain(&error)),
    }
    Some(connection)
}

fn disk(directory: &Path, findings: &mut Findings) {
    match rustix::fs::statvfs(directory) {
        Ok(found) => {
            let (bytes, inodes) = (found.f_bavail.saturating_mul(found.f_frsize), found.f_favail);
            let room = format!("{} MiB and {inodes} inodes are free", bytes >> 20);
            // File systems that make inodes as they need them say that they have none.
            if bytes < FREE_BYTES_MIN || (found.f_files > 0 && inodes < FREE_INODES_MIN) {
                findings.warn("disk", format!("{room}: make room before stops and evidence are refused"));
            } else {
                findings.good("disk", room);
            }
        }
        Err(error) => findings.bad("disk", format!("{} cannot be looked at: {error}", directory.display())),
    }
    let probe = directory.join("doctor.probe");
    match durable::replace(&probe, &[0; 4096], durable::PRIVATE).and_then(|()| durable::remove(&probe)) {
        Ok(()) => findings.good("disk", "it can be written and synced"),
        Err(error) => findings.bad("disk", format!("it cannot be written: {}", chain(&error))),
    }
}

/// What is published, if it can be read.
async fn repository(data: &Data, store: Option<&mut Connection>, findings: &mut Findings) -> Option<Unverified> {
    const MEND: &str = "restore it, or move tuf/ away and publish again; gates go on until their permits end";
    let directory = data.repository();
    match Unverified::read(&directory) {
        Ok(Some(read)) => {
            match read.check_targets(&directory) {
                Ok(()) => findings.good("repository", "every file in force is the one that is listed"),
                Err(error) => findings.bad("repository", format!("{error:#}; {MEND}")),
            }
            Some(read)
        }
        Ok(None) => {
            // What is wrong with the store stands with the store.
            match store?.has_published().await {
                Ok(true) => findings.bad(
                    "repository",
                    format!("it is lost, and something was published: after a start no permit is signed; {MEND}"),
                ),
                Ok(false) => findings.good("repository", "nothing was published yet"),
                Err(error) => findings.bad(
                    "repository",
                    format!("it is empty; whether something was published cannot be told: {}", chain(&error)),
                ),
            }
            None
        }
        Err(error) => {
            findings.bad("repository", format!("{error:#}; {MEND}"));
            None
        }
    }
}

async fn set_back(store: &mut Connection, findings: &mut Findings) {
    match store.set_back().await {
        Ok((None, _)) => findings.good("set-back", "nothing is known that was forgotten"),
        Ok((Some(open), _)) => findings.bad(
            "set-back",
            format!(
                "{}: {} has its {} {} (noticed {}), and nobody may issue; \
                 see docs/operations-controllers.md, then: sekisho looked-at --note '...'",
                match open.cause {
                    SetBackCause::SetBack => "this controller was set back to an earlier moment",
                    SetBackCause::KeyUsedTwice => "another controller signs with this one's key, end one of the two",
                },
                open.shown_by(),
                open.proof.as_str(),
                open.number,
                open.noticed,
            ),
        ),
        Err(error) => findings.bad("set-back", format!("it cannot be told: {}", chain(&error))),
    }
}

fn keys(data: &Data, read: Option<&Unverified>, findings: &mut Findings) {
    let public = match data.public() {
        Ok(public) => public,
        Err(error) => return findings.bad("keys", chain(&error)),
    };
    let listed: [(&str, &PublicKey); 4] = [
        ("permit", &public.permit_key),
        ("log", &public.log_key),
        ("snapshot", &public.snapshot_key),
        ("timestamp", &public.timestamp_key),
    ];
    for (name, listed) in listed {
        match data.key(name) {
            Ok(key) if key.public().is_same_key(listed) => {
                findings.good("keys", format!("keys/{name}.pem is the key of controller.json"));
            }
            Ok(_) => findings.bad("keys", format!("keys/{name}.pem is another key than controller.json says")),
            Err(error) => findings.bad("keys", chain(&error)),
        }
    }
    if let Some(read) = read {
        match read.registry.controllers.iter().find(|controller| controller.id == public.id) {
            Some(listed) if listed.permit_key.is_same_key(&public.permit_key) => {
                findings.good("keys", "the registry in force lists this controller with its permit key");
            }
            Some(_) => {
                findings.bad("keys", "the registry in force lists another permit key: no host takes its permits")
            }
            None => {
                findings.bad("keys", "the registry in force does not list this controller: no host takes its permits")
            }
        }
    }
    let certified = |data: &Data| -> anyhow::Result<()> {
        tls::certified(&data.read("tls.pem")?, &data.read("tls.key")?).map(|_| ())
    };
    match certified(data) {
        Ok(()) => findings.good("keys", "tls.key belongs to tls.pem"),
        Err(error) => findings.bad("keys", format!("{error:#}")),
    }
}

async fn ends(
    data: &Data,
    store: Option<&mut Connection>,
    read: Option<Unverified>,
    now: Time,
    findings: &mut Findings,
) {
    let mut ends = Vec::new();
    for (file, end) in expiry::certificates(data) {
        match end {
            Ok(end) => ends.push(end),
            Err(error) => findings.bad("ends", format!("{file}: {error:#}; restore it from a backup")),
        }
    }
    ends.extend(read.into_iter().flat_map(|read| read.ends));
    if let Some(store) = store {
        match store.tokens_ending(now).await {
            Ok(tokens) => ends.extend(tokens),
            Err(error) => findings.bad("ends", format!("which tokens end cannot be told: {}", chain(&error))),
        }
    }
    let near = expiry::near(ends.clone(), now);
    for end in &near {
        let words = expiry::words(end, now);
        if end.until <= now && end.what != "token" { findings.bad("ends", words) } else { findings.warn("ends", words) }
    }
    if let Some(next) = ends.iter().filter(|end| !near.contains(end)).map(|end| end.until).min() {
        findings.good("ends", format!("nothing else ends before {next}"));
    }
}

fn descriptors(findings: &mut Findings) {
    let limit = getrlimit(Resource::Nofile);
    match limit.current {
        Some(now) if now < DESCRIPTORS_MIN => findings.warn(
            "descriptors",
            format!("{now} here, and 16384 connections need {DESCRIPTORS_MIN}: LimitNOFILE= of the service, ulimit -n"),
        ),
        now => findings.good("descriptors", now.map_or_else(|| "without a limit".to_owned(), |now| now.to_string())),
    }
}
