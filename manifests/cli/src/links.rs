//! Links of signed releases that lead out of their tree.
//!
//! A file list has the digest of a link's target, not the target. What a link inside of the tree may say
//! can be listed: the way from it to each entry and directory. A link that says none of these leads out,
//! or nowhere. What lies behind a link that is followed is in the list itself, and nothing is said of the links
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use manifests::baseline::Program;
use manifests::digest::Digest;
use manifests::tree::{FOLLOWED, FileList};

/// The most targets that are tried for one list; with more links than that nothing is said of the rest.
const TARGETS_MAX: usize = 4_000_000;
/// The most links that are named for one release.
const NAMED_MAX: usize = 5;

/// What to say of the links of a release whose list this is.
pub(crate) fn warning(program: &Program, version: &str, list: &FileList) -> Option<String> {
    let is_counted = |link: &[u8]| {
        let behind = [link, FOLLOWED].concat();
        list.entries().any(|(path, _)| path.starts_with(&behind))
    };
    let out = leading_out(list, program.root.as_bytes()).into_iter();
    let out = out.filter(|link| !program.exclude.hides(Path::new(OsStr::from_bytes(link))));
    let (followed, ignored): (Vec<_>, Vec<_>) =
        out.partition(|link| program.follow.name_link(Path::new(OsStr::from_bytes(link))));
    let empty: Vec<_> = followed.into_iter().filter(|link| !is_counted(link)).collect();
    let mut said = Vec::new();
    if !ignored.is_empty() {
        said.push(format!(
            "release {version} of {} has links that lead out of the tree, or nowhere: {}. What is behind them does not \
             count; name them in `follow` (schema 2) or `exclude`, and capture the tree again",
            program.id,
            named(&ignored)
        ));
    }
    if !empty.is_empty() {
        said.push(format!(
            "release {version} of {} has links that `follow` names, and nothing of what is behind them: {}. If there \
             is anything on a host, that host is `altered`; capture the tree again",
            program.id,
            named(&empty)
        ));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

fn named(links: &[Vec<u8>]) -> String {
    let shown = links.iter().take(NAMED_MAX).map(|link| format!("{:?}", String::from_utf8_lossy(link)));
    let mut named = shown.collect::<Vec<_>>().join(", ");
    if links.len() > NAMED_MAX {
        named.push_str(&format!(" and {} more", links.len() - NAMED_MAX));
    }
    named
}

/// Paths of links that say no way to anything in the tree.
fn leading_out(list: &FileList, root: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut links: BTreeMap<&[u8], Vec<(&[u8], Digest)>> = BTreeMap::new();
    // Everything that a link may lead to: entries, their directories, the root itself.
    let mut places: BTreeSet<&[u8]> = BTreeSet::from([&b""[..]]);
    for (path, digest) in list.entries().filter(|(path, _)| !path.windows(3).any(|bytes| bytes == FOLLOWED)) {
        let path = match path.strip_suffix(b"//") {
            Some(link) => {
                links.entry(parent(link)).or_default().push((link, *digest));
                link
            }
            None => path,
        };
        let mut place = path;
        while places.insert(place) && !place.is_empty() {
            place = parent(place);
        }
    }
    let absolute: BTreeSet<Digest> = places
        .iter()
        .take(if links.is_empty() { 0 } else { TARGETS_MAX })
        .flat_map(|place| spellings(&join(root, place)).map(|text| Digest::of(&text)))
        .collect();
    let mut tried = absolute.len();
    let mut out = BTreeSet::new();
    for (directory, mut links) in links {
        links.retain(|(_, digest)| !absolute.contains(digest));
        if links.is_empty() {
            continue;
        }
        tried += places.len();
        if tried > TARGETS_MAX {
            return out;
        }
        let mut open: BTreeMap<Digest, Vec<&[u8]>> = BTreeMap::new();
        for (link, digest) in links {
            open.entry(digest).or_default().push(link);
        }
        for place in &places {
            for text in spellings(&relative(directory, place)) {
                open.remove(&Digest::of(&text));
            }
        }
        out.extend(open.into_values().flatten().map(<[u8]>::to_vec));
    }
    out
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |slash| path.get(..slash).unwrap_or_default())
}

fn join(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.is_empty() { directory.to_vec() } else { [directory, b"/", path].concat() }
}

/// As people and programs write one path: as it is, and with `/` at its end.
fn spellings(path: &[u8]) -> [Vec<u8>; 2] {
    [path.to_vec(), [path, b"/"].concat()]
}

/// The shortest way from a directory to a place, both relative to the root.
fn relative(directory: &[u8], place: &[u8]) -> Vec<u8> {
    let split = |path: &[u8]| -> Vec<Vec<u8>> {
        if path.is_empty() { Vec::new() } else { path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect() }
    };
    let (from, to) = (split(directory), split(place));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(b"..".to_vec(), from.len() - common);
    let way: Vec<Vec<u8>> = up.chain(to.into_iter().skip(common)).collect();
    if way.is_empty() { b".".to_vec() } else { way.join(&b'/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(links: &[(&str, &str)]) -> Vec<String> {
        let mut list = FileList::new();
        for file in ["bin/issuingd", "lib/x86/print.so.3", "share/form"] {
            list.insert_file(file.as_bytes(), Digest::of(file.as_bytes()));
        }
        for (path, target) in links {
            list.insert_link(path.as_bytes(), target.as_bytes());
        }
        leading_out(&list, b"/opt/issuing").into_iter().map(|link| String::from_utf8(link).unwrap()).collect()
    }

    #[test]
    fn a_link_to_anything_in_the_tree_leads_inside() {
        let inside = [
            ("lib/x86/print.so", "print.so.3"),
            ("bin/print", "../lib/x86/print.so"),
            ("current", "bin"),
            ("lib/current", "x86/"),
            ("lib/root", ".."),
            ("lib/self", "."),
            ("bin/absolute", "/opt/issuing/share/form"),
            ("home", "/opt/issuing"),
        ];
        assert_eq!(out(&inside), [""; 0]);
    }

    #[test]
    fn a_link_to_anything_else_leads_out() {
        let outside = [
            ("bin/java", "/usr/bin/java"),
            ("lib/other.so", "../../other/lib/other.so"),
            ("share/gone", "nothing"),
            ("lib/x86/print.so", "print.so.3"),
        ];
        assert_eq!(out(&outside), ["bin/java", "lib/other.so", "share/gone"]);
    }

    #[test]
    fn what_lies_behind_a_followed_link_is_no_link_of_the_tree() {
        let mut list = FileList::new();
        list.insert_link(b"modules", b"/opt/shared");
        list.insert_file(b"modules///a", Digest::of(b"a"));
        list.insert_link(b"modules///other", b"../other");
        list.insert_link(b"print.mod", b"../print.mod");
        list.insert_file(b"print.mod///", Digest::of(b"print"));
        let out: Vec<_> = leading_out(&list, b"/opt/issuing").into_iter().collect();
        assert_eq!(out, [&b"modules"[..], b"print.mod"]);
    }

    #[test]
    fn the_way_is_the_shortest() {
        for (from, to, way) in [
            ("", "a/b", "a/b"),
            ("a", "a/b", "b"),
            ("a/b", "a", ".."),
            ("a/b", "c/d", "../../c/d"),
            ("a", "", ".."),
            ("", "", "."),
        ] {
            assert_eq!(relative(from.as_bytes(), to.as_bytes()), way.as_bytes(), "{from} {to}");
        }
    }
}
