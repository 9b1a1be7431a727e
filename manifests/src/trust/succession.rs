//! What may follow what is in force: the product's own rules, which TUF does not know.
//!
//! The release managers' tool refuses to sign what breaks one of them, and a controller refuses to
//! publish it. Both ask here, so that they cannot disagree.

use std::collections::BTreeMap;

use semver::Version;

use crate::digest::Digest;
use crate::id::ControllerId;
use crate::key::{KeyId, PublicKey};
use crate::registry::Registry;
use crate::time::{Span, Time};
use crate::tuf::repository::ROOT_LIFE;
use crate::tuf::{ROOT, Root, TARGETS, TargetFile};
use crate::units::{Units, is_same_unit};

/// Fewest signatures that root and targets need.
pub const SIGNATURES_MIN: u64 = 2;
/// How far the clocks of two signers may lie apart.
const SIGNERS_SKEW_MAX: Span = Span::from_s(86_400);
const DAY_MS: u64 = 86_400_000;

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuccessionError {
    /// Whoever sees only the version would take the new baseline for the old one.
    #[error("baseline.toml: its content changed and its version {version} is not above {before}; raise it")]
    VersionNotGrown {
        /// Of the new baseline.
        version: Version,
        /// Of the baseline that it would follow.
        before: Version,
    },
    /// Its stop would be in force again without anybody having decided so.
    #[error("{path} is missing or changed; lifts are never removed: restore it from git")]
    LiftRemoved {
        /// Target path of the lift.
        path: String,
    },
    /// The controller that is to serve the set could not let anybody issue under it.
    #[error(
        "registry.toml: controller {id} with this controller's permit key is not in it; no host would believe its \
         permits"
    )]
    ControllerNotListed {
        /// The controller.
        id: ControllerId,
    },
    /// Metadata that is over already.
    #[error("it expired at {expires}; this machine's clock says {now}")]
    Expired {
        /// Its end.
        expires: Time,
        /// The time of the question.
        now: Time,
    },
    /// Metadata of a longer life than its role has.
    #[error("it expires at {expires}, which is not within the next {days} days")]
    LifeTooLong {
        /// Its end.
        expires: Time,
        /// The life of its role.
        days: u64,
    },
    /// Files of two publishes could be mixed.
    #[error("consistent_snapshot is off")]
    InconsistentSnapshot,
    /// A root that nobody could sign after, or under which nobody could sign targets.
    #[error("{role} has no keys")]
    NoKeys {
        /// The role.
        role: &'static str,
    },
    /// One person alone could sign.
    #[error("{role} needs less than two signatures")]
    Threshold {
        /// The role.
        role: &'static str,
    },
    /// Nobody could say of which units those are who sign the next.
    #[error("it does not name the units of its signers; `root propose` makes one that does")]
    NoUnits,
    /// Root and registry must speak of the same units.
    #[error("key {key} is of another unit in it than registry.toml says, {unit:?}")]
    Unit {
        /// The key.
        key: KeyId,
        /// Its unit by the registry.
        unit: String,
    },
    /// Root and registry must speak of the same people.
    #[error("the keys of {role} are not those of the signers in registry.toml")]
    Signers {
        /// The role.
        role: &'static str,
    },
}

impl SuccessionError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::VersionNotGrown { .. } => "version-not-grown",
            Self::LiftRemoved { .. } => "lift-removed",
            Self::ControllerNotListed { .. } => "controller-not-listed",
            Self::Expired { .. } => "expired",
            Self::LifeTooLong { .. } => "life-too-long",
            Self::InconsistentSnapshot => "inconsistent-snapshot",
            Self::NoKeys { .. } => "no-keys",
            Self::Threshold { .. } => "threshold-too-low",
            Self::Signers { .. } | Self::Unit { .. } => "signers-differ",
            Self::NoUnits => "no-units",
        }
    }
}

/// A baseline whose content changed must have a higher version, by the precedence of SemVer.
///
/// # Errors
/// [`SuccessionError::VersionNotGrown`].
pub fn require_growth(before: (Digest, &Version), after: (Digest, &Version)) -> Result<(), SuccessionError> {
    if before.0 == after.0 || after.1.cmp_precedence(before.1).is_gt() {
        return Ok(());
    }
    Err(SuccessionError::VersionNotGrown { version: after.1.clone(), before: before.1.clone() })
}

/// Lifts of `before`, by target path, that `after` has not, or has with another content.
pub fn removed_lifts<'a>(
    before: &'a BTreeMap<String, TargetFile>,
    after: &'a BTreeMap<String, TargetFile>,
) -> impl Iterator<Item = SuccessionError> + 'a {
    let removed = before.iter().filter(|(path, listed)| after.get(*path) != Some(*listed));
    removed.map(|(path, _)| SuccessionError::LiftRemoved { path: path.clone() })
}

/// The registry must list the controller that serves it, with the key that it signs permits with.
///
/// # Errors
/// [`SuccessionError::ControllerNotListed`].
pub fn require_controller(registry: &Registry, id: &ControllerId, key: &PublicKey) -> Result<(), SuccessionError> {
    let listed = registry.controllers.iter().find(|controller| controller.id == *id);
    if listed.is_some_and(|controller| controller.permit_key.is_same_key(key)) {
        return Ok(());
    }
    Err(SuccessionError::ControllerNotListed { id: id.clone() })
}

/// Metadata must not have expired, and must not live longer than its role does.
///
/// # Errors
/// [`SuccessionError::Expired`], [`SuccessionError::LifeTooLong`].
pub fn require_life(expires: Time, life: Span, now: Time) -> Result<(), SuccessionError> {
    if expires <= now {
        return Err(SuccessionError::Expired { expires, now });
    }
    if expires > now.after(life).after(SIGNERS_SKEW_MAX) {
        return Err(SuccessionError::LifeTooLong { expires, days: life.as_ms() / DAY_MS });
    }
    Ok(())
}

/// A root must give root and targets to exactly `signers`, keys and units, and ask two of them for a signature.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_root(root: &Root, signers: &[(&PublicKey, &str)], now: Time) -> Result<(), SuccessionError> {
    if !root.consistent_snapshot {
        return Err(SuccessionError::InconsistentSnapshot);
    }
    require_life(root.expires, ROOT_LIFE, now)?;
    for role in [ROOT, TARGETS] {
        let keys = root.roles.get(role).ok_or(SuccessionError::NoKeys { role })?;
        if keys.threshold < SIGNATURES_MIN {
            return Err(SuccessionError::Threshold { role });
        }
        let named: Vec<_> = keys.keyids.iter().filter_map(|id| root.keys.get(id)).collect();
        let is_signer = |key: &&PublicKey| signers.iter().any(|(signer, _)| signer.is_same_key(key));
        if named.len() != signers.len() || !named.iter().all(is_signer) {
            return Err(SuccessionError::Signers { role });
        }
    }
    let Some(units) = Units::of_root(root) else {
        // A first root on its way since before units were written there.
        return if root.version == 1 { Ok(()) } else { Err(SuccessionError::NoUnits) };
    };
    let differs = |(key, unit): &&(&PublicKey, &str)| units.of(key).is_none_or(|named| !is_same_unit(named, unit));
    match signers.iter().find(differs) {
        Some((key, unit)) => Err(SuccessionError::Unit { key: key.id(), unit: (*unit).to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn at(day: u64) -> Time {
        Time::from_unix_ms(1_700_000_000_000).after(Span::from_s(day * 86_400))
    }

    #[test]
    fn a_baseline_that_changed_has_a_higher_version() {
        let check = |before: (&[u8], &str), after: (&[u8], &str), allowed: bool| {
            let versions: (Version, Version) = (before.1.parse().unwrap(), after.1.parse().unwrap());
            let digests = (Digest::of(before.0), Digest::of(after.0));
            let result = require_growth((digests.0, &versions.0), (digests.1, &versions.1));
            assert_eq!(result.is_ok(), allowed, "{before:?} then {after:?}");
        };
        check((b"a", "1.0.0"), (b"a", "1.0.0"), true);
        check((b"a", "1.0.0"), (b"b", "1.0.1"), true);
        check((b"a", "1.0.0-rc.1"), (b"b", "1.0.0"), true);
        // What is built again has the same precedence (SemVer 2.0.0, 10).
        for version in ["1.0.0", "0.9.9", "1.0.0-rc.1", "1.0.0+build"] {
            check((b"a", "1.0.0"), (b"b", version), false);
        }
    }

    #[test]
    fn a_lift_stays_with_its_content() {
        let listed = |lifts: &[(&str, &[u8])]| -> BTreeMap<String, TargetFile> {
            lifts.iter().map(|(path, bytes)| ((*path).to_owned(), TargetFile::of(bytes))).collect()
        };
        let before = listed(&[("lifts/a/1.json", b"a"), ("lifts/b/1.json", b"b")]);
        let removed = |after: &[(&str, &[u8])]| removed_lifts(&before, &listed(after)).count();
        assert_eq!(removed(&[("lifts/a/1.json", b"a"), ("lifts/b/1.json", b"b"), ("lifts/b/2.json", b"c")]), 0);
        assert_eq!(removed(&[("lifts/a/1.json", b"a")]), 1);
        assert_eq!(removed(&[("lifts/a/1.json", b"x"), ("lifts/b/1.json", b"b")]), 1);
        assert_eq!(removed(&[("lifts/b/1.json", b"a"), ("lifts/a/1.json", b"b")]), 2);
    }

    fn registry(permit: &SigningKey) -> Registry {
        Registry {
            product: "p".parse().unwrap(),
            signers: Vec::new(),
            controllers: vec![crate::registry::Controller {
                id: "main".parse().unwrap(),
                permit_key: permit.public().clone(),
                log_key: permit.public().clone(),
                standby: false,
            }],
            sites: Vec::new(),
            hosts: Vec::new(),
        }
    }

    #[test]
    fn a_controller_is_listed_with_its_own_permit_key() {
        let (own, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let check = |id: &str, key: &SigningKey| {
            require_controller(&registry(&own), &id.parse().unwrap(), key.public()).map_err(|error| error.code())
        };
        assert_eq!(check("main", &own), Ok(()));
        assert_eq!(check("main", &other), Err("controller-not-listed"));
        assert_eq!(check("second", &own), Err("controller-not-listed"));
    }

    #[test]
    fn metadata_lives_as_long_as_its_role_does() {
        let life = Span::from_s(90 * 86_400);
        let check = |expires| require_life(expires, life, at(100)).map_err(|error| error.code());
        assert_eq!(check(at(100)), Err("expired"));
        assert_eq!(check(at(101)), Ok(()));
        // A day for the clock of whoever made it.
        assert_eq!(check(at(191)), Ok(()));
        assert_eq!(check(at(191).after(Span::from_ms(1))), Err("life-too-long"));
        let error = require_life(at(300), life, at(100)).unwrap_err();
        assert!(error.to_string().ends_with("which is not within the next 90 days"), "{error}");
    }

    #[test]
    fn a_root_is_signed_by_two_of_exactly_the_signers() {
        let keys: Vec<PublicKey> = (0..3).map(|_| SigningKey::generate().unwrap().public().clone()).collect();
        let units = ["q", "o", "d"];
        let check = |change: &dyn Fn(&mut Root)| {
            let mut root = Root::new(at(300));
            root.set_role(ROOT, &keys, 2);
            root.set_role(TARGETS, &keys, 2);
            for (key, unit) in keys.iter().zip(units) {
                root.set_unit(key, unit);
            }
            change(&mut root);
            let signers: Vec<_> = keys.iter().zip(units).collect();
            check_root(&root, &signers, at(0)).map_err(|error| error.code())
        };
        assert_eq!(check(&|_| {}), Ok(()));
        assert_eq!(check(&|root| root.consistent_snapshot = false), Err("inconsistent-snapshot"));
        assert_eq!(check(&|root| root.expires = at(0)), Err("expired"));
        assert_eq!(check(&|root| root.expires = at(400)), Err("life-too-long"));
        assert_eq!(check(&|root| root.set_unit(&keys[1], "q")), Err("signers-differ"));
        assert_eq!(check(&|root| root.set_unit(&keys[1], " O")), Ok(()));
        let without = |version| {
            move |root: &mut Root| {
                root.units.clear();
                root.version = version;
            }
        };
        assert_eq!((check(&without(1)), check(&without(2))), (Ok(()), Err("no-units")));
        assert_eq!(check(&|root| root.roles.clear()), Err("no-keys"));
        assert_eq!(check(&|root| root.set_role(ROOT, &keys, 1)), Err("threshold-too-low"));
        assert_eq!(check(&|root| root.set_role(TARGETS, &keys[..2], 2)), Err("signers-differ"));
        let stranger = SigningKey::generate().unwrap().public().clone();
        let changed = [keys[0].clone(), keys[1].clone(), stranger];
        assert_eq!(check(&|root| root.set_role(TARGETS, &changed, 2)), Err("signers-differ"));
    }
}
