//! `capture`, with a made-up agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use manifests::digest::Digest;
use manifests::tree::FileList;

use crate::desk::{Desk, check, run};

fn capture(desk: &Desk, script: &str, arguments: &[&str]) -> Output {
    capture_at(desk, script, "/opt/issuing", arguments)
}

fn capture_at(desk: &Desk, script: &str, path: &str, arguments: &[&str]) -> Output {
    let agent = desk.path("agent");
    // Without links that lead out, unless the script says otherwise.
    let links = "case \" $* \" in *' --links '*) echo '{\"links\": []}'; exit;; esac";
    let links = if script.contains("--links") { "" } else { links };
    fs::write(&agent, format!("#!/bin/sh\n{links}\n{script}\n")).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    let (agent, directory) = (desk.text("agent"), desk.text("d"));
    let mut all = vec!["capture", path, "--agent", &agent, "--dir", &directory, "--program"];
    all.extend_from_slice(arguments);
    run(&all)
}

#[test]
fn a_tree_is_taken_with_the_programs_own_globs_and_comments_stay() {
    let desk = Desk::new();
    let mut list = FileList::new();
    list.insert_file(b"bin/\xff\nissuingd", Digest::of(b"1"));
    list.insert_link(b"current", b"bin");
    fs::write(desk.path("list"), list.to_bytes()).unwrap();
    let script = format!("echo \"$@\" > {}; cat {}", desk.text("seen"), desk.text("list"));
    let release = ["issuing-server", "--version", "3.4.2", "--variant", "split"];
    check(&capture(&desk, &script, &release), 0, &["2 entries", "added release 3.4.2 (split)"]);
    assert_eq!(desk.read("seen"), "capture /opt/issuing --exclude=logs/** --exclude=*.tmp\n");
    let name = format!("d/files/{}", list.digest().hex());
    assert_eq!(fs::read(desk.path(&name)).unwrap(), list.to_bytes());
    let baseline = desk.read("d/baseline.toml");
    assert!(baseline.contains("# reviewed on Fridays") && baseline.contains(&list.digest().to_string()), "{baseline}");

    check(&capture(&desk, &script, &release), 0, &["is listed with this tree"]);
    assert_eq!(desk.read("d/baseline.toml"), baseline);

    list.insert_file(b"bin/other", Digest::of(b"2"));
    fs::write(desk.path("list"), list.to_bytes()).unwrap();
    check(&capture(&desk, &script, &release), 1, &["is listed already"]);
    check(&capture(&desk, &script, &["other", "--version", "1.0.0"]), 1, &["no [[program]]"]);
    assert_eq!(desk.read("d/baseline.toml"), baseline);
    assert_eq!(fs::read_dir(desk.path("d/files")).unwrap().count(), 2);
}

#[test]
fn a_release_that_check_would_refuse_is_not_taken() {
    let desk = Desk::new();
    let baseline = desk.read("d/baseline.toml");
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"1"));
    fs::write(desk.path("list"), list.to_bytes()).unwrap();
    let script = format!("cat {}", desk.text("list"));
    let capture = |version, variant, words: &[&str]| {
        let release = ["issuing-server", "--version", version, "--variant", variant];
        check(&capture(&desk, &script, &release), 1, words)
    };
    capture("3.5", "split", &["bad-version", "nothing was taken"]);
    capture("3.5.0", "split build", &["bad-id"]);
    // Another mistake elsewhere is not this release's.
    desk.replace("d/baseline.toml", "heartbeat = \"30s\"", "heartbeat = \"30\"");
    let release = ["issuing-server", "--version", "3.5.0"];
    check(&self::capture(&desk, &script, &release), 0, &["added release 3.5.0"]);
    let taken = desk.read("d/baseline.toml");
    capture("3.5.1", "split", &["ambiguous-tree"]);
    assert_eq!(desk.read("d/baseline.toml"), taken);
    assert!(!baseline.contains("3.5"));
    assert_eq!(fs::read_dir(desk.path("d/files")).unwrap().count(), 2);
}

#[test]
fn an_agent_that_fails_or_writes_something_else_changes_nothing() {
    let desk = Desk::new();
    let baseline = desk.read("d/baseline.toml");
    let release = ["issuing-server", "--version", "3.4.2"];
    for (script, words) in [
        ("echo unreadable >&2; exit 1", "failed"),
        ("true", "no files that count"),
        ("echo tree = 3", "does not write a file list"),
        ("kill -9 $$", "failed"),
    ] {
        check(&capture(&desk, script, &release), 1, &[words]);
    }
    let directory = desk.text("d");
    let file = desk.text("a.pem");
    let arguments = ["capture", &file, "--agent", "/nowhere", "--dir", &directory, "--program"];
    check(&run(&[&arguments[..], &release].concat()), 1, &["a.pem is not a directory"]);
    let arguments = ["capture", "/", "--agent", "/nowhere", "--dir", &directory, "--program"];
    check(&run(&[&arguments[..], &release].concat()), 74, &["/nowhere"]);
    assert_eq!(desk.read("d/baseline.toml"), baseline);
    assert_eq!(fs::read_dir(desk.path("d/files")).unwrap().count(), 1);
}

/// An agent that finds two links, one of them behind the other, until both are followed.
fn agent_with_links(desk: &Desk) -> (String, FileList) {
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"1"));
    list.insert_link(b"modules", b"/opt/shared/modules");
    fs::write(desk.path("list"), list.to_bytes()).unwrap();
    list.insert_file(b"modules///a", Digest::of(b"a"));
    list.insert_link(b"modules///other", b"../other");
    list.insert_file(b"modules///other///c", Digest::of(b"c"));
    fs::write(desk.path("followed"), list.to_bytes()).unwrap();
    let answer = |link: &str| {
        format!("echo '{{\"links\": [{{\"link\": \"{link}\", \"leads_to\": \"/opt/shared\", \"is_text\": true}}]}}'")
    };
    let script = format!(
        "echo \"$@\" >> {}\ncase \" $* \" in\n\
         *'--follow=/modules/other --links '*) echo '{{\"links\": []}}';;\n\
         *'--follow=/modules --links '*) {};;\n\
         *' --links '*) {};;\n\
         *'--follow=/modules/other'*) cat {};;\n\
         *) cat {};;\nesac",
        desk.text("seen"),
        answer("modules/other"),
        answer("modules"),
        desk.text("followed"),
        desk.text("list")
    );
    (script, list)
}

#[test]
fn links_that_lead_out_are_followed_under_schema_2_and_told() {
    let desk = Desk::new();
    desk.replace("d/baseline.toml", "schema = 1", "schema = 2");
    let (script, followed) = agent_with_links(&desk);
    let release = ["issuing-server", "--version", "3.4.2"];
    let said = ["\"modules\" leads out", "\"modules/other\" leads out", "exclude", "added release 3.4.2", "5 entries"];
    check(&capture(&desk, &script, &release), 0, &said);
    let baseline = desk.read("d/baseline.toml");
    assert!(baseline.contains("# reviewed on Fridays"), "{baseline}");
    assert!(baseline.contains("follow = [\"/modules\", \"/modules/other\"]"), "{baseline}");
    assert!(baseline.contains(&followed.digest().to_string()), "{baseline}");

    // What is followed already is not told again; a release from before is.
    let said = check(&capture(&desk, &script, &release), 0, &["is listed with this tree"]);
    assert!(!said.contains("leads out"), "{said}");
    let before = FileList::parse(&fs::read(desk.path("list")).unwrap()).unwrap();
    fs::write(desk.path(&format!("d/files/{}", before.digest().hex())), before.to_bytes()).unwrap();
    desk.replace("d/baseline.toml", &followed.digest().to_string(), &before.digest().to_string());
    desk.replace("d/baseline.toml", "follow = [\"/modules\", \"/modules/other\"]\n", "");
    let release = ["issuing-server", "--version", "3.4.3"];
    let said = check(&capture(&desk, &script, &release), 0, &["Release 3.4.2 has this link", "capture it again"]);
    assert!(!said.contains("Release 3.4.1"), "{said}");
}

#[test]
fn links_that_lead_out_are_told_under_schema_1_and_nothing_else_changes() {
    let desk = Desk::new();
    let (script, _) = agent_with_links(&desk);
    let release = ["issuing-server", "--version", "3.4.2"];
    check(&capture(&desk, &script, &release), 0, &["\"modules\" leads out", "does not count", "2 entries"]);
    assert!(!desk.read("d/baseline.toml").contains("follow"));
    assert!(!desk.read("seen").contains("--follow"));
}

#[test]
fn an_agent_that_does_not_tell_links_changes_nothing() {
    let desk = Desk::new();
    let baseline = desk.read("d/baseline.toml");
    let release = ["issuing-server", "--version", "3.4.2"];
    for (script, words) in [
        ("case \"$*\" in *--links) exit 64;; *) echo;; esac", "failed"),
        ("case \"$*\" in *--links) echo tree;; *) echo;; esac", "does not tell which links lead out"),
    ] {
        check(&capture(&desk, script, &release), 1, &[words]);
    }
    desk.replace("d/baseline.toml", "schema = 1", "schema = 2");
    let endless = "case \"$*\" in *--links) echo \"{\\\"links\\\": [{\\\"link\\\": \\\"$#\\\", \\\"leads_to\\\": \\\"/\\\", \\\"is_text\\\": true}]}\";; esac";
    check(&capture(&desk, endless, &release), 1, &["exclude some of them"]);
    assert_eq!(desk.read("d/baseline.toml"), baseline.replace("schema = 1", "schema = 2"));
}

#[test]
fn a_link_that_cannot_be_followed_is_told_and_the_tree_is_taken_without() {
    let desk = Desk::new();
    desk.replace("d/baseline.toml", "schema = 1", "schema = 2");
    let mut list = FileList::new();
    list.insert_file(b"bin/issuingd", Digest::of(b"1"));
    fs::write(desk.path("list"), list.to_bytes()).unwrap();
    let link = |link: &str, to: &str| format!("{{\"link\": \"{link}\", \"leads_to\": \"{to}\", \"is_text\": true}}");
    let links = [link("access.log", "/dev/stdout"), link("module", "/opt/shared"), link("up", "/")].join(", ");
    let rest = [link("access.log", "/dev/stdout"), link("up", "/")].join(", ");
    // As an agent refuses a tree with a device in it.
    let script = format!(
        "case \"$* \" in *--follow=/access.log*) echo special >&2; exit 1;; esac\n\
         case \"$* \" in *'--follow=/module '*' --links '*|*'--follow=/module --links '*) echo '{{\"links\": [{rest}]}}'; exit;;\n\
         *' --links '*) echo '{{\"links\": [{links}]}}'; exit;; esac\ncat {}",
        desk.text("list")
    );
    let release = ["issuing-server", "--version", "3.4.2"];
    let said = [
        "\"access.log\" leads out of the tree, to \"/dev/stdout\", and what lies there does not count. It cannot",
        "\"module\" leads out of the tree, to \"/opt/shared\". It is in `follow`",
        "\"up\" leads out of the tree, to \"/\", and what lies there does not count. The tree itself",
        "added release 3.4.2",
    ];
    let text = check(&capture_at(&desk, &script, &desk.text("d"), &release), 0, &said);
    assert_eq!(text.matches("leads out").count(), 3, "each once: {text}");
    assert!(desk.read("d/baseline.toml").contains("follow = [\"/module\"]"));
}
