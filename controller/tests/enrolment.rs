//! Keys: one per host, one per token, whoever comes first.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::sync::Arc;

use controller::store::Connection;
use controller::token::HOST_TOKEN_LIFE;
use manifests::api::{self, StopView};
use manifests::envelope::Sealed;
use manifests::key::{PublicKey, SigningKey};
use manifests::stop::{Acknowledgement, Scope};
use manifests::time::Span;
use reqwest::{Method, StatusCode};
use support::{AP, OTHER, World, code, host};

#[tokio::test]
async fn of_fifty_who_use_one_token_at_once_exactly_one_wins() {
    let world = Arc::new(World::new().await);
    let token = world.token(AP, false, HOST_TOKEN_LIFE).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (world, token) = (Arc::clone(&world), token.clone());
            tokio::spawn(async move {
                let key = SigningKey::generate().unwrap();
                world.enrol(AP, &key, &token).await.status().as_u16()
            })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        match task.await.unwrap() {
            201 => created += 1,
            other => assert_eq!(other, 409),
        }
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn a_token_is_for_one_host_once_and_for_a_while() {
    let world = World::new().await;
    let key = SigningKey::generate().unwrap();
    let token = world.token(AP, false, HOST_TOKEN_LIFE).await;
    assert_eq!(code(world.enrol(OTHER, &key, &token).await).await, (403, "wrong-host".to_owned()));
    // Not even whether a host is listed is told to somebody whose token is not for it.
    assert_eq!(code(world.enrol("131016-ap1", &key, &token).await).await, (403, "wrong-host".to_owned()));
    assert_eq!(code(world.enrol(AP, &key, "guess").await).await, (401, "token".to_owned()));
    let expired = world.token(AP, false, Span::ZERO).await;
    assert_eq!(code(world.enrol(AP, &key, &expired).await).await, (401, "token".to_owned()));
    // None of that used it up.
    assert_eq!(world.enrol(AP, &key, &token).await.status().as_u16(), 201);
    // The answer was lost: the same key is told so again, another one is too late.
    assert_eq!(world.enrol(AP, &key, &token).await.status().as_u16(), 201);
    let other = SigningKey::generate().unwrap();
    assert_eq!(code(world.enrol(AP, &other, &token).await).await, (409, "token-used".to_owned()));
    let again = world.token(AP, false, HOST_TOKEN_LIFE).await;
    assert_eq!(
        code(world.enrol(AP, &SigningKey::generate().unwrap(), &again).await).await,
        (409, "enrolled".to_owned())
    );
    let elsewhere = world.token(OTHER, false, HOST_TOKEN_LIFE).await;
    assert_eq!(code(world.enrol(OTHER, &key, &elsewhere).await).await, (409, "key-in-use".to_owned()));
}

#[tokio::test]
async fn a_replaced_key_does_not_count_any_more() {
    let world = World::new().await;
    let mut before = world.host(OTHER).await;
    world.receipt(&before.evidence("exclusive")).await;
    let mut after = world.host(OTHER).await;
    assert_eq!(code(world.send(&before.heartbeat("exclusive")).await).await, (403, "not-enrolled".to_owned()));
    world.receipt(&after.evidence("exclusive")).await;
}

#[tokio::test]
async fn a_key_is_one_hosts_however_it_is_spelled() {
    let mut world = World::new().await;
    let key = SigningKey::generate().unwrap();
    let token = world.token(AP, false, HOST_TOKEN_LIFE).await;
    assert_eq!(world.enrol(AP, &key, &token).await.status().as_u16(), 201);
    let token = world.token(OTHER, false, HOST_TOKEN_LIFE).await;
    let mut object = serde_json::to_value(key.public()).unwrap();
    object["keyval"]["comment"] = "another".into();
    let spelled: PublicKey = serde_json::from_value(object).unwrap();
    let enrolment = world.enrolment(OTHER, &spelled, &token);
    let mut sealed = serde_json::to_value(Sealed::seal(&enrolment, &key).unwrap()).unwrap();
    sealed["signatures"][0]["keyid"] = spelled.id().as_str().into();
    let answer = world.ask(Method::POST, api::ENROLMENTS, &token, Some(&sealed)).await;
    assert_eq!(code(answer).await, (400, "malformed".to_owned()));

    // As it may have been stored before.
    world.stop().await;
    let mut connection = Connection::open(&world.data()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    transaction.save_key(&host(AP), &spelled).await.unwrap();
    transaction.commit().await.unwrap();
    drop(connection);
    world.start().await;
    assert_eq!(code(world.enrol(OTHER, &key, &token).await).await, (409, "key-in-use".to_owned()));
}

#[tokio::test]
async fn a_replaced_key_s_acknowledgement_does_not_count_after_a_restart_either() {
    let mut world = World::new().await;
    let ap = world.host(AP).await;
    let request = api::StopRequest { scope: Scope::All, reason: "drill".to_owned() };
    let stop: StopView = world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await.json().await.unwrap();
    let said = Acknowledgement {
        product: support::product(),
        host: support::host(AP),
        stop: stop.stop,
        time: controller::clock::now(),
    };
    let acknowledge = async |world: &World, key: &SigningKey| {
        let sealed = Sealed::seal(&said, key).unwrap();
        world.ask(Method::POST, api::ACKNOWLEDGEMENTS, "", Some(&sealed)).await.status()
    };
    assert_eq!(acknowledge(&world, &ap.key).await, StatusCode::NO_CONTENT);
    let replaced = world.host(AP).await;
    for restarted in [false, true] {
        if restarted {
            world.stop().await;
            world.start().await;
        }
        let stops: Vec<StopView> = world.see(api::STOPS).await;
        assert!(stops[0].acknowledged.is_empty(), "restarted: {restarted}");
    }
    assert_eq!(acknowledge(&world, &ap.key).await, StatusCode::FORBIDDEN);
    assert_eq!(acknowledge(&world, &replaced.key).await, StatusCode::NO_CONTENT);
    let stops: Vec<StopView> = world.see(api::STOPS).await;
    assert_eq!(stops[0].acknowledged.len(), 1);
}
