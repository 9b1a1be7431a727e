//! A real agent, and controllers that answer as each test says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "support/controller.rs"]
mod controller;
#[path = "../../manifests/tests/common/keys.rs"]
mod keys;
#[path = "../../manifests/tests/common/signed_set.rs"]
mod signed_set;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::client::{Controllers, Session};
use agent::config::Config;
use agent::identity::Identity;
use agent::keeper::Keeper;
use agent::parts::Parts;
use agent::run::StartError;
use agent::state::{Sent, StateDirectory};
use agent::trust::Trust;
use client::{AskLimits, Client, ClientError, TransferLimits};
use controller::{Asked, Certificate, Controller, Said, receipt};
use manifests::api::{self, Handed, Receipt};
use manifests::envelope::Sealed;
use manifests::evidence::{Cover, EVIDENCE_VERSION};
use manifests::gate::Gate;
use manifests::outcome::Verdict;
use manifests::permit::{Permit, SealedPermit};
use manifests::reason::{Code, Reason};
use manifests::stop::{Scope, Stop};
use manifests::time::{Span, Time};
use signed_set::{PRODUCT, Served, SignedSet};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const HOST: &str = "402206-ap1";

/// One host's files, and what its controllers serve.
struct Site {
    directory: TempDir,
    certificate: Certificate,
    served: Served,
}

/// Ends when dropped.
struct Agent {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), StartError>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.task.abort();
    }
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut set = SignedSet::new();
        set.now = Time::from(std::time::SystemTime::now());
        set.baseline += "\n[gate]\nheartbeat = \"1s\"\n";
        let (served, root) = set.publish();
        std::fs::write(directory.path().join("root.json"), root).unwrap();
        std::fs::create_dir(directory.path().join("host")).unwrap();
        let certificate = Certificate::new();
        certificate.write(&directory.path().join("ca.pem"));
        let site = Self { directory, certificate, served };
        let state = StateDirectory::open(&site.state(), &site.path().join("gate.sock")).unwrap();
        state.make_enrolling_key().unwrap();
        state.adopt_enrolling_key().unwrap();
        site
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    async fn controller(&self, answers: impl FnMut(&Asked) -> Said + Send + 'static) -> Controller {
        Controller::start(&self.certificate, self.served.clone(), answers).await
    }

    fn config(&self, controllers: &[&Controller]) -> Config {
        let urls: Vec<String> = controllers.iter().map(|controller| format!("{:?}", controller.url())).collect();
        let text = format!(
            "product = \"{PRODUCT}\"\nhost = \"{HOST}\"\ncontrollers = [{}]\nca = \"ca.pem\"\nroot = \"root.json\"\n\
             state = \"state\"\nprefix = \"host\"\n[gate]\nlisten = \"127.0.0.1:0\"\nsocket = \"gate.sock\"\n",
            urls.join(", ")
        );
        let path = self.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path).unwrap()
    }

    fn agent(&self, controllers: &[&Controller]) -> Agent {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(agent::run::run(self.config(controllers), shutdown.clone(), |_| ()));
        Agent { shutdown, task }
    }
}

/// Takes every document, and everything else.
fn takes(session: &'static str) -> impl FnMut(&Asked) -> Said + Send {
    move |asked| match asked.cover() {
        Some(cover) => Said::receipt(&receipt(&cover, session)),
        None => Said::nothing(),
    }
}

#[tokio::test]
async fn what_a_host_resumes_with_is_kept_while_its_controller_is_in_trouble() {
    let site = Site::new();
    let mut in_trouble = vec![429, 503, 502];
    let mut main = site
        .controller(move |asked| match asked.cover() {
            Some(cover) if !cover.resumed && cover.sequence < 1000 => Said::refusal(409, "sequence", Some(1000)),
            Some(cover) => match in_trouble.pop().filter(|_| cover.resumed) {
                Some(status) => Said::refusal(status, "unavailable", None).retry_after("0"),
                None => Said::receipt(&receipt(&cover, "session")),
            },
            None => Said::nothing(),
        })
        .await;
    let _agent = site.agent(&[&main]);
    let first = main.hears("a resumption", |asked| asked.cover().is_some_and(|cover| cover.resumed)).await;
    for _ in 0..3 {
        let (again, _) = main.hears_document().await;
        assert!(again.body == first.body, "the same bytes, or it looks like a second machine");
    }
    let (_, next) = main.hears_document().await;
    assert!(!next.resumed && next.sequence > 1001, "{next:?}");
}

#[tokio::test]
async fn a_first_controller_that_is_ahead_gets_a_host_back_that_went_away() {
    let site = Site::new();
    let mut first = site.controller(|_| Said::refusal(503, "unavailable", None)).await;
    let mut second = site.controller(takes("of the second")).await;
    let _agent = site.agent(&[&first, &second]);
    second.hears_document().await;
    // Restored or not, it has heard more of this host than the host knows.
    first.answers(|asked| match asked.cover() {
        Some(cover) if cover.sequence <= 1000 => Said::refusal(409, "sequence", Some(1000)),
        Some(cover) => Said::receipt(&receipt(&cover, "of the first")),
        None => Said::nothing(),
    });
    first.hears("a resumption", |asked| asked.cover().is_some_and(|cover| cover.resumed)).await;
    let (_, next) = first.hears_document().await;
    assert!(!next.resumed, "{next:?}");
}

#[tokio::test]
async fn a_disk_in_trouble_sends_no_host_to_another_controller() {
    let site = Site::new();
    let kept = site.state().join("resuming.json");
    let mut first = site
        .controller(move |asked| match asked.cover() {
            Some(cover) if !cover.resumed && cover.sequence < 1000 => Said::refusal(409, "sequence", Some(1000)),
            Some(cover) => {
                if cover.resumed {
                    // What was kept cannot be removed any more, or be written where it is not there yet.
                    while std::fs::create_dir_all(kept.join("taken")).is_err() {
                        let _ = std::fs::remove_file(&kept);
                    }
                }
                Said::receipt(&receipt(&cover, "of the first"))
            }
            None => Said::nothing(),
        })
        .await;
    let mut second = site.controller(takes("of the second")).await;
    let _agent = site.agent(&[&first, &second]);
    first.hears("a resumption", |asked| asked.cover().is_some_and(|cover| cover.resumed)).await;
    for _ in 0..3 {
        first.hears_document().await;
    }
    assert!(second.heard().is_empty());
}

#[tokio::test]
async fn a_session_is_shown_to_the_controller_that_gave_it_alone() {
    let site = Site::new();
    let certificate = site.path().join("ca.pem");
    let first = site.controller(takes("unused")).await;
    let mut second = site.controller(takes("unused")).await;
    let controllers = Controllers::new(vec![second.url(), first.url()], &certificate).unwrap();
    let session = Session { address: second.url(), bearer: "of the second".to_owned() };
    controllers.prefer_next();
    assert_eq!(controllers.address(), first.url());
    controllers.post_in(&session, api::HANDED, b"{}".to_vec()).await.unwrap();
    controllers.put_list(&session, "sha256:00", Arc::new(b"list".to_vec())).await.unwrap();
    controllers.listen(&session, || (), |_| ()).await.unwrap_err(); // No controller here has a stream.
    let heard: Vec<_> = second.heard().into_iter().map(|asked| (asked.path, asked.bearer)).collect();
    let bearer = Some("Bearer of the second".to_owned());
    let paths = [api::HANDED.to_owned(), format!("{}/sha256:00", api::FILES), api::STREAM.to_owned()];
    assert_eq!(heard, paths.map(|path| (path, bearer.clone())));
}

/// A hold of the main controller's, of this number.
fn hold(number: u64, cover: &Cover) -> SealedPermit {
    let permit = Permit {
        product: PRODUCT.parse().unwrap(),
        host: HOST.parse().unwrap(),
        key: None,
        number,
        baseline: cover.baseline,
        state: None,
        answers: cover.sequence,
        verdict: Verdict::Hold,
        reasons: vec![Reason::of(Code::Stale)],
        issued: cover.wall,
        until: cover.wall.after(Span::from_s(60)),
        stops: Vec::new(),
    };
    permit.seal(EVIDENCE_VERSION, &keys::test_key(4)).unwrap()
}

#[tokio::test]
async fn what_proves_that_a_controller_was_set_back_outlives_its_next_hold() {
    let site = Site::new();
    let lost = u64::try_from(Time::from(std::time::SystemTime::now()).unix_ms()).unwrap() * 1000;
    let (mut documents, mut handed) = (0, 0);
    let mut main = site
        .controller(move |asked| match asked.cover() {
            Some(cover) => {
                let permit = Some(hold(lost + documents, &cover));
                // From the second document on it has forgotten the first permit.
                let unknown_permit = Some(lost).filter(|_| documents > 0 && handed < 2);
                documents += 1;
                Said::receipt(&Receipt { permit, unknown_permit, ..receipt(&cover, "session") })
            }
            None if asked.path == api::HANDED => {
                handed += 1;
                if handed == 1 { Said::refusal(503, "unavailable", None) } else { Said::nothing() }
            }
            None => Said::nothing(),
        })
        .await;
    let _agent = site.agent(&[&main]);
    for _ in 0..2 {
        let asked = main.hears("a permit handed in", |asked| asked.path == api::HANDED).await;
        let handed: Handed = serde_json::from_slice(&asked.body).unwrap();
        let numbers: Vec<u64> = handed.permits.iter().map(|permit| permit.claimed().unwrap().number).collect();
        assert_eq!((handed.permit_number, numbers), (Some(lost), vec![lost]));
    }
}

/// A stop of everybody, signed by the main controller.
fn stop() -> Sealed<Stop> {
    let stop = Stop {
        product: PRODUCT.parse().unwrap(),
        number: 1,
        previous: None,
        scope: Scope::All,
        reason: "drill".to_owned(),
        operator: "duty".to_owned(),
        time: Time::from(std::time::SystemTime::now()),
    };
    Sealed::seal(&stop, &keys::test_key(4)).unwrap()
}

#[tokio::test]
async fn an_acknowledgement_is_tried_again_until_the_controller_knows_the_stop() {
    let site = Site::new();
    let (mut acknowledged, mut sent) = (0, Some(stop()));
    let mut main = site
        .controller(move |asked| match asked.cover() {
            // Once: nothing but the agent itself comes back to it.
            Some(cover) => {
                let stops = sent.take().into_iter().collect();
                Said::receipt(&Receipt { stops, ..receipt(&cover, "session") })
            }
            None if asked.path == api::ACKNOWLEDGEMENTS => {
                acknowledged += 1;
                if acknowledged < 3 { Said::refusal(404, "unknown-stop", None) } else { Said::nothing() }
            }
            None => Said::nothing(),
        })
        .await;
    let _agent = site.agent(&[&main]);
    for _ in 0..3 {
        main.hears("an acknowledgement", |asked| asked.path == api::ACKNOWLEDGEMENTS).await;
    }
}

#[tokio::test]
async fn a_stop_that_its_controller_sends_again_is_acknowledged_without_a_pause() {
    let (site, stop) = (Site::new(), stop());
    let mut main = site
        .controller(move |asked| match asked.cover() {
            Some(cover) => Said::receipt(&Receipt { stops: vec![stop.clone()], ..receipt(&cover, "session") }),
            None if asked.path == api::ACKNOWLEDGEMENTS => Said::refusal(404, "unknown-stop", None),
            None => Said::nothing(),
        })
        .await;
    let _agent = site.agent(&[&main]);
    // By the last of them the pause has doubled to minutes, longer than is waited for a question.
    for _ in 0..12 {
        main.hears("an acknowledgement", |asked| asked.path == api::ACKNOWLEDGEMENTS).await;
    }
}

#[tokio::test]
async fn a_verified_stop_is_kept_whatever_the_registry_lists_by_then() {
    let site = Site::new();
    let main = site.controller(takes("unused")).await;
    let config = site.config(&[&main]);
    let gate = Gate::new(config.product.clone(), config.host.clone(), agent::clock::now(), Time::MIN);
    let state = StateDirectory::open(&config.state, &config.socket).unwrap();
    state.take_room(Sent::default()).unwrap();
    let client = Controllers::new(config.controllers.clone(), &config.ca).unwrap();
    let (trust, identity) = (Trust::of(&config).unwrap(), Identity::new(&config).unwrap());
    let keeper = Arc::new(Keeper::new(gate, None));
    let parts = Parts::new(config, state, keeper, client, trust, None, identity).unwrap();
    assert!(parts.permit_keys().is_empty());
    let key = keys::test_key(4).public().clone();
    parts.store_stop(stop().verify([&key]).unwrap(), key);
    parts.writer.flush(Duration::from_secs(60)).await;
    assert_eq!(parts.state.stops().unwrap().stops.len(), 1);
}

#[tokio::test]
async fn no_header_silences_a_host_for_longer_than_a_heartbeat() {
    let site = Site::new();
    let mut said = vec!["-1", "Fri, 31 Dec 9999 23:59:59 GMT", "18446744073709551615", "86400"];
    let count = said.len();
    let mut main = site
        .controller(move |asked| match (asked.cover(), said.pop()) {
            (Some(_), Some(wait)) => Said::refusal(503, "unavailable", None).retry_after(wait),
            (Some(cover), None) => Said::receipt(&receipt(&cover, "session")),
            (None, _) => Said::nothing(),
        })
        .await;
    let _agent = site.agent(&[&main]);
    for _ in 0..=count {
        main.hears_document().await;
    }
}

#[tokio::test]
async fn a_transfer_may_take_long_as_long_as_it_moves() {
    let certificate = Certificate::new();
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    certificate.write(&ca);
    let limits = AskLimits {
        connect: Duration::from_secs(60),
        answer: Duration::from_secs(60),
        silence: Some(Duration::from_secs(1)),
        ping: None,
        answer_bytes: 1 << 10,
    };
    let client = Client::new(&ca, limits).unwrap();
    let transfer = TransferLimits { still: Duration::from_secs(30), whole: Duration::from_secs(300) };
    // More than the system takes before anybody reads it.
    let bytes = Arc::new(vec![0; 48 << 20]);
    let (url, line) = controller::slow_line(&certificate, bytes.len(), Duration::from_millis(150)).await;
    client.upload(client.uploading(url), Arc::clone(&bytes), transfer).await.unwrap();
    line.abort();
    // Nobody reads it: that is no line, however long it lasts.
    let (url, line) = controller::slow_line(&certificate, 0, Duration::from_secs(3600)).await;
    let short = TransferLimits { still: Duration::from_secs(1), ..transfer };
    let error = client.upload(client.uploading(url), bytes, short).await.unwrap_err();
    assert!(matches!(error, ClientError::Stalled { .. }), "{error:?}");
    line.abort();
}
