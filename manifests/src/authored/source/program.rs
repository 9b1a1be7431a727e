//! `[[program]]`, its releases and patches, key by key.

use std::collections::BTreeMap;
use std::path::Path;

use super::condition::condition;
use super::item::{about, concerns};
use super::names::Scope;
use super::reader::{Node, Table, tables};
use super::sheet::printable;
use super::text::{
    SCHEMES, absolute_path, any_id, digest, executable, glob, globs, item_id, label, layer, prose, relative_path_fault,
    set, version,
};
use super::{GLOBS_MAX, LIST_MAX};
use crate::baseline::{Patch, Process, Program, Release};
use crate::digest::Digest;
use crate::exclude::Globs;
use crate::id::ItemId;
use crate::version::{Scheme, Version};

/// The most files that a patch may replace.
pub(super) const REPLACED_MAX: usize = 100_000;

/// The most paths and patterns of files that a program loads from elsewhere.
pub(super) const LOADS_MAX: usize = 1000;

/// One program.
pub(super) fn program(t: &mut Table<'_>, scope: &Scope) -> Option<Program> {
    let id = t.required("id", |n| item_id(&n));
    let root = t.required("root", |n| absolute_path(&n));
    let exclude = t.optional("exclude", globs).or_else(|| Globs::new(Vec::new()).ok());
    let follow = t.optional_since(2, "follow", follow).or_else(|| Globs::new(Vec::new()).ok());
    let loads =
        t.optional_since(2, "loads", |n| set(&n, LOADS_MAX, |n| loaded(n, root.as_deref()))).unwrap_or_default();
    let process = t.optional("process", process);
    let expect_running = t.optional_since(2, "expect_running", |n| n.boolean()).unwrap_or_default();
    if expect_running && !t.has("process") {
        t.refuse_key("expect_running", "no-process", "without `process` nobody looks whether the program runs");
    }
    // What is not read of the tree cannot be compared with what runs.
    let exe = process.as_ref().and_then(|process| match root.as_deref() {
        _ if !process.exe.starts_with('/') => Some(process.exe.as_str()),
        Some(root) => process.exe.strip_prefix(root)?.strip_prefix('/'),
        None => None,
    });
    if exe.zip(exclude.as_ref()).is_some_and(|(exe, globs)| globs.hides(Path::new(exe))) {
        t.refuse_key("process", "exclude-covers", "`exclude` leaves the executable out, so that it is never judged");
    }
    let concerns = concerns(t, scope);
    let scheme_given = t.has("scheme");
    let scheme = t.optional("scheme", |n| n.word(&SCHEMES)).or((!scheme_given).then_some(Scheme::Semver));

    let mut trees = BTreeMap::new();
    let listed = t.count("release");
    let releases = tables(t, "release", |t| release(t, scope, scheme, &mut trees));
    if listed == Some(0) {
        t.refuse_absent(
            &["release"],
            "missing-key",
            "`release` is missing: no tree is admitted",
            "[[program.release]]",
        );
    }
    // With a release that could not be read, a version may well be listed.
    let versions = (listed == Some(releases.len())).then(|| releases.iter().map(|release| &release.version));
    let versions: Option<Vec<&Version>> = versions.map(Iterator::collect);
    let patches = tables(t, "patch", |t| patch(t, scheme, versions.as_deref(), exclude.as_ref()));
    let about = about(t);
    let (id, root, exclude, follow, scheme) = (id?, root?, exclude?, follow?, scheme?);
    Some(Program {
        id,
        root,
        exclude,
        follow,
        loads,
        process,
        expect_running,
        concerns,
        scheme,
        releases,
        patches,
        about,
    })
}

// Unlike `exclude` it may name everything: what is not a link that leads out is not concerned.
fn follow(node: Node<'_>) -> Option<Globs> {
    let sources = node.list(GLOBS_MAX, glob)?;
    match Globs::new(sources) {
        Ok(globs) => Some(globs),
        Err((_, error)) => node.refuse("bad-glob", printable(&error)),
    }
}

// What lies below the root counts by itself.
fn loaded(node: Node<'_>, root: Option<&str>) -> Option<String> {
    let path = layer(node.clone())?;
    let is_inside = root.and_then(|root| path.strip_prefix(root)).is_some_and(|rest| rest.starts_with('/'));
    if is_inside { node.refuse("bad-path", "lies below the root, where everything counts already") } else { Some(path) }
}

fn process(node: Node<'_>) -> Option<Process> {
    node.table(|t| {
        let exe = t.required("exe", executable);
        let args = t.optional("args", glob);
        let listens = t.optional("listens", label);
        Some(Process { exe: exe?, args, listens })
    })
}

fn release(
    t: &mut Table<'_>,
    scope: &Scope,
    scheme: Option<Scheme>,
    trees: &mut BTreeMap<Digest, u32>,
) -> Option<Release> {
    let version = t.required("version", |n| version(&n, scheme));
    let variant = t.optional("variant", |n| any_id::<ItemId>(n).map(|id| id.to_string()));
    let when = t.optional("when", |n| condition(&n, scope));
    let tree = t.required("tree", |n| {
        let tree = digest(n.clone())?;
        match trees.insert(tree, n.line_of(n.offset())) {
            None => Some(tree),
            // A tree that is two releases is neither: the digest could not say which is installed.
            Some(line) => n.refuse("ambiguous-tree", format!("the release with the tree of line {line} has the same")),
        }
    });
    let denied = t.optional("denied", prose);
    Some(Release { version: version?, variant, when, tree: tree?, denied })
}

fn patch(
    t: &mut Table<'_>,
    scheme: Option<Scheme>,
    versions: Option<&[&Version]>,
    exclude: Option<&Globs>,
) -> Option<Patch> {
    let id = t.required("id", |n| item_id(&n));
    let over = t.required("over", |n| {
        n.list(LIST_MAX, |n| {
            let over = version(&n, scheme)?;
            if versions.is_none_or(|versions| versions.contains(&&over)) {
                Some(over)
            } else {
                let message = format!("no release of this program has version {over}");
                n.refuse_dangling("dangling-release", message, Some("list the release that the patch goes over".into()))
            }
        })
    });
    let replaces = t.required("replaces", |n| {
        n.entries(REPLACED_MAX, |path, n| match relative_path_fault(path) {
            Some(fault) => n.refuse("bad-path", format!("`{}`: {fault}", printable(path))),
            None if exclude.is_some_and(|globs| globs.hides(Path::new(path))) => {
                let message = format!("`exclude` leaves `{}` out: nobody could see this patch", printable(path));
                n.refuse("exclude-covers", message)
            }
            None => Some((path.to_owned(), digest(n)?)),
        })
    });
    Some(Patch { id: id?, over: over?, replaces: replaces?.into_iter().collect() })
}
