//! `init`: the first root, unsigned, and a directory to go on in.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use manifests::controller::PublicHalf;
use manifests::durable::{self, DurableError};
use manifests::id::{ControllerId, ProductId};
use manifests::key::PublicKey;
use manifests::succession;
use manifests::time::Time;
use manifests::tuf::repository::{self, ROOT_LIFE};
use manifests::tuf::{ROOT, Root, SNAPSHOT, TARGETS, TIMESTAMP, TufError};
use manifests::units;

mod after;

use self::after::After;
use crate::directory::{BASELINE, Directory, DirectoryError, FIRST_ROOT, REGISTRY};
use crate::exit::{CommandError, Exit, Fatal};

/// Signatures that root, targets and lifts need.
const THRESHOLD: u64 = succession::SIGNATURES_MIN;
/// Most bytes read of a public key or of a controller's public half.
const PUBLIC_BYTES_MAX: u64 = 64 << 10;

/// Makes the directory of a product: the first root, unsigned, a registry and an empty baseline.
///
/// Two signatures of the signers will be needed for everything; they must be of two units at least.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// New or empty directory, to be kept in git.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The product's id, as convenience-issuance.
    #[arg(long, value_name = "ID")]
    product: ProductId,
    /// A release manager: name of the role, unit of the organisation, public key file of `keygen`.
    #[arg(long = "signer", value_name = "NAME;UNIT;KEY.pub", required = true)]
    signers: Vec<SignerArg>,
    /// Public half of a controller, as `sekisho-controller init` writes it. Two at least, one of which stands by.
    #[arg(long = "controller", value_name = "controller.json", required = true)]
    controllers: Vec<PathBuf>,
    /// Public half of a controller that is prepared and not in service; without this option every
    /// --controller but the first.
    #[arg(long = "standby", value_name = "controller.json")]
    standbys: Vec<PathBuf>,
    /// Directory of before, whose signers are not enough any more: versions go on above its own, and sites,
    /// hosts, baseline, file lists and lifts are taken over.
    #[arg(long, value_name = "DIR")]
    after: Option<PathBuf>,
}

/// `NAME;UNIT;KEY.pub`
#[derive(Clone, Debug)]
pub(crate) struct SignerArg {
    name: String,
    unit: String,
    key: PathBuf,
}

impl FromStr for SignerArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.splitn(3, ';').map(str::trim).collect();
        match parts.as_slice() {
            [name, unit, key] if parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_control)) => {
                Ok(Self { name: (*name).to_owned(), unit: (*unit).to_owned(), key: PathBuf::from(key) })
            }
            _ => Err("a signer is written NAME;UNIT;KEY.pub, as 'release manager, quality;quality office;quality.pub'"),
        }
    }
}

/// A release manager to be.
pub(crate) struct NewSigner<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) key: PublicKey,
}

/// A controller, in service or standing by.
#[derive(Debug)]
pub(crate) struct NewController {
    pub(crate) public: PublicHalf,
    pub(crate) standby: bool,
}

/// Why there is no first root.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// A key or controller file cannot be read.
    #[error(transparent)]
    File(#[from] DurableError),
    /// It is something else.
    #[error("{} is no {expected}", path.display())]
    Format { path: PathBuf, expected: &'static str, source: serde_json::Error },
    /// The registry could not name the key.
    #[error("{} is no Ed25519 key; `keygen` makes one", path.display())]
    Algorithm { path: PathBuf },
    /// Nobody could be absent.
    #[error(
        "{found} signer is not enough: {THRESHOLD} signatures are needed, so name {THRESHOLD} signers at least, \
             better three"
    )]
    TooFew { found: usize },
    /// A threshold met within one unit counts for nothing.
    #[error("all signers are of the unit {unit:?}: signatures of one unit alone are refused")]
    OneUnit { unit: String },
    /// One name for two people.
    #[error("two signers have the name {name:?}")]
    SameName { name: String },
    /// One id for two controllers.
    #[error("two controllers have the id {id}")]
    SameId { id: ControllerId },
    /// One key in two places: it could stand in for two signatures.
    #[error("{first} and {second} have the same key")]
    SameKey { first: String, second: String },
    /// If the only controller is lost, a new root is needed before anything works again.
    #[error(
        "no standby: make a second controller with `sekisho-controller init`, keep it switched off, and name its \
             controller.json with --standby"
    )]
    NoStandby,
    /// The root could not be made.
    #[error("cannot make the root")]
    Tuf(#[source] TufError),
}

impl Fatal for InitError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(DurableError::TooLarge { .. }) => Exit::Refused,
            Self::File(_) => Exit::Io,
            _ => Exit::Refused,
        }
    }
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let signers = signers(&args.signers)?;
    let controllers = controllers(&args.controllers, &args.standbys)?;
    require_distinct(&signers, &controllers)?;
    let after = args.after.as_deref().map(|path| After::read(path, &signers, &controllers)).transpose()?;
    let version = after.as_ref().map_or(1, |after| after.before.root.saturating_add(1));
    let root = root(&signers, &controllers, version, now).map_err(InitError::Tuf)?;
    let directory = Directory::create(&args.directory)?;
    let written = match &after {
        Some(after) => after.write(&directory, version, &root),
        None => write(&directory, args, &signers, &controllers, &root),
    };
    if let Err(error) = written {
        directory.remove();
        return Err(error.into());
    }
    let place = args.directory.display();
    output::say!("{place}: made, with metadata/{version}.root.json for:");
    for signer in &signers {
        output::say!("  {}  {} ({})", signer.key.id(), signer.name, signer.unit);
    }
    output::say!("Next: write {REGISTRY} and {BASELINE}, then `sign` by {THRESHOLD} of them.");
    output::say!("Give metadata/{version}.root.json, once signed, to controllers and hosts by a way of its own.");
    Ok(())
}

fn write(
    directory: &Directory,
    args: &Args,
    signers: &[NewSigner<'_>],
    controllers: &[NewController],
    root: &[u8],
) -> Result<(), DirectoryError> {
    // What is signed is bytes: git must not change line ends.
    directory.write(".gitattributes", b"* -text\n")?;
    directory.write(BASELINE, BASELINE_SKELETON.replace("PRODUCT", args.product.as_str()).as_bytes())?;
    directory.write(REGISTRY, registry(&args.product, signers, controllers).as_bytes())?;
    // Last, as it makes a directory of ours of it.
    directory.write(FIRST_ROOT, root)
}

fn signers(args: &[SignerArg]) -> Result<Vec<NewSigner<'_>>, InitError> {
    let signers = args.iter().map(SignerArg::read).collect::<Result<Vec<_>, _>>()?;
    if let [] | [_] = signers.as_slice() {
        return Err(InitError::TooFew { found: signers.len() });
    }
    match units::only_unit(signers.iter().map(|signer| signer.unit)) {
        Some(unit) => Err(InitError::OneUnit { unit: unit.to_owned() }),
        None => Ok(signers),
    }
}

/// The controllers of these files, one of which stands by at least.
pub(crate) fn controllers(serving: &[PathBuf], standbys: &[PathBuf]) -> Result<Vec<NewController>, InitError> {
    let mut controllers = Vec::new();
    let serving = serving.iter().enumerate().map(|(index, path)| (path, standbys.is_empty() && index > 0));
    for (path, standby) in serving.chain(standbys.iter().map(|path| (path, true))) {
        let public: PublicHalf = read(path, "controller.json; `sekisho-controller init` writes it")?;
        if [&public.permit_key, &public.log_key].iter().any(|key| key.ed25519_bytes().is_none()) {
            return Err(InitError::Algorithm { path: path.clone() });
        }
        controllers.push(NewController { public, standby });
    }
    if controllers.iter().any(|controller| controller.standby) { Ok(controllers) } else { Err(InitError::NoStandby) }
}

impl SignerArg {
    /// The signer, with the key read.
    pub(crate) fn read(&self) -> Result<NewSigner<'_>, InitError> {
        Ok(NewSigner { name: &self.name, unit: &self.unit, key: public_key(&self.key)? })
    }
}

/// A key that a registry can name, from a file of `keygen`.
pub(crate) fn public_key(path: &Path) -> Result<PublicKey, InitError> {
    let key: PublicKey = read(path, "public key; `keygen` writes FILE.pub")?;
    if key.ed25519_bytes().is_none() { Err(InitError::Algorithm { path: path.to_owned() }) } else { Ok(key) }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, InitError> {
    let bytes = durable::read_input(path, PUBLIC_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|source| InitError::Format { path: path.to_owned(), expected, source })
}

/// No name, id or key stands twice.
pub(crate) fn require_distinct(signers: &[NewSigner<'_>], controllers: &[NewController]) -> Result<(), InitError> {
    for (index, signer) in signers.iter().enumerate() {
        if signers.iter().skip(index + 1).any(|other| other.name == signer.name) {
            return Err(InitError::SameName { name: signer.name.to_owned() });
        }
    }
    for (index, controller) in controllers.iter().enumerate() {
        if controllers.iter().skip(index + 1).any(|other| other.public.id == controller.public.id) {
            return Err(InitError::SameId { id: controller.public.id.clone() });
        }
    }
    let mut seen: Vec<(String, &PublicKey)> = Vec::new();
    let of_signers = signers.iter().map(|signer| (format!("signer {:?}", signer.name), &signer.key));
    let of_controllers = controllers.iter().flat_map(|controller| {
        let PublicHalf { id, permit_key, log_key, snapshot_key, timestamp_key } = &controller.public;
        [("permit", permit_key), ("log", log_key), ("snapshot", snapshot_key), ("timestamp", timestamp_key)]
            .map(|(what, key)| (format!("controller {id} ({what})"), key))
    });
    for (name, key) in of_signers.chain(of_controllers) {
        if let Some((first, _)) = seen.iter().find(|(_, other)| other.is_same_key(key)) {
            return Err(InitError::SameKey { first: first.clone(), second: name });
        }
        seen.push((name, key));
    }
    Ok(())
}

fn root(
    signers: &[NewSigner<'_>],
    controllers: &[NewController],
    version: u64,
    now: Time,
) -> Result<Vec<u8>, TufError> {
    let keys: Vec<_> = signers.iter().map(|signer| signer.key.clone()).collect();
    let mut root = Root { version, ..Root::new(now.after(ROOT_LIFE)) };
    root.set_role(ROOT, &keys, THRESHOLD);
    root.set_role(TARGETS, &keys, THRESHOLD);
    set_online(&mut root, controllers);
    for signer in signers {
        root.set_unit(&signer.key, signer.unit);
    }
    repository::unsigned(&root)
}

/// Gives snapshot and timestamp to these controllers.
pub(crate) fn set_online(root: &mut Root, controllers: &[NewController]) {
    let online = |key: fn(&PublicHalf) -> &PublicKey| -> Vec<PublicKey> {
        controllers.iter().map(|controller| key(&controller.public).clone()).collect()
    };
    root.set_role(SNAPSHOT, &online(|controller| &controller.snapshot_key), 1);
    root.set_role(TIMESTAMP, &online(|controller| &controller.timestamp_key), 1);
}

fn registry(product: &ProductId, signers: &[NewSigner<'_>], controllers: &[NewController]) -> String {
    let mut text = REGISTRY_HEAD.replace("PRODUCT", product.as_str());
    for NewSigner { name, unit, key } in signers {
        let (name, unit) = (toml::Value::from(*name), toml::Value::from(*unit));
        text += &format!("\n[[signer]]\nname = {name}\nunit = {unit}\nkey = \"{}\"\n", key_text(key));
    }
    for NewController { public: PublicHalf { id, permit_key, log_key, .. }, standby } in controllers {
        let (permit, log) = (key_text(permit_key), key_text(log_key));
        text += &format!("\n[[controller]]\nid = \"{id}\"\n");
        if *standby {
            text += "standby = true                # prepared, switched off\n";
        }
        text += &format!("permit_key = \"{permit}\"\nlog_key = \"{log}\"\n");
    }
    text + REGISTRY_FOOT
}

// All of them were found to be Ed25519 keys before.
pub(crate) fn key_text(key: &PublicKey) -> String {
    key.to_text().unwrap_or_default()
}

const REGISTRY_HEAD: &str = "\
# The registry: sites, hosts, signers and controllers that exist. What is not listed here is held and
# not counted; what is listed and silent holds its site.

schema = 1
product = \"PRODUCT\"
";

const REGISTRY_FOOT: &str = "
# One for each municipality, by its local government code:
# [[site]]
# code = \"402206\"
# name = { en = \"Munakata\", ja = \"宗像市\" }

# One for each machine; from `left` on it is not listed any more:
# [[host]]
# id = \"402206-ap1\"
# roles = [\"ap\"]
# joined = 2023-04-01T00:00:00+09:00
";

const BASELINE_SKELETON: &str = "\
# The fix baseline: programs, settings and fixes that every host must show. docs/baseline.md is the
# reference; `sekisho-baseline check` names every mistake with its place.

schema = 2
product = \"PRODUCT\"
version = \"0.1.0\"                # must grow with every change
min_agent = \"0.1.0\"              # older agents hold

[gate]
heartbeat = \"30s\"
permit_ttl = \"30m\"               # how long a host may issue without hearing from a controller
evidence_max_age = \"10m\"
verify_hold = \"250ms\"
expiry_grace = \"14d\"

# A program's tree; `capture` adds its releases:
# [[program]]
# id = \"issuing-server\"
# root = \"/opt/issuing\"
# exclude = [\"logs/**\"]
# roles = [\"ap\"]
# enforce = \"hold\"

# A setting, and the configuration it stands in:
# [[config]]
# id = \"print\"
# files = [\"/etc/issuing/print.ini\"]
# format = \"ini\"
# roles = [\"ap\"]
# [[setting]]
# id = \"lock.print-wait\"
# kind = \"exclusive-lock\"
# config = \"print\"
# key = \"queue.lock\"
# expect = { equals = \"exclusive\" }
# enforce = \"hold\"
";
