//! A batch that cannot be written has not been: nothing of it is shown, signed or told, and it is made again later.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use controller::token::HOST_TOKEN_LIFE;
use manifests::api::{self, FleetEvent, FleetView, Standing, StopView};
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::evidence::Evidence;
use manifests::key::SigningKey;
use manifests::outcome::Verdict;
use manifests::stop::Acknowledgement;
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::events::Events;
use support::faults::{Fault, Faults};
use support::{OTHER, World, code, product, state};

const FAULTS: [Fault; 2] = [Fault::Commit, Fault::Statement];

fn unavailable() -> (u16, String) {
    (503, "unavailable".to_owned())
}

async fn stop(world: &World, id: &str) -> reqwest::Response {
    let body = json!({ "scope": { "kind": "all" }, "reason": "drill" });
    let asked = world.client.post(format!("{}{}", world.url, api::STOPS)).bearer_auth(&world.admin);
    asked.header(api::REQUEST_HEADER, id).json(&body).send().await.unwrap()
}

#[tokio::test]
async fn a_stop_that_could_not_be_written_is_shown_to_nobody_and_is_one_when_it_is_tried_again() {
    for fault in FAULTS {
        let mut world = World::new().await;
        let faults = Faults::of(&world).await;
        let mut other = world.host(OTHER).await;
        let session = world.receipt(&other.evidence("exclusive")).await.session;
        let mut events = Events::open(&world, api::EVENTS, &world.admin, None).await;
        let before: FleetView = world.see(api::SITES).await;

        faults.arm(fault).await;
        assert_eq!(code(stop(&world, "the-request").await).await, unavailable());
        assert_eq!(world.see::<Vec<StopView>>(api::STOPS).await, [], "{fault:?}: shown, and not on disk");
        let mut after: FleetView = world.see(api::SITES).await;
        after.time = before.time;
        assert_eq!(after, before, "{fault:?}");
        let mut stream = Events::open(&world, api::STREAM, &session, None).await;
        while let (name, _) = stream.next().await
            && name != "refresh"
        {
            assert_ne!(name, "stop", "{fault:?}: told, and not on disk");
        }

        faults.disarm().await;
        let made: StopView = stop(&world, "the-request").await.json().await.unwrap();
        assert_eq!(made.stop.number, 1);
        let mut told: FleetEvent = events.named("change").await;
        while told.note == "issue" {
            told = events.named("change").await; // Of the evidence before: it is told behind its answer.
        }
        assert!(told.note.starts_with("stop 1 by"), "{fault:?}: the stop is the first that is told: {}", told.note);
        faults.close().await;
        world.stop().await;
        world.start().await;
        let again: StopView = stop(&world, "the-request").await.json().await.unwrap();
        assert_eq!(again.stop, made.stop, "{fault:?}");
        assert_eq!(world.see::<Vec<StopView>>(api::STOPS).await.len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_file_list_that_could_not_be_written_is_not_taken_for_stored() {
    for fault in FAULTS {
        let world = World::new().await;
        let faults = Faults::of(&world).await;
        let mut other = world.host(OTHER).await;
        let list = format!("{}  a\n", Digest::of(b"a").hex());
        let digest = Digest::of(list.as_bytes());
        let mut cover = other.cover();
        cover.lists = vec![digest];
        let evidence = Sealed::seal(&Evidence { cover, state: state("exclusive") }, &other.key).unwrap();
        let receipt = world.receipt(&evidence).await;
        assert_eq!(receipt.wanted, [digest]);
        let path = format!("{}/{}", api::FILES, digest.hex());
        let put = async || {
            let request = world.client.put(format!("{}{path}", world.url)).bearer_auth(&receipt.session);
            request.body(list.clone()).send().await.unwrap()
        };
        faults.arm(fault).await;
        assert_eq!(code(put().await).await, unavailable());
        assert_eq!(code(put().await).await, unavailable(), "{fault:?}: it is not stored");
        faults.disarm().await;
        assert_eq!(world.receipt(&evidence).await.wanted, [digest], "{fault:?}: asked for again");
        assert_eq!(put().await.status(), StatusCode::NO_CONTENT);
        assert_eq!(world.receipt(&evidence).await.wanted, []);
    }
}

#[tokio::test]
async fn no_permit_is_signed_for_evidence_that_could_not_be_written() {
    for fault in FAULTS {
        let mut world = World::new().await;
        let faults = Faults::of(&world).await;
        let mut other = world.host(OTHER).await;
        let session = world.receipt(&other.evidence("shared")).await.session;
        let good = other.evidence("exclusive");
        faults.arm(fault).await;
        assert_eq!(code(world.send(&good).await).await, unavailable());
        let sites: FleetView = world.see(api::SITES).await;
        assert_eq!(sites.counts.verified, 0, "{fault:?}: verified, and not on disk");
        let mut stream = Events::open(&world, api::STREAM, &session, None).await;
        let shown = stream.permit().await;
        assert_eq!(shown.verdict, Verdict::Hold, "{fault:?}: an issue that nobody would remember");
        faults.disarm().await;
        faults.close().await;
        let permit = world.receipt(&good).await.permit.unwrap().claimed().unwrap();
        assert_eq!(permit.verdict, Verdict::Issue);
        assert!(permit.number > shown.number, "{fault:?}");
        world.stop().await;
        world.start().await;
        let again = world.receipt(&good).await.permit.unwrap().claimed().unwrap();
        assert_eq!(again, permit, "{fault:?}: remembered");
    }
}

#[tokio::test]
async fn an_acknowledgement_that_could_not_be_written_is_not_shown_and_counts_when_it_comes_again() {
    for fault in FAULTS {
        let mut world = World::new().await;
        let faults = Faults::of(&world).await;
        let mut other = world.host(OTHER).await;
        world.receipt(&other.evidence("exclusive")).await;
        let made: StopView = stop(&world, "one").await.json().await.unwrap();
        let document = Acknowledgement {
            product: product(),
            host: other.id.clone(),
            stop: made.stop,
            time: controller::clock::now(),
        };
        let sealed = Sealed::seal(&document, &other.key).unwrap();
        faults.arm(fault).await;
        let send = async |world: &World| world.ask(Method::POST, api::ACKNOWLEDGEMENTS, "", Some(&sealed)).await;
        assert_eq!(code(send(&world).await).await, unavailable());
        let shown: Vec<StopView> = world.see(api::STOPS).await;
        assert_eq!(shown[0].acknowledged, [], "{fault:?}: acknowledged, and not on disk");
        faults.disarm().await;
        faults.close().await;
        assert_eq!(send(&world).await.status(), StatusCode::NO_CONTENT);
        world.stop().await;
        world.start().await;
        let shown: Vec<StopView> = world.see(api::STOPS).await;
        assert_eq!(shown[0].acknowledged, [other.id.clone()], "{fault:?}");
        let sites: FleetView = world.see(api::SITES).await;
        assert!(sites.sites.iter().all(|site| site.standing != Standing::Verified));
    }
}

#[tokio::test]
async fn an_enrolment_that_could_not_be_written_gives_no_key_and_uses_no_token_up() {
    for fault in FAULTS {
        let world = World::new().await;
        let faults = Faults::of(&world).await;
        let key = SigningKey::generate().unwrap();
        let token = world.token(OTHER, false, HOST_TOKEN_LIFE).await;
        faults.arm(fault).await;
        assert_eq!(code(world.enrol(OTHER, &key, &token).await).await, unavailable());
        let another = SigningKey::generate().unwrap();
        assert_eq!(code(world.enrol(OTHER, &another, &token).await).await, unavailable(), "{fault:?}: not used up");
        faults.disarm().await;
        assert_eq!(world.enrol(OTHER, &key, &token).await.status(), StatusCode::CREATED, "{fault:?}");
        assert_eq!(code(world.enrol(OTHER, &another, &token).await).await, (409, "token-used".to_owned()));
    }
}
