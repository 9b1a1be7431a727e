//! What is remembered of files never outlives the file system it was read from.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/baseline.rs"]
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use agent::collect::{Collector, Limits};
use manifests::baseline::Baseline;
use manifests::evidence::TreeSeen;
use namespace::{done, inside};
use support::baseline;

const FILES: usize = 200;
const FILE_BYTES: usize = 16 << 10;

fn program(root: &Path) -> Baseline {
    baseline(&format!(
        "[[program]]\nid = \"server\"\nroot = {root:?}\nenforce = \"hold\"\nowner = \"o\"\n\
         remediation = {{ en = \"r\" }}\n[[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n"
    ))
}

fn tree(collector: &mut Collector, root: &Path) -> TreeSeen {
    let pass = collector.pass(&program(root), None, &Limits::default(), &|| {});
    pass.state.programs[&"server".parse().unwrap()].tree.clone()
}

/// Bytes that this process has read so far, from whatever.
fn read_so_far() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// Two images whose files have the same names, inodes, sizes and times, and other contents. False where
/// they cannot be made.
fn images(base: &Path) -> bool {
    let source = base.join("source");
    fs::create_dir(&source).unwrap();
    for at in 0..FILES {
        fs::write(source.join(format!("m{at}")), "content-good".repeat(FILE_BYTES / 12)).unwrap();
    }
    let image = base.join("a.img").display().to_string();
    if !done("mkfs.ext4", &["-q", "-d", &source.display().to_string(), &image, "16M"]) {
        return false;
    }
    // Long settled: what was changed just now is read again in any case.
    let times = (0..FILES).flat_map(|at| [format!("sif /m{at} ctime 20230401"), format!("sif /m{at} ctime_extra 0")]);
    fs::write(base.join("times"), times.collect::<Vec<_>>().join("\n")).unwrap();
    if !done("debugfs", &["-w", "-f", &base.join("times").display().to_string(), &image]) {
        return false;
    }
    let good = fs::read(base.join("a.img")).unwrap();
    let mut evil = good.clone();
    let mut at = 0;
    while let Some(found) = good[at..].windows(12).position(|bytes| bytes == b"content-good") {
        evil[at + found..at + found + 12].copy_from_slice(b"content-evil");
        at += found + 12;
    }
    fs::write(base.join("b.img"), evil).unwrap();
    true
}

#[test]
fn an_image_exchanged_for_one_of_the_same_stamps_is_read_again_and_a_mount_elsewhere_reads_nothing() {
    if !inside("an_image_exchanged_for_one_of_the_same_stamps_is_read_again_and_a_mount_elsewhere_reads_nothing") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().canonicalize().unwrap();
    let (root, elsewhere) = (base.join("root"), base.join("elsewhere"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    let text = |path: &Path| path.display().to_string();
    let mount = |image: &str| done("mount", &["-o", "loop,ro", &text(&base.join(image)), &text(&root)]);
    let unmount = |path: &Path| assert!(done("umount", &[&text(path)]));
    if !images(&base) || !mount("a.img") {
        eprintln!("skipped: no image can be made or mounted here");
        return;
    }
    let stamps = || {
        let metadata = fs::metadata(root.join("m7")).unwrap();
        (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.ctime(), metadata.ctime_nsec())
    };
    let before = stamps();
    let mut collector = Collector::new([7; 32], None);
    let good = tree(&mut collector, &root);
    assert!(matches!(good, TreeSeen::Digest(_)));

    // Elsewhere, and at the same place as before: the same file system is still there.
    let passes: [(&str, &dyn Fn()); 3] = [
        ("nothing", &|| {}),
        ("a mount elsewhere", &|| assert!(done("mount", &["-t", "tmpfs", "none", &text(&elsewhere)]))),
        ("its end", &|| unmount(&elsewhere)),
    ];
    for (what, happen) in passes {
        happen();
        let so_far = read_so_far();
        assert_eq!(tree(&mut collector, &root), good);
        // One file in a hundred is read in every pass, whatever happened.
        let read = read_so_far() - so_far;
        assert!(read < (FILES * FILE_BYTES / 4) as u64, "after {what}: {read} bytes were read");
    }

    unmount(&root);
    assert!(mount("b.img"));
    if stamps() == before {
        assert_ne!(tree(&mut collector, &root), good);
    } else {
        eprintln!("skipped: the device number was not used again, {before:?} is now {:?}", stamps());
    }
    // And back, in which the first content is right again.
    unmount(&root);
    assert!(mount("a.img"));
    assert_eq!(tree(&mut collector, &root), good);
    unmount(&root);
}
