//! Trees: the digest that anybody can make with coreutils, and what is no part of one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use agent::collect::{CaptureError, Collector, Limits, Scope};
use manifests::evidence::{FindingKind, ProgramSeen, State, TreeSeen, Why};
use manifests::exclude::Globs;
use manifests::tree::FileList;
use support::baseline;

fn globs(sources: &[&str]) -> Globs {
    Globs::new(sources.iter().map(|source| (*source).to_owned()).collect()).unwrap()
}

fn capture(root: &Path, exclude: &Globs) -> Result<FileList, CaptureError> {
    Ok(agent::collect::capture(root, &Scope::new(exclude))?.list)
}

/// The file list by the commands of the documentation.
fn by_coreutils(root: &Path, patterns: &[&str]) -> Vec<u8> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tree-digest.sh");
    let output = Command::new("bash").arg(script).arg(root).args(patterns).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn check_same(root: &Path, exclude: &[&str], patterns: &[&str]) {
    let ours = capture(root, &globs(exclude)).unwrap().to_bytes();
    let theirs = by_coreutils(root, patterns);
    let first = ours.split(|b| *b == b'\n').zip(theirs.split(|b| *b == b'\n')).find(|(a, b)| a != b);
    let shown = first.map(|(a, b)| (String::from_utf8_lossy(a).into_owned(), String::from_utf8_lossy(b).into_owned()));
    assert!(ours == theirs, "first difference (ours, theirs): {shown:?}");
}

/// Names that break tools.
const NAMES: &[&[u8]] = &[
    b"plain",
    b"new\nline",
    b"back\\slash",
    b"carriage\rreturn",
    b"all\\\n\rthree",
    b"\\n",
    b"trailing ->",
    b"trailing  ",
    b" leading",
    b"-dash",
    b"--zero",
    b"-",
    b"*",
    b"a'b\"c$d`e",
    b"\xff\xfe\x80",
    "日本語".as_bytes(),
    b"tab\tand\x1b[31mescape",
    b"sorts",
    b"sorts.after",
    b"sorts-after",
];

fn odd_tree(root: &Path) {
    for directory in ["bin", "lib/deep", "logs/old", "empty", "sorts-dir"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for name in NAMES {
        for directory in ["", "lib/deep"] {
            fs::write(root.join(directory).join(OsStr::from_bytes(name)), name).unwrap();
        }
    }
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("bin/large"), vec![7; 300_000]).unwrap();
    fs::write(root.join("logs/a.log"), "a").unwrap();
    fs::write(root.join("logs/old/b.log"), "b").unwrap();
    symlink("lib", root.join("to-directory")).unwrap();
    symlink("bin/large", root.join("to-file")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    symlink("ends in a line end\n", root.join("link\nwith\\odd")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("..", root.join("lib/up")).unwrap();
}

#[test]
fn the_commands_of_the_documentation_give_the_same_digest() {
    let directory = tempfile::tempdir().unwrap();
    odd_tree(directory.path());
    check_same(directory.path(), &[], &[]);
    check_same(directory.path(), &["logs/**"], &["./logs/*"]);
    check_same(directory.path(), &["/lib"], &["./lib"]);
    check_same(&directory.path().join("empty"), &[], &[]);
}

#[test]
fn the_commands_give_the_same_digest_for_usr_share() {
    check_same(Path::new("/usr/share"), &[], &[]);
}

#[test]
fn modes_owners_times_and_empty_directories_do_not_count() {
    let directory = tempfile::tempdir().unwrap();
    odd_tree(directory.path());
    let before = capture(directory.path(), &globs(&[])).unwrap().digest();
    fs::set_permissions(directory.path().join("plain"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::File::open(directory.path().join("nothing")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::create_dir(directory.path().join("another")).unwrap();
    assert_eq!(capture(directory.path(), &globs(&[])).unwrap().digest(), before);
    fs::write(directory.path().join("another/file"), "").unwrap();
    assert_ne!(capture(directory.path(), &globs(&[])).unwrap().digest(), before);
}

#[test]
fn a_release_with_something_special_is_not_captured() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "").unwrap();
    let _listener = UnixListener::bind(directory.path().join("socket")).unwrap();
    let error = capture(directory.path(), &globs(&[])).unwrap_err();
    assert!(matches!(&error, CaptureError::Special { path } if path.ends_with("socket")), "{error}");
    assert!(capture(directory.path(), &globs(&["socket"])).is_ok());
    let error = capture(Path::new("/nonexistent"), &globs(&[])).unwrap_err();
    assert!(matches!(error, CaptureError::Unread { why: Why::FileAbsent, .. }), "{error}");
}

fn program(root: &Path, more: &str) -> String {
    format!(
        "[[program]]\nid = \"server\"\nroot = \"{}\"\nenforce = \"hold\"\nowner = \"o\"\n\
         remediation = {{ en = \"r\" }}\n{more}\n[[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n",
        root.display()
    )
}

fn look(collector: &mut Collector, root: &Path, more: &str, limits: &Limits) -> (ProgramSeen, State) {
    let pass = collector.pass(&baseline(&program(root, more)), None, limits, &|| {});
    (pass.state.programs[&"server".parse().unwrap()].clone(), pass.state)
}

#[test]
fn a_pass_has_the_digest_of_the_capture_and_its_list() {
    let directory = tempfile::tempdir().unwrap();
    odd_tree(directory.path());
    let captured = capture(directory.path(), &globs(&["logs/**"])).unwrap();
    let baseline = baseline(&program(directory.path(), "exclude = [\"logs/**\"]"));
    let mut collector = Collector::new([7; 32], None);
    let first = collector.pass(&baseline, None, &Limits::default(), &|| {});
    assert_eq!(first.state.programs[&"server".parse().unwrap()].tree, TreeSeen::Digest(captured.digest()));
    assert_eq!(*first.lists[&captured.digest()], captured.to_bytes());
    assert_eq!(first.state.coverage, []);
    let second = collector.pass(&baseline, None, &Limits::default(), &|| {});
    assert_eq!(second.state.digest(), first.state.digest());
    // Another collector knows nothing from before.
    let other = Collector::new([7; 32], None).pass(&baseline, None, &Limits::default(), &|| {});
    assert_eq!(other.state.digest(), first.state.digest());
}

#[test]
fn every_change_of_content_is_seen_also_one_that_hides_its_size_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("module");
    let mut collector = Collector::new([7; 32], None);
    let mut seen = std::collections::BTreeSet::new();
    for content in ["aaaa", "bbbb", "cccc"] {
        fs::write(&file, content).unwrap();
        fs::File::open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let (program, _) = look(&mut collector, directory.path(), "", &Limits::default());
        assert!(matches!(program.tree, TreeSeen::Digest(digest) if seen.insert(digest)), "{content}");
    }
}

#[test]
fn odd_entries_are_findings_and_never_opened() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("plain"), "x").unwrap();
    let (before, _) = look(&mut Collector::new([7; 32], None), root, "", &Limits::default());
    // Opening this for reading would wait for ever.
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    let _listener = UnixListener::bind(root.join("socket")).unwrap();
    fs::set_permissions(root.join("plain"), fs::Permissions::from_mode(0o666)).unwrap();
    let (program, state) = look(&mut Collector::new([7; 32], None), root, "", &Limits::default());
    let findings: Vec<_> = program.findings.iter().map(|f| (f.path.as_str(), f.kind)).collect();
    let expected = [
        ("pipe", FindingKind::SpecialFile),
        ("plain", FindingKind::WorldWritable),
        ("socket", FindingKind::SpecialFile),
    ];
    assert_eq!(findings, expected);
    assert_eq!(program.tree, before.tree);
    assert_eq!(state.coverage, []);
}

#[test]
fn what_exceeds_a_limit_is_unknown_and_never_left_out() {
    let directory = tempfile::tempdir().unwrap();
    odd_tree(directory.path());
    let fine = Limits::default();
    let cases = [
        (Limits { tree_entries_max: 10, ..fine }, Why::TooLarge),
        (Limits { file_bytes_max: 1000, ..fine }, Why::TooLarge),
        (Limits { pass_time: std::time::Duration::ZERO, ..fine }, Why::TimedOut),
    ];
    for (limits, why) in cases {
        let (program, state) = look(&mut Collector::new([7; 32], None), directory.path(), "", &limits);
        assert_eq!(program.tree, TreeSeen::Unknown(why), "{limits:?}");
        assert!(state.coverage.iter().any(|gap| gap.why == why), "{:?}", state.coverage);
    }
    // A hole of a terabyte costs no reading.
    let sparse = fs::File::create(directory.path().join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let (program, state) = look(&mut Collector::new([7; 32], None), directory.path(), "", &fine);
    assert_eq!(program.tree, TreeSeen::Unknown(Why::TooLarge));
    assert!(state.coverage.iter().any(|gap| gap.what.ends_with("/sparse")), "{:?}", state.coverage);
}

#[test]
fn a_root_may_be_reached_through_links_and_may_be_missing() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("issuing-1")).unwrap();
    fs::write(root.join("issuing-1/a"), "1").unwrap();
    symlink("issuing-1", root.join("issuing")).unwrap();
    let mut collector = Collector::new([7; 32], None);
    let direct = look(&mut collector, &root.join("issuing-1"), "", &Limits::default()).0.tree;
    assert_eq!(look(&mut collector, &root.join("issuing"), "", &Limits::default()).0.tree, direct);
    assert_eq!(look(&mut collector, &root.join("none"), "", &Limits::default()).0.tree, TreeSeen::Absent);
    let file = look(&mut collector, &root.join("issuing-1/a"), "", &Limits::default()).0.tree;
    assert_eq!(file, TreeSeen::Unknown(Why::NotAFile));
}

#[test]
fn a_prefix_is_put_before_paths_and_is_not_in_evidence() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join("opt/issuing")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("opt/issuing/a"), "1").unwrap();
    fs::write(root.join("etc/print.ini"), "[queue\n").unwrap();
    let config = "[[config]]\nid = \"print\"\nfiles = [\"/etc/*.ini\"]\nformat = \"ini\"\n";
    let baseline = baseline(&format!("{config}{}", program(Path::new("/opt/issuing"), "")));
    let pass = Collector::new([7; 32], Some(root.to_owned())).pass(&baseline, None, &Limits::default(), &|| {});
    let expected = capture(&root.join("opt/issuing"), &globs(&[])).unwrap().digest();
    assert_eq!(pass.state.programs[&"server".parse().unwrap()].tree, TreeSeen::Digest(expected));
    assert_eq!(pass.configs[&"print".parse().unwrap()].layers[0].file, "/etc/print.ini");
    let text = serde_json::to_string(&(&pass.state, &pass.configs)).unwrap();
    assert!(text.contains("/etc/print.ini") && !text.contains(root.to_str().unwrap()), "{text}");
}

#[test]
fn a_tree_that_changes_all_the_time_never_gives_a_digest_of_a_mixture() {
    // Two contents take turns under one name. Whatever a pass says, it is one of the two.
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tree");
    fs::create_dir(&root).unwrap();
    let mut whole = std::collections::BTreeSet::new();
    for content in [vec![b'a'; 200_000], vec![b'b'; 200_000]] {
        fs::write(root.join("module"), &content).unwrap();
        whole.insert(capture(&root, &globs(&[])).unwrap().digest());
    }
    // Looked at first and asserted afterwards: a failure must not leave the other thread running.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut seen = Vec::new();
    let baseline = baseline(&program(&root, ""));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0u64.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let next = directory.path().join("next");
                fs::write(&next, vec![if turn % 2 == 0 { b'a' } else { b'b' }; 200_000]).unwrap();
                fs::rename(&next, root.join("module")).unwrap();
            }
        });
        let mut collector = Collector::new([7; 32], None);
        for _ in 0..50 {
            let pass = collector.pass(&baseline, None, &Limits::default(), &|| {});
            seen.push(pass.state.programs[&"server".parse().unwrap()].tree.clone());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for tree in seen {
        match tree {
            TreeSeen::Digest(digest) => assert!(whole.contains(&digest)),
            TreeSeen::Unknown(why) => assert_eq!(why, Why::Changing),
            TreeSeen::Absent => panic!("the tree is there"),
        }
    }
}
