//! The roots in the working directory: who may sign.

use manifests::key::{KeyId, PublicKey};
use manifests::tuf::repository::{count_valid, read_unverified};
use manifests::tuf::{Delegations, ROOT, RoleKeys, Root, TARGETS, Targets, TufError};
use manifests::units::Units;

use crate::before::{Before, BeforeError};
use crate::counted::{Counted, CountedError};
use crate::directory::{Directory, DirectoryError};
use crate::exit::{Exit, Fatal};
use crate::people::{People, SignatureState};
use crate::role_metadata::SignedRole;

/// Every root from the first, as found; signatures are counted where it says so.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    files: Vec<RootFile>,
    before: Before,
    counted: Counted,
}

/// One root.
#[derive(Clone, Debug)]
pub(crate) struct RootFile {
    /// Its name in the directory.
    pub(crate) name: String,
    /// As found.
    pub(crate) bytes: Vec<u8>,
    /// What it says.
    pub(crate) root: Root,
}

/// Why the roots are no chain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootsError {
    /// A file cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Where the roots begin cannot be read.
    #[error(transparent)]
    Before(#[from] BeforeError),
    /// What counted before the one in force cannot be read or written.
    #[error(transparent)]
    Counted(#[from] CountedError),
    /// A version is missing.
    #[error("metadata/{version}.root.json is missing, a later one is there; restore it from git")]
    Gap { version: u64 },
    /// A file is not what its name says.
    #[error("metadata/{version}.root.json says that it is version {found}; restore it from git")]
    Version { version: u64, found: u64 },
    /// A file is no root.
    #[error("metadata/{version}.root.json is no root metadata; restore it from git")]
    Tuf { version: u64, source: TufError },
    /// A root without keys for a role that it must have.
    #[error("{name} names no keys for {role}")]
    NoRole { name: String, role: &'static str },
}

impl Fatal for RootsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Directory(error) => error.exit(),
            Self::Before(error) => error.exit(),
            Self::Counted(error) => error.exit(),
            _ => Exit::Refused,
        }
    }
}

impl Roots {
    /// Reads every root.
    pub(crate) fn read(directory: &Directory) -> Result<Self, RootsError> {
        let mut files = Vec::new();
        let before = Before::read(directory)?;
        let counted = Counted::read(directory)?;
        let first = before.root.saturating_add(1);
        for (version, expected) in directory.versions(ROOT)?.into_iter().zip(first..) {
            if version != expected {
                return Err(RootsError::Gap { version: expected });
            }
            let name = format!("metadata/{version}.root.json");
            let bytes = directory.read(&name)?;
            let root: Root = read_unverified(&bytes).map_err(|source| RootsError::Tuf { version, source })?;
            if root.version != version {
                return Err(RootsError::Version { version, found: root.version });
            }
            files.push(RootFile { name, bytes, root });
        }
        if files.is_empty() { Err(RootsError::Gap { version: first }) } else { Ok(Self { files, before, counted }) }
    }

    /// All of them, in the order of their versions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RootFile> {
        self.files.iter()
    }

    /// The newest, signed or not.
    pub(crate) fn newest(&self) -> Option<&RootFile> {
        self.files.last()
    }

    /// The one whose keys count: the newest complete one, or the first while it is being signed.
    pub(crate) fn in_force(&self, people: &People) -> Option<&RootFile> {
        let complete =
            self.files.iter().take_while(|file| self.standings(file, people).iter().all(SignatureState::is_complete));
        complete.last().or(self.files.first())
    }

    /// How a root stands with its own keys, and with those of the root before it, which must sign too.
    pub(crate) fn standings(&self, file: &RootFile, people: &People) -> Vec<SignatureState> {
        self.deciding(file)
            .filter_map(|other| {
                let tally = count_valid(&file.bytes, &other.root.keys, other.root.roles.get(ROOT)?).ok()?;
                Some(people.standing(tally, &other.root.keys, Units::of_root(&other.root).as_ref()))
            })
            .collect()
    }

    /// Whether a version of targets or lifts is of before the ceremony that the directory began with.
    pub(crate) fn is_of_before(&self, kind: SignedRole, version: u64) -> bool {
        version <= self.before.of(kind)
    }

    /// Whether a version of targets or lifts had its signatures under a root of this directory that was in force
    /// once. One that was made under a later root is not judged by that one.
    pub(crate) fn counted(&self, kind: SignedRole, (version, bytes): (u64, &[u8]), people: &People) -> bool {
        let last = self.in_force(people).map_or(0, |file| file.root.version);
        let mut earlier = self.files.iter().filter(|file| file.root.version < last);
        earlier.any(|file| {
            if !self.counted.allows(kind, version, file.root.version) {
                return false;
            }
            let standing = file.signers().ok().and_then(|signers| signers.standing(bytes, people).ok());
            standing.is_some_and(|standing| standing.is_complete())
        })
    }

    /// Keeps in the directory that `version` was the newest that counted before this root; before a first root
    /// nothing did.
    pub(crate) fn note_counted(
        &self,
        directory: &Directory,
        kind: SignedRole,
        (root, version): (&RootFile, u64),
    ) -> Result<(), RootsError> {
        if self.files.first().is_some_and(|first| first.root.version < root.root.version) {
            self.counted.note(directory, kind, (root.root.version, version))?;
        }
        Ok(())
    }

    /// Whether a key may sign `file`.
    pub(crate) fn may_sign(&self, file: &RootFile, key: &KeyId) -> bool {
        self.deciding(file).filter_map(|other| other.root.roles.get(ROOT)).any(|role| role.keyids.contains(key))
    }

    // A root is signed by a threshold of its own keys and of those of the root before it (TUF 1.0.34, 5.3.4).
    fn deciding(&self, file: &RootFile) -> impl Iterator<Item = &RootFile> {
        let own = file.root.version;
        // Its own first.
        self.files
            .iter()
            .rev()
            .filter(move |other| other.root.version == own || other.root.version.checked_add(1) == Some(own))
    }
}

impl RootFile {
    /// The release managers as this root names them, for targets and lifts.
    pub(crate) fn signers(&self) -> Result<Signers<'_>, RootsError> {
        let role = TARGETS;
        let who = self.root.roles.get(role).ok_or_else(|| RootsError::NoRole { name: self.name.clone(), role })?;
        Ok(Signers { root: &self.root, who })
    }
}

/// Who may sign targets and lifts, and how many of them must.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signers<'a> {
    root: &'a Root,
    /// Ids and threshold.
    pub(crate) who: &'a RoleKeys,
}

impl Signers<'_> {
    /// The keys themselves.
    pub(crate) fn public(&self) -> Vec<PublicKey> {
        self.who.keyids.iter().filter_map(|id| self.root.keys.get(id)).cloned().collect()
    }

    /// How targets delegate lifts to them.
    pub(crate) fn delegations(&self) -> Option<Delegations> {
        let mut targets = Targets::new(1, self.root.expires);
        targets.delegate_lifts(&self.public(), self.who.threshold);
        targets.delegations
    }

    /// How a document stands with them.
    pub(crate) fn standing(&self, bytes: &[u8], people: &People) -> Result<SignatureState, TufError> {
        let keys = &self.root.keys;
        Ok(people.standing(count_valid(bytes, keys, self.who)?, keys, Units::of_root(self.root).as_ref()))
    }
}
