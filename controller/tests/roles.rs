//! Every route of the table with nobody, viewer, operator and admin.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use controller::auth::Access;
use controller::role::Role;
use controller::router::ROUTES;
use reqwest::Method;
use support::World;

#[tokio::test]
async fn no_route_lets_in_who_may_not() {
    let world = World::new().await;
    let mut tokens = vec![(None, String::new()), (None, "unknown".to_owned())];
    for role in Role::ALL {
        tokens.push((Some(role), world.operator(&format!("test {role}"), role).await));
    }
    for route in ROUTES {
        let path = route
            .path
            .replace("{code}", "402206")
            .replace("{id}", "402206-ap1")
            .replace("{digest}", &"0".repeat(64))
            .replace("{*path}", "timestamp.json");
        let method: Method = route.method.to_uppercase().parse().unwrap();
        for (role, token) in &tokens {
            let answer = world.ask(method.clone(), &path, token, Some(&serde_json::json!({}))).await;
            let (status, what) = (answer.status().as_u16(), format!("{} {path} as {role:?}", route.method));
            match (route.access, role) {
                (Access::Public, _) => assert_eq!(status, 200, "{what}"),
                // The body says nothing that is signed.
                (Access::HostKey, _) => assert_eq!(status, 400, "{what}"),
                (Access::EnrolmentToken | Access::Session, _) => assert_eq!(status, 401, "{what}"),
                (Access::Operator(_), None) => assert_eq!(status, 401, "{what}"),
                (Access::Operator(needed), Some(role)) if *role < needed => assert_eq!(status, 403, "{what}"),
                (Access::Operator(_), Some(_)) => assert!(![401, 403].contains(&status), "{what}: {status}"),
            }
        }
    }
}
