//! File lists: what a program's tree digest is the digest of.
//!
//! One line per file in the format of coreutils' `sha256sum`, sorted by raw path bytes, paths
//! relative to the root. A symbolic link is a line with the digest of its target text and its path
//! followed by `//`, which no path contains. What lies behind a link that leads out of the tree, where that
//! counts, has lines as well: the path of the link, `///`, and nothing more for a file, or the path below
//! the directory. `docs/protocol.md` gives the commands that produce it.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;

use crate::digest::Digest;

/// The most entries a file list may have.
pub const ENTRIES_MAX: usize = 1_000_000;
/// The longest path in a file list, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// Behind the path of a link: its target text.
const LINK: &[u8] = b"//";
/// Behind the path of a link: what it leads to.
pub const FOLLOWED: &[u8] = b"///";

/// A path of a list without the mark at its end that says what of a link it is.
pub fn without_mark(path: &[u8]) -> &[u8] {
    path.strip_suffix(FOLLOWED).or_else(|| path.strip_suffix(LINK)).unwrap_or(path)
}

/// The files of one tree: path relative to the root (raw bytes; of a link with `//` behind it, of what
/// it leads to with `///` between) to digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileList(BTreeMap<Vec<u8>, Digest>);

/// What a [`FileList`] could not be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the file list {why}")]
pub struct FileListError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FileList {
    /// A list without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file, of the tree or behind a link of it. A path added twice keeps the last digest.
    pub fn insert_file(&mut self, path: &[u8], digest: Digest) {
        self.0.insert(path.to_vec(), digest);
    }

    /// Adds a symbolic link by its target text, which is not followed.
    pub fn insert_link(&mut self, path: &[u8], target: &[u8]) {
        let mut marked = path.to_vec();
        marked.extend_from_slice(LINK);
        self.0.insert(marked, Digest::of(target));
    }

    /// Adds an entry as [`FileList::entries`] gives it, a link's mark included.
    pub fn insert_entry(&mut self, path: &[u8], digest: Digest) {
        self.0.insert(path.to_vec(), digest);
    }

    /// The entries for which `counts` says so of the path, a link's mark included.
    #[must_use]
    pub fn retaining(&self, counts: impl Fn(&[u8]) -> bool) -> Self {
        Self(self.0.iter().filter(|(path, _)| counts(path)).map(|(path, digest)| (path.clone(), *digest)).collect())
    }

    /// Entries in byte order of their paths.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Digest)> {
        self.0.iter().map(|(path, digest)| (path.as_slice(), digest))
    }

    /// The digest of one path's content.
    pub fn digest_of(&self, path: &[u8]) -> Option<&Digest> {
        self.0.get(path)
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The list's bytes, as `sha256sum` writes them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, digest) in &self.0 {
            // sha256sum marks a line whose name it had to escape with a leading backslash.
            let escaped = path.iter().any(|b| matches!(b, b'\\' | b'\n' | b'\r'));
            if escaped {
                bytes.push(b'\\');
            }
            bytes.extend_from_slice(digest.hex().as_bytes());
            bytes.extend_from_slice(b"  ");
            for byte in path {
                match byte {
                    b'\\' => bytes.extend_from_slice(b"\\\\"),
                    b'\n' => bytes.extend_from_slice(b"\\n"),
                    b'\r' => bytes.extend_from_slice(b"\\r"),
                    other => bytes.push(*other),
                }
            }
            bytes.push(b'\n');
        }
        bytes
    }

    /// The tree digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Reads a list back.
    ///
    /// # Errors
    /// [`FileListError`] with the first line that is not as [`FileList::to_bytes`] writes it, that
    /// is out of order, beyond [`ENTRIES_MAX`], or has a path that no tree has: absolute, longer than
    /// [`PATH_BYTES_MAX`], with a NUL or an empty, `.` or `..` segment, two things at once, or behind a
    /// link that is not in the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileListError> {
        let mut list = Self::new();
        let mut before: Option<Vec<u8>> = None;
        let body = match bytes.split_last() {
            None => return Ok(list),
            Some((b'\n', body)) => body,
            Some(_) => {
                let line = bytes.split(|b| *b == b'\n').count();
                return Err(FileListError { line, why: "has no line end" });
            }
        };
        for (index, line) in body.split(|b| *b == b'\n').enumerate() {
            let error = |why| FileListError { line: index + 1, why };
            if index >= ENTRIES_MAX {
                return Err(error("is beyond the most entries a list may have"));
            }
            let (path, digest) = parse_line(line).map_err(error)?;
            if before.as_ref().is_some_and(|before| *before >= path) {
                return Err(error("is out of order"));
            }
            before = Some(path.clone());
            list.0.insert(path, digest);
        }
        match list.contradiction() {
            Some((index, why)) => Err(FileListError { line: index + 1, why }),
            None => Ok(list),
        }
    }

    // The index of an entry whose path is a file or link, and again a link or a directory, or lies behind a
    // link that is not there. In the order in which `/` comes before every other byte, whatever lies below
    // or behind a path follows it at once: first the link's text, then what it leads to.
    fn contradiction(&self) -> Option<(usize, &'static str)> {
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
        let mut paths: Vec<(usize, &[u8])> = self.0.keys().map(Vec::as_slice).enumerate().collect();
        paths.sort_unstable_by(|(_, one), (_, other)| one.iter().map(rank).cmp(other.iter().map(rank)));
        let first = paths.first().map(|(index, path)| (&[][..], *index, *path));
        let pairs = paths.windows(2).filter_map(|pair| match pair {
            [(_, one), (index, other)] => Some((*one, *index, *other)),
            _ => None,
        });
        first.into_iter().chain(pairs).find_map(|(one, index, other)| Some((index, contradicts(one, other)?)))
    }
}

/// What is wrong with the path `other`, which follows `one` in the order of [`FileList::contradiction`].
fn contradicts(one: &[u8], other: &[u8]) -> Option<&'static str> {
    let begins =
        |path: &[u8], with: &[u8], then: &[u8]| path.strip_prefix(with).is_some_and(|rest| rest.starts_with(then));
    // What was a file cannot be a directory or link, nor what was a link's text anything but a link, nor
    // what a link leads to a file and a directory.
    let is_followed = one.ends_with(FOLLOWED);
    let twice = match one.strip_suffix(LINK) {
        Some(link) if !is_followed => begins(other, link, b"/") && !begins(other, link, FOLLOWED),
        _ => begins(other, without_mark(one), b"/"),
    };
    // Behind a link there is nothing but what lies behind it.
    let mut links = links_of(one);
    if twice || links.any(|link| begins(other, link, b"/") && !begins(other, link, FOLLOWED)) {
        return Some("has a path that another line has as something else");
    }
    links_of(other)
        .any(|link| !begins(one, link, LINK))
        .then_some("has a path behind a link that the list does not have before it")
}

/// The links that a path passes.
fn links_of(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let marks = path.windows(FOLLOWED.len()).enumerate().filter(|(_, bytes)| *bytes == FOLLOWED);
    marks.filter_map(|(at, _)| path.get(..at))
}

// What a walk of a tree can give: relative, no step that leads nowhere or out, no NUL.
fn check_path(path: &[u8]) -> Result<(), &'static str> {
    let path = without_mark(path);
    if path.len() > PATH_BYTES_MAX {
        return Err("has too long a path");
    }
    if path.contains(&0) {
        return Err("has a NUL in its path");
    }
    // A path, and perhaps one more behind each link that it passes.
    let mut rest = path;
    loop {
        let end = rest.windows(FOLLOWED.len()).position(|bytes| bytes == FOLLOWED);
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if part.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"" | b"." | b"..")) {
            return Err("has a path that is not relative, or has an empty, `.` or `..` segment");
        }
        match behind.strip_prefix(FOLLOWED) {
            Some(behind) => rest = behind,
            None => return Ok(()),
        }
    }
}

fn parse_line(line: &[u8]) -> Result<(Vec<u8>, Digest), &'static str> {
    let (escaped, line) = line.strip_prefix(b"\\").map_or((false, line), |rest| (true, rest));
    let (digits, rest) = line.split_at_checked(64).ok_or("is too short")?;
    let bytes = HEXLOWER.decode(digits).map_err(|_| "does not begin with a digest")?;
    let digest = Digest::from_bytes(bytes.try_into().map_err(|_| "does not begin with a digest")?);
    let name = rest.strip_prefix(b"  ").ok_or("has no two spaces behind the digest")?;
    if name.is_empty() || name.len() > 2 * PATH_BYTES_MAX {
        return Err("has no path or too long a one");
    }
    let mut path = Vec::with_capacity(name.len());
    let mut unescaped = true;
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        match (escaped, byte) {
            (true, b'\\') => {
                unescaped = false;
                path.push(match rest.next() {
                    Some(b'\\') => b'\\',
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    _ => return Err("has an unknown escape"),
                });
            }
            (false, b'\\') | (_, b'\r') => return Err("has a name that is not escaped"),
            (_, other) => path.push(*other),
        }
    }
    // One list has one text: a needless mark would give the same files a second digest.
    if escaped && unescaped {
        return Err("is marked as escaped and is not");
    }
    check_path(&path)?;
    Ok((path, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> FileList {
        let mut list = FileList::new();
        for path in [&b"b"[..], b"a", b"new\nline", b"back\\slash", b"cr\r", b"\xff\xfe", b"x ->", b"bin/x"] {
            list.insert_file(path, Digest::of(path));
        }
        list.insert_link(b"link", b"bin/x");
        list
    }

    #[test]
    fn a_list_reads_back_as_written() {
        let list = sample();
        assert_eq!(FileList::parse(&list.to_bytes()), Ok(list));
        assert_eq!(FileList::parse(b""), Ok(FileList::new()));
    }

    #[test]
    fn a_list_has_one_text_only() {
        let good = sample().to_bytes();
        let text = String::from_utf8_lossy(&good).into_owned();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.swap(0, 1);
        assert_eq!(FileList::parse(format!("{}\n", lines.join("\n")).as_bytes()).unwrap_err().line, 2);
        assert!(FileList::parse(&good[..good.len() - 1]).is_err());
        let digest = Digest::of(b"").hex();
        for line in
            [format!("\\{digest}  plain\n"), format!("{digest}  a\\b\n"), format!("{digest} *bin\n"), "\n".to_owned()]
        {
            assert!(FileList::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_list_has_paths_that_a_tree_can_have() {
        let of = |paths: &[&[u8]]| {
            let mut list = FileList::new();
            paths.iter().for_each(|path| list.insert_file(path, Digest::of(path)));
            FileList::parse(&list.to_bytes())
        };
        let long = [b'a'; PATH_BYTES_MAX + 1];
        for path in [
            &b"/etc/passwd"[..],
            b"a//b",
            b"a/",
            b"./a",
            b"a/..",
            b"..",
            b"a/./b",
            b"a\0b",
            b"//",
            b"///",
            b"///a",
            b"a////",
            b"a/////",
            b"a///./b",
            b"a////b",
            &long,
        ] {
            assert!(of(&[path]).is_err(), "{:?}", String::from_utf8_lossy(path));
        }
        for paths in [
            &[&b"a"[..], b"a//"][..],
            &[b"a", b"a-b", b"a/b"],
            &[b"a", b"a!", b"a/!", b"a0"],
            &[b"a//", b"a/b"],
            &[b"a/!", b"a//"],
            &[b"d/a", b"d/a-", b"d/a/b/c"],
            // Behind a link that is not there, or is something else.
            &[b"a///"],
            &[b"a///b"],
            &[b"a", b"a///"],
            &[b"a/b", b"a///c"],
            &[b"a///b", b"a0//"],
            &[b"a//", b"a///b///"],
            &[b"a//", b"a///b///c"],
            // A file and a directory behind one link.
            &[b"a//", b"a///", b"a///b"],
            &[b"a//", b"a///b", b"a///b//"],
            &[b"a//", b"a///b", b"a///b/c"],
            // Behind it, and below it as if it were a directory.
            &[b"a//", b"a///b", b"a/c"],
            &[b"a//", b"a///", b"a/c"],
            &[b"a//", b"a///b//", b"a///b///c", b"a///b/d"],
        ] {
            assert!(of(paths).is_err(), "{paths:?}");
        }
        for paths in [
            &[&b"a"[..], b"a-b", b"a.b/c", b"aa//", b"b/..c", b"b/.d", b"b/e /f"][..],
            &[&long[1..]],
            &[b"a/b", b"a/b-", b"a/b0/c", b"a/c//"],
            &[b"a//", b"a///", b"a-", b"a0"],
            &[b"a//", b"a///b", b"a///b-/c", b"a///c//", b"a///c///d/e", b"a///d//", b"a///d///", b"a0/b"],
        ] {
            assert!(of(paths).is_ok(), "{paths:?}");
        }
    }
}
