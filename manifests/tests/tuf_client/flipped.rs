//! Whatever byte is changed, on the way or on the disk: the client refuses, or holds exactly what was
//! signed.

use std::sync::OnceLock;

use manifests::tuf::repository::LIFTS;
use manifests::tuf::{MemoryStore, Trusted, TufError};
use proptest::prelude::*;

use crate::repo::{BASELINE, Repo, Served, signed_by};

/// A repository with two roots, its served files in a list, and a store that trusts its first version.
struct Fixture {
    repo: Repo,
    served: Vec<(bool, String)>,
    before: MemoryStore,
    after: MemoryStore,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let mut repo = Repo::new();
        let before = repo.refreshed();
        repo.root = repo.root.next(repo.root.expires);
        let bytes = signed_by(&repo.root, &repo.managers);
        repo.serve("root", 2, bytes);
        repo.later(60);
        repo.targets.version = 2;
        repo.lifts.version = 2;
        repo.served.targets.clear();
        repo.add_file(BASELINE, b"schema = 1\nproduct = \"convenience-issuance\"\n");
        repo.publish();
        let old = before.files.values().cloned().collect::<Vec<_>>();
        repo.served.metadata.retain(|_, bytes| !old.contains(bytes));
        let metadata = repo.served.metadata.keys().map(|name| (true, name.clone()));
        let targets = repo.served.targets.keys().map(|name| (false, name.clone()));
        let served = metadata.chain(targets).collect();
        let mut after = before.clone();
        let mut client = repo.client(&mut after);
        client.refresh(repo.now).unwrap();
        client.delegated(LIFTS).unwrap();
        Fixture { repo, served, before, after }
    })
}

fn follow(served: Served) -> Result<(Trusted, Vec<u8>), TufError> {
    let Fixture { repo, before, .. } = fixture();
    let mut store = before.clone();
    let mut client = manifests::tuf::TufClient::new(&repo.first_root, &mut store, served)?;
    client.refresh(repo.now)?;
    client.delegated(LIFTS)?;
    let baseline = client.download(BASELINE)?;
    Ok((Trusted::load(&store, &repo.first_root)?, baseline))
}

fn assert_as_signed(trusted: &Trusted) -> Result<(), TestCaseError> {
    let Repo { root, timestamp, snapshot, targets, lifts, .. } = &fixture().repo;
    prop_assert_eq!(trusted.root(), root);
    prop_assert_eq!(trusted.timestamp(), timestamp);
    prop_assert_eq!(trusted.snapshot(), snapshot);
    prop_assert_eq!(trusted.targets(), targets);
    prop_assert_eq!(trusted.delegated(LIFTS), Some(lifts));
    Ok(())
}

#[test]
fn unchanged_files_are_accepted() {
    let (trusted, _) = follow(fixture().repo.served.clone()).unwrap();
    assert_as_signed(&trusted).unwrap();
    assert_as_signed(&Trusted::load(&fixture().after, &fixture().repo.first_root).unwrap()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_byte_changed_on_the_way_changes_no_trust(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        let (is_metadata, name) = file.get(&fixture().served);
        let mut served = fixture().repo.served.clone();
        let files = if *is_metadata { &mut served.metadata } else { &mut served.targets };
        let bytes = files.get_mut(name).unwrap();
        let index = at.index(bytes.len());
        bytes[index] ^= mask;
        // Accepted it may be: white space, and signatures beyond the threshold, are not signed.
        if let Ok((trusted, baseline)) = follow(served) {
            prop_assert!(*is_metadata, "{} was accepted", name);
            assert_as_signed(&trusted)?;
            prop_assert_eq!(&baseline, b"schema = 1\nproduct = \"convenience-issuance\"\n");
        }
    }

    #[test]
    fn a_byte_changed_on_the_disk_changes_no_trust(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        let names: Vec<_> = fixture().after.files.keys().collect();
        let mut store = fixture().after.clone();
        let bytes = store.files.get_mut(*file.get(&names)).unwrap();
        let index = at.index(bytes.len());
        bytes[index] ^= mask;
        if let Ok(trusted) = Trusted::load(&store, &fixture().repo.first_root) {
            assert_as_signed(&trusted)?;
        }
    }
}
