//! `backup` beside a serving controller, and `restore` into a new directory. Private keys leave the directory only
//! when they are asked for, and then under a passphrase.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use manifests::durable;
use manifests::key::SigningKey;
use manifests::time::Time;
use pkcs8::der::pem::PemLabel;
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoOwned, LineEnding, PrivateKeyInfoRef, SecretDocument};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock;
use crate::data::Data;
use crate::init;
use crate::store::Connection;

/// Written last: a directory without it is no backup.
const WHOLE: &str = "backup.json";
/// Files that are nobody's secret.
const PUBLIC: [&str; 3] = ["controller.json", "ca.pem", "tls.pem"];
/// Private keys, by where they lie in a controller's directory.
const PRIVATE: [&str; 6] =
    ["keys/permit.pem", "keys/log.pem", "keys/snapshot.pem", "keys/timestamp.pem", "tls.key", "ca.key"];
/// Environment variable with the passphrase of the keys.
const PASSPHRASE_VARIABLE: &str = "SEKISHO_PASSPHRASE";
/// Fewest bytes of it.
const PASSPHRASE_BYTES_MIN: usize = 8;
/// log2 of scrypt's cost, and its block size: 16 MiB, which openssl opens too.
const SCRYPT: (u8, u32) = (14, 8);
/// Most bytes of a file of the repository: target files, the largest of them.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// How often the repository is copied anew because something was published meanwhile.
const COPIES_MAX: u32 = 5;

/// What `backup` is told.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The controller's directory; it may be served meanwhile
    #[arg(long)]
    pub data: PathBuf,
    /// Directory to make
    #[arg(long)]
    pub to: PathBuf,
    /// Also the private keys, under the passphrase in SEKISHO_PASSPHRASE or typed at the terminal
    #[arg(long)]
    pub with_keys: bool,
}

/// What `restore` is told.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(long)]
    pub from: PathBuf,
    /// Directory to make a controller's
    #[arg(long)]
    pub data: PathBuf,
    /// Directory with keys/, tls.key and ca.key, kept elsewhere, for a backup without private keys
    #[arg(long)]
    pub keys: Option<PathBuf>,
}

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Whole {
    controller: String,
    /// When the copy was begun.
    time: Time,
    with_keys: bool,
}

/// Copies a controller's directory.
///
/// # Errors
/// If something cannot be read or written: nothing is left then.
pub async fn back_up(args: BackupArgs) -> anyhow::Result<()> {
    let (data, to) = (Data::new(args.data), args.to);
    let shown = to.display().to_string();
    ensure!(!to.exists(), "{shown} is there already; choose another name");
    let passphrase = args.with_keys.then(|| passphrase(true)).transpose()?;
    durable::create_directory(&to)?;
    let copied = copy_all(&data, &to, passphrase.as_ref().map(|text| text.as_str())).await;
    if let Err(error) = copied {
        // Best effort: the first error is the one worth telling.
        let _ = fs::remove_dir_all(&to);
        return Err(error.context(format!("nothing is left in {shown}")));
    }
    output::say!("backed up to {shown}");
    if !args.with_keys {
        output::say!(
            "without private keys: a restore needs keys/, tls.key and ca.key from where you keep them (--keys)"
        );
    }
    Ok(())
}

async fn copy_all(data: &Data, to: &Path, passphrase: Option<&str>) -> anyhow::Result<()> {
    let public = data.public()?;
    // Before anything is copied: what came later may be in it, and nothing from before is missing.
    let time = clock::now();
    // The database first: what is published afterwards is in the repository, which may be the newer one.
    let database = to.join("controller.db");
    let mut connection = Connection::open_to_read(data.directory()).await.context("cannot open the store")?;
    connection.copy_to(&database).await.context("cannot copy the store")?;
    connection.close().await?;
    fs::File::open(&database).and_then(|file| file.sync_all()).context("cannot sync the copy of the store")?;
    let new = Data::new(to);
    if data.repository().exists() {
        copy_repository(&data.repository(), &new.repository())?;
    }
    for name in PUBLIC {
        new.write(name, &data.read(name)?)?;
    }
    if let Some(passphrase) = passphrase {
        durable::create_directory(&new.path("keys"))?;
        for name in PRIVATE {
            new.write(name, sealed(&data.read(name)?, passphrase).with_context(|| name.to_owned())?.as_bytes())?;
        }
    }
    let whole = Whole { controller: public.id.as_str().to_owned(), time, with_keys: passphrase.is_some() };
    Ok(new.write(WHOLE, format!("{}\n", serde_json::to_string_pretty(&whole)?).as_bytes())?)
}

/// Copies files that are written once each, and `timestamp.json`, which names the newest of them.
fn copy_repository(from: &Path, to: &Path) -> anyhow::Result<()> {
    let newest = |directory: &Path| durable::read_limited(&directory.join("timestamp.json"), FILE_BYTES_MAX).ok();
    for _ in 0..COPIES_MAX {
        let before = newest(from);
        copy_directory(from, to)?;
        if before == newest(from) && before == newest(to) {
            return Ok(());
        }
        fs::remove_dir_all(to).with_context(|| format!("cannot begin anew with {}", to.display()))?;
    }
    bail!("something is published all the time; try again later");
}

fn copy_directory(from: &Path, to: &Path) -> anyhow::Result<()> {
    durable::create_directory(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().with_context(|| format!("cannot read {}", path.display()))?.is_dir() {
            copy_directory(&path, &to)?;
            continue;
        }
        match durable::read_limited(&path, FILE_BYTES_MAX) {
            Ok(bytes) => durable::replace(&to, &bytes, durable::PRIVATE)?,
            // Replaced by a newer one while the directory was read; which files are needed, the newest list says.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes a controller's directory from a backup.
///
/// # Errors
/// If the backup is not whole, a key is not the one of `controller.json`, or the directory holds a controller.
pub async fn restore(args: RestoreArgs) -> anyhow::Result<()> {
    let from = Data::new(&args.from);
    let whole: Whole = serde_json::from_slice(&from.read(WHOLE).context("this is no whole backup")?)
        .with_context(|| format!("{WHOLE} is damaged"))?;
    let passphrase = match (&args.keys, whole.with_keys) {
        (None, true) => Some(passphrase(false)?),
        (Some(_), _) => None,
        (None, false) => bail!("the backup has no private keys: name the directory that has them with --keys"),
    };
    let source = args.keys.as_ref().map(Data::new);
    init::in_one_step(&Data::new(&args.data), async |new| {
        fs::copy(from.path("controller.db"), new.path("controller.db")).context("cannot copy the store")?;
        let copied = fs::File::open(new.path("controller.db")).and_then(|file| file.sync_all());
        copied.context("cannot sync the store")?;
        if from.repository().exists() {
            copy_directory(&from.repository(), &new.repository())?;
        }
        for name in PUBLIC {
            new.write(name, &from.read(name)?)?;
        }
        for name in PRIVATE {
            let pem = match (&source, &passphrase) {
                (Some(source), _) => Zeroizing::new(String::from_utf8(source.read(name)?).context("not text")?),
                (None, Some(passphrase)) => opened(&from.read(name)?, passphrase).with_context(|| name.to_owned())?,
                (None, None) => bail!("there are no private keys"),
            };
            new.write(name, pem.as_bytes())?;
        }
        let public = new.public()?;
        let listed = [
            ("permit", &public.permit_key),
            ("log", &public.log_key),
            ("snapshot", &public.snapshot_key),
            ("timestamp", &public.timestamp_key),
        ];
        for (name, listed) in listed {
            let key: SigningKey = new.key(name)?;
            ensure!(key.public().is_same_key(listed), "keys/{name}.pem is another key than controller.json says");
        }
        let mut connection = Connection::open(new.directory()).await.context("cannot open the store")?;
        let (id, _) = connection.controller().await?;
        ensure!(id == public.id.as_str(), "controller.json is of {}, the database of {id}", public.id);
        Ok(connection.close().await?)
    })
    .await?;
    let Whole { controller, time, .. } = whole;
    output::say!(
        "controller {controller} is restored to {} as it was at {time}; before you serve it:",
        args.data.display()
    );
    output::say!(
        "1. Make sure that the one it was copied from serves no more: two with one key contradict each other."
    );
    output::say!("2. Stops, enrolments and tokens made since {time} are not known to it. Hosts that know a stop hold.");
    output::say!(
        "3. sekisho-controller doctor --data {}; publish again if release managers have since.",
        args.data.display()
    );
    Ok(())
}

fn passphrase(is_new: bool) -> anyhow::Result<Zeroizing<String>> {
    let text = match std::env::var(PASSPHRASE_VARIABLE) {
        Ok(text) => Zeroizing::new(text),
        Err(_) => {
            let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Zeroizing::new);
            let read = || format!("cannot read the passphrase from the terminal; set {PASSPHRASE_VARIABLE}");
            let text = ask("Passphrase of the keys: ").with_context(read)?;
            if is_new {
                ensure!(*ask("The same passphrase again: ").with_context(read)? == *text, "the two passphrases differ");
            }
            text
        }
    };
    ensure!(!is_new || text.len() >= PASSPHRASE_BYTES_MIN, "a passphrase has {PASSPHRASE_BYTES_MIN} bytes at least");
    Ok(text)
}

/// A PKCS#8 key in PEM, under a passphrase: PBES2 with scrypt and AES-256-CBC, as the release managers' keys.
fn sealed(pem: &[u8], passphrase: &str) -> anyhow::Result<Zeroizing<String>> {
    let pem = std::str::from_utf8(pem).context("not text")?;
    let (_, der) = SecretDocument::from_pem(pem).map_err(|_| anyhow::anyhow!("not a key in PEM"))?;
    let key = PrivateKeyInfoRef::try_from(der.as_bytes()).map_err(|_| anyhow::anyhow!("not a PKCS#8 key"))?;
    let (mut salt, mut iv, random) = ([0; 16], [0; 16], SystemRandom::new());
    let filled = random.fill(&mut salt).and_then(|()| random.fill(&mut iv));
    filled.map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    let costs = scrypt::Params::new(SCRYPT.0, SCRYPT.1, 1).map_err(|_| anyhow::anyhow!("scrypt is not to be had"))?;
    let scheme = pbes2::Parameters::generate_scrypt_aes256cbc(costs, &salt, iv);
    let scheme = scheme.map_err(|_| anyhow::anyhow!("AES is not to be had"))?;
    let sealed = key.encrypt_with_params(scheme, passphrase).map_err(|_| anyhow::anyhow!("cannot be encrypted"))?;
    sealed
        .to_pem(EncryptedPrivateKeyInfoOwned::PEM_LABEL, LineEnding::LF)
        .map_err(|_| anyhow::anyhow!("cannot be written as PEM"))
}

fn opened(pem: &[u8], passphrase: &str) -> anyhow::Result<Zeroizing<String>> {
    let pem = std::str::from_utf8(pem).context("not text")?;
    let (label, der) = SecretDocument::from_pem(pem).map_err(|_| anyhow::anyhow!("not a key in PEM"))?;
    ensure!(label == EncryptedPrivateKeyInfoOwned::PEM_LABEL, "not under a passphrase");
    let sealed = EncryptedPrivateKeyInfoOwned::try_from(der.as_bytes());
    let sealed = sealed.map_err(|_| anyhow::anyhow!("not a PKCS#8 key"))?;
    let der = sealed.decrypt(passphrase).map_err(|_| anyhow::anyhow!("the passphrase does not open it"))?;
    der.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|_| anyhow::anyhow!("cannot be written as PEM"))
}
