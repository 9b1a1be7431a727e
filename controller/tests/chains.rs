//! Stops that this controller did not make, or has forgotten: hosts hand them in, and they count.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use controller::role::Role;
use manifests::api::{
    self, FleetView, HANDED_STOPS_MAX, Handed, HandedStop, HostRow, LookedAt, SetBackProof, SetBackView, StopView,
    UnlistedStop,
};
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::id::HostId;
use manifests::key::SigningKey;
use manifests::reason::Code;
use manifests::stop::{Scope, Stop, StopRef};
use reqwest::{Method, StatusCode};
use support::{AP, Host, OTHER, World, code};

/// A chain of stops under a key, each of everybody.
fn chain(key: &SigningKey, reasons: &[&str]) -> Vec<HandedStop> {
    let mut chain: Vec<HandedStop> = Vec::new();
    for (number, reason) in (1..).zip(reasons) {
        let stop = Stop {
            product: support::product(),
            number,
            previous: chain.last().map(|before| before.stop.digest()),
            scope: Scope::All,
            reason: (*reason).to_owned(),
            operator: "duty".to_owned(),
            time: controller::clock::now(),
        };
        chain.push(HandedStop { key: key.public().clone(), stop: Sealed::seal(&stop, key).unwrap() });
    }
    chain
}

fn end(chain: &[HandedStop]) -> StopRef {
    StopRef { number: chain.len() as u64, digest: chain.last().unwrap().stop.digest() }
}

async fn stop(world: &World) -> StopView {
    let request = api::StopRequest { scope: Scope::All, reason: "made here".to_owned() };
    world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await.json().await.unwrap()
}

/// The host names the end of a chain; what it is asked for, and a session.
async fn names(world: &World, host: &mut Host, ends: Vec<StopRef>) -> (Vec<StopRef>, String) {
    host.stops = ends;
    let receipt = world.receipt(&host.evidence("exclusive")).await;
    (receipt.unknown_stops, receipt.session)
}

async fn hand_in(world: &World, session: &str, stops: Vec<HandedStop>) -> StatusCode {
    world.ask(Method::POST, api::HANDED, session, Some(&Handed { stops, ..Handed::default() })).await.status()
}

async fn allowed(world: &World, id: &str) -> Vec<Code> {
    let hosts: Vec<HostRow> = world.see(api::HOSTS).await;
    let host: HostId = id.parse().unwrap();
    let row = hosts.into_iter().find(|row| row.host == host).unwrap();
    row.allowed.reasons.iter().map(|reason| reason.code).collect()
}

/// Copies the database of a controller that does not run.
fn copy_database(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["controller.db", "controller.db-wal", "controller.db-shm"] {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

#[tokio::test]
async fn a_stop_of_a_listed_controller_is_taken_over_and_reaches_everybody() {
    let mut world = World::new().await;
    let (mut other, mut ap) = (world.host(OTHER).await, world.host(AP).await);
    world.receipt(&ap.evidence("exclusive")).await;
    let theirs = chain(&world.standby, &["first", "second"]);
    let (asked, session) = names(&world, &mut other, vec![end(&theirs)]).await;
    assert_eq!(asked, [end(&theirs)]);
    assert_eq!(allowed(&world, OTHER).await, [Code::Stopped], "it names a stop that nobody here knows");
    assert!(!allowed(&world, AP).await.contains(&Code::Stopped), "a mere name holds that host alone");
    // The newest alone leads nowhere: a chain has no gap.
    assert_eq!(hand_in(&world, &session, theirs[1..].to_vec()).await, StatusCode::NO_CONTENT);
    assert!(world.see::<Vec<StopView>>(api::STOPS).await.is_empty());
    assert_eq!(hand_in(&world, &session, theirs.clone()).await, StatusCode::NO_CONTENT);
    assert!(allowed(&world, AP).await.contains(&Code::Stopped));
    for restarted in [false, true] {
        if restarted {
            world.stop().await;
            world.start().await;
        }
        let stops: Vec<StopView> = world.see(api::STOPS).await;
        let mut reasons: Vec<&str> = stops.iter().map(|view| view.reason.as_str()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["first", "second"], "restarted: {restarted}");
        // With this controller's signature they count with a host that lists no other one any more.
        let key = controller::data::Data::new(world.data()).public().unwrap().permit_key;
        let receipt = world.receipt(&ap.evidence("exclusive")).await;
        let handed: Vec<Digest> =
            receipt.stops.iter().map(|stop| stop.clone().verify([&key]).unwrap().digest()).collect();
        assert_eq!(handed, theirs.iter().map(|stop| stop.stop.digest()).collect::<Vec<_>>());
        assert_eq!(receipt.permit.unwrap().claimed().unwrap().stops, [end(&theirs)]);
    }
    // The own chain begins with its own first stop.
    assert_eq!(stop(&world).await.stop.number, 1);
    let (asked, _) = names(&world, &mut other, vec![end(&theirs)]).await;
    assert!(asked.is_empty());
}

#[tokio::test]
async fn a_controller_set_back_to_before_its_stop_makes_another_one_and_both_count() {
    let mut world = World::new().await;
    let (mut ap, mut other) = (world.host(AP).await, world.host(OTHER).await);
    world.receipt(&other.evidence("exclusive")).await;
    world.stop().await;
    let copy = world.data().join("copy");
    copy_database(&world.data(), &copy);
    world.start().await;
    let lost = stop(&world).await;
    let receipt = world.receipt(&ap.evidence("exclusive")).await;
    let key = controller::data::Data::new(world.data()).public().unwrap().permit_key;
    let lost_signed = HandedStop { key, stop: receipt.stops[0].clone() };
    world.stop().await;
    copy_database(&copy, &world.data());
    world.start().await;
    // A stop at once, before any host is back.
    let again = stop(&world).await;
    assert_eq!((lost.stop.number, again.stop.number), (1, 1));
    assert_ne!(lost.stop.digest, again.stop.digest);
    let (asked, session) = names(&world, &mut ap, vec![lost.stop]).await;
    assert_eq!(asked, [lost.stop]);
    assert_eq!(hand_in(&world, &session, vec![lost_signed]).await, StatusCode::NO_CONTENT);
    let noticed = world.see::<SetBackView>(api::SET_BACK).await.set_back.unwrap();
    assert_eq!((noticed.proof, noticed.number), (SetBackProof::Stop, 1));
    let mut both = vec![lost.stop, again.stop];
    both.sort();
    for host in [&mut ap, &mut other] {
        host.stops.clear();
        let receipt = world.receipt(&host.heartbeat("exclusive")).await;
        let mut handed: Vec<StopRef> =
            receipt.stops.iter().map(|stop| StopRef { number: 1, digest: stop.digest() }).collect();
        handed.sort();
        assert_eq!(handed, both);
        let mut named = receipt.permit.unwrap().claimed().unwrap().stops;
        named.sort();
        assert_eq!(named, both);
    }
    // The chain goes on above both.
    assert_eq!(stop(&world).await.stop.number, 2);
    world.stop().await;
    world.start().await;
    assert_eq!(world.see::<Vec<StopView>>(api::STOPS).await.len(), 3);
}

#[tokio::test]
async fn a_restored_controller_lets_nobody_issue_until_an_admin_has_looked_at_it() {
    let mut world = World::new().await;
    let mut other = world.host(OTHER).await;
    world.receipt(&other.evidence("exclusive")).await;
    world.stop().await;
    let copy = world.data().join("copy");
    copy_database(&world.data(), &copy);
    world.start().await;
    let lost = world.receipt(&other.heartbeat("exclusive")).await.permit.unwrap();
    other.permit = lost.claimed().unwrap().number;
    world.stop().await;
    copy_database(&copy, &world.data());
    world.start().await;
    let ask = async |world: &World, other: &mut Host| world.receipt(&other.evidence("exclusive")).await;
    let hand_in = async |world: &World, session: &str, handed: &Handed| {
        world.ask(Method::POST, api::HANDED, session, Some(handed)).await.status()
    };
    let receipt = ask(&world, &mut other).await;
    assert_eq!((receipt.unknown_permit, receipt.unsigned.as_deref()), (Some(other.permit), Some("permit-unknown")));
    // A stranger's signature proves nothing.
    let stranger = lost.claimed().unwrap().seal(3, &SigningKey::generate().unwrap()).unwrap();
    let handed = |permit| Handed { permit_number: Some(other.permit), permits: vec![permit], ..Handed::default() };
    assert_eq!(hand_in(&world, &receipt.session, &handed(stranger)).await, StatusCode::NO_CONTENT);
    assert_eq!(world.see::<SetBackView>(api::SET_BACK).await.set_back, None);
    world.stop().await;
    copy_database(&copy, &world.data());
    world.start().await;
    let receipt = ask(&world, &mut other).await;
    let handed = Handed { permit_number: Some(other.permit), permits: vec![lost], ..Handed::default() };
    assert_eq!(hand_in(&world, &receipt.session, &handed).await, StatusCode::NO_CONTENT);
    for restarted in [false, true] {
        if restarted {
            world.stop().await;
            world.start().await;
        }
        let noticed = world.see::<SetBackView>(api::SET_BACK).await.set_back.unwrap();
        assert_eq!((noticed.number, noticed.shown_by()), (other.permit, OTHER));
        assert_eq!(world.see::<FleetView>(api::SITES).await.set_back, Some(noticed));
        assert_eq!(ask(&world, &mut other).await.unsigned.as_deref(), Some("set-back"), "restarted: {restarted}");
    }
    let look = async |world: &World, token: &str, note: &str| {
        let note = LookedAt { note: note.to_owned() };
        world.ask(Method::POST, api::SET_BACK, token, Some(&note)).await
    };
    let duty = world.operator("duty", Role::Operator).await;
    assert_eq!(code(look(&world, &duty, "restored").await).await.1, "role");
    assert_eq!(code(look(&world, &world.admin, " ").await).await, (400, "malformed".to_owned()));
    assert_eq!(look(&world, &world.admin, "restored").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(code(look(&world, &world.admin, "restored").await).await, (404, "not-found".to_owned()));
    world.stop().await;
    world.start().await;
    let permit = ask(&world, &mut other).await.permit.unwrap().claimed().unwrap();
    assert!(permit.number > other.permit && permit.reasons.is_empty(), "{permit:?}");
}

#[tokio::test]
async fn a_stop_under_a_key_that_is_not_listed_waits_for_an_operator_who_takes_it_over_by_name() {
    let world = World::new().await;
    let (mut ap, mut other) = (world.host(AP).await, world.host(OTHER).await);
    world.receipt(&other.evidence("exclusive")).await;
    let theirs = chain(&SigningKey::generate().unwrap(), &["first", "second"]);
    let (asked, session) = names(&world, &mut ap, vec![end(&theirs)]).await;
    assert_eq!(asked, [end(&theirs)]);
    assert_eq!(hand_in(&world, &session, theirs.clone()).await, StatusCode::NO_CONTENT);
    assert!(world.see::<Vec<StopView>>(api::STOPS).await.is_empty());
    assert!(!allowed(&world, OTHER).await.contains(&Code::Stopped));
    assert!(allowed(&world, AP).await.contains(&Code::Stopped), "hosts that have it hold meanwhile");
    assert!(names(&world, &mut ap, vec![end(&theirs)]).await.0.is_empty(), "it was handed in");
    let waiting: Vec<UnlistedStop> = world.see(api::UNLISTED_STOPS).await;
    assert_eq!((waiting.len(), waiting[1].stop, waiting[1].hosts.as_slice()), (2, end(&theirs), &[ap.id.clone()][..]));
    assert_eq!(waiting[0].key, theirs[0].key.id());

    let path = format!("{}/{}", api::UNLISTED_STOPS, end(&theirs).digest);
    let viewer = world.operator("looks", Role::Viewer).await;
    assert_eq!(code(world.ask(Method::POST, &path, &viewer, None::<&()>).await).await.1, "role");
    let duty = world.operator("duty", Role::Operator).await;
    let taken = world.ask(Method::POST, &path, &duty, None::<&()>).await;
    assert_eq!(taken.status(), StatusCode::CREATED);
    assert_eq!(taken.json::<StopView>().await.unwrap().stop, end(&theirs));
    assert!(world.see::<Vec<UnlistedStop>>(api::UNLISTED_STOPS).await.is_empty());
    assert_eq!(world.see::<Vec<StopView>>(api::STOPS).await.len(), 2, "with its chain");
    assert!(allowed(&world, OTHER).await.contains(&Code::Stopped));
    assert_eq!(code(world.ask(Method::POST, &path, &duty, None::<&()>).await).await, (404, "not-found".to_owned()));
    // It counts with a host that never heard of its key.
    let key = controller::data::Data::new(world.data()).public().unwrap().permit_key;
    let receipt = world.receipt(&other.heartbeat("exclusive")).await;
    assert!(receipt.stops.iter().all(|stop| stop.clone().verify([&key]).is_ok()));
    assert_eq!(receipt.stops.len(), 2);
}

#[tokio::test]
async fn what_no_key_signed_is_not_taken_from_a_host() {
    let world = World::new().await;
    let mut ap = world.host(AP).await;
    let (_, session) = names(&world, &mut ap, Vec::new()).await;
    let key = SigningKey::generate().unwrap();
    let theirs = chain(&key, &["signed"]);
    let claimed = HandedStop { key: world.standby.public().clone(), stop: theirs[0].stop.clone() };
    let answer = world
        .ask(Method::POST, api::HANDED, &session, Some(&Handed { stops: vec![claimed], ..Handed::default() }))
        .await;
    assert_eq!(code(answer).await, (401, "signature".to_owned()));
    let many = Handed { stops: vec![theirs[0].clone(); HANDED_STOPS_MAX + 1], ..Handed::default() };
    let answer = world.ask(Method::POST, api::HANDED, &session, Some(&many)).await;
    assert_eq!(code(answer).await, (400, "malformed".to_owned()));
    let answer = world.ask(Method::POST, api::HANDED, "", Some(&Handed { stops: theirs, ..Handed::default() })).await;
    assert_eq!(code(answer).await, (401, "token".to_owned()));
    assert!(world.see::<Vec<UnlistedStop>>(api::UNLISTED_STOPS).await.is_empty());
}

#[tokio::test]
async fn one_host_fills_the_room_for_unlisted_stops_of_no_other() {
    let world = World::new().await;
    let (mut ap, mut other) = (world.host(AP).await, world.host(OTHER).await);
    let (_, session) = names(&world, &mut ap, Vec::new()).await;
    // Each a chain of its own, under a key that somebody on the host made.
    let made = |count: usize| -> Vec<HandedStop> {
        let reasons = (0..count).map(|number| format!("made up {number} at {}", controller::clock::now()));
        reasons.flat_map(|reason| chain(&SigningKey::generate().unwrap(), &[&reason])).collect()
    };
    for _ in 0..3 {
        assert_eq!(hand_in(&world, &session, made(HANDED_STOPS_MAX)).await, StatusCode::NO_CONTENT);
    }
    let waiting: Vec<UnlistedStop> = world.see(api::UNLISTED_STOPS).await;
    assert_eq!(waiting.len(), HANDED_STOPS_MAX, "a host has so much room and no more");
    let theirs = made(1);
    let (_, session) = names(&world, &mut other, vec![end(&theirs)]).await;
    assert_eq!(hand_in(&world, &session, theirs.clone()).await, StatusCode::NO_CONTENT);
    let waiting: Vec<UnlistedStop> = world.see(api::UNLISTED_STOPS).await;
    assert_eq!(waiting.len(), HANDED_STOPS_MAX + 1);
    assert!(waiting.iter().any(|waits| waits.stop == end(&theirs) && waits.hosts == [other.id.clone()]));
}

#[tokio::test]
async fn what_was_taken_over_before_one_that_cannot_be_reaches_everybody() {
    let world = World::new().await;
    let (mut ap, mut other) = (world.host(AP).await, world.host(OTHER).await);
    let key = SigningKey::generate().unwrap();
    let mut theirs = chain(&key, &["good"]);
    // It follows the first one, and does not have the number that comes next.
    let broken = Stop {
        product: support::product(),
        number: 7,
        previous: Some(theirs[0].stop.digest()),
        scope: Scope::All,
        reason: "broken".to_owned(),
        operator: "duty".to_owned(),
        time: controller::clock::now(),
    };
    theirs.push(HandedStop { key: key.public().clone(), stop: Sealed::seal(&broken, &key).unwrap() });
    let (_, session) = names(&world, &mut ap, Vec::new()).await;
    assert_eq!(hand_in(&world, &session, theirs.clone()).await, StatusCode::NO_CONTENT);
    let path = format!("{}/{}", api::UNLISTED_STOPS, theirs[1].stop.digest());
    assert_eq!(code(world.ask(Method::POST, &path, &world.admin, None::<&()>).await).await.0, 400);
    let stops: Vec<StopView> = world.see(api::STOPS).await;
    assert_eq!(stops.iter().map(|view| view.reason.as_str()).collect::<Vec<_>>(), ["good"]);
    // It is in force here: so hosts get it, and nobody is asked to take it over again.
    let receipt = world.receipt(&other.evidence("exclusive")).await;
    assert_eq!(receipt.stops.iter().map(Sealed::digest).collect::<Vec<_>>(), [theirs[0].stop.digest()]);
    let waiting: Vec<UnlistedStop> = world.see(api::UNLISTED_STOPS).await;
    assert_eq!(waiting.iter().map(|waits| waits.stop.digest).collect::<Vec<_>>(), [theirs[1].stop.digest()]);
}
