//! Stops: who may make how many, and what a request for one says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use controller::role::Role;
use manifests::api;
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
