//! `sign` shows what it puts a name under, and looks at no more than it is asked to.

use manifests::digest::Digest;
use manifests::time::Time;

use crate::desk::{Desk, check, run};

impl Desk {
    /// A lift that nobody made with `lift`.
    pub(crate) fn write_lift(&self, number: u64, site: &str, reason: &str) -> String {
        let stop = Digest::of(b"a stop");
        let directory = format!("d/lifts/{}", stop.hex());
        std::fs::create_dir_all(self.path(&directory)).unwrap();
        let time = Time::from_rfc3339("2026-10-01T08:00:00Z").unwrap();
        let text = format!(
            "{{\"product\":\"convenience-issuance\",\"reason\":\"{reason}\",\"sites\":[\"{site}\"],\"stop\":\"{stop}\",\
             \"time\":\"{time}\",\"type\":\"application/vnd.sekisho.lift.v1+json\"}}"
        );
        let name = format!("{directory}/{number}.json");
        self.write(&name, &text);
        name
    }

    fn sign_only(&self, who: &str, part: &str) -> std::process::Output {
        run(&["sign", &self.text("d"), "--key", &self.text(&format!("{who}.pem")), "--only", part])
    }
}

#[test]
fn a_first_set_is_shown_whole() {
    let desk = Desk::new();
    check(
        &desk.sign("a"),
        0,
        &[
            "metadata/1.root.json changes:",
            "manager b (Operations) may sign root, targets and lifts",
            "metadata/1.targets.json changes:",
            "+ setting lock.print-wait",
            "+ host 402206-ap1 (ap)",
        ],
    );
}

#[test]
fn what_is_loosened_and_who_is_listed_is_shown_against_what_is_in_force() {
    let desk = Desk::signed();
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    desk.replace("d/baseline.toml", "permit_ttl = \"30m\"", "permit_ttl = \"24h\"");
    desk.replace("d/registry.toml", "[[host]]\nid = \"372013-ap1\"", "[[host]]\nid = \"372013-ap2\"");
    let words = [
        "~ gate: LOOSENS, permit_ttl is \"24h\", was \"30m\"",
        "~ baseline: version is \"1.0.1\", was \"1.0.0\"",
        "+ host 372013-ap2 (ap)",
        "- host 372013-ap1 (ap)",
    ];
    for who in ["a", "b"] {
        let text = check(&desk.sign(who), 0, &words);
        assert!(!text.contains("lock.print-wait"), "{text}");
    }
    // Against what is in force now.
    desk.replace("d/baseline.toml", "\"1.0.1\"", "\"1.0.2\"");
    let text = check(&desk.sign("a"), 0, &["registry.toml: nothing", "version is \"1.0.2\", was \"1.0.1\""]);
    assert!(!text.contains("permit_ttl"), "{text}");
    // A copy that somebody changed is no copy.
    for entry in std::fs::read_dir(desk.path("d/signed")).unwrap() {
        std::fs::write(entry.unwrap().path(), "version = \"1.0.2\"").unwrap();
    }
    desk.replace("d/baseline.toml", "\"1.0.2\"", "\"1.0.3\"");
    check(&desk.sign("a"), 0, &["the one signed before is not in signed/", "+ setting lock.print-wait"]);
}

#[test]
fn a_new_lift_is_shown_with_stop_sites_and_reason_and_checked_again() {
    let desk = Desk::signed();
    desk.write_lift(1, "402206", "by hand");
    let stop = Digest::of(b"a stop").to_string();
    check(
        &desk.sign("a"),
        0,
        &[
            "metadata/2.lifts.json changes:",
            &format!("ends stop {stop}"),
            "site 402206 Munakata",
            "reason: by hand",
            "not held against a controller",
            "2.lifts.json: made and signed",
        ],
    );
    check(&desk.sign("b"), 0, &["reason: by hand", "2.lifts.json: signed; 2 of 2"]);
    // What `lift` refuses without asking anybody, `sign` refuses.
    let second = desk.write_lift(2, "402206", "again");
    check(&desk.sign("a"), 1, &["no lift is signed", "reason: again", "402206: lifts/", "lifts the stop there"]);
    std::fs::remove_file(desk.path(&second)).unwrap();
    desk.write_lift(2, "131016", "nowhere");
    check(&desk.sign("a"), 1, &["site 131016 is not in the registry"]);
    assert!(!desk.exists("d/metadata/3.lifts.json"));
}

#[test]
fn a_lift_is_signed_at_night_whatever_else_is_being_written() {
    let desk = Desk::signed();
    desk.write_lift(1, "402206", "repaired");
    desk.replace("d/baseline.toml", "kind = \"exclusive-lock\"\n", "kind = \"exclusive-lock\"\ncolour = 1\n");
    check(&run(&["root", "propose", &desk.text("d")]), 0, &[]);
    let text = check(&desk.sign_only("a", "lifts"), 0, &["note: ", "colour", "2.lifts.json: made and signed"]);
    assert!(!text.contains("targets") && !text.contains("error"), "{text}");
    desk.write("d/registry.toml", &(desk.read("d/registry.toml") + "\n[[site"));
    check(
        &desk.sign_only("b", "lifts"),
        0,
        &["the registry that was signed last is asked", "2.lifts.json: signed; 2 of 2"],
    );
    // What is asked for is not signed with a mistake.
    check(&desk.sign_only("b", "targets"), 1, &["cannot make out product and signers"]);
    assert_eq!(desk.signatures("2.root.json").len(), 0);
    assert!(!desk.exists("d/metadata/2.targets.json"));
}

#[test]
fn at_a_terminal_nothing_is_signed_that_nobody_said_yes_to() {
    // `script` gives the program a terminal.
    let desk = Desk::new();
    let program = env!("CARGO_BIN_EXE_sekisho-baseline");
    let line = format!("{program} sign {} --key {} --only root", desk.text("d"), desk.text("a.pem"));
    let ask = |answer: &str, more: &str| {
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &format!("{line}{more}"), "/dev/null"]);
        command.env("SEKISHO_PASSPHRASE", crate::desk::PASSPHRASE).stdin(std::process::Stdio::piped());
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), answer.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let text = ask("n\n", "");
    assert!(text.contains("Sign metadata/1.root.json? [y/N]") && text.contains("not signed"), "{text}");
    assert_eq!(desk.signatures("1.root.json").len(), 0);
    let text = ask("y\n", "");
    assert!(text.contains("1.root.json: signed; 1 of 2"), "{text}");
    let line_of_b = ask("", " --yes");
    assert!(line_of_b.contains("signed by you before"), "{line_of_b}");
}
