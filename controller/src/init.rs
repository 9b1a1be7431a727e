//! `init`: a new controller's keys, certificates and database.

use std::path::PathBuf;

use anyhow::{Context, bail};
use manifests::controller::PublicHalf;
use manifests::durable;
use manifests::id::{ControllerId, ProductId};
use manifests::key::SigningKey;
use manifests::time::{Span, Time};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::clock;
use crate::data::Data;
use crate::role::Role;
use crate::{store, token};

const DAY_S: u64 = 86_400;
/// Life of the certificate authority.
const CA_LIFE: Span = Span::from_s(3652 * DAY_S);
/// Life of the server's certificate.
pub(crate) const TLS_LIFE: Span = Span::from_s(730 * DAY_S);

/// What `init` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to make. Whoever reads it can sign permits
    #[arg(long)]
    pub data: PathBuf,
    /// Name of this controller in the registry, as main
    #[arg(long)]
    pub id: ControllerId,
    /// Product that it serves, as convenience-issuance
    #[arg(long)]
    pub product: ProductId,
    /// DNS name or IP address that agents reach it by; repeat for more [default: 127.0.0.1 and localhost]
    #[arg(long = "name")]
    pub names: Vec<String>,
}

/// What is made, in the order in which it is put in place. The last one makes the directory a controller's.
const MADE: [&str; 10] = [
    "keys",
    "ca.pem",
    "ca.key",
    "tls.key",
    "tls.pem",
    "controller.db",
    "controller.lock",
    "admin.token",
    "tuf",
    PUBLIC,
];
const PUBLIC: &str = "controller.json";
/// Where it is made: what is found here was cut off.
const UNFINISHED: &str = ".init";

/// Makes the directory, or leaves it as it was.
///
/// # Errors
/// If it holds a controller already, or cannot be written.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let data = Data::new(args.data);
    let shown = data.directory().display().to_string();
    let id = args.id.clone();
    let names = if args.names.is_empty() { vec!["127.0.0.1".to_owned(), "localhost".to_owned()] } else { args.names };
    in_one_step(&data, async |new| make(new, args.id, args.product, names).await).await?;
    output::say!("controller {id} is made in {shown}; what to do next:");
    output::say!(
        "1. Give {shown}/controller.json to the release managers: it goes into their registry and their root."
    );
    output::say!("2. Give {shown}/ca.pem to every host, and with {shown}/admin.token to the first operator.");
    output::say!("3. Keep a copy of {shown}/keys, tls.key and ca.key where nobody else reads it.");
    output::say!(
        "4. With the release managers' first root: sekisho-controller serve --data {shown} --root root.json \\"
    );
    output::say!("       --listen ADDRESS:8443; they publish to it then.");
    Ok(())
}

/// Makes a controller's directory: `make` fills another one, which is put in place once all of it is there.
///
/// # Errors
/// If it holds a controller already, or `make` fails: nothing is left then.
pub(crate) async fn in_one_step(
    data: &Data,
    make: impl AsyncFnOnce(&Data) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let shown = data.directory().display();
    // What was left by a command that was killed is no controller, and nobody has seen its keys.
    if data.path(UNFINISHED).exists() && !data.path(PUBLIC).exists() {
        remove(data).with_context(|| format!("{shown} holds an unfinished controller that cannot be removed"))?;
    }
    if MADE.iter().any(|name| data.path(name).exists()) {
        bail!("{shown} holds a controller already; choose another directory");
    }
    let was_there = data.directory().exists();
    if let Err(error) = put_in_place(data, make).await {
        // Best effort: the first error is the one worth telling.
        let _ = remove(data);
        if !was_there {
            let _ = std::fs::remove_dir(data.directory());
        }
        return Err(error.context(format!("nothing was made in {shown}")));
    }
    Ok(())
}

async fn put_in_place(data: &Data, make: impl AsyncFnOnce(&Data) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let shown = data.directory().display();
    durable::create_directory(data.directory())?;
    std::fs::set_permissions(data.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .with_context(|| format!("cannot make {shown} private"))?;
    let new = Data::new(data.path(UNFINISHED));
    durable::create_directory(&new.path("keys"))?;
    make(&new).await?;
    durable::sync_directory(new.directory()).with_context(|| format!("cannot sync {shown}"))?;
    for name in MADE.into_iter().filter(|name| new.path(name).exists()) {
        std::fs::rename(new.path(name), data.path(name)).with_context(|| format!("cannot put {name} in place"))?;
        durable::sync_directory(data.directory()).with_context(|| format!("cannot sync {shown}"))?;
    }
    // What is left over holds nothing any more, and a directory with the last file is a controller's.
    let _ = std::fs::remove_dir_all(new.directory());
    Ok(())
}

async fn make(new: &Data, id: ControllerId, product: ProductId, names: Vec<String>) -> anyhow::Result<()> {
    certificates(new, &id, names)?;
    let mut keys = Vec::new();
    for name in ["permit", "log", "snapshot", "timestamp"] {
        let key = SigningKey::generate()?;
        new.write(&format!("keys/{name}.pem"), key.to_pkcs8_v1_pem().as_bytes())?;
        keys.push(key.public().clone());
    }
    let Ok([permit_key, log_key, snapshot_key, timestamp_key]) = <[_; 4]>::try_from(keys) else {
        bail!("four keys were made and not four came out");
    };
    let mut connection = store::create(new.directory(), id.as_str(), &product).await?;
    let admin = token::random()?;
    connection.add_operator(&admin, "admin", Role::Admin, clock::now()).await?;
    connection.close().await?;
    new.write("admin.token", format!("{}\n", admin.as_str()).as_bytes())?;
    let public = PublicHalf { id, permit_key, log_key, snapshot_key, timestamp_key };
    Ok(new.write(PUBLIC, format!("{}\n", serde_json::to_string_pretty(&public)?).as_bytes())?)
}

/// Removes what an unfinished `init` has made, and nothing else; the mark of it last.
fn remove(data: &Data) -> std::io::Result<()> {
    for path in MADE.iter().rev().chain([&UNFINISHED]).map(|name| data.path(name)) {
        let removed = match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn certificates(data: &Data, id: &ControllerId, names: Vec<String>) -> anyhow::Result<()> {
    let now = clock::now();
    let ca_key = KeyPair::generate().context("cannot make a key")?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, format!("Sekisho controller {id} CA"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut ca, now, now.after(CA_LIFE));
    let certificate = ca.self_signed(&ca_key).context("cannot sign the CA")?;
    let issuer = Issuer::new(ca, ca_key);

    let tls_key = KeyPair::generate().context("cannot make a key")?;
    let leaf = leaf(id, names, &tls_key, &issuer, now, now.after(TLS_LIFE))?;
    data.write("ca.pem", certificate.pem().as_bytes())?;
    data.write("ca.key", issuer.key().serialize_pem().as_bytes())?;
    data.write("tls.pem", leaf.as_bytes())?;
    data.write("tls.key", tls_key.serialize_pem().as_bytes())?;
    Ok(())
}

/// A server's certificate in PEM, good until `until`.
pub(crate) fn leaf(
    id: &ControllerId,
    names: Vec<String>,
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
    now: Time,
    until: Time,
) -> anyhow::Result<String> {
    let mut leaf = CertificateParams::new(names).context("a --name is no DNS name or IP address")?;
    leaf.distinguished_name.push(DnType::CommonName, format!("Sekisho controller {id}"));
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    set_life(&mut leaf, now, until);
    Ok(leaf.signed_by(key, issuer).context("cannot sign the certificate")?.pem())
}

fn set_life(params: &mut CertificateParams, now: Time, until: Time) {
    // A day back: hosts whose clocks are behind must be able to say so.
    let (year, month, day) = date(now.before(Span::from_s(DAY_S)));
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date(until);
    params.not_after = date_time_ymd(year, month, day);
}

fn date(time: Time) -> (i32, u8, u8) {
    let text = time.to_string();
    let part = |range| text.get(range).unwrap_or_default();
    (part(0..4).parse().unwrap_or(1970), part(5..7).parse().unwrap_or(1), part(8..10).parse().unwrap_or(1))
}
