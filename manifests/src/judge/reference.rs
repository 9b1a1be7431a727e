//! A baseline ready to appraise with: every tree that a host may show, patched ones included.

use std::collections::BTreeMap;

use crate::baseline::{Baseline, Patch, Program, Release};
use crate::digest::Digest;
use crate::id::ItemId;
use crate::tree::FileList;

/// The most patches that may go over one release: every set of them is a tree of its own.
pub const PATCHES_PER_RELEASE_MAX: usize = 8;

/// A baseline, its identity, and the trees that its releases and patches make.
#[derive(Clone, Debug)]
pub struct Reference {
    baseline: Baseline,
    digest: Digest,
    builds: BTreeMap<(usize, Digest), Build>,
}

/// One tree that a program may be: a release and the patches over it, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Build {
    release: usize,
    patches: Vec<usize>,
}

impl Build {
    /// Another set of patches over the same release makes the same tree: then all of them are in it.
    fn take_patches_of(&mut self, other: &Build) {
        if self.release == other.release {
            self.patches.extend(&other.patches);
            self.patches.sort_unstable();
            self.patches.dedup();
        }
    }
}

/// A release that a tree was recognised as, with its patches.
#[derive(Clone, Debug)]
pub struct Recognized<'a> {
    /// The release.
    pub release: &'a Release,
    /// Patches over it, in file order.
    pub patches: Vec<&'a Patch>,
}

/// Why a baseline cannot be appraised with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Patches go over this release, and its file list is not among the target files.
    #[error(
        "program {program}: the file list {list} of release {version} is missing, and patches go over that release"
    )]
    ListMissing {
        /// The program.
        program: ItemId,
        /// The release.
        version: String,
        /// The list's digest.
        list: Digest,
    },
    /// What came under a file list's name is another list.
    #[error("program {program}: the file list of release {version} has digest {found}, not {list}")]
    ListDiffers {
        /// The program.
        program: ItemId,
        /// The release.
        version: String,
        /// The digest that the release names.
        list: Digest,
        /// That of the list.
        found: Digest,
    },
    /// A patch replaces a file that the release does not have.
    #[error("program {program}: patch {patch} replaces {path:?}, which release {version} does not have")]
    PathMissing {
        /// The program.
        program: ItemId,
        /// The patch.
        patch: ItemId,
        /// The release.
        version: String,
        /// The file.
        path: String,
    },
    /// More than [`PATCHES_PER_RELEASE_MAX`].
    #[error("program {program}: {count} patches go over release {version}, at most {PATCHES_PER_RELEASE_MAX} can")]
    TooManyPatches {
        /// The program.
        program: ItemId,
        /// The release.
        version: String,
        /// How many.
        count: usize,
    },
}

impl Reference {
    /// Works out every tree that a release and a set of patches over it make.
    ///
    /// `digest` is that of the baseline's bytes, `lists` the file lists by digest; only lists of
    /// releases that a patch goes over are needed ([`Reference::lists_needed`]).
    ///
    /// # Errors
    /// [`ReferenceError`] where a list is missing or a patch does not fit its release.
    pub fn new(baseline: Baseline, digest: Digest, lists: &BTreeMap<Digest, FileList>) -> Result<Self, ReferenceError> {
        let mut builds = BTreeMap::new();
        for (index, program) in baseline.programs.iter().enumerate() {
            let mut patched = Vec::new();
            for (release, entry) in program.releases.iter().enumerate() {
                builds.insert((index, entry.tree), Build { release, patches: Vec::new() });
                let trees = patched_trees(program, entry, lists)?;
                patched.extend(trees.into_iter().map(|(tree, patches)| (tree, Build { release, patches })));
            }
            // A tree that several ways lead to is what is worst of them: known bad stays known bad.
            let is_denied = |build: &Build| program.releases.get(build.release).is_some_and(|r| r.denied.is_some());
            patched.sort_by_key(|(_, build)| !is_denied(build));
            for (tree, build) in patched {
                builds
                    .entry((index, tree))
                    // A release that is listed itself is that release, whatever else makes its tree.
                    .and_modify(|known: &mut Build| known.take_patches_of(&build))
                    .or_insert(build);
            }
        }
        Ok(Self { baseline, digest, builds })
    }

    /// The baseline.
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// SHA-256 of the baseline's bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Digests of the file lists that [`Reference::new`] needs for `baseline`.
    pub fn lists_needed(baseline: &Baseline) -> Vec<Digest> {
        let releases = baseline
            .programs
            .iter()
            .flat_map(|program| program.releases.iter().filter(|release| !patches_over(program, release).is_empty()));
        releases.map(|release| release.tree).collect()
    }

    /// The release and patches whose tree has this digest.
    pub fn recognize(&self, program: &ItemId, tree: &Digest) -> Option<Recognized<'_>> {
        let index = self.baseline.programs.iter().position(|entry| entry.id == *program)?;
        let build = self.builds.get(&(index, *tree))?;
        let entry = self.baseline.programs.get(index)?;
        Some(Recognized {
            release: entry.releases.get(build.release)?,
            patches: build.patches.iter().filter_map(|patch| entry.patches.get(*patch)).collect(),
        })
    }
}

/// Patches that go over `release`, by index.
fn patches_over(program: &Program, release: &Release) -> Vec<usize> {
    let goes_over = |patch: &Patch| patch.over.contains(&release.version);
    program.patches.iter().enumerate().filter(|(_, patch)| goes_over(patch)).map(|(index, _)| index).collect()
}

fn patched_trees(
    program: &Program,
    release: &Release,
    lists: &BTreeMap<Digest, FileList>,
) -> Result<Vec<(Digest, Vec<usize>)>, ReferenceError> {
    let over = patches_over(program, release);
    if over.is_empty() {
        return Ok(Vec::new());
    }
    let version = || release.version.to_string();
    if over.len() > PATCHES_PER_RELEASE_MAX {
        return Err(ReferenceError::TooManyPatches {
            program: program.id.clone(),
            version: version(),
            count: over.len(),
        });
    }
    let list = lists.get(&release.tree).ok_or_else(|| ReferenceError::ListMissing {
        program: program.id.clone(),
        version: version(),
        list: release.tree,
    })?;
    let found = list.digest();
    if found != release.tree {
        let program = program.id.clone();
        return Err(ReferenceError::ListDiffers { program, version: version(), list: release.tree, found });
    }
    let mut trees = Vec::new();
    for set in 1_u32..1 << over.len() {
        let chosen: Vec<usize> =
            over.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, patch)| *patch).collect();
        let mut patched = list.clone();
        let mut replaced: BTreeMap<&str, Digest> = BTreeMap::new();
        let mut contradictory = false;
        for patch in chosen.iter().filter_map(|index| program.patches.get(*index)) {
            for (path, digest) in &patch.replaces {
                if list.digest_of(path.as_bytes()).is_none() {
                    return Err(ReferenceError::PathMissing {
                        program: program.id.clone(),
                        patch: patch.id.clone(),
                        version: version(),
                        path: path.clone(),
                    });
                }
                contradictory |= replaced.insert(path, *digest).is_some_and(|before| before != *digest);
                patched.insert_file(path.as_bytes(), *digest);
            }
        }
        // Two patches that want one file to be different cannot both be there.
        if !contradictory {
            trees.push((patched.digest(), chosen));
        }
    }
    Ok(trees)
}
