//! The server's certificate: `tls renew`, and taking a new one without a restart.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use rcgen::{Issuer, KeyPair};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;

use crate::chain::chain;
use crate::clock;
use crate::data::Data;
use crate::expiry::{certificate, certificate_end};
use crate::init::{self, TLS_LIFE};

/// How often it is looked whether there is another certificate.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What `tls` is told.
#[derive(Debug, Subcommand)]
pub enum Args {
    /// Make the next certificate from the CA; a serving controller takes it within seconds
    Renew {
        /// The controller's directory
        #[arg(long)]
        data: PathBuf,
        /// DNS name or IP address that agents reach it by; repeat for more [default: those of the present certificate]
        #[arg(long = "name")]
        names: Vec<String>,
    },
}

/// Makes the next certificate, for the key that there is.
///
/// # Errors
/// If the CA has ended or cannot be read, or the file cannot be written: the certificate of before is as it was.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args::Renew { data, names } = args;
    let data = Data::new(data);
    let now = clock::now();
    let id = data.public()?.id;
    let text = |name: &str| -> anyhow::Result<String> {
        String::from_utf8(data.read(name)?).with_context(|| format!("{name} is not text"))
    };
    let (ca, ca_key) = (text("ca.pem")?, KeyPair::from_pem(&text("ca.key")?).context("ca.key is damaged")?);
    let ca_end = certificate_end(ca.as_bytes()).context("ca.pem is damaged")?;
    if ca_end <= now {
        bail!("the CA ended on {ca_end}: hosts believe no certificate of it; make a new controller and have it listed");
    }
    let names = if names.is_empty() { present_names(&data.read("tls.pem")?)? } else { names };
    let issuer = Issuer::from_ca_cert_pem(&ca, ca_key).context("ca.key does not belong to ca.pem")?;
    let key = KeyPair::from_pem(&text("tls.key")?).context("tls.key is damaged")?;
    let until = now.after(TLS_LIFE).min(ca_end);
    let leaf = init::leaf(&id, names.clone(), &key, &issuer, now, until)?;
    certified(leaf.as_bytes(), text("tls.key")?.as_bytes()).context("the new certificate cannot be used")?;
    data.write("tls.pem", leaf.as_bytes())?;
    output::say!("the certificate for {} is good until {until}", names.join(", "));
    output::say!("a serving controller takes it within seconds; hosts and operators have nothing to do");
    if until == ca_end {
        output::say!("the CA itself ends then: have a new controller listed before, and give its ca.pem to every host");
    }
    Ok(())
}

/// DNS names and IP addresses of a certificate.
fn present_names(pem: &[u8]) -> anyhow::Result<Vec<String>> {
    let names = certificate(pem, |certificate| {
        let names = certificate.subject_alternative_name().ok().flatten()?;
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        };
        Some(names.value.general_names.iter().filter_map(name).collect::<Vec<_>>())
    });
    let names = names.context("tls.pem is damaged; give every --name")?.unwrap_or_default();
    if names.is_empty() {
        bail!("tls.pem names nobody; give every --name");
    }
    Ok(names)
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).ok().map(|four| std::net::IpAddr::from(four).to_string());
    four.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|sixteen| std::net::IpAddr::from(sixteen).to_string()))
}

/// A certificate with its key, ready to be served.
///
/// # Errors
/// If either is damaged, or they do not belong together.
pub fn certified(chain: &[u8], key: &[u8]) -> anyhow::Result<CertifiedKey> {
    let provider = CryptoProvider::get_default().context("no cryptographic provider is installed")?;
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().context("tls.pem is damaged")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("tls.key is damaged")?;
    CertifiedKey::from_der(chain, key, provider).context("tls.key does not belong to tls.pem")
}

/// The certificate that is served: the one that was on disk a moment ago.
#[derive(Debug)]
pub struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    /// The one on disk.
    ///
    /// # Errors
    /// As [`certified`].
    pub fn read(data: &Data) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(certified(&data.read("tls.pem")?, &data.read("tls.key")?)?)))))
    }

    /// Takes a new one whenever there is one, until `shutdown`. Connections that are open go on.
    pub async fn follow(self: Arc<Self>, data: Data, shutdown: CancellationToken) {
        let mut refused = None;
        let served = |key: &CertifiedKey| key.cert.first().map(|certificate| certificate.to_vec());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            let files = data.read("tls.pem").and_then(|chain| Ok((chain, data.read("tls.key")?)));
            let new = files.map_err(anyhow::Error::from).and_then(|(chain, key)| certified(&chain, &key));
            match new {
                Ok(new) if served(&new) != served(&self.served()) => {
                    *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                    refused = None;
                    let until = data.read("tls.pem").ok().and_then(|pem| certificate_end(&pem).ok());
                    tracing::info!(until = until.map(tracing::field::display), "another TLS certificate is served");
                }
                Ok(_) => refused = None,
                // Said once: the one of before goes on.
                Err(error) => {
                    let why = chain(&*error);
                    if refused.as_ref() != Some(&why) {
                        tracing::error!(error = why, "the TLS certificate on disk cannot be served; the one before is");
                    }
                    refused = Some(why);
                }
            }
        }
    }

    fn served(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served())
    }
}
