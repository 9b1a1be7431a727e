//! What is known of one image, and its form that outlives a restart of the agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use manifests::digest::Digest;
use manifests::evidence::OlderWhy;
use manifests::exclude::Globs;
use manifests::tree::FileList;

use crate::collect::remembered::{FileRecord, HeldRecord, ImageRecord, Lists, Name, TreeRecord};
use crate::collect::tree::Scope;

/// What one image has loaded.
#[derive(Clone, Default)]
pub(super) struct Loaded {
    pub(super) files: BTreeMap<PathBuf, Read>,
    /// Paths and patterns that were looked at: whether something may have gone unseen there.
    pub(super) patterns: BTreeMap<PathBuf, Option<OlderWhy>>,
    pub(super) trees: BTreeMap<PathBuf, LoadedTree>,
    /// Boot clock of the newest look at each pattern and root, of an image that may begin anew unseen.
    pub(super) looked: BTreeMap<PathBuf, i128>,
    pub(super) seen_pass: u32,
}

/// What was read of one file.
pub(super) type Read = Result<Digest, OlderWhy>;

/// What an image has loaded of a tree.
#[derive(Clone)]
pub(super) struct LoadedTree {
    /// The tree at the first look, and what a wider scope brought since.
    pub(super) list: Arc<FileList>,
    /// Ways to exclude under which it was looked at.
    pub(super) scopes: Vec<Scope>,
    /// Boot clock of the newest look under each, of an image that may have begun anew unseen.
    pub(super) looked: Vec<(Scope, i128)>,
    /// Files and directories of which it is not known what was read.
    pub(super) uncertain: BTreeMap<Vec<u8>, OlderWhy>,
    /// Files that it holds.
    pub(super) held: BTreeMap<Vec<u8>, HeldContent>,
}

/// A file, by device and inode, and its content when the image was first seen to hold it.
#[derive(Clone)]
pub(super) struct HeldContent {
    pub(super) file: (u64, u64),
    pub(super) content: Option<Digest>,
}

impl Loaded {
    /// As it is kept over a restart; the lists that it names go into `lists`.
    pub(super) fn record(&self, lists: &mut Lists) -> ImageRecord {
        let file = |(path, read): (&PathBuf, &Read)| match read {
            Ok(digest) => FileRecord { path: Name::of(path), content: Some(*digest), why: None },
            Err(why) => FileRecord { path: Name::of(path), content: None, why: Some(*why) },
        };
        let tree = |(root, tree): (&PathBuf, &LoadedTree)| {
            let digest = tree.list.digest();
            lists.insert(digest, Arc::clone(&tree.list));
            let held = |(path, held): (&Vec<u8>, &HeldContent)| {
                (Name(path.clone()), HeldRecord { file: held.file, content: held.content })
            };
            TreeRecord {
                root: Name::of(root),
                scopes: tree.scopes.iter().map(|scope| scope.sources().to_vec()).collect(),
                list: digest,
                uncertain: tree.uncertain.iter().map(|(path, why)| (Name(path.clone()), *why)).collect(),
                held: tree.held.iter().map(held).collect(),
            }
        };
        ImageRecord {
            files: self.files.iter().map(file).collect(),
            patterns: self.patterns.iter().map(|(path, why)| (Name::of(path), *why)).collect(),
            trees: self.trees.iter().map(tree).collect(),
        }
    }

    /// What was kept. A tree whose list is not among `lists` was not.
    pub(super) fn from_record(record: ImageRecord, lists: &Lists) -> Self {
        let file = |file: FileRecord| {
            let read = match (file.content, file.why) {
                (Some(digest), None) => Ok(digest),
                (_, why) => Err(why.unwrap_or(OlderWhy::BeforeFirstLook)),
            };
            (file.path.path(), read)
        };
        let tree = |tree: TreeRecord| {
            let list = Arc::clone(lists.get(&tree.list)?);
            let scope = |sources: Vec<String>| Some(Scope::new(&Globs::new(sources).ok()?));
            let held =
                |(name, held): (Name, HeldRecord)| (name.0, HeldContent { file: held.file, content: held.content });
            let loaded = LoadedTree {
                list,
                scopes: tree.scopes.into_iter().filter_map(scope).collect(),
                looked: Vec::new(),
                uncertain: tree.uncertain.into_iter().map(|(name, why)| (name.0, why)).collect(),
                held: tree.held.into_iter().map(held).collect(),
            };
            Some((tree.root.path(), loaded))
        };
        Self {
            files: record.files.into_iter().map(file).collect(),
            patterns: record.patterns.into_iter().map(|(name, why)| (name.path(), why)).collect(),
            trees: record.trees.into_iter().filter_map(tree).collect(),
            looked: BTreeMap::new(),
            seen_pass: 0,
        }
    }
}
