//! The chain of roots, from the one that was installed to the one in force.

use crate::tuf::ROOT;
use crate::tuf::envelope::Envelope;
use crate::tuf::error::{Listing, TufError};
use crate::tuf::fetch::root_path;
use crate::tuf::metadata::Root;
use crate::tuf::store::MetadataStore;
use crate::units::{self, UnitsBefore};

/// The current root, where other clients look for it. The chain behind it lies in the history.
pub(crate) const ROOT_FILE: &str = "root.json";

/// Every root from the first on, each signed by the one before it and by itself.
#[derive(Clone, Debug)]
pub(crate) struct RootChain {
    earlier: Vec<ChainedRoot>,
    current: ChainedRoot,
    /// A root that a newer first root has replaced from outside. It verifies nothing new; it only
    /// explains whose signatures stored metadata bears.
    replaced: Option<Root>,
}

#[derive(Clone, Debug)]
struct ChainedRoot {
    root: Root,
    bytes: Vec<u8>,
    message: Vec<u8>,
}

/// Under which root stored metadata has its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedUnder {
    /// The one in force.
    Current,
    /// One before it, no more: the role's keys were rotated since.
    Earlier,
}

impl RootChain {
    /// The chain begins with a root that signs itself; trust in it comes from outside (5.2).
    pub(crate) fn anchor(bytes: &[u8]) -> Result<Self, TufError> {
        let (root, message) = self_signed("the first root", bytes)?;
        Ok(Self { earlier: Vec::new(), current: ChainedRoot { root, bytes: bytes.to_vec(), message }, replaced: None })
    }

    /// Walks the stored chain from the first root on, every signature checked anew.
    pub(crate) fn load(store: &impl MetadataStore, first: &[u8]) -> Result<Self, TufError> {
        let damaged = |file: &str, reason: &str| TufError::StoreDamaged { file: file.into(), reason: reason.into() };
        let mut roots = Self::anchor(first)?;
        let first_version = roots.current().version;
        loop {
            let file = history_file(roots.next_version());
            let Some(bytes) = store.load(&file)? else { break };
            // Where a root without units was followed by the word of a registry, that is gone since.
            roots.extend(&file, &bytes, &UnitsBefore::NotAsked).map_err(|error| damaged(&file, &error.to_string()))?;
        }
        let Some(bytes) = store.load(ROOT_FILE)? else {
            // It is the first file ever saved, so its absence with others there is a loss.
            let known = roots.current().version > first_version || store.load("timestamp.json")?.is_some();
            return if known { Err(damaged(ROOT_FILE, "it is missing")) } else { Ok(roots) };
        };
        let (stored, message) =
            self_signed(ROOT_FILE, &bytes).map_err(|error| damaged(ROOT_FILE, &error.to_string()))?;
        if stored.version < first_version {
            roots.replaced = Some(stored);
            return Ok(roots);
        }
        let Some(link) = roots.links().find(|link| link.root.version == stored.version) else {
            let file = history_file(roots.next_version());
            return Err(damaged(&file, "it is missing, though root.json is newer"));
        };
        // Compared as signed: the copy installed by hand may be laid out differently.
        if link.message == message {
            Ok(roots)
        } else {
            Err(damaged(ROOT_FILE, "it does not descend from the first root"))
        }
    }

    /// Takes the next root, if the current one and itself both sign it (5.3.4, 5.3.5), by two units each.
    pub(crate) fn extend(&mut self, file: &str, bytes: &[u8], without: &UnitsBefore) -> Result<(), TufError> {
        let envelope = Envelope::parse(file, bytes)?;
        let current = self.current();
        let refused = |source| TufError::Units { file: file.to_owned(), source };
        let signed = envelope.verify(ROOT, &current.keys, current.roles.get(ROOT))?;
        units::may_be_followed(current, &signed, without).map_err(refused)?;
        let root: Root = envelope.decode()?;
        let signed = envelope.verify(ROOT, &root.keys, root.roles.get(ROOT))?;
        let (trusted, offered) = (current.version, root.version);
        if offered <= trusted {
            return Err(TufError::Rollback { file: file.to_owned(), trusted, offered });
        }
        if offered != self.next_version() {
            let listing = Listing::Version { listed: self.next_version(), found: offered };
            return Err(TufError::Mismatch { file: file.to_owned(), listing });
        }
        units::may_follow(current, &root, &signed).map_err(refused)?;
        let next = ChainedRoot { root, bytes: bytes.to_vec(), message: envelope.message };
        self.earlier.push(std::mem::replace(&mut self.current, next));
        Ok(())
    }

    pub(crate) fn current(&self) -> &Root {
        &self.current.root
    }

    pub(crate) fn current_bytes(&self) -> &[u8] {
        &self.current.bytes
    }

    pub(crate) fn next_version(&self) -> u64 {
        self.current.root.version.saturating_add(1)
    }

    /// Files of the chain behind the first root, oldest first.
    pub(crate) fn history(&self) -> impl Iterator<Item = (String, &[u8])> {
        self.links().skip(1).map(|link| (history_file(link.root.version), link.bytes.as_slice()))
    }

    /// Tells damage from key rotation: whether stored metadata was ever signed as it should be.
    ///
    /// The error is the one under the current root.
    pub(crate) fn signed_under(&self, role: &str, envelope: &Envelope) -> Result<SignedUnder, TufError> {
        let verify_under = |root: &Root| envelope.verify(role, &root.keys, root.roles.get(role));
        match verify_under(self.current()) {
            Ok(_) => Ok(SignedUnder::Current),
            Err(error) => {
                let mut before = self.earlier.iter().map(|link| &link.root).chain(&self.replaced);
                if before.any(|root| verify_under(root).is_ok()) { Ok(SignedUnder::Earlier) } else { Err(error) }
            }
        }
    }

    fn links(&self) -> impl Iterator<Item = &ChainedRoot> {
        self.earlier.iter().chain([&self.current])
    }
}

/// Name in the store of a root behind the first.
pub(crate) fn history_file(version: u64) -> String {
    format!("root_history/{}", root_path(version))
}

fn self_signed(file: &str, bytes: &[u8]) -> Result<(Root, Vec<u8>), TufError> {
    let envelope = Envelope::parse(file, bytes)?;
    let root: Root = envelope.decode()?;
    envelope.verify(ROOT, &root.keys, root.roles.get(ROOT))?;
    Ok((root, envelope.message))
}
