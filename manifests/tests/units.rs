//! No order of roots, registries and signatures lets one unit alone change what is required, who signs,
//! or who is listed.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/keys.rs"]
mod keys;
#[path = "units/properties.rs"]
mod properties;
#[path = "common/signed_set.rs"]
mod signed_set;
#[path = "units/world.rs"]
mod world;

use world::{Person, Walker, World, people};

/// Three people of three units, whose root names them.
fn three() -> Vec<Person> {
    people(&[(1, "quality"), (2, "operations"), (3, "design")])
}

#[test]
fn all_three_are_replaced_in_turn_while_a_host_is_off() {
    let mut world = World::new(three(), true);
    let mut off = Walker::new(&world);
    off.walk(&world).unwrap();
    for (gone, came) in [(1, 11), (2, 12), (3, 13)] {
        let mut next = world.people.clone();
        let person = next.iter_mut().find(|person| person.key == gone).unwrap();
        let signers = [world.people.iter().map(|person| person.key).collect::<Vec<_>>(), vec![came]].concat();
        person.key = came;
        world.follow(next, &signers);
        world.publish(&world.keys());
    }
    assert_eq!(off.walk(&world).unwrap().timestamp, Walker::new(&world).walk(&world).unwrap().timestamp);
    assert_eq!(off.root(), 4);
    // Of those who were there when it fell asleep, nobody counts any more.
    world.publish(&[1, 2, 3]);
    assert_eq!(off.walk(&world).unwrap_err(), "threshold");
}

#[test]
fn two_leave_together_having_signed() {
    let mut world = World::new(three(), true);
    let (mut awake, mut off) = (Walker::new(&world), Walker::new(&world));
    awake.walk(&world).unwrap();
    off.walk(&world).unwrap();
    world.follow(people(&[(3, "design"), (11, "quality"), (12, "operations")]), &[1, 2, 3, 11]);
    world.publish(&[3, 11]);
    awake.walk(&world).unwrap();
    off.walk(&world).unwrap();
    // Whom the root brought counts at once, also for the next root, and alone with the other newcomer.
    world.follow(people(&[(11, "quality"), (12, "operations"), (13, "design")]), &[11, 12]);
    world.publish(&[12, 13]);
    awake.walk(&world).unwrap();
    assert_eq!(Walker::new(&world).walk(&world).map(|set| set.timestamp), off.walk(&world).map(|set| set.timestamp));
}

/// What two of one unit, keys 1 and 2, put before a host that knows keys 1 to 3 is refused with this code.
#[track_caller]
fn refused(code: &str, names_units: bool, attack: impl Fn(&mut World)) {
    let mut world = World::new(people(&[(1, "quality"), (2, "quality"), (3, "operations")]), names_units);
    let mut host = Walker::new(&world);
    host.walk(&world).unwrap();
    let before = host.clone();
    attack(&mut world);
    assert_eq!(host.walk(&world).unwrap_err(), code);
    assert_eq!(host.root(), before.root());
}

#[test]
fn two_of_one_unit_bring_nobody_and_move_nobody() {
    for names_units in [true, false] {
        // A newcomer in root and registry.
        refused("one-unit", names_units, |world| {
            let people = [world.people.clone(), people(&[(10, "an invented unit")])].concat();
            world.follow(people, &[1, 2, 10]);
            world.publish(&[1, 10]);
        });
        // A newcomer, or a new unit for one of them, in the registry alone.
        refused("one-unit", names_units, |world| {
            world.people[1].unit = "an invented unit".to_owned();
            world.publish(&[1, 2]);
        });
        refused(if names_units { "one-unit" } else { "threshold" }, names_units, |world| {
            world.people.push(people(&[(10, "an invented unit")])[0].clone());
            world.publish(&[if names_units { 2 } else { 10 }, 1]);
        });
        // A root that moves one of them, by themselves.
        refused("one-unit", names_units, |world| {
            let mut people = world.people.clone();
            people[1].unit = "an invented unit".to_owned();
            world.follow(people, &[1, 2]);
            world.publish(&[1, 2]);
        });
    }
}

#[test]
fn a_root_that_forgets_units_follows_none_that_had_them() {
    let mut world = World::new(three(), true);
    let mut host = Walker::new(&world);
    host.walk(&world).unwrap();
    world.names_units = false;
    world.follow(three(), &[1, 2, 3]);
    world.publish(&[1, 2]);
    assert_eq!(host.walk(&world).unwrap_err(), "no-units");
    assert_eq!(host.root(), 1);
}

#[test]
fn a_root_without_units_is_followed_by_the_registry_before_and_without_one_not_at_all() {
    let mut world = World::new(three(), false);
    let mut host = Walker::new(&world);
    host.walk(&world).unwrap();
    world.names_units = true;
    world.follow(people(&[(1, "quality"), (2, "operations"), (10, "design")]), &[1, 2, 10]);
    world.publish(&[1, 10]);
    host.walk(&world).unwrap();
    assert_eq!(host.root(), 2);
    assert_eq!(Walker::new(&world).walk(&world).unwrap_err(), "no-units");
    // What it stored is read again without the registry of then.
    assert!(host.load().is_ok());
    // And from the second root on, whoever begins there decides alike.
    assert!(Walker::beginning_with(&world, 2).walk(&world).is_ok());
}

#[test]
fn one_key_under_two_ids_has_no_two_units() {
    let mut world = World::new(people(&[(1, "quality"), (2, "quality"), (3, "operations")]), true);
    let mut host = Walker::new(&world);
    host.walk(&world).unwrap();
    // Signed by two units, which must not be able to do this by mistake either.
    let twin = world.follow_with_a_twin_of(1, "operations", &[1, 2, 3]);
    assert_ne!(twin, keys::test_key(1).public().id());
    world.publish(&[1, 3]);
    assert_eq!(host.walk(&world).unwrap_err(), "format");
}

#[test]
fn signatures_of_strangers_do_no_harm() {
    let mut world = World::new(three(), true);
    let mut host = Walker::new(&world);
    world.publish(&[1, 2, 9]);
    host.walk(&world).unwrap();
}
