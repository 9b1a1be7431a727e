//! Releases with patches: exact fingerprints decide.

use std::collections::BTreeMap;

use manifests::reference::{Reference, ReferenceError};
use manifests::source;

use crate::{check, fleet};

#[test]
fn a_release_with_a_patch_is_that_release_and_carries_what_the_patch_brings() {
    check("", "tree issuing-server = 3.4.1+HF-0042", "FIX-2019-0007 applied");
    check("", "tree issuing-server = 3.4.1+HF-0042", "issuing-server applied");
    check("", "tree issuing-server = 3.4.1+HF-0043", "issuing-server applied");
    check("", "tree issuing-server = 3.4.1+HF-0043", "FIX-2019-0007 missing: fix-missing");
    check("", "tree issuing-server = 3.4.1+HF-0044+HF-0043", "issuing-server applied");
}

#[test]
fn half_a_patch_or_one_over_another_release_is_altered() {
    check("", "tree issuing-server = 3.4.1+half-HF-0042", "issuing-server altered: altered");
    check("", "tree issuing-server = 3.4.1+half-HF-0042", "FIX-2019-0007 altered: altered");
    check("", "tree issuing-server = 3.4.2-split+HF-0042", "issuing-server altered: altered");
}

#[test]
fn of_two_patches_that_contradict_each_other_only_the_one_that_is_there_counts() {
    // HF-0043's print queue with HF-0042's net module: that is HF-0043 and HF-0044.
    check("", "tree issuing-server = 3.4.1+HF-0042+HF-0043", "FIX-2019-0007 missing: fix-missing");
    check("", "tree issuing-server = 3.4.1+HF-0042+HF-0043", "issuing-server applied");
}

#[test]
fn a_patch_that_is_part_of_another_counts_as_well() {
    let needs_44 = "or_patch = \"HF-0042\" => or_patch = \"HF-0044\"";
    check(needs_44, "tree issuing-server = 3.4.1+HF-0042", "FIX-2019-0007 applied");
    check(needs_44, "tree issuing-server = 3.4.1+HF-0043", "FIX-2019-0007 missing: fix-missing");
}

#[test]
fn a_patched_tree_that_a_known_bad_release_makes_as_well_is_known_bad() {
    let text = format!(
        "schema = 1\nproduct = \"p\"\nversion = \"1.0.0\"\n[[program]]\nid = \"a\"\nroot = \"/a\"\n\
         [[program.release]]\nversion = \"1.0.0\"\ntree = \"@1.0.0@\"\n\
         [[program.release]]\nversion = \"2.0.0\"\ntree = \"{}\"\ndenied = \"bad\"\n\
         [[program.patch]]\nid = \"P1\"\nover = [\"1.0.0\"]\nreplaces = {{ \"lib/net.so\" = \"@net@\" }}\n\
         [[program.patch]]\nid = \"P2\"\nover = [\"2.0.0\"]\nreplaces = {{ \"lib/net.so\" = \"@net@\" }}\n",
        bad().digest()
    );
    let baseline = source::baseline(&fleet::filled(&text)).unwrap();
    let lists = [fleet::tree("1.0.0"), bad()].map(|list| (list.digest(), list)).into();
    let reference = Reference::new(baseline, fleet::digest("x"), &lists).unwrap();
    let mut patched = bad();
    patched.insert_file(b"lib/net.so", fleet::digest("net"));
    let recognized = reference.recognize(&fleet::item("a"), &patched.digest()).unwrap();
    assert!(recognized.release.denied.is_some());
}

fn bad() -> manifests::tree::FileList {
    let mut list = fleet::tree("1.0.0");
    list.insert_file(b"lib/net.so", fleet::digest("bad net"));
    list
}

#[test]
fn a_reference_is_not_made_from_lists_that_do_not_fit() {
    let make = |text: &str, lists: &BTreeMap<_, _>| {
        let baseline = source::baseline(&fleet::filled(&text.replace("`@name@`", ""))).unwrap();
        Reference::new(baseline, fleet::digest("x"), lists).map(|_| ()).unwrap_err()
    };
    let list = fleet::tree("3.4.1");
    let digest = list.digest();
    assert!(
        matches!(make(fleet::BASELINE, &BTreeMap::new()), ReferenceError::ListMissing { list, .. } if list == digest)
    );
    let other = BTreeMap::from([(digest, fleet::tree("3.3.0"))]);
    assert!(
        matches!(make(fleet::BASELINE, &other), ReferenceError::ListDiffers { found, .. } if found == fleet::digest("3.3.0"))
    );
    let good = BTreeMap::from([(digest, list)]);
    let no_such_path = fleet::BASELINE.replace("lib/net.so\" = \"@net@\" }", "lib/new.so\" = \"@net@\" }");
    assert!(matches!(make(&no_such_path, &good), ReferenceError::PathMissing { path, .. } if path == "lib/new.so"));
    let patch = |n: usize| {
        format!(
            "[[program.patch]]\nid = \"HF-1{n}\"\nover = [\"3.4.1\"]\nreplaces = {{ \"lib/net.so\" = \"@n{n}@\" }}\n"
        )
    };
    let many: String = (0..6).map(patch).collect();
    let many = fleet::BASELINE.replacen(
        "\n[[program]]\nid = \"db-tools\"",
        &format!("{many}\n[[program]]\nid = \"db-tools\""),
        1,
    );
    assert!(matches!(make(&many, &good), ReferenceError::TooManyPatches { count: 9, .. }));
}

#[test]
fn only_lists_of_releases_that_a_patch_goes_over_are_needed() {
    let reference = fleet::reference(fleet::BASELINE);
    assert_eq!(Reference::lists_needed(reference.baseline()), [fleet::digest("3.4.1")]);
}
