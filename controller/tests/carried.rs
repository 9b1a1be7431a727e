//! Enrolments outlive their controller: a host shows another one's word for its key.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use manifests::api::{self, Handover, Receipt, SetBackProof, SetBackView};
use manifests::enrolment::Enrolled;
use manifests::envelope::Sealed;
use manifests::key::SigningKey;
use reqwest::{Method, StatusCode};
use support::{AP, Host, OTHER, World, code};

/// What a controller says of a host's key.
fn word(id: &str, key: &SigningKey, generation: u64, controller: &str, signer: &SigningKey) -> Sealed<Enrolled> {
    let enrolled = Enrolled {
        product: support::product(),
        host: support::host(id),
        key: key.public().clone(),
        generation,
        controller: controller.parse().unwrap(),
    };
    Sealed::seal(&enrolled, signer).unwrap()
}

async fn show(world: &World, word: &Sealed<Enrolled>) -> Result<(), (u16, String)> {
    // As an agent does, which names its key with everything that it posts.
    let key = word.claimed().unwrap().key.id().to_string();
    let request = world.client.post(format!("{}{}", world.url, api::CARRIED)).header(api::KEY_HEADER, key);
    let answer = request.json(word).send().await.unwrap();
    if answer.status() == StatusCode::NO_CONTENT { Ok(()) } else { Err(code(answer).await) }
}

fn stranger(id: &str) -> Host {
    let key = SigningKey::generate().unwrap();
    Host {
        id: support::host(id),
        key,
        sequence: 5_000_000,
        permit: 0,
        stops: Vec::new(),
        enrolment: None,
        baseline: support::baseline("1.0.0"),
    }
}

#[tokio::test]
async fn a_word_of_a_listed_controller_enrols_a_host_that_nobody_visited() {
    let mut world = World::new().await;
    let mut other = stranger(OTHER);
    assert_eq!(world.send(&other.evidence("exclusive")).await.status(), StatusCode::FORBIDDEN);
    let word = word(OTHER, &other.key, 3, "standby", &world.standby);
    assert_eq!(show(&world, &word).await, Ok(()));
    // Its sequence goes on where it was with the other one.
    let receipt = world.receipt(&other.evidence("exclusive")).await;
    assert!(receipt.permit.unwrap().claimed().unwrap().reasons.is_empty());
    // From here on it keeps this controller's word.
    let own = receipt.enrolment.unwrap();
    let key = controller::data::Data::new(world.data()).public().unwrap().permit_key;
    let own = own.verify([&key]).unwrap();
    assert_eq!((own.generation, own.controller.as_str(), &own.key), (3, "main", other.key.public()));
    other.enrolment = Some(own.digest());
    assert!(world.receipt(&other.heartbeat("exclusive")).await.enrolment.is_none(), "it names it");
    world.stop().await;
    world.start().await;
    world.receipt(&other.heartbeat("exclusive")).await;
    assert_eq!(world.see::<SetBackView>(api::SET_BACK).await.set_back, None, "another one's word proves nothing");
}

#[tokio::test]
async fn what_no_listed_controller_says_of_this_very_key_counts_for_nothing() {
    let world = World::new().await;
    let (ap, other) = (world.host(AP).await, stranger(OTHER));
    let nobody = SigningKey::generate().unwrap();
    let refused = (401, "signature".to_owned());
    let stranger_s = word(OTHER, &other.key, u64::pow(2, 50), "standby", &nobody);
    assert_eq!(show(&world, &stranger_s).await, Err(refused.clone()), "a stranger's key");
    let for_another = word(OTHER, &other.key, 3, "main", &world.standby);
    assert_eq!(show(&world, &for_another).await, Err(refused.clone()), "one controller's key, another one's name");
    let mut theirs = serde_json::to_value(word(AP, &other.key, u64::pow(2, 50), "standby", &world.standby)).unwrap();
    theirs["payload"] =
        serde_json::to_value(word(OTHER, &other.key, 3, "standby", &world.standby)).unwrap()["payload"].clone();
    let answer = world.ask(Method::POST, api::CARRIED, "", Some(&theirs)).await;
    assert_eq!(code(answer).await, refused, "one host's word for another one");
    let in_use = word(OTHER, &ap.key, 3, "standby", &world.standby);
    assert_eq!(show(&world, &in_use).await, Err((409, "key-in-use".to_owned())), "a key that another host has");
    let nowhere = word("131016-ap1", &other.key, 3, "standby", &world.standby);
    assert_eq!(show(&world, &nowhere).await, Err((403, "not-listed".to_owned())));
    // The registry goes on without that controller.
    let good = word(OTHER, &other.key, 3, "standby", &world.standby);
    let mut draft = world.draft();
    draft.targets_version = 2;
    draft.registry = draft.registry.replace("id = \"standby\"", "id = \"third\"");
    assert!(world.publish(&draft).await.status().is_success());
    assert_eq!(show(&world, &good).await, Err(refused), "a removed controller's word");
    assert_eq!(show(&world, &word(OTHER, &other.key, 3, "third", &world.standby)).await, Ok(()));
}

#[tokio::test]
async fn a_higher_generation_ends_a_lower_one_at_once_and_a_lower_one_never_comes_back() {
    let world = World::new().await;
    let mut old = world.host(AP).await;
    let receipt: Receipt = world.receipt(&old.evidence("exclusive")).await;
    let known = receipt.enrolment.unwrap().claimed().unwrap().generation;
    let mut new = stranger(AP);
    let lower = word(AP, &new.key, known - 1, "standby", &world.standby);
    assert_eq!(show(&world, &lower).await, Err((403, "key-replaced".to_owned())));
    let same = word(AP, &new.key, known, "standby", &world.standby);
    assert_eq!(show(&world, &same).await, Err((403, "key-replaced".to_owned())));
    let higher = word(AP, &new.key, known + 1, "standby", &world.standby);
    assert_eq!(show(&world, &higher).await, Ok(()));
    assert_eq!(show(&world, &higher).await, Ok(()), "the same again");
    assert_eq!(code(world.send(&old.heartbeat("exclusive")).await).await.1, "not-enrolled");
    world.receipt(&new.evidence("exclusive")).await;
    let replaced = word(AP, &old.key, known, "standby", &world.standby);
    assert_eq!(show(&world, &replaced).await, Err((403, "key-replaced".to_owned())), "a replaced key");
    // Enrolled anew here, the generation goes on above all that is known.
    let newest = world.host(AP).await;
    let handover: Handover = world.see(api::HANDOVER).await;
    let said = handover.enrolments[0].claimed().unwrap();
    assert!(said.generation > known + 1);
    assert_eq!(&said.key, newest.key.public());
}

#[tokio::test]
async fn its_own_word_for_a_key_that_it_does_not_know_proves_that_a_controller_was_set_back() {
    let world = World::new().await;
    let own = controller::data::Data::new(world.data()).key("permit").unwrap();
    let other = stranger(OTHER);
    let lost = word(OTHER, &other.key, 1_900_000_000_000, "main", &own);
    assert_eq!(show(&world, &lost).await, Ok(()));
    let noticed = world.see::<SetBackView>(api::SET_BACK).await.set_back.unwrap();
    assert_eq!((noticed.proof, noticed.shown_by()), (SetBackProof::Enrolment, OTHER));
}
