//! Which links of trees were followed out of them. Only a pass can tell, and the next watch needs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::collect::tree::Scope;
use crate::collect::watch_set::WatchSet;

/// The most trees remembered; several under one root, as two baselines may be looked at in turn.
const TREES_MAX: usize = 64;

/// By root and what counts of it: the links, and where they lead.
#[derive(Debug, Default)]
pub(super) struct Followed(Vec<(PathBuf, Scope, BTreeMap<PathBuf, PathBuf>)>);

impl Followed {
    /// Notes what a pass followed; what was noted of the same tree before goes.
    pub(super) fn note(&mut self, root: &Path, scope: &Scope, links: BTreeMap<PathBuf, PathBuf>) {
        self.0.retain(|(other, other_scope, _)| other != root || other_scope != scope);
        if !links.is_empty() {
            self.0.push((root.to_owned(), scope.clone(), links));
        }
        if self.0.len() > TREES_MAX {
            self.0.remove(0);
        }
    }

    /// Adds the tree at `root` to what is watched, with what its links lead to.
    pub(super) fn watch(&self, root: &Path, scope: &Scope, set: &mut WatchSet) {
        set.tree(root, scope);
        for (_, _, links) in self.0.iter().filter(|(other, other_scope, _)| other == root && other_scope == scope) {
            for (link, target) in links {
                set.tree(target, &scope.below(link));
            }
        }
    }
}
