//! Whom a draft would hold: asked over HTTP, by anybody with a token, and nothing changes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use controller::role::Role;
use data_encoding::BASE64;
use manifests::api::{self, FleetView, Preview, PreviewRequest};
use reqwest::{Method, StatusCode};
use support::{AP, DB, Draft, HOSTS, OTHER, World, baseline, failure};

fn request(draft: &Draft) -> PreviewRequest {
    let texts = [("convenience-issuance/baseline.toml", &draft.baseline), ("registry.toml", &draft.registry)];
    let targets = texts.map(|(path, text)| (path.to_owned(), BASE64.encode(text.as_bytes())));
    PreviewRequest { targets: targets.into() }
}

async fn reporting() -> World {
    let world = World::new().await;
    for id in HOSTS {
        world.receipt(&world.host(id).await.evidence("exclusive")).await;
    }
    world
}

#[tokio::test]
async fn a_viewer_is_told_whom_a_draft_would_hold_and_nothing_changes() {
    let world = reporting().await;
    let viewer = world.operator("viewer", Role::Viewer).await;
    let before: FleetView = world.see(api::SITES).await;
    assert_eq!(before.counts.verified, 2, "{before:?}");
    let mut draft = world.draft();
    draft.baseline = baseline("2.0.0").replace("\"exclusive\"", "\"exlusive\"");
    let answer = world.ask(Method::POST, api::PREVIEW, &viewer, Some(&request(&draft))).await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
    let preview: Preview = answer.json().await.unwrap();
    assert_eq!((preview.counts.sites, preview.counts.newly_held), (2, 2), "{preview:?}");
    let hosts: Vec<&str> = preview.newly_held.iter().flat_map(|site| &site.hosts).map(|h| h.host.as_str()).collect();
    assert_eq!(hosts, [OTHER, AP, DB]);
    assert_eq!(preview.newly_held[0].hosts[0].reasons[0].to_string(), "lock-drifted lock.print-wait");
    assert_eq!(preview.in_force, before.baseline);
    let after: FleetView = world.see(api::SITES).await;
    assert_eq!((after.counts, after.baseline, after.sites), (before.counts, before.baseline, before.sites));

    draft.baseline = baseline("2.0.0");
    let answer = world.ask(Method::POST, api::PREVIEW, &viewer, Some(&request(&draft))).await;
    let preview: Preview = answer.json().await.unwrap();
    assert_eq!((preview.counts.newly_held, preview.counts.unchanged), (0, 2), "{preview:?}");
}

#[tokio::test]
async fn what_is_no_draft_is_refused_with_what_is_wrong() {
    let world = World::new().await;
    let check = async |what: &str, request: &PreviewRequest, expected: (u16, &str, &str)| {
        let answer = world.ask(Method::POST, api::PREVIEW, &world.admin, Some(request)).await;
        let (status, body) = failure(answer).await;
        assert_eq!((status, body.code.as_str()), (expected.0, expected.1), "{what}: {body:?}");
        assert!(body.message.contains(expected.2), "{what}: {body:?}");
    };
    let many = (0..=api::PREVIEW_TARGETS_MAX).map(|number| (number.to_string(), String::new())).collect();
    check("more files than are read", &PreviewRequest { targets: many }, (400, "malformed", "at most 4096")).await;
    let twice = r#"{"targets":{"registry.toml":"","registry.toml":""}}"#;
    let twice = serde_json::from_str::<PreviewRequest>(twice).unwrap_err().to_string();
    assert!(twice.contains("stands twice"), "{twice}");
    let mut draft = world.draft();
    draft.baseline += "surprise = 1\n";
    check("a mistake", &request(&draft), (422, "baseline-refused", "surprise")).await;
    let mut draft = world.draft();
    draft.baseline = draft.baseline.replace("convenience-issuance", "something-else");
    check("another product's", &request(&draft), (422, "wrong-product", "something-else")).await;
    check("nothing", &PreviewRequest::default(), (422, "not-found", "registry.toml")).await;
    let mut broken = request(&world.draft());
    broken.targets.insert("registry.toml".to_owned(), "%".to_owned());
    check("no base64", &broken, (400, "malformed", "registry.toml")).await;
}
