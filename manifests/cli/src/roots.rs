//! The roots in the working directory: who may sign.

use manifests::key::{KeyId, PublicKey};
use manifests::tuf::repository::{count_valid, read_unverified};
use manifests::tuf::{ROOT, RoleKeys, Root, TARGETS, TufError};
use manifests::units::Units;

use crate::directory::{Directory, DirectoryError};
use crate::exit::{Exit, Fatal};
use crate::people::{People, SignatureState};

/// Every root from the first, as found; signatures are counted where it says so.
#[derive(Clone, Debug)]
pub(crate) struct Roots(Vec<RootFile>);

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
            _ => Exit::Refused,
        }
    }
}

impl Roots {
    /// Reads every root.
    pub(crate) fn read(directory: &Directory) -> Result<Self, RootsError> {
        let mut files = Vec::new();
        for (version, expected) in directory.versions(ROOT)?.into_iter().zip(1..) {
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
        if files.is_empty() { Err(RootsError::Gap { version: 1 }) } else { Ok(Self(files)) }
    }

    /// All of them, in the order of their versions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RootFile> {
        self.0.iter()
    }

    /// The newest, signed or not.
    pub(crate) fn newest(&self) -> Option<&RootFile> {
        self.0.last()
    }

    /// The one whose keys count: the newest complete one, or the first while it is being signed.
    pub(crate) fn in_force(&self, people: &People) -> Option<&RootFile> {
        let complete =
            self.0.iter().take_while(|file| self.standings(file, people).iter().all(SignatureState::is_complete));
        complete.last().or(self.0.first())
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

    /// Whether a key may sign `file`.
    pub(crate) fn may_sign(&self, file: &RootFile, key: &KeyId) -> bool {
        self.deciding(file).filter_map(|other| other.root.roles.get(ROOT)).any(|role| role.keyids.contains(key))
    }

    // A root is signed by a threshold of its own keys and of those of the root before it (TUF 1.0.34, 5.3.4).
    fn deciding(&self, file: &RootFile) -> impl Iterator<Item = &RootFile> {
        let own = file.root.version;
        self.0.iter().filter(move |other| other.root.version == own || other.root.version.checked_add(1) == Some(own))
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

    /// How a document stands with them.
    pub(crate) fn standing(&self, bytes: &[u8], people: &People) -> Result<SignatureState, TufError> {
        let keys = &self.root.keys;
        Ok(people.standing(count_valid(bytes, keys, self.who)?, keys, Units::of_root(self.root).as_ref()))
    }
}
