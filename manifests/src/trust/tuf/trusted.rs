//! A complete set of verified metadata, and the search for a target in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::{KeyId, PublicKey};
use crate::tuf::envelope::{Envelope, open_listed};
use crate::tuf::error::{Listing, TufError};
use crate::tuf::fetch::file_name;
use crate::tuf::metadata::{Delegation, MetaFile, RoleKeys, Root, Signed, Snapshot, TargetFile, Targets, Timestamp};
use crate::tuf::roots::{ROOT_FILE, RootChain, SignedUnder};
use crate::tuf::store::MetadataStore;
use crate::tuf::{ROLES_VISITED_MAX, SNAPSHOT, TARGETS, TIMESTAMP};

/// Says in the store how far a refresh ever got; see [`Progress`].
pub(crate) const PROGRESS_FILE: &str = "progress";

/// Root, timestamp, snapshot, targets, and the delegated roles read so far: each signed by its
/// threshold, each the version that the one above it lists. Has no other constructor than
/// [`crate::tuf::TufClient::refresh`] and [`Trusted::load`].
#[derive(Clone, Debug)]
pub struct Trusted {
    pub(crate) roots: RootChain,
    pub(crate) timestamp: Stored<Timestamp>,
    pub(crate) snapshot: Stored<Snapshot>,
    pub(crate) targets: Stored<Targets>,
    pub(crate) delegated: BTreeMap<Chain, Stored<Targets>>,
}

/// Names of the delegated roles from the top-level targets down to one of them; empty for the
/// top-level targets. A role's authority comes from who delegated to it, so metadata that was verified
/// along one chain says nothing along another.
pub(crate) type Chain = Vec<String>;

/// Most chains of delegations read from a store.
const CHAINS_LOADED_MAX: usize = 256;

/// Metadata with the bytes it was read from, which are what is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored<T> {
    pub(crate) value: T,
    pub(crate) bytes: Vec<u8>,
}

/// How far a refresh ever got, kept in the store. It is how a lost file is told from one that never
/// was there: without it, deleting `timestamp.json` would switch the rollback check off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// None has finished, or none since keys were rotated.
    None,
    /// One has: timestamp, snapshot and targets are there for good.
    Complete,
    /// Timestamp and snapshot are being removed after a key rotation (5.3.11).
    Reset,
}

impl Progress {
    pub(crate) fn load(store: &impl MetadataStore) -> Result<Self, TufError> {
        match store.load(PROGRESS_FILE)?.as_deref() {
            None => Ok(Self::None),
            Some(b"complete\n") => Ok(Self::Complete),
            Some(b"reset\n") => Ok(Self::Reset),
            Some(_) => Err(damaged(PROGRESS_FILE, "it says neither complete nor reset")),
        }
    }

    pub(crate) fn save(self, store: &mut impl MetadataStore) -> Result<(), TufError> {
        match self {
            Self::None => store.remove(PROGRESS_FILE)?,
            Self::Complete => store.save(PROGRESS_FILE, b"complete\n")?,
            Self::Reset => store.save(PROGRESS_FILE, b"reset\n")?,
        }
        Ok(())
    }
}

/// Where the search for a target stands.
pub(crate) enum Search<'a> {
    Found(&'a TargetFile),
    /// This delegated role must be read before it can go on.
    Needs(Chain),
    Nowhere,
}

impl Trusted {
    /// Loads the stored set without a network: every signature, threshold, digest and version is
    /// checked anew, from the first root on. Expiry is not judged:
    /// what an expired set may still be used for is the caller's rule.
    ///
    /// # Errors
    /// [`TufError::NothingTrusted`] if no refresh ever stored anything; [`TufError::Incomplete`] if
    /// the last one stopped half-way, so refresh a working store, and keep the set in use in another
    /// ([`Trusted::save`]); [`TufError::StoreDamaged`] for everything else that is wrong with a file.
    pub fn load(store: &impl MetadataStore, first_root: &[u8]) -> Result<Self, TufError> {
        let roots = RootChain::load(store, first_root)?;
        let progress = Progress::load(store)?;
        let load = |role: &str| -> Result<Option<Vec<u8>>, TufError> { Ok(store.load(&file_name(role))?) };
        let (Some(timestamp), Some(snapshot), Some(targets)) = (load(TIMESTAMP)?, load(SNAPSHOT)?, load(TARGETS)?)
        else {
            return Err(if progress == Progress::Complete {
                damaged(PROGRESS_FILE, "a set was stored, but timestamp.json, snapshot.json or targets.json is missing")
            } else {
                TufError::NothingTrusted
            });
        };
        let timestamp = stored_top::<Timestamp>(&roots, TIMESTAMP, timestamp)?;
        let snapshot = stored_top::<Snapshot>(&roots, SNAPSHOT, snapshot)?;
        let targets = stored_top::<Targets>(&roots, TARGETS, targets)?;
        check_stored(SNAPSHOT, &snapshot, timestamp.value.snapshot())?;
        check_stored(TARGETS, &targets, snapshot.value.meta.get("targets.json"))?;
        let mut trusted = Self { roots, timestamp, snapshot, targets, delegated: BTreeMap::new() };
        trusted.load_delegated(store)?;
        Ok(trusted)
    }

    /// Writes the whole set into another, empty store, from which [`Trusted::load`] reads it.
    ///
    /// Delegated roles are part of it as far as they were read: ask for those that matter
    /// ([`crate::tuf::TufClient::delegated`]) before.
    ///
    /// # Errors
    /// [`TufError::Store`]; what was written so far is then no complete set.
    pub fn save(&self, store: &mut impl MetadataStore) -> Result<(), TufError> {
        for (file, bytes) in self.files() {
            store.save(&file, bytes)?;
        }
        Progress::Complete.save(store)
    }

    /// All files of the set by their name in a store, as they were received.
    pub fn files(&self) -> Vec<(String, &[u8])> {
        let mut files: Vec<_> = self.roots.history().collect();
        files.push((ROOT_FILE.to_owned(), self.roots.current_bytes()));
        files.push((file_name(TIMESTAMP), &self.timestamp.bytes));
        files.push((file_name(SNAPSHOT), &self.snapshot.bytes));
        files.push((file_name(TARGETS), &self.targets.bytes));
        files.extend(self.delegated.iter().map(|(chain, held)| (file_name(name_of(chain)), held.bytes.as_slice())));
        files
    }

    /// The root in force.
    pub fn root(&self) -> &Root {
        self.roots.current()
    }

    /// The timestamp.
    pub fn timestamp(&self) -> &Timestamp {
        &self.timestamp.value
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot.value
    }

    /// The top-level targets.
    pub fn targets(&self) -> &Targets {
        &self.targets.value
    }

    /// A role that the top-level targets delegate to, if it has been read.
    pub fn delegated(&self, name: &str) -> Option<&Targets> {
        self.delegated.get(&vec![name.to_owned()]).map(|held| &held.value)
    }

    /// What the roles that may speak for `path` say of it, without a network.
    ///
    /// # Errors
    /// [`TufError::NoSuchTarget`]; [`TufError::Incomplete`] if a role in the way was never read.
    pub fn target(&self, path: &str) -> Result<&TargetFile, TufError> {
        match self.search(path) {
            Search::Found(file) => Ok(file),
            Search::Nowhere => Err(TufError::NoSuchTarget { path: path.to_owned() }),
            Search::Needs(chain) => Err(incomplete(&file_name(name_of(&chain)), "it was never read")),
        }
    }

    /// Pre-order, depth first, in the order of the delegations (5.6.7). Reads nothing: names the role
    /// it needs next.
    pub(crate) fn search(&self, path: &str) -> Search<'_> {
        let mut ahead = vec![Chain::new()];
        let mut visited = BTreeSet::new();
        while let Some(chain) = ahead.pop() {
            let name = name_of(&chain).to_owned();
            if visited.contains(&name) {
                continue; // Delegations may go round in circles (5.6.7.1).
            }
            if visited.len() >= ROLES_VISITED_MAX {
                return Search::Nowhere;
            }
            let Some(targets) = self.role(&chain) else { return Search::Needs(chain) };
            if let Some(file) = targets.targets.get(path) {
                return Search::Found(file);
            }
            let mut children = Vec::new();
            for role in delegations(targets).filter(|role| role.covers(path)) {
                children.push(extended(&chain, &role.name));
                if role.terminating {
                    // Nobody behind it is asked, at any level (5.6.7.2.1).
                    ahead.clear();
                    break;
                }
            }
            ahead.extend(children.into_iter().rev());
            visited.insert(name);
        }
        Search::Nowhere
    }

    /// Keys that its delegator names for a role, and what the snapshot lists of it.
    pub(crate) fn terms(&self, chain: &Chain) -> Result<Terms<'_>, TufError> {
        let name = name_of(chain);
        let unknown = || TufError::NoSuchRole { role: name.to_owned() };
        let (_, delegator) = chain.split_last().ok_or_else(unknown)?;
        let delegator = self.role(&delegator.to_vec()).and_then(|targets| targets.delegations.as_ref());
        let delegations = delegator.ok_or_else(unknown)?;
        let delegation = delegations.role(name).ok_or_else(unknown)?;
        let listed = self.snapshot().meta.get(&format!("{name}.json"));
        let listed =
            listed.ok_or_else(|| TufError::Mismatch { file: file_name(name), listing: Listing::NotInSnapshot })?;
        Ok(Terms { keys: &delegations.keys, who: &delegation.keys, listed })
    }

    fn role(&self, chain: &Chain) -> Option<&Targets> {
        if chain.is_empty() { Some(self.targets()) } else { self.delegated.get(chain).map(|held| &held.value) }
    }

    // All delegated roles that are stored, from the top down. Each must fit along one chain at least:
    // a set that silently lacks its lifts is not complete.
    fn load_delegated(&mut self, store: &impl MetadataStore) -> Result<(), TufError> {
        let mut ahead = vec![Chain::new()];
        let mut unfit = BTreeSet::new();
        while let Some(delegator) = ahead.pop() {
            let targets = self.role(&delegator).into_iter();
            let names: Vec<String> = targets.flat_map(delegations).map(|role| role.name.clone()).collect();
            for name in names {
                if delegator.contains(&name) || self.delegated.len() >= CHAINS_LOADED_MAX {
                    continue;
                }
                let chain = extended(&delegator, &name);
                let Ok(terms) = self.terms(&chain) else { continue };
                if let Some(held) = terms.load(store, &name)? {
                    self.delegated.insert(chain.clone(), held);
                    ahead.push(chain);
                } else if store.load(&file_name(&name))?.is_some() {
                    unfit.insert(name);
                }
            }
        }
        for chain in self.delegated.keys() {
            unfit.remove(name_of(chain));
        }
        match unfit.first() {
            Some(name) => Err(incomplete(&file_name(name), "it is not the one listed, or not signed for it")),
            None => Ok(()),
        }
    }
}

/// On what terms a delegated role is believed.
pub(crate) struct Terms<'a> {
    pub(crate) keys: &'a BTreeMap<KeyId, PublicKey>,
    pub(crate) who: &'a RoleKeys,
    pub(crate) listed: &'a MetaFile,
}

impl Terms<'_> {
    pub(crate) fn open(&self, file: &str, name: &str, bytes: Vec<u8>) -> Result<Stored<Targets>, TufError> {
        let value = open_listed(file, &bytes, self.listed, (name, self.keys, Some(self.who)))?;
        Ok(Stored { value, bytes })
    }

    /// The stored role, `None` if another one is to be fetched.
    ///
    /// No rollback is judged by it, as the snapshot says which version it must be. So what does not
    /// fit is fetched anew, unless it must have been damaged on the disk: then that is said.
    pub(crate) fn load(&self, store: &impl MetadataStore, name: &str) -> Result<Option<Stored<Targets>>, TufError> {
        let file = file_name(name);
        let Some(bytes) = store.load(&file)? else { return Ok(None) };
        let envelope = Envelope::parse(&file, &bytes).map_err(|error| damaged(&file, &error.to_string()))?;
        let version = envelope.signed.get("version").and_then(serde_json::Value::as_u64);
        // Neither the bytes that the snapshot lists for this version, nor signed. Signed, but other
        // bytes: somebody signed the same version once more. The bytes listed, but not signed: other
        // delegators' keys did.
        let other_bytes = self.listed.hashes.is_some() && self.listed.verify(&bytes).is_err();
        let signed = envelope.verify(name, self.keys, Some(self.who));
        match signed {
            Err(error) if version.is_none_or(|version| version == self.listed.version && other_bytes) => {
                Err(damaged(&file, &error.to_string()))
            }
            _ => Ok(self.open(&file, name, bytes).ok()),
        }
    }
}

/// Stored top-level metadata; its threshold must be that of a root of the chain.
pub(crate) fn open_stored<T: Signed>(
    roots: &RootChain,
    role: &str,
    bytes: Vec<u8>,
) -> Result<(Stored<T>, SignedUnder), TufError> {
    let file = file_name(role);
    let damage = |error: TufError| damaged(&file, &error.to_string());
    let envelope = Envelope::parse(&file, &bytes).map_err(damage)?;
    let root = roots.signed_under(role, &envelope).map_err(damage)?;
    let value = envelope.decode().map_err(damage)?;
    Ok((Stored { value, bytes }, root))
}

fn stored_top<T: Signed>(roots: &RootChain, role: &str, bytes: Vec<u8>) -> Result<Stored<T>, TufError> {
    match open_stored(roots, role, bytes)? {
        (held, SignedUnder::Current) => Ok(held),
        (_, SignedUnder::Earlier) => Err(incomplete(&file_name(role), "its keys were rotated since")),
    }
}

// Every stored file was the one listed when it was stored, so a difference tells of a refresh that
// went on above it and no further.
fn check_stored<T: Signed>(role: &str, held: &Stored<T>, listed: Option<&MetaFile>) -> Result<(), TufError> {
    let found = held.value.version();
    match listed {
        Some(listed) if listed.version == found && listed.verify(&held.bytes).is_ok() => Ok(()),
        Some(listed) => {
            let reason = format!("version {found} is stored, another file as version {} is listed", listed.version);
            Err(incomplete(&file_name(role), &reason))
        }
        None => Err(incomplete(&file_name(role), "it is not listed")),
    }
}

pub(crate) fn damaged(file: &str, reason: &str) -> TufError {
    TufError::StoreDamaged { file: file.to_owned(), reason: reason.to_owned() }
}

fn incomplete(file: &str, reason: &str) -> TufError {
    TufError::Incomplete { file: file.to_owned(), reason: reason.to_owned() }
}

pub(crate) fn name_of(chain: &[String]) -> &str {
    chain.last().map_or(TARGETS, String::as_str)
}

fn extended(chain: &Chain, name: &str) -> Chain {
    let mut longer = chain.clone();
    longer.push(name.to_owned());
    longer
}

fn delegations(targets: &Targets) -> impl Iterator<Item = &Delegation> {
    targets.delegations.iter().flat_map(|delegations| &delegations.roles)
}
