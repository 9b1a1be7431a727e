//! The next root: people who come and go, another year, and what is signed by whom after it.

use std::fs;
use std::time::SystemTime;

use manifests::time::Time;
use manifests::tuf::repository::read_unverified;
use manifests::tuf::{Fetch, FetchError, MemoryStore, Root, TARGETS, TufClient};

use crate::ceremony::Served;
use crate::desk::{Desk, check, run};

impl Desk {
    pub(crate) fn propose(&self, changes: &[&str]) -> std::process::Output {
        run(&[&["root", "propose", &self.text("d")], changes].concat())
    }

    pub(crate) fn only(&self, who: &str, part: &str) -> std::process::Output {
        run(&["sign", &self.text("d"), "--key", &self.text(&format!("{who}.pem")), "--only", part])
    }

    fn renew(&self, who: &str) -> std::process::Output {
        run(&["renew", &self.text("d"), "--key", &self.text(&format!("{who}.pem"))])
    }

    fn root(&self, version: u64) -> Root {
        read_unverified(&fs::read(self.path(&format!("d/metadata/{version}.root.json"))).unwrap()).unwrap()
    }

    /// `a;Quality` and `b;Operations` sign everything, c's key is spare.
    fn of_two() -> Self {
        let desk = Self::empty();
        check(&desk.init(&["a;Quality", "b;Operations"], true), 0, &[]);
        let registry = desk.read("d/registry.toml") + crate::desk::HOSTS;
        desk.write("d/registry.toml", &registry);
        desk.write("d/baseline.toml", crate::desk::BASELINE);
        desk.write(crate::desk::FILE_LIST, "");
        check(&desk.sign("a"), 0, &[]);
        check(&desk.sign("b"), 0, &["1.targets.json: signed; 2 of 2"]);
        desk
    }

    fn with_c(&self, unit: &str) -> String {
        format!("manager c;{unit};{}", self.text("c.pem.pub"))
    }
}

/// What a host comes to that follows the roots of `desk` and these versions; or why it does not.
pub(crate) fn walk(desk: &Desk, store: &mut MemoryStore, targets: u64, lifts: u64) -> Result<u64, String> {
    struct Roots<'a>(&'a Desk, Served);
    impl Fetch for Roots<'_> {
        fn fetch(&mut self, path: &str, max: u64) -> Result<Vec<u8>, FetchError> {
            if path.ends_with(".root.json") {
                return fs::read(self.0.path(&format!("d/metadata/{path}"))).map_err(|_| FetchError::NotFound);
            }
            self.1.fetch(path, max)
        }
        fn fetch_target(&mut self, path: &str, max: u64) -> Result<Vec<u8>, FetchError> {
            self.1.fetch_target(path, max)
        }
    }
    let first = fs::read(desk.path("d/metadata/1.root.json")).unwrap();
    let client = TufClient::new(&first, store, Roots(desk, Served::of(desk, targets, lifts))).unwrap();
    let mut client = client.by_units(None);
    client.refresh(Time::from(SystemTime::now())).map_err(|error| error.code().to_owned())?;
    client.delegated("lifts").map_err(|error| error.code().to_owned())?;
    Ok(client.trusted().unwrap().root().version)
}

#[test]
fn one_comes_and_one_goes_by_the_signatures_of_old_and_new() {
    let desk = Desk::of_two();
    let mut host = MemoryStore::default();
    assert_eq!(walk(&desk, &mut host, 1, 1), Ok(1));
    check(
        &desk.propose(&["--add", &desk.with_c("Design")]),
        0,
        &[
            "registry.toml: changed with it",
            "metadata/2.root.json: proposed; against metadata/1.root.json:",
            "+ manager c (Design) may sign root, targets and lifts",
        ],
    );
    check(&desk.check(), 1, &["signer \"manager c\" is not among the keys of metadata/1.root.json"]);
    // Whoever comes may sign the root, and nothing else until it counts.
    check(
        &desk.sign("c"),
        0,
        &["2.root.json: signed; 1 of 2", "targets: not signed; this key counts once metadata/2.root"],
    );
    check(
        &desk.sign("a"),
        0,
        &["targets: not signed; they wait for metadata/2.root.json", "1.lifts.json: nothing to sign"],
    );
    check(&desk.sign("b"), 0, &["2.root.json: signed; 3 of 2", "2.targets.json: made and signed"]);
    check(&desk.sign("c"), 0, &["2.root.json: nothing to sign", "2.targets.json: signed; 2 of 2", "nothing to sign"]);
    check(&desk.check(), 0, &["no mistakes"]);
    assert_eq!(walk(&desk, &mut host, 2, 1), Ok(2));

    // And now b goes, having signed.
    check(&desk.propose(&["--remove", "manager b"]), 0, &["- manager b (Operations) no longer may sign root"]);
    check(
        &desk.only("b", "root"),
        0,
        &["- manager b (Operations) no longer may sign root", "3.root.json: signed; 0 of 2"],
    );
    check(&desk.only("a", "root"), 0, &["by the root before: 2 of 2"]);
    check(&desk.only("c", "root"), 0, &["3.root.json: signed; 2 of 2"]);
    check(&desk.sign("b"), 1, &["is no signer's of metadata/3.root.json"]);
    check(&desk.sign("a"), 0, &["3.targets.json: made and signed", "2.lifts.json: made anew, as those who signed"]);
    // Until both have signed, the key that was removed does not make up for it.
    assert_eq!(walk(&desk, &mut host.clone(), 2, 1).unwrap_err(), "threshold");
    check(&desk.sign("c"), 0, &["3.targets.json: signed; 2 of 2", "2.lifts.json: signed; 2 of 2"]);
    assert_eq!(walk(&desk, &mut host, 3, 2), Ok(3));
    // Who slept through both catches up.
    assert_eq!(walk(&desk, &mut MemoryStore::default(), 3, 2), Ok(3));
}

#[test]
fn a_host_that_missed_three_roots_catches_up() {
    let desk = Desk::signed();
    let mut host = MemoryStore::default();
    assert_eq!(walk(&desk, &mut host, 1, 1), Ok(1));
    for version in 2..=4 {
        check(&desk.renew("a"), 0, &[&format!("{version}.root.json: signed; 1 of 2")]);
        check(&desk.renew("b"), 0, &[&format!("{version}.root.json: signed; 2 of 2")]);
    }
    assert_eq!(walk(&desk, &mut host, 4, 4), Ok(4));
}

#[test]
fn a_key_is_replaced_and_the_old_one_counts_no_more() {
    let desk = Desk::of_two();
    let replace = format!("manager b;{}", desk.text("c.pem.pub"));
    check(&desk.propose(&["--replace", &replace]), 0, &["+ manager b (Operations) may", "- "]);
    for who in ["a", "b", "c"] {
        check(&desk.only(who, "root"), 0, &["2.root.json: signed"]);
    }
    check(&desk.sign("b"), 1, &["is no signer's"]);
    check(&desk.sign("a"), 0, &["2.targets.json: made and signed; 1 of 2"]);
    check(&desk.sign("c"), 0, &["2.targets.json: signed; 2 of 2 signatures (manager a; manager b)"]);
}

#[test]
fn renew_changes_ends_and_nothing_else() {
    let desk = Desk::signed();
    let texts = ["registry.toml", "baseline.toml"].map(|name| desk.read(&format!("d/{name}")));
    let words =
        ["2.root.json changes:", "2.targets.json: renewed and signed; 1 of 2", "2.lifts.json: renewed", "1 of 2"];
    check(&desk.renew("a"), 0, &words);
    check(&desk.renew("a"), 0, &["signed by you before"]);
    check(
        &desk.renew("b"),
        0,
        &["2.root.json: signed; 2 of 2", "2.targets.json: signed; 2 of 2", "2.lifts.json: signed"],
    );
    assert_eq!(["registry.toml", "baseline.toml"].map(|name| desk.read(&format!("d/{name}"))), texts);
    let (old, new) = (desk.root(1), desk.root(2));
    assert_eq!(Root { version: 2, expires: new.expires, ..old }, new);
    assert_eq!(desk.targets("1.targets.json").targets, desk.targets("2.targets.json").targets);
    assert_eq!(desk.targets("1.targets.json").delegations, desk.targets("2.targets.json").delegations);

    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.renew("a"), 1, &["baseline.toml is not what metadata/2.targets.json lists"]);
    desk.replace("d/baseline.toml", "\"1.0.1\"", "\"1.0.0\"");
    check(&desk.propose(&["--threshold", "3"]), 0, &["~ root needs 3 signatures, was 2"]);
    check(&desk.renew("a"), 1, &["metadata/3.root.json is on its way and changes more than its end"]);
    assert!(!desk.exists("d/metadata/3.targets.json"));
}

#[test]
fn what_could_not_be_signed_after_is_not_proposed() {
    let desk = Desk::of_two();
    let registry = desk.read("d/registry.toml");
    let again = format!("manager a;Design;{}", desk.text("c.pem.pub"));
    for (changes, words) in [
        (vec!["--remove", "manager b"], "all signers are of the unit \"Quality\""),
        (vec!["--remove", "manager x"], "has no signer \"manager x\"; it has: manager a; manager b"),
        (vec!["--threshold", "1"], "a threshold of 1"),
        (vec!["--threshold", "3"], "a threshold of 3 with 2 signers"),
        (vec!["--unit", "manager b;quality"], "all signers are of the unit"),
        (vec!["--add", again.as_str()], "two signers have the name"),
        (vec!["--controller", &desk.text("main.json")], "no standby"),
    ] {
        check(&desk.propose(&changes), 1, &[words]);
        assert!(!desk.exists("d/metadata/2.root.json"));
        assert_eq!(desk.read("d/registry.toml"), registry);
    }
    check(&desk.propose(&[]), 0, &["~ it ends "]);
    check(&desk.propose(&[]), 1, &["metadata/2.root.json is not completely signed yet"]);
}

#[test]
fn a_controller_s_keys_are_exchanged_in_root_and_registry() {
    let desk = Desk::signed();
    let other = Desk::empty();
    let new = other.read("main.json");
    desk.write("new.json", &new);
    let (controller, standby) = (desk.text("new.json"), desk.text("standby.json"));
    let before = desk.root(1);
    let words = ["may sign snapshot", "no longer may sign timestamp"];
    check(&desk.propose(&["--controller", &controller, "--standby", &standby]), 0, &words);
    let after = desk.root(2);
    let online = |root: &Root| root.roles["snapshot"].keyids.clone();
    assert_eq!(online(&before)[1], online(&after)[1]);
    assert_ne!(online(&before)[0], online(&after)[0]);
    assert_eq!(before.roles[TARGETS], after.roles[TARGETS]);
    let key: serde_json::Value = serde_json::from_str(&new).unwrap();
    assert!(desk.read("d/registry.toml").contains(key["permit_key"]["keyval"]["public"].as_str().unwrap()));
    check(&desk.only("a", "root"), 0, &["signed"]);
    check(&desk.only("b", "root"), 0, &["complete"]);
    check(&desk.sign("a"), 0, &["~ controller main, in service, permit key", "2.targets.json: made"]);
    check(&desk.check(), 0, &["no mistakes"]);
}

#[test]
fn status_tells_who_may_sign_and_what_is_on_its_way() {
    let desk = Desk::of_two();
    let status = || run(&["root", "status", &desk.text("d")]);
    check(
        &status(),
        0,
        &[
            "metadata/1.root.json: 2 of 2 signatures (manager a; manager b), complete",
            "manager a (Quality) may sign root, targets and lifts",
            "root needs 2 signatures, of two units",
            "364 days left",
            "warning: metadata/1.root.json: without manager a 1 of 2 keys are left",
        ],
    );
    check(&desk.propose(&["--add", &desk.with_c("Design")]), 0, &[]);
    check(
        &status(),
        0,
        &[
            "metadata/2.root.json: on its way; 0 of 2 signatures, missing 2 of: manager a; manager b; manager c; and by \
         the root before: 0 of 2",
            "+ manager c (Design) may sign",
        ],
    );
}

#[test]
fn a_root_without_units_gets_them_with_the_next() {
    let desk = Desk::signed();
    // As a tool of before made it.
    let mut root = desk.root(1);
    root.units.clear();
    let unsigned = manifests::tuf::repository::unsigned(&root).unwrap();
    let sign = |bytes: Vec<u8>, who: &str| crate::ceremony::resign(&bytes, &desk.read(&format!("{who}.pem")));
    fs::write(desk.path("d/metadata/1.root.json"), sign(sign(unsigned, "a"), "b")).unwrap();
    check(&run(&["root", "status", &desk.text("d")]), 0, &["does not name the units of its signers; `root propose`"]);
    check(&desk.renew("a"), 1, &["does not name the units"]);
    check(&desk.propose(&[]), 0, &["~ units stand in the root from here on"]);
    assert_eq!(desk.root(2).units.len(), 3);
    check(&desk.only("a", "root"), 0, &["signed"]);
    check(&desk.only("b", "root"), 0, &["complete"]);
}

#[test]
fn a_new_ceremony_goes_on_above_the_versions_of_before() {
    let desk = Desk::of_two();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("a"), 0, &[]);
    check(&desk.sign("b"), 0, &["2.targets.json: signed; 2 of 2"]);
    // b's key is lost, and with it every second unit.
    let (old, new) = (desk.text("d"), desk.text("new"));
    let signers = [format!("manager a;Quality;{}", desk.text("a.pem.pub")), desk.with_c("Design")];
    let (main, standby) = (desk.text("main.json"), desk.text("standby.json"));
    let init = |after: &str, to: &str| {
        run(&[
            "init",
            to,
            "--product",
            "convenience-issuance",
            "--after",
            after,
            "--signer",
            &signers[0],
            "--signer",
            &signers[1],
            "--controller",
            &main,
            "--controller",
            &standby,
        ])
    };
    check(&init(&old, &new), 0, &["made, with metadata/2.root.json for:"]);
    assert!(!desk.exists("new/metadata/1.root.json"));
    let sign = |who: &str| run(&["sign", &new, "--key", &desk.text(&format!("{who}.pem"))]);
    check(&sign("b"), 1, &["is no signer's of metadata/2.root.json"]);
    check(
        &sign("a"),
        0,
        &["2.root.json: signed; 1 of 2", "3.targets.json: made and signed", "+ signer manager c (Design)"],
    );
    check(
        &sign("c"),
        0,
        &["2.root.json: signed; 2 of 2", "3.targets.json: signed; 2 of 2", "2.lifts.json: signed; 2 of 2"],
    );
    assert_eq!(desk.read("new/baseline.toml"), desk.read("d/baseline.toml"));
    check(&run(&["renew", &new, "--key", &desk.text("a.pem")]), 0, &["4.targets.json: renewed"]);
    fs::remove_file(desk.path("new/metadata/3.root.json")).unwrap();
    check(&run(&["check", &new]), 0, &["no mistakes"]);
    // And once more, above both.
    let third = desk.text("third");
    check(&init(&new, &third), 0, &["metadata/3.root.json"]);
    // What says where roots begin is not to be lost.
    fs::remove_file(desk.path("new/metadata/before.json")).unwrap();
    check(&sign("a"), 1, &["it has no metadata/1.root.json"]);
}

#[test]
fn what_nobody_signed_is_shown_as_new_whatever_a_file_says_came_before() {
    let desk = Desk::new();
    // As somebody leaves it who may write to the directory and has no key: versions that would count unsigned.
    let hostile = Desk::new();
    for desk in [&desk, &hostile] {
        desk.write_lift(1, "402206", "by hand");
    }
    check(&hostile.sign("a"), 0, &["1.targets.json: made", "1.lifts.json: made"]);
    for role in ["targets", "lifts"] {
        let mut file: serde_json::Value =
            serde_json::from_str(&hostile.read(&format!("d/metadata/1.{role}.json"))).unwrap();
        file["signatures"] = serde_json::json!([]);
        file["signed"]["version"] = 5.into();
        desk.write(&format!("d/metadata/5.{role}.json"), &file.to_string());
    }
    desk.write("d/registry.toml", &hostile.read("d/registry.toml"));
    let says = |root: u64| format!("{{\"root\": {root}, \"targets\": 5, \"lifts\": 5}}");
    for (root, words) in [(0, "names no root"), (1, "the first root, metadata/1.root.json, is here")] {
        desk.write("d/metadata/before.json", &says(root));
        check(&desk.sign("a"), 1, &["metadata/before.json speaks of a ceremony before this one", words]);
        assert_eq!(desk.signatures("1.root.json").len(), 0);
    }
    // Where the first root is gone, too, nothing of it is taken for signed.
    let mut root: serde_json::Value = serde_json::from_str(&desk.read("d/metadata/1.root.json")).unwrap();
    root["signed"]["version"] = 2.into();
    desk.write("d/metadata/2.root.json", &root.to_string());
    fs::remove_file(desk.path("d/metadata/1.root.json")).unwrap();
    let text = check(
        &desk.sign("a"),
        0,
        &[
            "metadata/5.targets.json is of before the new ceremony, and nothing says that it ever counted",
            "+ setting lock.print-wait",
            "+ host 402206-ap1 (ap)",
            "6.targets.json: made anew",
            "site 402206 Munakata",
            "reason: by hand",
            "6.lifts.json: made anew",
        ],
    );
    assert!(!text.contains(": nothing\n"), "{text}");
    fs::remove_file(desk.path("d/metadata/6.targets.json")).unwrap();
    check(&desk.renew("a"), 1, &["no completely signed targets"]);
}

#[test]
fn renew_refuses_what_changes_more_than_an_end_and_says_what() {
    let desk = Desk::signed();
    // Somebody has left, whom targets still name.
    check(&desk.propose(&["--remove", "manager c"]), 0, &[]);
    for who in ["a", "b"] {
        check(&desk.only(who, "root"), 0, &["2.root.json: signed"]);
    }
    let words = ["the next targets would change more than their end", "1.targets.json", "it delegates to other keys"];
    check(&desk.renew("a"), 1, &words);
    assert!(!desk.exists("d/metadata/3.root.json"));
    for who in ["a", "b"] {
        check(&desk.sign(who), 0, &["2.targets.json"]);
    }
    check(&desk.renew("a"), 0, &["3.targets.json: renewed and signed"]);
    // The signer before made more of it than a renewal.
    let text = desk.read("d/metadata/3.targets.json");
    for (from, to, words) in [
        ("\"threshold\": 2", "\"threshold\": 1", "it delegates to other keys, or with another threshold"),
        ("\"registry.toml\"", "\"other.toml\"", "other.toml is listed in it and not here"),
    ] {
        desk.replace("d/metadata/3.targets.json", from, to);
        check(&desk.renew("b"), 1, &["3.targets.json would change more than its end", words]);
        desk.write("d/metadata/3.targets.json", &text);
    }
    check(&desk.renew("b"), 0, &["3.targets.json: signed; 2 of 2"]);
}
