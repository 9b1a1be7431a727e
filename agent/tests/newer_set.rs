//! A set that is for newer agents than this one is refused as that, when it comes and after every restart.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be made is a test that fails")]

#[path = "../../manifests/tests/common/keys.rs"]
mod keys;
#[path = "../../manifests/tests/common/signed_set.rs"]
mod signed_set;
#[path = "support/unenrolled.rs"]
mod unenrolled;

use agent::config::Config;
use agent::trust::{Trust, TrustError};
use manifests::digest::Digest;
use manifests::evidence::Agent;
use manifests::time::Span;
use manifests::{baseline, registry};
use signed_set::SignedSet;

fn later(text: &str, schema: u32) -> String {
    text.replace("schema = 1\n", &format!("schema = {schema}\n"))
}

/// What becomes of a set with this change, when it comes and after a restart.
fn refused(change: impl Fn(&mut SignedSet)) -> [TrustError; 2] {
    let directory = tempfile::tempdir().unwrap();
    let mut set = SignedSet::new();
    change(&mut set);
    let (served, root) = set.publish();
    std::fs::write(directory.path().join("root.json"), root).unwrap();
    let path = directory.path().join("agent.toml");
    std::fs::write(&path, unenrolled::CONFIG).unwrap();
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let config = Config::read(&path).unwrap();
    let came = Trust::of(&config).unwrap().refresh(served, None, set.now.after(Span::from_s(60))).err();
    let kept = Trust::of(&config).unwrap().newest(None).err();
    [came, kept].map(|error| error.unwrap_or_else(|| panic!("it was taken")))
}

#[test]
fn a_set_of_a_later_schema_or_for_newer_agents_says_so_whenever_it_is_read() {
    let agent = Agent { version: semver::Version::new(0, 1, 0), digest: Digest::of(b"agent") };
    let baseline = |schema| move |set: &mut SignedSet| set.baseline = later(&set.baseline, schema);
    let registry = |schema| move |set: &mut SignedSet| set.registry = Some(later(&set.registry(), schema));
    let min_agent = |set: &mut SignedSet| set.baseline += "\n[gate]\nodd = 1\n";
    for error in refused(baseline(baseline::SCHEMA + 1)).iter().chain(&refused(registry(registry::SCHEMA + 1))) {
        assert!(error.asks_for_newer(&agent) && error.is_refusal(), "{error:?}");
    }
    let asks = |set: &mut SignedSet| {
        min_agent(set);
        set.baseline = set.baseline.replace("schema = 1\n", "schema = 1\nmin_agent = \"0.1.1\"\n");
    };
    for error in refused(asks) {
        assert!(error.asks_for_newer(&agent), "{error:?}");
    }
    // A mistake is a mistake: no other agent would read it.
    for error in refused(min_agent).iter().chain(&refused(baseline(0))).chain(&refused(registry(0))) {
        assert!(!error.asks_for_newer(&agent) && error.is_refusal(), "{error:?}");
    }
}
