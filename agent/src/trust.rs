//! Which set of baseline, registry and lifts this host trusts.
//!
//! Two places: `trust/` follows the repository and never goes back; `sets/N`, which the link
//! `active` names, is the set in use. A new set is verified in the first while the second rules.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use manifests::durable::{self, DurableError};
use manifests::evidence::Agent;
use manifests::id::ProductId;
use manifests::registry::Registry;
use manifests::set::{self, SetError, VerifiedSet};
use manifests::time::Time;
use manifests::tuf::repository::LIFTS;
use manifests::tuf::{
    Fetch, FileStore, ROOT_BYTES_MAX, TARGET_FILE_BYTES_MAX, TargetFile, Trusted, TufClient, TufError,
};

use crate::config::Config;

/// The host's trust: the first root and what was verified from it.
#[derive(Clone, Debug)]
pub struct Trust {
    first_root: Vec<u8>,
    directory: PathBuf,
    product: ProductId,
}

/// A set with the metadata that vouches for it.
#[derive(Clone, Debug)]
pub struct TrustedSet {
    set: VerifiedSet,
    trusted: Trusted,
}

impl Deref for TrustedSet {
    type Target = VerifiedSet;

    fn deref(&self) -> &VerifiedSet {
        &self.set
    }
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The metadata does not verify, or cannot be fetched.
    #[error("the signed metadata is refused")]
    Tuf(#[source] TufError),
    /// The metadata verifies, what it lists cannot be used.
    #[error("the signed set is refused")]
    Set(#[source] SetError),
    /// A file cannot be kept.
    #[error("cannot keep the verified set")]
    Keep(#[source] DurableError),
    /// A directory cannot be made, linked or removed.
    #[error("cannot keep the verified set in {}", path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl TrustError {
    /// Stable code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            TrustError::Tuf(error) => error.code(),
            TrustError::Set(error) => error.code(),
            TrustError::Keep(_) | TrustError::Directory { .. } => "store",
        }
    }

    /// Whether a file on this host is at fault, not what the controller serves.
    pub fn is_damage(&self) -> bool {
        matches!(self, TrustError::Tuf(TufError::StoreDamaged { .. }))
    }

    /// Whether a signed baseline or registry is refused because `agent` is too old: the baseline asks for
    /// a newer one, or one of them is of a schema that `agent` does not read yet.
    pub fn asks_for_newer(&self, agent: &Agent) -> bool {
        match self {
            TrustError::Set(SetError::Refused { min_agent, is_newer, .. }) => {
                *is_newer || min_agent.as_ref().is_some_and(|least| agent.version.cmp_precedence(least).is_lt())
            }
            TrustError::Set(_) | TrustError::Tuf(_) | TrustError::Keep(_) | TrustError::Directory { .. } => false,
        }
    }

    /// Whether what was signed is refused for what it says, though every byte of it verifies.
    pub fn is_refusal(&self) -> bool {
        match self {
            TrustError::Set(SetError::Target { .. } | SetError::Trust(TufError::Mismatch { .. })) => false,
            TrustError::Set(_) => true,
            TrustError::Tuf(_) | TrustError::Keep(_) | TrustError::Directory { .. } => false,
        }
    }
}

impl Trust {
    /// Trust that begins with `first_root` and is kept below `directory`, the state directory.
    fn new(first_root: Vec<u8>, directory: &Path, product: ProductId) -> Self {
        Self { first_root, directory: directory.to_owned(), product }
    }

    /// The trust of the host that `config` is for.
    ///
    /// # Errors
    /// If the first root cannot be read.
    pub fn of(config: &Config) -> Result<Self, DurableError> {
        let first_root = durable::read_limited(&config.root, ROOT_BYTES_MAX)?;
        Ok(Self::new(first_root, &config.state, config.product.clone()))
    }

    /// The set in use, read and verified anew; none if there never was one.
    ///
    /// # Errors
    /// [`TrustError`]; damage is an error, never "no set".
    pub fn active(&self) -> Result<Option<TrustedSet>, TrustError> {
        self.stored("active", None)
    }

    /// The newest set that followed the repository, in use or not yet; none if there never was one.
    /// `before` is the registry in use.
    ///
    /// # Errors
    /// As [`Trust::active`]; [`TrustError::is_refusal`] for a set that never counted.
    pub fn newest(&self, before: Option<&Registry>) -> Result<Option<TrustedSet>, TrustError> {
        self.stored("trust", before)
    }

    fn stored(&self, name: &str, before: Option<&Registry>) -> Result<Option<TrustedSet>, TrustError> {
        let path = self.directory.join(name);
        // A link that leads nowhere is damage: only what was never made is absent.
        if std::fs::symlink_metadata(&path).is_err() {
            return Ok(None);
        }
        let trusted = match Trusted::load(&FileStore::new(path), &self.first_root) {
            Ok(trusted) => trusted,
            // A first refresh, or a rotation of keys, that stopped half-way: the next one goes on.
            Err(TufError::NothingTrusted | TufError::Incomplete { .. }) if name == "trust" => return Ok(None),
            Err(error) => return Err(TrustError::Tuf(error)),
        };
        let kept = |_: &str, file: &TargetFile| self.kept(file);
        match set::read(&trusted, &self.product, before, kept) {
            Ok(set) => Ok(Some(TrustedSet { set, trusted })),
            // The metadata was stored and its targets were not yet: the next refresh brings them.
            Err(SetError::Target { .. }) if name == "trust" => Ok(None),
            Err(error) => Err(TrustError::Set(error)),
        }
    }

    /// Follows the repository, and reads the set it now has. `before` is the newest registry verified.
    ///
    /// # Errors
    /// [`TrustError`]; what was trusted before stays as it was, but for the steps that TUF keeps.
    pub fn refresh(&self, fetch: impl Fetch, before: Option<&Registry>, now: Time) -> Result<TrustedSet, TrustError> {
        let store = FileStore::new(self.directory.join("trust"));
        let mut client = TufClient::new(&self.first_root, store, fetch).map_err(TrustError::Tuf)?.by_units(before);
        client.refresh(now).map_err(TrustError::Tuf)?;
        match client.delegated(LIFTS) {
            Ok(_) | Err(TufError::NoSuchRole { .. }) => {}
            Err(error) => return Err(TrustError::Tuf(error)),
        }
        let trusted = client.trusted().cloned().ok_or(TrustError::Tuf(TufError::NothingTrusted))?;
        let set = set::read(&trusted, &self.product, before, |path, file| -> Result<Vec<u8>, TrustError> {
            if let Ok(bytes) = self.kept(file)
                && file.verify(&bytes).is_ok()
            {
                return Ok(bytes);
            }
            let bytes = client.download(path).map_err(TrustError::Tuf)?;
            self.keep(file, &bytes)?;
            Ok(bytes)
        })
        .map_err(TrustError::Set)?;
        Ok(TrustedSet { set, trusted })
    }

    /// Makes `set` the one in use, in one rename.
    ///
    /// # Errors
    /// [`TrustError::Keep`], [`TrustError::Directory`]; the set in use is then the one before.
    pub fn activate(&self, set: &TrustedSet) -> Result<(), TrustError> {
        let sets = self.directory.join("sets");
        let active = self.directory.join("active");
        let before = std::fs::read_link(&active).ok();
        let number = |link: &Path| link.file_name()?.to_str()?.parse::<u64>().ok();
        let next = before.as_deref().and_then(number).unwrap_or(0).wrapping_add(1);
        let directory = sets.join(next.to_string());
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TrustError::Directory { path, source }
        };
        if directory.exists() {
            std::fs::remove_dir_all(&directory).map_err(failed(&directory))?; // Left by a crash, never in use.
        }
        durable::create_directory(&directory).map_err(TrustError::Keep)?;
        set.trusted.save(&mut FileStore::new(&directory)).map_err(TrustError::Tuf)?;
        let link = self.directory.join("active.new");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(Path::new("sets").join(next.to_string()), &link).map_err(failed(&link))?;
        std::fs::rename(&link, &active).map_err(failed(&active))?;
        durable::sync_directory(&self.directory).map_err(failed(&self.directory))?;
        self.remove_unused(&sets, next, set);
        Ok(())
    }

    // Room is all that is lost if this fails, and the next switch tries again.
    fn remove_unused(&self, sets: &Path, used: u64, active: &TrustedSet) {
        for entry in std::fs::read_dir(sets).into_iter().flatten().flatten() {
            if entry.file_name().to_str() != Some(used.to_string().as_str()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let newest = Trusted::load(&FileStore::new(self.directory.join("trust")), &self.first_root);
        let Ok(newest) = newest else { return };
        let mut named = BTreeSet::new();
        for trusted in [&active.trusted, &newest] {
            let lifts = trusted.delegated(LIFTS).into_iter().flat_map(|role| role.targets.values());
            let files = trusted.targets().targets.values().chain(lifts);
            named.extend(files.filter_map(|file| file.hashes.sha256()).map(|digest| digest.hex()));
        }
        for entry in std::fs::read_dir(self.directory.join("targets")).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| !named.contains(name)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn target_file(&self, file: &TargetFile) -> Option<PathBuf> {
        Some(self.directory.join("targets").join(file.hashes.sha256()?.hex()))
    }

    fn kept(&self, file: &TargetFile) -> Result<Vec<u8>, TrustError> {
        let path = self.target_file(file).ok_or(TrustError::Tuf(TufError::NothingTrusted))?;
        durable::read_limited(&path, TARGET_FILE_BYTES_MAX).map_err(TrustError::Keep)
    }

    fn keep(&self, file: &TargetFile, bytes: &[u8]) -> Result<(), TrustError> {
        let path = self.target_file(file).ok_or(TrustError::Tuf(TufError::NothingTrusted))?;
        durable::create_directory(&self.directory.join("targets")).map_err(TrustError::Keep)?;
        durable::replace(&path, bytes, durable::PRIVATE).map_err(TrustError::Keep)
    }
}
