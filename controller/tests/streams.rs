//! What is pushed: holds to neighbours, stops to all, news to dashboards.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use controller::role::Role;
use controller::token;
use manifests::api::{self, FleetEvent};
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::outcome::Verdict;
use manifests::reason::Code;
use manifests::stop::{Acknowledgement, Scope, Stop, StopRef};
use reqwest::{Method, StatusCode};
use support::events::Events;
use support::{AP, DB, OTHER, World};

#[tokio::test]
async fn a_fault_of_one_host_closes_its_neighbour_and_a_repair_opens_it() {
    let world = World::new().await;
    let (mut ap, mut db) = (world.host(AP).await, world.host(DB).await);
    world.receipt(&db.evidence("exclusive")).await;
    let session = world.receipt(&ap.evidence("exclusive")).await.session;
    let mut stream = Events::open(&world, api::STREAM, &session, None).await;
    world.receipt(&db.evidence("shared")).await;
    let mut hold = stream.permit().await;
    while hold.verdict == Verdict::Issue {
        hold = stream.permit().await; // What it had not confirmed yet comes first.
    }
    assert_eq!(hold.reasons[0].code, Code::SiteHold);
    assert_eq!(hold.reasons[0].host, Some(db.id.clone()));
    world.receipt(&db.evidence("exclusive")).await;
    let issue = stream.permit().await;
    assert_eq!((issue.verdict, issue.answers), (Verdict::Issue, ap.sequence));
    assert!(issue.number > hold.number);
}

#[tokio::test]
async fn a_stop_reaches_every_host_and_is_acknowledged() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    let session = world.receipt(&other.evidence("exclusive")).await.session;
    let mut stream = Events::open(&world, api::STREAM, &session, None).await;
    let request = api::StopRequest { scope: Scope::All, reason: "drill".to_owned() };
    world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await;
    let stop: Sealed<Stop> = stream.named("stop").await;
    let key = controller::data::Data::new(world.data()).public().unwrap().permit_key;
    let stop = stop.verify([&key]).unwrap();
    assert_eq!(stream.permit().await.reasons[0].code, Code::Stopped);
    let acknowledgement = Acknowledgement {
        product: support::product(),
        host: other.id.clone(),
        stop: StopRef { number: stop.number, digest: stop.digest() },
        time: controller::clock::now(),
    };
    let sealed = Sealed::seal(&acknowledgement, &other.key).unwrap();
    for _ in 0..2 {
        let answer = world.ask(Method::POST, api::ACKNOWLEDGEMENTS, "", Some(&sealed)).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    let stops: Vec<api::StopView> = world.see(api::STOPS).await;
    assert_eq!(stops[0].acknowledged, [other.id]);
}

#[tokio::test]
async fn a_host_that_names_a_stop_that_is_not_ours_gets_all_of_ours_either_way() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    let request = api::StopRequest { scope: Scope::All, reason: "drill".to_owned() };
    let made = world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await;
    let made: api::StopView = made.json().await.unwrap();
    // As after a controller that was replaced by an empty one.
    other.stops = vec![StopRef { number: made.stop.number, digest: Digest::of(b"another controller's") }];
    let receipt = world.receipt(&other.evidence("exclusive")).await;
    let stops = |stop: &Sealed<Stop>| stop.claimed().unwrap().number;
    assert_eq!(receipt.stops.iter().map(stops).collect::<Vec<_>>(), [1]);
    let mut stream = Events::open(&world, api::STREAM, &receipt.session, None).await;
    let (event, data) = stream.next().await;
    assert_eq!(event, "stop", "{data}");
    other.stops = vec![made.stop];
    let receipt = world.receipt(&other.heartbeat("exclusive")).await;
    assert!(receipt.stops.is_empty(), "it has it");
    // It has not said that it is on disk: what it said before may have been lost with this controller's database.
    let mut stream = Events::open(&world, api::STREAM, &receipt.session, None).await;
    assert_eq!(stream.next().await.0, "stop");
    let said = Acknowledgement {
        product: support::product(),
        host: other.id.clone(),
        stop: made.stop,
        time: controller::clock::now(),
    };
    let sealed = Sealed::seal(&said, &other.key).unwrap();
    world.ask(Method::POST, api::ACKNOWLEDGEMENTS, "", Some(&sealed)).await;
    let mut stream = Events::open(&world, api::STREAM, &receipt.session, None).await;
    assert_ne!(stream.next().await.0, "stop");
}

#[tokio::test]
async fn a_publish_tells_connected_hosts_to_refresh() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    let receipt = world.receipt(&other.evidence("exclusive")).await;
    let mut stream = Events::open(&world, api::STREAM, &receipt.session, None).await;
    assert_eq!(stream.named::<u64>("refresh").await, receipt.timestamp);
    let mut draft = world.draft();
    draft.targets_version = 2;
    assert!(world.publish(&draft).await.status().is_success());
    assert!(stream.named::<u64>("refresh").await > receipt.timestamp);
}

#[tokio::test]
async fn a_dashboard_goes_on_where_it_left_off() {
    let world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    let mut stream = Events::open(&world, api::EVENTS, &world.admin, Some(0)).await;
    let mut ids = Vec::new();
    let mut last: FleetEvent = stream.named("change").await;
    while last.site.is_none() || last.host.is_some() || last.verdict != Some(Verdict::Issue) {
        ids.push(last.id);
        last = stream.named("change").await;
    }
    drop(stream);
    world.receipt(&other.evidence("shared")).await;
    let mut stream = Events::open(&world, api::EVENTS, &world.admin, Some(last.id)).await;
    let next: FleetEvent = stream.named("change").await;
    assert_eq!((next.id, next.verdict), (last.id + 1, Some(Verdict::Hold)));
    assert_eq!(next.reasons[0].code, Code::LockDrifted);
    ids.push(last.id);
    assert_eq!(ids, (1..=last.id).collect::<Vec<_>>(), "none is missing");
}

#[tokio::test]
async fn a_reader_that_names_an_event_to_come_misses_nothing() {
    let world = World::new().await;
    let mut events = Events::open(&world, api::EVENTS, &world.admin, Some(u64::from(u32::MAX))).await;
    world.host(AP).await;
    let event: FleetEvent = events.named("change").await;
    assert_eq!(event.host.unwrap().as_str(), AP);
}

#[tokio::test]
async fn who_asks_for_the_head_of_a_stream_ends_none() {
    let world = World::new().await;
    let mut ap = world.host(AP).await;
    let session = world.receipt(&ap.evidence("exclusive")).await.session;
    let mut stream = Events::open(&world, api::STREAM, &session, None).await;
    let answer = world.ask(Method::HEAD, api::STREAM, &session, None::<&()>).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    let request = api::StopRequest { scope: Scope::All, reason: "drill".to_owned() };
    assert_eq!(world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await.status(), StatusCode::CREATED);
    stream.named::<Sealed<Stop>>("stop").await;
}

#[tokio::test]
async fn a_token_that_was_replaced_or_revoked_ends_its_streams() {
    let world = World::new().await;
    let (replaced, revoked) = (world.operator("one", Role::Viewer).await, world.operator("two", Role::Viewer).await);
    let lowered = world.operator("three", Role::Admin).await;
    let mut streams = Vec::new();
    for token in [&replaced, &revoked, &lowered] {
        streams.push(Events::open(&world, api::EVENTS, token, Some(0)).await);
    }
    // The one that stays good: the others' end is not everybody's.
    let mut stays = Events::open(&world, api::EVENTS, &world.admin, None).await;
    let renewed = world.operator("one", Role::Viewer).await;
    let arguments = token::Args::Revoke { name: "two".to_owned(), data: world.data() };
    token::run(arguments).await.unwrap();
    world.operator("three", Role::Admin).await;
    for stream in &mut streams {
        assert!(stream.ends().await);
    }
    for token in [&replaced, &revoked, &lowered] {
        let answer = world.ask(Method::GET, api::SITES, token, None::<&()>).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.ask(Method::GET, api::SITES, &renewed, None::<&()>).await.status(), StatusCode::OK);
    world.host(AP).await;
    let event: FleetEvent = stays.named("change").await;
    assert_eq!(event.host.unwrap().as_str(), AP);
    let nobody = token::Args::Revoke { name: "two".to_owned(), data: world.data() };
    assert!(token::run(nobody).await.is_err());
}

#[tokio::test]
async fn a_replaced_host_key_ends_its_stream() {
    let world = World::new().await;
    let mut ap = world.host(AP).await;
    let session = world.receipt(&ap.evidence("exclusive")).await.session;
    let mut stream = Events::open(&world, api::STREAM, &session, None).await;
    world.host(AP).await;
    assert!(stream.ends().await);
    let answer = world.ask(Method::GET, api::STREAM, &session, None::<&()>).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
