//! The release managers by name, and how far a document has come on its way through their hands.

use std::collections::BTreeMap;
use std::fmt;

use manifests::id::ProductId;
use manifests::key::{KeyId, PublicKey};
use manifests::tuf::Tally;
use manifests::units::{Units, UnitsError};
use serde::Deserialize;

use crate::directory::{Directory, DirectoryError, REGISTRY};
use crate::exit::{Exit, Fatal};

/// What signing needs of the registry, also while the rest of it is being edited: a lift must not
/// wait for a site whose lines are half-written.
#[derive(Clone, Debug)]
pub(crate) struct People {
    /// The product.
    pub(crate) product: ProductId,
    signers: Vec<Person>,
}

#[derive(Clone, Debug)]
struct Person {
    name: String,
    unit: String,
    key: PublicKey,
}

/// Why the release managers' names are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeopleError {
    /// The registry cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Product or signers cannot be made out.
    #[error("cannot make out product and signers of {REGISTRY}; `check` shows what is wrong: {why}")]
    Registry { why: String },
}

impl Fatal for PeopleError {
    fn exit(&self) -> Exit {
        match self {
            Self::Directory(error) => error.exit(),
            Self::Registry { .. } => Exit::Refused,
        }
    }
}

#[derive(Deserialize)]
struct Head {
    product: ProductId,
    signer: Vec<SignerHead>,
}

#[derive(Deserialize)]
struct SignerHead {
    name: String,
    unit: String,
    key: String,
}

impl People {
    /// Reads product and signers of the registry.
    pub(crate) fn read(directory: &Directory) -> Result<Self, PeopleError> {
        Self::parse(&directory.text(REGISTRY)?)
    }

    fn parse(registry: &str) -> Result<Self, PeopleError> {
        let head: Head =
            toml::from_str(registry).map_err(|error| PeopleError::Registry { why: error.message().to_owned() })?;
        let mut signers = Vec::new();
        for SignerHead { name, unit, key } in head.signer {
            if [&name, &unit].iter().any(|text| text.contains(char::is_control)) {
                return Err(PeopleError::Registry { why: format!("{name:?} or {unit:?} has control characters") });
            }
            let key = PublicKey::from_text(&key)
                .map_err(|_| PeopleError::Registry { why: format!("the key of {name:?} is no Ed25519 key") })?;
            signers.push(Person { name, unit, key });
        }
        Ok(Self { product: head.product, signers })
    }

    /// A key's owner, or the beginning of its id.
    pub(crate) fn name(&self, key: &KeyId) -> String {
        let person = self.signers.iter().find(|person| person.key.id() == *key);
        person.map_or_else(|| short(key), |person| person.name.clone())
    }

    /// Keys and units of all signers.
    pub(crate) fn signers(&self) -> impl Iterator<Item = (&PublicKey, &str)> {
        self.signers.iter().map(|person| (&person.key, person.unit.as_str()))
    }

    /// How a document stands whose signatures were counted, by keys as their root has them: by the root's
    /// units, and by the registry's where the root names none.
    pub(crate) fn standing(
        &self,
        tally: Tally,
        keys: &BTreeMap<KeyId, PublicKey>,
        units: Option<&Units>,
    ) -> SignatureState {
        let signers = || tally.valid.iter().filter_map(|id| keys.get(id));
        let by_registry = || Units::new(self.signers().map(|(key, unit)| (key.clone(), unit.to_owned())));
        let of_two_units = match units {
            Some(units) => units.require_two("the root", tally.threshold, signers()),
            None => by_registry().require_two("the registry", tally.threshold, signers()),
        };
        let refused = of_two_units.err().filter(|_| tally.is_met());
        let name = |id: &KeyId| keys.get(id).map_or_else(|| self.name(id), |key| self.name_of(key));
        let names = |ids: &[KeyId]| ids.iter().map(name).collect();
        let (signed, missing) = (names(&tally.valid), names(&tally.missing));
        SignatureState { tally, refused, signed, missing }
    }

    /// A key's unit by the registry.
    pub(crate) fn unit_of(&self, key: &PublicKey) -> Option<&str> {
        self.signers().find(|(other, _)| other.is_same_key(key)).map(|(_, unit)| unit)
    }

    /// A key's owner, or the beginning of its id.
    pub(crate) fn name_of(&self, key: &PublicKey) -> String {
        let person = self.signers.iter().find(|person| person.key.is_same_key(key));
        person.map_or_else(|| short(&key.id()), |person| person.name.clone())
    }
}

// Enough of an id to tell a few keys apart.
pub(crate) fn short(key: &KeyId) -> String {
    format!("key {}", key.as_str().chars().take(16).collect::<String>())
}

/// How far a document has come.
#[derive(Clone, Debug)]
pub(crate) struct SignatureState {
    tally: Tally,
    /// Why it does not count, although keys enough have signed.
    refused: Option<UnitsError>,
    signed: Vec<String>,
    missing: Vec<String>,
}

impl SignatureState {
    /// Whether it counts everywhere: a threshold of signers, of two units at least.
    pub(crate) fn is_complete(&self) -> bool {
        self.tally.is_met() && self.refused.is_none()
    }

    /// Whether this key has signed it.
    pub(crate) fn has(&self, key: &KeyId) -> bool {
        self.tally.valid.contains(key)
    }

    /// Names of those other than `key` who have signed it.
    pub(crate) fn others(&self, key: &KeyId) -> Vec<String> {
        let signed = self.tally.valid.iter().zip(&self.signed);
        signed.filter(|(id, _)| *id != key).map(|(_, name)| name.clone()).collect()
    }
}

impl fmt::Display for SignatureState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally, refused, signed, missing } = self;
        write!(f, "{} of {} signatures", tally.count(), tally.threshold)?;
        if !signed.is_empty() {
            write!(f, " ({})", signed.join("; "))?;
        }
        match refused {
            Some(UnitsError::OneUnit { unit }) => {
                write!(f, ", all of the unit {unit}; another unit's is missing: {}", missing.join("; "))
            }
            Some(error) => write!(f, ", {error}"),
            None if tally.is_met() => write!(f, ", complete"),
            None => {
                write!(f, ", missing {} of: {}", tally.threshold.saturating_sub(tally.count()), missing.join("; "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::key::SigningKey;

    #[test]
    fn a_threshold_within_one_unit_is_not_complete() {
        let keys: Vec<_> = (0..3).map(|_| SigningKey::generate().unwrap().public().clone()).collect();
        let mut registry = "product = \"p\"\n".to_owned();
        for (key, (name, unit)) in keys.iter().zip([("A", "quality"), ("B", "quality"), ("C", "operations")]) {
            let key = key.to_text().unwrap();
            registry += &format!("[[signer]]\nname = {name:?}\nunit = {unit:?}\nkey = {key:?}\n");
        }
        let people = People::parse(&registry).unwrap();
        let check = |valid: &[usize], complete: bool, text: &str| {
            let ids = |which: &dyn Fn(&usize) -> bool| (0..3).filter(which).map(|i| keys[i].id()).collect();
            let (signed, missing) = (ids(&|i| valid.contains(i)), ids(&|i| !valid.contains(i)));
            let tally = Tally { threshold: 2, valid: signed, missing, ignored: vec![] };
            let by_id = keys.iter().map(|key| (key.id(), key.clone())).collect();
            let standing = people.standing(tally, &by_id, None);
            assert_eq!((standing.is_complete(), standing.to_string().as_str()), (complete, text));
        };
        check(&[], false, "0 of 2 signatures, missing 2 of: A; B; C");
        check(&[0], false, "1 of 2 signatures (A), missing 1 of: B; C");
        check(&[0, 1], false, "2 of 2 signatures (A; B), all of the unit quality; another unit's is missing: C");
        check(&[0, 2], true, "2 of 2 signatures (A; C), complete");
    }
}
