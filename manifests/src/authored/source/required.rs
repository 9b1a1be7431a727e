//! `[[fix]]` and what it requires, key by key.

use super::LIST_MAX;
use super::item::{about, concerns};
use super::names::{Kind, Scope};
use super::reader::{Node, Table};
use super::sheet::printable;
use super::text::{absolute_path, digest, item_id, prose, range, set, version};
use crate::baseline::{Fix, Requirement, Requires};
use crate::id::ItemId;
use crate::version::Scheme;

/// The most requirements of one fix.
pub(super) const REQUIREMENTS_MAX: usize = 1000;

const DATABASES: [(&str, Scheme); 2] = [("dpkg", Scheme::Dpkg), ("rpm", Scheme::Rpm)];

/// One fix.
pub(super) fn fix(t: &mut Table<'_>, scope: &Scope) -> Option<Fix> {
    t.keep_place();
    let id = t.required("id", |n| item_id(&n));
    let concerns = concerns(t, scope);
    let triggered_by = t.optional("triggered_by", prose);
    let requires = match t.exactly_one(&["requires", "no_fix_yet"]) {
        Some("no_fix_yet") => t.required("no_fix_yet", no_fix_yet),
        Some(_) => t.required("requires", |n| n.list(REQUIREMENTS_MAX, |n| requirement(&n, scope))).map(Requires::All),
        None => None,
    };
    let required_from = t.optional("required_from", |n| n.time());
    let touches_nobody = t.optional("touches_nobody", prose);
    let about = about(t);
    Some(Fix { id: id?, concerns, triggered_by, requires: requires?, required_from, touches_nobody, about })
}

fn no_fix_yet(node: Node<'_>) -> Option<Requires> {
    node.table(|t| {
        let due = t.required("due", |n| n.time());
        let compensating = t.required("compensating", prose);
        Some(Requires::NoFixYet { due: due?, compensating: compensating? })
    })
}

fn requirement(node: &Node<'_>, scope: &Scope) -> Option<Requirement> {
    node.table(|t| match t.branch(&["program", "file", "package", "setting"])? {
        "program" => {
            let program = t.required("program", scope.names.of(Kind::Program));
            let named = program.as_ref().and_then(|id| scope.names.named(&[Kind::Program], id));
            let scheme = named.and_then(|(_, named)| named.scheme);
            // Of a program that is not there nothing is known, not even how its versions are written.
            let fixed_in = t.required("fixed_in", |n| range(&n, scheme));
            let or_patch = t.optional("or_patch", |n| patch_of(&n, scope, program.as_ref()));
            Some(Requirement::Program { program: program?, fixed_in: fixed_in?, or_patch })
        }
        "file" => {
            let path = t.required("file", |n| absolute_path(&n));
            let sha256 = t.required("sha256", |n| set(&n, LIST_MAX, digest));
            Some(Requirement::File { path: path?, sha256: sha256? })
        }
        "package" => {
            let package = t.required("package", package_name);
            let database_given = t.has("database");
            let scheme = t.required("database", |n| n.word(&DATABASES));
            let at_least = t.required("at_least", |n| version(&n, scheme.filter(|_| database_given)));
            Some(Requirement::Package { package: package?, at_least: at_least? })
        }
        _ => t.required("setting", scope.names.of(Kind::Setting)).map(Requirement::Setting),
    })
}

fn patch_of(node: &Node<'_>, scope: &Scope, program: Option<&ItemId>) -> Option<ItemId> {
    let patch = scope.names.of(Kind::Patch)(node.clone())?;
    let (_, named) = scope.names.named(&[Kind::Patch], &patch)?;
    match (&named.program, program) {
        (Some(owner), Some(program)) if owner != program.as_str() => {
            node.refuse("dangling-patch", format!("`{patch}` is a patch of `{}`, not of `{program}`", printable(owner)))
        }
        _ => Some(patch),
    }
}

// Debian allows `a-z 0-9 + - .`, RPM also capitals and `_`; both begin with a letter or digit, or `_`.
fn package_name(node: Node<'_>) -> Option<String> {
    const BYTES_MAX: usize = 256;
    let text = node.text("a package's name in quotes")?;
    let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_'))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= BYTES_MAX;
    if is_name {
        Some(text.to_owned())
    } else {
        node.refuse("bad-id", format!("`{}` is no package name", printable(text)))
    }
}
