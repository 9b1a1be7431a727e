//! One program: its tree, and whether what runs is what the tree holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use manifests::baseline::{Config, Program, Reload};
use manifests::digest::Digest;
use manifests::evidence::{FINDINGS_MAX, Gap, Held, Older, OlderWhy, ProcessesSeen, ProgramSeen, TreeSeen, Why};

use crate::collect::Limits;
use crate::collect::config_file::ConfigRead;
use crate::collect::history::{History, TreeNow};
use crate::collect::index::Index;
use crate::collect::prefix::Prefix;
use crate::collect::process::{self, Running, Spec, Target, Views};
use crate::collect::read;
use crate::collect::tree::{self, Scope};

/// A program's tree as it was read.
pub(super) struct TreeRead {
    written: PathBuf,
    resolved: PathBuf,
    scope: Scope,
    pub(super) seen: TreeSeen,
    root: Option<std::os::fd::OwnedFd>,
    pub(super) tree: Option<tree::Tree>,
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
        let scope = Scope::new(&program.exclude);
        let written = prefix.on_host(&program.root);
        let resolved = std::fs::canonicalize(&written).unwrap_or_else(|_| written.clone());
        match tree::open_root(&resolved) {
            Ok(root) => {
                let tree = tree::look(&root, &scope, index, limits, deadline);
                let seen = tree.digest().map_or_else(TreeSeen::Unknown, TreeSeen::Digest);
                Self { written, resolved, scope, seen, root: Some(root), tree: Some(tree) }
            }
            Err(errno) => {
                // A file where the tree should be is not nothing.
                let why = if std::fs::metadata(&written).is_ok_and(|m| !m.is_dir()) {
                    Why::NotAFile
                } else {
                    read::why(errno)
                };
                let seen = if why == Why::FileAbsent { TreeSeen::Absent } else { TreeSeen::Unknown(why) };
                Self { written, resolved, scope, seen, root: None, tree: None }
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
}

/// A program's tree and what its processes are compared with.
pub(super) struct ProgramLook<'a> {
    pub(super) program: &'a Program,
    pub(super) seen: TreeRead,
    pub(super) limits: &'a Limits,
    pub(super) deadline: Instant,
    pub(super) configs: Vec<(&'a Config, &'a ConfigRead)>,
    /// Files that fixes require and that are there, by their path on this host.
    pub(super) required: &'a BTreeMap<PathBuf, Digest>,
    pub(super) prefix: &'a Prefix,
}

impl ProgramLook<'_> {
    pub(super) fn finish(
        self,
        spec: Option<&Spec>,
        running: Result<&[Running], Why>,
        index: &mut Index,
        history: &mut History,
    ) -> ProgramSeen {
        let findings = self.seen.tree.as_ref().map(|tree| tree.findings.clone()).unwrap_or_default();
        let (processes, loaded) = match (spec, running) {
            (None, _) => (ProcessesSeen::NotRunning, Held::default()),
            (Some(_), Err(why)) => (ProcessesSeen::Unknown(why), Held::default()),
            (Some(spec), Ok(running)) => {
                let running: Vec<_> = running.iter().filter(|r| r.program == self.program.id).collect();
                self.loaded(spec, &running, index, history)
            }
        };
        let findings = findings.into_iter().take(FINDINGS_MAX).collect();
        ProgramSeen { tree: self.seen.seen, processes, loaded, trees: Vec::new(), findings }
    }

    fn loaded(
        &self,
        spec: &Spec,
        running: &[&Running],
        index: &mut Index,
        history: &mut History,
    ) -> (ProcessesSeen, Held) {
        let list = self.seen.tree.as_ref().map(|tree| Arc::new(tree.list.clone()));
        let layers = self.configs.iter().flat_map(|(_, read)| &read.layers);
        let layers = layers.filter_map(|layer| Some((layer.path.as_path(), layer.bytes.ok()?.0)));
        let required = self.required.iter().map(|(path, digest)| (path.as_path(), *digest));
        let files: BTreeMap<&Path, Digest> = layers.chain(required).collect();
        let patterns = self.configs.iter().flat_map(|(config, _)| &config.files);
        let patterns: Vec<PathBuf> = patterns.map(|pattern| self.prefix.on_host(pattern)).collect();
        let mut views = Views::default();
        let shown = |path: &Vec<u8>| match Path::new(OsStr::from_bytes(path)) {
            outside if outside.is_absolute() => self.prefix.shown(outside),
            inside => inside.to_string_lossy().into_owned(),
        };
        let mut older = BTreeSet::new();
        let mut elsewhere = BTreeSet::new();
        let mut unknown = BTreeSet::new();
        let mut alive = false;
        for running in running {
            let process = (running.pid, running.start);
            if let (Some(root), Some(tree), Some(list)) = (&self.seen.root, &self.seen.tree, &list) {
                let target = Target {
                    roots: [&self.seen.written, &self.seen.resolved],
                    exe: spec.exe(),
                    root,
                    tree,
                    scope: &self.seen.scope,
                    files: &files,
                    patterns: &patterns,
                    limits: self.limits,
                    deadline: self.deadline,
                };
                let Some(look) = process::look(running, &target, &mut views, index) else { continue };
                unknown.extend(look.unknown);
                elsewhere.extend(look.other.tree.iter().map(|path| String::from_utf8_lossy(path).into_owned()));
                elsewhere.extend(look.other.files.iter().map(|path| self.prefix.shown(path)));
                // A list with gaps would make what it lacks look changed.
                if tree.gaps.is_empty() {
                    let read = TreeNow { root: &self.seen.written, scope: &self.seen.scope, list, tree };
                    older.extend(history.older_files(process, &read, &look.current, &files).iter().map(shown));
                }
                older.extend(look.older.iter().map(shown));
            } else {
                // It runs and its tree is not there any more, or cannot be read.
                match self.seen.seen {
                    TreeSeen::Unknown(why) => _ = unknown.insert(why),
                    _ => _ = older.insert(self.prefix.shown(spec.written())),
                }
            }
            alive = true;
            for (config, read) in self.configs.iter().filter(|(config, _)| config.reload == Reload::Restart) {
                unknown.extend(read.layers.iter().filter_map(|layer| layer.bytes.err()));
                let layer = history.older_layer(process, &config.files, &read.layers);
                older.extend(layer.map(|path| self.prefix.shown(&path)));
            }
        }
        if let (Some(tree), Some(list)) = (&self.seen.tree, &list)
            && tree.gaps.is_empty()
        {
            history.saw_tree(&self.seen.written, &self.seen.scope, list);
        }
        let what = |why| Gap { what: self.program.id.to_string(), why };
        let held = Held {
            older: older.into_iter().map(|file| Older { file, why: OlderWhy::Held }).collect(),
            elsewhere: elsewhere.into_iter().collect(),
            unknown: unknown.into_iter().map(what).collect(),
            more: 0,
        };
        (if alive { ProcessesSeen::Running } else { ProcessesSeen::NotRunning }, held)
    }
}
