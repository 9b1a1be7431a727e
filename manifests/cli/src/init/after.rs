//! What a new ceremony takes over from the directory of before.

use std::path::Path;

use manifests::tuf::ROOT;
use manifests::tuf::repository::{file_path, lift_path};

use crate::before::{BEFORE, Before};
use crate::directory::{BASELINE, Directory, DirectoryError, REGISTRY};
use crate::exit::CommandError;
use crate::init::{NewController, NewSigner};
use crate::role_metadata::SignedRole;
use crate::root::Registry;

/// Files to be written, by name.
pub(crate) struct After {
    /// How far versions went.
    pub(crate) before: Before,
    files: Vec<(String, Vec<u8>)>,
}

impl After {
    /// Reads the directory of before. Nothing in it need be signed by anybody.
    pub(crate) fn read(
        path: &Path,
        signers: &[NewSigner<'_>],
        controllers: &[NewController],
    ) -> Result<Self, CommandError> {
        let old = Directory::open(path)?;
        // One directory may come after another that came after a third.
        let earlier = Before::read(&old)?;
        let newest = |role: &str, floor: u64| -> Result<u64, DirectoryError> {
            Ok(old.versions(role)?.last().copied().unwrap_or_default().max(floor))
        };
        let before = Before {
            root: newest(ROOT, earlier.root)?,
            targets: newest(SignedRole::Targets.role(), earlier.targets)?,
            lifts: newest(SignedRole::Lifts.role(), earlier.lifts)?,
        };
        let mut registry = Registry::parse(&old.text(REGISTRY)?)?;
        registry.set_signers(signers.iter().map(|signer| (signer.name, signer.unit, &signer.key)))?;
        registry.set_controllers(controllers)?;
        let mut names = vec![".gitattributes".to_owned(), BASELINE.to_owned()];
        names.extend(old.files()?.iter().map(file_path));
        names.extend(old.lifts()?.iter().map(|(stop, number)| lift_path(stop, *number)));
        // What is signed next is compared with them, and goes on from their numbers.
        names.extend([SignedRole::Targets, SignedRole::Lifts].map(|kind| kind.name(before.of(kind))));
        let mut files = Vec::new();
        for name in names {
            if let Some(bytes) = old.read_if_there(&name)? {
                files.push((name, bytes));
            }
        }
        for name in [BASELINE, REGISTRY] {
            let bytes = old.read(name)?;
            files.push((crate::signed::name_of(&bytes), bytes));
        }
        files.push((REGISTRY.to_owned(), registry.to_string().into_bytes()));
        let Before { root, targets, lifts } = before;
        let text = format!("{{\n  \"root\": {root},\n  \"targets\": {targets},\n  \"lifts\": {lifts}\n}}\n");
        files.push((BEFORE.to_owned(), text.into_bytes()));
        Ok(Self { before, files })
    }

    /// Writes all of it, and the root last, as it makes a directory of ours of it.
    pub(crate) fn write(&self, directory: &Directory, version: u64, root: &[u8]) -> Result<(), DirectoryError> {
        for (name, bytes) in &self.files {
            directory.write(name, bytes)?;
        }
        directory.write(&format!("metadata/{version}.root.json"), root)
    }
}
