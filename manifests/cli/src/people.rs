//! The release managers by name, and how far a document has come on its way through their hands.

use std::fmt;

use manifests::id::ProductId;
use manifests::key::{KeyId, PublicKey};
use manifests::succession;
use manifests::tuf::Tally;
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
        match self.person(key) {
            Some(person) => person.name.clone(),
            None => format!("key {}", key.as_str().chars().take(16).collect::<String>()),
        }
    }

    /// Keys of all signers.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.signers.iter().map(|person| &person.key)
    }

    /// How a document stands whose signatures were counted.
    pub(crate) fn standing(&self, tally: Tally) -> SignatureState {
        // A key that the registry does not list has no unit, and then nothing can be said of units.
        let units: Option<Vec<&str>> =
            tally.valid.iter().map(|key| self.person(key).map(|person| person.unit.as_str())).collect();
        let one_unit = units.filter(|_| tally.is_met()).and_then(succession::only_unit).map(str::to_owned);
        let names = |keys: &[KeyId]| keys.iter().map(|key| self.name(key)).collect();
        let (signed, missing) = (names(&tally.valid), names(&tally.missing));
        SignatureState { tally, one_unit, signed, missing }
    }

    fn person(&self, key: &KeyId) -> Option<&Person> {
        self.signers.iter().find(|person| person.key.id() == *key)
    }
}

/// How far a document has come.
#[derive(Clone, Debug)]
pub(crate) struct SignatureState {
    tally: Tally,
    /// The unit that all signers are of, where the threshold is met within one unit.
    one_unit: Option<String>,
    signed: Vec<String>,
    missing: Vec<String>,
}

impl SignatureState {
    /// Whether it counts everywhere: a threshold of signers, of two units at least.
    pub(crate) fn is_complete(&self) -> bool {
        self.tally.is_met() && self.one_unit.is_none()
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
        let Self { tally, one_unit, signed, missing } = self;
        write!(f, "{} of {} signatures", tally.count(), tally.threshold)?;
        if !signed.is_empty() {
            write!(f, " ({})", signed.join("; "))?;
        }
        match one_unit {
            Some(unit) => write!(f, ", all of the unit {unit}; another unit's is missing: {}", missing.join("; ")),
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
            let standing = people.standing(Tally { threshold: 2, valid: signed, missing, ignored: vec![] });
            assert_eq!((standing.is_complete(), standing.to_string().as_str()), (complete, text));
        };
        check(&[], false, "0 of 2 signatures, missing 2 of: A; B; C");
        check(&[0], false, "1 of 2 signatures (A), missing 1 of: B; C");
        check(&[0, 1], false, "2 of 2 signatures (A; B), all of the unit quality; another unit's is missing: C");
        check(&[0, 2], true, "2 of 2 signatures (A; C), complete");
    }
}
