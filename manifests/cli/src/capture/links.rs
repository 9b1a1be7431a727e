//! Links of a tree that lead out of it: what lies there counts only if the program's `follow` names them.

use std::path::Path;

use manifests::exclude::Globs;
use manifests::id::ItemId;
use manifests::tree::{FOLLOWED, FileList, without_mark};
use serde::Deserialize;
use toml_edit::{Array, DocumentMut, Item, value};

use super::{CaptureError, program};

/// What `sekisho-agent capture --links` writes.
#[derive(Debug, Deserialize)]
pub(super) struct Links {
    links: Vec<Link>,
}

/// A link that leads out and is neither excluded nor followed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Link {
    /// Relative to the root, as the program sees it.
    pub(super) link: String,
    pub(super) leads_to: String,
    /// Whether `link` is its whole name: one that is not UTF-8 cannot stand in a baseline.
    is_text: bool,
}

impl Link {
    /// A glob that names this link alone; none where no glob can.
    pub(super) fn glob(&self) -> Option<String> {
        let mut glob = String::from("/");
        for character in self.link.chars() {
            // A space at the end of a glob means nothing unless it is escaped.
            if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | ' ') {
                glob.push('\\');
            }
            glob.push(character);
        }
        let globs = Globs::new(vec![glob.clone()]).ok()?;
        let is_writable = self.is_text && !self.link.chars().any(char::is_control);
        (is_writable && globs.excludes(Path::new(&self.link), false)).then_some(glob)
    }
}

impl Link {
    /// Whether the tree at `root` lies in what it leads to.
    pub(super) fn leads_above(&self, root: &Path) -> bool {
        root.canonicalize().is_ok_and(|root| root.starts_with(&self.leads_to))
    }
}

/// Reads what the agent writes.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Link>, serde_json::Error> {
    Ok(serde_json::from_slice::<Links>(bytes)?.links)
}

/// The schema of a baseline.
pub(super) fn schema(text: &str) -> Result<i64, CaptureError> {
    let document: DocumentMut = text.parse().map_err(CaptureError::Toml)?;
    Ok(document.get("schema").and_then(Item::as_integer).unwrap_or(1))
}

/// The baseline's text with more globs in the program's `follow`; comments stay.
pub(super) fn with_follow(text: &str, id: &ItemId, globs: &[String]) -> Result<String, CaptureError> {
    let mut document: DocumentMut = text.parse().map_err(CaptureError::Toml)?;
    let program = program(&mut document, id)?;
    if !program.contains_key("follow") {
        program.insert("follow", value(Array::new()));
    }
    let form = || CaptureError::Follow { program: id.clone() };
    let follow = program.get_mut("follow").and_then(Item::as_array_mut).ok_or_else(form)?;
    let is_one_line = follow.iter().all(|glob| glob.decor().prefix().is_none_or(|prefix| prefix.as_str() == Some("")));
    globs.iter().for_each(|glob| follow.push(glob.as_str()));
    // As people write a list of several: each on a line of its own. One that stands in lines already keeps them.
    if is_one_line && follow.len() > 2 {
        follow.iter_mut().for_each(|glob| glob.decor_mut().set_prefix("\n  "));
        follow.set_trailing("\n");
        follow.set_trailing_comma(true);
    }
    Ok(document.to_string())
}

/// Globs of a key of a program, as they stand.
pub(super) fn globs(text: &str, id: &ItemId, key: &str) -> Result<Vec<String>, CaptureError> {
    let mut document: DocumentMut = text.parse().map_err(CaptureError::Toml)?;
    let program = program(&mut document, id)?;
    Ok(program
        .get(key)
        .and_then(Item::as_array)
        .map(|globs| globs.iter().filter_map(|glob| glob.as_str().map(str::to_owned)).collect())
        .unwrap_or_default())
}

/// Whether a list has the link and nothing of what lies behind it: it was made before the link was followed.
pub(super) fn lacks(list: &FileList, link: &str) -> bool {
    let seen = |path: &[u8]| String::from_utf8_lossy(without_mark(path)).replace("///", "/");
    let is_link = |path: &[u8]| path.ends_with(b"//") && !path.ends_with(FOLLOWED) && seen(path) == link;
    let Some((path, _)) = list.entries().find(|(path, _)| is_link(path)) else { return false };
    let behind = [without_mark(path), FOLLOWED].concat();
    !list.entries().any(|(path, _)| path.starts_with(&behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::digest::Digest;

    fn link(link: &str) -> Link {
        Link { link: link.to_owned(), leads_to: "/x".to_owned(), is_text: true }
    }

    #[test]
    fn a_glob_names_the_link_and_nothing_else() {
        let names = [
            "a",
            "lib/print.mod",
            "a*b",
            "a?",
            "[a]",
            "{a,b}",
            "back\\slash",
            " leading",
            "trailing ",
            "!not",
            "#no",
            "日本",
        ];
        for name in names {
            let glob = link(name).glob().unwrap();
            let globs = Globs::new(vec![glob.clone()]).unwrap();
            for other in names.iter().chain(&["x/a", "axb", "ab", "b", "trailing"]) {
                assert_eq!(globs.excludes(Path::new(other), false), *other == name, "{glob:?} and {other:?}");
            }
        }
        assert_eq!(link("line\nend").glob(), None);
        assert_eq!(Link { is_text: false, ..link("\u{fffd}") }.glob(), None);
    }

    #[test]
    fn globs_are_added_and_comments_stay() {
        let id = "server".parse().unwrap();
        let text = "# first\nschema = 2\n[[program]] # the AP\nid = \"server\"\nroot = \"/opt\" # there\n[[program.release]]\nversion = \"1\"\n";
        let one = with_follow(text, &id, &["/a".to_owned()]).unwrap();
        assert_eq!(one, text.replace("# there\n", "# there\nfollow = [\"/a\"]\n"));
        let three = with_follow(&one, &id, &["/b".to_owned(), "/c".to_owned()]).unwrap();
        let lines = "follow = [\n  \"/a\",\n  \"/b\",\n  \"/c\",\n]";
        assert_eq!(three, one.replace("follow = [\"/a\"]", lines));
        let own = text.replace("# there\n", "# there\nfollow = [\"/a\"] # why\n");
        assert!(with_follow(&own, &id, &["/b".to_owned()]).unwrap().contains("follow = [\"/a\", \"/b\"] # why"));
        let odd = text.replace("# there\n", "# there\nfollow = 3\n");
        assert!(matches!(with_follow(&odd, &id, &[]), Err(CaptureError::Follow { .. })));
        assert_eq!((schema(text).unwrap(), schema("").unwrap()), (2, 1));
    }

    #[test]
    fn a_list_from_before_a_link_was_followed_lacks_what_lies_behind_it() {
        let mut list = FileList::new();
        list.insert_link(b"modules", b"/x");
        assert!(lacks(&list, "modules") && !lacks(&list, "other"));
        list.insert_link(b"modules///other", b"/y");
        assert!(!lacks(&list, "modules") && lacks(&list, "modules/other"));
        list.insert_file(b"modules///other///c", Digest::of(b""));
        assert!(!lacks(&list, "modules/other"));
    }
}
