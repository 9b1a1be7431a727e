//! Publishing: all of it verifies and keeps the product's rules, or nothing changes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use data_encoding::BASE64;
use manifests::api::{self, FleetView, Published};
use manifests::key::SigningKey;
use manifests::reason::Code;
use manifests::stop::{LIFT_TYPE, Lift, Scope};
use manifests::tuf::repository::{ROOT_LIFE, read_unverified, unsigned};
use manifests::tuf::{Fetch, FetchError, MemoryStore, Root, TARGETS, TufClient};
use reqwest::{Method, StatusCode};
use support::{AP, DB, Draft, World, baseline, failure};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_is_in_force_and_any_client_verifies_it() {
    let world = World::new().await;
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.baseline.unwrap().version, "1.0.0");
    let root = std::fs::read(world.data().join("tuf/1.root.json")).unwrap();

    struct Served<'a>(&'a World, tokio::runtime::Handle);
    impl Fetch for Served<'_> {
        fn fetch(&mut self, path: &str, _: u64) -> Result<Vec<u8>, FetchError> {
            let address = format!("{}{}/{path}", self.0.url, api::TUF);
            let answer = self.1.block_on(async {
                let answer = self.0.client.get(address).send().await.unwrap();
                (answer.status(), answer.bytes().await.unwrap())
            });
            if answer.0 == StatusCode::OK { Ok(answer.1.to_vec()) } else { Err(FetchError::NotFound) }
        }
        fn fetch_target(&mut self, path: &str, max: u64) -> Result<Vec<u8>, FetchError> {
            self.fetch(&format!("targets/{path}"), max)
        }
    }
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let mut client = TufClient::new(&root, MemoryStore::default(), Served(&world, handle)).unwrap();
        client.refresh(controller::clock::now()).unwrap();
        assert_eq!(client.download("convenience-issuance/baseline.toml").unwrap(), baseline("1.0.0").as_bytes());
    });
}

async fn refused(world: &World, what: &str, change: impl FnOnce(&mut Draft)) -> String {
    let mut draft = world.draft();
    draft.targets_version = 2;
    draft.baseline = baseline("2.0.0");
    change(&mut draft);
    let (status, body) = failure(world.publish(&draft).await).await;
    assert_eq!(status, 422, "{what}: {body:?}");
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.baseline.unwrap().version, "1.0.0", "{what}");
    assert!(!world.data().join("tuf/2.targets.json").exists(), "{what}");
    format!("{}: {}", body.code, body.message)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_a_rule_changes_nothing() {
    let world = World::new().await;
    let check = async |what: &str, expected: &str, change: fn(&World, &mut Draft)| {
        let message = refused(&world, what, |draft| change(&world, draft)).await;
        assert!(message.contains(expected), "{what}: {message}");
    };
    check("one signature", "threshold", |_, draft| draft.signers = vec![0]).await;
    check("two of one unit", "one-unit", |_, draft| draft.signers = vec![0, 2]).await;
    check("another content for a version", "another content", |_, draft| draft.targets_version = 1).await;
    check("expired", "expired", |_, draft| draft.expires = controller::clock::now()).await;
    check("the version did not grow", "not above 1.0.0", |_, draft| draft.baseline = baseline("1.0.0") + "\n").await;
    check("another controller's registry", "no host would believe", |_, draft| {
        draft.registry = draft.registry.replacen("id = \"main\"", "id = \"elsewhere\"", 1);
    })
    .await;
    check("two mistakes, both told", "surprise", |_, draft| draft.baseline += "surprise = 1\n[[fix]]\nid = 5\n").await;
}

#[tokio::test]
async fn a_lift_is_taken_whatever_stops_are_known_here_and_whoever_has_left_the_registry() {
    let world = World::new().await;
    let elsewhere = manifests::digest::Digest::of(b"a stop of another controller");
    let mut draft = world.draft();
    (draft.targets_version, draft.lifts_version) = (2, 1);
    draft.lifts = vec![lift(elsewhere, &["402206", "372013"])];
    let answer = world.publish(&draft).await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
    // A host that has that stop, and whose gate the lift opens, gets its permit here, too.
    let mut ap = world.host(AP).await;
    ap.stops = vec![manifests::stop::StopRef { number: 1, digest: elsewhere }];
    let receipt = world.receipt(&ap.evidence("exclusive")).await;
    let permit = receipt.permit.unwrap().claimed().unwrap();
    assert!(permit.reasons.iter().all(|reason| reason.code != Code::Stopped), "{:?}", permit.reasons);
    // A stop that no lift names still holds whoever has it.
    ap.stops = vec![manifests::stop::StopRef { number: 2, digest: manifests::digest::Digest::of(b"not lifted") }];
    let receipt = world.receipt(&ap.heartbeat("exclusive")).await;
    let permit = receipt.permit.unwrap().claimed().unwrap();
    assert!(permit.reasons.iter().any(|reason| reason.code == Code::Stopped), "{:?}", permit.reasons);
    // Site 372013 leaves, and its lift stays.
    (draft.targets_version, draft.registry) = (3, world.registry(&[AP, DB]));
    let answer = world.publish(&draft).await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
}

fn lift(stop: manifests::digest::Digest, sites: &[&str]) -> Lift {
    Lift {
        kind: LIFT_TYPE.to_owned(),
        product: support::product(),
        stop,
        sites: sites.iter().map(|code| code.parse().unwrap()).collect(),
        reason: "verified".to_owned(),
        time: controller::clock::now(),
    }
}

#[tokio::test]
async fn a_stop_holds_until_a_lift_with_two_signatures_names_the_site() {
    let mut world = World::new().await;
    let (mut ap, mut db) = (world.host(AP).await, world.host(DB).await);
    world.receipt(&ap.evidence("exclusive")).await;
    world.receipt(&db.evidence("exclusive")).await;
    let request = api::StopRequest { scope: Scope::All, reason: "drill".to_owned() };
    let answer = world.ask(Method::POST, api::STOPS, &world.admin, Some(&request)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let stop = answer.json::<api::StopView>().await.unwrap();
    assert_eq!((stop.stop.number, stop.operator.as_str(), stop.outstanding.len()), (1, "admin", 3));
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.counts.stopped, 1);
    let receipt = world.receipt(&ap.heartbeat("exclusive")).await;
    assert_eq!(receipt.stops.len(), 1);

    let mut draft = world.draft();
    (draft.targets_version, draft.lifts_version) = (2, 1);
    draft.lifts = vec![lift(stop.stop.digest, &["402206"])];
    draft.signers = vec![1];
    assert_eq!(failure(world.publish(&draft).await).await.1.code, "threshold");
    draft.signers = vec![0, 1];
    let published: Published = world.publish(&draft).await.json().await.unwrap();
    assert_eq!(published.versions.lifts, 1);
    for restarted in [false, true] {
        if restarted {
            world.stop().await;
            world.start().await;
        }
        let fleet: FleetView = world.see(api::SITES).await;
        assert_eq!((fleet.counts.stopped, fleet.counts.verified), (0, 1), "restarted: {restarted}");
        let stops: Vec<api::StopView> = world.see(api::STOPS).await;
        assert_eq!(stops[0].lifted.len(), 1);
    }
    // Lifts are never removed.
    (draft.targets_version, draft.lifts_version) = (3, 2);
    draft.lifts.clear();
    assert_eq!(failure(world.publish(&draft).await).await.1.code, "refused");
}

#[tokio::test]
async fn nothing_is_written_that_was_not_verified() {
    let world = World::new().await;
    let tuf = world.data().join("tuf");
    let first_root = std::fs::read(tuf.join("1.root.json")).unwrap();
    let first: Root = read_unverified(&first_root).unwrap();
    let root = |version: u64| {
        let mut root = first.next(controller::clock::now().after(ROOT_LIFE));
        root.version = version;
        support::signed(&unsigned(&root).unwrap(), &world.managers, &[0, 1])
    };
    let send = async |publish: &api::Publish| world.ask(Method::POST, api::PUBLISH, &world.admin, Some(publish)).await;
    let mut draft = world.draft();
    let check = async |what: &str, status: u16, draft: &Draft, name: &str, bytes: &[u8]| {
        let mut publish = world.signed(draft);
        publish.metadata.insert(name.to_owned(), BASE64.encode(bytes));
        let (answered, body) = failure(send(&publish).await).await;
        assert_eq!(answered, status, "{what}: {body:?}");
        assert!(!tuf.join(name).exists(), "{what}");
    };
    check("garbage above the newest root", 422, &draft, "3.root.json", b"garbage").await;
    check("a gap before a genuine root", 422, &draft, "3.root.json", &root(3)).await;
    check("the first root again, as the second", 422, &draft, "2.root.json", &first_root).await;
    check("a name that nobody asks for", 400, &draft, "01.root.json", &first_root).await;

    draft.targets_version = 3;
    draft.baseline = baseline("3.0.0");
    let older = world.signed(&Draft { targets_version: 2, ..draft.clone() });
    let older = BASE64.decode(older.metadata["2.targets.json"].as_bytes()).unwrap();
    check("a version that is skipped, beside a newer one", 422, &draft, "2.targets.json", &older).await;
    check("garbage as a skipped version", 422, &draft, "2.targets.json", b"garbage").await;
    assert!(!tuf.join("3.targets.json").exists());

    // What is there already may come along, and roots that follow each other are all taken.
    let mut publish = world.signed(&draft);
    for version in 1..=3 {
        let bytes = if version == 1 { first_root.clone() } else { root(version) };
        publish.metadata.insert(format!("{version}.root.json"), BASE64.encode(&bytes));
    }
    let first_targets = BASE64.encode(&std::fs::read(tuf.join("1.targets.json")).unwrap());
    publish.metadata.insert("1.targets.json".to_owned(), first_targets);
    let answer = send(&publish).await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
    // A whole directory, in which nothing is new.
    let published: Published = send(&publish).await.json().await.unwrap();
    assert_eq!((published.versions.root, published.versions.targets), (3, 3));
    // An earlier version alone is no step back either.
    publish.metadata.retain(|name, _| name == "1.targets.json");
    let published: Published = send(&publish).await.json().await.unwrap();
    assert_eq!(published.versions.targets, 3);
}

#[tokio::test]
async fn a_crash_half_way_through_a_key_rotation_leaves_the_old_set_in_force() {
    let mut world = World::new().await;
    world.stop().await;
    let first: Root = read_unverified(&std::fs::read(world.args().root).unwrap()).unwrap();
    let mut next = first.next(controller::clock::now().after(ROOT_LIFE));
    let replacement: Vec<_> = (0..2).map(|_| SigningKey::generate().unwrap().public().clone()).collect();
    next.set_role(TARGETS, &replacement, 2);
    let bytes = support::signed(&unsigned(&next).unwrap(), &world.managers, &[0, 1]);
    std::fs::write(world.data().join("tuf/2.root.json"), bytes).unwrap();
    world.start().await;
    let fleet: FleetView = world.see(api::SITES).await;
    assert_eq!(fleet.baseline.unwrap().version, "1.0.0");
}
