//! A root that asks more signatures, fewer, or other people's: targets and lifts come to be signed by as many
//! as it asks, in whatever order people sign, and what was complete before keeps its bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use manifests::tuf::MemoryStore;

use crate::desk::{Desk, check, run};
use crate::roots::walk;

impl Desk {
    /// Bytes of everything in `metadata/`, by name.
    fn metadata(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.path("d/metadata")).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    /// Everybody signs, in this order, twice: who was early has the root complete in the second round.
    fn sign_twice(&self, order: [&str; 3]) {
        for who in order.iter().chain(&order) {
            check(&self.sign(who), 0, &[]);
        }
    }

    /// Nobody finds anything to sign, and nothing changes.
    fn assert_settled(&self, who: &[&str]) {
        let before = self.metadata();
        for who in who {
            check(
                &self.sign(who),
                0,
                &["root.json: nothing to sign", "targets.json: nothing to sign", "lifts.json: nothing"],
            );
        }
        assert_eq!(self.metadata(), before);
    }
}

const ORDERS: [[&str; 3]; 6] =
    [["a", "b", "c"], ["a", "c", "b"], ["b", "a", "c"], ["b", "c", "a"], ["c", "a", "b"], ["c", "b", "a"]];

#[test]
fn a_raised_threshold_is_met_in_any_order() {
    let signed = Desk::signed();
    let mut host = MemoryStore::default();
    assert_eq!(walk(&signed, &mut host, 1, 1), Ok(1));
    check(&signed.propose(&["--threshold", "3"]), 0, &["~ root needs 3 signatures, was 2"]);
    let before = signed.metadata();
    for order in ORDERS {
        let desk = signed.copy();
        desk.sign_twice(order);
        for name in ["2.root.json", "2.targets.json", "2.lifts.json"] {
            assert_eq!(desk.signatures(name).len(), 3, "{order:?} {name}");
        }
        assert!(!desk.exists("d/metadata/3.targets.json") && !desk.exists("d/metadata/3.lifts.json"), "{order:?}");
        desk.assert_settled(&order);
        for (name, bytes) in before.iter().filter(|(name, _)| name.starts_with("1.")) {
            assert!(fs::read(desk.path("d/metadata").join(name)).unwrap() == *bytes, "{name} has changed");
        }
    }
    // With the keys of the first desk's controller, whom hosts know.
    signed.sign_twice(ORDERS[0]);
    assert_eq!(walk(&signed, &mut host, 2, 2), Ok(2));
    assert_eq!(walk(&signed, &mut MemoryStore::default(), 2, 2), Ok(2));
}

#[test]
fn two_of_three_are_a_draft_and_not_the_version_before() {
    let desk = Desk::signed();
    check(&desk.propose(&["--threshold", "3"]), 0, &[]);
    for who in ["a", "b", "c"] {
        check(&desk.only(who, "root"), 0, &["2.root.json: signed"]);
    }
    check(&desk.sign("a"), 0, &["2.targets.json: made and signed; 1 of 3", "2.lifts.json: made anew"]);
    check(&desk.sign("b"), 0, &["2.targets.json: signed; 2 of 3", "2.lifts.json: signed; 2 of 3"]);
    check(&desk.sign("a"), 0, &["2.targets.json: signed by you before", "2.lifts.json: signed by you before"]);
    let mut host = MemoryStore::default();
    assert_eq!(walk(&desk, &mut host, 2, 2).unwrap_err(), "threshold");
    // A draft of others is nothing to go on from with another content.
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("c"), 1, &["metadata/2.targets.json, signed by manager a; manager b, does not fit"]);
    desk.replace("d/baseline.toml", "\"1.0.1\"", "\"1.0.0\"");
    check(&desk.sign("c"), 0, &["2.targets.json: signed; 3 of 3", "2.lifts.json: nothing to sign"]);
    desk.assert_settled(&["a", "b", "c"]);
    assert_eq!(walk(&desk, &mut host, 2, 2), Ok(2));
    // What changes from here on needs three as well.
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    for (who, words) in [("c", "made and signed; 1 of 3"), ("a", "signed; 2 of 3"), ("b", "signed; 3 of 3")] {
        check(&desk.sign(who), 0, &[&format!("3.targets.json: {words}")]);
    }
    desk.assert_settled(&["a", "b", "c"]);
    assert_eq!(walk(&desk, &mut host, 3, 2), Ok(2));
}

#[test]
fn a_threshold_is_lowered_again() {
    let desk = Desk::signed();
    let mut host = MemoryStore::default();
    check(&desk.propose(&["--threshold", "3"]), 0, &[]);
    desk.sign_twice(ORDERS[0]);
    assert_eq!(walk(&desk, &mut host, 2, 2), Ok(2));
    check(&desk.propose(&["--threshold", "2"]), 0, &["~ root needs 2 signatures, was 3"]);
    for who in ["c", "b", "a"] {
        check(&desk.only(who, "root"), 0, &["3.root.json: signed"]);
    }
    // What three have signed is signed by two.
    check(&desk.sign("c"), 0, &["3.targets.json: made and signed; 1 of 2", "2.lifts.json: nothing to sign"]);
    check(&desk.sign("a"), 0, &["3.targets.json: signed; 2 of 2"]);
    desk.assert_settled(&["a", "b", "c"]);
    assert_eq!(walk(&desk, &mut host, 3, 2), Ok(3));
}

#[test]
fn a_key_is_replaced_and_the_threshold_raised_at_once() {
    let signed = Desk::signed();
    let mut host = MemoryStore::default();
    assert_eq!(walk(&signed, &mut host, 1, 1), Ok(1));
    check(&run(&["keygen", &signed.text("d.pem")]), 0, &[]);
    let replace = format!("manager b;{}", signed.text("d.pem.pub"));
    check(&signed.propose(&["--replace", &replace, "--threshold", "3"]), 0, &["~ root needs 3 signatures"]);
    for who in ["a", "c", "d"] {
        check(&signed.only(who, "root"), 0, &["2.root.json: signed"]);
    }
    for order in [["a", "d", "c"], ["d", "c", "a"], ["c", "a", "d"]] {
        let desk = signed.copy();
        for who in order {
            check(&desk.sign(who), 0, &["2.targets.json", "2.lifts.json"]);
        }
        desk.assert_settled(&order);
    }
    for who in ["c", "a", "d"] {
        check(&signed.sign(who), 0, &["2.targets.json", "2.lifts.json"]);
    }
    assert_eq!(walk(&signed, &mut host, 2, 2), Ok(2));
}

#[test]
fn lifts_that_were_complete_while_the_root_was_on_its_way_keep_their_bytes() {
    let desk = Desk::signed();
    check(&desk.propose(&["--threshold", "3"]), 0, &[]);
    check(&desk.only("a", "root"), 0, &["1 of 3"]);
    // Under the root before, whose two may publish it at once.
    desk.write_lift(1, "402206", "by hand");
    check(&desk.only("a", "lifts"), 0, &["2.lifts.json: made and signed; 1 of 2"]);
    check(&desk.only("b", "lifts"), 0, &["2.lifts.json: signed; 2 of 2"]);
    let published = desk.read("d/metadata/2.lifts.json");
    for who in ["b", "c"] {
        check(&desk.only(who, "root"), 0, &["2.root.json: signed"]);
    }
    for (who, words) in [("c", "made anew"), ("b", "signed; 2 of 3"), ("a", "signed; 3 of 3")] {
        check(&desk.sign(who), 0, &["2.targets.json", &format!("3.lifts.json: {words}")]);
    }
    desk.assert_settled(&["a", "b", "c"]);
    assert_eq!(desk.read("d/metadata/2.lifts.json"), published);
    assert_eq!(walk(&desk, &mut MemoryStore::default(), 2, 3), Ok(2));
}

#[test]
fn the_third_signs_on_another_machine_after_a_merge() {
    let desk = Desk::signed();
    check(&desk.propose(&["--threshold", "3"]), 0, &[]);
    for who in ["a", "b", "c"] {
        check(&desk.only(who, "root"), 0, &[]);
    }
    let git = |directory: &Path, arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=Manager", "-c", "user.email=manager@example.invalid"])
            .args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        check(&output, 0, &[]);
    };
    let commit = |directory: &Path| {
        git(directory, &["add", "--all"]);
        git(directory, &["commit", "--quiet", "--message", "signed"]);
    };
    let here = desk.path("d");
    git(&here, &["init", "--quiet"]);
    commit(&here);
    let other = tempfile::tempdir().unwrap();
    let there = other.path().join("d");
    git(other.path(), &["clone", "--quiet", here.to_str().unwrap(), "d"]);
    // Both go on: a and b sign here, c writes something down there.
    for who in ["a", "b"] {
        check(&desk.sign(who), 0, &[]);
    }
    commit(&here);
    fs::write(there.join("notes.txt"), "synthetic\n").unwrap();
    commit(&there);
    git(&there, &["pull", "--quiet", "--no-rebase", "--no-edit"]);
    let sign = run(&["sign", there.to_str().unwrap(), "--key", &desk.text("c.pem")]);
    check(&sign, 0, &["2.targets.json: signed; 3 of 3", "2.lifts.json: signed; 3 of 3"]);
    commit(&there);
    git(&here, &["pull", "--quiet", there.to_str().unwrap()]);
    desk.assert_settled(&["a", "b", "c"]);
    assert_eq!(walk(&desk, &mut MemoryStore::default(), 2, 2), Ok(2));
}
