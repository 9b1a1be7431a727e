//! Stops: who may make how many, and what a request for one says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use controller::role::Role;
use manifests::api::{self, StopView};
use reqwest::Method;
use serde_json::{Value, json};
use support::{World, code};

async fn ask(world: &World, token: &str, request: &Value) -> (u16, String) {
    let answer = world.ask(Method::POST, api::STOPS, token, Some(request)).await;
    if answer.status().is_success() { (answer.status().as_u16(), String::new()) } else { code(answer).await }
}

#[tokio::test]
async fn many_stops_of_one_keep_nobody_from_closing() {
    let world = World::new().await;
    let (busy, other) = (world.operator("busy", Role::Operator).await, world.operator("other", Role::Operator).await);
    let munakata = json!({ "scope": { "kind": "prefecture", "prefecture": 40 }, "reason": "drill" });
    for _ in 0..30 {
        assert_eq!(ask(&world, &busy, &munakata).await.0, 201);
    }
    assert_eq!(ask(&world, &busy, &munakata).await, (429, "too-many-stops".to_owned()));
    assert_eq!(ask(&world, &other, &munakata).await.0, 201, "each operator counts alone");
    let everybody = json!({ "scope": { "kind": "all" }, "reason": "drill" });
    assert_eq!(ask(&world, &busy, &everybody).await.0, 201, "it closes the other site");
    assert_eq!(ask(&world, &busy, &everybody).await, (429, "too-many-stops".to_owned()));
}

async fn ask_as(world: &World, token: &str, id: &str, request: &Value) -> (u16, Result<StopView, String>) {
    let asked = world.client.post(format!("{}{}", world.url, api::STOPS)).bearer_auth(token);
    let answer = asked.header(api::REQUEST_HEADER, id).json(request).send().await.unwrap();
    match answer.status().as_u16() {
        201 => (201, Ok(answer.json().await.unwrap())),
        status => (status, Err(code(answer).await.1)),
    }
}

#[tokio::test]
async fn a_name_of_a_request_is_no_way_around_the_limit_and_what_was_taken_is_answered_again() {
    let world = World::new().await;
    let token = world.operator("busy", Role::Operator).await;
    let munakata = json!({ "scope": { "kind": "prefecture", "prefecture": 40 }, "reason": "drill" });
    let first = ask_as(&world, &token, "0", &munakata).await.1.unwrap();
    for id in 1..30 {
        assert_eq!(ask_as(&world, &token, &id.to_string(), &munakata).await.0, 201);
    }
    let refused = (429, Err("too-many-stops".to_owned()));
    assert_eq!(ask_as(&world, &token, "30", &munakata).await, refused, "one more that closes nobody");
    // Its answer may have been lost: that it was not taken would be a lie.
    let (status, again) = ask_as(&world, &token, "0", &munakata).await;
    assert_eq!((status, again.unwrap().stop), (201, first.stop));
    // One that was not taken is tried again under its name, and closes the other site.
    let everybody = json!({ "scope": { "kind": "all" }, "reason": "drill" });
    assert_eq!(ask_as(&world, &token, "30", &everybody).await.0, 201);
    assert_eq!(world.see::<Vec<StopView>>(api::STOPS).await.len(), 31);
}

#[tokio::test]
async fn a_request_that_says_more_than_is_understood_is_refused() {
    let world = World::new().await;
    let token = world.operator("duty", Role::Operator).await;
    for scope in [
        json!({ "kind": "all", "except": ["402206"] }),
        json!({ "kind": "sites", "sites": ["402206"], "until": "tomorrow" }),
        json!({ "kind": "sites", "sites": ["402206"], "prefecture": 40 }),
        json!({ "kind": "prefecture", "prefecture": 40, "sites": [] }),
        json!({ "kind": "sites", "sites": ["402206", "402206"] }),
        json!({ "kind": "moon-phase" }),
        json!({ "sites": ["402206"] }),
        json!(["all"]),
        json!("all"),
    ] {
        let request = json!({ "scope": scope, "reason": "drill" });
        assert_eq!(ask(&world, &token, &request).await, (400, "malformed".to_owned()), "{scope}");
    }
}

#[tokio::test]
async fn a_page_behind_a_row_that_is_not_there_is_refused_and_no_empty_end() {
    let world = World::new().await;
    let token = world.operator("duty", Role::Operator).await;
    let munakata = json!({ "scope": { "kind": "prefecture", "prefecture": 40 }, "reason": "drill" });
    assert_eq!(ask(&world, &token, &munakata).await.0, 201);
    let nowhere = manifests::digest::Digest::of(b"no stop").to_string();
    for (path, row) in [(api::STOPS, nowhere.as_str()), (api::ITEMS, "FIX-1999-0001")] {
        let answer = world.ask(Method::GET, &format!("{path}?after={row}"), &token, None::<&()>).await;
        assert_eq!(code(answer).await, (404, "no-such-row".to_owned()), "{path}");
    }
    // Hosts and sites come by id: what stands behind an id is known, whether anybody has it or not.
    for (path, row, left) in [(api::HOSTS, "372013-zz9", 2), (api::HOSTS, "473022-ap1", 0), (api::SITES, "131016", 2)] {
        let answer = world.ask(Method::GET, &format!("{path}?after={row}"), &token, None::<&()>).await;
        let list: Value = answer.json().await.unwrap();
        let rows = list.get("sites").unwrap_or(&list).as_array().map(Vec::len);
        assert_eq!(rows, Some(left), "{path} {row}: {list}");
    }
    let answer = world.ask(Method::GET, &format!("{}?after=", api::STOPS), &token, None::<&()>).await;
    assert_eq!(code(answer).await, (400, "malformed".to_owned()));
}
