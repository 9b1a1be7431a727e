//! `check`: each mistake with its place.

use std::fs;
use std::process::Command;

use manifests::digest::Digest;
use manifests::tree::FileList;

use crate::desk::{BASELINE, Desk, FILE_LIST, check, run};

#[test]
fn every_mistake_of_both_files_is_printed_with_its_place() {
    let desk = Desk::new();
    desk.replace("d/baseline.toml", "kind = \"exclusive-lock\"\n", "kind = \"exclusive-lock\"\ncolour = 1\n");
    desk.replace("d/baseline.toml", "config = \"print\"", "config = \"prnt\"");
    desk.replace("d/baseline.toml", "sha256:e3b0", "sha256:b0");
    desk.replace("d/registry.toml", "code = \"372013\"", "code = \"372014\"");
    let output = check(&desk.check(), 1, &["mistakes"]);
    let place = |name: &str, part: &str| {
        let text = desk.read(&format!("d/{name}"));
        let line = text.lines().position(|line| line.contains(part)).unwrap() + 1;
        format!("{}:{line}:", desk.text(&format!("d/{name}")))
    };
    for (name, part) in [
        ("baseline.toml", "colour"),
        ("baseline.toml", "\"prnt\""),
        ("baseline.toml", "sha256:b0"),
        ("registry.toml", "372014"),
    ] {
        let start = place(name, part);
        let line = output.lines().find(|line| line.starts_with(&start));
        let rest = line.and_then(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{start} in\n{output}"));
        // column: code: message
        let mut parts = rest.splitn(3, ": ");
        assert!(parts.next().is_some_and(|column| column.parse::<u32>().is_ok()), "{rest}");
        assert!(parts.next().is_some_and(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')), "{rest}");
    }
}

#[test]
fn more_mistakes_than_are_told_are_said_to_be_the_first() {
    let desk = Desk::empty();
    desk.write("many.toml", &"a b\n".repeat(1001));
    check(&run(&["check", &desk.text("many.toml")]), 1, &["error: the first 1000 mistakes"]);
    desk.write("many.toml", &"a b\n".repeat(999));
    assert!(!check(&run(&["check", &desk.text("many.toml")]), 1, &["error: 999 mistakes"]).contains("first"));
}

#[test]
fn a_skeleton_is_in_order_but_for_being_empty() {
    let desk = Desk::empty();
    check(&desk.init(&["a;Quality", "b;Design"], true), 0, &[]);
    check(&run(&["check", &desk.text("d/registry.toml")]), 0, &["no mistakes"]);
    let output = check(&run(&["check", &desk.text("d/baseline.toml")]), 1, &["empty-baseline"]);
    assert_eq!(output.lines().count(), 2, "{output}");
}

#[test]
fn one_file_is_recognised_by_what_it_holds() {
    let desk = Desk::new();
    desk.write("fleet.toml", &desk.read("d/registry.toml"));
    desk.write("next.toml", BASELINE);
    for name in ["fleet.toml", "next.toml"] {
        check(&run(&["check", &desk.text(name)]), 0, &["no mistakes"]);
    }
    desk.replace("fleet.toml", "[[controller]]", "x y\n[[controller]]");
    let text = check(&run(&["check", &desk.text("fleet.toml")]), 1, &["syntax", "error: 1 mistake"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    check(&run(&["check", &desk.text("none.toml")]), 74, &["none.toml"]);
}

#[test]
fn the_file_list_of_every_release_must_be_at_hand_and_whole() {
    let desk = Desk::new();
    fs::remove_file(desk.path(FILE_LIST)).unwrap();
    check(&desk.check(), 1, &["file-list-missing", "issuing-server"]);
    check(&desk.sign("a"), 1, &["file-list-missing"]);
    desk.write(FILE_LIST, "not empty");
    check(&desk.check(), 1, &["file-damaged"]);
    desk.write(FILE_LIST, "");
    check(&desk.check(), 0, &["no mistakes"]);
    desk.write("d/files/notes.txt", "");
    check(&desk.check(), 1, &["notes.txt"]);
    fs::remove_file(desk.path("d/files/notes.txt")).unwrap();

    // What is denied holds by its digest, unless a patch goes over it.
    let other = Digest::of(b"other");
    let denied = format!("[[program.release]]\nversion = \"3.3.0\"\ntree = \"{other}\"\ndenied = \"old\"\n");
    let patch =
        format!("[[program.patch]]\nid = \"HF-1\"\nover = [\"3.3.0\"]\nreplaces = {{ \"a.so\" = \"{other}\" }}\n");
    desk.replace("d/baseline.toml", "[[setting]]", &format!("{denied}\n[[setting]]"));
    check(&desk.check(), 0, &["no mistakes"]);
    desk.replace("d/baseline.toml", "[[setting]]", &format!("{patch}\n[[setting]]"));
    check(&desk.check(), 1, &["file-list-missing", &other.hex()]);
}

#[test]
fn an_executable_that_no_release_has_is_a_mistake() {
    let desk = Desk::new();
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"issuingd"));
    list.insert_link(b"current", b"bin");
    let process = |exe: &str, tree: &FileList| {
        let text = BASELINE.replace("roles = [\"ap\"]\nenforce", &format!("process = {{ exe = \"{exe}\" }}\nenforce"));
        desk.write("d/baseline.toml", &text.replace(&Digest::of(b"").to_string(), &tree.digest().to_string()));
        desk.write(&format!("d/files/{}", tree.digest().hex()), &String::from_utf8(tree.to_bytes()).unwrap());
    };
    for exe in ["bin/issuingd", "/opt/issuing/bin/issuingd", "current/issuingd", "/usr/bin/java"] {
        process(exe, &list);
        check(&desk.check(), 0, &["no mistakes"]);
    }
    for exe in ["bin/isuingd", "/opt/issuing/bin", "bin/issuingd/x"] {
        process(exe, &list);
        let inside = exe.trim_start_matches("/opt/issuing/");
        check(&desk.check(), 1, &["exe-not-listed", &format!("has {inside},"), "issuing-server", "baseline.toml:23:"]);
        check(&desk.sign("a"), 1, &["exe-not-listed"]);
    }
}

#[test]
fn links_of_signed_releases_that_lead_out_are_warned_of() {
    let desk = Desk::new();
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"issuingd"));
    list.insert_link(b"bin/current", b"issuingd");
    list.insert_link(b"lib/java", b"/usr/bin/java");
    let with = |list: &FileList, more: &str| {
        desk.write(&format!("d/files/{}", list.digest().hex()), &String::from_utf8(list.to_bytes()).unwrap());
        let text = BASELINE.replace("schema = 1", "schema = 2").replacen("enforce", &format!("{more}\nenforce"), 1);
        desk.write("d/baseline.toml", &text.replace(&Digest::of(b"").to_string(), &list.digest().to_string()));
        check(&desk.check(), 0, &["no mistakes"])
    };
    let text = with(&list, "");
    assert!(
        text.contains("warning") && text.contains("release 3.4.1 of issuing-server") && text.contains("\"lib/java\"")
    );
    assert!(!text.contains("bin/current"), "{text}");
    // Followed, and captured before it was.
    let text = with(&list, "follow = [\"lib/java\"]");
    assert!(text.contains("nothing of what is behind them: \"lib/java\"") && text.contains("capture"), "{text}");
    list.insert_file(b"lib/java///", Digest::of(b"java"));
    let text = with(&list, "follow = [\"lib/java\"]");
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn a_file_that_is_not_utf8_is_a_mistake_with_its_place_beside_the_others() {
    let desk = Desk::new();
    let name = desk.text("d/baseline.toml");
    // "本" in Shift_JIS.
    let text = BASELINE.replacen("reviewed", "日\u{0}", 1).into_bytes();
    let text = text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>().join(&b"\x96\x7b"[..]);
    fs::write(&name, &text).unwrap();
    desk.replace("d/registry.toml", "code = \"372013\"", "code = \"372014\"");
    let place = format!("{name}:19:35: not-utf8: the file is not UTF-8 from here on (hint: save it as UTF-8)");
    check(&desk.check(), 1, &[&place, "registry.toml:", "bad-code"]);
    check(&run(&["check", &name]), 1, &[&place]);
    check(&desk.sign("a"), 1, &["not-utf8", "1.lifts.json: made and signed"]);
}

#[test]
fn a_fix_that_no_listed_release_has_is_warned_of() {
    let desk = Desk::new();
    let fix = |range: &str| {
        let requires = format!("requires = [ {{ program = \"issuing-server\", fixed_in = \"{range}\" }} ]");
        desk.write("d/baseline.toml", &format!("{BASELINE}\n[[fix]]\nid = \"FIX-1\"\nroles = [\"ap\"]\n{requires}\n"));
        check(&desk.check(), 0, &["no mistakes"])
    };
    assert!(!fix(">=3.4.0").contains("warning"));
    let text = fix(">=3.5.0");
    assert!(text.contains("warning") && text.contains("FIX-1 requires issuing-server >=3.5.0"), "{text}");
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let desk = Desk::new();
    let pipe = desk.text("d/pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Within `timeout`, so that a wait for ever is a failure.
    let program = env!("CARGO_BIN_EXE_sekisho-baseline");
    let within = |path: &str| Command::new("timeout").args(["20", program, "check", path]).output().unwrap();
    check(&within(&pipe), 1, &["pipe is no regular file"]);
    fs::rename(desk.path("d/pipe"), desk.path("d/baseline.toml")).unwrap();
    check(&within(&desk.text("d")), 1, &["baseline.toml is no regular file"]);
}

#[test]
fn signers_of_the_registry_are_those_of_the_root() {
    let desk = Desk::new();
    let registry = desk.read("d/registry.toml");
    let third = registry.find("[[signer]]\nname = \"manager c\"").unwrap();
    let end = registry.find("[[controller]]").unwrap();
    desk.write("d/registry.toml", &format!("{}{}", &registry[..third], &registry[end..]));
    check(&desk.check(), 1, &["signers-differ"]);
    check(&desk.sign("a"), 1, &["signers-differ", "not those of the signers"]);
}

#[test]
fn a_person_without_whom_nobody_could_sign_is_told() {
    let desk = Desk::signed();
    assert!(!check(&desk.check(), 0, &[]).contains("without"));
    let desk = Desk::empty();
    check(&desk.init(&["a;Quality", "b;quality ", "c;Design"], true), 0, &[]);
    desk.write("d/baseline.toml", BASELINE);
    desk.write(FILE_LIST, "");
    let words = "warning: metadata/1.root.json: without manager c one unit is left, Quality; nobody could sign";
    check(&desk.check(), 1, &[words]);
    let desk = Desk::empty();
    check(&desk.init(&["a;Quality", "c;Design"], true), 0, &[]);
    desk.write("d/baseline.toml", BASELINE);
    desk.write(FILE_LIST, "");
    check(&desk.check(), 1, &["without manager a 1 of 2 keys are left", "without manager c 1 of 2 keys are left"]);
}

#[test]
fn a_registry_says_of_nobody_another_unit_than_the_root() {
    let desk = Desk::signed();
    desk.replace("d/registry.toml", "unit = \"Quality\"", "unit = \"Release\"");
    let words = "signer \"manager a\" is of the unit \"Release\" here, and of \"Quality\" in metadata/1.root.json";
    check(&desk.check(), 1, &["signers-differ", words]);
    desk.replace("d/baseline.toml", "\"1.0.0\"", "\"1.0.1\"");
    check(&desk.sign("b"), 1, &[words]);
}
