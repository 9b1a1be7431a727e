//! One program: its tree, and whether what runs is what the tree holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use manifests::baseline::Program;
use manifests::digest::Digest;
use manifests::evidence::{Finding, FindingKind, OlderWhy, TreeSeen, Why};
use manifests::tree::FileList;

use crate::collect::history::History;
use crate::collect::index::Index;
use crate::collect::prefix::Prefix;
use crate::collect::process::{self, Executable, Names, Spec};
use crate::collect::read;
use crate::collect::tree::{self, Scope};
use crate::collect::{self, Limits};

/// The most contents of an executable that are remembered.
const CONTENTS_MAX: usize = 64;
/// Where `env` looks for an interpreter, as most services do.
const PATH: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];

/// A program's tree as it was read.
pub(super) struct TreeRead {
    pub(super) written: PathBuf,
    pub(super) resolved: PathBuf,
    pub(super) scope: Scope,
    pub(super) seen: TreeSeen,
    pub(super) root: Option<tree::Root>,
    pub(super) tree: Option<tree::Tree>,
    pub(super) list: Option<Arc<FileList>>,
    /// A mark of the tree's files and their names.
    pub(super) mark: u64,
    /// The list as it is digested, until somebody takes it.
    pub(super) bytes: Option<Vec<u8>>,
}

impl TreeRead {
    /// Reads it now.
    pub(super) fn new(
        program: &Program,
        prefix: &Prefix,
        index: &mut Index,
        limits: &Limits,
        deadline: Instant,
    ) -> Self {
        let scope = collect::scope(program);
        let written = prefix.on_host(&program.root);
        let resolved = std::fs::canonicalize(&written).unwrap_or_else(|_| written.clone());
        match tree::open_root(&written) {
            Ok(root) => {
                let tree = tree::look(&root, &scope, index, limits, deadline);
                let bytes = tree.whole().map(|()| tree.list.to_bytes());
                let seen = bytes
                    .as_ref()
                    .map_or_else(|why| TreeSeen::Unknown(*why), |bytes| TreeSeen::Digest(Digest::of(bytes)));
                let (list, bytes) = (Some(Arc::clone(&tree.list)), bytes.ok());
                let mark = index.mark(tree.identities());
                Self { written, resolved, scope, seen, root: Some(root), tree: Some(tree), list, mark, bytes }
            }
            Err(errno) => {
                // A file where the tree should be is not nothing.
                let why = if std::fs::metadata(&written).is_ok_and(|m| !m.is_dir()) {
                    Why::NotAFile
                } else {
                    read::why(errno)
                };
                let seen = if why == Why::FileAbsent { TreeSeen::Absent } else { TreeSeen::Unknown(why) };
                Self { written, resolved, scope, seen, root: None, tree: None, list: None, mark: 0, bytes: None }
            }
        }
    }

    /// The root, if it is there and could not be opened.
    pub(super) fn gap(&self) -> Option<Why> {
        match (&self.root, &self.seen) {
            (None, TreeSeen::Unknown(why)) => Some(*why),
            _ => None,
        }
    }

    /// The tree with its root, where both are there.
    pub(super) fn opened(&self) -> Option<(&tree::Root, &tree::Tree)> {
        self.root.as_ref().zip(self.tree.as_ref())
    }

    /// Paths by their last component.
    pub(super) fn names(&self) -> Names {
        let mut names = Names::new();
        let files = self.tree.iter().flat_map(|tree| tree.list.entries());
        for (path, _) in files.filter(|(path, _)| !path.ends_with(b"//")) {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            names.entry(name.to_vec()).or_default().push(path.to_vec());
        }
        names
    }
}

/// Names of trees that were read before, by tree: an unchanged one need not be gone through again.
#[derive(Default)]
pub(super) struct KnownNames(BTreeMap<PathBuf, (Digest, Arc<Names>)>);

impl KnownNames {
    pub(super) fn of(&mut self, read: &TreeRead) -> Arc<Names> {
        let TreeSeen::Digest(digest) = read.seen else { return Arc::new(read.names()) };
        match self.0.get(&read.written) {
            Some((known, names)) if *known == digest => Arc::clone(names),
            _ => {
                let names = Arc::new(read.names());
                self.0.insert(read.written.clone(), (digest, Arc::clone(&names)));
                names
            }
        }
    }
}

/// What tells the program's images from others, with the tree as it was just read. `before` is the same of
/// the pass before.
pub(super) fn spec(
    program: &Program,
    read: &TreeRead,
    prefix: &Prefix,
    history: &History,
    before: Option<&Spec>,
) -> Spec {
    // Most trees are as they were.
    let files = match before {
        Some(before) if before.mark == read.mark && before.root == read.written => Arc::clone(&before.files),
        _ => {
            let files = read.tree.iter().flat_map(tree::Tree::identities);
            Arc::new(files.map(|(file, path)| (file, path.to_vec())).collect())
        }
    };
    let exe = program.process.as_ref().map(|process| {
        // Joining an absolute path gives that path.
        let written = prefix.on_host(Path::new(&program.root).join(&process.exe));
        let resolved = std::fs::canonicalize(&written).unwrap_or_else(|_| written.clone());
        let inside = Path::new(&process.exe).is_relative().then(|| process.exe.clone().into_bytes());
        let stat = rustix::fs::stat(&written).ok();
        let now = inside.as_ref().and_then(|inside| read.list.as_ref()?.digest_of(inside).copied());
        let loaded = inside.iter().flat_map(|inside| history.loaded_contents(&read.written, inside));
        let before = before.and_then(|spec| spec.exe.as_ref()).into_iter().flat_map(|exe| exe.contents.iter().copied());
        Executable {
            file: stat.map(|stat| (stat.st_dev, stat.st_ino)),
            owner: stat.map(|stat| stat.st_uid),
            contents: now.into_iter().chain(loaded).chain(before).take(CONTENTS_MAX).collect(),
            interpreters: interpreters(&written, &resolved, inside.is_some()),
            written,
            resolved,
            inside,
        }
    });
    let listens = program.process.as_ref().and_then(|process| process.listens.as_deref());
    let addresses = listens.map(process::addresses).unwrap_or_default();
    Spec {
        program: program.id.clone(),
        root: read.written.clone(),
        resolved_root: read.resolved.clone(),
        within: prefix.directory().map(|within| std::fs::canonicalize(within).unwrap_or_else(|_| within.to_owned())),
        scope: read.scope.clone(),
        files,
        mark: read.mark,
        exe,
        args: program.process.as_ref().and_then(|process| process.args.clone()),
        sockets: process::listening(&addresses),
        addresses,
    }
}

/// Names of the interpreter of an executable: of one in the tree by its first line, otherwise its own.
fn interpreters(written: &Path, resolved: &Path, is_inside: bool) -> BTreeSet<Vec<u8>> {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec());
    if !is_inside {
        return name(written).into_iter().chain(name(resolved)).collect();
    }
    let mut start = [0; 256];
    let count = read::open_file(resolved).ok().and_then(|file| rustix::io::read(&file, &mut start).ok()).unwrap_or(0);
    let named = process::interpreters(start.get(..count).unwrap_or_default());
    let named: Vec<&Path> = named.map(|word| Path::new(OsStr::from_bytes(word))).collect();
    let found = named.iter().flat_map(|word| {
        let places = PATH.iter().map(|at| Path::new(at).join(word)).filter(|_| word.is_relative());
        let places = places.chain([word.to_path_buf()]).filter_map(|place| std::fs::canonicalize(place).ok());
        places.filter_map(|place| name(&place)).chain(name(word)).collect::<Vec<_>>()
    });
    found.filter(|name| name != b"env").collect()
}

/// A process that executes a copy and is nobody's, as a finding.
pub(super) fn stranger(path: &[u8], prefix: &Prefix) -> Finding {
    let path = prefix.shown(Path::new(OsStr::from_bytes(process::without_deleted(path).0)));
    Finding { path, kind: FindingKind::RunsElsewhere }
}

/// A path of a tree, or outside of it, as evidence shows it.
pub(super) fn shown(path: &[u8], prefix: &Prefix) -> String {
    match Path::new(OsStr::from_bytes(path)) {
        outside if outside.is_absolute() => prefix.shown(outside),
        inside => inside.to_string_lossy().into_owned(),
    }
}

/// What processes have of some files otherwise than the disk, gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) older: BTreeMap<String, OlderWhy>,
    pub(super) elsewhere: BTreeSet<String>,
    pub(super) unknown: BTreeSet<manifests::evidence::Gap>,
}

impl Gathered {
    pub(super) fn older(&mut self, file: String, why: OlderWhy) {
        let known = self.older.entry(file).or_insert(why);
        *known = why.min(*known);
    }

    /// Within the bounds of evidence.
    pub(super) fn held(self) -> manifests::evidence::Held {
        use manifests::evidence::{HELD_MAX, Held, Older};
        let more = [self.older.len(), self.elsewhere.len(), self.unknown.len()];
        let more = more.iter().map(|count| count.saturating_sub(HELD_MAX)).sum::<usize>();
        Held {
            older: self.older.into_iter().map(|(file, why)| Older { file, why }).take(HELD_MAX).collect(),
            elsewhere: self.elsewhere.into_iter().take(HELD_MAX).collect(),
            unknown: self.unknown.into_iter().take(HELD_MAX).collect(),
            more: u32::try_from(more).unwrap_or(u32::MAX),
        }
    }
}
