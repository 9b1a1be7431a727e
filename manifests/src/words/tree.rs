//! File lists: what a program's tree digest is the digest of.
//!
//! One line per file in the format of coreutils' `sha256sum`, sorted by raw path bytes, paths
//! relative to the root. A symbolic link is a line with the digest of its target text and its path
//! followed by `//`, which no path contains. `docs/protocol.md` gives the commands that produce it.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;

use crate::digest::Digest;

/// The most entries a file list may have.
pub const ENTRIES_MAX: usize = 1_000_000;
/// The longest path in a file list, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// The files of one tree: path relative to the root (raw bytes; of a link with `//` behind it) to digest.
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

    /// Adds a regular file. A path added twice keeps the last digest.
    pub fn insert_file(&mut self, path: &[u8], digest: Digest) {
        self.0.insert(path.to_vec(), digest);
    }

    /// Adds a symbolic link by its target text, which is not followed.
    pub fn insert_link(&mut self, path: &[u8], target: &[u8]) {
        let mut marked = path.to_vec();
        marked.extend_from_slice(b"//");
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
    /// [`PATH_BYTES_MAX`], with a NUL or an empty, `.` or `..` segment, or two things at once.
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
            Some(index) => {
                Err(FileListError { line: index + 1, why: "has a path that another line has as something else" })
            }
            None => Ok(list),
        }
    }

    // The index of an entry whose path is a file or link, and again a link or a directory. In the order
    // in which `/` comes before every other byte, whatever lies below a path follows it at once.
    fn contradiction(&self) -> Option<usize> {
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
        let mut paths: Vec<(usize, &[u8])> = self.0.keys().map(Vec::as_slice).enumerate().collect();
        paths.sort_unstable_by(|(_, one), (_, other)| one.iter().map(rank).cmp(other.iter().map(rank)));
        paths.windows(2).find_map(|pair| match pair {
            [(_, one), (index, other)] => {
                let path = one.strip_suffix(b"//").unwrap_or(one);
                other.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/")).then_some(*index)
            }
            _ => None,
        })
    }
}

// What a walk of a tree can give: relative, no step that leads nowhere or out, no NUL.
fn check_path(path: &[u8]) -> Result<(), &'static str> {
    let path = path.strip_suffix(b"//").unwrap_or(path);
    if path.len() > PATH_BYTES_MAX {
        return Err("has too long a path");
    }
    if path.contains(&0) {
        return Err("has a NUL in its path");
    }
    if path.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"" | b"." | b"..")) {
        return Err("has a path that is not relative, or has an empty, `.` or `..` segment");
    }
    Ok(())
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
        for path in
            [&b"/etc/passwd"[..], b"a//b", b"a/", b"./a", b"a/..", b"..", b"a/./b", b"a\0b", b"//", b"a///", &long]
        {
            assert!(of(&[path]).is_err(), "{:?}", String::from_utf8_lossy(path));
        }
        for paths in [
            &[&b"a"[..], b"a//"][..],
            &[b"a", b"a-b", b"a/b"],
            &[b"a", b"a!", b"a/!", b"a0"],
            &[b"a//", b"a/b"],
            &[b"a/!", b"a//"],
            &[b"d/a", b"d/a-", b"d/a/b/c"],
        ] {
            assert!(of(paths).is_err(), "{paths:?}");
        }
        for paths in [
            &[&b"a"[..], b"a-b", b"a.b/c", b"aa//", b"b/..c", b"b/.d", b"b/e /f"][..],
            &[&long[1..]],
            &[b"a/b", b"a/b-", b"a/b0/c", b"a/c//"],
        ] {
            assert!(of(paths).is_ok(), "{paths:?}");
        }
    }
}
