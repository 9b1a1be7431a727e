//! From signed metadata to what is appraised by: one test per reason to refuse a set.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a test that fails")]

#[path = "common/keys.rs"]
mod keys;
#[path = "common/signed_set.rs"]
mod signed_set;

use manifests::baseline;
use manifests::chain::chain;
use manifests::digest::Digest;
use manifests::registry;
use manifests::set::SetError;
use manifests::stop::Lift;
use manifests::tuf::TufError;
use manifests::tuf::repository::{REGISTRY, baseline_path, file_path, lift_path};
use signed_set::{PRODUCT, SignedSet, lift, lift_bytes, list, stop_digest};

/// The set with this change is refused with this code; its words are returned.
#[track_caller]
fn refused(code: &str, spoil: impl FnOnce(&mut SignedSet)) -> String {
    let mut set = SignedSet::new();
    spoil(&mut set);
    let error = set.read().unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    chain(&error)
}

#[test]
fn a_whole_set_is_read() {
    let set = SignedSet::new();
    let read = set.read().unwrap();
    assert_eq!(read.lifts, [lift()]);
    assert_eq!(read.registry_digest, Digest::of(set.registry().as_bytes()));
    assert_eq!(read.reference.digest(), Digest::of(set.baseline.as_bytes()));
    assert_eq!(read.registry.hosts.len(), 1);
    // Targets expire before root.
    assert_eq!(read.expires, set.now.after(manifests::tuf::repository::TARGETS_LIFE));
    let mut patched = list();
    patched.insert_file(b"lib/print_queue.so", Digest::of(b"print queue HF-0042"));
    let program = "issuing-server".parse().unwrap();
    assert_eq!(read.reference.recognize(&program, &patched.digest()).unwrap().patches.len(), 1);
}

#[test]
fn a_threshold_met_within_one_unit_is_refused() {
    for role in ["root", "targets", "lifts"] {
        let words = refused("one-unit", |set| {
            set.units = ["release management", "release management", "operations"];
            for (signed, signers) in &mut set.signers {
                *signers = if *signed == role { vec![1, 2] } else { vec![2, 3] };
            }
        });
        assert!(words.starts_with(&format!("{role} is refused: signed by release management alone")), "{words}");
    }
    let mut set = SignedSet::new();
    set.units[1] = set.units[0];
    set.signers = [("root", vec![1, 2, 3]), ("targets", vec![1, 3]), ("lifts", vec![2, 3])].into();
    assert!(set.read().is_ok(), "a second unit among three signers is enough");
}

#[test]
fn two_of_one_unit_cannot_sign_one_of_them_into_another() {
    let mut before = SignedSet::new();
    before.units = ["release management", "release management", "operations"];
    before.signers = [("root", vec![2, 3]), ("targets", vec![2, 3]), ("lifts", vec![2, 3])].into();
    let before = before.read().unwrap();
    let mut moved = SignedSet::new();
    for role in ["root", "targets", "lifts"] {
        for (signed, signers) in &mut moved.signers {
            *signers = if *signed == role { vec![1, 2] } else { vec![2, 3] };
        }
        assert!(moved.read().is_ok(), "by its own registry it is signed by two units");
        let error = moved.read_after(&before).unwrap_err();
        assert_eq!(error.code(), "one-unit", "{role}: {error}");
    }
    moved.signers.values_mut().for_each(|signers| *signers = vec![2, 3]);
    assert!(moved.read_after(&before).is_ok(), "somebody of another unit signed too");
    // Of whom the registry before knows nothing, the new one cannot tell the unit.
    let mut newcomer = before.clone();
    newcomer.registry.signers.remove(1);
    moved.signers.values_mut().for_each(|signers| *signers = vec![1, 2]);
    assert_eq!(moved.read_after(&newcomer).unwrap_err().code(), "one-unit");
}

#[test]
fn a_signer_whom_the_registry_does_not_know_is_refused() {
    let words = refused("one-unit", |set| {
        let text = set.registry();
        let (_, rest) = text.split_once("[[signer]]").unwrap();
        let (_, rest) = rest.split_once("[[signer]]").unwrap();
        set.registry = Some(format!("schema = 1\nproduct = \"{PRODUCT}\"\n[[signer]]{rest}"));
    });
    assert!(words.contains("of which the registry does not say whose it is"), "{words}");
}

#[test]
fn a_signer_is_known_by_the_key_and_not_by_its_spelling() {
    let mut set = SignedSet::new();
    set.respelled = true;
    assert!(set.read().is_ok(), "{:?}", set.read().err());
    // And two of one unit stay one unit.
    set.units = ["a", "a", "b"];
    assert_eq!(set.read().unwrap_err().code(), "one-unit");
}

#[test]
fn a_lift_must_say_what_its_path_says() {
    let other = Digest::of(b"another stop");
    let put = |lift: Lift| {
        move |set: &mut SignedSet| {
            set.lifts = [(lift_path(&stop_digest(), 1), lift_bytes(&lift))].into();
        }
    };
    assert!(refused("lift-refused", put(Lift { stop: other, ..lift() })).contains("its path does not name"));
    let foreign = Lift { product: "tax".parse().unwrap(), ..lift() };
    assert!(refused("lift-refused", put(foreign)).contains("it is for product tax"));
    let kind = "application/vnd.sekisho.stop.v1+json".to_owned();
    assert!(refused("lift-refused", put(Lift { kind, ..lift() })).contains("its type is"));
    assert!(refused("lift-refused", put(Lift { sites: vec![], ..lift() })).contains("it names no site"));
    for reason in [String::new(), " ".to_owned(), "x".repeat(1001)] {
        assert!(
            refused("lift-refused", put(Lift { reason, ..lift() }))
                .contains("its reason is not one line of 1 to 1000 bytes")
        );
    }
    let mut longest = SignedSet::new();
    let reason = "x".repeat(1000);
    longest.lifts = [(lift_path(&stop_digest(), 1), lift_bytes(&Lift { reason, ..lift() }))].into();
    assert!(longest.read().is_ok());
    refused("lift-refused", |set| {
        let twice = String::from_utf8(lift_bytes(&lift())).unwrap().replacen('{', "{\"sites\":[\"131211\"],", 1);
        set.lifts = [(lift_path(&stop_digest(), 1), twice.into_bytes())].into();
    });
    refused("lift-refused", |set| {
        let more = String::from_utf8(lift_bytes(&lift())).unwrap().replacen('{', "{\"until\":\"2027\",", 1);
        set.lifts = [(lift_path(&stop_digest(), 1), more.into_bytes())].into();
    });
}

#[test]
fn a_lift_outside_the_paths_of_its_role_is_refused() {
    let mut set = SignedSet::new();
    set.lifts = [(format!("lift/{}.json", stop_digest().hex()), lift_bytes(&lift()))].into();
    assert!(matches!(set.read().unwrap_err(), SetError::Trust(_)));
}

#[test]
fn nobody_but_the_role_that_answers_for_it_brings_a_file() {
    // Listed nowhere but by somebody to whom targets delegates everything.
    for path in [REGISTRY.to_owned(), baseline_path(PRODUCT), file_path(&list().digest())] {
        let error = {
            let mut set = SignedSet::new();
            let bytes = match path.as_str() {
                REGISTRY => set.registry().into_bytes(),
                _ if path.ends_with(".toml") => set.baseline.clone().into_bytes(),
                _ => list().to_bytes(),
            };
            set.delegate = Some([(path.clone(), bytes)].into());
            set.files.insert(path.clone(), b"not listed".to_vec());
            set.read().unwrap_err()
        };
        let missing = matches!(&error, SetError::Trust(TufError::NoSuchTarget { path: found }) if *found == path);
        assert!(missing, "{path}: {error:?}");
    }
    let words = refused("lift-refused", |set| {
        let other = Lift { sites: vec!["131211".parse().unwrap()], ..lift() };
        set.delegate = Some([(lift_path(&stop_digest(), 1), lift_bytes(&other))].into());
    });
    assert!(words.contains("another role lists other bytes"), "{words}");
}

#[test]
fn a_file_list_that_is_missing_damaged_or_another_is_refused() {
    let path = file_path(&list().digest());
    let put = |bytes: &[u8]| {
        let (path, bytes) = (path.clone(), bytes.to_vec());
        move |set: &mut SignedSet| drop(set.files.insert(path, bytes))
    };
    let mut set = SignedSet::new();
    put(b"not listed")(&mut set);
    assert!(matches!(set.read().unwrap_err(), SetError::Trust(_)));
    assert!(refused("baseline-refused", put(b"no list\n")).contains("is damaged"));
    refused("baseline-refused", put(&manifests::tree::FileList::new().to_bytes()));
}

#[test]
fn another_products_set_is_refused() {
    refused("wrong-product", |set| set.registry = Some(set.registry().replace(PRODUCT, "tax")));
    refused("wrong-product", |set| set.baseline = set.baseline.replace(PRODUCT, "tax"));
}

#[test]
fn a_baseline_or_registry_with_a_mistake_is_refused_with_its_place() {
    let words = refused("baseline-refused", |set| set.baseline = set.baseline.replace("schema = 1", "scheme = 1"));
    assert!(words.contains("baseline.toml"), "{words}");
    refused("baseline-refused", |set| set.registry = Some("schema = 1\n".to_owned()));
}

#[test]
fn bytes_that_are_not_the_ones_listed_are_refused() {
    let set = SignedSet::new();
    let (served, root) = set.publish();
    for name in served.targets.keys() {
        let mut changed = served.clone();
        let bytes = changed.targets.get_mut(name).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let error = signed_set::read(changed, &root, set.now).unwrap_err();
        assert!(matches!(error, SetError::Trust(TufError::Mismatch { .. })), "{name}: {error:?}");
        let mut missing = served.clone();
        missing.targets.remove(name);
        assert_eq!(signed_set::read(missing, &root, set.now).unwrap_err().code(), "not-found", "{name}");
    }
    assert_eq!(served.targets.len(), 4);
}

#[test]
fn a_baseline_that_cannot_be_read_still_says_for_whom_it_is() {
    let mut set = SignedSet::new();
    set.baseline = set.baseline.replace("schema = 1\n", "schema = 99\nmin_agent = \"7.0.0\"\n");
    let error = set.read().unwrap_err();
    let SetError::Refused { min_agent, is_newer: true, .. } = &error else { panic!("{error}") };
    assert_eq!(min_agent.as_ref().map(ToString::to_string).as_deref(), Some("7.0.0"));
    // Of one unit's signatures nothing counts.
    set.units = ["a", "a", "b"];
    assert_eq!(set.read().unwrap_err().code(), "one-unit");
}

#[test]
fn a_baseline_or_registry_of_a_later_schema_says_that_the_reader_is_too_old() {
    fn refused(change: impl Fn(&mut SignedSet)) -> (String, bool) {
        let mut set = SignedSet::new();
        change(&mut set);
        match set.read().unwrap_err() {
            SetError::Refused { path, is_newer, .. } => (path, is_newer),
            error => panic!("{error}"),
        }
    }
    let later = |text: &str, schema: u32| text.replace("schema = 1\n", &format!("schema = {schema}\n"));
    let baseline = baseline_path(PRODUCT);
    assert_eq!(refused(|set| set.baseline = later(&set.baseline, baseline::SCHEMA + 1)), (baseline.clone(), true));
    assert_eq!(refused(|set| set.baseline = later(&set.baseline, 0)), (baseline.clone(), false));
    assert_eq!(refused(|set| set.baseline += "odd = 1\n"), (baseline, false));
    let registry = |schema| move |set: &mut SignedSet| set.registry = Some(later(&set.registry(), schema));
    assert_eq!(refused(registry(registry::SCHEMA + 1)), (REGISTRY.to_owned(), true));
    assert_eq!(refused(registry(0)), (REGISTRY.to_owned(), false));
    for schema in 1..=registry::SCHEMA {
        let mut set = SignedSet::new();
        set.registry = Some(later(&set.registry(), schema));
        set.baseline = later(&set.baseline, schema);
        set.read().unwrap();
    }
}
