//! `root propose`: the next root, unsigned, and the registry that fits it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use manifests::key::PublicKey;
use manifests::succession::SIGNATURES_MIN;
use manifests::time::Time;
use manifests::tuf::repository::{self, ROOT_LIFE};
use manifests::tuf::{ROOT, Root, TARGETS};
use manifests::units::{self, Units};

use crate::directory::{Directory, REGISTRY};
use crate::exit::{CommandError, Exit, Fatal};
use crate::init::{self, InitError, NewSigner, SignerArg};
use crate::meaning;
use crate::people::{People, SignatureState};
use crate::root::registry::Registry;
use crate::roots::Roots;

/// Makes the next root, unsigned: people who come and go, other keys, another year.
///
/// Changes registry.toml with it, since both name the same people. Without options the root is made
/// anew with nothing changed but its end. It counts once a threshold of the root before and a threshold
/// of its own have signed it (`sign --only root`), each of two units.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A release manager who comes: name of the role, unit of the organisation, public key file of `keygen`.
    #[arg(long = "add", value_name = "NAME;UNIT;KEY.pub")]
    add: Vec<SignerArg>,
    /// Name of a release manager who goes, as registry.toml has it. The key counts no more.
    #[arg(long = "remove", value_name = "NAME")]
    remove: Vec<String>,
    /// A release manager whose key is another one from here on. The old key counts no more.
    #[arg(long = "replace", value_name = "NAME;KEY.pub")]
    replace: Vec<Pair>,
    /// A release manager who is of another unit from here on.
    #[arg(long = "unit", value_name = "NAME;UNIT")]
    unit: Vec<Pair>,
    /// Signatures that root, targets and lifts need, 2 at least.
    #[arg(long, value_name = "NUMBER")]
    threshold: Option<u64>,
    /// Public half of a controller. Name all of them: whoever is not named signs nothing any more.
    #[arg(long = "controller", value_name = "controller.json")]
    controllers: Vec<PathBuf>,
    /// Public half of a controller that is prepared and not in service; without this option every
    /// --controller but the first.
    #[arg(long = "standby", value_name = "controller.json", requires = "controllers")]
    standbys: Vec<PathBuf>,
}

/// `NAME;VALUE`
#[derive(Clone, Debug)]
struct Pair {
    name: String,
    value: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(';').map(|(name, value)| (name.trim(), value.trim()));
        match parts {
            Some((name, value)) if !name.is_empty() && !value.is_empty() && !text.contains(char::is_control) => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("it is written NAME;VALUE, as 'release manager, quality;quality-2.pub'"),
        }
    }
}

/// Why there is no next root.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProposeError {
    /// Two roots of one version would both be somebody's.
    #[error(
        "{name} is not completely signed yet: sign it, or remove it and restore registry.toml from git, before you \
         propose another"
    )]
    Draft { name: String },
    /// A slip of the pen, or somebody who left already.
    #[error("registry.toml has no signer {name:?}; it has: {}", has.join("; "))]
    NoSuchSigner { name: String, has: Vec<String> },
    /// The two must be brought together first.
    #[error(
        "registry.toml and {name} name other signers; `check` shows the difference. Restore registry.toml from git"
    )]
    Differs { name: String },
    /// Nobody could be absent, or one person could sign alone.
    #[error(
        "a threshold of {threshold} with {keys} signers: it is {SIGNATURES_MIN} at least, and not more than there are signers"
    )]
    Threshold { threshold: u64, keys: usize },
}

impl Fatal for ProposeError {
    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

/// A signer of the root to be.
struct Signer {
    name: String,
    unit: String,
    key: PublicKey,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    let text = directory.text(REGISTRY)?;
    let people = People::read(&directory)?;
    let roots = Roots::read(&directory)?;
    let before = match (roots.newest(), roots.in_force(&people)) {
        (Some(newest), Some(in_force)) if newest.root.version == in_force.root.version => in_force,
        (newest, _) => {
            let name = newest.map(|file| file.name.clone()).unwrap_or_default();
            return Err(ProposeError::Draft { name }.into());
        }
    };
    if !roots.standings(before, &people).iter().all(SignatureState::is_complete) {
        return Err(ProposeError::Draft { name: before.name.clone() }.into());
    }
    let signers = signers(args, &before.root, &before.name, &people)?;
    let mut root = before.root.next(now.after(ROOT_LIFE));
    let threshold = set_people(&mut root, args.threshold, &signers)?;
    let mut registry = Registry::parse(&text)?;
    registry.set_signers(signers.iter().map(|signer| (signer.name.as_str(), signer.unit.as_str(), &signer.key)))?;
    let controllers = match args.controllers.as_slice() {
        [] => Vec::new(),
        paths => init::controllers(paths, &args.standbys)?,
    };
    if !controllers.is_empty() {
        init::set_online(&mut root, &controllers);
        registry.set_controllers(&controllers)?;
    }
    let distinct: Vec<_> =
        signers.iter().map(|Signer { name, unit, key }| NewSigner { name, unit, key: key.clone() }).collect();
    init::require_distinct(&distinct, &controllers)?;
    let bytes = repository::unsigned(&root).map_err(InitError::Tuf)?;
    let name = format!("metadata/{}.root.json", root.version);
    let changed = registry.to_string();
    let both = People::parse(&changed)?.and(&people);
    if changed != text {
        directory.write(REGISTRY, changed.as_bytes())?;
        output::say!("{REGISTRY}: changed with it");
    }
    directory.write(&name, &bytes)?;
    output::say!("{name}: proposed; against {}:", before.name);
    for line in meaning::root::changes(&before.root, &root, &both, now) {
        output::say!("  {line}");
    }
    let named: Vec<_> = signers.iter().map(|signer| (signer.name.as_str(), signer.unit.as_str())).collect();
    for line in units::frailties(&named, threshold) {
        output::tell!("warning: {line}");
    }
    let needed = before.root.roles.get(ROOT).map_or(0, |role| role.threshold);
    output::say!(
        "Next: `sign --only root` by {needed} signers of {} and by {threshold} of its own, of two units each; then `sign` \
         of targets and lifts, and `publish`.",
        before.name
    );
    Ok(())
}

// Whoever signs the root before, by name and unit, with the changes asked for.
fn signers(args: &Args, before: &Root, before_name: &str, people: &People) -> Result<Vec<Signer>, CommandError> {
    let of_root = meaning::root::keys(before, ROOT);
    let named: Vec<_> = people.everybody().collect();
    let same = of_root.len() == named.len()
        && named.iter().all(|(_, _, key)| of_root.iter().any(|other| other.is_same_key(key)));
    if !same {
        return Err(ProposeError::Differs { name: before_name.to_owned() }.into());
    }
    let units = Units::of_root(before);
    let unit = |unit: &str, key| units.as_ref().and_then(|units| units.of(key)).unwrap_or(unit).to_owned();
    let mut signers: Vec<Signer> = named
        .into_iter()
        .map(|(name, registry, key)| Signer { name: name.to_owned(), unit: unit(registry, key), key: key.clone() })
        .collect();
    let place = |signers: &[Signer], name: &str| -> Result<usize, ProposeError> {
        signers.iter().position(|signer| signer.name == name).ok_or_else(|| ProposeError::NoSuchSigner {
            name: name.to_owned(),
            has: signers.iter().map(|signer| signer.name.clone()).collect(),
        })
    };
    for Pair { name, value } in &args.unit {
        let place = place(&signers, name)?;
        signers.get_mut(place).into_iter().for_each(|signer| signer.unit.clone_from(value));
    }
    for Pair { name, value } in &args.replace {
        let (place, key) = (place(&signers, name)?, init::public_key(Path::new(value))?);
        signers.get_mut(place).into_iter().for_each(|signer| signer.key = key.clone());
    }
    for name in &args.remove {
        let place = place(&signers, name)?;
        signers.remove(place);
    }
    for NewSigner { name, unit, key } in args.add.iter().map(SignerArg::read).collect::<Result<Vec<_>, _>>()? {
        signers.push(Signer { name: name.to_owned(), unit: unit.to_owned(), key });
    }
    if let Some(unit) = units::only_unit(signers.iter().map(|signer| signer.unit.as_str())) {
        return Err(InitError::OneUnit { unit: unit.to_owned() }.into());
    }
    Ok(signers)
}

// Root and targets have the same people; who is not named goes, with key and unit.
fn set_people(root: &mut Root, threshold: Option<u64>, signers: &[Signer]) -> Result<u64, ProposeError> {
    let before = root.roles.get(ROOT).map_or(SIGNATURES_MIN, |role| role.threshold);
    let threshold = threshold.unwrap_or(before);
    let keys: Vec<_> = signers.iter().map(|signer| signer.key.clone()).collect();
    if threshold < SIGNATURES_MIN || u64::try_from(keys.len()).is_ok_and(|count| count < threshold) {
        return Err(ProposeError::Threshold { threshold, keys: keys.len() });
    }
    root.units.clear();
    root.set_role(ROOT, &keys, threshold);
    root.set_role(TARGETS, &keys, threshold);
    for signer in signers {
        root.set_unit(&signer.key, &signer.unit);
    }
    Ok(threshold)
}
